"""To-dos carry ids, words stay as they were said, and forgetting has a measured price."""

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


def taken(*todo: str, decided: tuple[str, ...] = (), seq: int = 7) -> CheckpointTaken:
    return CheckpointTaken(
        call="c", turn=1, done=["read the data"], decided=list(decided), todo=list(todo), closes=True, seq=seq
    )


def closed(stage: str = "checkpoint") -> EpochStarted:
    return EpochStarted(reason="compaction", system="", tools="", user="", stage=stage, stubs=["- event 3 bash"])  # type: ignore[arg-type]


def looked(name: str, content: str, **arguments: str) -> list[Event]:
    calls = [Call(id="c", name=name, arguments=json.dumps(arguments))]
    return [ModelReplied(request=1, message="{}", calls=calls), ToolFinished(call="c", name=name, content=content)]


def folded(*events: Event) -> Notebook:
    notebook = Notebook()
    for event in events:
        notebook.apply(event)
    return notebook


def test_decisions_and_words_are_told_as_they_were_said() -> None:
    notebook = folded(taken("T1: tune depth", decided=("no target means: they leak",)), closed())
    assert "## Checkpoint 1 (event 7)\n- done: read the data" in render_notes(notebook)
    state = render_state(State(), notebook)
    assert "decided, with reasons (rejected ideas too):\n- no target means: they leak" in state
    assert "to do:\n- todo-1: tune depth" in state


def test_a_new_attempt_keeps_decisions_and_todos_and_nothing_of_the_old_window() -> None:
    notebook = folded(taken("T1: tune depth", decided=("no means",)), closed("stub"), AttemptStarted(attempt=2))
    assert notebook.todos and notebook.decided
    assert render_notes(notebook) == ""


def test_what_is_looked_up_again_after_an_epoch_is_its_price() -> None:
    notebook = folded(*looked("read_file", "rows " * 100, path="a.csv"), closed("stub"))
    assert notebook.rework.tokens == PRIOR_TOKENS / 2
    for event in [*looked("recall", "x" * 3_000, query="auc"), *looked("read_file", "y" * 300, path="a.csv")]:
        notebook.apply(event)
    assert (notebook.reworks[-1].tokens, notebook.reworks[-1].turns) == (1_100, 2)
    for event in [*looked("read_file", "z" * 300, path="a.csv"), *looked("read_file", "z" * 300, path="new.csv")]:
        notebook.apply(event)
    assert notebook.reworks[-1].turns == 2, "a file read twice in one epoch, or never before, is no rework"


def test_a_resume_changes_nothing_that_was_noted() -> None:
    notebook = folded(taken("T1: tune depth"))
    notebook.apply(EpochStarted(reason="resume", system="", tools="", user="", keeps_tail=True))
    assert notebook.needs_close
    notebook.apply(closed())
    assert not notebook.needs_close


def said(*, is_read: bool) -> list[Event]:
    """A turn whose `checkpoint` came to nothing."""
    calls = [Call(id="c", name="checkpoint", arguments="{}")]
    begun: list[Event] = [ToolStarted(call="c", name="checkpoint")] if is_read else []
    finished = ToolFinished(call="c", name="checkpoint", content="error: …", failed=True)
    return [ModelReplied(request=1, message="{}", calls=calls), *begun, finished]


def test_a_checkpoint_that_cannot_be_read_does_not_use_up_the_one_refusal() -> None:
    notebook = folded(*said(is_read=False))
    assert notebook.refusals == 0 and notebook.refused_turn == notebook.turn, "it may be said again"
    for event in said(is_read=True):
        notebook.apply(event)
    assert notebook.refusals == 1 and notebook.refused_turn == notebook.turn
    for event in said(is_read=True):
        notebook.apply(event)
    assert notebook.refused_turn == -1, "the second time code completes it"


def test_checkpoints_that_can_never_be_read_do_not_keep_a_window_open_for_ever() -> None:
    notebook = folded(*said(is_read=False), *said(is_read=False))
    assert notebook.refusals == 0 and notebook.refused_turn == -1
