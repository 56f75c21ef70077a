"""How long a client waits for an endpoint, and how often it asks again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    """Timeouts in seconds, and how many identical failures count as permanent.

    `stall` seconds without a byte end a try. After `cut_replies` truncated replies, each of which may be billed, the
    call fails. After `max_repeats` equal failures that the request itself may cause (the same 500, an empty answer, a
    web page) a short request tests whether it does.
    """

    stall: float = 300.0
    connect: float = 10.0
    first_wait: float = 1.0
    longest_wait: float = 120.0
    cut_replies: int = 8
    max_repeats: int = 4
