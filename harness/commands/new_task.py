"""`harness new-task`: makes a task from the user's data and prints facts, guesses and advice."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, get_args

from harness import errors
from harness.settings import Settings
from harness.ui.step_progress import StepProgress

if TYPE_CHECKING:
    from tasks.new_task.request import CreatedTask, Kind, TaskRequest


def new_task(options: argparse.Namespace, settings: Settings, endpoint: str = "") -> int:
    """Make the task that the options describe. `endpoint` replaces Kaggle's server. Raises TaskError."""
    from tasks.new_task import make_task

    request = read_request(options)
    with StepProgress() as progress:
        if options.kaggle:
            made = _from_kaggle(request, options.kaggle, settings, endpoint, progress)
        else:
            made = make_task(request, progress.tell)
    print(f"made {made.folder}")
    print("\n".join(made.findings.lines()))
    print(f"Describe the task in {made.folder}/description.md, then: harness run {made.folder}")
    return errors.DONE


def _from_kaggle(
    request: TaskRequest, name: str, settings: Settings, endpoint: str, progress: StepProgress
) -> CreatedTask:
    from tasks.kaggle import Kaggle
    from tasks.new_task.from_kaggle import make_from_kaggle

    if request.data is not None:
        errors.fail("DATA and --kaggle are both given. Keep one")
    kaggle = Kaggle(endpoint or None, lambda text: progress.tell(text, 0, 0))
    return make_from_kaggle(request, name, settings.home, kaggle, progress.tell)


def read_request(options: argparse.Namespace) -> TaskRequest:
    """The options as a request."""
    from tasks.new_task import TaskRequest

    return TaskRequest(
        options.data,
        tuple(options.target),
        options.into,
        options.id,
        options.metric,
        options.group,
        options.time,
        _types(options.types),
        options.positive,
        tuple(label.strip() for label in options.order.split(",")) if options.order else (),
        options.split_labels,
        options.train,
        options.test,
        options.sample,
    )


def _types(texts: list[str]) -> dict[str, Kind]:
    """`COLUMN=KIND,COLUMN=KIND` as a dictionary. Raises `UsageError`."""
    from tasks.new_task.request import Kind

    kinds: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
    types: dict[str, Kind] = {}
    for text in [part for one in texts for part in one.split(",")]:
        column, _, kind = text.rpartition("=")
        if not column or kind not in kinds:
            errors.fail(f"--types {text} is not COLUMN=KIND. A kind is one of: {', '.join(kinds)}")
        types[column] = kinds[kind]
    return types
