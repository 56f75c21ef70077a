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
import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

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

# A string that never ends is taken to the end of the text; otherwise each quotation mark in it would be tried anew.
_STRING_SOURCE = r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
_STRING = re.compile(_STRING_SOURCE, re.DOTALL)
_STRING_OR_LAST_COMMA = re.compile(rf"({_STRING_SOURCE})|,(?=\s*[}}\]])", re.DOTALL)
_LAST_COMMA = re.compile(r",\s*[}\]]")
_LANGUAGE = re.compile(r"[\w.+-]*[ \t]*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_PYTHON_WORD = re.compile(r"\b(?:True|False|None)\b")
_HARMLESS_TAIL = re.compile(r"(?:[\s\"'`}\])>;,.]|</?[\w:]+>)*")
_MORE_ARGUMENTS = re.compile(r"\A\s*[,:]|[\"']\s*:")
_BLANKS = " \t\r\n\ufeff\u200b\u2060"

_DEEPEST = 100
_LONGEST_TO_REPAIR = 200_000


class _Conflict(ValueError):
    """The same key stands twice with different values."""


@dataclass(frozen=True)
class Reading:
    """An object that was read. `text` is what arrived, where that is valid JSON already and can be kept as it is."""

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
    except _Conflict:
        return None
    return _encodable(reading) if reading else None


def _climb(raw: str) -> Reading | None:
    if reading := _attempt(_native, raw):
        return reading
    text = _unwrapped(raw)
    if text != raw and (reading := _attempt(_trimmed, text)):
        return reading
    text = _without_last_commas(text)
    for step in (_escaped, _prose_cut, _python_literal, _json_repaired, _wrongly_escaped):
        if reading := _attempt(step, text):
            return reading
    return None


def dumps(value: Any) -> str:
    """Write a value the way history carries it: compact, in the order given, not escaped beyond need."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def is_json_object(text: Any) -> bool:
    """Whether a text is strict JSON of an object, as every server takes it."""
    try:
        return isinstance(text, str) and _attempt(_native, text) is not None
    except _Conflict:
        return False


def looks_cut(raw: Any) -> bool:
    """Whether a text begins an object and ends before it does."""
    if not isinstance(raw, str) or "{" not in raw:
        return False
    outside = _outside_strings(raw)
    return outside.count("{") > outside.count("}") or outside.count('"') % 2 == 1


def healed(text: str) -> str:
    """Join surrogate halves that a stream tore apart and replace those that stand alone; other text is unchanged."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


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
    value = _loads(text)
    return Reading(value, NATIVE, text) if isinstance(value, dict) else None


def _trimmed(text: str) -> Reading | None:
    value = _loads(text)
    return Reading(value, TRIMMED) if isinstance(value, dict) else None


def _escaped(text: str) -> Reading | None:
    value = _loads(text, strict=False)
    return Reading(value, ESCAPED) if isinstance(value, dict) else None


def _prose_cut(text: str) -> Reading | None:
    start = text.find("{")
    if start < 0 or '"' in text[:start]:
        return None
    body = text[start:]
    try:
        value, end = _decoder(strict=False).raw_decode(body)
    except _Conflict:
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
    value = _loads(text[again:], strict=False)
    return Reading(value, PROSE_CUT) if isinstance(value, dict) else None


def _python_literal(text: str) -> Reading | None:
    outside = _outside_strings(text)
    if not text.startswith("{") or not ("'" in outside or _PYTHON_WORD.search(outside)) or _is_too_deep(text):
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
    if not (text.startswith("{") and text.endswith("}")) or looks_cut(text) or len(text) > _LONGEST_TO_REPAIR:
        return None
    if _is_too_deep(text) or not _is_one_object(text):
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

    value = _loads(_ESCAPE.sub(mended, text), strict=False)
    return Reading(value, ESCAPED, is_ambiguous=True) if isinstance(value, dict) else None


# ------------------------------------------------------------------------------------------------------------ the tools


def _attempt(step: Callable[[str], Reading | None], text: str) -> Reading | None:
    try:
        return step(text)
    except _Conflict:
        raise
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, OverflowError):
        return None


def _loads(text: str, *, strict: bool = True) -> Any:
    return _decoder(strict=strict).decode(text)


def _decoder(*, strict: bool) -> json.JSONDecoder:
    return _STRICT if strict else _LENIENT


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs) and any(value[key] != item for key, item in pairs):
        raise _Conflict("a key stands twice with different values")
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


def _unwrapped(text: str) -> str:
    """Trim, take out of a fence, and undo up to three rounds of encoding the JSON as a JSON string."""
    text = unfenced(text)
    for _ in range(3):
        if not (text.startswith('"') and text.endswith('"') and len(text) > 1):
            break
        try:
            inner = _loads(text, strict=False)
        except (ValueError, RecursionError):
            break
        text = unfenced(inner)
    return text


def _without_last_commas(text: str) -> str:
    return _STRING_OR_LAST_COMMA.sub(lambda found: found[1] or "", text) if _LAST_COMMA.search(text) else text


def _outside_strings(text: str) -> str:
    """The text with every string in it emptied; one that never ends leaves a single quotation mark."""
    return _STRING.sub(lambda found: '""' if len(found[0]) > 1 and found[0].endswith('"') else '"', text)


def _encodable(reading: Reading) -> Reading | None:
    """Refuse what cannot be written as JSON again; drop the kept text where it holds torn surrogates."""
    try:
        text = reading.text
        if text is None:
            dumps(reading.value)
        elif text != healed(text):
            return replace(reading, text=None, value=json.loads(healed(text)))
    except (ValueError, TypeError, RecursionError):
        return None
    return reading


def _is_too_deep(text: str) -> bool:
    """Whether brackets nest so deep that the parser of Python itself could fall over."""
    depth = deepest = 0
    for found in re.finditer(r"[\[{(]|[\]})]", _outside_strings(text)):
        depth += 1 if found[0] in "[{(" else -1
        deepest = max(deepest, depth)
    return deepest > _DEEPEST


def _is_one_object(text: str) -> bool:
    """Whether the first bracket is closed by the last."""
    depth = 0
    for found in re.finditer(r"[{}]", _outside_strings(text)[:-1]):
        depth += 1 if found[0] == "{" else -1
        if depth == 0:
            return False
    return True


def _kept_its_strings(text: str, value: dict[str, Any]) -> bool:
    """Whether a repair left every quoted string as it was and made up none but bare keys."""
    try:
        given = [_loads(found[0], strict=False) for found in _STRING.finditer(text)]
    except ValueError:
        return False
    outside = _STRING.sub(" ", text)
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
