"""What an `[endpoints.NAME]` table adds to every request. Values are never recorded or printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Extras:
    """Headers and query of every request. `key_header` is the header that carries the key instead of Authorization."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    key_header: str = ""

    def headers_with(self, api_key: str) -> dict[str, str]:
        """The headers, with the key in the one that carries it."""
        carrier = {self.key_header or "Authorization": api_key if self.key_header else f"Bearer {api_key}"}
        return {**self.headers, **(carrier if api_key else {})}
