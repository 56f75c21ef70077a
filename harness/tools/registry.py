"""The tools: everything the model may do, on one page.

A tool's arguments are a pydantic model, its description stands in `context/prompts/tools.md`. Before a tool acts its
start is on record (with the id of its job, or what a file looked like), so that a resumed run can do it again or see
that it was done.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from context.truncation.truncate import file_lines, is_binary, peek, truncate_lines, truncate_output
from context.window import prompt
from harness import checkpoint, compact
from harness.evaluation.evaluate import DISK_ERRORS, describe, evaluate
from harness.parsing.reply import ToolSpec
from harness.tools.arguments import (
    Arguments,
    Bash,
    Checkpoint,
    EditFile,
    Evaluate,
    Finish,
    Kill,
    ReadFile,
    RecallIt,
    Wait,
    WriteFile,
)
from runs.events.registry import Call, ToolFinished, ToolStarted
from runs.state import Pending
from sandboxes.base import JobRequest, JobStatus, PathRefused, read_chunks, read_log

if TYPE_CHECKING:
    from harness.loop import Run


class Refused(Exception):
    """The tool could not do what was asked; the message is told to the model."""


# ------------------------------------------------------------------------------------------------------- performing


def perform(run: Run, pending: Pending) -> Finish | None:
    """Perform one call and record its result. Returns the closing words where the call was `finish`."""
    call = pending.call
    try:
        arguments = _read_arguments(call)
        if isinstance(arguments, Finish):
            return arguments
        tool = TOOLS[call.name]
        if pending.started is None:
            run.record(tool.plan(run, pending, arguments))
        content, failed = tool.act(run, run.state.pending[call.id], arguments), False
    except (Refused, PathRefused, checkpoint.CheckpointRefused, ValueError, OSError) as refusal:
        content, failed = f"error: {_reason(refusal, call)}", True
    notes = _notes(run, call, content)
    asks = compact.asks_checkpoint(run, content, call.name)
    told = "; ".join([*notes, *([prompt("checkpoint")] if asks else [])])
    suffix = f"\n<harness>{told}</harness>" if told else ""
    run.record(
        ToolFinished(
            call=call.id, name=call.name, content=content + suffix, failed=failed, asks="checkpoint" if asks else ""
        )
    )
    return None


def checked(call: Call) -> Call:
    """The call, with what is wrong with its arguments where they do not fit: such a call is not a usable one."""
    try:
        _read_arguments(call)
    except Refused as refusal:
        return call.model_copy(update={"problem": str(refusal)})
    return call


def _read_arguments(call: Call) -> Arguments:
    if call.problem:
        raise Refused(call.problem)
    if call.name not in TOOLS:
        raise Refused(f"there is no tool {call.name!r}; the tools are {', '.join(TOOLS)}")
    try:
        return TOOLS[call.name].arguments.model_validate_json(call.arguments)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise Refused(f"arguments of {call.name} do not fit: {problems}") from None


def _reason(error: Exception, call: Call) -> str:
    if isinstance(error, FileNotFoundError):
        return f"there is no file {json.loads(call.arguments).get('path', '')}".rstrip()
    if isinstance(error, OSError):
        if error.errno in DISK_ERRORS:
            raise error
        return error.strerror or str(error)
    return str(error)


def _notes(run: Run, call: Call, content: str) -> list[str]:
    """What the harness has to say: it rides on a tool result, because a message of its own would cost the cache."""
    notes = []
    for job in list(run.state.open_jobs):
        view = run.sandbox.status(job)
        if view.state in ("finished", "lost"):
            run.note_ended(view)
            notes.append(f"job {job} has ended: {describe(view)}")
    if note := run.notebook.loops.warning_for(call.id, call.name, content):
        notes.append(note)
    left = run.seconds_left()
    if left < max(600.0, 0.05 * 3600 * (run.created.hours or 0)):
        notes.append(f"{max(0.0, left) / 60:.0f} minutes are left: evaluate what you have")
    return notes


def shown_output(run: Run, view: JobStatus, tokens: int) -> str:
    """The output of a job as the model sees it."""
    return truncate_output(read_log(run.sandbox, view.id), view.kept_bytes, tokens, f"all of it: .jobs/{view.id}/log")


# ------------------------------------------------------------------------------------------------------------ tools


def _plan(run: Run, pending: Pending, arguments: Any) -> ToolStarted:
    return ToolStarted(call=pending.call.id, name=pending.call.name)


def _plan_job(run: Run, pending: Pending, arguments: Any) -> ToolStarted:
    job = f"{pending.turn:05d}-{pending.position}"
    return ToolStarted(call=pending.call.id, name=pending.call.name, job=job)


def _bash(run: Run, pending: Pending, arguments: Bash) -> str:
    assert pending.started is not None
    job = pending.started.job
    run.sandbox.start(JobRequest(job, arguments.command, run.limits()))
    seconds = min(arguments.wait_seconds, run.settings.longest_wait_seconds, max(0.0, run.seconds_left()))
    (view,) = run.await_jobs([job], seconds)
    if view.state == "running":
        head = f"still running as job {job} after {view.seconds:.0f} s; use wait, or read .jobs/{job}/log"
    else:
        head = describe(view)
    return f"{head}\n{shown_output(run, view, run.settings.output_tokens)}".rstrip("\n")


def _read_file(run: Run, pending: Pending, arguments: ReadFile) -> str:
    log = re.fullmatch(r"(?:\./|/workspace/)?\.jobs/([\w.-]+)/log", arguments.path)
    if log and run.sandbox.status(log[1]).state == "unknown":
        raise Refused(f"there is no job {log[1]}")
    if log:
        return _lines_shown(run, arguments, read_log(run.sandbox, log[1]), run.sandbox.status(log[1]).kept_bytes)
    with run.sandbox.open(arguments.path) as file:
        return _lines_shown(run, arguments, read_chunks(file), os.fstat(file.fileno()).st_size)


def _lines_shown(run: Run, arguments: ReadFile, pieces: Iterator[bytes], size: int) -> str:
    """The lines that were asked for; the others are counted, and never held."""
    path, tokens = arguments.path, run.settings.file_tokens
    first, pieces = peek(pieces)
    if is_binary(first):
        return truncate_output(first, size, tokens, f"all of it: {path}")
    count = 0

    def numbered() -> Iterator[tuple[int, str]]:
        nonlocal count
        for line in file_lines(pieces):
            count += 1
            yield count, line

    lines, before = numbered(), arguments.offset - 1
    shown = truncate_lines(
        islice(lines, before, before + arguments.limit), tokens, f"read_file {path} with offset, limit"
    )
    last = count
    count += sum(1 for _ in lines)
    if before >= count > 0:
        raise Refused(f"{path} has {count} lines: offset {arguments.offset} is past its end")
    if not count:
        return f"[{path} is empty]"
    return shown + (f"\n[lines {arguments.offset} to {last} of {count}]" if last - before < count else "")


def _write_file(run: Run, pending: Pending, arguments: WriteFile) -> str:
    return _written(run, arguments.path, _encode(arguments.content))


def _plan_edit(run: Run, pending: Pending, arguments: EditFile) -> ToolStarted:
    before = run.sandbox.read(arguments.path)
    after = _edited(before, arguments)
    return ToolStarted(call=pending.call.id, name=pending.call.name, before=_sha(before), after=_sha(after))


def _edit_file(run: Run, pending: Pending, arguments: EditFile) -> str:
    assert pending.started is not None
    now = run.sandbox.read(arguments.path)
    if _sha(now) == pending.started.after:
        # A crash came between the edit and its record.
        return _answer(arguments.path, now)
    return _written(run, arguments.path, _edited(now, arguments))


def _edited(before: bytes, arguments: EditFile) -> bytes:
    old, new = _encode(arguments.old), _encode(arguments.new)
    count = before.count(old)
    if count != 1:
        found = "does not occur" if count == 0 else f"occurs {count} times"
        raise Refused(f"`old` {found} in {arguments.path}; it must occur once. Read the file and give more of it")
    return before.replace(old, new)


def _wait(run: Run, pending: Pending, arguments: Wait) -> str:
    unknown = [job for job in arguments.jobs if run.sandbox.status(job).state == "unknown"]
    if unknown:
        raise Refused(f"there is no job {', '.join(unknown)}; open jobs: {', '.join(run.state.open_jobs) or 'none'}")
    seconds = min(arguments.seconds, run.settings.longest_wait_seconds, max(0.0, run.seconds_left()))
    views = run.await_jobs(arguments.jobs, seconds)
    tokens = run.settings.output_tokens // len(views)
    return "\n".join(f"job {view.id}: {describe(view)}\n{shown_output(run, view, tokens)}" for view in views)


def _kill(run: Run, pending: Pending, arguments: Kill) -> str:
    if run.sandbox.status(arguments.job).state == "unknown":
        raise Refused(f"there is no job {arguments.job}; open jobs: {', '.join(run.state.open_jobs) or 'none'}")
    view = run.sandbox.kill(arguments.job)
    run.note_ended(view)
    return f"job {arguments.job}: {describe(view)}"


def _evaluate(run: Run, pending: Pending, arguments: Evaluate) -> str:
    return evaluate(run, pending.call.id, arguments.command)


def _recall(run: Run, pending: Pending, arguments: RecallIt) -> str:
    if arguments.event >= 0:
        return run.recall.event(arguments.event, arguments.max_tokens)
    if arguments.path:
        return run.recall.path(arguments.path, arguments.max_tokens)
    if not arguments.query.strip():
        raise Refused("recall needs one of `query`, `event` and `path`")
    return run.recall.search(arguments.query, arguments.max_tokens)


def _checkpoint(run: Run, pending: Pending, arguments: Checkpoint) -> str:
    return checkpoint.take(run, pending, arguments.done, arguments.decided, arguments.todo)


def _written(run: Run, path: str, content: bytes) -> str:
    run.sandbox.write(path, content)
    return _answer(path, content)


def _answer(path: str, content: bytes) -> str:
    return f"wrote {path}: {len(content)} bytes, sha256 {_sha(content)}"


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _encode(text: str) -> bytes:
    return text.encode("utf-8", errors="replace")


@dataclass(frozen=True)
class Tool:
    """How a tool is checked, put on record and performed; the flags are those of `fitting.ToolSpec`."""

    arguments: type[Arguments]
    act: Callable[[Run, Pending, Any], str]
    plan: Callable[[Run, Pending, Any], ToolStarted] = _plan
    can_be_taken_back: bool = True
    reads_back: bool = False


def _never(run: Run, pending: Pending, arguments: Any) -> str:
    raise AssertionError("finish ends the attempt; it is not performed")


TOOLS: dict[str, Tool] = {
    "bash": Tool(Bash, _bash, _plan_job),
    "read_file": Tool(ReadFile, _read_file, reads_back=True),
    "write_file": Tool(WriteFile, _write_file, reads_back=True),
    "edit_file": Tool(EditFile, _edit_file, _plan_edit, reads_back=True),
    "wait": Tool(Wait, _wait),
    "kill": Tool(Kill, _kill, can_be_taken_back=False),
    "evaluate": Tool(Evaluate, _evaluate),
    "recall": Tool(RecallIt, _recall),
    "checkpoint": Tool(Checkpoint, _checkpoint),
    "finish": Tool(Finish, _never),
}


@cache
def specs() -> tuple[ToolSpec, ...]:
    """The tools as the model and the reader of its calls know them."""
    texts = re.split(r"^## (\w+)\n", prompt("tools"), flags=re.MULTILINE)[1:]
    descriptions = {name: " ".join(text.split()) for name, text in zip(texts[::2], texts[1::2], strict=True)}
    return tuple(
        ToolSpec(name, descriptions[name], _schema(tool.arguments), tool.can_be_taken_back, tool.reads_back)
        for name, tool in TOOLS.items()
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


def _schema(arguments: type[Arguments]) -> dict[str, Any]:
    schema = arguments.model_json_schema()
    properties = {
        name: {key: value for key, value in parts.items() if key in ("type", "items", "minimum")}
        for name, parts in schema["properties"].items()
    }
    return {"type": "object", "properties": properties, "required": schema.get("required", [])}
