"""Every fold has rows of each class that the metric needs, or the task is refused before the run."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from small_tasks import churn, read_table

from tasks.holdout.blend import make_blend
from tasks.holdout.class_coverage import max_fold_count, smallest_class_count
from tasks.holdout.split import Split
from tasks.holdout.splitters import assign_folds
from tasks.judging.judge import judge
from tasks.task import Task, TaskError


def with_positives(folder: Path, count: int, metric: str = "roc_auc", labels: str = "stratify: true") -> Task:
    """A task of 200 labelled rows, `count` of them positive."""
    positives = iter(random.Random(2).sample(range(200), count))
    chosen, index = set(positives), iter(range(1000))

    def label(_: random.Random) -> str:
        return "1" if next(index) in chosen else "0"

    return churn(folder, metric=metric, test_rows=120, label=label, sample="0", labels=labels)


@pytest.mark.parametrize(("positives", "folds", "least"), [(2, 2, 1), (3, 2, 1), (5, 2, 2), (6, 3, 2), (60, 4, 15)])
def test_each_fold_has_rows_of_both_labels(positives: int, folds: int, least: int, tmp_path: Path) -> None:
    task = with_positives(tmp_path / "task", positives)
    blends = [make_blend(task, 0, tmp_path / f"b{fold}", Split(0, fold)) for fold in range(folds)]
    assert {blend.folds for blend in blends} == {folds}
    for blend in blends:
        answers = Counter(row[1] for row in read_table(blend.private_labels / "answers.csv")[1:-1])
        assert answers["1"] >= least
        assert judge(blend, blend.public / "sample_submission.csv", tmp_path / "out.csv").score == 0.5
    assert ("folds and not 4, so that each" in " ".join(blends[0].notes)) == (folds < 4)


def test_rare_class_does_not_change_the_plan_of_other_metrics(tmp_path: Path) -> None:
    blend = make_blend(with_positives(tmp_path / "task", 3, "accuracy"), 0, tmp_path / "b")
    assert blend.folds == 4
    assert "1" in {row[1] for row in read_table(blend.private_labels / "answers.csv")[1:-1]}


@pytest.mark.parametrize(
    ("positives", "metric", "message"),
    [
        (0, "roc_auc", "every labelled row has left = '0', so roc_auc cannot distinguish"),
        (0, "log_loss", "every labelled row has left = '0', so log_loss cannot distinguish"),
        (0, "accuracy", "every labelled row has left = '0'"),
        (1, "roc_auc", "only one labelled row has left = '1', and roc_auc needs it in train and held out"),
    ],
)
def test_uniform_labels_are_refused(positives: int, metric: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=message):
        make_blend(with_positives(tmp_path / "task", positives, metric), 0, tmp_path / "b")


def test_groups_make_fewer_folds_if_positives_are_in_few_groups(tmp_path: Path) -> None:
    task = with_positives(tmp_path / "task", 6, labels="group: household")
    first = make_blend(task, 0, tmp_path / "b0")
    for fold in range(first.folds):
        blend = make_blend(task, 0, tmp_path / f"b{fold}", Split(0, fold))
        assert {row[1] for row in read_table(blend.private_labels / "answers.csv")[1:-1]} == {"0", "1"}


def test_every_target_column_is_checked() -> None:
    draw = random.Random(0)
    rows = ["\x1f".join("1" if draw.random() < 0.02 else "0" for _ in range(6)) for _ in range(600)]
    count = max_fold_count(rows, 5, lambda count: assign_folds(rows, count, "s", False))
    assert 2 <= count < 5 and smallest_class_count(rows, assign_folds(rows, count, "s", False)) > 0
    assert smallest_class_count(["0", "1", None], [0, 1, None]) == 0
