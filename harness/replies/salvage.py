"""Turns what arrived in place of a tool call's arguments into an object, by the mildest means that works.

The steps form a ladder; each is a pure function from text to an object, and the first that succeeds names the rung.
What is cut off is never completed here, and what can be read in two ways is marked so. How far down the ladder a
tool may go is not decided here (`tool_calls`).

The json-repair library stands on the last step for JSON text. It agrees with these rules about missing commas, bare
keys and comments. It does not agree about text that ends too early (it closes it), about several objects in a row
(it makes a list), about quotation marks inside a string (it guesses), about NaN, and about a key given twice (the
last one wins): the first three are kept from it or marked ambiguous, the last two refused.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from harness.replies.json_text import (
    STRING,
    Conflict,
    decoder,
    dumps,
    healed,
    is_one_object,
    is_too_deep,
    loads,
    looks_cut,
    outside_strings,
    without_last_commas,
)  # fmt: skip

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
_PYTHON_WORD = re.compile(r"\b(?:True|False|None)\b")
_HARMLESS_TAIL = re.compile(r"(?:[\s\"'`}\])>;,.]|</?[\w:]+>)*")
_MORE_ARGUMENTS = re.compile(r"\A\s*[,:]|[\"']\s*:")
_BLANKS = " \t\r\n\ufeff\u200b\u2060"

_LONGEST_TO_REPAIR = 64_000
# Characters; the library takes a quarter of a second for half of that.


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
    text = without_last_commas(text)
    for step in (_escaped, _prose_cut, _python_literal):
        if reading := _attempt(step, text):
            return reading
    if not text.endswith("}") or looks_cut(text):
        return None
    return _attempt(_json_repaired, text) or _attempt(_wrongly_escaped, text)


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


def _escaped(text: str) -> Reading | None:
    value = loads(text, strict=False)
    return Reading(value, ESCAPED) if isinstance(value, dict) else None


def _prose_cut(text: str) -> Reading | None:
    start = text.find("{")
    if start < 0 or '"' in text[:start]:
        return None
    body = text[start:]
    try:
        value, end = decoder(strict=False).raw_decode(body)
    except Conflict:
        raise
    except ValueError:
        return _stuttered(body)
    if not isinstance(value, dict):
        return None
    return _with_tail(value, body[end:])


def _with_tail(value: dict[str, Any], tail: str) -> Reading | None:
    """Decide what stands behind the object: nothing of weight, the same once more, prose, or a second meaning."""
    if _HARMLESS_TAIL.fullmatch(tail):
        return Reading(value, PROSE_CUT)
    if _MORE_ARGUMENTS.search(tail) and "{" not in tail:
        return None
    if "{" not in tail:
        return Reading(value, PROSE_CUT)
    second = _attempt(_prose_cut, tail)
    if second is None:
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
    if not (text.startswith("{") and text.endswith("}")):
        return None
    outside = outside_strings(text)
    if not ("'" in outside or _PYTHON_WORD.search(outside)) or is_too_deep(text):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = _JsonWords().visit(ast.parse(text, mode="eval"))
        value = ast.literal_eval(tree)
    if not isinstance(value, dict) or any(not isinstance(key, str) for key in value):
        return None
    if isinstance(tree.body, ast.Dict) and len(tree.body.keys) != len(value):
        return None
    # A round trip turns tuples into lists and refuses what JSON cannot say.
    return Reading(json.loads(dumps(value)), PYTHON_LITERAL)


def _json_repaired(text: str) -> Reading | None:
    if not text.startswith("{") or len(text) > _LONGEST_TO_REPAIR:
        return None
    if is_too_deep(text) or not is_one_object(text):
        return None
    from json_repair import repair_json

    value = repair_json(text, return_objects=True, skip_json_loads=True)
    if not isinstance(value, dict) or not value:
        return None
    return Reading(value, JSON_REPAIRED, is_ambiguous=not _kept_its_strings(text, value))


def _wrongly_escaped(text: str) -> Reading | None:
    r"""Read `"\d"` as a backslash and a letter. It may have meant the letter alone, so it is ambiguous."""

    def mended(found: re.Match[str]) -> str:
        return found[0] if found[1] in '"\\/bfnrtu' else "\\" + found[0]

    value = loads(_ESCAPE.sub(mended, text), strict=False)
    return Reading(value, ESCAPED, is_ambiguous=True) if isinstance(value, dict) else None


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


class _JsonWords(ast.NodeTransformer):
    """Reads JSON's own words where they stand in a Python literal."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        words = {"true": True, "false": False, "null": None}
        return ast.copy_location(ast.Constant(words[node.id]), node) if node.id in words else node
