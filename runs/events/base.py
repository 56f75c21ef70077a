"""The envelope of an event: what every line of a journal carries, whatever its kind."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Audience = Literal["model", "people"]


class Event(BaseModel):
    """What every event carries.

    `at` is UTC in ISO form, `mono` seconds on a monotonic clock since the writing process began, `attempt` the
    attempt it belongs to (0: none). `audience` says who may ever see it: `people` events are never in a window
    and never found by `recall`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seq: int = -1
    at: str = ""
    mono: float = 0.0
    attempt: int = 0
    audience: Audience = "model"
