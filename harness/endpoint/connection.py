"""One request to the endpoint: bytes posted through the openai SDK, the answer read as bytes under a deadline.

The SDK provides the address, the headers with the key and the kept-alive connection, and is imported when a connection
is opened. Its `create()` is not used, because it inspects every message of the history on every call (0.2 ms of CPU
each), and neither are its retries. Its `post()` makes the same URL and headers again for every request, in more CPU
than a reply of 400 chunks takes to read: they are made once here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from harness.endpoint.assemble import Style
from harness.endpoint.deadline import DeadlineGuard
from harness.endpoint.errors import (
    EndpointRefused,
    ModelError,
    TransientFailure,
    classify_error,
    error_text,
    error_text_of_body,
    scrubber,
    shortened,
    shown_address,
    without_quotes,
)
from harness.endpoint.extras import Extras
from harness.endpoint.proxies import is_direct, proxy_variable, require_usable_proxy
from harness.endpoint.request_body import Body
from harness.endpoint.stream import RawReply, ReplyReader

if TYPE_CHECKING:
    import httpx2

_ERROR_BYTES = 65_536
_ERROR_SECONDS = 10.0
_LIST_BYTES = 20_000_000
_HEADERS = {"Accept": "text/event-stream, application/json", "Accept-Encoding": "identity"}


class Connection:
    """A connection to one endpoint for one model. `scrub` removes secrets from a text."""

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        transport: httpx2.BaseTransport | None,
        *,
        extras: Extras,
        style: Style,
        stall_seconds: float,
        connect_seconds: float,
    ) -> None:
        api_key = api_key.strip()
        if not api_key.isascii() or not api_key.isprintable() or " " in api_key:
            raise EndpointRefused("the API key contains characters that no header can carry; check HARNESS_API_KEY")
        self.address = shown_address(base_url)
        if not re.match(r"https?://[^/\s]+", base_url):
            raise EndpointRefused(f"{self.address!r} is not an address; write one like http://localhost:8000/v1")
        self.base_url = base_url
        self.model = model
        self.scrub = scrubber(api_key, *extras.headers.values(), *extras.query.values())
        self.is_usually_delta = False
        self._style = style
        self._lingers = False
        self._on_bytes: Callable[[int], None] = lambda _: None
        self._stall_seconds = stall_seconds
        self._connect_seconds = connect_seconds
        self._guard = DeadlineGuard()
        self._open_client(api_key, extras, transport)
        self._make_headers_and_url(extras)

    def _open_client(self, api_key: str, extras: Extras, transport: httpx2.BaseTransport | None) -> None:
        import httpx2
        from openai import Omit, OpenAI

        uses_proxy = transport is None and not is_direct(self.base_url)
        if uses_proxy:
            require_usable_proxy(self.base_url)
        self._proxy = proxy_variable(self.base_url) if uses_proxy else ""
        self._http = httpx2.Client(
            transport=transport,
            verify=self.base_url.startswith("https:"),
            follow_redirects=False,
            trust_env=uses_proxy,
            event_hooks={"request": [self._guard.attach], "response": [_bound_error_body]},
        )
        # With each request the SDK must be told that another header carries the key.
        self._omitted: dict[str, Any] = {"Authorization": Omit()} if extras.key_header else {}
        self._client = OpenAI(
            api_key=api_key or "none",
            base_url=self.base_url,
            max_retries=0,
            http_client=self._http,
            timeout=self._timeout(60.0),
            default_headers=dict(extras.headers_with(api_key) if extras.key_header else extras.headers),
            default_query=dict(extras.query),
        )

    def _make_headers_and_url(self, extras: Extras) -> None:
        """Make once what the SDK would make again for every request."""
        import httpx2

        self._headers = httpx2.Headers()
        for headers in (self._client.auth_headers, self._client.default_headers, _HEADERS):
            self._headers.update({name: value for name, value in headers.items() if isinstance(value, str)})
        if extras.key_header:
            self._headers.pop("Authorization", None)
        address = httpx2.URL(f"{self._client.base_url}chat/completions")
        self._url = address.copy_merge_params(extras.query) if extras.query else address

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def ask(self, body: Body, wall_seconds: float, on_bytes: Callable[[int], None] = lambda _: None) -> RawReply:
        """Post `body` and return the complete reply, within `wall_seconds`.

        Raises `TransientFailure` or a `ModelError`. `on_bytes` gets the number of bytes received so far.
        """
        self._on_bytes = on_bytes
        reader = ReplyReader(self._style, self.is_usually_delta)
        try:
            with self._guard.limit(wall_seconds):
                self._receive(body, reader, time.monotonic() + wall_seconds)
            raw = reader.finish()
        except TransientFailure as failure:
            raise self._classify(reader, failure, bytes(body) if reader.error is not None else b"") from None
        self.is_usually_delta = raw.style == "delta" or (self.is_usually_delta and raw.style == "auto")
        return raw

    def list_models(self) -> bytes:
        """What `/models` answers; empty if it does not."""
        import httpx2
        import openai

        try:
            options: Any = {"timeout": self._timeout(10.0), "headers": self._omitted}
            response = self._client.get("/models", cast_to=httpx2.Response, options=options)
            return bytes(response.content[:_LIST_BYTES])
        except (openai.APIError, httpx2.HTTPError, httpx2.StreamError, OSError):
            return b""

    def _classify(self, reader: ReplyReader, failure: TransientFailure, sent: bytes) -> TransientFailure | ModelError:
        """The failure to raise: scrubbed, and with the text of an error inside the answer."""
        begun = reader.text_bytes() if failure.was_cut else 0
        if reader.error is not None:
            text, code = error_text(reader.error)
            text = self.scrub(text)
            classified = classify_error(
                0, text, self.scrub(code), model=self.model, address=self.address, own=without_quotes(text, sent)
            )
            if isinstance(classified, TransientFailure):
                classified.was_cut = classified.was_taken = failure.was_cut
                classified.text_bytes = begun
            return classified
        failure.was_taken = failure.was_cut or (reader.is_taken and failure.repeat_kind != "page")
        failure.text_bytes = begun
        failure.args = (shortened(self.scrub(str(failure))),)
        return failure

    def _receive(self, body: Body, reader: ReplyReader, deadline: float) -> None:
        import httpx2

        response: httpx2.Response | None = None
        try:
            response = self._http.send(self._request(body, deadline - time.monotonic()), stream=True)
            if not response.is_success:
                response.read()
                raise self._refusal(response, body)
            reader.is_taken = True
            self._read_to_end(response.iter_bytes(), reader, deadline)
        except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
            # A failure after the model finished (a lost end of the stream, for example) does no harm.
            if not reader.has_all_bytes:
                reader.is_taken |= _is_odd_answer(error)
                late = time.monotonic() >= deadline
                raise TransientFailure(
                    _connection_error(error, late, self._stall_seconds, self._proxy), was_cut=reader.has_begun
                ) from None
        finally:
            if response is not None:
                response.close()

    def _request(self, body: Body, left: float) -> httpx2.Request:
        import httpx2

        headers = self._headers.copy()
        headers["Content-Length"] = str(len(body))
        return httpx2.Request(
            "POST",
            self._url,
            headers=headers,
            cookies=self._http.cookies,  # of a load balancer that keeps the prefix cache of one server
            content=iter(body),
            extensions={"timeout": self._timeout(left).as_dict()},
        )

    def _read_to_end(self, chunks: Iterator[bytes], reader: ReplyReader, deadline: float) -> None:
        for chunk in chunks:
            reader.feed(chunk)
            self._on_bytes(reader.held)
            if time.monotonic() >= deadline and not reader.is_whole:
                raise TransientFailure("the reply took longer than one call may", was_cut=reader.has_begun)
            if reader.is_over:
                break
        else:
            return
        # Reading to the end of the response keeps the connection for the next call. A server that leaves the response
        # open after [DONE] is remembered, so that later calls do not wait for it.
        if reader.error is None and not self._lingers:
            begun = time.monotonic()
            try:
                next(chunks, None)
            finally:
                self._lingers = time.monotonic() - begun > 0.5

    def _refusal(self, response: httpx2.Response, body: Body) -> TransientFailure | ModelError:
        text, code = error_text_of_body(response.content)
        if 300 <= response.status_code < 400:
            text = f"it moved to {response.headers.get('location', 'another address')}: use that as --base-url"
        text = self.scrub(text)
        classified = classify_error(
            response.status_code,
            text,
            self.scrub(code),
            own=without_quotes(text, bytes(body)) if 400 <= response.status_code < 500 else None,
            model=self.model,
            address=self.address,
            wait_seconds=requested_wait(response.headers),
        )
        if isinstance(classified, TransientFailure) and response.status_code == 500:
            classified.repeat_kind = str(classified)  # Some servers answer 500 to a history they cannot render.
        return classified

    def _timeout(self, left: float) -> httpx2.Timeout:
        import httpx2

        left = max(0.05, left)
        return httpx2.Timeout(
            connect=min(self._connect_seconds, left), read=min(self._stall_seconds, left), write=60.0, pool=10.0
        )


def _is_odd_answer(error: BaseException) -> bool:
    """Whether an answer came whose Content-Length is not a length: it may be billed."""
    import httpx2

    return isinstance(error, httpx2.RemoteProtocolError) and "content-length" in str(error).lower()


def requested_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait from `Retry-After` (seconds or a date); None if absent.

    A date is compared with the endpoint's clock if it sends one, because ours may be wrong.
    """
    exact = headers.get("retry-after-ms")
    given = headers.get("retry-after", "").strip()
    try:
        seconds = float(exact) / 1000 if exact else float(given)
    except ValueError:
        when, now = _date(given), _date(headers.get("date", "")) or datetime.now(UTC)
        if when is None:
            return None
        seconds = (when - now).total_seconds()
    return max(0.0, seconds) if seconds == seconds and seconds < 1e9 else None


