"""Simulated tasks for search policies: families of approaches with hidden ceilings, and ideas with diminishing gains.

A score of 0 is the expected first draft, 1 the best reachable state. In `plain` tasks the family that starts best also
ends high; in `traps` it ends low; in `combine` tasks ideas transfer between families, and families blend.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

GROUPS = ("plain", "traps", "combine")
_START_TO_CEILING = {"plain": 0.6, "traps": -0.8, "combine": 0.0}
_HEIGHT = {"plain": (0.65, 0.2), "traps": (0.65, 0.3), "combine": (0.4, 0.1)}
_TRANSFER_SHARE = {"plain": 0.1, "traps": 0.1, "combine": 0.3}
FAMILIES, IDEAS = 5, 7
TRANSFERRED = 0.8
"""Share of its gain that an idea keeps in another family."""


class Landscape:
    """One task. Lists with an entry per idea: `home` family, `gain`, `seen` (how obvious it is), `need` (an idea it
    builds on, -1: none), `partner` and `joint` (a pair gains only together), `moves` (it transfers)."""

    def __init__(self, seed: int, group: str) -> None:
        random = np.random.default_rng([seed, GROUPS.index(group)])
        start = random.normal(size=FAMILIES)
        correlation = _START_TO_CEILING[group]
        height = correlation * start + math.sqrt(1 - correlation**2) * random.normal(size=FAMILIES)
        mean, spread = _HEIGHT[group]
        height = np.clip(mean + spread * height, 0.15, None)
        self.prior: list[float] = (np.exp(start) / np.exp(start).sum()).tolist()
        self.home: list[int] = []
        self.gain: list[float] = []
        self.seen: list[float] = []
        self.need: list[int] = []
        self.partner: list[int] = []
        self.joint: list[float] = []
        self.moves: list[bool] = []
        for family in range(FAMILIES):
            self._add_family(random, family, float(height[family]), _TRANSFER_SHARE[group])
        for _ in range(4 if group == "combine" else 0):
            first, second = random.choice(FAMILIES, 2, replace=False)
            pair = [self._add(int(one), 0.02, 0.7, -1, True) for one in (first, second)]
            self._pair(pair[0], pair[1], float(random.uniform(0.15, 0.30)))
        blend = random.uniform(0.1, 0.25, size=(FAMILIES, FAMILIES)) * (group == "combine")
        self._scale(0.12 * start, blend)

    def value(self, family: int, ideas: Iterable[int]) -> float:
        """What ideas are worth in a family."""
        has = frozenset(ideas)
        total = 0.0
        for idea in has:
            if self.need[idea] < 0 or self.need[idea] in has or self.home[idea] != family:
                total += self.gain[idea] * (1.0 if self.home[idea] == family else TRANSFERRED)
            if self.partner[idea] in has:
                total += self.joint[idea] / 2
        return total

    def _add_family(self, random: np.random.Generator, family: int, height: float, transfer: float) -> None:
        raw = 0.75 ** np.arange(IDEAS) * np.exp(0.4 * random.normal(size=IDEAS))
        has_pair = random.random() < 0.4
        raw *= height * (0.75 if has_pair else 1.0) / raw.sum()
        first = len(self.gain)
        for index in range(IDEAS):
            need = first + int(random.integers(index)) if index and random.random() < 0.4 else -1
            seen = 0.8**index * math.exp(0.5 * random.normal())
            self._add(family, float(raw[index]), seen, need, bool(random.random() < transfer))
        if has_pair:
            pair = [self._add(family, -0.01, 0.5, -1, False) for _ in range(2)]
            self._pair(pair[0], pair[1], 0.25 * height)

    def _add(self, home: int, gain: float, seen: float, need: int, moves: bool) -> int:
        self.home.append(home)
        self.gain.append(gain)
        self.seen.append(seen)
        self.need.append(need)
        self.partner.append(-1)
        self.joint.append(0.0)
        self.moves.append(moves)
        return len(self.gain) - 1

    def _pair(self, first: int, second: int, gain: float) -> None:
        self.partner[first], self.partner[second] = second, first
        self.joint[first] = self.joint[second] = gain

    def _scale(self, base: np.ndarray, blend: np.ndarray) -> None:
        tops = [float(base[one]) + self._ceiling(one) + float(blend[one].max()) for one in range(FAMILIES)]
        zero = float((np.array(self.prior) * base).sum())
        scale = max(tops) - zero
        self.base = [(float(value) - zero) / scale for value in base]
        self.gain = [value / scale for value in self.gain]
        self.joint = [value / scale for value in self.joint]
        self.blend: list[list[float]] = (blend / scale).tolist()
        self.tops = [(top - zero) / scale for top in tops]
        self.own = [[idea for idea, home in enumerate(self.home) if home == one] for one in range(FAMILIES)]
        self.movers = [idea for idea, moves in enumerate(self.moves) if moves]

    def _ceiling(self, family: int) -> float:
        """All of a family's own ideas and the six best of others, pairs counted whole."""
        has = {idea for idea, home in enumerate(self.home) if home == family}
        for _ in range(6):
            able = [idea for idea, moves in enumerate(self.moves) if moves and idea not in has]
            if not able:
                break
            has.add(max(able, key=lambda i: self.gain[i] + self.joint[i] * (1.0 if self.partner[i] in has else 0.5)))
        return self.value(family, has)
