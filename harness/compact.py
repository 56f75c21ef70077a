"""Compaction in a run: decide between turns, ask for a checkpoint on a tool result, close epochs.

Decisions depend on the record alone and are one event, so after a crash an epoch is either open or closed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from string import Template
from typing import Literal

from context.compaction.close_epoch import describe_leaving, plan_close, plan_forced
from context.compaction.masking import masked_size
from context.compaction.policy import Decision, Figures, Rates, Thresholds, choose_tail, decide, rework_price
from context.first_message import STATE_HEADING, WorkspaceView, render_first_message
from context.notebook import Notebook
from context.window import prompt
from harness import budget
from harness.file_list import list_files
from harness.notes import read_notes
from harness.run import Lane
from harness.timing.situation import describe_situation
from runs.events.registry import CompactionConsidered, EpochStarted, WindowGivenUp

LARGEST_WINDOW = 400_000
"""The most tokens a window may have unless the settings say otherwise."""
MAX_REQUESTS = 2
SAMPLE_TURNS = 25
"""How often a window that stays as it is for the same reason is recorded."""
FORCED_SHARE = 0.7
"""Share of the limit that a window takes at most after it had to be shortened."""
WORDS_BYTES = 5_000
"""Assumed size of a checkpoint with the facts and commands of its epoch in the first message."""


@dataclass(frozen=True)
class CheckpointRequest:
    """A request to append to a tool result: its text, and the last event of the exchanges that it names."""

    text: str
    leaves: int


def consider(lane: Lane) -> None:
    """Close the epoch between turns if that is due or pays off."""
    notebook, window = lane.notebook, lane.window
    if lane.state.pending or lane.state.epoch is None:
        return
    if notebook.needs_close:
        why = f"{window.tokens():,} tokens: the model's checkpoint was taken"
        close(lane, "checkpoint", why=why, dropped=_named(lane), masked=0)
        return
    if notebook.loops.needs_epoch:
        why, rejected = f"a loop: {notebook.loops.what}", [f"rejected: {notebook.loops.what}"]
        close(lane, "automatic", why=why, dropped=0, masked=len(window.groups()) - 1, rejected=rejected)
        return
    is_cold = _is_cold(lane)
    decision = decide_now(lane, is_cold=is_cold, may_ask=not is_cold)
    recorded_turn = notebook.reason_turns.get(decision.refused, -SAMPLE_TURNS)
    is_heard = notebook.refused_turn == notebook.turn  # its checkpoint was refused just now, so it may send another
    if len(notebook.asked_turns) >= MAX_REQUESTS and notebook.turn > notebook.asked_turns[-1] and not is_heard:
        why = f"{window.tokens():,} tokens: no checkpoint came when asked for"
        close(lane, "automatic", why=why, dropped=_named(lane), masked=0)
    elif decision.stage == "automatic":
        _record(lane, decision)
        force(lane, why=decision.why)
    elif decision.stage == "mask" and not notebook.asked_turns:
        _record(lane, decision)
        close(lane, "mask", why=decision.why, dropped=0, masked=_old(lane))
    elif decision.refused and notebook.turn - recorded_turn >= SAMPLE_TURNS:
        _record(lane, decision)


def request_checkpoint(lane: Lane, added: str, name: str) -> CheckpointRequest | None:
    """The request for a checkpoint that a result, about to be recorded, should carry; None for none."""
    notebook, window = lane.notebook, lane.window
    if len(lane.state.pending) > 1 or name == "checkpoint" or notebook.needs_close:
        return None
    if notebook.asked_turns:
        if len(notebook.asked_turns) >= MAX_REQUESTS or notebook.turn <= notebook.asked_turns[-1]:
            return None
    else:
        decision = decide_now(lane, added=len(added.encode(errors="replace")))
        if decision.stage != "checkpoint":
            return None
        _record(lane, decision)
    leaving = window.groups()[: _old(lane)]
    last = max((seq for group in leaving for seq in window.seqs[group.start : group.end]), default=-1)
    return CheckpointRequest(Template(prompt("checkpoint")).substitute(leaving=describe_leaving(window, leaving)), last)


def overflow(lane: Lane) -> None:
    """Shorten the window after the endpoint refused it as too large. With no exchange left, it is given up and the
    attempt ends."""
    if not lane.window.groups():
        lane.record(WindowGivenUp(why="too_large"))
        return
    fill = lane.window.tokens()
    force(lane, why=f"the endpoint refused {fill:,} tokens as too many", reason="overflow")


def after_refusal(lane: Lane) -> None:
    """Halve the window of a run that paused because it was refused, so that the same one is not sent again. Its size
    may not have been the reason, so it sets no limit."""
    if lane.window.groups():
        force(lane, why="this window was refused when the run paused", halves=True)


def force(
    lane: Lane, *, why: str, reason: Literal["compaction", "overflow"] = "compaction", halves: bool = False
) -> None:
    """Close the epoch without asking: by masking if that is enough, else the oldest exchanges leave too."""
    window = lane.window
    groups = window.groups()
    fixed = window.size - sum(group.size for group in groups)
    room = FORCED_SHARE * limit(lane) * _bytes_per_token(lane) - fixed
    if halves or reason == "overflow":  # of what the endpoint refused at least half of the exchanges' bytes have to go
        room = min(room, (window.size - fixed) / 2)
    dropped, masked = plan_forced(window, room)
    close(lane, "automatic", why=why, dropped=dropped, masked=masked, reason=reason)


def _old(lane: Lane) -> int:
    """How many exchanges are older than those that stay as they are."""
    groups = lane.window.groups()
    return len(groups) - len(choose_tail(groups, thresholds(lane), _bytes_per_token(lane)))


def _named(lane: Lane) -> int:
    """How many exchanges the last request for a checkpoint named as about to leave."""
    window, leaves = lane.window, lane.notebook.leaves
    return sum(max(window.seqs[group.start : group.end]) <= leaves for group in window.groups())


def limit(lane: Lane) -> int:
    """Tokens the window may hold: what settings and endpoint allow, and less than the endpoint ever refused."""
    profile = lane.model.profile
    reply = min(profile.output_tokens, profile.context_tokens // 4)
    wanted = lane.run.settings.window_tokens or min(LARGEST_WINDOW, profile.quality_tokens)
    most = min(wanted, profile.context_tokens - reply)
    return min(most, int(0.8 * lane.window.overflow_tokens)) if lane.window.overflow_tokens else most


def thresholds(lane: Lane) -> Thresholds:
    """The window sizes that matter, from the limit, the prices and the measured rework."""
    rework, rates, most = lane.notebook.rework, _rates(lane), limit(lane)
    known = rates if rates.are_known else Rates()
    price = rework_price(rework.tokens, rework.turns, min(most, 120_000) / 4, _turn_tokens(lane), known)
    return Thresholds.within(most, rates, price)


def close(
    lane: Lane,
    stage: Literal["mask", "checkpoint", "automatic"],
    *,
    why: str,
    dropped: int,
    masked: int,
    rejected: Sequence[str] = (),
    reason: Literal["compaction", "overflow"] = "compaction",
) -> None:
    """Close the epoch: the oldest `dropped` exchanges leave the window, and the outputs of the next `masked` ones."""
    window = lane.window
    plan = plan_close(window, lane.notebook, stage=stage, dropped=dropped, masked=masked, rejected=rejected)
    lane.record(
        EpochStarted(
            reason=reason,
            system=prompt("system"),
            tools=lane.run.tools.decode(),
            user=first_message(lane, plan.notebook),
            kept=plan.kept,
            changed=plan.changed,
            stage=stage,
            stubs=plan.notebook.stubs,
            facts=plan.notebook.shown_facts,
            rejected=list(rejected),
            fill=window.tokens(),
            why=why,
        )
    )


def first_message(lane: Lane, notebook: Notebook) -> str:
    """The first message of a lane's next epoch: all that the model reads of the run is rendered here."""
    run = lane.run
    return render_first_message(
        run.state,
        budget.stated_deadline(run.state),
        budget.describe(run.settings),
        notebook,
        lane=lane.number,
        situation=describe_situation(lane),
        workspace=WorkspaceView(read_notes(lane), list_files(lane.sandbox.paths.workspace), limit(lane)),
    )


