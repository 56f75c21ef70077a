"""What can be said of JSON text without believing it: its strings, its brackets, and how to read and write it."""

from __future__ import annotations

import json
import math
import re
from typing import Any

# A string that never ends is taken to the end of the text; otherwise each quotation mark in it would be tried anew.
STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)

_DEEPEST = 100


class Conflict(ValueError):
    """A text says two things: a key stands twice with different values, say."""


def loads(text: str, *, strict: bool = True) -> Any:
    """Read JSON as a server would: no NaN, no infinity, no key twice. Raises ValueError, of which `Conflict` is one.

    Not `strict`: raw control characters may stand in strings.
    """
    return decoder(strict=strict).decode(text)


def decoder(*, strict: bool) -> json.JSONDecoder:
    """The decoder that `loads` uses."""
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
    """Write a value the way history carries it: compact, in the order given, not escaped beyond need.

    Raises ValueError, TypeError or RecursionError for what JSON cannot say.
    """
    return fix_surrogates(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def fix_surrogates(text: str) -> str:
    """Join surrogate halves that a stream tore apart and replace those that stand alone; other text is unchanged."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def looks_cut(raw: Any) -> bool:
    """Whether a text begins an object and ends before it does."""
    if not isinstance(raw, str) or "{" not in raw:
        return False
    outside = outside_strings(raw)
    return outside.count("{") > outside.count("}") or outside.count('"') % 2 == 1


def outside_strings(text: str) -> str:
    """The text with every string in it emptied; one that never ends leaves a single quotation mark."""
    return STRING.sub(lambda found: '""' if len(found[0]) > 1 and found[0].endswith('"') else '"', text)


def is_too_deep(text: str) -> bool:
    """Whether brackets nest so deep that the parser of Python itself could fall over."""
    depth = deepest = 0
    for found in re.finditer(r"[\[{(]|[\]})]", outside_strings(text)):
        depth += 1 if found[0] in "[{(" else -1
        deepest = max(deepest, depth)
    return deepest > _DEEPEST
