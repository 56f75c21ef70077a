"""One more metric is one entry of the registry: it is validated, judged, bootstrapped and compared without row
statistics."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from small_tasks import churn, read_table, write_table

from tasks.holdout.blend import Blend, load_blend, make_blend
from tasks.judging.compare import compare_predictions
from tasks.judging.judge import judge
from tasks.judging.select_final import choose
from tasks.metrics.bootstrap import draw_scores, estimate_noise
from tasks.metrics.registry import METRICS, Metric
from tasks.metrics.target_columns import target_numbers
from tasks.new_task.check_target import check_metric
from tasks.task import TaskError, load_task
from tests.tasks.test_select_final import make_fold


def brier(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    return float(((target_numbers(answers, targets) - target_numbers(predictions, targets)) ** 2).mean())


@pytest.fixture(autouse=True)
def metric(monkeypatch: pytest.MonkeyPatch) -> Metric:
    entry = Metric(
        "brier", True, "scores", "Mean squared error of probabilities.",
        scorer=brier, answers="binary", predictions="probabilities",
    )  # fmt: skip
    monkeypatch.setitem(METRICS, "brier", entry)
    return entry


@pytest.fixture
def blend(tmp_path: Path) -> Blend:
    task = churn(tmp_path / "task", metric="brier", label=lambda draw: draw.choice("01"), sample="0.5")
    return make_blend(task, 0, tmp_path / "blend")


def submit(blend: Blend, folder: Path, confidence: float) -> Path:
    """A submission that gives this probability to the right class of each held-out row."""
    folder.mkdir()
    answers = {row[0]: int(row[1]) for row in read_table(blend.private_labels / "answers.csv")[1:]}
    header, *rows = read_table(blend.public / "sample_submission.csv")
    draw = random.Random(0)
    cells = [
        [name, f"{abs(1 - answers[name] - min(1, confidence + draw.uniform(-0.1, 0.1))):.4f}"]
        if name in answers
        else [name, "0.5"]
        for name, _ in rows
    ]
    write_table(folder / "s.csv", [header, *cells])
    return folder / "s.csv"


def test_task_yaml_names_it_and_its_blend_keeps_it(metric: Metric, blend: Blend, tmp_path: Path) -> None:
    assert load_task(tmp_path / "task/task.yaml").metric is metric
    assert load_blend(blend.folder).metric is metric
    with pytest.raises(TaskError, match="0 and 1"):
        check_metric(tmp_path, "left", "brier", {"0", "1", "2"})


def test_submissions_are_judged_and_compared_by_resampling(blend: Blend, tmp_path: Path) -> None:
    good, poor = (submit(blend, tmp_path / name, share) for name, share in (("good", 0.8), ("poor", 0.6)))
    judge(blend, poor, tmp_path / "poor/out.csv", keep=True)
    kept = [tmp_path / name / "held_out.csv" for name in ("good", "poor")]
    judgement = judge(blend, good, tmp_path / "good/out.csv", keep=True, against=kept[1])
    assert judgement.status == "scored" and 0.01 < (judgement.score or 0) < 0.08
    assert 0 < (judgement.noise or 0) < 0.02
    assert (judgement.share, (judgement.gain or 0) > 0.05) == (1.0, True)
    compared = compare_predictions([blend.folder], kept[:1], kept[1:])
    assert compared.gain == pytest.approx(judgement.gain) and compared.share == 1.0


def test_predictions_it_does_not_accept_are_invalid(blend: Blend, tmp_path: Path) -> None:
    path = submit(blend, tmp_path / "s", 0.8)
    path.write_text(path.read_text().replace('"0.5"', '"1.5"'))
    judgement = judge(blend, path, tmp_path / "out.csv")
    assert (judgement.status, judgement.message) == ("invalid", "A prediction is not a probability between 0 and 1.")


def test_noise_by_resampling_is_that_of_row_statistics() -> None:
    """RMSE with and without its row statistics."""
    from dataclasses import replace

    fold = make_fold(0, 0.5, 0.6)
    metric = replace(fold.metric, row_statistics=None)
    assert (fold.metric.noise_method, metric.noise_method) == ("row statistics", "scoring resampled rows")
    resampled = replace(fold, metric=metric)
    noises = [estimate_noise([one], draw_scores([one])) for one in (fold, resampled)]
    assert noises[1] == pytest.approx(noises[0], rel=0.25)
    assert choose([fold], [fold], "fresh").pick == choose([resampled], [resampled], "fresh").pick == 0
