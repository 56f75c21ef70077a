"""Choose the move of a lane's next attempt: decide, record the decision with its reasons, describe it to the model."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import cast

from harness import budget
from harness.run import Lane, Run
from harness.search import wish
from harness.search.brief import compared_now, parent_folders, render_brief
from harness.search.compare import compare_branches
from harness.search.from_run import search_state
from harness.search.greedy import Greedy
from harness.search.load import load_policy
from harness.search.moves import Kind, Move
from harness.search.policy import Policy
from harness.search.state import SearchState
from runs.control_state import BY_PERSON
from runs.events.registry import AttemptStarted, MoveChosen, Warned
from runs.state import Attempt, Evaluation, State

SEED_STEP = 1_000_003


def start_attempt(lane: Lane) -> bool:
    """Choose the move of a lane's next attempt unless that was done before, and start the attempt.

    Returns False if the budget allows no further attempt.
    """
    run = lane.run
    compare_branches(run)
    with run.deciding:  # not `lock`: a user's own policy may take long, and the other lanes go on meanwhile
        if budget.no_attempt_reason(run.state, run.active_seconds()):
            return False
        chosen = lane.state.chosen_move or _decide(run, lane.number)
        with run.lock:
            if budget.no_attempt_reason(run.state, run.active_seconds()):
                return False
            if lane.state.chosen_move is None:
                start = run.state.control.start_from
                run.record(_by_person(chosen, run.state.evaluations[start]) if start else chosen)
            _start(lane)
    return True


def _start(lane: Lane) -> None:
    """Start the attempt whose move is on record."""
    run, chosen = lane.run, lane.state.chosen_move
    assert chosen is not None
    compared = compared_now(run, _move_of(chosen))
    started = AttemptStarted(
        move=chosen.move,
        parents=chosen.parents,
        brief=render_brief(run, _move_of(chosen), chosen.wish, chosen.refusal, compared),
        compared=compared,
        attempt=len(run.state.attempts) + 1,
    )
    lane.record(started)


def set_up_workspace(lane: Lane, attempt: Attempt) -> None:
    """Make a lane's workspace the first parent of its attempt, with the files of the others in `parents/`."""
    workspace, versions = lane.sandbox.paths.workspace, lane.run.versions
    versions.reset(workspace, attempt.parent)
    for name, commit in parent_folders(lane.run.state, attempt.parents).items():
        (workspace / name).parent.mkdir(exist_ok=True)
        versions.checkout(commit, workspace / name)


def _move_of(chosen: MoveChosen) -> Move:
    return Move(cast("Kind", chosen.move), tuple(chosen.parents), chosen.focus)


def _decide(run: Run, lane: int) -> MoveChosen:
    with run.lock:
        seen, lanes, active = run.state.events - 1, run.lane_limit, round(run.active_seconds(), 3)
        number = len(run.state.attempts) + 1
        state = search_state(run.state, active, lane, lanes)
    seed, name = seed_of(run.settings.seed, number), run.settings.search
    try:
        move, decided_by = decide(_policy(name, run.folder), state, seed), name
        if problem := problem_of(move, run.state):
            raise ValueError(problem)
    except Exception as error:  # whatever a user's own policy may raise
        run.record(Warned(message=f"search policy {name} failed ({type(error).__name__}: {error}): greedy decides"))
        move, decided_by = Greedy().choose(state, seed), "greedy"
    is_wish = bool(state.wish) and not wish.refusal(state)
    return MoveChosen(
        next=number,
        move=move.kind,
        parents=list(move.parents),
        focus=move.focus,
        reasons=list(move.reasons),
        policy="model" if is_wish and decided_by == name else decided_by,
        seed=seed,
        seen=seen,
        digest=state.digest(),
        active_seconds=active,
        lanes=lanes,
        lane=lane,
        wish=state.wish,
        refusal=wish.refusal(state),
    )


def _by_person(chosen: MoveChosen, base: Evaluation) -> MoveChosen:
    """The move that a person asked for: go on from an evaluation, whatever its branch and whatever else was chosen."""
    kind = "improve" if base.status in ("scored", "unscored", "sampled") else "repair"
    reasons = [f"a person asked to start from evaluation {base.id}"]
    about = {"policy": BY_PERSON, "focus": "", "wish": "", "refusal": ""}
    return chosen.model_copy(update={"move": kind, "parents": [base.commit], "reasons": reasons, **about})


def decide(policy: Policy, state: SearchState, seed: int) -> Move:
    """The move that follows from a state: the model's wish where it is granted, else the policy's."""
    return wish.choose(policy, state, seed)


def seed_of(run_seed: int, attempt: int) -> int:
    """The seed of the decision on an attempt."""
    return run_seed * SEED_STEP + attempt


def problem_of(move: Move, state: State) -> str:
    """What is wrong with a move; empty if nothing is."""
    if not isinstance(move, Move):
        return f"it returned {type(move).__name__}, no Move"
    if problem := move.problem():
        return problem
    known = {evaluation.commit for evaluation in state.evaluations.values() if evaluation.finished}
    unknown = [commit for commit in move.parents if commit not in known]
    return f"there is no commit {unknown[0]}" if unknown else ""


@cache
def _policy(name: str, folder: Path) -> Policy:
    return load_policy(name, folder)
