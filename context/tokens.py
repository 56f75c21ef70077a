"""Token counts without a tokenizer: the endpoint's own count as the base, an estimate for what it has not seen yet.

Machine-learning text (float tables, logs, JSON) has 1.4 to 2.5 characters a token, prose and code up to 5, so bytes
divided by three is a middle that errs on the safe side for what fills a window here.
"""

from __future__ import annotations

BYTES_PER_TOKEN = 3.0


def estimate_tokens(size: int) -> int:
    """Tokens that `size` bytes of text come to, rounded up."""
    return -int(-size // BYTES_PER_TOKEN)


def bytes_for(tokens: int) -> int:
    """Bytes of text that fit into `tokens`."""
    return int(tokens * BYTES_PER_TOKEN)
