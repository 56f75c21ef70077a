"""How long a client waits for an endpoint, and how often it asks again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    """Timeouts in seconds, and how many identical failures count as permanent.

    `stall` seconds without a byte end a try. After `paid_tries` replies that were cut off and may be billed, the call
    fails; free ones may be four times as many. After `max_repeats` equal failures that the request itself may cause
    (the same 500, an empty answer, a web page) a short request tests whether it does. An endpoint that has answered
    before is not given up for a refusal: `refused` seconds for a request that it does not take (400, 422), `denied`
    seconds for any other, which is mostly about a key or an address (401, 403, 404).
    """

    stall: float = 300.0
    connect: float = 10.0
    first_wait: float = 1.0
    longest_wait: float = 120.0
    paid_tries: int = 4
    max_repeats: int = 4
    refused: float = 600.0
    denied: float = 1800.0
