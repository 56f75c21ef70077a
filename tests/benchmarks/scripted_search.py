"""A scripted engineer on a simulated task, played under one of the product's search policies.

Each attempt changes one thing: an idea that works or not, settings, a combination. Scores carry noise that follows the
code: a child errs on the same rows as its parent. The policy sees only `SearchState`, as in a run.
"""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass, field

import numpy as np

from harness.search.moves import Move
from harness.search.policy import Policy
from harness.search.state import Result, SearchState, Trial
from harness.search.wish import choose
from tasks.metrics.bootstrap import REAL_SHARE, REPEAT_SHARE
from tests.benchmarks.landscapes import FAMILIES, Landscape

ROWS = 64
"""Rows that stand for the held-out set; as many stand for rows that the final choice uses."""
SETTINGS, DUD, RIGHT, CRASH, SWITCH, TAKEN, LESSON = 0.20, 0.20, 0.65, 0.13, 0.05, 0.3, 0.3
"""Shares of improvements: settings only, no gain, implemented right, failed, own change of approach, known ideas taken
along; and how likely an idea that worked elsewhere comes to mind."""
FINALISTS = 5


@dataclass(frozen=True)
class Game:
    """One run: its length in mean attempts, the noise of a score, the number of lanes, how much slower each is, and the
    share of attempts after which the engineer wishes to continue from its own result."""

    budget: float = 40.0
    sigma: float = 0.08
    lanes: int = 1
    slowdown: float = 1.0
    wishes: float = 0.0


@dataclass
class Code:
    """One version of the solution."""

    number: int
    kind: str
    parents: tuple[Code, ...] = ()
    family: int = 0
    has: frozenset[int] = frozenset()
    blended: frozenset[int] = frozenset()
    extra: float = 0.0
    tuned: int = 0
    idea: int | None = None
    branch: int = 0
    true: float = 0.0
    score: float = 0.0
    fresh: float = 0.0
    noise: np.ndarray = field(default_factory=lambda: np.zeros(ROWS))
    other_noise: np.ndarray = field(default_factory=lambda: np.zeros(ROWS))

    @property
    def name(self) -> str:
        return f"c{self.number}"


