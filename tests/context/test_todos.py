"""A to-do stays open, however the model phrases its checkpoints, until `done` names its id."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from context.notebook import Notebook
from runs.events.registry import AttemptEnded, CheckpointTaken


def take_checkpoint(notebook: Notebook, *todo: str, done: tuple[str, ...] = ()) -> dict[str, str]:
    """Apply one checkpoint; returns the open to-dos."""
    kept = notebook.merge_todos(list(done), list(todo))
    notebook.apply(CheckpointTaken(call="c", turn=1, done=list(done), todo=kept))
    return dict(notebook.todos)


def notebook_with(*todo: str) -> Notebook:
    notebook = Notebook()
    take_checkpoint(notebook, *todo)
    return notebook


def test_remark_is_appended_to_an_open_todo() -> None:
    notebook = notebook_with("look at the folds", "tune depth")
    assert take_checkpoint(notebook, "todo-1 still open", "todo-2: by Optuna") == {
        "todo-1": "look at the folds; still open",
        "todo-2": "tune depth; by Optuna",
    }
    assert take_checkpoint(notebook, "todo-1", "todo-1: still open", "todo-2: tune depth; by Optuna, 50 trials") == {
        "todo-1": "look at the folds; still open",
        "todo-2": "tune depth; by Optuna, 50 trials",
    }


def test_remark_with_several_ids_applies_to_each() -> None:
    for words in (
        "todo-1, todo-2: open",
        "**todo-1** and `todo-2` - open",
        "- todo-1/todo-2 open",
        "[Todo-1] TODO-2: open",
    ):
        assert take_checkpoint(notebook_with("look at the folds", "tune depth"), words) == {
            "todo-1": "look at the folds; open",
            "todo-2": "tune depth; open",
        }, words


def test_only_an_id_closes_a_todo() -> None:
    notebook = notebook_with("a", "b", "c", "train a T5", "book a T4 GPU")
    done = ("trained the T5 model on a T4 GPU", "wrote todo-4.md and todo-5-old", "cleared 5 to-dos")
    assert list(take_checkpoint(notebook, done=done)) == ["todo-1", "todo-2", "todo-3", "todo-4", "todo-5"]
    assert list(take_checkpoint(notebook, done=("trained it (todo-4).", "todo-1, todo-3: dropped"))) == [
        "todo-2",
        "todo-5",
    ]


def test_todo_stays_open_if_todo_names_it_too() -> None:
    notebook = notebook_with("look at the folds", "tune depth")
    remaining = take_checkpoint(notebook, "blend after todo-1", "todo-2: the other half", done=("todo-2: half of it",))
    assert remaining == {
        "todo-1": "look at the folds",
        "todo-2": "tune depth; the other half",
        "todo-3": "blend after todo-1",
    }


def test_done_or_drop_after_its_id_in_todo_closes_a_todo() -> None:
    for words in ("todo-1: done", "todo-1 dropped, since it leaks", "`todo-1`: drop (no gain)", "todo-1 - is done."):
        assert take_checkpoint(notebook_with("look at the folds", "tune depth"), words) == {"todo-2": "tune depth"}
    assert take_checkpoint(notebook_with("a"), "todo-1: done with fold 1, the others are open") == {
        "todo-1": "a; done with fold 1, the others are open"
    }


def test_ids_are_never_reused() -> None:
    notebook = notebook_with("look at the folds", "tune depth")
    assert take_checkpoint(notebook, done=("todo-2",)) == {"todo-1": "look at the folds"}
    assert take_checkpoint(notebook, "blend", "todo-9: no such") == {
        "todo-1": "look at the folds",
        "todo-3": "blend",
        "todo-4": "todo-9: no such",
    }


def test_finish_closes_the_todos_that_it_calls_done_or_dropped() -> None:
    notebook = notebook_with("look at the folds", "tune depth", "blend", "train a T5")
    did = "Tuned it, so todo-2: done. Dropped nothing of todo-1; todo-3 is still open, `todo-4`: drop, too slow."
    notebook.apply(AttemptEnded(why="finish", did=did))
    assert notebook.todos == {"todo-1": "look at the folds", "todo-3": "blend"}


def test_unmentioned_todos_are_reported() -> None:
    notebook = notebook_with("look at the folds", "tune depth")
    assert notebook.unmentioned_todos(["todo-1 is done: five folds", "T2 is a card"]) == ["todo-2: tune depth"]


def test_old_journal_ids_are_read() -> None:
    notebook = Notebook()
    notebook.apply(CheckpointTaken(call="c", turn=1, todo=["T1: look at folds", "T4: cost: least"]))
    assert notebook.todos == {"todo-1": "look at folds", "todo-4": "cost: least"}
    assert list(take_checkpoint(notebook, "blend")) == ["todo-1", "todo-4", "todo-5"]


PIECES = ("todo-1", "todo-2,", "Todo-3:", "todo-4.", "(todo-5)", "todo-11", "todo-1-2", "todo-2.md", "T1", "T4 GPU")
FILLERS = ("still open", "and", "to", "done", ":", "- ", "\n", "", "blend", "lr: 0.1")
WORDS = st.lists(st.sampled_from((*PIECES, *FILLERS)) | st.text(max_size=6), max_size=6).map(" ".join)
CHECKPOINTS = st.lists(st.tuples(st.lists(WORDS, max_size=3), st.lists(WORDS, max_size=4)), max_size=6)


@given(CHECKPOINTS)
def test_no_todo_vanishes_unless_its_id_is_closed(checkpoints: list[tuple[list[str], list[str]]]) -> None:
    notebook = notebook_with("look at the folds", "tune depth", "blend", "train a T5")
    for done, todo in checkpoints:
        before = dict(notebook.todos)
        remaining = take_checkpoint(notebook, *todo, done=tuple(done))
        for name, text in before.items():
            is_named = any(re.search(rf"(?i)\b{name}\b", item) for item in done)
            is_named |= any(re.search(rf"(?is)\b{name}\b.*done", item) for item in todo)
            assert is_named or remaining[name].startswith(text)
            assert name not in remaining or remaining[name].startswith(text)
