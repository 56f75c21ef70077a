"""Token counts without a tokenizer: the endpoint's own count as the base, an estimate for what it has not seen yet.

Machine-learning text (float tables, logs, JSON) has 1.4 to 2.5 characters a token, prose and code up to 5, so bytes
divided by three is a middle that errs on the safe side for what fills a window here. Each count that an endpoint
sends with a reply fits the estimate to its tokenizer and to this run's text.
"""

from __future__ import annotations

from dataclasses import dataclass

BYTES_PER_TOKEN = 3.0
LEAST, MOST = 1.2, 8.0
WEIGHT = 0.25
"""How much the latest count says against all before."""
ENOUGH_BYTES = 400
"""A shorter piece of text says nothing about a tokenizer."""


def estimate_tokens(size: int, bytes_per_token: float = BYTES_PER_TOKEN) -> int:
    """Tokens that `size` bytes of text come to, rounded up."""
    return -int(-size // bytes_per_token)


def bytes_for(tokens: int) -> int:
    """Bytes of text that fit into `tokens`."""
    return int(tokens * BYTES_PER_TOKEN)


@dataclass
class TokenFit:
    """Bytes a token for one endpoint and run, fitted to its own counts.

    `bytes_per_token` is for new text. The first count of an epoch tells it of the whole window, later ones of what was
    added since the count before.
    """

    bytes_per_token: float = BYTES_PER_TOKEN
    counts: int = 0
    _size: int = 0
    _tokens: int = 0

    def restart(self) -> None:
        """A new epoch: what follows is no longer an addition to what was counted last."""
        self._size = self._tokens = 0

    def learn(self, size: int, tokens: int) -> None:
        """An endpoint counted `tokens` for a window of `size` bytes."""
        added, new = size - self._size, tokens - self._tokens
        self._size, self._tokens = size, tokens
        if added < ENOUGH_BYTES or new <= 0:
            return
        found = min(MOST, max(LEAST, added / new))
        self.counts += 1
        weight = max(WEIGHT, 1 / self.counts)
        self.bytes_per_token += weight * (found - self.bytes_per_token)

    def estimate(self, size: int) -> int:
        """Tokens that `size` bytes of new text come to, rounded up."""
        return estimate_tokens(size, self.bytes_per_token)
