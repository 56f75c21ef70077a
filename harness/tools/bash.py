"""`bash`: run a command as a job."""

from __future__ import annotations

from pydantic import Field

from harness.tools.tool import Arguments, Command, Tool, ToolContext
from runs.events.registry import ToolStarted
from sandboxes.base import JobStatus, asks_for_background, background_note


class Bash(Arguments):
    command: Command = Field(description="A bash command.")
    wait_seconds: float = Field(
        120,
        ge=0,
        description="Seconds to wait for it. It is not killed then but goes on as a background job; 0 starts one.",
    )


def _plan(context: ToolContext, arguments: Bash) -> ToolStarted:
    return context.start(job=context.job_id)


def _act(context: ToolContext, arguments: Bash) -> str:
    assert context.started is not None
    job, settings = context.started.job, context.settings
    context.jobs.start(job, arguments.command)
    (status,) = context.jobs.wait([job], arguments.wait_seconds)
    if status.state == "running":
        head = f"still running as job {job} after {status.seconds:.0f} s; use wait, or read .jobs/{job}/log"
    else:
        head = "\n".join([status.summary(), *_background(arguments.command, status)])
    return f"{head}\n{context.clipped_log(status, settings.output_tokens)}".rstrip("\n")


def _background(command: str, status: JobStatus) -> list[str]:
    """What the model must know of processes that its command left behind."""
    if status.ended != "exited" or not status.killed or not asks_for_background(command):
        return []
    return [background_note(str(status.killed))]


TOOLS = (Tool("bash", Bash, _act, _plan),)
