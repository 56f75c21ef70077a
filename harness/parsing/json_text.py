"""Reads and writes JSON text, and inspects text that may not be valid JSON: its strings, its brackets."""

from __future__ import annotations

import json
import math
import re
from typing import Any

# An unclosed string extends to the end of the text; otherwise every quotation mark in it would be tried again.
STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)

_DEEPEST = 100


class Conflict(ValueError):
    """A text has two meanings, for example a key with two different values."""


def loads(text: str, *, strict: bool = True) -> Any:
    """Read JSON as a server does: no NaN, no infinity, no key with two values. Raises ValueError (`Conflict` is one).

    Not `strict`: raw control characters may stand in strings.
    """
    return decoder(strict=strict).decode(text)


def decoder(*, strict: bool) -> json.JSONDecoder:
    """The decoder of `loads`."""
    return _STRICT if strict else _LENIENT


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs) and any(value[key] != item for key, item in pairs):
        raise Conflict("a key stands twice with different values")
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number that JSON can carry")
    return number


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_STRICT = json.JSONDecoder(object_pairs_hook=_pairs, parse_float=_finite, parse_constant=_no_constant)
_LENIENT = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_float=_finite, parse_constant=_no_constant, strict=False
)  # fmt: skip


def dumps(value: Any) -> str:
    """Write a value as history carries it: compact, keys in order, escaped only where needed.

    Raises ValueError, TypeError or RecursionError for values that JSON cannot represent.
    """
    return fix_surrogates(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def fix_surrogates(text: str) -> str:
    """Join surrogate halves that a stream split, and replace single ones; other text is unchanged."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def looks_cut(raw: Any) -> bool:
    """Whether a text contains the start of an object but not its end."""
    if not isinstance(raw, str) or "{" not in raw:
        return False
    outside = outside_strings(raw)
    return outside.count("{") > outside.count("}") or outside.count('"') % 2 == 1


def outside_strings(text: str) -> str:
    """The text with every string emptied; an unclosed string leaves a single quotation mark."""
    return STRING.sub(lambda match: '""' if len(match[0]) > 1 and match[0].endswith('"') else '"', text)


def is_too_deep(text: str) -> bool:
    """Whether brackets nest too deep for Python's own parser."""
    depth = deepest = 0
    for match in re.finditer(r"[\[{(]|[\]})]", outside_strings(text)):
        depth += 1 if match[0] in "[{(" else -1
        deepest = max(deepest, depth)
    return deepest > _DEEPEST
