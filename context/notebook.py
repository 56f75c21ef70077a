"""The notebook: what the harness keeps for the model besides scores, folded from events.

To-dos with ids, decisions, the model's checkpoints, what replaces the turns that left the window, and what it cost to
look things up again afterwards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from context.facts import Facts
from context.loop_detection import LoopDetector
from context.tokens import estimate_tokens
from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    CheckpointTaken,
    CompactionConsidered,
    EpochStarted,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    ModelReplied,
    ToolFinished,
    ToolStarted,
)
from runs.views.messages import split_thinking

REWORK_TURNS = 10
"""Turns after a new epoch in which repeated lookups count as its cost."""
PRIOR_TOKENS, PRIOR_TURNS = 10_000.0, 3.0
"""Assumed rework of one epoch; weighs as one measurement."""
MOST_DECIDED = 60
_PRINTS = re.compile(r"\b(?:cat|head|tail|less|more|sed|nl|bat)\b([^|;&>\n]*)")
_FILE = re.compile(r"(?<![\w/.-])[\w./-]*\w\.\w{1,8}\b")

_ID = re.compile(r"(?i)(?<![\w-])todo-(\d{1,9})(?!-?\w|\.\w)")
_LEADING_IDS = re.compile(r"(?i)[\s*`\[(#-]*(todo-\d+(?!-?\w|\.\w)(?:[\s*`\])(\[,;/&+]|and\b)*)+[\s:.)–—-]*")
_CLOSING = re.compile(r"(?i)(?:is\s+|was\s+)?(?:done|drop(?:ped)?|closed?|finished|obsolete)\s*(?:$|[.,;:!(–—-])")
"""What closes a to-do after its id in `todo`, and in `did` of `finish`."""
_RECORDED_ID = re.compile(r"(?:todo-|T)(\d{1,9})")
"""An id in a `CheckpointTaken` event; old journals call `todo-4` T4."""


@dataclass
class Rework:
    """What was looked up again after an epoch: tokens read and turns taken."""

    tokens: int = 0
    turns: int = 0


@dataclass
class Notebook:
    """Folded from events; only `apply` changes it."""

    todos: dict[str, str] = field(default_factory=dict)
    decided: list[str] = field(default_factory=list)
    checkpoints: list[CheckpointTaken] = field(default_factory=list)
    """Checkpoints of the open attempt."""
    stubs: list[str] = field(default_factory=list)
    facts: Facts = field(default_factory=Facts)
    shown_facts: list[str] = field(default_factory=list)
    """The facts of turns that left the window, as the open epoch shows them."""
    ideas: dict[str, str] = field(default_factory=dict)
    """What the model wrote before each evaluation, by evaluation id."""
    commands: dict[str, str] = field(default_factory=dict)
    """Command of each job."""
    loops: LoopDetector = field(default_factory=LoopDetector)
    asked_turns: list[int] = field(default_factory=list)
    """Turns of the open epoch after which a checkpoint was requested."""
    refusals: int = 0
    """Checkpoints of the open epoch that were refused for their content."""
    unreadable: int = 0
    """Checkpoints of the open epoch with unreadable arguments; they do not count as refusals."""
    refused_turn: int = -1
    """Turn of the first refused or unreadable checkpoint: the model may send it again."""
    needs_close: bool = False
    """A checkpoint was taken and its epoch is not closed yet."""
    leaves: int = -1
    """The last event of the exchanges that the request for a checkpoint named: they leave with it."""
    masks_since: int = 0
    """Epochs closed without a checkpoint since the last one."""
    is_boundary: bool = False
    """A score was recorded since the last reply."""
    reason_turns: dict[str, int] = field(default_factory=dict)
    """Turn in which each reason to leave the window unchanged was last recorded, in the open epoch."""
    last_stage: str = ""
    """How the last epoch of this attempt was closed."""
    reworks: list[Rework] = field(default_factory=list)
    turn: int = 0
    _todo_number: int = 0
    _epoch_turn: int = -1
    _seen: set[str] = field(default_factory=set)
    """Files that the open epoch showed: read, written, or printed by a command."""
    _gone: set[str] = field(default_factory=set)
    _calls: dict[str, dict[str, object]] = field(default_factory=dict)
    _said: str = ""
    _started_call: str = ""
    """The last call with a `ToolStarted` event; a call with unreadable arguments has none."""

    def apply(self, event: Event) -> None:
        """Apply one event."""
        self.loops.apply(event)
        self.facts.apply(event)
        if isinstance(event, ModelReplied):
            self._add_reply(event)
        elif isinstance(event, ToolStarted):
            self._started_call = event.call
            if event.job:
                self.commands[event.job] = str(self._calls.get(event.call, {}).get("command", ""))
        elif isinstance(event, ToolFinished):
            self._add_result(event)
        elif isinstance(event, EvaluationStarted):
            self.ideas[event.evaluation] = self._said
            self.commands[event.job] = event.command
        elif isinstance(event, EvaluationFinished):
            self.is_boundary = event.status in ("scored", "unscored")
        elif isinstance(event, CheckpointTaken):
            self._add_checkpoint(event)
        elif isinstance(event, CompactionConsidered):
            if event.stage == "none":
                self.reason_turns[event.why.partition(":")[0]] = self.turn
        elif isinstance(event, EpochStarted):
            self._start_epoch(event)
        elif isinstance(event, AttemptEnded):
            for found in _ID.finditer(event.did):
                if _CLOSING.match(event.did[found.end() :].lstrip(" :`*")):
                    self.todos.pop(f"todo-{int(found[1])}", None)
        elif isinstance(event, AttemptStarted):
            self.checkpoints, self.stubs, self.shown_facts, self.last_stage = [], [], [], ""
            self._seen, self._gone, self._epoch_turn, self.masks_since = set(), set(), -1, 0

    @property
    def rework(self) -> Rework:
        """Mean rework after an epoch of this run, measured and prior together."""
        count = len(self.reworks) + 1
        tokens = (PRIOR_TOKENS + sum(rework.tokens for rework in self.reworks)) / count
        return Rework(round(tokens), round((PRIOR_TURNS + sum(rework.turns for rework in self.reworks)) / count))

    def has_checkpoint(self, call: str, turn: int) -> bool:
        """Whether this `checkpoint` call was taken already (a crash may have lost its result)."""
        return any(checkpoint.call == call and checkpoint.turn == turn for checkpoint in self.checkpoints)

    def unmentioned_todos(self, texts: list[str]) -> list[str]:
        """The open to-dos that a checkpoint does not mention, as `todo-3: text`."""
        mentioned = _find_ids(texts)
        return [f"{name}: {text}" for name, text in self.todos.items() if name not in mentioned]

    def merge_todos(self, done: list[str], todo: list[str]) -> list[str]:
        """All to-dos that are open after a checkpoint with these lists, as `todo-3: text`."""
        return _merge_todos(self.todos, self._todo_number, done, todo)

    def _add_reply(self, event: ModelReplied) -> None:
        self.turn += 1
        self.is_boundary = False
        self._started_call = ""
        self._said = " ".join(split_thinking(event.message)[0].split())[:200]
        self._calls = {call.id: _read_arguments(call.arguments) for call in event.calls}

    def _add_result(self, event: ToolFinished) -> None:
        if event.asks:
            self.asked_turns.append(self.turn)
            self.leaves = event.leaves
        if event.name == "checkpoint" and event.failed:
            self._count_refusal(was_readable=self._started_call == event.call)
        is_lookup = self._is_repeated_lookup(event)
        if is_lookup and self.reworks and 0 <= self.turn - self._epoch_turn <= REWORK_TURNS:
            self.reworks[-1].tokens += estimate_tokens(len(event.content.encode(errors="replace")))
            self.reworks[-1].turns += 1

    def _count_refusal(self, *, was_readable: bool) -> None:
        self.refusals += was_readable
        self.unreadable += not was_readable
        is_first = (self.refusals if was_readable else self.unreadable) == 1
        self.refused_turn = self.turn if is_first else -1

    def _is_repeated_lookup(self, event: ToolFinished) -> bool:
        """Whether a result brings back what had left the window: a recall, or a file that was shown before."""
        if event.failed:
            return False
        if event.name == "recall":
            return True
        arguments = self._calls.get(event.call, {})
        path, command = str(arguments.get("path", "")), str(arguments.get("command", ""))
        if event.name == "bash":
            paths = _printed_files(command)
        else:
            paths = (
                {path.removeprefix("./")} if path and event.name in ("read_file", "write_file", "edit_file") else set()
            )
        self._seen |= paths
        again = paths & self._gone if event.name in ("read_file", "bash") else set()
        self._gone -= again
        return bool(again)

    def _add_checkpoint(self, event: CheckpointTaken) -> None:
        self.checkpoints.append(event)
        self.needs_close = event.closes
        self.decided = _without_repeats([*self.decided, *event.decided])
        self.todos = _read_recorded(event.todo)
        self._todo_number = max([self._todo_number, *(int(name.removeprefix("todo-")) for name in self.todos)])

    def _start_epoch(self, event: EpochStarted) -> None:
        if event.reason in ("resume", "repaired"):
            return
        self.needs_close, self.refusals, self.unreadable, self.asked_turns, self.reason_turns = False, 0, 0, [], {}
        if not event.stage:
            return
        self.stubs, self.shown_facts, self.last_stage = list(event.stubs), list(event.facts), event.stage
        self.decided = _without_repeats([*self.decided, *event.rejected])
        self.masks_since = 0 if event.stage == "checkpoint" else self.masks_since + 1
        self.reworks.append(Rework())
        self._epoch_turn, self._gone, self._seen = self.turn, self._gone | self._seen, set()


def _without_repeats(decided: list[str]) -> list[str]:
    """The latest decisions, each once."""
    return list(reversed(dict.fromkeys(reversed(decided))))[-MOST_DECIDED:]


def _printed_files(command: str) -> set[str]:
    """The files that a command prints with `cat`, `head`, `sed` or the like."""
    return {path.removeprefix("./") for words in _PRINTS.findall(command) for path in _FILE.findall(words)}


def _read_arguments(text: str) -> dict[str, object]:
    try:
        arguments = json.loads(text)
    except ValueError:
        return {}
    return arguments if isinstance(arguments, dict) else {}


# ------------------------------------------------------------------------------------------------------------ to-dos
# Only its id closes a to-do (in `done`, or in `todo` before `done` or `drop`), so that the way a model phrases a
# checkpoint loses none. Ids look like
# `todo-4`: model names (T5) and GPUs (T4) must not be mistaken for ids.


def _find_ids(texts: Iterable[str]) -> set[str]:
    return {f"todo-{int(number)}" for text in texts for number in _ID.findall(text)}


def _merge_todos(todos: Mapping[str, str], last: int, done: list[str], todo: list[str]) -> list[str]:
    """Open to-dos after a checkpoint. An item that begins with open ids adds to those, or closes them where `done` or
    `drop` follows; any other is a new to-do.

    `last` is the highest number ever used, so that no id is used twice.
    """
    merged, kept_open, dropped = dict(todos), set[str](), set[str]()
    for item in todo:
        text = " ".join(item.split())
        leading = _LEADING_IDS.match(text)
        known = [name for name in sorted(_find_ids([leading[0]])) if name in todos] if leading else []
        remark = text[leading.end() if leading else 0 :]
        if known and _CLOSING.match(remark):
            dropped.update(known)
            continue
        for name in known:
            merged[name] = _add_remark(merged[name], remark)
        if text and not known:
            last += 1
            merged[f"todo-{last}"] = text
        kept_open.update(known)
    closed = dropped | ((_find_ids(done) & set(todos)) - kept_open)
    return [f"{name}: {text}" for name, text in merged.items() if name not in closed]


def _read_recorded(todo: Iterable[str]) -> dict[str, str]:
    """To-dos of a recorded checkpoint, by id."""
    todos: dict[str, str] = {}
    for item in todo:
        name, _, text = item.partition(": ")
        if match := _RECORDED_ID.fullmatch(name):
            todos[f"todo-{match[1]}"] = text
    return todos


def _add_remark(text: str, remark: str) -> str:
    """Append a remark to a to-do, unless the text contains it already or the remark repeats the whole text."""
    remark = remark.strip()
    if remark.startswith(text):
        return remark
    return text if remark in text else f"{text}; {remark}"
