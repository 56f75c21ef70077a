"""The window: the messages the model sees now, projected from events to bytes.

Each message is serialised once. Within an epoch the window only grows, so the bytes of one request are a prefix of
the next one's. A chain of digests over the messages checks this on every send and on every resume.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from context.tokens import TokenFit
from runs.events.registry import EpochStarted, Event, ModelAsked, ModelReplied, Reminded, ToolFinished

PROMPTS = Path(__file__).parent / "prompts"
NOTE_CALL = "harness_note"
"""Name of the call that is added to a reply without one, so that the harness can answer it with a tool result."""
LOST = "The result of this call was lost. Check the workspace before you call it again."
GONE = "-"
"""In `EpochStarted.changed`: this kept message is gone."""
NOTE_START, NOTE_END = "\n<harness>", "</harness>"


_PLAYBOOK: dict[str, str] = {}
"""The prompts of the run that this process plays, by name."""


def use_prompts(texts: Mapping[str, str]) -> None:
    """From now on `prompt` returns these texts; names that are not in them are read from the shipped files."""
    _PLAYBOOK.clear()
    _PLAYBOOK.update(texts)


def prompt(name: str) -> str:
    """The text of one prompt: that of the run's playbook, else the shipped one."""
    return _PLAYBOOK[name] if name in _PLAYBOOK else _shipped(name)


@cache
def _shipped(name: str) -> str:
    return (PROMPTS / f"{name}.md").read_text(encoding="utf-8").strip()


def message_bytes(role: str, content: str, **fields: Any) -> bytes:
    """One message as it is sent: compact JSON, UTF-8, lone surrogates replaced."""
    return _encode(json.dumps({"role": role, **fields, "content": content}, ensure_ascii=False, separators=(",", ":")))


def strip_harness_note(content: str) -> str:
    """A tool result without the note that the harness appended to it."""
    start = content.find(NOTE_START) if content.rstrip().endswith(NOTE_END) else -1
    return content if start < 0 else content[:start]


def _encode(text: str) -> bytes:
    return text.encode("utf-8", errors="replace")


@dataclass(frozen=True)
class Group:
    """One exchange: a reply and the results that answer it, as a range of messages with its size in bytes."""

    start: int
    end: int
    size: int


