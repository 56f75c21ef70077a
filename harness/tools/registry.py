"""The registry of tools: finds them, checks the arguments of a call, performs it and records its result."""

from __future__ import annotations

import json
import pkgutil
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from errno import EINVAL
from functools import cache, partial
from importlib import import_module

from pydantic import ValidationError

import harness.tools
from context import memory
from context.window import prompt
from harness import checkpoint, compact, errors, leasing
from harness.disk import refuse_full
from harness.evaluation import background
from harness.evaluation.evaluated_files import EvaluatedFiles
from harness.evaluation.steps.declare import StepArguments
from harness.parsing.coerce import ToolSpec
from harness.run import Lane
from harness.timing.notes import due_notes
from harness.tools.notes import Finish
from harness.tools.schema import schema_of
from harness.tools.tool import Arguments, Refused, Tool, ToolContext
from runs.events.registry import Call, ToolFinished, Warned
from runs.state import Pending
from sandboxes.base import JobRequest, JobStatus, PathRefused, read_log
from sandboxes.leases.amounts import Priority

ALIASES = {
    "timeout": "wait_seconds",
    "cmd": "command",
    "file_path": "path",
    "old_str": "old",
    "new_str": "new",
    "text": "content",
}
"""Names that other harnesses give these parameters. They are accepted, and the model is told."""
LATE_SECONDS, LATE_SHARE = 600.0, 0.05
"""The model is reminded of the time when less than this, or this share of the run, is left."""
LOOK_SECONDS = 0.5
"""How often a wait for jobs and evaluations together looks at the evaluations."""
MOST_OPEN = 2
"""Evaluations that one attempt may have running."""


@cache
def tools() -> dict[str, Tool]:
    """Every tool by name: those in the `TOOLS` of the modules of this package."""
    modules = (import_module(f"harness.tools.{module.name}") for module in pkgutil.iter_modules(harness.tools.__path__))
    return {tool.name: tool for module in modules for tool in getattr(module, "TOOLS", ())}


# ----------------------------------------------------------------------------------------------- performing a call


def perform(lane: Lane, pending: Pending) -> Finish | None:
    """Perform one call and record its result. Returns the closing words where the call was `finish`."""
    call = pending.call
    told: list[str] = []
    try:
        arguments = _read_arguments(call)
        if isinstance(arguments, Finish):
            return arguments
        tool = tools()[call.name]
        if pending.started is None:
            lane.record(tool.plan(_context(lane, pending, told), arguments))
        content, failed = tool.act(_context(lane, lane.state.pending[call.id], told), arguments), False
    except (Refused, PathRefused, checkpoint.CheckpointRefused, ValueError, OSError) as error:
        if errors.is_of_machine(error) and not _is_about_path(error, call):
            raise
        if isinstance(error, OSError) and call.name == "evaluate":
            lane.record(Warned(message=f"an evaluation could not be made: {error}"))
        content, failed = f"error: {_reason(error, call)}", True
    results = _results(lane, told)
    notes, timing = _notes(lane, call, content), due_notes(lane)
    asked = compact.request_checkpoint(lane, "\n".join([content, *results]), call.name)
    with lane.run.lock:  # with this result the news are told
        text = "; ".join([*_news(lane), *notes, *timing.values(), *([asked.text] if asked else [])])
        text = "\n\n".join(filter(None, [*results, text]))
        lane.record(
            ToolFinished(
                call=call.id,
                name=call.name,
                content=content + (f"\n<harness>{text}</harness>" if text else ""),
                failed=failed,
                asks="checkpoint" if asked else "",
                leaves=asked.leaves if asked else -1,
                told=list(timing),
                results=told,
            )
        )
    return None


def checked(call: Call) -> Call:
    """The call, with a `problem` where its arguments do not fit its tool: such a call is not a usable one."""
    try:
        _read_arguments(call)
    except Refused as refusal:
        return call.model_copy(update={"problem": str(refusal)})
    return call


def _read_arguments(call: Call) -> Arguments:
    if call.problem:
        raise Refused(call.problem)
    tool = tools().get(call.name)
    if tool is None:
        raise Refused(f"there is no tool {call.name!r}; the tools are {', '.join(tools())}")
    try:
        return tool.arguments.model_validate_json(call.arguments)
    except ValidationError as error:
        found = ((".".join(map(str, item["loc"])), item["msg"]) for item in error.errors())
        problems = "; ".join(f"{where}: {what}" if where else what for where, what in found)
        raise Refused(f"arguments of {call.name} do not fit: {problems}") from None


def _reason(error: Exception, call: Call) -> str:
    if isinstance(error, FileNotFoundError):
        return f"there is no file {json.loads(call.arguments).get('path', '')}".rstrip() + "; `ls` shows what there is"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)


def _is_about_path(error: Exception, call: Call) -> bool:
    """Whether a path that the model wrote may be what the system rejects as invalid."""
    return (
        isinstance(error, OSError) and error.errno == EINVAL and call.name in ("read_file", "write_file", "edit_file")
    )


def _results(lane: Lane, told: list[str]) -> list[str]:
    """The results of evaluations that ended beside the thinking; they count as told from now on."""
    names = [name for name in lane.state.untold if name not in told]
    told += names
    return [background.text_of(lane.run, name) for name in names]


def _notes(lane: Lane, call: Call, content: str) -> list[str]:
    """What the harness has to say. It is appended to a tool result, because a separate message would cost the cache."""
    notes = [call.note] if call.note else []
    for job in list(lane.state.open_jobs):
        status = lane.sandbox.status(job)
        if status.state in ("finished", "lost"):
            lane.run.note_ended(status)
            notes.append(f"job {job} has ended: {status.summary()}")
    if note := lane.notebook.loops.warning_for(call.id, call.name, content):
        notes.append(note)
    left = lane.run.seconds_left()
    if left < max(LATE_SECONDS, LATE_SHARE * 3600 * (lane.run.settings.hours or 0)):
        notes.append(f"{max(0.0, left) / 60:.0f} minutes are left: evaluate what you have")
    return notes


