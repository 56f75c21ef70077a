"""The notebook: what the harness keeps in mind for the model beyond the record of scores, folded from events.

To-dos with ids, decisions and rejected ideas word for word, the model's words at each checkpoint, the lines that stand
for turns that left the window, the facts kept from them, and what forgetting has cost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from context.loop_detection import LoopDetector
from context.tokens import estimate_tokens
from runs.events.registry import (
    AttemptStarted,
    CheckpointTaken,
    EpochStarted,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    ModelReplied,
    ToolFinished,
    ToolStarted,
    WindowWeighed,
)
from runs.views.messages import said_and_thought

REWORK_TURNS = 10
"""Turns after an epoch in which looking something up again counts as its price."""
PRIOR_TOKENS, PRIOR_TURNS = 10_000.0, 3.0
"""What one epoch's forgetting is taken to cost before any was measured; it weighs as one measurement."""
MOST_DECIDED = 60
_GOES_ON = re.compile(r"^(?:still running as job|job [\w.-]+: running for)", re.MULTILINE)

_ID = re.compile(r"(?i)(?<![\w-])todo-(\d+)(?!-?\w|\.\w)")
_LEADING = re.compile(r"(?i)[\s*`\[(#-]*(todo-\d+(?!-?\w|\.\w)(?:[\s*`\])(\[,;/&+]|and\b)*)+[\s:.)–—-]*")
_KEPT = re.compile(r"(?:todo-|T)(\d+)")
"""How ids stand in the record; old records call `todo-4` T4."""


@dataclass
class Rework:
    """What was looked up again after one epoch: tokens read and turns it took."""

    tokens: int = 0
    turns: int = 0


@dataclass
class Notebook:
    """Kept up to date event by event; read it, only `apply` changes it."""

    todos: dict[str, str] = field(default_factory=dict)
    decided: list[str] = field(default_factory=list)
    checkpoints: list[CheckpointTaken] = field(default_factory=list)
    stubs: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    ideas: dict[str, str] = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)
    loops: LoopDetector = field(default_factory=LoopDetector)
    asked_turns: list[int] = field(default_factory=list)
    """The turns after which a checkpoint was asked for in the open epoch."""
    refusals: int = 0
    unreadable: int = 0
    """Checkpoints of the open epoch whose arguments could not be read; they use up no refusal."""
    refused_turn: int = -1
    """The turn whose checkpoint was refused or could not be read, for the first time: it gets one more."""
    needs_close: bool = False
    """A checkpoint was taken whose epoch is not closed yet."""
    stubs_since: int = 0
    is_boundary: bool = False
    """A score was recorded since the last reply."""
    is_waiting: bool = False
    """The last result said that a job goes on: a long wait may begin, in which the endpoint forgets the window."""
    reason_turns: dict[str, int] = field(default_factory=dict)
    """The turn in which each reason to leave the window of the open epoch as it is was put on record last."""
    last_stage: str = ""
    """How the last epoch of this attempt was closed."""
    reworks: list[Rework] = field(default_factory=list)
    turn: int = 0
    _todo_number: int = 0
    _epoch_turn: int = -1
    _read: set[str] = field(default_factory=set)
    _gone: set[str] = field(default_factory=set)
    _calls: dict[str, dict[str, object]] = field(default_factory=dict)
    _said: str = ""
    _begun: str = ""
    """The call that was begun last; one whose arguments cannot be read never is."""

    def apply(self, event: Event) -> None:
        """Take one more event into account."""
        self.loops.apply(event)
        if isinstance(event, ModelReplied):
            self._reply(event)
        elif isinstance(event, ToolStarted):
            self._begun = event.call
            if event.job:
                self.commands[event.job] = str(self._calls.get(event.call, {}).get("command", ""))
        elif isinstance(event, ToolFinished):
            self._finish_tool(event)
        elif isinstance(event, EvaluationStarted):
            self.ideas[event.evaluation] = self._said
            self.commands[event.job] = event.command
        elif isinstance(event, EvaluationFinished):
            self.is_boundary = event.status in ("scored", "unscored")
        elif isinstance(event, CheckpointTaken):
            self._take(event)
        elif isinstance(event, WindowWeighed):
            if event.stage == "none":
                self.reason_turns[event.why.partition(":")[0]] = self.turn
        elif isinstance(event, EpochStarted):
            self._start_epoch(event)
        elif isinstance(event, AttemptStarted):
            self.checkpoints, self.stubs, self.facts, self.last_stage = [], [], [], ""
            self._read, self._gone, self._epoch_turn, self.stubs_since = set(), set(), -1, 0

    @property
    def rework(self) -> Rework:
        """What an epoch's forgetting costs, as measured so far, in this run."""
        count = len(self.reworks) + 1
        tokens = (PRIOR_TOKENS + sum(one.tokens for one in self.reworks)) / count
        return Rework(round(tokens), round((PRIOR_TURNS + sum(one.turns for one in self.reworks)) / count))

    def has_checkpoint(self, call: str, turn: int) -> bool:
        """Whether this very `checkpoint` call was taken already (its result may have been lost in a crash)."""
        return any(one.call == call and one.turn == turn for one in self.checkpoints)

    def unmentioned_todos(self, words: list[str]) -> list[str]:
        """The open to-dos that a checkpoint mentions nowhere, as `todo-3: …`."""
        return find_unmentioned(self.todos, words)

    def merge_todos(self, done: list[str], todo: list[str]) -> list[str]:
        """All to-dos that are open after a checkpoint which says this."""
        return merge_todos(self.todos, self._todo_number, done, todo)

    def _reply(self, event: ModelReplied) -> None:
        self.turn += 1
        self.is_boundary = self.is_waiting = False
        self._begun = ""
        self._said = " ".join(said_and_thought(event.message)[0].split())[:200]
        self._calls = {call.id: _arguments(call.arguments) for call in event.calls}

    def _finish_tool(self, event: ToolFinished) -> None:
        self.is_waiting = reports_running_job(event.name, event.content)
        if event.asks:
            self.asked_turns.append(self.turn)
        if event.name == "checkpoint" and event.failed:
            self._refuse(was_read=self._begun == event.call)
        looked_up = self._looked_up(event)
        if looked_up and self.reworks and 0 <= self.turn - self._epoch_turn <= REWORK_TURNS:
            self.reworks[-1].tokens += estimate_tokens(len(event.content.encode(errors="replace")))
            self.reworks[-1].turns += 1

    def _refuse(self, *, was_read: bool) -> None:
        """A checkpoint came to nothing: refused for what it says, or (nothing was begun) for how it came."""
        self.refusals += was_read
        self.unreadable += not was_read
        is_first = (self.refusals if was_read else self.unreadable) == 1
        self.refused_turn = self.turn if is_first else -1

    def _looked_up(self, event: ToolFinished) -> bool:
        """Whether a result brings back what had left the window: a recall, or a file that was read before."""
        if event.name == "recall":
            return not event.failed
        path = str(self._calls.get(event.call, {}).get("path", ""))
        if event.name != "read_file" or not path:
            return False
        self._read.add(path)
        if path in self._gone:
            self._gone.discard(path)
            return True
        return False

    def _take(self, event: CheckpointTaken) -> None:
        self.checkpoints.append(event)
        self.needs_close = event.closes
        self.decided = [*self.decided, *event.decided][-MOST_DECIDED:]
        self.todos = read_recorded(event.todo)
        self._todo_number = max([self._todo_number, *map(todo_number, self.todos)])

    def _start_epoch(self, event: EpochStarted) -> None:
        if event.reason in ("resume", "healed"):
            return
        self.needs_close, self.refusals, self.unreadable, self.asked_turns, self.reason_turns = False, 0, 0, [], {}
        if not event.stage:
            return
        self.stubs, self.facts, self.last_stage = list(event.stubs), list(event.facts), event.stage
        self.decided = [*self.decided, *event.rejected][-MOST_DECIDED:]
        self.stubs_since = 0 if event.stage == "checkpoint" else self.stubs_since + 1
        self.reworks.append(Rework())
        self._epoch_turn, self._gone, self._read = self.turn, self._read, set()


