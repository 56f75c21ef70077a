"""The kinds of events that say what the model's window is, and why it was made smaller."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runs.events.base import Audience, Event


class EpochStarted(Event):
    """A new window head. `system` and `tools` are its first layer, `user` the only user message.

    `keeps_tail` is true where only the head changed (a resume) and the turns so far stay in the window. `tail`, where
    set, is the rest of the window instead: one message a line, as JSON (a history that was mended). `kept`, where it
    is not negative, is how many of the last messages stay instead.

    Where turns left the window (`stage`: `stub` by code, `checkpoint` with the model's words, `alone` by code because
    none came), `stubs` and `facts` are all lines that stand for them now, `rejected` what was found not to work, `fill`
    the tokens of the window before, and `why` the figures that decided.
    """

    kind: Literal["epoch_started"] = "epoch_started"
    reason: Literal["attempt", "resume", "overflow", "compaction", "healed"]
    system: str
    tools: str
    user: str
    keeps_tail: bool = False
    tail: str = ""
    kept: int = -1
    stage: Literal["", "stub", "checkpoint", "alone"] = ""
    stubs: list[str] = Field(default_factory=list)
    facts: list[str] = Field(default_factory=list)
    rejected: list[str] = Field(default_factory=list)
    fill: int = 0
    why: str = ""


class CheckpointTaken(Event):
    """The model's words for the epoch that closes, from its `checkpoint` call.

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


class WindowWeighed(Event):
    """Why the window is about to be made smaller, or (`none`) is left as it is although it is large: tokens before and
    after, and the two sides of the inequality. Of what is left as it is only a sample is on record."""

    kind: Literal["window_weighed"] = "window_weighed"
    audience: Audience = "people"
    stage: Literal["none", "stub", "checkpoint", "alone"]
    fill: int
    target: int
    turns_left: float
    saving: float
    price: float
    why: str


class WindowGivenUp(Event):
    """The endpoint refuses the window, and nothing can be done about it: the attempt ends."""

    kind: Literal["window_given_up"] = "window_given_up"
    audience: Audience = "people"
    why: Literal["too_large", "poisoned"]


class CacheAlarm(Event):
    """The endpoint's count of cached tokens and ours part: `provider` and `local` are shares, 0 to 1, over `calls`."""

    kind: Literal["cache_alarm"] = "cache_alarm"
    audience: Audience = "people"
    provider: float
    local: float
    calls: int
    message: str
