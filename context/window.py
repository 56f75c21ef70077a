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
from typing import Any

from context.tokens import TokenFit
from runs.events.registry import EpochStarted, Event, ModelAsked, ModelReplied, Reminded, ToolFinished

PROMPTS = Path(__file__).parent / "prompts"
NOTE_CALL = "harness_note"
"""The marked call that is added to a reply without one, so that the harness can answer it."""
LOST = "The result of this call was lost. Look at the workspace before you make it again."


@cache
def prompt(name: str) -> str:
    """The text of one prompt file."""
    return (PROMPTS / f"{name}.md").read_text(encoding="utf-8").strip()


def message_bytes(role: str, content: str, **fields: Any) -> bytes:
    """One message as it goes over the wire: compact JSON, UTF-8, lone surrogates replaced."""
    return _encode(json.dumps({"role": role, **fields, "content": content}, ensure_ascii=False, separators=(",", ":")))


def _encode(text: str) -> bytes:
    return text.encode("utf-8", errors="replace")


@dataclass(frozen=True)
class Group:
    """One whole exchange of the tail: where it begins and ends among the messages, and its size in bytes."""

    start: int
    end: int
    size: int


@dataclass
class Window:
    """The messages of the open epoch. `apply` keeps it up to date event by event.

    `roles` and `seqs` stand beside `messages`: who said each, and the number of its event (-1: none of its own).
    """

    system: bytes = b""
    tools: bytes = b"[]"
    messages: list[bytes] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    size: int = 0
    breaches: int = 0
    overflow_tokens: int = 0
    """The smallest window that the endpoint ever found too large (0: none)."""
    counted_tokens: int = 0
    counted_size: int = 0
    fit: TokenFit = field(default_factory=TokenFit)
    _chain: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)
    _sent: list[bytes] = field(default_factory=list)
    _sent_head: tuple[bytes, bytes] = (b"", b"")

    def apply(self, event: Event) -> None:
        """Take one more event into account; most kinds are not for the window."""
        if isinstance(event, EpochStarted):
            self._start_epoch(event)
        elif isinstance(event, ModelReplied):
            self._reply(event)
        elif isinstance(event, ToolFinished):
            self._answer(event.call, event.content, event.seq)
        elif isinstance(event, Reminded):
            self._nudge(event)
        elif isinstance(event, ModelAsked):
            self.breaches += self.digest(event.messages) != event.digest
            self._sent, self._sent_head = self.messages[: event.messages], (self.system, self.tools)

    def digest(self, count: int | None = None) -> str:
        """Digest of the first `count` messages (all of them unless told); empty if there are not so many."""
        position = len(self._chain) if count is None else count
        return self._chain[position - 1] if 0 < position <= len(self._chain) else ""

    def breaks_prefix(self, last: ModelAsked | None) -> bool:
        """Whether what was sent last in this epoch is no longer a prefix of what would be sent now."""
        return last is not None and self.digest(last.messages) != last.digest

    def reused(self) -> int:
        """How many bytes of the next request began the last one as well, whatever epochs lie between."""
        if self._sent_head != (self.system, self.tools):
            return 0
        shared = len(self.system) + len(self.tools)
        for old, new in zip(self._sent, self.messages, strict=False):
            if old is not new and old != new:
                return shared + _common(old, new)
            shared += len(new)
        return shared

    def tokens(self) -> int:
        """Tokens of the next request: the endpoint's last count plus an estimate of what came since."""
        return self.counted_tokens + self.fit.estimate(self.size - self.counted_size)

    def groups(self) -> list[Group]:
        """The exchanges of the tail, oldest first: each begins with a reply and holds all that answers it."""
        starts = [place for place, role in enumerate(self.roles) if place and role == "assistant"]
        ends = [*starts[1:], len(self.messages)] if starts else []
        return [Group(a, b, sum(map(len, self.messages[a:b]))) for a, b in zip(starts, ends, strict=True)]

    def _start_epoch(self, event: EpochStarted) -> None:
        tail = list(zip(self.messages, self.roles, self.seqs, strict=True))[1:]
        if event.kept >= 0:
            tail = tail[len(tail) - min(event.kept, len(tail)) :]
            while tail and tail[0][1] == "tool":  # a result whose call has left would be refused
                tail = tail[1:]
        elif not event.keeps_tail:
            told = [_encode(line) for line in event.tail.split("\n") if line]
            tail = [(message, str(json.loads(message).get("role")), -1) for message in told]
        if not any(role == "assistant" for _, role, _ in tail) or (event.kept < 0 and not event.keeps_tail):
            self._open = []
        if event.reason == "overflow" and event.fill:
            self.overflow_tokens = min(self.overflow_tokens or event.fill, event.fill)
        self.system = message_bytes("system", event.system)
        self.tools = event.tools.encode()
        self.messages, self.roles, self.seqs, self._chain = [], [], [], []
        self.size, self.counted_tokens, self.counted_size = len(self.system) + len(self.tools), 0, 0
        self.fit.restart()
        for message, role, seq in [(message_bytes("user", event.user), "user", event.seq), *tail]:
            self._add(message, role, seq)

    def _reply(self, event: ModelReplied) -> None:
        # The endpoint counted all it was sent; what it answered is the first thing to estimate on top.
        # No tokenizer makes more tokens than there are bytes: a count above that (a running total, say) is no count.
        if event.usage.prompt > self.size:
            self.counted_tokens, self.counted_size = self.fit.estimate(self.size), self.size
        else:
            self.counted_tokens, self.counted_size = event.usage.prompt, self.size
            if not event.usage.estimated:
                self.fit.learn(self.size, event.usage.prompt)
        self._answer_open()
        self._add(_encode(event.message), "assistant", event.seq)
        self._open = [call.id for call in event.calls]

    def _answer(self, call: str, content: str, seq: int) -> None:
        if call in self._open:
            self._open.remove(call)
            self._add(message_bytes("tool", content, tool_call_id=call), "tool", seq)

    def _answer_open(self) -> None:
        """The loop leaves no call open; if one is all the same, a server would refuse the history for good."""
        for call in self._open:
            self._add(message_bytes("tool", LOST, tool_call_id=call), "tool", -1)
        self._open = []

    def _nudge(self, event: Reminded) -> None:
        """The harness speaks after a reply without calls. Marking that reply with a call keeps the words out of a
        user message; the reply was not sent yet, so no prefix changes."""
        if not event.call or not self.roles or self.roles[-1] != "assistant" or self._open:
            self._answer_open()
            self._add(message_bytes("user", event.text), "user", event.seq)
            return
        reply, seq = json.loads(self.messages[-1]), self.seqs[-1]
        call = {"id": event.call, "type": "function", "function": {"name": NOTE_CALL, "arguments": "{}"}}
        marked = json.dumps({**reply, "tool_calls": [call]}, ensure_ascii=False, separators=(",", ":"))
        self.size -= len(self.messages[-1])
        for beside in (self.messages, self.roles, self.seqs, self._chain):
            beside.pop()
        self._add(_encode(marked), "assistant", seq)
        self._add(message_bytes("tool", event.text, tool_call_id=event.call), "tool", event.seq)

    def _add(self, message: bytes, role: str, seq: int) -> None:
        previous = self._chain[-1] if self._chain else hashlib.sha256(self.system + self.tools).hexdigest()
        self.messages.append(message)
        self.roles.append(role)
        self.seqs.append(seq)
        self.size += len(message)
        self._chain.append(hashlib.sha256(previous.encode() + message).hexdigest()[:32])


def _common(one: bytes, other: bytes) -> int:
    """How many bytes two texts begin with alike."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
