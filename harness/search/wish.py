"""The model's own wish: `finish(continue_from=EVALUATION)` decides the lane's next move where it is legal."""

from __future__ import annotations

from harness.search.moves import Move
from harness.search.policy import Policy
from harness.search.state import OPEN_LIMIT, SearchState


def choose(policy: Policy, state: SearchState, seed: int) -> Move:
    """The model's wish where it is granted, else the policy's choice."""
    return granted(state) or policy.choose(state, seed)


def granted(state: SearchState) -> Move | None:
    """The move that the model's wish gives, if it is a legal one."""
    if not state.wish or refusal(state):
        return None
    base = next(result for result in state.results if result.evaluation == state.wish)
    return Move("improve", (base.commit,), reasons=(f"the model asked to continue from evaluation {state.wish}",))


def refusal(state: SearchState) -> str:
    """Why the model's wish is not granted; empty if it is, or if there is none."""
    if not state.wish:
        return ""
    base = next((result for result in state.results if result.evaluation == state.wish), None)
    if base is None:
        return state.wish_problem or "it has no score that counts"
    since = state.branches[base.branch].since_gain
    if since >= OPEN_LIMIT:
        return f"the last {since} attempts of its branch brought no gain"
    return ""
