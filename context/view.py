"""The window: what the model sees, as a projection of events to message bytes.

Each message is serialised once. Within an epoch the window only grows, so the bytes of one request are a prefix of
the next one's; a chain of digests over the messages proves it on every send and again on every resume.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from context import memory
from context.tokens import estimate_tokens
from runs.events import EpochStarted, Event, ModelAsked, ModelReplied, Nudged, ToolFinished
from runs.state import State

PROMPTS = Path(__file__).parent / "prompts"


@cache
def prompt(name: str) -> str:
    """The text of one prompt file."""
    return (PROMPTS / f"{name}.md").read_text(encoding="utf-8").strip()


def message_bytes(role: str, content: str, **fields: Any) -> bytes:
    """One message as it goes over the wire: compact JSON, UTF-8, lone surrogates replaced."""
    text = json.dumps({"role": role, **fields, "content": content}, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", errors="replace")


def render_head(state: State, deadline: str, limits: str) -> str:
    """The text of the one user message: task card, budget, memory, and last the state of the run."""
    return Template(prompt("user")).substitute(
        card=state.card.strip(),
        deadline=deadline,
        limits=limits,
        memory=memory.chain(state),
        state=memory.standing(state),
    )


@dataclass
class Window:
    """The messages of the open epoch. `apply` keeps it up to date event by event."""

    system: bytes = b""
    tools: bytes = b"[]"
    messages: list[bytes] = field(default_factory=list)
    size: int = 0
    breaches: int = 0
    is_too_large: bool = False
    """The endpoint refused this epoch's window for its size."""
    is_poisoned: bool = False
    """The endpoint rejects something in this epoch's history, and it could not be mended."""
    counted_tokens: int = 0
    counted_size: int = 0
    _chain: list[str] = field(default_factory=list)

    def apply(self, event: Event) -> None:
        """Take one more event into account; most kinds are not for the window."""
        if isinstance(event, EpochStarted):
            self._start_epoch(event)
        elif isinstance(event, ModelReplied):
            # The endpoint counted all it was sent; what it answered is the first thing to estimate on top.
            self.counted_tokens, self.counted_size = event.usage.prompt, self.size
            self._add(event.message.encode("utf-8", errors="replace"))
        elif isinstance(event, ToolFinished):
            self._add(message_bytes("tool", event.content, tool_call_id=event.call))
        elif isinstance(event, Nudged):
            self._add(message_bytes("user", event.text))
        elif isinstance(event, ModelAsked):
            self.breaches += self.digest(event.messages) != event.digest

    def digest(self, count: int | None = None) -> str:
        """Digest of the first `count` messages (all of them unless told); empty if there are not so many."""
        position = len(self._chain) if count is None else count
        return self._chain[position - 1] if 0 < position <= len(self._chain) else ""

    def breaks_prefix(self, last: ModelAsked | None) -> bool:
        """Whether what was sent last in this epoch is no longer a prefix of what would be sent now."""
        return last is not None and self.digest(last.messages) != last.digest

    def tokens(self) -> int:
        """Tokens of the next request: the endpoint's last count plus an estimate of what came since."""
        return self.counted_tokens + estimate_tokens(self.size - self.counted_size)

    def _start_epoch(self, event: EpochStarted) -> None:
        told = [line.encode("utf-8", errors="replace") for line in event.tail.split("\n") if line]
        tail = self.messages[1:] if event.keeps_tail else told
        self.system = message_bytes("system", event.system)
        self.tools = event.tools.encode()
        self.messages, self._chain = [], []
        self.is_too_large = self.is_poisoned = False
        self.size, self.counted_tokens, self.counted_size = len(self.system) + len(self.tools), 0, 0
        for message in [message_bytes("user", event.user), *tail]:
            self._add(message)

    def _add(self, message: bytes) -> None:
        previous = self._chain[-1] if self._chain else hashlib.sha256(self.system + self.tools).hexdigest()
        self.messages.append(message)
        self.size += len(message)
        self._chain.append(hashlib.sha256(previous.encode() + message).hexdigest()[:32])
