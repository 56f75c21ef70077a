"""A call to the model in progress: its request, its deadline, and counts of its tries so far."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.endpoint.request_body import Body

OnWait = Callable[[str, float, float], object]
"""Gets the failure, the seconds of the wait, and the estimated cost in dollars; it may raise to stop."""


@dataclass
class PendingRequest:
    """A call in progress. Times are in seconds, costs in dollars; counts are those of its tries so far."""

    system: bytes
    tools: bytes
    messages: Sequence[bytes]
    wall_seconds: float
    on_wait: OnWait | None
    on_bytes: Callable[[int], None]
    on_again: Callable[[], object]
    on_finding: Callable[[str], object]
    begun: float = field(default_factory=time.monotonic)
    body: Body = field(default_factory=lambda: Body(b"", (), b""))
    tries: int = 0
    cuts: int = 0
    silent: int = 0
    refusals: int = 0
    waited: float = 0.0
    waited_for_refusals: float = 0.0
    lost_cost: float = 0.0
    reported_cost: float = 0.0
    may_spend: float = math.inf
    permanent_signs: int = 0
    output_tokens: int | None = None
    repeats: dict[str, int] = field(default_factory=dict)
    oddity: tuple[str, int] = ("", 0)
