"""Facts in turns that leave the window: extracted by code, carried on verbatim, never rewritten.

Scores, attempts and jobs are rendered from events (`memory`, `first_message`). This module covers what only the turns
contain: paths, hashes, job ids, hyper-parameters, error messages and scores in a program's own output.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from context.tokens import bytes_for
from context.window import strip_harness_note
from runs.views.messages import content_text

KINDS = ("path", "hash", "job", "setting", "error", "score")
FACT_TOKENS = 3_000
"""Room for carried facts in the first message; the oldest are dropped (`recall` still finds them)."""
MESSAGE_FACTS = 1_000
LONGEST = 140
LINE_CHARACTERS = 600
"""Of a longer line only the beginning is searched, for errors and scores."""
HASH_LENGTH = 12

_SUFFIXES = "py|csv|tsv|pkl|pickle|np[yz]|parquet|feather|json|txt|bin|pth?|ckpt|joblib|md|ya?ml|log|h5|onnx|zip|gz"
# Each pattern is linear in the text: the agent writes it.
_PATH_WORD = re.compile(r"(?<![\w/.-])[\w.-][\w./-]*")
_PATH = re.compile(r"(?:[\w.-]+/)*[\w-][\w.-]*")
_SUFFIX = re.compile(rf"\.(?:{_SUFFIXES})\b")
_SAVED = re.compile(r"(?i)\b(?:saved?|wrote|written|writing|dump(?:ed)?|created?|export(?:ed)?|checkpoint|model)\b")
_HASH = re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,64}\b")
_JOB = re.compile(r"\bjob[ `]+([\w.-]*\d[\w-]*)")
_FLAG = re.compile(r"(?<![\w-])--([a-z][\w-]*)[= ]([-+]?\d[\w.+-]*|True|False|[a-z]+\b)")
_SETTING = re.compile(r"\b([A-Za-z_]\w{0,40})\s?=\s?([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?)(?![\w.])")
_ERROR = re.compile(r"(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception)\b: .+|Killed$|.*out of memory")
_SCORE = re.compile(r"(?i)\b(?:cv|oof|mean|best|final|held-out|valid(?:ation)?)\b.{0,60}?\.\d")
_WRITE_RESULT = re.compile(r"^wrote (\S+): \d+ bytes, sha256 ([0-9a-f]{12})")


def extract_facts(messages: Iterable[bytes]) -> list[str]:
    """The facts in these messages as `kind: text`, each once, ordered by its last mention."""
    ordered: dict[str, None] = {}
    for message in messages:
        for fact in islice(_facts_of_message(json.loads(message)), MESSAGE_FACTS):
            ordered.pop(fact, None)
            ordered[fact] = None
    return _drop_old_hashes(ordered)


def find_missing(facts: Iterable[str], text: str) -> list[str]:
    """The facts that a text does not contain verbatim; `depth=12` does not contain `depth=1`."""
    return [fact for fact in facts if not _contains(text, fact.partition(": ")[2])]


def _contains(text: str, fact: str) -> bool:
    index = text.find(fact) if fact else -1
    while index >= 0:
        before, after = text[max(0, index - 1) : index], text[index + len(fact) : index + len(fact) + 2]
        is_part = before.isalnum() or before in ("_", "-") or after[:1].isalnum() or after[:1] == "_"
        if not is_part and not (after[:1] == "." and after[1:].isalnum()):
            return True
        index = text.find(fact, index + 1)
    return False


def merge_facts(old: Sequence[str], new: Sequence[str], tokens: int = FACT_TOKENS) -> list[str]:
    """Old facts, then new ones, oldest first: as many of the latest as fit into `tokens`."""
    repeated = set(new)
    merged = _drop_old_hashes([*(fact for fact in old if fact not in repeated), *new])
    room, kept = bytes_for(tokens), []
    for fact in reversed(merged):
        room -= len(fact.encode())
        if room < 0:
            break
        kept.append(fact)
    return list(reversed(kept))


def render(facts: Iterable[str]) -> str:
    """Facts as Markdown, one line per kind; empty if there are none."""
    by_kind: dict[str, list[str]] = {}
    for fact in facts:
        kind, _, text = fact.partition(": ")
        by_kind.setdefault(kind, []).append(text)
    ordered = sorted(by_kind.items(), key=lambda pair: KINDS.index(pair[0]) if pair[0] in KINDS else len(KINDS))
    separators = {"error": " | ", "score": " | "}
    return "\n".join(f"- {kind}: {separators.get(kind, '; ').join(texts)}" for kind, texts in ordered)


def _drop_old_hashes(facts: Iterable[str]) -> list[str]:
    """Keep only the last hash of each written file, and no bare path of a file that has one."""
    unique = list(dict.fromkeys(facts))
    last: dict[str, str] = {}
    for fact in unique:
        path, has_hash, _ = fact.partition(" (sha256 ")
        if has_hash:
            last[path] = fact
    return [fact for fact in unique if last.get(fact.partition(" (sha256 ")[0], fact) == fact]


def _facts_of_message(message: dict[str, Any]) -> Iterable[str]:
    if message.get("role") == "tool":
        yield from _facts_of_result(strip_harness_note(content_text(message.get("content"))))
    for name, arguments in _calls(message):
        if name in ("write_file", "edit_file"):
            yield from _format_facts("path", [str(arguments.get("path", ""))])
        command = str(arguments.get("command", ""))
        yield from _format_facts("path", _paths(command))
        yield from _format_facts("setting", (f"{key}={value}" for key, value in _FLAG.findall(command)))
        yield from _format_facts("setting", (f"{key}={value}" for key, value in _SETTING.findall(command)))


def _facts_of_result(text: str) -> Iterable[str]:
    if written := _WRITE_RESULT.match(text):
        yield from _format_facts("path", [f"{written[1]} (sha256 {written[2]})"])
        return
    if text.startswith("evaluation "):  # rendered from its event
        return
    lines = text.split("\n")
    for line in lines:
        if len(line) > LINE_CHARACTERS:
            continue
        if _SAVED.search(line):
            yield from _format_facts("path", _paths(line))
        yield from _format_facts("job", _JOB.findall(line))
        yield from _format_facts("hash", (digest[:HASH_LENGTH] for digest in _HASH.findall(line)))
        if "=" in line:
            yield from _format_facts("setting", (f"{key}={value}" for key, value in _SETTING.findall(line)))
    heads = [line.strip()[:LINE_CHARACTERS] for line in lines]
    yield from _format_facts("error", (line for line in heads if _ERROR.match(line)))
    yield from _format_facts("score", [line for line in heads if _SCORE.search(line)][-2:])


def _paths(text: str) -> Iterable[str]:
    for word in _PATH_WORD.finditer(text):
        path = word[0].partition("//")[0]
        ends = [match.end() for match in _SUFFIX.finditer(path)]
        if ends and _PATH.fullmatch(path, 0, ends[-1]):
            yield path[: ends[-1]]


def _format_facts(kind: str, texts: Iterable[str]) -> Iterable[str]:
    """`kind: text` for each text. Long errors are cut, other long texts are no facts."""
    for text in texts:
        flat = " ".join(text.split())
        if flat and len(flat) <= LONGEST:
            yield f"{kind}: {flat}"
        elif flat and kind == "error":
            yield f"{kind}: {flat[:LONGEST].rstrip()}"


def _calls(message: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    for call in message.get("tool_calls") or []:
        function = call.get("function") or {}
        try:
            arguments = json.loads(function.get("arguments") or "{}")
        except ValueError:
            arguments = {}
        yield str(function.get("name")), arguments if isinstance(arguments, dict) else {}
