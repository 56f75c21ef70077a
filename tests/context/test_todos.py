"""What a user left open stays open, however the model writes of it, until its id is named in `done`."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from context.notebook import Notebook
from runs.events.registry import CheckpointTaken


def said(notebook: Notebook, *todo: str, done: tuple[str, ...] = ()) -> dict[str, str]:
    """One checkpoint as the harness takes it; what is open after it."""
    kept = notebook.merge_todos(list(done), list(todo))
    notebook.apply(CheckpointTaken(call="c", turn=1, done=list(done), todo=kept))
    return dict(notebook.todos)


def opened(*todo: str) -> Notebook:
    notebook = Notebook()
    said(notebook, *todo)
    return notebook


def test_saying_that_a_todo_is_still_open_keeps_what_it_was_about() -> None:
    notebook = opened("look at the folds", "tune depth")
    assert said(notebook, "todo-1 still open", "todo-2: by Optuna") == {
        "todo-1": "look at the folds; still open",
        "todo-2": "tune depth; by Optuna",
    }
    assert said(notebook, "todo-1", "todo-1: still open", "todo-2: tune depth; by Optuna, 50 trials") == {
        "todo-1": "look at the folds; still open",
        "todo-2": "tune depth; by Optuna, 50 trials",
    }


def test_a_list_of_ids_speaks_of_each_of_them() -> None:
    for words in (
        "todo-1, todo-2: open",
        "**todo-1** and `todo-2` - open",
        "- todo-1/todo-2 open",
        "[Todo-1] TODO-2: open",
    ):
        assert said(opened("look at the folds", "tune depth"), words) == {
            "todo-1": "look at the folds; open",
            "todo-2": "tune depth; open",
        }, words


def test_only_an_id_closes_not_the_name_of_a_card_or_a_model() -> None:
    notebook = opened("a", "b", "c", "train a T5", "book a T4 GPU")
    done = ("trained the T5 model on a T4 GPU", "wrote todo-4.md and todo-5-old", "cleared 5 to-dos")
    assert list(said(notebook, done=done)) == ["todo-1", "todo-2", "todo-3", "todo-4", "todo-5"]
    assert list(said(notebook, done=("trained it (todo-4).", "todo-1, todo-3: dropped"))) == ["todo-2", "todo-5"]


def test_a_todo_that_others_only_mention_stays_and_one_said_to_be_half_done_too() -> None:
    notebook = opened("look at the folds", "tune depth")
    after = said(notebook, "blend after todo-1", "todo-2: the other half", done=("todo-2: half of it",))
    assert after == {
        "todo-1": "look at the folds",
        "todo-2": "tune depth; the other half",
        "todo-3": "blend after todo-1",
    }


def test_an_id_is_never_given_twice() -> None:
    notebook = opened("look at the folds", "tune depth")
    assert said(notebook, done=("todo-2",)) == {"todo-1": "look at the folds"}
    assert said(notebook, "blend", "todo-9: no such") == {
        "todo-1": "look at the folds",
        "todo-3": "blend",
        "todo-4": "todo-9: no such",
    }


def test_a_todo_that_is_mentioned_nowhere_is_forgotten() -> None:
    notebook = opened("look at the folds", "tune depth")
    assert notebook.unmentioned_todos(["todo-1 is done: five folds", "T2 is a card"]) == ["todo-2: tune depth"]


def test_an_old_record_is_read_as_ever() -> None:
    notebook = Notebook()
    notebook.apply(CheckpointTaken(call="c", turn=1, todo=["T1: look at folds", "T4: cost: least"]))
    assert notebook.todos == {"todo-1": "look at folds", "todo-4": "cost: least"}
    assert list(said(notebook, "blend")) == ["todo-1", "todo-4", "todo-5"]


PIECES = ("todo-1", "todo-2,", "Todo-3:", "todo-4.", "(todo-5)", "todo-11", "todo-1-2", "todo-2.md", "T1", "T4 GPU")
FILLERS = ("still open", "and", "to", "done", ":", "- ", "\n", "", "blend", "lr: 0.1")
WORDS = st.lists(st.sampled_from((*PIECES, *FILLERS)) | st.text(max_size=6), max_size=6).map(" ".join)
TOLD = st.lists(st.tuples(st.lists(WORDS, max_size=3), st.lists(WORDS, max_size=4)), max_size=6)


@given(TOLD)
def test_no_open_todo_ever_vanishes_unless_its_id_is_named_in_done(told: list[tuple[list[str], list[str]]]) -> None:
    notebook = opened("look at the folds", "tune depth", "blend", "train a T5")
    for done, todo in told:
        before = dict(notebook.todos)
        after = said(notebook, *todo, done=tuple(done))
        for name, text in before.items():
            is_named = any(re.search(rf"(?i)\b{name}\b", one) for one in done)
            assert is_named or after[name].startswith(text)
            assert name not in after or after[name].startswith(text)
