"""Arguments of the tools, checked at the border."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _speakable(command: str) -> str:
    """No program can be given a NUL: refused here, it costs no job, and the model is told why."""
    if "\0" in command:
        raise ValueError("a command cannot hold a NUL character (\\u0000); write it as an escape, as in printf '\\0'")
    return command


Command = Annotated[str, AfterValidator(_speakable)]


class Arguments(BaseModel):
    """Arguments of a tool, checked at the border."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Bash(Arguments):
    command: Command
    wait_seconds: float = Field(120, ge=0)


class ReadFile(Arguments):
    path: str
    offset: int = Field(1, ge=1, le=10**12)
    limit: int = Field(2000, ge=1, le=10**12)


class WriteFile(Arguments):
    path: str
    content: str


class EditFile(Arguments):
    path: str
    old: str = Field(min_length=1)
    new: str


class Wait(Arguments):
    jobs: list[str] = Field(min_length=1)
    seconds: float = Field(600, ge=0)


class Kill(Arguments):
    job: str


class Evaluate(Arguments):
    command: Command


class RecallIt(Arguments):
    query: str = ""
    event: int = Field(-1, ge=-1)
    path: str = ""
    max_tokens: int = Field(2000, ge=50, le=8000)


class Checkpoint(Arguments):
    done: list[str] = []
    decided: list[str] = []
    todo: list[str] = []


class Finish(Arguments):
    did: str = ""
    criticism: str = ""
    next: str = ""
    lessons: list[str] = []
