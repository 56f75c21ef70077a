"""Loops: an agent that goes round in circles is told so, then given a clean window, then its attempt ends.

Seen in calls and their results alone: the same call with the same result, the same error, two calls in turn, replies
that call nothing. Waiting for a job that runs is no loop.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace

from runs.events import AttemptStarted, EpochStarted, Event, ModelReplied, ToolFinished

REPEATS, ERRORS, ALTERNATIONS, TEXTS = 4, 3, 6, 3
"""How often each makes a loop. An alternation is one call and then the other."""
NOTE, EPOCH, END = 1, 2, 3
"""What each further loop of a kind brings."""

_HARNESS_NOTE = re.compile(r"\n<harness>.*</harness>\s*\Z", re.DOTALL)
_CHANGES = re.compile(r"\d+(?:\.\d+)? s\b|\b\d{5}-\d+\b|\bevent \d+\b")
_WAITING = re.compile(r"running for|still running")
_FAILED = re.compile(r"^(?:error: .*|exit [1-9].*|killed after.*|lost: .*|evaluation \S+: (?:failed|invalid|timeout))")


@dataclass
class LoopWatch:
    """What was done last in the open attempt, folded from events. `level` is how far the longest loop has come."""

    level: int = 0
    what: str = ""
    owes_epoch: bool = False
    texts: int = 0
    _calls: dict[str, tuple[str, str]] = field(default_factory=dict)
    _last: tuple[str, ...] = ()
    _repeats: int = 0
    _errors: tuple[str, int] = ("", 0)

    def apply(self, event: Event) -> None:
        """Take one more event into account."""
        if isinstance(event, AttemptStarted):
            self.__init__()  # type: ignore[misc]  # a new attempt begins with nothing behind it
        elif isinstance(event, EpochStarted):
            self.owes_epoch = False
        elif isinstance(event, ModelReplied):
            self._calls = {call.id: (call.name, call.arguments) for call in event.calls}
            self.texts = 0 if event.calls else self.texts + 1
            self._judge(self.texts // TEXTS, "replies that call no tool")
        elif isinstance(event, ToolFinished):
            self._see(event.call, event.name, event.content)

    def note(self, call: str, name: str, content: str) -> str:
        """What to tell the model with this result if it makes a loop, else nothing. Changes nothing."""
        seen = replace(self)
        seen._see(call, name, content)
        return seen.text() if seen.level > self.level else ""

    def text(self) -> str:
        """The loop in words for the model."""
        ending = "The attempt ends with what it has." if self.level >= END else "Do something else, or finish."
        return f"You are going in circles: {self.what}. {ending}"

    def _see(self, call: str, name: str, content: str) -> None:
        content = _CHANGES.sub("#", _HARNESS_NOTE.sub("", content))
        if name == "wait" and _WAITING.search(content):
            return
        arguments = self._calls.get(call, (name, ""))[1]
        mark = hashlib.sha256(f"{name}\n{arguments}\n{content}".encode(errors="replace")).hexdigest()[:16]
        self._repeats = self._repeats + 1 if self._last[-1:] == (mark,) else 1
        self._last = (*self._last[-(4 * ALTERNATIONS * END) :], mark)
        failure = _FAILED.match(content)
        if failure:
            said = content.rstrip().rsplit("\n", 1)[-1]
            # A bare exit code (`grep` that found nothing) is the same error only where the command is the same too.
            sign = f"{failure[0]} {said if said != failure[0] else arguments}"[:400]
            self._errors = (sign, self._errors[1] + 1 if self._errors[0] == sign else 1)
        elif name == "evaluate":
            self._errors = ("", 0)
        shown = " ".join(f"{name} {arguments}".split())[:120]
        self._judge(self._repeats // REPEATS, f"{self._repeats} times `{shown}` with the same result")
        if failure:
            reason = " ".join(self._errors[0].split())[:160]
            self._judge(self._errors[1] // ERRORS, f"{self._errors[1]} times the same error ({reason})")
        turns = _alternation(self._last) // 2
        self._judge(turns // ALTERNATIONS, f"{turns} times the same two calls in turn, with the same results")

    def _judge(self, level: int, what: str) -> None:
        level = min(level, END)
        if level > self.level:
            self.owes_epoch = self.owes_epoch or level >= EPOCH > self.level
            self.level, self.what = level, what


def _alternation(marks: tuple[str, ...]) -> int:
    """How many of the last results are two different ones in turn."""
    if len(marks) < 2 or marks[-1] == marks[-2]:
        return 0
    count = 2
    while count < len(marks) and marks[-count - 1] == marks[-count + 1]:
        count += 1
    return count
