"""A proxy that passes requests on to a real server and keeps what it answered, byte for byte."""

from __future__ import annotations

import http.client
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Recorded:
    """One request, and its answer as it came."""

    body: bytes
    status: int
    answer: bytes

    @property
    def usage(self) -> dict[str, Any]:
        """What the server says it used; the last word counts."""
        found = re.findall(rb'"usage":(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})', self.answer)
        return dict(json.loads(found[-1])) if found else {}


@dataclass
class Recorder:
    """The proxy, for a server on a port of loopback; `kept` grows as requests are answered."""

    port: int
    kept: list[Recorded] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The base URL a client is given."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Recorder:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(recorder: Recorder) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            upstream = http.client.HTTPConnection("127.0.0.1", recorder.port, timeout=120)
            answer = b""
            try:
                upstream.request("POST", self.path, body, {"content-type": "application/json"})
                response = upstream.getresponse()
                self.send_response(response.status)
                self.send_header("content-type", response.headers.get("content-type", "text/plain"))
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                while piece := response.read1(65_536):
                    answer += piece
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")
                recorder.kept.append(Recorded(body, response.status, answer))
            except OSError:
                self.close_connection = True
            finally:
                upstream.close()

        def log_message(self, *_: object) -> None:
            return

    return Handler
