"""Turns what arrived in place of a tool call's arguments into an object, by the mildest means that works.

The steps form a ladder; each is a pure function from text to an object, and the first that succeeds names the rung.
What is cut off is never completed here, and what can be read in two ways is marked so. How far down the ladder a
tool may go is not decided here (`tool_calls`).

What is a few characters away from JSON is mended in place (`mending`), since the json-repair library, which agrees
about missing commas, bare keys and comments, looks long at every letter. It stands on the last step, for what is
further off (a bracket, say; `repairing`). It does not agree with these rules about text that ends too early (it closes
it), about several objects in a row (it makes a list), about quotation marks inside a string (it guesses), about what
stands outside of strings (it drops it), about NaN, and about a key given twice (the last one wins): all that is kept
from it, or what it made is not taken.

A quotation mark that was not escaped is the root of most evil here: it ends a string too early, and the rest looks like
a comment, like prose behind the object, like words to be dropped. So nothing that holds such a mark is thrown away
where it could belong to the string before it. `quoting` reads such strings, if that can be done in one way.
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
"""All rungs, mildest first."""

_LANGUAGE = re.compile(r"[\w.+-]*[ \t]*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_HARMLESS_TAIL = re.compile(r"(?:[\s\"'`}\])>;,.])*")
_CLOSED_AGAIN = re.compile(r"[\"']\s*,?\s*[}\]]")
_GOES_ON = re.compile(r"[^\s<`]|\s*[&|+%*/;=>]|.*\}", re.DOTALL)
_MORE_ARGUMENTS = re.compile(r"\A\s*[,:]|[\"']\s*:")
_BLANKS = " \t\r\n\ufeff\u200b\u2060"

_COMMENT = re.compile(r"[{\[,\s]//|/\*")  # may hold a quotation mark, so that it cannot be told where strings end


@dataclass(frozen=True)
class Reading:
    """An object that was read. `text` is valid JSON of it: the very bytes that arrived, where they were that."""

    value: dict[str, Any]
    repair_step: str
    text: str | None = None
    is_ambiguous: bool = False


def read_object(raw: Any, known: Collection[str] = (), needed: Collection[str] = ()) -> Reading | None:
    """Read the arguments of a call: text, an object that was never encoded, or nothing at all.

    None where no rung gives an object; that includes every text that ends before its object does, and every one of
    which something would have to be dropped. `known` and `needed` are the keys that the tool has, and must be given.
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
    """Whether a text is strict JSON of an object, as every server takes it."""
    try:
        return isinstance(text, str) and _try_step(_native, text) is not None
    except Conflict:
        return False


def unfenced(text: str) -> str:
    """Take a text out of its code fence, if it is in one as a whole."""
    text = text.strip(_BLANKS)
    if len(text) < 6 or not (text.startswith("```") and text.endswith("```")):
        return text
    first, _, rest = text[3:-3].partition("\n")
    inside = rest if _LANGUAGE.fullmatch(first) else text[3:-3]
    return text if "```" in inside and not inside.lstrip().startswith(("{", '"')) else inside.strip(_BLANKS)


# ------------------------------------------------------------------------------------------------------------ the steps


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
    found = read_prefix(body)
    if found is None:
        return _stuttered(body)
    if not isinstance(found.value, dict):
        return None
    if found.is_repaired:
        return None if found.tail.strip() else Reading(found.value, JSON_REPAIRED, is_ambiguous=found.is_ambiguous)
    if start or found.tail:
        return _with_tail(found.value, found.tail)
    return Reading(found.value, ESCAPED)


def _with_tail(value: dict[str, Any], tail: str) -> Reading:
    """Decide what stands behind the object: nothing of weight, the same once more, prose, or a second meaning."""
    if "{" not in tail:
        is_harmless = _HARMLESS_TAIL.fullmatch(tail)
        if _CLOSED_AGAIN.search(tail) or (not is_harmless and (_MORE_ARGUMENTS.search(tail) or tail.count('"') % 2)):
            raise Conflict("the last string may go on behind the object")
        return Reading(value, PROSE_CUT, is_ambiguous=not is_harmless and bool(_GOES_ON.match(tail)))
    second = _try_step(_small_repairs, tail)
    if second is None or second.repair_step == JSON_REPAIRED:
        if _MORE_ARGUMENTS.search(tail) or _CLOSED_AGAIN.search(tail):
            raise Conflict("the last string may go on behind the object")
        return Reading(value, PROSE_CUT, is_ambiguous=True)
    if second.value == value or not value:
        return replace(second, repair_step=PROSE_CUT)
    raise Conflict("a second object follows")


def _stuttered(text: str) -> Reading | None:
    """Read `{"a":1{"a":1}`: a stream that began its object, and then began it again and finished."""
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
    found = read_python(text[start:end])
    if found is None or any(not isinstance(key, str) for key in found[0]):
        return None
    # A round trip turns tuples into lists and refuses what JSON cannot say.
    carried = dumps(found[0])
    goes_on = not _HARMLESS_TAIL.fullmatch(tail) and bool(_GOES_ON.match(tail))
    return Reading(json.loads(carried), PYTHON_LITERAL, carried, found[1] or goes_on)


def _json_repaired(text: str) -> Reading | None:
    found = repaired(text)
    return Reading(found[0], JSON_REPAIRED, is_ambiguous=found[1]) if found else None


def _unescaped_quotes(text: str, known: Collection[str], needed: Collection[str]) -> Reading | None:
    value = read_unescaped_quotes(text, known, needed)
    return None if value is None else Reading(value, JSON_REPAIRED, is_ambiguous=True)


def _wrongly_escaped(text: str) -> Reading | None:
    r"""Read `"\d"` as a backslash and a letter. It may have meant the letter alone, so it is ambiguous."""

    def mended(found: re.Match[str]) -> str:
        return found[0] if found[1] in '"\\/bfnrtu' else "\\" + found[0]

    found = read_prefix(_ESCAPE.sub(mended, text)) if text.startswith("{") else None
    is_whole = found is not None and isinstance(found.value, dict) and not found.tail.strip()
    return Reading(found.value, ESCAPED, is_ambiguous=True) if found and is_whole else None


# ------------------------------------------------------------------------------------------------------------ the tools


def _try_step(step: Callable[[str], Reading | None], text: str) -> Reading | None:
    try:
        return step(text)
    except Conflict:
        raise
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, OverflowError):
        return None


def _unwrapped(text: str) -> str:
    """Trim, take out of a fence, and undo up to three rounds of encoding the JSON as a JSON string."""
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
    """Give a reading the text that history will carry; None where it cannot be written as JSON again."""
    try:
        if reading.text is None:
            return replace(reading, text=dumps(reading.value))
        text = fix_surrogates(reading.text)
        return reading if text == reading.text else replace(reading, text=text, value=loads(text))
    except (ValueError, TypeError, RecursionError):
        return None
