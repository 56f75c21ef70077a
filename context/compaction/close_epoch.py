"""Closing an epoch: what leaves the window, and what stands for it, so that no fact goes with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from context.compaction import facts
from context.compaction.stubs import stubs_of
from context.first_message import render_notes
from context.notebook import Notebook
from context.window import Group, Window

__all__ = ["Closing", "plan"]


@dataclass(frozen=True)
class Closing:
    """What the next epoch begins with: `kept` messages of the tail, and a notebook with the lines that stand for the
    others. `lost` are facts of the leaving turns that only `recall` will find."""

    kept: int
    notebook: Notebook
    facts: int
    lost: tuple[str, ...]


def plan(
    window: Window,
    notebook: Notebook,
    kept: Sequence[Group],
    *,
    stage: str,
    rejected: Sequence[str] = (),
) -> Closing:
    """How the epoch closes by `stage` when only `kept` stays; after a checkpoint words stand for it, not stubs.

    The facts of what leaves are looked for in the new head; those it does not hold are carried on word for word.
    """
    start = kept[0].start if kept else len(window.messages)
    leaving = [group for group in window.groups() if group.start < start]
    stubs = [] if stage == "checkpoint" else [*notebook.stubs, *stubs_of(window, leaving)]
    found = facts.facts_of(window.messages[1:start])
    following = replace(
        notebook,
        stubs=stubs,
        facts=facts.keep(notebook.facts, found),
        decided=[*notebook.decided, *rejected],
        closes=stage,
    )
    lost = facts.missing(found, render_notes(following))
    return Closing(len(window.messages) - start, following, len(found), tuple(lost))
