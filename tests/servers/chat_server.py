"""A chat-completions server on loopback: scripted replies, faults by name, every request kept.

It is bounded (its threads are daemons, each connection has a timeout) and stops with its `with` block.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Message = dict[str, Any]
Script = Callable[[dict[str, Any]], Message]
"""A function of the parsed request to an assistant message: `content`, a thinking field, `tool_calls`; it may also
hold `finish_reason` and `usage`, which are taken out of it."""

SHORT_LISTING: Message = {
    "reasoning_content": "Wir müssen sehen, what is there ☀️. First look, then think.",
    "content": "I look at the files first — café.",
    "tool_calls": [
        {"id": "call_a1", "type": "function", "function": {"name": "bash", "arguments": '{"command":"ls -la"}'}}
    ],
}


def list_files(_request: dict[str, Any]) -> Message:
    """The default script: always the same thought, sentence and call."""
    return dict(SHORT_LISTING)


@dataclass(frozen=True)
class Received:
    """A request as it came, and the fault it was answered with (empty: none)."""

    body: bytes
    headers: dict[str, str]
    fault: str
    path: str = ""

    @property
    def json(self) -> dict[str, Any]:
        """The body, parsed."""
        return dict(json.loads(self.body))


@dataclass
class Exchange:
    """One request under way, with the means to answer it well or badly."""

    handler: BaseHTTPRequestHandler
    request: dict[str, Any]
    message: Message
    piece: int
    stopped: threading.Event
    is_chunked: bool = False

    @property
    def usage(self) -> dict[str, Any]:
        """Tokens as this server counts them: four bytes each, half of the prompt cached."""
        prompt = len(json.dumps(self.request)) // 4 + 1
        written = len(json.dumps(self.message)) // 4 + 1
        told = {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}
        return self.message.get("usage") or {**told, "prompt_tokens_details": {"cached_tokens": prompt // 2}}

    @property
    def finish_reason(self) -> str:
        return str(self.message.get("finish_reason") or ("tool_calls" if self.message.get("tool_calls") else "stop"))

    def deltas(self) -> Iterator[dict[str, Any]]:
        """The message in pieces of `piece` characters, as deltas."""
        yield {"role": "assistant", "content": ""}
        for name in ("reasoning_content", "reasoning", "reasoning_details"):
            for text in self._cut(self.message.get(name)):
                yield {name: [{"type": "reasoning.text", "text": text}] if name == "reasoning_details" else text}
        for text in self._cut(self.message.get("content")):
            yield {"content": text}
        for index, call in enumerate(self.message.get("tool_calls") or []):
            function = {"name": call["function"]["name"], "arguments": ""}
            yield {"tool_calls": [{"index": index, "id": call["id"], "type": "function", "function": function}]}
            for text in self._cut(call["function"]["arguments"]):
                yield {"tool_calls": [{"index": index, "function": {"arguments": text}}]}

    def chunks(self) -> list[dict[str, Any]]:
        """The whole reply as the chunks of a well-behaved stream, usage last."""
        said = [self.chunk({"index": 0, "delta": delta, "finish_reason": None}) for delta in self.deltas()]
        end = self.chunk({"index": 0, "delta": {}, "finish_reason": self.finish_reason})
        return [*said, end, {**self.chunk(), "usage": self.usage}]

    def chunk(self, *choices: dict[str, Any] | None) -> dict[str, Any]:
        """One chunk with these choices."""
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": self.request.get("model")}
        return {**head, "choices": list(choices)}

    def document(self) -> dict[str, Any]:
        """The reply in one piece."""
        kept = {key: value for key, value in self.message.items() if key not in ("finish_reason", "usage")}
        choice = {"index": 0, "message": {"role": "assistant", **kept}, "finish_reason": self.finish_reason}
        return {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": self.usage}

    def answer(self, status: int, body: bytes | str | dict[str, Any], **headers: str) -> None:
        """A complete answer of known length; a dict is sent as JSON."""
        kind = "application/json" if isinstance(body, dict) else "text/html" if "<" in str(body)[:20] else "text/plain"
        data = json.dumps(body).encode() if isinstance(body, dict) else body.encode() if isinstance(body, str) else body
        self.handler.send_response(status)
        named = {"content-type": kind, "content-length": str(len(data))}
        for name, value in {**named, **{k.replace("_", "-"): v for k, v in headers.items()}}.items():
            self.handler.send_header(name, value)
        self.handler.end_headers()
        self.handler.wfile.write(data)

    def start(self, content_type: str = "text/event-stream") -> None:
        """Begin a streamed answer."""
        self.handler.send_response(200)
        self.handler.send_header("content-type", content_type)
        self.handler.send_header("transfer-encoding", "chunked")
        self.handler.end_headers()
        self.is_chunked = True

    def send(self, data: bytes) -> None:
        """Some bytes of a streamed answer."""
        self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.handler.wfile.flush()

    def event(self, payload: object, end: str = "\n\n") -> None:
        """One server-sent event."""
        self.send(f"data: {json.dumps(payload, ensure_ascii=False)}{end}".encode())

    def done(self) -> None:
        """`[DONE]` and the end of the response."""
        self.send(b"data: [DONE]\n\n")
        self.end()

    def end(self) -> None:
        """The end of the response, as HTTP wants it."""
        self.handler.wfile.write(b"0\r\n\r\n")

    def hang_up(self) -> None:
        """Close the connection, without ending the response."""
        self.handler.close_connection = True
        self.handler.connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Reset the connection (RST), as a crashed proxy does."""
        self.handler.wfile.flush()
        self.handler.close_connection = True
        self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.handler.connection.close()

    def stall(self, seconds: float = 20.0) -> None:
        """Say nothing, until the time or the server is over."""
        self.stopped.wait(seconds)

    def pause(self, seconds: float) -> bool:
        """Wait a moment; whether the server is still wanted."""
        return not self.stopped.wait(seconds)

    def play(self, chunks: Iterable[object]) -> None:
        """A whole well-behaved stream of these chunks."""
        self.start()
        for chunk in chunks:
            self.event(chunk)
        self.done()

    def _cut(self, text: object) -> list[str]:
        if isinstance(text, list):
            text = "".join(entry["text"] for entry in text)
        text = text if isinstance(text, str) else ""
        return [text[start : start + self.piece] for start in range(0, len(text), self.piece)]


