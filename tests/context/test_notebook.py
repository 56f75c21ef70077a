"""Checkpoints, decisions and to-dos in the notebook, and the measured rework of an epoch."""

from __future__ import annotations

import json

from context.first_message import render_notes, render_state
from context.notebook import PRIOR_TOKENS, Notebook
from runs.events.registry import (
    AttemptStarted,
    Call,
    CheckpointTaken,
    EpochStarted,
    Event,
    ModelReplied,
    ToolFinished,
    ToolStarted,
)
from runs.state import State


def checkpoint(*todo: str, decided: tuple[str, ...] = (), seq: int = 7) -> CheckpointTaken:
    return CheckpointTaken(
        call="c", turn=1, done=["read the data"], decided=list(decided), todo=list(todo), closes=True, seq=seq
    )


def epoch_closed(stage: str = "checkpoint") -> EpochStarted:
    return EpochStarted(reason="compaction", system="", tools="", user="", stage=stage, stubs=["- event 3 bash"])  # type: ignore[arg-type]


def lookup(name: str, content: str, **arguments: str) -> list[Event]:
    calls = [Call(id="c", name=name, arguments=json.dumps(arguments))]
    return [ModelReplied(request=1, message="{}", calls=calls), ToolFinished(call="c", name=name, content=content)]


def fold_notebook(*events: Event) -> Notebook:
    notebook = Notebook()
    for event in events:
        notebook.apply(event)
    return notebook


def test_decisions_and_checkpoints_are_rendered_verbatim() -> None:
    notebook = fold_notebook(checkpoint("T1: tune depth", decided=("no target means: they leak",)), epoch_closed())
    assert "## Checkpoint 1 (event 7)\n- done: read the data" in render_notes(notebook)
    state = render_state(State(), notebook)
    assert "decisions and rejected ideas:\n- no target means: they leak" in state
    assert "to do:\n- todo-1: tune depth" in state


def test_new_attempt_keeps_only_decisions_and_todos() -> None:
    notebook = fold_notebook(
        checkpoint("T1: tune depth", decided=("no means",)), epoch_closed("mask"), AttemptStarted(attempt=2)
    )
    assert notebook.todos and notebook.decided
    assert render_notes(notebook) == ""


def test_repeated_lookups_after_an_epoch_count_as_rework() -> None:
    notebook = fold_notebook(*lookup("read_file", "rows " * 100, path="a.csv"), epoch_closed("mask"))
    assert notebook.rework.tokens == PRIOR_TOKENS / 2
    for event in [*lookup("recall", "x" * 3_000, query="auc"), *lookup("read_file", "y" * 300, path="a.csv")]:
        notebook.apply(event)
    assert (notebook.reworks[-1].tokens, notebook.reworks[-1].turns) == (1_100, 2)
    for event in [*lookup("read_file", "z" * 300, path="a.csv"), *lookup("read_file", "z" * 300, path="new.csv")]:
        notebook.apply(event)
    assert notebook.reworks[-1].turns == 2, "a second read in one epoch, or a first read ever, is no rework"


def test_printing_a_file_seen_before_counts_as_rework() -> None:
    notebook = fold_notebook(*lookup("write_file", "wrote src/a.py", path="src/a.py"), epoch_closed("mask"))
    for command in ("ls; cat ./src/a.py | head -50", "python src/a.py", "sed -n 1,9p new.py", "echo done"):
        for event in lookup("bash", "exit 0 after 0 s\n" + "x" * 283, command=command):
            notebook.apply(event)
    assert (notebook.reworks[-1].tokens, notebook.reworks[-1].turns) == (100, 1)


def test_resume_keeps_a_pending_close() -> None:
    notebook = fold_notebook(checkpoint("T1: tune depth"))
    notebook.apply(EpochStarted(reason="resume", system="", tools="", user="", keeps_tail=True))
    assert notebook.needs_close
    notebook.apply(epoch_closed())
    assert not notebook.needs_close


def failed_checkpoint(*, is_readable: bool) -> list[Event]:
    """A turn with a failed `checkpoint`: refused, or unreadable (then no `ToolStarted`)."""
    calls = [Call(id="c", name="checkpoint", arguments="{}")]
    started: list[Event] = [ToolStarted(call="c", name="checkpoint")] if is_readable else []
    finished = ToolFinished(call="c", name="checkpoint", content="error: …", failed=True)
    return [ModelReplied(request=1, message="{}", calls=calls), *started, finished]


def test_unreadable_checkpoint_does_not_use_up_the_refusal() -> None:
    notebook = fold_notebook(*failed_checkpoint(is_readable=False))
    assert notebook.refusals == 0 and notebook.refused_turn == notebook.turn, "the model may send it again"
    for event in failed_checkpoint(is_readable=True):
        notebook.apply(event)
    assert notebook.refusals == 1 and notebook.refused_turn == notebook.turn
    for event in failed_checkpoint(is_readable=True):
        notebook.apply(event)
    assert notebook.refused_turn == -1, "the second one gets no further turn"


def test_second_unreadable_checkpoint_gets_no_further_turn() -> None:
    notebook = fold_notebook(*failed_checkpoint(is_readable=False), *failed_checkpoint(is_readable=False))
    assert notebook.refusals == 0 and notebook.refused_turn == -1
