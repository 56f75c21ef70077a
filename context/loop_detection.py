"""Loop detection: an agent that repeats itself gets a warning, then a shorter window, then its attempt ends.

Four patterns count, read from calls and results alone: the same call with the same result, the same error, two calls
in alternation, replies without a call. Each loop has its own level; a score for a new solution resets all levels.
Waiting for an open job is not a loop, whether with `wait`, by reading its log or with a command that checks on it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace

from context.window import strip_harness_note
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
"""Occurrences that make a loop. One alternation is a call and then the other."""
NOTE, EPOCH, END = 1, 2, 3
"""Levels of a loop: the first time a warning, the second time a new epoch too, the third time the attempt ends."""
WAITING_TOOLS = ("wait", "bash", "read_file")
"""Tools that can be used to wait for a job."""

READ_CHARACTERS = 4_000
"""Of a longer failure only the end is read."""
_VARYING = re.compile(r"(?<!\d)\d+(?:\.\d+)? s\b|\b\d{5}-\d+\b|\bevent \d+\b")
"""Times, job ids and event numbers differ between results that are otherwise equal."""
_NOT_READY = re.compile(
    r"(?s)exit [1-9]\d*(?: after #)?\s*|"
    r".*(?:No such file or directory|there is no file [^\s;]+(?:; `ls` shows what there is)?)\s*"
)
"""A check that printed nothing, or a file that does not exist yet."""
_FAILED = re.compile(r"^(?:error: .*|exit [1-9].*|killed after.*|lost: .*|evaluation \S+: (?:failed|invalid|timeout))")


@dataclass
class LoopDetector:
    """Loops in the open attempt, folded from events."""

    what: str = ""
    """Description of the loop seen last."""
    needs_epoch: bool = False
    """A loop reached `EPOCH` and the new epoch has not started yet."""
    text_replies: int = 0
    """Replies without a call in a row."""
    noticed: int = 0
    """Loops noticed in this attempt, repetitions included."""
    _levels: dict[str, int] = field(default_factory=dict)
    _last_level: int = 0
    _calls: dict[str, tuple[str, str]] = field(default_factory=dict)
    _jobs: dict[str, str] = field(default_factory=dict)
    """Open jobs, each with the call that started it."""
    _trees: frozenset[str] = frozenset()
    _digests: tuple[str, ...] = ()
    _repeats: int = 0
    _errors: tuple[str, int] = ("", 0)

    @property
    def level(self) -> int:
        """The highest level of any loop: 0, `NOTE`, `EPOCH` or `END`."""
        return max(self._levels.values(), default=0)

    def apply(self, event: Event) -> None:
        """Apply one event."""
        if isinstance(event, AttemptStarted):
            self.__init__()  # type: ignore[misc]  # a new attempt starts from nothing
        elif isinstance(event, EpochStarted):
            self.needs_epoch = self.needs_epoch and event.reason in ("resume", "repaired")
        elif isinstance(event, ModelReplied):
            self._calls = {call.id: (call.name, call.arguments) for call in event.calls}
            self.text_replies = 0 if event.calls else self.text_replies + 1
            self._count(self.text_replies, TEXT_REPLIES, "texts", "replies without a tool call")
        elif isinstance(event, ToolStarted) and event.job:
            self._jobs = {**self._jobs, event.job: event.call}
        elif isinstance(event, JobFinished):
            self._jobs = {job: call for job, call in self._jobs.items() if job != event.job}
        elif isinstance(event, ToolFinished):
            self._add_result(event.call, event.name, event.content)
        elif isinstance(event, EvaluationFinished) and event.status in ("scored", "unscored"):
            self._levels = self._levels if event.tree in self._trees else {}
            self._trees |= {event.tree}

    def warning_for(self, call: str, name: str, content: str) -> str:
        """The warning to append to this result if it completes a loop, else empty. Changes nothing."""
        after = replace(self)
        after._add_result(call, name, content)
        return after.warning() if after.noticed > self.noticed else ""

    def warning(self) -> str:
        """The warning about the loop seen last."""
        advice = "This attempt ends now." if self._last_level >= END else "Do something else, or call `finish`."
        return f"You are in a loop: {self.what}. {advice}"

    def _add_result(self, call: str, name: str, content: str) -> None:
        content = _VARYING.sub("#", strip_harness_note(content))
        arguments = self._calls.get(call, (name, ""))[1]
        failure = _FAILED.match(content)
        if self._is_wait(call, name, arguments, content, has_failed=bool(failure)):
            return
        digest = hashlib.sha256(f"{name}\n{arguments}\n{content}".encode(errors="replace")).hexdigest()[:16]
        self._repeats = self._repeats + 1 if self._digests[-1:] == (digest,) else 1
        self._digests = (*self._digests[-(4 * ALTERNATIONS * END) :], digest)
        if failure:
            self._count_error(failure[0], content, arguments)
        else:
            self._count_repeat(digest, name, arguments)
        calls = _count_alternating(self._digests)
        what = f"{calls // 2} times the same two calls in turn, with the same results"
        self._count(calls, 2 * ALTERNATIONS, " ".join(sorted(self._digests[-2:])), what)

    def _count_repeat(self, digest: str, name: str, arguments: str) -> None:
        if name == "evaluate":
            self._errors = ("", 0)
        shown = " ".join(f"{name} {arguments}".split())[:120]
        self._count(self._repeats, REPEATS, digest, f"{self._repeats} times `{shown}` with the same result")

    def _count_error(self, failure: str, content: str, arguments: str) -> None:
        last_line = content.rstrip().rsplit("\n", 1)[-1]
        # A bare exit code (`grep` without a match) is the same error only if the command is the same too.
        signature = f"{failure} {last_line if last_line != failure else arguments}"[:400]
        self._errors = (signature, self._errors[1] + 1 if self._errors[0] == signature else 1)
        reason = " ".join(signature.split())[:160]
        self._count(self._errors[1], ERRORS, signature, f"{self._errors[1]} times the same error ({reason})")

    def _is_wait(self, call: str, name: str, arguments: str, content: str, *, has_failed: bool) -> bool:
        """Whether a call only checks on an open job.

        A failure with an error message does not count, unless the call names the job. A command that has just become
        a job itself does not count either.
        """
        others = [job for job, starter in self._jobs.items() if starter != call]
        if name not in WAITING_TOOLS or not others:
            return False
        if any(job in arguments for job in others):
            return True
        is_new_job = call in self._jobs.values()
        return not is_new_job and (not has_failed or bool(_NOT_READY.fullmatch(content[-READ_CHARACTERS:])))

    def _count(self, count: int, least: int, loop: str, what: str) -> None:
        """Raise the level of `loop` each time its count reaches a multiple of `least`."""
        if not count or count % least:
            return
        level = min(self._levels.get(loop, 0) + 1, END)
        self._levels = {**self._levels, loop: level}
        self.needs_epoch = self.needs_epoch or level == EPOCH
        self.what, self._last_level, self.noticed = what, level, self.noticed + 1


def _count_alternating(digests: tuple[str, ...]) -> int:
    """How many of the last results are two different ones in turn."""
    if len(digests) < 2 or digests[-1] == digests[-2]:
        return 0
    count = 2
    while count < len(digests) and digests[-count - 1] == digests[-count + 1]:
        count += 1
    return count
