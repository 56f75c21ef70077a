"""Events of the model's window: its epochs, checkpoints, and decisions about compaction."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runs.events.base import Audience, Event


class EpochStarted(Event):
    """A new epoch of the window. `system` and `tools` are its first layer, `user` the only user message.

    `keeps_tail`: only the first message changed (a resume), and the turns so far stay in the window. `tail`, where set,
    is the rest of the window instead: one message a line, as JSON (a repaired history). `kept`, where it is not
    negative, is how many of the last messages stay; `changed` then holds one line for each of the first of them: the
    message as it is now (a masked output, a shorter thought), `-` for one that is gone, or nothing for one that stays
    as it is.

    Where the window was shortened (`stage`: `mask` if only outputs left, `checkpoint` with the model's notes,
    `automatic` by code because no notes came; `stub` in older journals), `stubs` and `facts` are all lines that replace
    what left, `rejected` what did not work, `fill` the tokens of the window before, and `why` the figures that decided.
    """

    kind: Literal["epoch_started"] = "epoch_started"
    reason: Literal["attempt", "resume", "overflow", "compaction", "repaired"]
    system: str
    tools: str
    user: str
    keeps_tail: bool = False
    tail: str = ""
    kept: int = -1
    changed: str = ""
    stage: Literal["", "mask", "stub", "checkpoint", "automatic"] = ""
    stubs: list[str] = Field(default_factory=list)
    facts: list[str] = Field(default_factory=list)
    rejected: list[str] = Field(default_factory=list)
    fill: int = 0
    why: str = ""


class CheckpointTaken(Event):
    """The model's notes on the epoch that closes, from its `checkpoint` call.

    `todo` holds every open to-do with its id (`todo-3: …`; `T3: …` in old records), `completed` those that the model
    had left out and code put back. `turn` and `call` say which call it was; `closes` whether the epoch closes with it.
    """

    kind: Literal["checkpoint_taken"] = "checkpoint_taken"
    call: str
    turn: int
    done: list[str] = Field(default_factory=list)
    decided: list[str] = Field(default_factory=list)
    todo: list[str] = Field(default_factory=list)
    completed: list[str] = Field(default_factory=list)
    closes: bool = False


class CompactionConsidered(Event):
    """Why the window is about to be compacted, or (`none`) stays although it is large: tokens before and after, and
    the two sides of the inequality. Of the second kind only a sample is recorded."""

    kind: Literal["compaction_considered"] = "compaction_considered"
    audience: Audience = "people"
    stage: Literal["none", "mask", "stub", "checkpoint", "automatic"]
    fill: int
    target: int
    turns_left: float
    saving: float
    price: float
    why: str


class WindowGivenUp(Event):
    """The endpoint refuses the window and it cannot be repaired: the attempt ends."""

    kind: Literal["window_given_up"] = "window_given_up"
    audience: Audience = "people"
    why: Literal["too_large", "poisoned"]


class CacheAlarm(Event):
    """The endpoint's count of cached tokens differs from ours: `provider` and `local` are shares (0 to 1) over `calls`
    calls."""

    kind: Literal["cache_alarm"] = "cache_alarm"
    audience: Audience = "people"
    provider: float
    local: float
    calls: int
    message: str