def _news(lane: Lane) -> list[str]:
    """That an attempt beside this one made a new best, unless this result already reports a newer one."""
    best = lane.run.state.best
    if best is None or best.id != lane.state.news:
        return []
    return [f"new best, of attempt {best.attempt}: {memory.render_evaluation(best)}"]


# ------------------------------------------------------------------------------------------------ what a tool may use


@dataclass(frozen=True)
class _Jobs:
    """The jobs of a run, as `tool.Jobs` describes them."""

    lane: Lane
    told: list[str]
    """Evaluations whose results this call has told."""

    def start(self, job: str, command: str) -> None:
        lease = leasing.join(self.lane, job, Priority.INTERACTIVE)
        variables, cores = (lease.variables(), lease.threads) if lease else ({}, None)
        self.lane.sandbox.start(JobRequest(job, command, self.lane.run.limits(), variables, cores))

    def wait(self, jobs: Sequence[str], seconds: float) -> list[JobStatus]:
        run, until = self.lane.run, time.monotonic() + self._longest(seconds)
        evaluations = [name for name in jobs if name in run.state.evaluations]
        commands = [name for name in jobs if name not in evaluations]
        while True:
            left = max(0.0, until - time.monotonic())
            if commands:
                run.await_jobs(commands, min(left, LOOK_SECONDS) if evaluations else left, self.lane.sandbox)
            if evaluations:
                background.await_any(run, evaluations, 0.0 if commands else left)
            statuses = [self.status(name) for name in jobs]
            if any(status.ended == "disk" for status in statuses):
                refuse_full(run)
            if left <= 0 or not run.may_wait or any(status.state != "running" for status in statuses):
                return statuses

    def _longest(self, seconds: float) -> float:
        """Seconds that a wait may take."""
        return min(seconds, self.lane.run.settings.longest_wait_seconds, max(0.0, self.lane.run.seconds_left()))

    def status(self, job: str) -> JobStatus:
        evaluation = self.lane.run.state.evaluations.get(job)
        return background.status_of(evaluation) if evaluation else self.lane.sandbox.status(job)

    def kill(self, job: str) -> JobStatus:
        if job in self.lane.run.state.evaluations:
            background.kill(self.lane.run, job)
            return self.status(job)
        status = self.lane.sandbox.kill(job)
        self.lane.run.note_ended(status)
        return status

    def log(self, job: str) -> Iterator[bytes]:
        return read_log(self.lane.sandbox, job)

    def running(self) -> Sequence[str]:
        return [*self.lane.state.open_jobs, *self.lane.state.open_evaluations]

    def result(self, job: str) -> str | None:
        if job not in self.lane.run.state.evaluations:
            return None
        text = background.text_of(self.lane.run, job)
        if job in self.lane.state.untold and job not in self.told:
            self.told.append(job)
        return text


def _evaluate(
    lane: Lane,
    pending: Pending,
    told: list[str],
    command: str,
    seconds: float,
    steps: Sequence[StepArguments] | None,
    wait_seconds: float,
    sample: float,
) -> str:
    """Start an evaluation and wait for it a while."""
    is_new = lane.run.state.evaluation_of(pending.call.id, pending.turn) is None
    if is_new and len(lane.state.open_evaluations) >= MOST_OPEN:
        names = ", ".join(lane.state.open_evaluations)
        raise Refused(f"evaluations {names} are still running: wait for one of them, or kill it, before you start more")
    started = background.start(lane, pending.call.id, command, seconds, steps, sample)
    if isinstance(started, str):
        return started
    jobs = _Jobs(lane, told)
    jobs.wait([started.id], wait_seconds)
    return jobs.result(started.id) or ""


def _context(lane: Lane, pending: Pending, told: list[str]) -> ToolContext:
    return ToolContext(
        call_id=pending.call.id,
        tool_name=pending.call.name,
        job_id=f"{pending.turn:05d}-{pending.position}",
        started=pending.started,
        settings=lane.run.settings,
        files=lane.sandbox,
        jobs=_Jobs(lane, told),
        recall=lane.run.recall,
        evaluated=EvaluatedFiles(lane),
        attempt=lane.state.attempt.number if lane.state.attempt else 0,
        evaluate=partial(_evaluate, lane, pending, told),
        take_checkpoint=partial(checkpoint.take, lane, pending),
    )


# ------------------------------------------------------------------------------------------- how the model knows them


@cache
def specs() -> tuple[ToolSpec, ...]:
    """The tools as the model and the parser of its replies know them."""
    sections = re.split(r"^## (\w+)\n", prompt("tools"), flags=re.MULTILINE)[1:]
    descriptions = {name: " ".join(text.split()) for name, text in zip(sections[::2], sections[1::2], strict=True)}
    return tuple(
        ToolSpec(
            name,
            descriptions[name],
            schema_of(tool.arguments),
            tool.can_be_undone,
            tool.shows_effect,
            {alias: meant for alias, meant in ALIASES.items() if meant in tool.arguments.model_fields},
        )
        for name, tool in tools().items()
    )


@cache
def tools_bytes() -> bytes:
    """The `tools` part of a request, serialised once."""
    wire = [
        {
            "type": "function",
            "function": {"name": spec.name, "description": spec.description, "parameters": spec.parameters},
        }
        for spec in specs()
    ]
    return json.dumps(wire, ensure_ascii=False, separators=(",", ":")).encode()
