"""`greedy`: every attempt improves the best result so far, as promoted by the verdict."""

from __future__ import annotations

from dataclasses import dataclass

from harness.search.moves import Move
from harness.search.state import SearchState


@dataclass(frozen=True)
class Greedy:
    """One draft, then improvements of the best. `by_score`: the best score counts, even if it is within the noise."""

    by_score: bool = False

    def choose(self, state: SearchState, seed: int) -> Move:
        """See `Policy.choose`."""
        best = state.best if self.by_score else state.promoted or state.best
        if best is None:
            return Move("draft", reasons=("there is no result yet",))
        how = "the best score" if self.by_score else "the run's best"
        return Move("improve", (best.commit,), reasons=(f"evaluation {best.evaluation} is {how}",))