def reports_running_job(name: str, content: str) -> bool:
    """Whether a result says that a job is still running."""
    return name in ("bash", "wait") and bool(_GOES_ON.search(content[:2_000]))


def _arguments(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def find_ids(texts: Iterable[str]) -> set[str]:
    """The ids that some texts name."""
    return {f"todo-{int(number)}" for text in texts for number in _ID.findall(text)}


def find_unmentioned(still_open: Mapping[str, str], texts: Iterable[str]) -> list[str]:
    """The open to-dos that texts do not name at all, as `todo-3: …`."""
    found = find_ids(texts)
    return [f"{name}: {text}" for name, text in still_open.items() if name not in found]


def merge_todos(still_open: Mapping[str, str], last: int, done: list[str], todo: list[str]) -> list[str]:
    """All to-dos that are open after a checkpoint, as `todo-3: …`; `last` is the highest number ever given.

    An item of `todo` that begins with ids of open ones is a remark on these; any other is a new to-do.
    """
    kept, again = dict(still_open), set[str]()
    for item in todo:
        text = " ".join(item.split())
        start = _LEADING.match(text)
        known = [name for name in sorted(find_ids([start[0]])) if name in still_open] if start else []
        for name in known:
            kept[name] = _remarked(kept[name], text[start.end() if start else 0 :])
        if text and not known:
            last += 1
            kept[f"todo-{last}"] = text
        again.update(known)
    closed = (find_ids(done) & set(still_open)) - again
    return [f"{name}: {text}" for name, text in kept.items() if name not in closed]


def read_recorded(todo: Iterable[str]) -> dict[str, str]:
    """To-dos as they stand in the record, by id."""
    told: dict[str, str] = {}
    for item in todo:
        name, _, text = item.partition(": ")
        if found := _KEPT.fullmatch(name):
            told[f"todo-{found[1]}"] = text
    return told


def todo_number(name: str) -> int:
    """The number in an id."""
    return int(name.removeprefix("todo-"))


def _remarked(text: str, remark: str) -> str:
    """A to-do with a remark added, unless it says so already; a remark that repeats all of it takes its place."""
    remark = remark.strip()
    if remark.startswith(text):
        return remark
    return text if remark in text else f"{text}; {remark}"
