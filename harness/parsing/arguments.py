"""Reads the arguments of a tool call into an object, by the first repair step that succeeds.

Each step is a pure function from text to an object. Truncated text is never completed, and text with two possible
meanings is marked ambiguous; which steps a tool accepts is decided in `reply`.

Text a few characters from valid JSON is repaired in place (`repair_json.read_prefix`), because the json-repair library
is slow. The library is used for larger defects, such as a missing bracket. It would also close truncated text, join
several objects into a list, guess at quotation marks in strings, drop text outside of strings, and keep the last of two
equal keys: such text is not given to it, or its result is rejected.

An unescaped quotation mark ends a string too early, so that the rest looks like a comment, prose or noise. Nothing that
contains one is dropped where it could belong to the string before it. `unescaped_quotes` reads such strings if there is
exactly one way to do so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from harness.parsing.json_text import Conflict, dumps, fix_surrogates, loads, looks_cut, outside_strings
from harness.parsing.python_literal import is_open, read_python
from harness.parsing.repair_json import read_prefix, repaired
from harness.parsing.unescaped_quotes import read_unescaped_quotes

NATIVE = "native"
STRICT = "strict"
TRIMMED = "trimmed"
ESCAPED = "escaped"
PROSE_CUT = "prose_cut"
PYTHON_LITERAL = "python_literal"
JSON_REPAIRED = "json_repaired"
SCHEMA = "schema"
IN_CONTENT = "in_content"
IN_THINKING = "in_thinking"
ERROR = "error"

REPAIR_STEPS = (
    NATIVE, STRICT, TRIMMED, ESCAPED, PROSE_CUT, PYTHON_LITERAL, JSON_REPAIRED, SCHEMA, IN_CONTENT, IN_THINKING, ERROR
)  # fmt: skip
"""All repair steps, the smallest repair first."""

_LANGUAGE = re.compile(r"[\w.+-]*[ \t]*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_HARMLESS_TAIL = re.compile(r"(?:[\s\"'`}\])>;,.])*")
_CLOSES_AGAIN = re.compile(r"[\"']\s*,?\s*[}\]]")
_CONTINUES = re.compile(r"[^\s<`]|\s*[&|+%*/;=>]|.*\}", re.DOTALL)
_MORE_ARGUMENTS = re.compile(r"\A\s*[,:]|[\"']\s*:")
_BLANKS = " \t\r\n\ufeff\u200b\u2060"

_COMMENT = re.compile(r"[{\[,\s]//|/\*")  # may contain a quotation mark, so the ends of strings are unknown


@dataclass(frozen=True)
class Reading:
    """An object, and the repair step that read it. `text` is its JSON: the received bytes if they were valid."""

    value: dict[str, Any]
    repair_step: str
    text: str | None = None
    is_ambiguous: bool = False


def read_object(raw: Any, known: Collection[str] = (), needed: Collection[str] = ()) -> Reading | None:
    """Read the arguments of a call: text, an object that was never encoded, or None.

    Returns None if no repair step gives an object; that includes truncated text and text of which a part would have to
    be dropped. `known` are the tool's parameters, `needed` the required ones.
    """
    if raw is None or (isinstance(raw, str) and not raw.strip(_BLANKS)):
        return Reading({}, STRICT)
    if isinstance(raw, dict):
        return _encodable(Reading(raw, STRICT))
    try:
        reading = _run_steps(raw, known, needed) if isinstance(raw, str) else None
    except Conflict:
        return None
    return _encodable(reading) if reading else None


def _run_steps(raw: str, known: Collection[str], needed: Collection[str]) -> Reading | None:
    if reading := _try_step(_native, raw):
        return reading
    text = _unwrapped(raw)
    if text != raw and (reading := _try_step(_trimmed, text)):
        return reading
    for step in (_small_repairs, _python_literal):
        if reading := _try_step(step, text):
            return reading
    outside = outside_strings(text)
    if not text.endswith("}") or looks_cut(text) or is_open(text, outside) or _COMMENT.search(outside):
        return None
    for step in (_wrongly_escaped, _json_repaired, lambda text: _unescaped_quotes(text, known, needed)):
        if reading := _try_step(step, text):
            return reading
    return None


def is_json_object(text: Any) -> bool:
    """Whether a text is strict JSON of an object, which every server accepts."""
    try:
        return isinstance(text, str) and _try_step(_native, text) is not None
    except Conflict:
        return False


def unfenced(text: str) -> str:
    """The text inside a code fence, if the whole text is one."""
    text = text.strip(_BLANKS)
    if len(text) < 6 or not (text.startswith("```") and text.endswith("```")):
        return text
    first, _, rest = text[3:-3].partition("\n")
    inside = rest if _LANGUAGE.fullmatch(first) else text[3:-3]
    return text if "```" in inside and not inside.lstrip().startswith(("{", '"')) else inside.strip(_BLANKS)


# -------------------------------------------------------------------------------------------------------- repair steps


def _native(text: str) -> Reading | None:
    value = loads(text)
    return Reading(value, NATIVE, text) if isinstance(value, dict) else None


def _trimmed(text: str) -> Reading | None:
    value = loads(text)
    return Reading(value, TRIMMED, text) if isinstance(value, dict) else None


def _small_repairs(text: str) -> Reading | None:
    start = text.find("{")
    if start < 0 or '"' in text[:start]:
        return None
    body = text[start:]
    prefix = read_prefix(body)
    if prefix is None:
        return _stuttered(body)
    if not isinstance(prefix.value, dict):
        return None
    if prefix.is_repaired:
        return None if prefix.tail.strip() else Reading(prefix.value, JSON_REPAIRED, is_ambiguous=prefix.is_ambiguous)
    if start or prefix.tail:
        return _with_tail(prefix.value, prefix.tail)
    return Reading(prefix.value, ESCAPED)


def _with_tail(value: dict[str, Any], tail: str) -> Reading:
    """Classify the text after the object: punctuation, the same object again, prose, or a second meaning."""
    if "{" not in tail:
        is_harmless = _HARMLESS_TAIL.fullmatch(tail)
        if _CLOSES_AGAIN.search(tail) or (not is_harmless and (_MORE_ARGUMENTS.search(tail) or tail.count('"') % 2)):
            raise Conflict("the last string may continue after the object")
        return Reading(value, PROSE_CUT, is_ambiguous=not is_harmless and bool(_CONTINUES.match(tail)))
    second = _try_step(_small_repairs, tail)
    if second is None or second.repair_step == JSON_REPAIRED:
        if _MORE_ARGUMENTS.search(tail) or _CLOSES_AGAIN.search(tail):
            raise Conflict("the last string may continue after the object")
        return Reading(value, PROSE_CUT, is_ambiguous=True)
    if second.value == value or not value:
        return replace(second, repair_step=PROSE_CUT)
    raise Conflict("a second object follows")


def _stuttered(text: str) -> Reading | None:
    """Read `{"a":1{"a":1}`: a stream that began its object, began it again, and completed it."""
    head = text[: text.find(":") + 1]
    again = text.find(head, 1) if head else -1
    if again < 0 or not text.startswith(text[:again], again):
        return None
    value = loads(text[again:], strict=False)
    return Reading(value, PROSE_CUT) if isinstance(value, dict) else None


def _python_literal(text: str) -> Reading | None:
    start, end = text.find("{"), text.rfind("}") + 1
    head, tail = text[:start], text[end:]
    if start < 0 or "'" in head or '"' in head or _MORE_ARGUMENTS.search(tail):
        return None
    literal = read_python(text[start:end])
    if literal is None or any(not isinstance(key, str) for key in literal[0]):
        return None
    # A round trip turns tuples into lists and rejects values that JSON cannot represent.
    encoded = dumps(literal[0])
    continues = not _HARMLESS_TAIL.fullmatch(tail) and bool(_CONTINUES.match(tail))
    return Reading(json.loads(encoded), PYTHON_LITERAL, encoded, literal[1] or continues)


def _json_repaired(text: str) -> Reading | None:
    result = repaired(text)
    return Reading(result[0], JSON_REPAIRED, is_ambiguous=result[1]) if result else None


def _unescaped_quotes(text: str, known: Collection[str], needed: Collection[str]) -> Reading | None:
    value = read_unescaped_quotes(text, known, needed)
    return None if value is None else Reading(value, JSON_REPAIRED, is_ambiguous=True)


def _wrongly_escaped(text: str) -> Reading | None:
    r"""Read `"\d"` as a backslash and a letter. Ambiguous, because the letter alone may be meant."""

    def escape(match: re.Match[str]) -> str:
        return match[0] if match[1] in '"\\/bfnrtu' else "\\" + match[0]

    prefix = read_prefix(_ESCAPE.sub(escape, text)) if text.startswith("{") else None
    is_whole = prefix is not None and isinstance(prefix.value, dict) and not prefix.tail.strip()
    return Reading(prefix.value, ESCAPED, is_ambiguous=True) if prefix and is_whole else None


# ------------------------------------------------------------------------------------------------------------- helpers


def _try_step(step: Callable[[str], Reading | None], text: str) -> Reading | None:
    try:
        return step(text)
    except Conflict:
        raise
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, OverflowError):
        return None


def _unwrapped(text: str) -> str:
    """Remove blanks and a code fence, and decode JSON that was encoded as a JSON string up to three times."""
    text = unfenced(text)
    for _ in range(3):
        if not (text.startswith('"') and text.endswith('"') and len(text) > 1):
            break
        try:
            inner = loads(text, strict=False)
        except (ValueError, RecursionError):
            break
        text = unfenced(inner)
    return text


def _encodable(reading: Reading) -> Reading | None:
    """Add the text that history will carry; None if the value cannot be written as JSON."""
    try:
        if reading.text is None:
            return replace(reading, text=dumps(reading.value))
        text = fix_surrogates(reading.text)
        return reading if text == reading.text else replace(reading, text=text, value=loads(text))
    except (ValueError, TypeError, RecursionError):
        return None