@dataclass
class Window:
    """The messages of the open epoch; `apply` updates it event by event.

    `roles` and `seqs` run parallel to `messages`: the role and the event number of each (-1: no event of its own).
    """

    system: bytes = b""
    tools: bytes = b"[]"
    messages: list[bytes] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    size: int = 0
    """Bytes of the next request."""
    breaches: int = 0
    """Requests whose messages did not match the digest recorded with them."""
    overflow_tokens: int = 0
    """Tokens of the smallest window that the endpoint refused as too large (0: none)."""
    counted_tokens: int = 0
    counted_size: int = 0
    fit: TokenFit = field(default_factory=TokenFit)
    _chain: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)
    _sent: list[bytes] = field(default_factory=list)
    _sent_head: tuple[bytes, bytes] = (b"", b"")

    def apply(self, event: Event) -> None:
        """Apply one event; most kinds do not change the window."""
        if isinstance(event, EpochStarted):
            self._start_epoch(event)
        elif isinstance(event, ModelReplied):
            self._add_reply(event)
        elif isinstance(event, ToolFinished):
            self._add_result(event.call, event.content, event.seq)
        elif isinstance(event, Reminded):
            self._add_reminder(event)
        elif isinstance(event, ModelAsked):
            self.breaches += self.digest(event.messages) != event.digest
            self._sent, self._sent_head = self.messages[: event.messages], (self.system, self.tools)

    def digest(self, count: int | None = None) -> str:
        """Digest of the first `count` messages (default: all); empty if there are fewer."""
        position = len(self._chain) if count is None else count
        return self._chain[position - 1] if 0 < position <= len(self._chain) else ""

    def breaks_prefix(self, last: ModelAsked | None) -> bool:
        """Whether the last request of this epoch is no longer a prefix of the next one."""
        return last is not None and self.digest(last.messages) != last.digest

    def reused(self) -> int:
        """Bytes at the start of the next request that the last request started with too, across epochs."""
        if self._sent_head != (self.system, self.tools):
            return 0
        shared = len(self.system) + len(self.tools)
        for old, new in zip(self._sent, self.messages, strict=False):
            if old is not new and old != new:
                return shared + _common_prefix(old, new)
            shared += len(new)
        return shared

    def tokens(self) -> int:
        """Tokens of the next request: the endpoint's last count plus an estimate for what was added since."""
        return self.counted_tokens + self.fit.estimate(self.size - self.counted_size)

    def groups(self) -> list[Group]:
        """The exchanges after the first message, oldest first."""
        starts = [index for index, role in enumerate(self.roles) if index and role == "assistant"]
        ends = [*starts[1:], len(self.messages)] if starts else []
        return [Group(a, b, sum(map(len, self.messages[a:b]))) for a, b in zip(starts, ends, strict=True)]

    def _start_epoch(self, event: EpochStarted) -> None:
        tail = self._tail_of(event)
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

    def _tail_of(self, event: EpochStarted) -> list[tuple[bytes, str, int]]:
        """Messages, roles and event numbers that a new epoch starts with after its first message."""
        tail = list(zip(self.messages, self.roles, self.seqs, strict=True))[1:]
        if event.kept >= 0:
            tail = tail[len(tail) - min(event.kept, len(tail)) :]
            tail = list(_change(tail, event.changed.split("\n") if event.changed else []))
            while tail and tail[0][1] == "tool":  # servers refuse a result without its call
                tail = tail[1:]
        elif not event.keeps_tail:
            known = {message: seq for message, _, seq in tail}
            messages = [_encode(line) for line in event.tail.split("\n") if line]
            tail = [(one, str(json.loads(one).get("role")), known.get(one, -1)) for one in messages]
        return tail

    def _add_reply(self, event: ModelReplied) -> None:
        # The endpoint counted the whole request; the reply is the first thing to be estimated on top of it.
        # A count above the number of bytes is impossible: some endpoints report a running total.
        if event.usage.prompt > self.size:
            self.counted_tokens, self.counted_size = self.fit.estimate(self.size), self.size
        else:
            self.counted_tokens, self.counted_size = event.usage.prompt, self.size
            if not event.usage.estimated:
                self.fit.learn(self.size, event.usage.prompt)
        self._answer_open()
        self._add(_encode(event.message), "assistant", event.seq)
        self._open = [call.id for call in event.calls]

    def _add_result(self, call: str, content: str, seq: int) -> None:
        if call in self._open:
            self._open.remove(call)
            self._add(message_bytes("tool", content, tool_call_id=call), "tool", seq)

    def _answer_open(self) -> None:
        """Answer calls that have no result. The loop leaves none, but a server would refuse the history for good."""
        for call in self._open:
            self._add(message_bytes("tool", LOST, tool_call_id=call), "tool", -1)
        self._open = []

    def _add_reminder(self, event: Reminded) -> None:
        """Answer a reply without calls. A call is added to that reply, so that the reminder is a tool result and not
        a second user message; the reply was not sent yet, so no prefix changes."""
        if not event.call or not self.roles or self.roles[-1] != "assistant" or self._open:
            self._answer_open()
            self._add(message_bytes("user", event.text), "user", event.seq)
            return
        reply, seq = json.loads(self.messages[-1]), self.seqs[-1]
        call = {"id": event.call, "type": "function", "function": {"name": NOTE_CALL, "arguments": "{}"}}
        marked = json.dumps({**reply, "tool_calls": [call]}, ensure_ascii=False, separators=(",", ":"))
        self.size -= len(self.messages[-1])
        for parallel in (self.messages, self.roles, self.seqs, self._chain):
            parallel.pop()
        self._add(_encode(marked), "assistant", seq)
        self._add(message_bytes("tool", event.text, tool_call_id=event.call), "tool", event.seq)

    def _add(self, message: bytes, role: str, seq: int) -> None:
        previous = self._chain[-1] if self._chain else hashlib.sha256(self.system + self.tools).hexdigest()
        self.messages.append(message)
        self.roles.append(role)
        self.seqs.append(seq)
        self.size += len(message)
        self._chain.append(hashlib.sha256(previous.encode() + message).hexdigest()[:32])


def _change(tail: list[tuple[bytes, str, int]], changed: list[str]) -> Iterator[tuple[bytes, str, int]]:
    """Kept messages with what an epoch changed of the first of them (see `EpochStarted`)."""
    lines = [*changed, *[""] * (len(tail) - len(changed))]
    for (message, role, seq), line in zip(tail, lines, strict=False):
        if line != GONE:
            yield (_encode(line) if line else message, role, seq)


def _common_prefix(left: bytes, right: bytes) -> int:
    """Length of the longest common prefix, by bisection (slices compare at C speed)."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[:middle] == right[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