class Engineer:
    """Makes a new version for each move, and remembers which ideas it tried."""

    def __init__(self, task: Landscape, seed: int) -> None:
        self.task, self.random, self.normal = task, random.Random(seed), np.random.default_rng([seed, 7])
        self.tried: dict[tuple[int, int], str] = {}
        self.works: set[int] = set()
        self.families: set[int] = set()
        self.open: list[Code] = []
        self.count = 0

    def work(self, move: Move, parents: tuple[Code, ...]) -> tuple[Code, float, bool]:
        """The version that a move gives, the time it takes, and whether it fails."""
        code = Code(self.count, move.kind, parents)
        self.count += 1
        crash = CRASH
        if move.kind == "draft":
            self._draft(code, set())
            cost, crash = 1.3, 1.5 * CRASH
        elif move.kind == "improve":
            cost, crash = self._improve(code, parents[0])
        elif move.kind == "repair":
            cost, crash = self._repair(code, parents[0])
        else:
            cost, crash = self._combine(code, parents), 1.5 * CRASH
        is_root = code.kind in ("draft", "switch") or not code.parents
        code.branch = code.number if is_root else code.parents[0].branch
        if move.kind == "repair":
            code.branch = parents[0].branch
        code.true = self.task.base[code.family] + self.task.value(code.family, code.has) + code.extra
        took = cost * math.exp(self.random.gauss(-0.15, 0.55))
        return code, took, self.random.random() < crash

    def _draft(self, code: Code, avoided: set[int]) -> None:
        seen = self.families | {one.family for one in self.open} | avoided
        weights = self.task.prior
        if self.random.random() < 0.8 and len(seen) < FAMILIES:
            weights = [0.0 if family in seen else prior for family, prior in enumerate(weights)]
        code.family = self.choose_family(weights)
        ideas = [i for i in self.task.own[code.family] if self.task.need[i] < 0 and self.task.joint[i] == 0]
        ideas.sort(key=lambda idea: -self.task.seen[idea])
        code.has = frozenset(idea for idea in ideas[:2] if self.random.random() < 0.5 * RIGHT)
        code.extra = self.random.gauss(0, 0.02)
        code.noise, code.other_noise = self.normal.normal(size=(2, ROWS))

    def choose_family(self, weights: list[float]) -> int:
        return self.random.choices(range(FAMILIES), weights)[0]

    def _inherit(self, code: Code, parent: Code) -> None:
        code.family, code.has, code.blended = parent.family, parent.has, parent.blended
        code.extra, code.tuned = parent.extra, parent.tuned

    def _improve(self, code: Code, parent: Code) -> tuple[float, float]:
        if self.random.random() < SWITCH:
            self._draft(code, {parent.family})
            code.kind = "switch"
            return 1.2, 1.5 * CRASH
        self._inherit(code, parent)
        drawn = self.random.random()
        idea = self._next_idea(parent) if drawn > SETTINGS + DUD else None
        if idea is not None:
            if self.random.random() < RIGHT:
                code.has = parent.has | {idea}
            code.has |= self._known(parent)
            code.idea = idea
            self._add_noise(code, parent, 0.9)
            return 1.0, CRASH
        if drawn < SETTINGS or (drawn > SETTINGS + DUD and self.random.random() < 0.5):
            code.extra += self.random.gauss(0.004, 0.006) * 0.7**parent.tuned
            code.tuned += 1
            self._add_noise(code, parent, 0.97)
            return 0.7, 0.4 * CRASH
        code.extra -= abs(self.random.gauss(0, 0.05))
        self._add_noise(code, parent, 0.9)
        return 1.0, CRASH

    def _next_idea(self, parent: Code) -> int | None:
        task, family = self.task, parent.family
        flying = {(one.family, idea) for one in self.open for idea in one.has - _first(one).has}
        ideas, weights = [], []
        for idea in task.own[family] + [one for one in task.movers if task.home[one] != family]:
            if idea in parent.has:
                continue
            weight = task.seen[idea]
            if task.home[idea] != family:
                weight *= LESSON if idea in self.works else 0.03
            if task.need[idea] >= 0 and task.home[idea] == family and task.need[idea] not in parent.has:
                weight *= 0.3
            weight *= {"": 1.0, "ok": 2.0, "no": 0.2, "crash": 0.7}[self.tried.get((family, idea), "")]
            ideas.append(idea)
            weights.append(weight * (0.1 if (family, idea) in flying else 1.0))
        if not ideas or sum(weights) < 0.25:
            return None
        return self.random.choices(ideas, weights)[0]

    def _known(self, parent: Code) -> set[int]:
        """What worked elsewhere in the family, taken along with the change that is tried."""
        own = self.task.own[parent.family]
        known = [i for i in own if i not in parent.has and self.tried.get((parent.family, i)) == "ok"]
        return {idea for idea in known if self.random.random() < TAKEN}

    def _repair(self, code: Code, failed: Code) -> tuple[float, float]:
        self._inherit(code, failed)
        code.idea, code.parents = failed.idea, failed.parents
        code.noise, code.other_noise = failed.noise, failed.other_noise
        return 0.5, 0.35

    def _combine(self, code: Code, parents: tuple[Code, ...]) -> float:
        first = parents[0]
        self._inherit(code, first)
        for other in parents[1:]:
            able = [i for i in other.has - first.has if self.task.moves[i] or self.task.home[i] == first.family]
            code.has |= {idea for idea in able if self.random.random() < 0.75}
            if other.family != first.family and other.family not in code.blended:
                gap = math.exp(-abs(first.true - other.true) / 0.2)
                code.extra += self.task.blend[first.family][other.family] * gap
                code.blended |= {other.family}
        if self.random.random() < 0.25:  # they do not fit together
            code.has, code.blended = first.has, first.blended
            code.extra = first.extra - abs(self.random.gauss(0, 0.03))
        self._add_noise(code, first, 0.8, parents[1])
        return 1.3

    def _add_noise(self, code: Code, parent: Code, like: float, other: Code | None = None) -> None:
        fresh = self.normal.normal(size=(2, ROWS))
        inherited = [parent.noise, parent.other_noise]
        if other is not None:
            mixed = [2 * parent.noise + other.noise, 2 * parent.other_noise + other.other_noise]
            inherited = [one / (one.std() + 1e-9) for one in mixed]
        rest = math.sqrt(1 - like**2)
        code.noise, code.other_noise = (like * a + rest * b for a, b in zip(inherited, fresh, strict=True))


class Oracle(Engineer):
    """Knows the family with the highest ceiling."""

    def choose_family(self, weights: list[float]) -> int:
        super().choose_family(weights)
        return max(range(FAMILIES), key=lambda family: self.task.tops[family])


def _first(code: Code) -> Code:
    return code.parents[0] if code.parents else Code(-1, "draft")


@dataclass
class _Line:
    """A branch while it is played: its first result and its best by the verdict."""

    root: Code
    best: Code


