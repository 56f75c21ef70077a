"""Compaction in a run: decide between turns, ask for a checkpoint on a tool result, close epochs.

Decisions depend on the record alone and are one event, so after a crash an epoch is either open or closed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

from context.compaction.close_epoch import STUB_BYTES, plan_close
from context.compaction.policy import Decision, Figures, Rates, Thresholds, choose_tail, decide, halve_tail
from context.first_message import STATE_HEADING, render_first_message
from context.notebook import reports_running_job
from context.window import Group, prompt
from harness import budget
from harness.run import Lane
from runs.events.registry import CompactionConsidered, EpochStarted, WindowGivenUp

MAX_REQUESTS = 2
SAMPLE_TURNS = 25
"""How often a window that stays as it is for the same reason is recorded."""
WORDS_BYTES = 2_500
"""Assumed size of a checkpoint and the facts of its epoch in the first message."""


def consider(lane: Lane) -> None:
    """Close the epoch between turns if that is due or pays off."""
    notebook, window = lane.notebook, lane.window
    if lane.state.pending or lane.state.epoch is None:
        return
    if notebook.needs_close:
        close(lane, "checkpoint", why=f"{window.tokens():,} tokens: the model's checkpoint was taken")
        return
    if notebook.loops.needs_epoch:
        close(lane, "automatic", why=f"a loop: {notebook.loops.what}", rejected=[f"rejected: {notebook.loops.what}"])
        return
    is_cold = _is_cold(lane) or (notebook.is_waiting and bool(lane.state.open_jobs))
    decision = decide_now(lane, is_cold=is_cold, may_ask=not _is_cold(lane))
    recorded_turn = notebook.reason_turns.get(decision.refused, -SAMPLE_TURNS)
    is_heard = notebook.refused_turn == notebook.turn  # its checkpoint was refused just now, so it may send another
    if len(notebook.asked_turns) >= MAX_REQUESTS and notebook.turn > notebook.asked_turns[-1] and not is_heard:
        close(lane, "automatic", why=f"{window.tokens():,} tokens: no checkpoint came when asked for")
    elif decision.stage == "automatic" or (decision.stage == "stub" and not notebook.asked_turns):
        _record(lane, decision)
        close(lane, "stub" if decision.stage == "stub" else "automatic", why=decision.why)
    elif decision.refused and notebook.turn - recorded_turn >= SAMPLE_TURNS:
        _record(lane, decision)


def asks_checkpoint(lane: Lane, added: str, name: str) -> bool:
    """Whether a result that is about to be recorded should ask the model for a checkpoint."""
    notebook = lane.notebook
    if len(lane.state.pending) > 1 or name == "checkpoint" or notebook.needs_close:
        return False
    if notebook.asked_turns:
        return len(notebook.asked_turns) < MAX_REQUESTS and notebook.turn > notebook.asked_turns[-1]
    waits = bool(lane.state.open_jobs) and reports_running_job(name, added)
    decision = decide_now(lane, added=len(added.encode(errors="replace")), is_cold=waits)
    if decision.stage != "checkpoint":
        return False
    _record(lane, decision)
    return True


def overflow(lane: Lane) -> None:
    """Drop the older half of the exchanges after the endpoint refused the window as too large. With none left to drop,
    the window is given up and the attempt ends."""
    groups = lane.window.groups()
    kept = halve_tail(groups)
    if not groups:
        lane.record(WindowGivenUp(why="too_large"))
        return
    fill = lane.window.tokens()
    close(lane, "automatic", why=f"the endpoint refused {fill:,} tokens as too many", kept=kept, reason="overflow")


def limit(lane: Lane) -> int:
    """Tokens the window may hold: what settings and endpoint allow, and less than the endpoint ever refused."""
    profile = lane.model.profile
    reply = min(profile.output_tokens, profile.context_tokens // 4)
    most = min(lane.run.settings.window_tokens, profile.context_tokens - reply)
    return min(most, int(0.8 * lane.window.overflow_tokens)) if lane.window.overflow_tokens else most


def close(
    lane: Lane,
    stage: Literal["stub", "checkpoint", "automatic"],
    *,
    why: str,
    rejected: Sequence[str] = (),
    kept: Sequence[Group] | None = None,
    reason: Literal["compaction", "overflow"] = "compaction",
) -> None:
    """Close the epoch: what leaves the window is replaced by notes, stubs and facts in the new first message."""
    window, groups = lane.window, lane.window.groups()
    if kept is None:
        kept = choose_tail(groups, Thresholds.within(limit(lane)), _bytes_per_token(lane))
        fixed = len(window.system) + len(window.tools) + len(window.messages[0])
        if stage == "automatic" and fixed + sum(one.size for one in kept) > limit(lane) * _bytes_per_token(lane):
            kept = halve_tail(kept)  # the last exchange alone is too large
    closing = plan_close(window, lane.notebook, kept, stage=stage, rejected=rejected)
    deadline, limits = budget.stated_deadline(lane.run.state), budget.describe(lane.run.settings)
    lost = f"; {len(closing.lost)} of {closing.facts} facts can only be recalled" if closing.lost else ""
    lane.record(
        EpochStarted(
            reason=reason,
            system=prompt("system"),
            tools=lane.run.tools.decode(),
            user=render_first_message(lane.run.state, deadline, limits, closing.notebook, lane=lane.number),
            kept=closing.kept,
            stage=stage,
            stubs=closing.notebook.stubs,
            facts=closing.notebook.facts,
            rejected=list(rejected),
            fill=window.tokens(),
            why=f"{why}{lost}",
        )
    )


def decide_now(lane: Lane, *, added: int = 0, is_cold: bool = False, may_ask: bool = True) -> Decision:
    """Decide on the window as it would be with `added` more bytes."""
    window, notebook = lane.window, lane.notebook
    ratio = _bytes_per_token(lane)
    marks = Thresholds.within(limit(lane))
    fill = window.tokens() + int(added / ratio)
    if fill < marks.low:
        return Decision("none", why="the window is small enough")
    groups = window.groups()
    kept = choose_tail(groups, marks, ratio)
    tail = sum(group.size for group in kept) + added
    fixed, head = len(window.system) + len(window.tools), len(window.messages[0])
    stubs = STUB_BYTES * (len(groups) - len(kept))
    written = sum(map(len, notebook.stubs))
    prices = lane.model.profile.prices
    rework = notebook.rework
    return decide(
        Figures(
            fill=fill,
            stable=int((fixed + max(0, window.messages[0].rfind(STATE_HEADING.encode()))) / ratio),
            after_stub=int((fixed + head + stubs + tail) / ratio),
            after_checkpoint=int((fixed + head - written + WORDS_BYTES + tail) / ratio),
            turns_left=turns_left(lane),
            rates=Rates(prices.input, prices.cached, prices.output),
            rework_tokens=rework.tokens,
            rework_turns=rework.turns,
            turn_tokens=lane.run.state.completion_tokens / max(1, lane.run.state.turns),
            stubs_since=notebook.stubs_since,
            is_boundary=notebook.is_boundary,
            is_cold=is_cold,
            may_ask=may_ask,
        ),
        marks,
    )


def turns_left(lane: Lane) -> float:
    """Expected remaining turns of the open attempt, from its limits and the pace so far."""
    run, attempt, settings = lane.run, lane.state.attempt, lane.run.settings
    state = run.state
    assert attempt is not None
    turns = max(1, state.turns)
    left = [float(settings.attempt_turns - attempt.turns)]
    if settings.turns is not None:
        left.append(settings.turns - state.turns)
    if settings.cost is not None and state.cost > 0:
        left.append((settings.cost - state.cost) / (state.cost / turns))
    if settings.hours is not None:
        left.append(run.seconds_left() / max(0.1, run.active_seconds() / turns))
    finished = [one.turns for one in state.attempts if one.ended == "finish"]
    if finished:  # past the usual length, assume half of what it had
        usual = sum(finished) / len(finished)
        left.append(usual - attempt.turns if usual > attempt.turns else attempt.turns / 2)
    return max(0.0, min(left))


def _is_cold(lane: Lane) -> bool:
    """Whether the endpoint's prompt cache has probably expired since the last request."""
    lives = min(lane.run.settings.cache_seconds, lane.meter.cache_lifetime)
    return lane.replied_at is not None and time.monotonic() - lane.replied_at >= lives


def _bytes_per_token(lane: Lane) -> float:
    return max(1.0, lane.window.size / max(1, lane.window.tokens()))


def _record(lane: Lane, decision: Decision) -> None:
    lane.record(
        CompactionConsidered(
            stage=decision.stage,
            fill=lane.window.tokens(),
            target=decision.target,
            turns_left=round(turns_left(lane), 1),
            saving=round(decision.saving, 6),
            price=round(decision.price, 6),
            why=decision.why,
        )
    )
