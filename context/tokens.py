"""Token counts without a tokenizer: the endpoint's last count plus an estimate for the text added since.

Machine-learning text (float tables, logs, JSON) has 1.4 to 2.5 characters per token, prose and code up to 5. Three
bytes per token is a middle value that errs on the safe side for tables and logs. Each count that an endpoint sends
with a reply fits the estimate to its tokenizer and to this run's text.
"""

from __future__ import annotations

from dataclasses import dataclass

BYTES_PER_TOKEN = 3.0
LEAST, MOST = 1.2, 8.0
"""Bounds of a fitted number of bytes per token."""
WEIGHT = 0.25
"""Weight of the latest count against all earlier ones."""
ENOUGH_BYTES = 400
"""Shorter additions are too noisy to fit from."""


def estimate_tokens(size: int, bytes_per_token: float = BYTES_PER_TOKEN) -> int:
    """Estimated tokens of `size` bytes of text, rounded up."""
    return -int(-size // bytes_per_token)


def bytes_for(tokens: int) -> int:
    """Bytes of text that fit into `tokens`."""
    return int(tokens * BYTES_PER_TOKEN)


@dataclass
class TokenFit:
    """Bytes per token for one endpoint and run, fitted to its own counts.

    The first count of an epoch covers the whole window; later ones are compared with the count before, so that they
    cover what was added.
    """

    bytes_per_token: float = BYTES_PER_TOKEN
    counts: int = 0
    _size: int = 0
    _tokens: int = 0

    def restart(self) -> None:
        """Start a new epoch: the next count covers the whole window."""
        self._size = self._tokens = 0

    def learn(self, size: int, tokens: int) -> None:
        """Fit to an endpoint's count of `tokens` for a window of `size` bytes."""
        added, new = size - self._size, tokens - self._tokens
        self._size, self._tokens = size, tokens
        if added < ENOUGH_BYTES or new <= 0:
            return
        measured = min(MOST, max(LEAST, added / new))
        self.counts += 1
        weight = max(WEIGHT, 1 / self.counts)
        self.bytes_per_token += weight * (measured - self.bytes_per_token)

    def estimate(self, size: int) -> int:
        """Estimated tokens of `size` bytes of new text, rounded up."""
        return estimate_tokens(size, self.bytes_per_token)
