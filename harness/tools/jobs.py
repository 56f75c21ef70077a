"""`wait` and `kill`: follow jobs and evaluations that run longer than the call that started them."""

from __future__ import annotations

from pydantic import Field

from harness.tools.tool import Arguments, Refused, Tool, ToolContext
from sandboxes.base import JobStatus


class Wait(Arguments):
    jobs: list[str] = Field(default_factory=list, description="Their ids; none: any that runs.")
    seconds: float = Field(600, ge=0, description="The longest time to wait; the jobs go on after it.")


class Kill(Arguments):
    job: str = Field(description="Id of a job or evaluation.")


def _wait(context: ToolContext, arguments: Wait) -> str:
    jobs = arguments.jobs or list(context.jobs.running())
    if not jobs:
        raise Refused("no job is running; `bash` with wait_seconds 0 starts one")
    _check_known(context, jobs)
    statuses = context.jobs.wait(jobs, arguments.seconds)
    tokens = context.settings.output_tokens // len(statuses)
    return "\n".join(_report(context, status, tokens) for status in statuses)


def _kill(context: ToolContext, arguments: Kill) -> str:
    _check_known(context, [arguments.job])
    summary = context.jobs.kill(arguments.job).summary()
    return context.jobs.result(arguments.job) or f"job {arguments.job}: {summary}"


def _report(context: ToolContext, status: JobStatus, tokens: int) -> str:
    if result := context.jobs.result(status.id):
        return result
    return f"job {status.id}: {status.summary()}\n{context.clipped_log(status, tokens)}"


def _check_known(context: ToolContext, jobs: list[str]) -> None:
    unknown = [job for job in jobs if context.jobs.status(job).state == "unknown"]
    if unknown:
        running = ", ".join(context.jobs.running()) or "none"
        raise Refused(f"there is no job {', '.join(unknown)}; open jobs: {running}")


TOOLS = (Tool("wait", Wait, _wait), Tool("kill", Kill, _kill, can_be_undone=False))
