"""Which earlier attempts a move shows whole: siblings to be different from, errors of ancestors, both histories.

All other attempts stay one line in the memory, and `recall` shows them.
"""

from __future__ import annotations

from collections.abc import Iterator

from context.memory import render_entry
from context.tokens import bytes_for
from runs.state import Attempt, State

SCOPE_TOKENS = 2_000
HEADING = "# Attempts that matter for this one"


def render_scope(state: State, attempt: Attempt, shown: str = "", tokens: int = SCOPE_TOKENS) -> str:
    """The whole entries that the move of an open attempt needs, without those that `shown` contains; empty if none.

    The most relevant ones that fit into `tokens` are taken, and shown in their order.
    """
    room = bytes_for(tokens)
    entries: dict[int, str] = {}
    for number in attempts_in_scope(state, attempt):
        entry = render_entry(state, state.attempts[number - 1])
        if f"## Attempt {number}\n" in shown:
            continue
        room -= len(entry.encode())
        if room < 0:
            break
        entries[number] = entry
    return "\n\n".join([HEADING, *(entries[number] for number in sorted(entries))]) if entries else ""


def attempts_in_scope(state: State, attempt: Attempt) -> list[int]:
    """Numbers of ended attempts that the move of an attempt is about, the most relevant first."""
    owners = {e.commit: e.attempt for e in state.evaluations.values()}
    found: list[int] = []
    if attempt.move == "draft":
        found = [one.number for one in reversed(state.attempts) if one.move == "draft"]
    elif attempt.move == "improve":
        parent = attempt.parent or ""
        found = [owners[parent]] if parent in owners else []
        found += [one.number for one in reversed(state.attempts) if one.parent == parent and parent]
        found += _ancestors(state, owners, parent)
    elif attempt.move == "repair":
        found = list(_ancestors(state, owners, attempt.parent))
    else:
        lines = [list(_ancestors(state, owners, parent)) for parent in attempt.parents]
        longest = max(map(len, lines), default=0)
        found = [line[depth] for depth in range(longest) for line in lines if depth < len(line)]
    ended = {one.number for one in state.attempts if one.ended}
    return [number for number in dict.fromkeys(found) if number in ended and number != attempt.number]


def _ancestors(state: State, owners: dict[str, int], commit: str | None) -> Iterator[int]:
    """The attempt that made a commit, and those it descends from, newest first."""
    seen: set[int] = set()
    while (number := owners.get(commit or "")) is not None and number not in seen:
        seen.add(number)
        yield number
        commit = state.attempts[number - 1].parent
