"""`evaluate`: have the harness run and score the workspace."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from harness.evaluation.steps.declare import MAX_STEPS, StepArguments
from harness.tools.tool import Arguments, Command, Tool, ToolContext

MAX_SAMPLE = 0.5
"""A larger sample would be a full evaluation that escapes the verdict."""


Share = Annotated[float, AfterValidator(lambda share: round(share, 2))]
"""A share in whole per cents: each one has data of its own on disk."""


class Evaluate(Arguments):
    command: Command = Field("", description="Trains, predicts and writes submission.csv.")
    steps: list[StepArguments] | None = Field(
        None,
        description="Instead of `command`: run in order; a step whose command and files are unchanged is cached.",
        max_length=MAX_STEPS,
    )
    minutes: float = Field(
        0,
        ge=0,
        description="Limit of what is not cached. 0: 30, or 5 times your longest evaluation.",
    )
    wait_seconds: float = Field(120, ge=0, description="Work on meanwhile: 0.")
    sample: Share = Field(1, ge=0.01, le=1, description="Share of training rows: 1, or at most 0.5.")

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if bool(self.command.strip()) == bool(self.steps):
            raise PydanticCustomError("either", "give either `command` or `steps`")
        if MAX_SAMPLE < self.sample < 1:
            raise PydanticCustomError("sample", "`sample` is 1 for a full evaluation, at most 0.5 for a first look")
        return self


def _act(context: ToolContext, arguments: Evaluate) -> str:
    return context.evaluate(
        arguments.command,
        60 * arguments.minutes,
        arguments.steps or None,
        arguments.wait_seconds,
        arguments.sample,
    )


TOOLS = (Tool("evaluate", Evaluate, _act),)
