"""Classifies the errors of an endpoint: which pass, which are permanent, and what to do about those.

Errors::

    ModelError                no reply; the run can be resumed
    +-- EndpointUnreachable   no complete reply within the time allowed
    +-- EndpointRefused       permanent (key, model name, address, a parameter); the message says what to change
    +-- ContextOverflow       the request is too long for the endpoint: shrink the window and ask again
    +-- HistoryRejected       the endpoint rejects something in the history: repair the window and ask again
    TransientFailure          worth another try; never leaves the client
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from harness.endpoint.server_sent_events import parse

ABOUT_REQUEST = (400, 413, 422)
"""Statuses of refusals that the request may have caused."""

LONGEST_TEXT = 400
"""Limit of characters of an endpoint's error text in our messages."""

_PLACEHOLDERS = ("", "none", "empty", "no-key", "not-needed", "dummy")


class ModelError(Exception):
    """A call to the model failed. `cost` is the estimated cost of its tries in dollars, without what `on_wait` got."""

    cost: float = 0.0


class EndpointUnreachable(ModelError):
    """No complete reply came within the time allowed."""


class EndpointRefused(ModelError):
    """The endpoint will never answer such a request; the message says what to change.

    `status` is its HTTP status, `shown` what it said without words of the history.
    """

    def __init__(self, message: str, status: int = 0, shown: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.shown = shown


class ContextOverflow(ModelError):
    """The request is too long. `limit` and `prompt` are in tokens, if the endpoint named them."""

    def __init__(self, message: str, limit: int | None = None, prompt: int | None = None) -> None:
        super().__init__(message)
        self.limit = limit
        self.prompt = prompt


class HistoryRejected(ModelError):
    """The endpoint rejects something in the history, and would at every later turn."""


class TransientFailure(Exception):
    """A failure worth another try.

    `wait_seconds` is the wait the endpoint asked for. `was_cut`: a reply had begun, `text_bytes` long. `was_taken`: the
    endpoint had answered 200 (both may be billed). `repeat_kind` names a failure that is permanent if it repeats.
    """

    def __init__(
        self, message: str, *, wait_seconds: float | None = None, was_cut: bool = False, repeat_kind: str = ""
    ) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds
        self.was_cut = was_cut
        self.was_taken = was_cut
        self.repeat_kind = repeat_kind
        self.text_bytes = 0


SECRET_CHARACTERS = 8
"""A header value shorter than this is not a secret, and replacing it would garble messages."""


def scrubber(key: str, *others: str) -> Callable[[str], str]:
    """A function that removes secrets from a text: this key, also quoted, and anything that looks like a key."""
    known = [] if key.lower() in _PLACEHOLDERS else [key]
    parts = {part for value in others for part in (value, *value.split())}
    known += [part for part in sorted(parts, key=len, reverse=True) if len(part) >= SECRET_CHARACTERS]
    exact = [form for secret in known for form in (secret, quote(secret, safe=""))]

    def scrub(text: str) -> str:
        for secret in exact:
            text = text.replace(secret, "***")
        text = re.sub(r"(?i)\b(bearer|basic)\s+[^\s\"',;<>]+", r"\1 ***", text)
        text = re.sub(r"\bsk-[\w*.\-]{6,}", "sk-***", text)
        text = re.sub(r"(?i)\b(api[_-]?key|access[_-]?token|token)=[^\s&\"'<>]+", r"\1=***", text)
        return re.sub(r"://[^/\s@]+@", "://***@", text)

    return scrub


def shown_address(base_url: str) -> str:
    """An address without user, password and query, for messages."""
    parts = urlsplit(base_url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def is_address(base_url: str) -> bool:
    """Whether a request can be sent to this address: http or https, and a host."""
    try:
        parts = urlsplit(base_url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def may_hold_secrets(base_url: str) -> bool:
    """Whether an address contains more than a host and a path, so that it must not be recorded."""
    return bool(re.search(r"^[^/]*//[^/]*@|[?#]", base_url))


def error_text_of_body(body: bytes) -> tuple[str, str]:
    """The message and code of an error body, in any form that servers use (JSON, HTML, text)."""
    try:
        data = parse(body)
    except ValueError:
        return _plain(body), ""
    return error_text(data) if isinstance(data, dict) else (_plain(body), "")


def error_text(data: Mapping[str, Any]) -> tuple[str, str]:
    """The message and code of an error object."""
    inner = data.get("error") or data.get("base_resp") or data
    if isinstance(inner, list) and inner:
        inner = inner[0]
    if not isinstance(inner, dict):
        return str(inner), str(data.get("code") or data.get("status") or "")
    message = next((inner[k] for k in ("message", "status_msg", "detail", "msg", "title") if inner.get(k)), inner)
    kinds = [str(inner[k]) for k in ("type", "param") if inner.get(k) and str(inner[k]) not in str(message)]
    code = next((inner[k] for k in ("code", "status_code", "status") if inner.get(k)), inner.get("type") or "")
    return f"{message} ({', '.join(kinds)})" if kinds else str(message), str(code)


def is_error(chunk: Mapping[str, Any]) -> bool:
    """Whether an object in place of a chunk is an error."""
    if chunk.get("error") or chunk.get("object") == "error" or chunk.get("type") == "error":
        return True
    base = chunk.get("base_resp")
    if isinstance(base, dict) and str(base.get("status_code") or "0") != "0":
        return True
    return "choices" not in chunk and bool(chunk.get("detail") or ("message" in chunk and "code" in chunk))


# MiniMax answers 200 with its own code in `base_resp`; each corresponds to an HTTP status.
_MINIMAX = {
    "1000": 500, "1001": 504, "1013": 500, "1024": 500, "1027": 500, "1033": 500, "1002": 429, "1039": 429,
    "1041": 429, "2045": 429, "2056": 429, "1004": 401, "2049": 401, "1008": 402, "1026": 400, "2013": 400,
}  # fmt: skip
_WORDS = {"rate_limit": 429, "overloaded": 503, "server_error": 500, "invalid_request": 400, "authentication": 401}

_OVERFLOW = re.compile(
    r"context[_ ]?length|context[_ ]?window|context[_ ]?size|maximum context|exceed_context|input_tokens|"
    r"prompt is too long|maximum prompt length|model token limit|inputs`? tokens \+|超长|上下文|长度超|"
    r"exceeds? (?:the |this )?(?:model|max|limit)[^.]{0,60}(?:context|token)|reduce the length|token limit exceeded",
    re.IGNORECASE,
)
_LENGTH = re.compile(
    r"\b(?:prompt|inputs?|request|messages?|conversation|sequence|tokens?|payload)\b(?:[^.]|\.(?!\s)){0,60}?"
    r"(?:\bexceed|\btoo (?:long|large)\b|\btoo many tokens|\blonger than|\bgreater than|\bless than|\bover the \d)|"
    r"\btoo many tokens|_tokens exceeded|\d{4,}\s*>\s*(?:\w+\s*)?\d{4,}|length (?:is \d+ while|should be \[)|"
    r"\b[ck]onte[xk]t\w*\b[^.]{0,60}\d{4,}|(?:token|输入|长度)[^。]{0,20}超[过出限]",
    re.IGNORECASE,
)
"""Weaker words than those of `_OVERFLOW`, which count only where the request itself may be refused."""
_RATE = re.compile(r"\brates?\b|\bper (?:second|minute|hour|day)\b|concurren|quota|\bqueue", re.IGNORECASE)
_HISTORY = re.compile(
    r"tool[_ ](?:call|result|use|message|response)|role[^.]{0,20}tool|function (?:name or )?(?:arguments|parameters)|"
    r"invalid (?:message )?role|must (?:be followed|follow|be a response)|preceding|chat[_ ]?template|jinja|"
    r"template error|tojson|arguments must be|arguments\.items",
    re.IGNORECASE,
)
_MODEL = re.compile(
    r"(?:model|deployment)\b.{0,120}\b(?:not found|does not exist|not exist|unknown|invalid(?!_)|not supported|pinned)|"
    r"(?:invalid|unknown|no such) model|pinned to",
    re.IGNORECASE | re.DOTALL,
)
_PARAMETER = re.compile(r"temperature|top_[pk]|max_\w*tokens|stream_options|tool_choice|reasoning_split", re.IGNORECASE)
_ABOUT_FORM = re.compile(
    r"json|argument|tool|role\b|message format|template|schema|invalid param|decode|parse|encod", re.IGNORECASE
)
_ABOUT_LENGTH = re.compile(r"length|long|large|size|limit|exceed|maximum|token|too many|capacity", re.IGNORECASE)
_ROUTING = re.compile(r"Received Model Group=.*", re.DOTALL)
"""LiteLLM's postscript, which names models whatever the error is."""
_QUOTED_WORDS, _QUOTED_CHARACTERS = 4, 16
_BETWEEN_QUOTES = re.compile(r"(?<!\w)([\"'`])([^\"'`\n]{5,400})\1")
_NO_MONEY = re.compile(r"insufficient[_ ](?:quota|balance|credit|fund)|exceeded your current quota|billing", re.I)


def classify_error(
    status: int,
    text: str,
    code: str = "",
    *,
    model: str = "",
    address: str = "",
    wait_seconds: float | None = None,
    own: str | None = None,
) -> ModelError | TransientFailure:
    """The error for a refusal. `status` is 0 if the error came inside a 200; `text` must be scrubbed.

    `own` is the text without words that the server quotes from the history; only that decides.
    """
    status = status if status >= 300 else _status_of(code, text)
    detail = shortened(text) or f"status {status}"
    text = _ROUTING.sub("", text if own is None else own)
    is_long = status == 413 or code == "1261" or _OVERFLOW.search(f"{text} {code}") is not None
    if status in (0, 400, 422) and _LENGTH.search(text):
        is_long = is_long or not (_HISTORY.search(text) or _RATE.search(text))
    if is_long and status != 429:
        return ContextOverflow(f"the window is too long for {model} at {address}: {detail}", *_limits(text))
    if status in (401, 403):
        return EndpointRefused(
            f"{address} refuses the key ({status}: {detail}); set HARNESS_API_KEY to a valid one, then resume", status
        )
    if status == 402 or _NO_MONEY.search(f"{text} {code}"):
        return EndpointRefused(f"{address} wants payment ({detail}); top up the account, then resume")
    is_2013 = (code == "2013" or re.search(r"\b2013\b", text)) and not _PARAMETER.search(text)
    is_history = status in (400, 422) and bool(is_2013 or code == "1026" or _HISTORY.search(text))
    if status == 404 or (status in (400, 422) and not is_history and _MODEL.search(text)):
        return EndpointRefused(
            f"{address} does not serve model {model!r} ({detail}); check --model, and that --base-url is right "
            "(most end in /v1)",
            status,
            text,
        )
    if status in (408, 409, 425, 429) or (status >= 500 and status not in (501, 505)) or status == 0:
        return TransientFailure(f"{status or 'error'}: {detail}", wait_seconds=wait_seconds)
    if is_history:
        return HistoryRejected(f"{address} rejects something in the history ({detail})")
    return EndpointRefused(
        f"{address} refuses the request ({status}: {detail}); see `harness doctor` and models.toml", status, text
    )


def is_about_history(text: str) -> bool:
    """Whether a refusal that no rule knows is more likely about the history than about its length."""
    return _ABOUT_FORM.search(text) is not None and _ABOUT_LENGTH.search(text) is None


def without_quotes(text: str, sent: bytes) -> str:
    """An error text without words that stand in the request: four or more in a row are a quotation, and two or more
    between quotation marks."""

    def unquoted(match: re.Match[str]) -> str:
        is_said = " " in match[2].strip() and json.dumps(match[2], ensure_ascii=False)[1:-1].encode() in sent
        return match[1] * 2 if is_said else match[0]

    words = _BETWEEN_QUOTES.sub(unquoted, text).split()
    quoted = [False] * len(words)
    for start in range(len(words) - _QUOTED_WORDS + 1):
        phrase = " ".join(words[start : start + _QUOTED_WORDS])
        if len(phrase) >= _QUOTED_CHARACTERS and json.dumps(phrase, ensure_ascii=False)[1:-1].encode() in sent:
            quoted[start : start + _QUOTED_WORDS] = [True] * _QUOTED_WORDS
    return " ".join(word for word, is_quoted in zip(words, quoted, strict=True) if not is_quoted)


def _status_of(code: str, text: str) -> int:
    """The status of an error inside a 200; 0 if unknown (then it is retried)."""
    if code in _MINIMAX:
        return _MINIMAX[code]
    if code.isdigit() and 400 <= int(code) < 600:
        return int(code)
    if re.search(r"\b2013\b", text):
        return 400
    return next((status for word, status in _WORDS.items() if word in code.lower() or word in text.lower()), 0)


def _limits(text: str) -> tuple[int | None, int | None]:
    """The limit and the length of the prompt in tokens, if the text names them."""
    limit = re.search(r"(?:context (?:length|window|size)|limit)\D{0,30}?([\d,]{3,})", text, re.IGNORECASE)
    prompt = re.search(r"([\d,]+) (?:in the messages|input tokens|prompt tokens)", text, re.IGNORECASE)
    return tuple(int(match[1].replace(",", "")) if match else None for match in (limit, prompt))  # type: ignore[return-value]


def named_limit(text: str) -> int | None:
    """The largest accepted value that a refusal of a parameter names."""
    words = r"at most|<=|\u2264|less than or equal to|up to|exceed|maximum|limit"
    data = re.search(rf"(?:{words})\D{{0,30}}?(\d[\d,]*)|\[\s*\d+\s*,\s*(\d+)\s*\]", text, re.IGNORECASE)
    return int((data[1] or data[2]).replace(",", "")) if data else None


def _plain(body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    if "<" in text[:200]:
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        text = title[1] if title else re.sub(r"<[^>]{0,500}>", " ", text[:4000])
    return " ".join(text.split())


def shortened(text: str) -> str:
    """A text shortened for an error message; it must be scrubbed."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 3] + "..."
