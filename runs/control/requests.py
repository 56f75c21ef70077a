"""What may be asked of a run: a closed set of requests, each a small JSON file in the run's inbox."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

MAX_BYTES = 16_000
"""Size of the largest request."""
MAX_HINT = 4_000
"""Characters of the longest hint."""


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class Steer(_Request):
    """Tell the model a hint, start the next attempt from an evaluation, or both."""

    action: Literal["steer"] = "steer"
    hint: str = Field("", max_length=MAX_HINT)
    evaluation: str = Field("", max_length=100)

    @model_validator(mode="after")
    def _is_not_empty(self) -> Steer:
        if not self.hint.strip() and not self.evaluation:
            raise ValueError("a hint or an evaluation is needed")
        return self


class Pause(_Request):
    """Let the clock and all jobs stand still, and ask the model nothing."""

    action: Literal["pause"] = "pause"


class Continue(_Request):
    """End a pause."""

    action: Literal["continue"] = "continue"


class Stop(_Request):
    """End the run with its final selection; or with `now` only its process, resumable."""

    action: Literal["stop"] = "stop"
    now: bool = False


class Extend(_Request):
    """Add to the budget."""

    action: Literal["extend"] = "extend"
    hours: float | None = Field(None, gt=0)
    cost: float | None = Field(None, gt=0)
    attempts: int | None = Field(None, gt=0)
    turns: int | None = Field(None, gt=0)

    @property
    def added(self) -> dict[str, float]:
        """What is added to each limit."""
        values = {name: getattr(self, name) for name in ("hours", "cost", "attempts", "turns")}
        return {name: value for name, value in values.items() if value is not None}

    @model_validator(mode="after")
    def _is_not_empty(self) -> Extend:
        if not self.added:
            raise ValueError("hours, cost, attempts or turns are needed")
        return self


Request = Steer | Pause | Continue | Stop | Extend
_adapter: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="action")])


def parse_request(content: bytes) -> Request | str:
    """The request that a file holds, or what is wrong with it."""
    if len(content) > MAX_BYTES:
        return f"it is larger than {MAX_BYTES:,} bytes"
    try:
        return _adapter.validate_json(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        return f"it is not a request: {where + ': ' if where else ''}{first['msg']}"
    except ValueError as error:  # no UTF-8
        return f"it is not a request: {error}"