def _date(given: str) -> datetime | None:
    """An HTTP date, in UTC unless it names a zone; None if invalid."""
    try:
        when = parsedate_to_datetime(given)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _connection_error(error: Exception, is_late: bool, stall_seconds: float, proxy: str) -> str:
    """The message for a failed connection, from the innermost error. `proxy` is the variable that names the proxy."""
    import httpx2

    inner: BaseException = error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    if is_late:
        return "the reply took longer than one call may"
    if isinstance(error, httpx2.ReadTimeout):
        return f"not a byte for {stall_seconds:g} s"
    is_connecting = isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError))
    through = f" through the proxy in {proxy}" if proxy and is_connecting else ""
    return f"the connection{through} failed: {inner or type(inner).__name__}"


def _bound_error_body(response: httpx2.Response) -> None:
    """Limit the size and time of reading the body of a refusal."""
    import httpx2

    if response.status_code < 300:
        return
    stream, deadline = response.stream, time.monotonic() + _ERROR_SECONDS

    class Bounded(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            left = _ERROR_BYTES
            try:
                for chunk in stream:  # type: ignore[union-attr]
                    yield chunk[:left]
                    left -= len(chunk)
                    if left <= 0 or time.monotonic() > deadline:
                        return
            except (httpx2.HTTPError, OSError):
                return  # The status is enough.

        def close(self) -> None:
            stream.close()  # type: ignore[union-attr]

    response.stream = Bounded()