@dataclass(frozen=True)
class Fault:
    """One way to go wrong, and its `outcome` for a client (see `faults.py`). `is_paid` where it may have to be
    paid all the same: a part of the reply had come, or a 200 and then nothing that says otherwise."""

    play: Callable[[Exchange], None]
    outcome: str = ""
    is_paid: bool = False


@dataclass
class ChatServer:
    """The server. `faults` gives the fault of each request in turn, by name (empty: none) or itself, and none after the
    last; or it is a function of the parsed request. `piece` is how many characters a chunk of the stream carries."""

    script: Script = list_files
    faults: Iterable[str | Fault] | Callable[[dict[str, Any]], str | Fault] = ()
    piece: int = 5
    received: list[Received] = field(default_factory=list)
    port: int = 0
    answered: int = 0
    connections: int = 0
    broken: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The base URL a client is given."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> ChatServer:
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._planned = iter(()) if callable(self.faults) else iter(self.faults)
        self._server = _Server(("127.0.0.1", self.port), _handler(self))
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def serve(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        """Answer one request, on its connection's thread."""
        from tests.servers.faults import FAULTS

        request = json.loads(body)
        with self._lock:
            planned = self.faults(request) if callable(self.faults) else next(self._planned, "")
            name = planned if isinstance(planned, str) else "unnamed"
            self.received.append(Received(body, {k.lower(): v for k, v in handler.headers.items()}, name, handler.path))
        exchange = Exchange(handler, request, self.script(request), self.piece, self._stopped)
        if planned:
            (FAULTS[planned] if isinstance(planned, str) else planned).play(exchange)
        elif not request.get("stream"):
            exchange.answer(200, exchange.document())
        else:
            exchange.play(exchange.chunks())
        with self._lock:
            self.answered += not name


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        return  # A connection that a client, or a fault, broke.


def _handler(chat: ChatServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30.0
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            chat.connections += 1

        def do_POST(self) -> None:
            try:
                chat.serve(self, self.rfile.read(int(self.headers.get("content-length") or 0)))
            except OSError:
                self.close_connection = True  # The client went away, as clients do.
            except Exception as error:
                chat.broken.append(f"{type(error).__name__}: {error}")
                self.close_connection = True

        def do_GET(self) -> None:
            listed = b'{"object":"list","data":[{"id":"test-model","object":"model"}]}'
            self.send_response(200)
            self.send_header("content-length", str(len(listed)))
            self.end_headers()
            self.wfile.write(listed)

        def finish(self) -> None:
            try:
                super().finish()
            except (OSError, ValueError):
                return

        def log_message(self, *_: object) -> None:
            return

    return Handler


def unused_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(holds: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether something comes to hold in time."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True
