"""Compaction policy: when turns leave the window, and by which stage, as a pure function of figures.

Stage A (`mask`) needs no model: outputs of old exchanges become one line each. Stage B (`checkpoint`) first asks the
model for its own words. A change pays if the remaining turns save more on reading than the change costs:

    turns * cached * (W - L)  +  cold * input * (W - L)   >   request  +  input * (L - P)  +  rework

with W tokens before, L after and P in the unchanged beginning. `request` is the price of asking for a checkpoint (B
only), `cold` is 1 if the cache is lost, and `rework` is the measured cost of looking up again what left: files read
again, `cat` of files seen before, recalls.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from context.window import Group

Stage = Literal["none", "mask", "checkpoint", "automatic"]


CHOSEN_FOR, CHOSEN_RATIO = 120_000, 5.0
"""The window size and the ratio of input to cached price that the thresholds were chosen for, by simulation."""
MOST_RATIO = 100.0
MOST_SHARE = 0.7
"""The most of a window that is used before a compaction starts."""
TURN_TOKENS, CHECKPOINT_TOKENS = 1_500, 600


@dataclass(frozen=True)
class Rates:
    """Dollars per million tokens: read uncached, read from the cache, written."""

    input: float = 0.30
    cached: float = 0.06
    output: float = 1.20

    @property
    def are_known(self) -> bool:
        """Whether the endpoint charges for tokens; if not, the defaults stand in as ratios of effort."""
        return self.input > 0 and self.output > 0


@dataclass(frozen=True)
class Thresholds:
    """Window sizes that matter, in tokens. `limit` is the most that the endpoint and the settings allow.

    `high` starts a compaction, `low` does at a good moment; `batch` is the least that must leave, `tail` and
    `kept_groups` bound what stays verbatim.
    """

    limit: int
    high: int
    low: int
    batch: int
    tail: int
    kept_groups: int = 8
    least_turns: int = 6

    @classmethod
    def within(cls, limit: int, rates: Rates = Rates(), rework: float = 0.0) -> Thresholds:
        """Thresholds for a window of at most `limit` tokens. `rework` is the price of forgetting (`rework_price`).

        The size at which a compaction starts is the one that costs least, `L + sqrt(2 * turn * K / cached)`: K is the
        price of one compaction. It grows as cached input gets cheaper, and with measured rework. At least two thirds of
        a small window are used; the rest is left for the turns until a checkpoint comes.
        """
        rates = rates if rates.are_known else Rates()
        known = min(limit, CHOSEN_FOR)
        share, after = known / CHOSEN_FOR, known / 4
        price = after * rates.cached + CHECKPOINT_TOKENS * rates.output + 2 / 3 * after * rates.input + rework
        best = after + math.sqrt(2 * TURN_TOKENS * price / max(rates.cached, rates.input / MOST_RATIO))
        ratio = min(MOST_RATIO, rates.input / max(rates.cached, 1e-9))
        waiting = 80_000 * share * max(1.0, math.sqrt(ratio / CHOSEN_RATIO))
        high = int(min(MOST_SHARE * limit, max(best, waiting)))
        return cls(limit, high, int(0.625 * high), int(20_000 * share), int(16_000 * share))


@dataclass(frozen=True)
class Figures:
    """Input of a decision. Tokens, turns, and dollars per million tokens.

    `stable` is the unchanged beginning of the window; `after_mask` and `after_checkpoint` are its sizes after either
    stage. `rework_tokens` and `rework_turns` are the measured cost of forgetting per epoch. `is_boundary`: a score was
    just recorded. `is_cold`: the cache is lost.
    """

    fill: int
    stable: int
    after_mask: int
    after_checkpoint: int
    turns_left: float
    rates: Rates = Rates()
    rework_tokens: float = 10_000.0
    rework_turns: float = 3.0
    turn_tokens: float = 600.0
    checkpoint_tokens: int = CHECKPOINT_TOKENS
    masks_since: int = 0
    is_boundary: bool = False
    is_cold: bool = False
    may_ask: bool = True


@dataclass(frozen=True)
class Decision:
    """What to do, both sides of the inequality in dollars, and an explanation.

    `refused` is the reason in a few words if the window is large but stays unchanged.
    """

    stage: Stage
    target: int = 0
    saving: float = 0.0
    price: float = 0.0
    why: str = ""
    refused: str = ""


def decide(figures: Figures, thresholds: Thresholds) -> Decision:
    """Whether turns leave the window now, and by which stage."""
    if figures.fill > thresholds.limit:
        why = f"{figures.fill:,} tokens exceed the limit of {thresholds.limit:,}"
        return Decision("automatic", figures.after_mask, why=why)
    if figures.fill < (thresholds.low if figures.is_boundary or figures.is_cold else thresholds.high):
        return Decision("none", why="the window is small enough")
    if figures.turns_left < thresholds.least_turns:
        return _refuse("few turns are left", f"{figures.turns_left:.0f}, and {figures.fill:,} tokens")
    order: list[Stage] = ["mask", "checkpoint"]
    if figures.is_boundary or figures.masks_since or figures.fill - figures.after_mask < thresholds.batch:
        order.reverse()
    weighed = [_weigh(stage, figures, thresholds) for stage in order if stage == "mask" or figures.may_ask]
    options = [option for option in weighed if option is not None]
    if not options:
        return _refuse("too little would leave", f"less than {thresholds.batch:,} of {figures.fill:,} tokens")
    paying = (option for option in options if option.saving > option.price)
    nearest = max(options, key=lambda option: option.saving - option.price)
    return next(paying, None) or _refuse("no change pays", nearest.why, nearest)


def _refuse(reason: str, why: str, nearest: Decision | None = None) -> Decision:
    """Leave the window unchanged; `nearest` is the option that came closest to paying."""
    return replace(nearest or Decision("none"), stage="none", why=f"{reason}: {why}", refused=reason)


def _weigh(stage: Stage, figures: Figures, thresholds: Thresholds) -> Decision | None:
    """Both sides of the inequality; None if less than a batch would leave (small batches act as a sliding window)."""
    rates = figures.rates if figures.rates.are_known else Rates()
    target = figures.after_mask if stage == "mask" else figures.after_checkpoint
    leaving = figures.fill - target
    if leaving < thresholds.batch:
        return None
    saving = leaving * (figures.turns_left * rates.cached + figures.is_cold * rates.input)
    request = figures.fill * rates.cached + figures.checkpoint_tokens * rates.output if stage == "checkpoint" else 0.0
    rework = rework_price(figures.rework_tokens, figures.rework_turns, target, figures.turn_tokens, rates)
    price = request + max(0, target - figures.stable) * rates.input + rework
    cold = ", cache cold" if figures.is_cold else ""
    why = (
        f"{figures.fill:,} -> {target:,} tokens ({figures.stable:,} unchanged), "
        f"{figures.turns_left:.0f} turns left{cold}: "
        f"saves ${saving / 1e6:.4f}, costs ${price / 1e6:.4f} (${rework / 1e6:.4f} of it rework)"
    )
    return Decision(stage, target, saving / 1e6, price / 1e6, why)


def rework_price(tokens: float, turns: float, window: float, turn_tokens: float, rates: Rates) -> float:
    """The price of looking things up again, in millionths of a dollar: what is read, and the turns it takes."""
    return tokens * rates.input + turns * (window * rates.cached + turn_tokens * rates.output)


def choose_tail(groups: Sequence[Group], thresholds: Thresholds, bytes_per_token: float) -> list[Group]:
    """The last exchanges, which stay verbatim: a few, within their room, at least one."""
    kept: list[Group] = []
    room = thresholds.tail * bytes_per_token
    for group in reversed(groups[-thresholds.kept_groups :]):
        room -= group.size
        if kept and room < 0:
            break
        kept.append(group)
    return list(reversed(kept))
