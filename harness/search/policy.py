"""What a search policy is. `tree.py` is the default one, `greedy.py` the simplest; `load.py` finds a user's own."""

from __future__ import annotations

from typing import Protocol

from harness.search.moves import Move
from harness.search.state import SearchState


class Policy(Protocol):
    """Chooses the move of each attempt."""

    def choose(self, state: SearchState, seed: int) -> Move:
        """The next move of the lane `state.lane`: a pure function, so that a resumed run decides the same.

        Draw random numbers from `random.Random(seed)` only; the seed differs from attempt to attempt. What it raises,
        and a move with a commit that does not exist, is reported, and `greedy` decides instead.
        """
