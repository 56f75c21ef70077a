"""Check a submission of the test rows by the official rule before a run ends, without reading any answer.

The rule is asked for the score against made-up answers. What it refuses then it also refuses with the real answers:
ranges, row sums, types, missing values and columns are conditions on the submission alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.mlebench.facts import competitions
from tasks.mlebench.graders import RULES, read_submission
from tasks.mlebench.official_metrics import score_guarded
from tasks.mlebench.task_yaml import METRICS

if TYPE_CHECKING:
    import pandas as pd

WORDS: dict[str, tuple[Any, ...]] = {
    "spaceship-titanic": (False, True),
    "paddy-disease-classification": ("blast", "hispa", "normal"),
    "plant-seedlings-classification": ("Charlock", "Cleavers", "Maize"),
    "text-normalization-challenge-english-language": ("one", "two", "three"),
    "text-normalization-challenge-russian-language": ("one", "two", "three"),
}
"""Labels of the competitions whose labels are not whole numbers."""
LABELS: dict[str, tuple[Any, ...]] = {"accuracy": (0, 1, 2), "quadratic_weighted_kappa": (0, 1, 2, 3, 4)}
"""Labels by metric; the other metrics take 0 and 1."""


def check_form(name: str, submission: Path, key: str, targets: Sequence[str]) -> None:
    """Raise `Invalid`, with the rule's sentence, if the official rule of a competition refuses a submission.

    Its columns and ids must be those of the sample. A competition that the official package grades is not checked.
    """
    if name not in RULES:
        return
    predictions = read_submission(submission)
    # The ids are correct, and sorting five million of them takes longer than the metric.
    predictions[key] = range(len(predictions))
    score_guarded(RULES[name], predictions, make_answers(name, len(predictions), key, targets))


def make_answers(name: str, rows: int, key: str, targets: Sequence[str]) -> pd.DataFrame:
    """Answers of the type of a competition's own, in which every label occurs."""
    import numpy as np
    import pandas as pd

    metric = METRICS[competitions()[name].metric]
    numbers = np.arange(rows)
    columns: dict[str, Any] = {key: numbers}
    if metric == "log_loss" and len(targets) > 1:
        columns |= {target: (numbers % len(targets) == index).astype(int) for index, target in enumerate(targets)}
    else:
        labels = np.array(WORDS.get(name) or LABELS.get(metric, (0, 1)))
        columns |= {target: labels[numbers % len(labels)] for target in targets}
    return pd.DataFrame(columns)
