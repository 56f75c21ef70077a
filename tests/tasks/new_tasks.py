"""Shared by the tests of new tasks: make one, and check that its splits, its judge and its grader fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from small_tasks import read_table, write_table

from tasks.holdout.blend import Blend, make_blend
from tasks.judging.grade import grade
from tasks.judging.judge import judge
from tasks.judging.partition_submission import partition_submission
from tasks.new_task import CreatedTask, TaskRequest, make_task
from tasks.task import Task, load_task


def made(data: Path | None, *targets: str, **options: Any) -> tuple[Task, CreatedTask]:
    """A task from data in the folder that its test may write to, and what was found."""
    first = data or options["train"]
    into = options.pop("into", None) or first.parent / f"task-{len(list(first.parent.iterdir()))}"
    created = make_task(TaskRequest(data, targets, into, **options))
    return load_task(created.folder), created


def perfect_scores(task: Task, folder: Path) -> tuple[Blend, float | None, float | None]:
    """The blend of a task, and a perfect submission's scores: on held-out rows as judged, on private rows as graded."""
    folder.mkdir()
    blend = make_blend(task, 0, folder / "blend")
    assert task.answers is not None
    own = {row[0]: row[1:] for row in read_table(task.answers)[1:]}
    answers = {row[0]: row[1:] for row in read_table(blend.private_labels / "answers.csv")[1:]}
    answers |= {row[0]: row[1:] for row in read_table(blend.private_labels / "select.csv")[1:]}
    ids, key = read_table(blend.private_labels / "ids.csv")[1:], read_table(blend.private_labels / "key.csv")[1:]
    for (shown,), (role, _, _, original) in zip(ids, key, strict=True):
        if role == "test":
            answers[shown] = own[original or shown]
    header, *rows = read_table(blend.public / "sample_submission.csv")
    write_table(folder / "s.csv", [header, *([row[0], *answers[row[0]]] for row in rows)])
    judgement = judge(blend, folder / "s.csv", folder / "out.csv")
    assert judgement.status == "scored", judgement.message
    write_table(folder / "test.csv", partition_submission(blend, folder / "s.csv").test.rows())
    return blend, judgement.score, grade(task, folder / "test.csv").score
