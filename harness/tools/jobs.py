"""`wait` and `kill`: follow jobs that run longer than the call that started them."""

from __future__ import annotations

from pydantic import Field

from harness.tools.tool import Arguments, Refused, Tool, ToolContext


class Wait(Arguments):
    jobs: list[str] = Field(min_length=1)
    seconds: float = Field(600, ge=0)


class Kill(Arguments):
    job: str


def _wait(context: ToolContext, arguments: Wait) -> str:
    _check_known(context, arguments.jobs)
    statuses = context.jobs.wait(arguments.jobs, arguments.seconds)
    tokens = context.settings.output_tokens // len(statuses)
    return "\n".join(
        f"job {status.id}: {status.summary()}\n{context.clipped_log(status, tokens)}" for status in statuses
    )


def _kill(context: ToolContext, arguments: Kill) -> str:
    _check_known(context, [arguments.job])
    return f"job {arguments.job}: {context.jobs.kill(arguments.job).summary()}"


def _check_known(context: ToolContext, jobs: list[str]) -> None:
    unknown = [job for job in jobs if context.jobs.status(job).state == "unknown"]
    if unknown:
        running = ", ".join(context.jobs.running()) or "none"
        raise Refused(f"there is no job {', '.join(unknown)}; open jobs: {running}")


TOOLS = (Tool("wait", Wait, _wait), Tool("kill", Kill, _kill, can_be_undone=False))
