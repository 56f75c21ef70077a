"""Compaction: when turns leave the window, and by which stage, as a pure function of figures.

Stage A (`stub`) is code alone: old exchanges become one line each. Stage B (`checkpoint`) asks the model for its words
first. Either pays where the turns left read so much less that it outweighs the cost of the change:

    turns * cached * (W - L)  +  cold * input * (W - L)   >   request  +  input * (L - P)  +  rework

with W tokens before, L after, P of an unchanged beginning, `request` the price of asking for words (B only), `cold`
whether the cache is about to be lost or was, and `rework` what is read again because it was forgotten (measured).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from context.window import Group

Stage = Literal["none", "stub", "checkpoint", "alone"]


@dataclass(frozen=True)
class Rates:
    """Dollars per million tokens: read anew, read from the cache, written."""

    input: float = 0.30
    cached: float = 0.06
    output: float = 1.20

    @property
    def are_known(self) -> bool:
        """Whether anything costs money here; where nothing does, the ratios of the defaults stand in for effort."""
        return self.input > 0 and self.output > 0


@dataclass(frozen=True)
class Thresholds:
    """Where fill matters, in tokens. `limit` is what the endpoint and the settings allow at most."""

    limit: int
    high: int
    low: int
    batch: int
    tail: int
    kept_groups: int = 8
    least_turns: int = 6

    @classmethod
    def within(cls, limit: int) -> Thresholds:
        """The marks for a window of at most `limit` tokens: made for 120,000, smaller in proportion."""
        share = min(1.0, limit / 120_000)
        return cls(limit, int(80_000 * share), int(50_000 * share), int(20_000 * share), int(16_000 * share))


@dataclass(frozen=True)
class Figures:
    """What is known when the decision is made. Tokens, turns, and dollars per million tokens.

    `stable` is the unchanged beginning of the window, `stubbed` and `words` how large the window will be after either
    stage. `rework_tokens` and `rework_turns` are what one epoch's forgetting cost so far. `stubs_since` counts the
    stubbings since the last checkpoint, `is_boundary` says that a score was just recorded, `is_cold` that the cache
    is lost, or will be in a wait that begins now.
    """

    fill: int
    stable: int
    after_stub: int
    after_checkpoint: int
    turns_left: float
    rates: Rates = Rates()
    rework_tokens: float = 10_000.0
    rework_turns: float = 3.0
    turn_tokens: float = 600.0
    checkpoint_tokens: int = 600
    stubs_since: int = 0
    is_boundary: bool = False
    is_cold: bool = False
    may_ask: bool = True


@dataclass(frozen=True)
class Decision:
    """What to do, with both sides of the inequality in dollars, and why in words. `refused` is set where the window is
    large enough to be made smaller and is left as it is: the reason in a word or two."""

    stage: Stage
    target: int = 0
    saving: float = 0.0
    price: float = 0.0
    why: str = ""
    refused: str = ""


def decide(figures: Figures, marks: Thresholds) -> Decision:
    """Whether turns leave the window now, and how."""
    if figures.fill > marks.limit:
        return Decision(
            "alone", figures.after_stub, why=f"{figures.fill:,} tokens are over the limit of {marks.limit:,}"
        )
    if figures.fill < (marks.low if figures.is_boundary or figures.is_cold else marks.high):
        return Decision("none", why="the window is small enough")
    if figures.turns_left < marks.least_turns:
        return _refused("few turns are left", f"{figures.turns_left:.0f}, and {figures.fill:,} tokens")
    order: list[Stage] = ["stub", "checkpoint"]
    if figures.is_boundary or figures.stubs_since or figures.fill - figures.after_stub < marks.batch:
        order.reverse()
    weighed = [_weigh(stage, figures, marks) for stage in order if stage == "stub" or figures.may_ask]
    found = [one for one in weighed if one is not None]
    if not found:
        return _refused("too little would leave", f"less than {marks.batch:,} of {figures.fill:,} tokens")
    paying = (one for one in found if one.saving > one.price)
    nearest = max(found, key=lambda one: one.saving - one.price)
    return next(paying, None) or _refused("no change pays", nearest.why, nearest)


def _refused(reason: str, why: str, nearest: Decision | None = None) -> Decision:
    """The window is left as it is; `nearest` is the change that came closest to paying."""
    return replace(nearest or Decision("none"), stage="none", why=f"{reason}: {why}", refused=reason)


def _weigh(stage: Stage, figures: Figures, marks: Thresholds) -> Decision | None:
    """Both sides of the inequality; None where too little would leave (small batches are a sliding mask)."""
    rates = figures.rates if figures.rates.are_known else Rates()
    target = figures.after_stub if stage == "stub" else figures.after_checkpoint
    gone = figures.fill - target
    if gone < marks.batch:
        return None
    saving = gone * (figures.turns_left * rates.cached + figures.is_cold * rates.input)
    request = figures.fill * rates.cached + figures.checkpoint_tokens * rates.output if stage == "checkpoint" else 0.0
    again = figures.rework_tokens * rates.input + figures.rework_turns * (
        target * rates.cached + figures.turn_tokens * rates.output
    )
    price = request + max(0, target - figures.stable) * rates.input + again
    cold = ", cache cold" if figures.is_cold else ""
    why = (
        f"{figures.fill:,} -> {target:,} tokens ({figures.stable:,} unchanged), "
        f"{figures.turns_left:.0f} turns left{cold}: "
        f"saves ${saving / 1e6:.4f}, costs ${price / 1e6:.4f}, of it ${again / 1e6:.4f} for what is read again"
    )
    return Decision(stage, target, saving / 1e6, price / 1e6, why)


def choose_tail(groups: Sequence[Group], marks: Thresholds, bytes_per_token: float) -> list[Group]:
    """The last exchanges, which stay word for word: a few, within their room, always at least one."""
    kept: list[Group] = []
    room = marks.tail * bytes_per_token
    for group in reversed(groups[-marks.kept_groups :]):
        room -= group.size
        if kept and room < 0:
            break
        kept.append(group)
    return list(reversed(kept))


def halve_tail(groups: Sequence[Group]) -> list[Group]:
    """The exchanges to keep when the endpoint refuses the window as too large: the later half, by size."""
    left, kept = sum(group.size for group in groups) // 2, []
    for group in reversed(groups):
        left -= group.size
        if left < 0:
            break
        kept.append(group)
    return list(reversed(kept))
