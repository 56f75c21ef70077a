"""The searchable parts of each event: its text for a search, its whole text, and the paths it names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from context.window import strip_harness_note
from runs.events.registry import (
    AttemptEnded,
    Call,
    CheckpointTaken,
    EvaluationStarted,
    Event,
    JobFinished,
    ModelReplied,
    NotesKept,
    Reminded,
    TaskDescribed,
    ToolFinished,
)
from runs.views.messages import split_thinking

TOOL = "recall"
TITLE_CHARACTERS = 120
MOST_PATHS = 20
WRITERS = ("write_file", "edit_file")
_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)*")
_SUFFIX = re.compile(r"(?<=[\w.-])\.\w{1,11}\b")


@dataclass(frozen=True)
class Document:
    """The text of one event. `searched` is what a search sees of `whole` (empty: a search never finds it)."""

    kind: str
    title: str
    whole: str
    searched: str


@dataclass(frozen=True)
class Mention:
    """A call that named a path. `change` is what a writing call did to the file, as JSON of its arguments."""

    path: str
    what: str
    change: str = ""


class Documents:
    """Reads documents from events in their order: the result of a call needs the call."""

    def __init__(self) -> None:
        self._calls: dict[tuple[int, str], Call] = {}

    def of(self, event: Event) -> Document | None:
        """The document of an event; None if it has no text for the model."""
        if isinstance(event, ModelReplied):
            return self._of_reply(event)
        if isinstance(event, ToolFinished):
            return self._of_result(event)
        return _of_other(event)

    def mentions(self, event: Event) -> list[Mention]:
        """The paths that a performed call names, each once. Read after `of`."""
        if not isinstance(event, ToolFinished) or event.failed or event.name == TOOL:
            return []
        return list(dict.fromkeys(_mentions(event.name, self._arguments_of(event))))

    def _of_reply(self, event: ModelReplied) -> Document:
        self._calls = {key: call for key, call in self._calls.items() if key[0] != event.attempt}
        self._calls |= {(event.attempt, call.id): call for call in event.calls}
        said, thought = split_thinking(event.message)
        whole = [thought, said, *(f"{call.name}: {_values(call.arguments)}" for call in event.calls)]
        # The thought before a question repeats its words: a search would find it before what it is about.
        only_asks = bool(event.calls) and all(call.name == TOOL for call in event.calls)
        searched = [said] if only_asks else [thought, said]
        return Document("your reply", "", _join(whole), _join(searched))

    def _of_result(self, event: ToolFinished) -> Document:
        arguments = self._arguments_of(event)
        values = _values_of(arguments)
        title = f"{event.name} {' '.join(str(arguments.get('path', values)).split())[:TITLE_CHARACTERS]}".rstrip()
        content = strip_harness_note(event.content)
        is_hidden = event.failed or event.name in (TOOL, "checkpoint")
        is_in_title = len(values) <= TITLE_CHARACTERS and "\n" not in values
        searched = content if is_in_title else f"{values}\n{content}"
        # What the harness said with a result held then: shown again, it would pass for an instruction of now.
        return Document(f"result of {title}", title, content, "" if is_hidden else searched)

    def _arguments_of(self, event: ToolFinished) -> dict[str, object]:
        call = self._calls.get((event.attempt, event.call))
        return read_arguments(call.arguments) if call else {}


def _of_other(event: Event) -> Document | None:
    kind, text = _text_of_other(event)
    searched = "" if isinstance(event, EvaluationStarted) else text
    return Document(kind, "", text, searched) if text else None


def _text_of_other(event: Event) -> tuple[str, str]:
    if isinstance(event, TaskDescribed):
        return "task card", event.card
    if isinstance(event, Reminded):
        return "the harness", event.text
    if isinstance(event, CheckpointTaken):
        return "your checkpoint", _join([*event.done, *event.decided, *event.todo])
    if isinstance(event, AttemptEnded):
        return f"end of attempt ({event.why})", _join([event.did, event.criticism, event.next, *event.lessons])
    if isinstance(event, NotesKept):
        return "NOTES.md", event.text
    if isinstance(event, EvaluationStarted):
        return "evaluation started", f"evaluation {event.evaluation} of commit {event.commit}: {event.command}"
    if isinstance(event, JobFinished):
        return "job ended", f"job {event.job} {event.ended}, exit {event.exit_code}"
    return "", ""


def _join(parts: list[str]) -> str:
    return "\n".join(filter(None, parts))


def _mentions(name: str, arguments: dict[str, object]) -> Iterator[Mention]:
    if isinstance(path := arguments.get("path"), str):
        change = json.dumps(arguments) if name in WRITERS else ""
        yield Mention(path.removeprefix("./"), name, change)
    if isinstance(command := arguments.get("command"), str):
        for path in islice(_paths_in(command), MOST_PATHS):
            yield Mention(path.removeprefix("./"), f"{name} command")


def _paths_in(command: str) -> Iterator[str]:
    """The words of a command that name a file with a suffix, in linear time."""
    for word in _PATH.finditer(command):
        ends = [match.end() for match in _SUFFIX.finditer(word[0])]
        if ends:
            yield word[0][: ends[-1]]


def apply_change(content: str | None, change: str) -> str | None:
    """The content of a file after a recorded change; None if it is not known."""
    arguments = read_arguments(change)
    if "content" in arguments:
        return str(arguments["content"])
    old, new = str(arguments.get("old", "")), str(arguments.get("new", ""))
    return content.replace(old, new) if content is not None and old and content.count(old) == 1 else None


def read_arguments(text: str) -> dict[str, object]:
    """The arguments of a call; empty if they are not a JSON object."""
    try:
        arguments = json.loads(text)
    except ValueError:
        return {}
    return arguments if isinstance(arguments, dict) else {}


def _values_of(arguments: dict[str, object]) -> str:
    return "\n".join(str(value) for value in arguments.values())


def _values(arguments: str) -> str:
    """The values of a call's arguments without JSON escapes; text that is not JSON is returned unchanged."""
    return _values_of(read_arguments(arguments)) or arguments
