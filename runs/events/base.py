"""The envelope of an event: what every line of a journal carries, whatever its kind."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic_core import from_json

Audience = Literal["model", "people"]


def parse_json(text: bytes | str) -> Any:
    """The value of a JSON text. Raises ValueError."""
    try:
        return from_json(text)
    except ValueError:
        # The fast reader refuses half surrogate pairs; they are rare and were recorded, so they are read.
        return json.loads(text)


class Event(BaseModel):
    """What every event carries. The journal fills in `seq`, `at`, `mono` and `prev` when it appends.

    `at` is UTC in ISO form, `mono` seconds on a monotonic clock since the writing process began, `attempt` the
    attempt it belongs to (0: none), `lane` the lane (0: the first). Events for `people` are never in a window and never
    found by `recall`. `prev` is the start of the previous line's sha256: it shows accidents, not forgery.
    Fields that this version does not know are kept (`model_extra`).
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    seq: int = -1
    at: str = ""
    mono: float = 0.0
    attempt: int = 0
    lane: int = 0
    audience: Audience = "model"
    prev: str = ""

    @property
    def unknown_fields(self) -> tuple[str, ...]:
        """Names of fields that a newer version wrote."""
        return tuple(sorted(self.model_extra or ()))
