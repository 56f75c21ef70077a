"""Fit the reference models on each example and write its leaderboard.csv. The output is committed.

    python -m tasks.examples.fit_leaderboards [EXAMPLE...]

Every model is fitted on the whole public training file and scored once on the private answers.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.examples.prepare import EXAMPLES, EXAMPLES_FOLDER, Example, write_data
from tasks.metrics.medals import SCORE_DIGITS
from tasks.metrics.registry import METRICS, Metric
from tasks.metrics.score import score

if TYPE_CHECKING:
    import pandas as pd

METRIC_OF = {"digits": "accuracy", "breast-cancer": "roc_auc", "diabetes": "rmse"}


def main(names: list[str]) -> None:
    """Fit and write the leaderboards of the examples in `names`; of all examples if it is empty."""
    warnings.filterwarnings("ignore")  # models that do not converge are kept
    for name in names or list(EXAMPLES):
        board = fit_leaderboard(EXAMPLES[name], METRICS[METRIC_OF[name]])
        _write(EXAMPLES_FOLDER / name / "leaderboard.csv", board)
        print(f"{name}: {len(board)} models, best {board[0]}, worst {board[-1]}")


def fit_leaderboard(example: Example, metric: Metric) -> list[tuple[str, float]]:
    """Teams and their scores, best first; equal scores by name."""
    import pandas as pd

    from tasks.examples.reference_models import classifiers, regressors

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(example, folder)
        train, test = pd.read_csv(folder / "public/train.csv"), pd.read_csv(folder / "public/test.csv")
        answers = pd.read_csv(folder / "private/answers.csv")
    models = regressors() if metric.needs == "numbers" else classifiers()
    board = []
    for team, model in models.items():
        predictions = pd.DataFrame({example.target: _predict(model, train, test, example, metric)})
        value = score(metric, answers, predictions, [example.target])
        board.append((team, round(value, SCORE_DIGITS)))
    sign = 1 if metric.lower_is_better else -1
    return sorted(board, key=lambda row: (sign * row[1], row[0]))


def _predict(model: Any, train: pd.DataFrame, test: pd.DataFrame, example: Example, metric: Metric) -> Any:
    features = [column for column in test.columns if column != example.id_column]
    model.fit(train[features], train[example.target])
    if metric.needs != "scores":
        return model.predict(test[features])
    if hasattr(model, "predict_proba"):
        return model.predict_proba(test[features])[:, 1]
    return model.decision_function(test[features])


def _write(path: Path, board: list[tuple[str, float]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["team", "score"])
        writer.writerows((team, f"{value:.{SCORE_DIGITS}f}") for team, value in board)


if __name__ == "__main__":
    main(sys.argv[1:])
