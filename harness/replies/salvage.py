"""Turns what arrived in place of a tool call's arguments into an object, by the mildest means that works.

The steps form a ladder; each is a pure function from text to an object, and the first that succeeds names the rung.
What is cut off is never completed here, and what can be read in two ways is marked so. How far down the ladder a
tool may go is not decided here (`tool_calls`).

What is a few characters away from JSON is mended in place (`mending`), since the json-repair library, which agrees
about missing commas, bare keys and comments, looks long at every letter. It stands on the last step, for what is
further off (a bracket, say), and long strings are kept from it. It does not agree with these rules about text that ends
too early (it closes it), about several objects in a row (it makes a list), about quotation marks inside a string (it
guesses), about NaN, and about a key given twice (the last one wins): the first three are kept from it or marked
ambiguous, the last two refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.replies.json_text import (
    STRING,
    Conflict,
    dumps,
    healed,
    is_one_object,
    is_too_deep,
    loads,
    looks_cut,
    outside_strings,
)
from harness.replies.mending import read_mended
from harness.replies.python_text import is_open, read_python

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

LADDER = (
    NATIVE, STRICT, TRIMMED, ESCAPED, PROSE_CUT, PYTHON_LITERAL, JSON_REPAIRED, SCHEMA, IN_CONTENT, IN_THINKING, ERROR
)  # fmt: skip
"""All rungs, mildest first."""

_LANGUAGE = re.compile(r"[\w.+-]*[ \t]*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_HARMLESS_TAIL = re.compile(r"(?:[\s\"'`}\])>;,.]|</?[\w:]+>)*")
_MORE_ARGUMENTS = re.compile(r"\A\s*[,:]|[\"']\s*:")
_BLANKS = " \t\r\n\ufeff\u200b\u2060"

_LONGEST_TO_REPAIR = 64_000
# Characters; where no string is long, the library takes a quarter of a second for half of that.
_LONG = 80
_COMMENT = re.compile(r"[{\[,\s]//|/\*")  # may hold a quotation mark, so that it cannot be told where strings end
_MARK = "\ue000"
_MARKED = re.compile(f"{_MARK}(\\d+){_MARK}")


@dataclass(frozen=True)
class Reading:
    """An object that was read. `text` is valid JSON of it: the very bytes that arrived, where they were that."""

    value: dict[str, Any]
    rung: str
    text: str | None = None
    is_ambiguous: bool = False


def read_object(raw: Any) -> Reading | None:
    """Read the arguments of a call: text, an object that was never encoded, or nothing at all.

    None where no rung gives an object; that includes every text that ends before its object does.
    """
    if raw is None or (isinstance(raw, str) and not raw.strip(_BLANKS)):
        return Reading({}, STRICT)
    if isinstance(raw, dict):
        return _encodable(Reading(raw, STRICT))
    try:
        reading = _climb(raw) if isinstance(raw, str) else None
    except Conflict:
        return None
    return _encodable(reading) if reading else None


def _climb(raw: str) -> Reading | None:
    if reading := _attempt(_native, raw):
        return reading
    text = _unwrapped(raw)
    if text != raw and (reading := _attempt(_trimmed, text)):
        return reading
    for step in (_mended, _python_literal, _mended_quotes):
        if reading := _attempt(step, text):
            return reading
    outside = outside_strings(text)
    if not text.endswith("}") or looks_cut(text) or is_open(text, outside) or _COMMENT.search(outside):
        return None
    return _attempt(_wrongly_escaped, text) or _attempt(_json_repaired, text)


def is_json_object(text: Any) -> bool:
    """Whether a text is strict JSON of an object, as every server takes it."""
    try:
        return isinstance(text, str) and _attempt(_native, text) is not None
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


def _mended(text: str) -> Reading | None:
    start = text.find("{")
    if start < 0 or '"' in text[:start]:
        return None
    body = text[start:]
    found = read_mended(body)
    if found is None:
        return _stuttered(body)
    if not isinstance(found.value, dict):
        return None
    if found.is_repaired:
        return None if found.tail.strip() else Reading(found.value, JSON_REPAIRED)
    if start or found.tail:
        return _with_tail(found.value, found.tail)
    return Reading(found.value, ESCAPED)


def _mended_quotes(text: str) -> Reading | None:
    """Read JSON whose strings stand in single quotation marks, and that is no Python either (a comma is missing)."""
    found = read_mended(text, single_quotes=True) if text.startswith("{") and "'" in text else None
    is_whole = found is not None and isinstance(found.value, dict) and not found.tail.strip()
    return Reading(found.value, JSON_REPAIRED) if found and is_whole else None


def _with_tail(value: dict[str, Any], tail: str) -> Reading | None:
    """Decide what stands behind the object: nothing of weight, the same once more, prose, or a second meaning."""
    if _HARMLESS_TAIL.fullmatch(tail):
        return Reading(value, PROSE_CUT)
    if _MORE_ARGUMENTS.search(tail) and "{" not in tail:
        return None
    if "{" not in tail:
        return Reading(value, PROSE_CUT)
    second = _attempt(_mended, tail)
    if second is None or second.rung == JSON_REPAIRED:
        return None if _MORE_ARGUMENTS.search(tail) else Reading(value, PROSE_CUT, is_ambiguous=True)
    if second.value == value or not value:
        return replace(second, rung=PROSE_CUT)
    return None


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
    value = read_python(text[start:end])
    if value is None or any(not isinstance(key, str) for key in value):
        return None
    # A round trip turns tuples into lists and refuses what JSON cannot say.
    carried = dumps(value)
    # To Python a backslash before the end of a line is nothing; who wrote it may have meant both.
    is_ambiguous = "\\\n" in text and any(found[1] == "\n" for found in _ESCAPE.finditer(text[start:end]))
    return Reading(json.loads(carried), PYTHON_LITERAL, carried, is_ambiguous)


def _json_repaired(text: str) -> Reading | None:
    if not text.startswith("{") or len(text) > _LONGEST_TO_REPAIR or is_too_deep(text) or not is_one_object(text):
        return None
    from json_repair import repair_json

    short, kept = _shortened(text)
    value = repair_json(short, return_objects=True, skip_json_loads=True)
    if not isinstance(value, dict) or not value:
        return None
    is_ambiguous = not _kept_its_strings(short, value)
    return Reading(_lengthened(value, kept), JSON_REPAIRED, is_ambiguous=is_ambiguous)


def _wrongly_escaped(text: str) -> Reading | None:
    r"""Read `"\d"` as a backslash and a letter. It may have meant the letter alone, so it is ambiguous."""

    def mended(found: re.Match[str]) -> str:
        return found[0] if found[1] in '"\\/bfnrtu' else "\\" + found[0]

    escaped = _ESCAPE.sub(mended, text)
    found = read_mended(escaped) if escaped != text and text.startswith("{") else None
    is_whole = found is not None and isinstance(found.value, dict) and not found.tail.strip()
    return Reading(found.value, ESCAPED, is_ambiguous=True) if found and is_whole else None


# ------------------------------------------------------------------------------------------------------------ the tools


def _attempt(step: Callable[[str], Reading | None], text: str) -> Reading | None:
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
        text = healed(reading.text)
        return reading if text == reading.text else replace(reading, text=text, value=loads(text))
    except (ValueError, TypeError, RecursionError):
        return None


def _shortened(text: str) -> tuple[str, list[str]]:
    """The text with a mark in place of each long string, and those strings: the library looks long at each letter."""
    kept: list[str] = []

    def mark(found: re.Match[str]) -> str:
        if len(found[0]) < _LONG:
            return found[0]
        try:
            string = loads(found[0], strict=False)
        except ValueError:
            return found[0]
        kept.append(string)
        return f'"{_MARK}{len(kept) - 1}{_MARK}"'

    return (text if _MARK in text else STRING.sub(mark, text)), kept


def _lengthened(value: Any, kept: Sequence[str]) -> Any:
    """The value with the long strings back in it, wherever their marks went."""
    if isinstance(value, str):
        return _MARKED.sub(lambda found: kept[int(found[1])], value) if kept else value
    if isinstance(value, list):
        return [_lengthened(item, kept) for item in value]
    if isinstance(value, dict):
        return {_lengthened(key, kept): _lengthened(item, kept) for key, item in value.items()}
    return value


def _kept_its_strings(text: str, value: dict[str, Any]) -> bool:
    """Whether a repair left every quoted string as it was and made up none but bare keys."""
    try:
        given = [loads(found[0], strict=False) for found in STRING.finditer(text)]
    except ValueError:
        return False
    outside = STRING.sub(" ", text)
    waiting = iter(given)
    expected = next(waiting, None)
    for string, is_key in _strings_of(value):
        if string == expected:
            expected = next(waiting, None)
        elif not is_key or not re.search(rf"(?<!\w){re.escape(string)}\s*:", outside):
            return False
    keys = sum(is_key for _, is_key in _strings_of(value))
    return expected is None and keys == outside.count(":")


def _strings_of(value: Any) -> list[tuple[str, bool]]:
    if isinstance(value, str):
        return [(value, False)]
    if isinstance(value, list):
        return [pair for item in value for pair in _strings_of(item)]
    if isinstance(value, dict):
        return [pair for key, item in value.items() for pair in [(str(key), True), *_strings_of(item)]]
    return []
