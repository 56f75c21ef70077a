"""Who may see the page: a browser on this machine that was given the token, and only from the page's own address.

The token in the address is exchanged for a cookie that only this server gets and no script can read. Requests under
another host name are refused (a name that was pointed at this machine), and so are changes that another page sends.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
MAX_BODY = 32_000
"""Bytes of the largest form."""


@dataclass(frozen=True)
class Access:
    """The secrets of one server, made when it starts."""

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def cookie(self) -> str:
        """Cookies of one host are shared by its ports, so the name holds the port."""
        return f"harness_{self.port}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host headers that are accepted."""
        return tuple(f"{name}:{self.port}" for name in ("127.0.0.1", "localhost"))

    @property
    def csrf(self) -> str:
        """The token that every form carries."""
        return hmac.new(self.session.encode(), b"csrf", "sha256").hexdigest()


def is_same(given: str, expected: str) -> bool:
    """Compare secrets without telling how much of them fits."""
    return hmac.compare_digest(given.encode(), expected.encode())


class Guard:
    """Middleware that lets through what may be seen, and adds the headers that bound what a page can do."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refused request; pass an accepted one on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                known = {name.lower() for name, _ in message["headers"]}
                message["headers"] += [
                    (name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in known
                ]
            await send(message)

        request = Request(scope, receive)
        answer = self._refuse(request) or self._exchange(request)
        await (answer or self.app)(scope, receive, send_with_headers)

    def _refuse(self, request: Request) -> Response | None:
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if host not in self.access.hosts:
            return PlainTextResponse("This page is only served under its own address.", 421)
        if request.method not in ("GET", "HEAD", "POST"):
            return PlainTextResponse("Only GET and POST are understood.", 405)
        if request.method == "POST" and origin != f"http://{host}":
            return PlainTextResponse("A change must come from this page.", 403)
        if request.headers.get("sec-fetch-site", "none") == "cross-site" and request.headers.get(
            "sec-fetch-mode", ""
        ) not in ("navigate", ""):
            return PlainTextResponse("Another page may not read this one.", 403)
        return None

    def _exchange(self, request: Request) -> Response | None:
        """The answer to a token in the address, or to a request without the cookie."""
        if (token := request.query_params.get("token")) is not None and request.method == "GET":
            if not is_same(token, self.access.token):
                return PlainTextResponse(_NO_ACCESS, 403)
            answer = RedirectResponse(request.url.path, 303)
            answer.set_cookie(self.access.cookie, self.access.session, httponly=True, samesite="strict", path="/")
            return answer
        if not is_same(request.cookies.get(self.access.cookie, ""), self.access.session):
            return PlainTextResponse(_NO_ACCESS, 403)
        return None


_NO_ACCESS = "Open the whole address that `harness view` printed, with its token."
