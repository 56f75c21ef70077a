"""The task.yaml and the description of a prepared competition."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import Any

from tasks.mlebench.facts import FOLDER, Competition

METRICS = {
    "ROC AUC (binary)": "roc_auc",
    "ROC AUC pooled over all (recording, species) pairs": "roc_auc",
    "mean column-wise ROC AUC": "roc_auc",
    "mean column-wise ROC AUC (rows labelled -1 skipped)": "roc_auc",
    "mean column-wise ROC AUC over 9 columns": "roc_auc",
    "macro ROC AUC over EC1, EC2": "roc_auc",
    "quadratic weighted kappa": "quadratic_weighted_kappa",
    "RMSE over all pixels": "rmse",
    "RMSE": "rmse",
    "multi-class log loss": "log_loss",
    "binary log loss": "log_loss",
    "mean of two RMSLE (rows compared by POSITION, id column ignored)": "mean_columnwise_rmsle",
    "accuracy": "accuracy",
    "token accuracy (exact string match)": "accuracy",
    "micro F1 (single label = accuracy)": "accuracy",
}
"""From the benchmark's name of a metric to the registered metric that scores held-out rows during a run."""

SHOWN = {
    "text-normalization-challenge-english-language": "en_sample_submission_2.csv.zip",
    "text-normalization-challenge-russian-language": "ru_sample_submission_2.csv.zip",
    "invasive-species-monitoring": "sample_submission.csv.zip",
}
"""The public sample submission, where it is not the configured file."""

MAY_BE_MISSING = frozenset(SHOWN) - {"invasive-species-monitoring"}
"""Where an empty prediction may be right."""

OFFICIAL_METRIC = '''"""The metric of this competition is computed by the official package only."""


def official(answers, predictions, targets):
    raise ValueError("this metric is computed by `harness score` only")
'''


def task_file(competition: Competition, prepared: Path) -> str:
    """The text of task.yaml, which is written beside the folder `prepared`. Reads the header of the sample."""
    import yaml

    sample = prepared / competition.sample
    columns = header(sample)
    key = competition.ids[0] if competition.ids else columns[0]
    targets = [name for name in competition.targets if not name.startswith("<")]
    targets = targets or [name for name in columns if name != key]
    thresholds = competition.thresholds
    submission: dict[str, Any] = {"sample": f"prepared/{competition.sample}", "id": key, "target": targets}
    content: dict[str, Any] = {
        "id": competition.id,
        "title": competition.title,
        "competition": competition.id,
        "description": "description.md",
        "metric": _metric(competition),
        "data": {
            "public": "prepared/public",
            "private": "prepared/private",
            "answers": f"prepared/{competition.answers}",
        },
        "submission": submission,
        "thresholds": {name: float(getattr(thresholds, name)) for name in ("gold", "silver", "bronze", "median")},
    }
    if competition.id in SHOWN:
        submission["shown"] = SHOWN[competition.id]
    if competition.id in MAY_BE_MISSING:
        submission["may_be_missing"] = True
    content |= _holdout(competition, key, targets)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def _holdout(competition: Competition, key: str, targets: list[str]) -> dict[str, Any]:
    """The parts of task.yaml that say how labelled rows are held out; empty if they are not."""
    recipe = recipes().get(competition.id)
    if recipe is None:
        return {}
    labels = {"file": "", "id": key, "target": list(targets), **recipe["labels"]}
    return {"labels": labels, "blend": recipe["blend"]}


@cache
def recipes() -> dict[str, dict[str, Any]]:
    """The entries of `blends.yaml` by competition."""
    import yaml

    entries: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / "blends.yaml").read_text(encoding="utf-8"))
    return entries


def _metric(competition: Competition) -> Any:
    if competition.is_native:
        return METRICS[competition.metric]
    return {"function": "metric.py:official", "direction": "lower" if competition.lower_is_better else "higher"}


def description(competition: Competition) -> str:
    """The description of the task that the model sees, in this project's own words."""
    import yaml

    written = yaml.safe_load((FOLDER / "descriptions.yaml").read_text(encoding="utf-8"))
    entry = written.get(competition.id, {})
    formula = written["metrics"].get(competition.metric, competition.metric)
    parts = [f"# {competition.title}", f"## Goal\n\n{competition.about.strip()}"]
    parts += [f"## Data\n\n{entry['data']}"] if "data" in entry else []
    parts.append(f"## Evaluation\n\nScored by: {competition.metric}. {formula}")
    rule = "One row for each row of the sample submission, each once, none missing."
    parts.append(f"## Submission\n\n{rule} {entry.get('submission', '')}".rstrip())
    return "\n\n".join(parts) + "\n"


def header(path: Path) -> list[str]:
    """The column names of a CSV file."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(file), [])
