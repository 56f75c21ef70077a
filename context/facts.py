"""Facts: what turns that leave the window must not take with them, found by code and never rewritten.

Scores, attempts and jobs are rendered from the record (`memory`, `head`). Here are the facts of the second rank, which
stand only in the turns: paths, hashes, job ids, hyper-parameters, error signatures.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from context.tokens import bytes_for

KINDS = ("path", "hash", "job", "setting", "error", "score")
FACT_TOKENS = 3_000
"""Room that kept facts may take in the window's head; beyond it the oldest go (`recall` still finds them)."""
LONGEST = 140

_SUFFIXES = "py|csv|tsv|pkl|pickle|np[yz]|parquet|feather|json|txt|bin|pth?|ckpt|joblib|md|ya?ml|log|h5|onnx|zip|gz"
_PATH = re.compile(rf"(?<![\w/.])(?:[\w.-]+/)*[\w-][\w.-]*\.(?:{_SUFFIXES})\b")
_WRITTEN = re.compile(r"(?i)\b(?:saved?|wrote|written|writing|dump(?:ed)?|created?|export(?:ed)?|checkpoint|model)\b")
_HASH = re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,64}\b")
_JOB = re.compile(r"\bjob[ `]+([\w.-]*\d[\w-]*)")
_FLAG = re.compile(r"(?<![\w-])--([a-z][\w-]*)[= ]([-+]?\d[\w.+-]*|True|False|[a-z]+\b)")
_SETTING = re.compile(r"\b([A-Za-z_]\w{0,40})\s?=\s?([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)(?![\w.])")
_ERROR = re.compile(r"^\s*((?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception)\b: .+|Killed|.*out of memory.*)$", re.MULTILINE)
_SCORE = re.compile(r"(?i)^.*\b(?:cv|oof|mean|best|final|held-out|valid(?:ation)?)\b.{0,60}?\d*\.\d+.*$", re.MULTILINE)
_WROTE = re.compile(r"^wrote (\S+): \d+ bytes, sha256 ([0-9a-f]{12})")
_NOTE = re.compile(r"\n<harness>.*</harness>\s*\Z", re.DOTALL)
HASH_LETTERS = 12


def extract_facts(messages: Iterable[bytes]) -> list[str]:
    """The facts in these messages as `kind: text`, oldest first, each once."""
    found: dict[str, None] = {}
    for raw in messages:
        message = json.loads(raw)
        for fact in _of_message(message):
            found.pop(fact, None)  # said again: it counts as new
            found[fact] = None
    return _latest(found)


def find_missing(facts: Iterable[str], text: str) -> list[str]:
    """The facts that a text does not hold word for word; `depth=1` is not held by `depth=12`."""
    return [fact for fact in facts if not _holds(text, fact.partition(": ")[2])]


def _holds(text: str, fact: str) -> bool:
    place = text.find(fact) if fact else -1
    while place >= 0:
        before, after = text[max(0, place - 1) : place], text[place + len(fact) : place + len(fact) + 2]
        is_part = before.isalnum() or before in ("_", "-") or after[:1].isalnum() or after[:1] == "_"
        if not is_part and not (after[:1] == "." and after[1:].isalnum()):
            return True
        place = text.find(fact, place + 1)
    return False


def merge_facts(old: Sequence[str], new: Sequence[str], tokens: int = FACT_TOKENS) -> list[str]:
    """All facts to carry on: the old ones, then those that are new, as many of the latest as there is room for."""
    again = set(new)
    merged = _latest([*(fact for fact in old if fact not in again), *new])
    room, kept = bytes_for(tokens), []
    for fact in reversed(merged):
        room -= len(fact.encode())
        if room < 0:
            break
        kept.append(fact)
    return list(reversed(kept))


def render(facts: Iterable[str]) -> str:
    """Facts as lines, one for each kind; empty where there are none."""
    by_kind: dict[str, list[str]] = {}
    for fact in facts:
        kind, _, text = fact.partition(": ")
        by_kind.setdefault(kind, []).append(text)
    ordered = sorted(by_kind.items(), key=lambda pair: KINDS.index(pair[0]) if pair[0] in KINDS else 99)
    return "\n".join(f"- {kind}: {('; ' if kind not in ('error', 'score') else ' | ').join(t)}" for kind, t in ordered)


def text_of_messages(messages: Iterable[bytes]) -> str:
    """All that messages say and call, as plain text: what a fact is looked for in."""
    parts: list[str] = []
    for raw in messages:
        message = json.loads(raw)
        parts.append(plain_text(message.get("content")))
        parts += [value for _, arguments in _calls(message) for value in map(str, arguments.values())]
    return "\n".join(parts)


def _latest(facts: Iterable[str]) -> list[str]:
    """Of each file that was written only its last hash; a bare path says nothing beside that."""
    last: dict[str, str] = {}
    told = list(dict.fromkeys(facts))
    for fact in told:
        path, hashed, _ = fact.partition(" (sha256 ")
        if hashed:
            last[path] = fact
    return [fact for fact in told if last.get(fact.partition(" (sha256 ")[0], fact) == fact]


def _of_message(message: dict[str, Any]) -> Iterable[str]:
    if message.get("role") == "tool":
        yield from _of_result(_NOTE.sub("", plain_text(message.get("content"))))
    for name, arguments in _calls(message):
        if name in ("write_file", "edit_file"):
            yield from _facts("path", [str(arguments.get("path", ""))])
        command = str(arguments.get("command", ""))
        yield from _facts("path", _PATH.findall(command))
        yield from _facts("setting", (f"{key}={value}" for key, value in _FLAG.findall(command)))
        yield from _facts("setting", (f"{key}={value}" for key, value in _SETTING.findall(command)))


def _of_result(text: str) -> Iterable[str]:
    if wrote := _WROTE.match(text):
        yield from _facts("path", [f"{wrote[1]} (sha256 {wrote[2]})"])
        return
    if text.startswith("evaluation "):  # the record has it
        return
    for line in text.split("\n"):
        if len(line) > 600:
            continue
        if _WRITTEN.search(line):
            yield from _facts("path", _PATH.findall(line))
        yield from _facts("job", _JOB.findall(line))
        yield from _facts("hash", (one[:HASH_LETTERS] for one in _HASH.findall(line)))
        if "=" in line:
            yield from _facts("setting", (f"{key}={value}" for key, value in _SETTING.findall(line)))
    yield from _facts("error", (one.strip() for one in _ERROR.findall(text)))
    yield from _facts("score", (one.strip() for one in _SCORE.findall(text)[-2:]))


def _facts(kind: str, texts: Iterable[str]) -> Iterable[str]:
    for text in texts:
        one = " ".join(text.split())
        if one and len(one) <= LONGEST:
            yield f"{kind}: {one}"
        elif one and kind == "error":
            yield f"{kind}: {one[:LONGEST].rstrip()}"


def _calls(message: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    for call in message.get("tool_calls") or []:
        function = call.get("function") or {}
        try:
            arguments = json.loads(function.get("arguments") or "{}")
        except ValueError:
            arguments = {}
        yield str(function.get("name")), arguments if isinstance(arguments, dict) else {}


def plain_text(value: Any) -> str:
    """The text of a message's content, whether a string, a list of parts, or nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return plain_text(value.get("text"))
    return "".join(map(plain_text, value)) if isinstance(value, list) else ""
