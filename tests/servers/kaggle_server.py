"""A loopback server that speaks the requests of the real Kaggle client, and can fail in the ways Kaggle does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SERVICE = "/api/v1/competitions.CompetitionApiService/"


@dataclass
class KaggleServer:
    """What the server holds and how it behaves; `requests` are those it was sent, as (call, body).

    The first `busy` requests are refused as too many, with a message and what Retry-After says (nothing where empty).
    `competitions` are what a search finds, as Kaggle's JSON. `score` grades an upload; without it `final` is answered.
    """

    base: str = ""
    zip: bytes = b""
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    busy: int = 0
    busy_says: tuple[str, str] = ("Too many requests", "1")
    cuts: int = 0
    uploads_fail: bool = False
    polls_until_scored: int = 2
    final: dict[str, Any] = field(default_factory=dict)
    requests: list[tuple[str, Any]] = field(default_factory=list)
    uploaded: bytes = b""
    competitions: list[dict[str, Any]] = field(default_factory=list)
    score: Callable[[bytes], float] | None = None

    def calls(self) -> list[str]:
        return [call for call, _ in self.requests]


@contextmanager
def serving(server: KaggleServer) -> Iterator[KaggleServer]:
    """Serve on a free port of this machine while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
            call = self.path.removeprefix(SERVICE)
            server.requests.append((call, body))
            if server.busy:
                server.busy -= 1
                message, after = server.busy_says
                return self._json({"code": 429, "message": message}, 429, {"Retry-After": after} if after else {})
            if call in server.refusals:
                code, message = server.refusals[call]
                return self._json({"code": code, "message": message}, code)
            if call == "DownloadDataFiles":
                self.send_response(302)
                self.send_header("Location", f"{server.base}/files/{body['competitionName']}.zip?signature=x")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return None
            if call == "StartSubmissionUpload":
                return self._json({"token": "blob", "createUrl": f"{server.base}/upload"})
            if call == "CreateSubmission":
                return self._json({"message": "Successfully submitted", "ref": 4711})
            if call == "ListCompetitions":
                found = [one for one in server.competitions if body.get("search", "") in one["ref"]]
                return self._json({"competitions": found, "nextPageToken": ""})
            if call == "GetSubmission":
                return self._json(self._standing())
            return self._json({"code": 404, "message": f"no such call: {call}"}, 404)

        def _standing(self) -> dict[str, Any]:
            server.polls_until_scored -= 1
            waiting = {"ref": 4711, "status": "PENDING", "publicScore": "", "privateScore": ""}
            if server.polls_until_scored > 0:
                return waiting
            if server.score is None:
                return {"ref": 4711, **server.final}
            return {"ref": 4711, "status": "COMPLETE", "publicScore": f"{server.score(server.uploaded):.5f}"}

        def do_PUT(self) -> None:
            server.uploaded = self.rfile.read(int(self.headers["Content-Length"]))
            server.requests.append(("PUT", len(server.uploaded)))
            self.send_response(400 if server.uploads_fail else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
            server.requests.append(("GET", start))
            content = server.zip[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", '"one"')
            self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
            self.end_headers()
            if server.cuts:
                server.cuts -= 1
                content = content[: len(content) // 2]
            self.wfile.write(content)
            self.close_connection = True

        def _json(self, content: dict[str, Any], code: int = 200, headers: Mapping[str, str] | None = None) -> None:
            raw = json.dumps(content).encode()
            self.send_response(code)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.base = f"http://127.0.0.1:{listener.server_port}"
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
