"""A chat server that behaves like an engine: the M2.7 template's rule on thinking, and a block-hash prefix cache.

What it reports as cached was really found, block by block, among the prompts it had rendered before; what it renders is
what the template would. Tokens are `BYTES_A_TOKEN` bytes each, so that a window's size is known without a tokenizer.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.servers.chat_server import ChatServer, Message, Received, Script

BLOCK_TOKENS = 16
BYTES_PER_TOKEN = 4
BLOCK_BYTES = BLOCK_TOKENS * BYTES_PER_TOKEN


@dataclass(frozen=True)
class Rendered:
    """A prompt as the model reads it, with how many thoughts were sent and how many the template kept."""

    text: bytes
    thoughts_sent: int
    thoughts_kept: int


def render(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()) -> Rendered:
    """Render as M2.7's template does: tools first, then system; thinking only behind the last user message; a later
    system message is dropped; results follow their calls."""
    last_user = max((place for place, one in enumerate(messages) if one["role"] == "user"), default=-1)
    parts = ["]~!b[]~b]system\n", *(f"<tool>{json.dumps(tool, ensure_ascii=False)}</tool>\n" for tool in tools)]
    sent = kept = 0
    for place, message in enumerate(messages):
        role, content = message["role"], str(message.get("content") or "")
        if role == "system":
            parts.append(f"{content}[e~[\n" if place == 0 else "")
        elif role == "assistant":
            thought = _thought(message)
            is_kept = bool(thought) and place > last_user
            sent, kept = sent + bool(thought), kept + is_kept
            parts.append(
                f"]~b]ai\n{f'<think>{chr(10)}{thought}{chr(10)}</think>{chr(10)}{chr(10)}' if is_kept else ''}"
            )
            parts.append(f"{content}{_calls(message)}[e~[\n")
        elif role == "tool":
            if not place or messages[place - 1]["role"] not in ("assistant", "tool"):
                raise ValueError("tool call result does not follow tool call (2013)")
            parts.append(f"]~b]tool\n<response>{content}</response>[e~[\n")
        else:
            parts.append(f"]~b]user\n{content}[e~[\n")
    return Rendered("".join([*parts, "]~b]ai\n<think>\n"]).encode(), sent, kept)


def tokens_of(text: bytes) -> int:
    """How many tokens some rendered bytes are."""
    return -(-len(text) // BYTES_PER_TOKEN)


@dataclass
class BlockCache:
    """Full blocks of 16 tokens, each known by its bytes and all before it; the least used goes first.

    `blocks` bounds how many are kept, `seconds` how long one lives without being used.
    """

    blocks: int = 400_000
    seconds: float = float("inf")
    clock: Callable[[], float] = time.monotonic
    _known: OrderedDict[int, float] = field(default_factory=OrderedDict)

    def cached_tokens(self, text: bytes) -> int:
        """How many tokens of a prompt are in the cache now; all its full blocks are in it afterwards."""
        now, parent, found, is_whole = self.clock(), 0, 0, True
        for start in range(0, len(text) - BLOCK_BYTES + 1, BLOCK_BYTES):
            parent = hash((parent, text[start : start + BLOCK_BYTES]))
            used = self._known.get(parent)
            is_whole = is_whole and used is not None and now - used <= self.seconds
            found += is_whole
            self._known[parent] = now
            self._known.move_to_end(parent)
        while len(self._known) > self.blocks:
            self._known.popitem(last=False)
        return found * BLOCK_TOKENS


@dataclass(frozen=True)
class Served:
    """One prompt as it was computed: tokens, of them cached, tokens written, the thoughts sent and kept, and whether it
    `extends` the one before."""

    prompt: int
    cached: int
    completion: int
    thoughts_sent: int
    thoughts_kept: int
    extends: bool

    def dollars(self, uncached: float = 0.30, cached: float = 0.06, output: float = 1.20) -> float:
        """Its price at M2.7's prices."""
        return ((self.prompt - self.cached) * uncached + self.cached * cached + self.completion * output) / 1e6


@dataclass
class Engine:
    """The engine behind a server: answers a script's replies with usage that was really computed.

    `context_tokens`, where set, is the longest prompt it takes; a longer one is refused as an engine refuses it.
    """

    script: Script
    cache: BlockCache = field(default_factory=BlockCache)
    context_tokens: int | None = None
    served: list[Served] = field(default_factory=list)
    _last: list[Any] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: dict[str, Any]) -> Message:
        """The reply to a request, with its usage."""
        with self._lock:
            rendered = render(request["messages"], request.get("tools") or ())
            message = self.script(request)
            written = tokens_of(render([{"role": "assistant", **message}]).text) - 10
            one = Served(
                tokens_of(rendered.text),
                self.cache.cached_tokens(rendered.text),
                written,
                rendered.thoughts_sent,
                rendered.thoughts_kept,
                request["messages"][: len(self._last)] == self._last,
            )
            self._last = request["messages"]
            self.served.append(one)
            usage = {"prompt_tokens": one.prompt, "completion_tokens": written, "total_tokens": one.prompt + written}
            return {**message, "usage": {**usage, "prompt_tokens_details": {"cached_tokens": one.cached}}}

    def faults(self, request: dict[str, Any]) -> str:
        """The fault a request is answered with: the refusal of what is too long, else none."""
        if self.context_tokens is None:
            return ""
        size = tokens_of(render(request["messages"], request.get("tools") or ()).text)
        return "400_overflow" if size > self.context_tokens else ""


def engine_server(engine: Engine) -> ChatServer:
    """A server on loopback with this engine behind it."""
    return ChatServer(engine, faults=engine.faults, piece=100_000, received=_LastOnes())


class _LastOnes(list[Received]):
    """The last requests only: a long run sends hundreds of megabytes."""

    def append(self, one: Received) -> None:
        super().append(one)
        del self[:-4]


def _thought(message: Mapping[str, Any]) -> str:
    details = message.get("reasoning_details")
    if isinstance(details, list):
        return "".join(str(part.get("text") or "") for part in details)
    return str(message.get("reasoning_content") or message.get("reasoning") or "")


def _calls(message: Mapping[str, Any]) -> str:
    calls = message.get("tool_calls") or []
    if not calls:
        return ""
    told = "".join(
        f'<invoke name="{call["function"]["name"]}">{call["function"]["arguments"]}</invoke>\n' for call in calls
    )
    return f"\n<minimax:tool_call>\n{told}</minimax:tool_call>"