def decide_now(lane: Lane, *, added: int = 0, is_cold: bool = False, may_ask: bool = True) -> Decision:
    """Decide on the window as it would be with `added` more bytes."""
    window, notebook = lane.window, lane.notebook
    ratio, marks = _bytes_per_token(lane), thresholds(lane)
    fill = window.tokens() + int(added / ratio)
    if fill < marks.low:
        return Decision("none", why="the window is small enough")
    groups = window.groups()
    kept = choose_tail(groups, marks, ratio)
    tail = sum(group.size for group in kept) + added
    fixed, head = len(window.system) + len(window.tools), len(window.messages[0])
    start = kept[0].start if kept else len(window.messages)
    old = masked_size(window.messages[1:start])
    written = sum(map(len, notebook.stubs))
    return decide(
        Figures(
            fill=fill,
            stable=int((fixed + max(0, window.messages[0].rfind(STATE_HEADING.encode()))) / ratio),
            after_mask=int((fixed + head + old + tail) / ratio),
            after_checkpoint=int((fixed + head - written + WORDS_BYTES + tail) / ratio),
            turns_left=turns_left(lane),
            rates=_rates(lane),
            rework_tokens=notebook.rework.tokens,
            rework_turns=notebook.rework.turns,
            turn_tokens=_turn_tokens(lane),
            masks_since=notebook.masks_since,
            is_boundary=notebook.is_boundary,
            is_cold=is_cold,
            may_ask=may_ask,
        ),
        marks,
    )


def _rates(lane: Lane) -> Rates:
    prices = lane.model.profile.prices
    return Rates(prices.input, prices.cached, prices.output)


def _turn_tokens(lane: Lane) -> float:
    state = lane.run.state
    return state.completion_tokens / max(1, state.turns)


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
