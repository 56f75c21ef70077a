"""`tree`: keep several branches, work on the best open ones, combine what they found.

The rules and their constants were compared in simulation; `tests/benchmarks/search.py` repeats that with this class.
Verdicts count gains and close branches; scores choose parents, because gains within the noise are often real.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.search.moves import Move
from harness.search.state import OPEN_LIMIT, Branch, Result, SearchState, Trial

DONOR_SHARE = 0.75
"""Share of draws in which a branch must beat its own draft before its ideas are worth taking over."""
ENSEMBLE_MEMBERS = 4
ENSEMBLE_MARGIN = 2.0
"""How many times the summed time of its members an ensemble attempt is expected to take."""


@dataclass(frozen=True)
class Tree:
    """The default policy.

    `drafts`: branches begun before anything else. `width`: how many of the best open branches are worked on. `close`:
    attempts without a gain that close a branch. `quiet`: attempts of the run without a new best before a combination.
    Shares of the run: from `combine_from` on branches are combined, until `draft_until` new ones are begun when all are
    closed, at most `most_branches`, and the `last` share improves the best. With at most `short_run` attempts expected
    it works on the best branch only.
    """

    drafts: int = 3
    width: int = 2
    close: int = OPEN_LIMIT
    quiet: int = 8
    combine_from: float = 0.3
    draft_until: float = 0.7
    last: float = 0.15
    most_branches: int = 8
    short_run: float = 25.0

    def choose(self, state: SearchState, seed: int) -> Move:
        """See `Policy.choose`."""
        generator = random.Random(seed)
        best = state.best
        move = self._draft_first(state) or self._repair(state)
        if move is not None:
            return move
        if best is None or not state.is_scored:
            return _improve_latest(best)
        return (
            self._ensemble(state)
            or self._combine(state, best, generator)
            or self._finish_best(state, best)
            or self._open_branch(state, best, generator)
        )

    def _draft_first(self, state: SearchState) -> Move | None:
        wanted = self.drafts if state.is_scored else 1
        if 0 < state.expected < 3 * wanted:  # a very short run has no time for branches
            wanted = 1
        begun = sum(trial.kind == "draft" for trial in state.trials)
        if begun >= wanted:
            return None
        beside = [trial for trial in state.open if trial.kind == "draft"]
        return Move(
            "draft", focus=_beside(beside, "approaches"), reasons=(f"{begun} of the first {wanted} drafts are begun",)
        )

    def _repair(self, state: SearchState) -> Move | None:
        """One of the last 3 failures, once each; a repair that failed is not repaired again."""
        tried = {parent for trial in state.trials if trial.kind == "repair" for parent in trial.parents}
        failures = [trial for trial in state.ended if not trial.results]
        for trial in reversed(failures[-3:]):
            if trial.failed_commit and trial.failed_commit not in tried and trial.kind != "repair":
                why = f"attempt {trial.number} failed and was not repaired yet"
                return Move("repair", (trial.failed_commit,), reasons=(why,))
        return None

    def _ensemble(self, state: SearchState) -> Move | None:
        """One attempt that blends the tops of branches, when the last share of the run begins and it fits."""
        if state.gone < 1 - self.last or any(trial.kind == "ensemble" for trial in state.trials):
            return None
        members = _fitting(_ranked(state.branches.values()), state.seconds_left / ENSEMBLE_MARGIN)
        if len(members) < 2:
            return None
        names = ", ".join(result.evaluation for result in members)
        why = f"the last {self.last:.0%} of the run begin; the tops of {len(members)} branches are {names}"
        return Move("ensemble", tuple(result.commit for result in members), reasons=(why,))

    def _combine(self, state: SearchState, best: Result, generator: random.Random) -> Move | None:
        quiet = self._quiet_attempts(state)
        all_closed = not self._open(state)
        if state.gone <= self.combine_from or not (quiet >= self.quiet or all_closed):
            return None
        if any(trial.kind == "combine" for trial in state.open):
            return None
        donors = _donors(state, best)
        if not donors:
            return None
        donor = _draw(donors, [1 / (rank + 1) for rank in range(len(donors))], generator)
        why = f"{quiet} attempts without a new best" if quiet >= self.quiet else "all branches are closed"
        return Move(
            "combine",
            (best.commit, donor.commit),
            reasons=(why, f"branch {donor.branch} beats its draft in {donor.draft_share:.0%} of bootstrap draws"),
        )

    def _quiet_attempts(self, state: SearchState) -> int:
        """Attempts that ended since the last promotion; a combination sets the count back to half of `quiet`."""
        count = 0
        for trial, is_end in state.timeline():
            if is_end:
                count = 0 if any(result.is_promoted for result in trial.results) else count + 1
            elif trial.kind == "combine":
                count = min(count, self.quiet // 2)
        return count

    def _finish_best(self, state: SearchState, best: Result) -> Move | None:
        if state.gone < 1 - self.last:
            return None
        focus = f"The last {self.last:.0%} of the run has begun: make a change that is likely to help and ends in time."
        why = f"the last {self.last:.0%} of the run go to the best score"
        return _improve(state, best, focus, (why,))

    def _open_branch(self, state: SearchState, best: Result, generator: random.Random) -> Move:
        able = self._open(state)
        if not able:
            has_room = state.gone < self.draft_until and len(state.branches) < self.most_branches
            if has_room and not any(trial.kind == "draft" for trial in state.open):
                why = f"every branch had {self.close} attempts without a gain"
                focus = f"Every approach so far had {self.close} attempts without a gain: begin one of another kind."
                return Move("draft", focus=focus, reasons=(why,))
            able = list(state.branches.values())
        few = _ranked(able)[: 1 if self._is_short(state) else self.width]
        weights = [1 / (rank + 1) ** 2 / (1 + _lanes_on(state, top.branch)) ** 2 for rank, top in enumerate(few)]
        parent = _draw(few, weights, generator)
        branch = state.branches[parent.branch]
        why = f"branch {branch.id} is one of the best {len(few)} of {len(able)} open branches"
        since = f"{self._since(state, branch)} attempts in it without a gain"
        return _improve(state, parent, "", (why, since))

    def _open(self, state: SearchState) -> list[Branch]:
        return [branch for branch in state.branches.values() if self._since(state, branch) < self.close]

    def _since(self, state: SearchState, branch: Branch) -> int:
        return branch.since_best if self._is_short(state) else branch.since_gain

    def _is_short(self, state: SearchState) -> bool:
        return 0 < state.expected <= self.short_run


def _improve(state: SearchState, parent: Result, focus: str, reasons: tuple[str, ...]) -> Move:
    beside = [trial for trial in state.open if trial.kind == "improve" and trial.parents == (parent.commit,)]
    return Move("improve", (parent.commit,), " ".join(filter(None, [focus, _beside(beside, "changes")])), reasons)


def _beside(trials: Sequence[Trial], what: str) -> str:
    """What to do where open attempts do the same from the same start: all of them would begin with the same idea."""
    if not trials:
        return ""
    numbers, count = ", ".join(str(trial.number) for trial in trials), len(trials) + 1
    return (
        f"In progress beside this one, from the same start: attempt {numbers}. So that they differ, rank the {count} "
        f"most promising {what} of different kinds and take number {count}."
    )


def _improve_latest(best: Result | None) -> Move:
    if best is None:
        return Move("draft", reasons=("there is no result yet",))
    return Move("improve", (best.commit,), reasons=("without scores, the latest valid result counts",))


def _ranked(branches: Iterable[Branch]) -> list[Result]:
    """The tops of branches, best first."""
    return sorted((branch.top for branch in branches), key=lambda top: -top.value)


def _fitting(members: list[Result], seconds: float) -> list[Result]:
    """The best members whose evaluations fit into the time together."""
    kept: list[Result] = []
    for member in members[:ENSEMBLE_MEMBERS]:
        if sum(one.seconds for one in kept) + member.seconds <= seconds:
            kept.append(member)
    return kept


def _donors(state: SearchState, best: Result) -> list[Result]:
    """Tops of other branches that gained over their own draft, best first; no pair twice."""
    pairs = {trial.parents[:2] for trial in state.trials if trial.kind == "combine"}
    tops = [top for top in _ranked(state.branches.values()) if top.branch != best.branch]
    return [top for top in tops if top.draft_share >= DONOR_SHARE and (best.commit, top.commit) not in pairs]


def _lanes_on(state: SearchState, branch: int) -> int:
    return sum(trial.branch == branch for trial in state.open)


def _draw(items: Sequence[Result], weights: Sequence[float], generator: random.Random) -> Result:
    return generator.choices(items, weights)[0]
