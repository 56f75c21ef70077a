"""Facts that stay in the window when turns leave it: few, and true when they are shown.

Folded from events, never from the window: scores beside the command that printed them, and errors until they are
solved. Evaluations, jobs and files are rendered from the run's state (`first_message`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace

from context.truncation.keep_lines import is_score
from context.window import strip_harness_note
from runs.events.registry import (
    AttemptStarted,
    CheckpointTaken,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    ModelReplied,
    ToolFinished,
    ToolStarted,
)
from runs.views.format import one_line
from runs.views.messages import split_thinking

MOST_SCORES, MOST_ERRORS = 16, 10
COMMAND_CHARACTERS, LINE_CHARACTERS = 110, 150
READ_CHARACTERS = 20_000
"""Of a longer output only the end is read."""

_PROGRAM = re.compile(
    r"(?:^|[\s;&|(])(?:python[\d.]*|torchrun|accelerate|Rscript|julia|make|uv run|pytest|(?:ba)?sh \S+\.sh|"
    r"\./[\w/.-]+)\b"
)
"""Only what a program prints is a result: a score in the output of `cat` or `grep` may be a line of any file."""
_SCRIPT = re.compile(r"[\w./-]+\.(?:py|sh|R|jl)\b")
_SUMMARY = re.compile(r"(?i)\b(?:cv|oof|mean|avg|average|overall|final|best|total|held[ -]?out|blend|ensemble)")
_CODE = re.compile(
    r"^\s*(?:def|class|import|from|return|if|for|with|print|#|>>>)\b|\w\(\w*.*\)\s*$|\w+\s*=\s*\w+[.\[(]"
)
_ERROR = re.compile(r"^(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Interrupt)\b(?:: .*)?$|^Killed$|.*out of memory")
_EXIT = re.compile(r"^exit (-?\d+) after ")
_KILLED = re.compile(r"^killed after [\d.]+ s: (.+)")
_JOB_PART = re.compile(r"^job (\S+): ", re.MULTILINE)
_JOB_LOG = re.compile(r"\.jobs/([\w.-]+)/log")
_RETRACTS = re.compile(
    r"(?i)\b(?:retract\w*|wrong|invalid|leak\w*|bug\w*|discard\w*|mistak\w*|does not count|not valid|do not trust)\b"
)
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_NUMBER = re.compile(r"(?<![\w.])\d+\.\d+")
_EVENT = re.compile(r"\bevent (\d+)\b")
_REDIRECTED = re.compile(r"(?:>|\btee(?: -a)?)\s*([\w./-]+\.\w{1,6})\b")


@dataclass(frozen=True)
class Result:
    """What a command printed last: `lines` with its scores or its error. `changed`: the script was written since."""

    command: str
    lines: tuple[str, ...]
    seq: int
    changed: int = -1

    def render(self, verb: str) -> str:
        """The fact as one line, with the event in which `recall` finds all of it."""
        since = f"; its script changed in event {self.changed}" if self.changed >= 0 else ""
        command = one_line(self.command, COMMAND_CHARACTERS)
        return f"`{command}` {verb}: {' / '.join(self.lines)} (event {self.seq}{since})"


@dataclass
class Facts:
    """The facts of the open attempt of a lane, folded from its events; only `apply` changes them."""

    scores: dict[str, Result] = field(default_factory=dict)
    """By command: the newest result of each."""
    errors: dict[str, Result] = field(default_factory=dict)
    """By script (or command): the last error, until it runs without one."""
    results: set[int] = field(default_factory=set)
    """Events whose output was taken into account here, also if it is replaced or retracted by now."""
    _calls: dict[str, dict[str, object]] = field(default_factory=dict)
    _jobs: dict[str, str] = field(default_factory=dict)
    _evaluations: dict[str, str] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        """Apply one event."""
        if isinstance(event, AttemptStarted):
            self.__init__()  # type: ignore[misc]  # a new attempt starts from nothing
        elif isinstance(event, ModelReplied):
            self._calls = {call.id: _read(call.arguments) for call in event.calls}
            self._retract(split_thinking(event.message)[0])
        elif isinstance(event, ToolStarted) and event.job:
            self._jobs[event.job] = str(self._calls.get(event.call, {}).get("command", ""))
        elif isinstance(event, ToolFinished):
            self._add_result(event)
        elif isinstance(event, CheckpointTaken):
            self._retract("\n".join([*event.done, *event.decided]))
        elif isinstance(event, EvaluationStarted):
            self._evaluations[event.evaluation] = event.command
        elif isinstance(event, EvaluationFinished) and event.status in ("scored", "unscored"):
            self.errors.pop(_script_of(self._evaluations.get(event.evaluation, "")), None)

    def lines(self, before: int = 2**62) -> list[str]:
        """The facts of events before `before` (the first event that is still in the window), oldest first."""
        scores = [one for one in self.scores.values() if one.seq < before][-MOST_SCORES:]
        errors = [one for one in self.errors.values() if one.seq < before][-MOST_ERRORS:]
        return [one.render("printed") for one in scores] + [one.render("failed, not solved yet") for one in errors]

    def _add_result(self, event: ToolFinished) -> None:
        arguments = self._calls.get(event.call, {})
        if event.failed:
            return
        if event.name in ("write_file", "edit_file"):
            self._mark_changed(str(arguments.get("path", "")).removeprefix("./"), event.seq)
            return
        content = strip_harness_note(event.content)
        if event.name == "bash":
            command = str(arguments.get("command", ""))
            for path in _REDIRECTED.findall(command):
                self._mark_changed(path.removeprefix("./"), event.seq)
            self._add_output(self._command_of(command), content, event.seq)
        elif event.name == "wait":
            _, *parts = _JOB_PART.split(content)
            for job, output in zip(parts[::2], parts[1::2], strict=True):
                self._add_output(self._jobs.get(job, ""), output, event.seq)

    def _command_of(self, command: str) -> str:
        """The command whose output a command shows: that of a job, if it reads a job's log."""
        log = _JOB_LOG.search(command)
        return self._jobs.get(log[1], command) if log else command

    def _add_output(self, command: str, output: str, seq: int) -> None:
        """Take the output of a program into account; others print whatever a file contains."""
        if not _PROGRAM.search(command):
            return
        key, script = " ".join(command.split()), _script_of(command)
        ended, killed = _EXIT.match(output), _KILLED.match(output)
        text = output[-READ_CHARACTERS:]
        if ended and ended[1] == "0":
            self.errors.pop(script, None)
            if lines := tuple(result_lines(text)):
                self.results.add(seq)
                self.scores.pop(key, None)
                self.scores[key] = Result(command, lines, seq)
        elif ended or killed:
            error = (
                [killed[1]] if killed else [one for one in map(str.strip, text.split("\n")) if _ERROR.match(one)][-1:]
            )
            if error:
                self.results.add(seq)
                self.errors.pop(script, None)
                self.errors[script] = Result(command, (one_line(error[0], LINE_CHARACTERS),), seq)

    def _mark_changed(self, path: str, seq: int) -> None:
        for results in (self.scores, self.errors):
            for key, result in results.items():
                if path in (one.removeprefix("./") for one in _SCRIPT.findall(result.command)):
                    results[key] = replace(result, changed=seq)

    def _retract(self, text: str) -> None:
        """Drop scores that the model itself called wrong, by their number or their event."""
        for sentence in _SENTENCE.split(text[:READ_CHARACTERS]):
            if not _RETRACTS.search(sentence):
                continue
            numbers, events = set(_NUMBER.findall(sentence)), {int(one) for one in _EVENT.findall(sentence)}
            for key, result in list(self.scores.items()):
                if result.seq in events or numbers & set(_NUMBER.findall(" ".join(result.lines))):
                    del self.scores[key]


def result_lines(text: str) -> list[str]:
    """The one or two lines of an output that state its result: the last summary, else the last score."""
    scores = [line.strip() for line in text.split("\n") if is_score(line) and not _CODE.search(line)]
    summaries = [line for line in scores if _SUMMARY.search(line)]
    chosen = summaries[-2:] if summaries else scores[-1:]
    return [one_line(line, LINE_CHARACTERS) for line in dict.fromkeys(chosen)]


def _script_of(command: str) -> str:
    """What a command runs, to tell whether it failed and worked later."""
    script = _SCRIPT.search(command)
    return script[0].removeprefix("./") if script else " ".join(command.split())[:12]


def _read(text: str) -> dict[str, object]:
    try:
        arguments = json.loads(text)
    except ValueError:
        return {}
    return arguments if isinstance(arguments, dict) else {}
