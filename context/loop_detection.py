"""Loops: an agent that goes round in circles is told so, then given a clean window, then its attempt ends.

Seen in calls and their results alone: the same call with the same result, the same error, two calls in turn, replies
that call nothing. Each loop is counted for itself, and forgotten when a new solution gets a score. Waiting for an open
job is no loop, whether by `wait`, by reading its log or by any command that only looks.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace

from runs.events.registry import (
    AttemptStarted,
    EpochStarted,
    EvaluationFinished,
    Event,
    JobFinished,
    ModelReplied,
    ToolFinished,
    ToolStarted,
)

REPEATS, ERRORS, ALTERNATIONS, TEXT_REPLIES = 4, 3, 6, 3
"""How often each makes a loop. An alternation is one call and then the other."""
NOTE, EPOCH, END = 1, 2, 3
"""What the same loop brings at each further time."""
LOOKS = ("wait", "bash", "read_file")
"""Tools by which a job is waited for."""

_HARNESS_NOTE = re.compile(r"\n<harness>.*</harness>\s*\Z", re.DOTALL)
_CHANGES = re.compile(r"\d+(?:\.\d+)? s\b|\b\d{5}-\d+\b|\bevent \d+\b")
_NOT_YET = re.compile(r"(?s)exit [1-9]\d*(?: after #)?\s*|.*(?:No such file or directory|there is no file \S+)\s*")
"""A look that found nothing, or a file that is not there yet."""
_FAILED = re.compile(r"^(?:error: .*|exit [1-9].*|killed after.*|lost: .*|evaluation \S+: (?:failed|invalid|timeout))")


@dataclass
class LoopDetector:
    """What was done last in the open attempt, folded from events. `level` is how far the longest loop has come, `what`
    the last one that was noticed."""

    what: str = ""
    needs_epoch: bool = False
    text_replies: int = 0
    noticed: int = 0
    """How often a loop was noticed in this attempt."""
    _levels: dict[str, int] = field(default_factory=dict)
    _rank: int = 0
    _calls: dict[str, tuple[str, str]] = field(default_factory=dict)
    _jobs: dict[str, str] = field(default_factory=dict)
    """Open jobs, and the call that started each."""
    _trees: frozenset[str] = frozenset()
    _last: tuple[str, ...] = ()
    _repeats: int = 0
    _errors: tuple[str, int] = ("", 0)

    @property
    def level(self) -> int:
        """How far the longest loop has come: `NOTE`, `EPOCH` or `END`."""
        return max(self._levels.values(), default=0)

    def apply(self, event: Event) -> None:
        """Take one more event into account."""
        if isinstance(event, AttemptStarted):
            self.__init__()  # type: ignore[misc]  # a new attempt begins with nothing behind it
        elif isinstance(event, EpochStarted):
            self.needs_epoch = self.needs_epoch and event.reason in ("resume", "healed")
        elif isinstance(event, ModelReplied):
            self._calls = {call.id: (call.name, call.arguments) for call in event.calls}
            self.text_replies = 0 if event.calls else self.text_replies + 1
            self._judge(self.text_replies, TEXT_REPLIES, "texts", "replies that call no tool")
        elif isinstance(event, ToolStarted) and event.job:
            self._jobs = {**self._jobs, event.job: event.call}
        elif isinstance(event, JobFinished):
            self._jobs = {job: call for job, call in self._jobs.items() if job != event.job}
        elif isinstance(event, ToolFinished):
            self._see(event.call, event.name, event.content)
        elif isinstance(event, EvaluationFinished) and event.status in ("scored", "unscored"):
            self._levels = self._levels if event.tree in self._trees else {}
            self._trees |= {event.tree}

    def warning_for(self, call: str, name: str, content: str) -> str:
        """What to tell the model with this result if it makes a loop, else nothing. Changes nothing."""
        seen = replace(self)
        seen._see(call, name, content)
        return seen.warning() if seen.noticed > self.noticed else ""

    def warning(self) -> str:
        """The loop noticed last in words for the model."""
        ending = "The attempt ends with what it has." if self._rank >= END else "Do something else, or finish."
        return f"You are going in circles: {self.what}. {ending}"

    def _see(self, call: str, name: str, content: str) -> None:
        content = _CHANGES.sub("#", _HARNESS_NOTE.sub("", content))
        arguments = self._calls.get(call, (name, ""))[1]
        failure = _FAILED.match(content)
        if self._waits(call, name, arguments, content, has_failed=bool(failure)):
            return
        mark = hashlib.sha256(f"{name}\n{arguments}\n{content}".encode(errors="replace")).hexdigest()[:16]
        self._repeats = self._repeats + 1 if self._last[-1:] == (mark,) else 1
        self._last = (*self._last[-(4 * ALTERNATIONS * END) :], mark)
        shown = " ".join(f"{name} {arguments}".split())[:120]
        if failure:
            self._fail(failure[0], content, arguments)
        else:
            if name == "evaluate":
                self._errors = ("", 0)
            what = f"{self._repeats} times `{shown}` with the same result"
            self._judge(self._repeats, REPEATS, mark, what)
        marks = _alternation(self._last)
        what = f"{marks // 2} times the same two calls in turn, with the same results"
        self._judge(marks, 2 * ALTERNATIONS, " ".join(sorted(self._last[-2:])), what)

    def _fail(self, failure: str, content: str, arguments: str) -> None:
        said = content.rstrip().rsplit("\n", 1)[-1]
        # A bare exit code (`grep` that found nothing) is the same error only where the command is the same too.
        sign = f"{failure} {said if said != failure else arguments}"[:400]
        self._errors = (sign, self._errors[1] + 1 if self._errors[0] == sign else 1)
        reason = " ".join(sign.split())[:160]
        self._judge(self._errors[1], ERRORS, sign, f"{self._errors[1]} times the same error ({reason})")

    def _waits(self, call: str, name: str, arguments: str, content: str, *, has_failed: bool) -> bool:
        """Whether a call only looks how far an open job is. An error with words of its own is none such, unless the
        call names the job; nor is a command that just became a job itself."""
        others = [job for job, starter in self._jobs.items() if starter != call]
        if name not in LOOKS or not others:
            return False
        if any(job in arguments for job in others):
            return True
        is_new_job = call in self._jobs.values()
        return not is_new_job and (not has_failed or bool(_NOT_YET.fullmatch(content)))

    def _judge(self, count: int, least: int, loop: str, what: str) -> None:
        """Notice a loop whenever what makes it has come together once more."""
        if not count or count % least:
            return
        level = min(self._levels.get(loop, 0) + 1, END)
        self._levels = {**self._levels, loop: level}
        self.needs_epoch = self.needs_epoch or level == EPOCH
        self.what, self._rank, self.noticed = what, level, self.noticed + 1


def _alternation(marks: tuple[str, ...]) -> int:
    """How many of the last results are two different ones in turn."""
    if len(marks) < 2 or marks[-1] == marks[-2]:
        return 0
    count = 2
    while count < len(marks) and marks[-count - 1] == marks[-count + 1]:
        count += 1
    return count