class Play:
    """A run under a policy. `trials` is what the policy sees of it."""

    def __init__(self, engineer: Engineer, policy: Policy, game: Game, seed: int) -> None:
        self.engineer, self.policy, self.game, self.seed = engineer, policy, game, seed
        self.codes: dict[str, Code] = {}
        self.trials: list[Trial] = []
        self.lines: dict[int, _Line] = {}
        self.scored: list[Code] = []
        self.best: Code | None = None
        self.wish = [""] * game.lanes
        self.moves: list[str] = []

    def regret(self) -> float:
        """How far the final pick stays below the best reachable score."""
        queue: list[tuple[float, int, int, Code | None, bool]] = [
            (0.001 * lane, lane, lane, None, False) for lane in range(self.game.lanes)
        ]
        order = self.game.lanes
        while queue:
            now, _, lane, code, failed = heapq.heappop(queue)
            if now >= self.game.budget:
                continue
            if code is not None:
                self.engineer.open.remove(code)
                self._end(code, now, failed, lane)
            code, took, failed = self._begin(now, lane)
            heapq.heappush(queue, (now + took * self.game.slowdown, order, lane, code, failed))
            order += 1
        return max(self.engineer.task.tops) - self._final_pick()

    def _begin(self, now: float, lane: int) -> tuple[Code, float, bool]:
        move = choose(self.policy, self._state(now, lane), self.seed * 1000 + len(self.trials))
        self.wish[lane] = ""
        self.moves.append(move.kind)
        code, took, failed = self.engineer.work(move, tuple(self.codes[name] for name in move.parents))
        self.codes[code.name] = code
        self.engineer.open.append(code)
        self.trials.append(Trial(code.number, move.kind, move.parents, code.branch, now, lane=lane))
        return code, took, failed

    def _state(self, now: float, lane: int) -> SearchState:
        ended = [trial for trial in self.trials if trial.ended is not None]
        left = self.game.budget - now
        mean = sum((trial.ended or 0) - trial.started for trial in ended) / len(ended) if ended else 0.0
        expected = len(ended) + self.game.lanes * left / mean if mean else 0.0
        return SearchState(
            tuple(self.trials), now / self.game.budget, left, expected, self.wish[lane], "", lane, self.game.lanes
        )

    def _end(self, code: Code, now: float, failed: bool, lane: int) -> None:
        position = next(i for i, trial in enumerate(self.trials) if trial.number == code.number)
        changes = {"failed_commit": code.name} if failed else {"results": (self._score(code),)}
        trial = self.trials[position]
        self.trials[position] = Trial(**{**_fields(trial), "ended": now, **changes})
        if failed:
            if code.idea is not None:
                self.engineer.tried.setdefault((code.family, code.idea), "crash")
            return
        if self.engineer.random.random() < self.game.wishes:
            self.wish[lane] = code.name

    def _score(self, code: Code) -> Result:
        scale = self.game.sigma * math.sqrt(ROWS) / ROWS
        code.score = code.true + scale * float(code.noise.sum())
        code.fresh = code.true + scale * float(code.other_noise.sum())
        self._remember(code)
        self.scored.append(code)
        is_promoted = self.best is None or self._is_better(code, self.best)
        if is_promoted:
            self.best = code
        line = self.lines.get(code.branch)
        is_gain = line is not None and self._is_better(code, line.best)
        if line is None:
            line = self.lines[code.branch] = _Line(code, code)
        elif is_gain:
            line.best = code
        draft_share = 0.5 if line.root is code else self._share(code, line.root)
        return Result(
            code.name, code.name, code.number, code.branch, code.score, is_gain, draft_share, is_promoted, 0.3
        )

    def _remember(self, code: Code) -> None:
        engineer = self.engineer
        engineer.families.add(code.family)
        parent = code.parents[0] if code.parents else None
        share = 0.5 if parent is None else self._share(code, parent)
        if code.idea is not None:
            engineer.tried[code.family, code.idea] = "ok" if share >= REPEAT_SHARE else "no"
        if parent is None or share >= REPEAT_SHARE:
            before = parent.has if parent is not None else frozenset()
            engineer.works |= {idea for idea in code.has - before if engineer.task.moves[idea]}

    def _share(self, one: Code, other: Code) -> float:
        """How surely a version is better than another by the noisy scores, from the differences of rows."""
        difference = one.noise - other.noise
        error = self.game.sigma * math.sqrt(float(difference @ difference) / ROWS) + 1e-9
        return 0.5 * (1 + math.erf((one.score - other.score) / error / math.sqrt(2)))

    def _is_better(self, one: Code, other: Code) -> bool:
        """The verdict's gate: a real gain, or an unclear one on both halves of the rows."""
        share = self._share(one, other)
        if not REPEAT_SHARE <= share < REAL_SHARE:
            return share >= REAL_SHARE
        difference, gap = one.noise - other.noise, one.true - other.true
        half, scale = ROWS // 2, self.game.sigma * math.sqrt(ROWS)
        return all(gap + scale * float(part.sum()) / half > 0 for part in (difference[:half], difference[half:]))

    def _final_pick(self) -> float:
        """The true score of the finalist with the best mean of search and fresh score."""
        if self.best is None:
            return 0.0
        best = self.best
        others = sorted((code for code in self.scored if code is not best), key=lambda code: -code.score)
        return max([best, *others][:FINALISTS], key=lambda code: code.score + code.fresh).true


def _fields(trial: Trial) -> dict[str, object]:
    return {name: getattr(trial, name) for name in Trial.__dataclass_fields__}


def play(group: str, seed: int, policy: Policy, game: Game, *, knows_best: bool = False) -> float:
    """The regret of a policy on one simulated task."""
    engineer = (Oracle if knows_best else Engineer)(Landscape(seed, group), seed)
    return Play(engineer, policy, game, seed).regret()
