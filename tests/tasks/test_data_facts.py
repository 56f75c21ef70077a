"""Facts of a task's target, metric and tables, by which lessons are chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from context.ledger.types import FACTS as KNOWN_TO_LESSONS
from tasks.catalog import find_task
from tasks.data_facts import FACTS, facts_of_task
from tasks.metrics.registry import METRICS


def facts(metric: str, **columns: list[object]) -> set[str]:
    task = find_task("digits", Path("/nowhere"))
    submission = replace(task.submission, targets=("y",))
    return set(
        facts_of_task(
            replace(task, metric=METRICS[metric], submission=submission), {"train.csv": pd.DataFrame(columns)}
        )
    )


def test_lessons_and_tasks_name_the_same_facts() -> None:
    assert set(FACTS) == KNOWN_TO_LESSONS


@pytest.mark.parametrize(
    ("metric", "target", "expected"),
    [
        ("accuracy", list(range(10)) * 20, {"classes", "many_classes"}),
        ("f1_macro", ["a"] * 90 + ["b"] * 10, {"classes", "two_classes", "rare_classes", "thresholds"}),
        ("roc_auc", [0, 1] * 50, {"classes", "two_classes", "ranks"}),
        ("log_loss", [0, 1] * 50, {"classes", "two_classes", "probabilities"}),
        ("rmse", [1.0] * 90 + [500.0] * 10, {"number", "long_tail"}),
        ("rmse", [-1.0] * 90 + [500.0] * 10, {"number"}),
    ],
)
def test_target_and_metric_have_a_kind(metric: str, target: list[object], expected: set[str]) -> None:
    assert facts(metric, y=target) == expected


def test_tables_have_categories_dates_and_missing_cells() -> None:
    found = facts(
        "accuracy",
        y=[0, 1] * 100,
        city=[f"city {n % 30}" for n in range(200)],
        day=[f"2026-01-{1 + n % 28:02d}" for n in range(200)],
        age=[None if n == 3 else n for n in range(200)],
    )
    assert found == {"classes", "two_classes", "categories", "many_categories", "dates", "missing"}
