"""Short journals for the tests of `runs/`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    Call,
    EpochStarted,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    JobFinished,
    ModelAsked,
    ModelFailed,
    ModelReplied,
    RunCreated,
    SubmissionChosen,
    ThresholdsKnown,
    ToolFinished,
    ToolStarted,
    Usage,
)
from runs.journal import Journal, create_run
from runs.run_settings import RunSettings


def created(**changes: Any) -> RunCreated:
    """Event 0 of a run of the digits example."""
    fields: dict[str, Any] = {
        "harness_version": "0.1",
        "run_id": "a-run",
        "task_id": "digits",
        "task_path": "digits",
        "task_digest": "0" * 64,
        "metric": "accuracy",
        "lower_is_better": False,
        "is_demo": True,
        "sandbox": "local",
        "protects_labels": False,
    }
    settings = {name: changes.pop(name) for name in set(changes) & set(RunSettings.model_fields) - {"sandbox"}}
    return RunCreated(**{**fields, "settings": RunSettings(**{"model": "demo", **settings}), **changes})


def new_run(folder: Path, **changes: Any) -> Journal:
    """A new run, with its journal open."""
    create_run(folder, created(**changes))
    return Journal.open(folder)


def attempt(number: int, score: float | None, parent: str | None = None, commit: str = "") -> list[Event]:
    """One attempt: a failed request, a reply with thinking and two calls, an evaluation, and its end."""
    commit = commit or f"{number:040x}"
    message = (
        '{"role":"assistant","content":"I try <b>trees</b>.","reasoning_content":"First thought.\\nSecond thought.",'
        '"tool_calls":[]}'
    )
    calls = [
        Call(id=f"c{number}a", name="bash", arguments='{"command":"python train.py\\nls -l"}'),
        Call(id=f"c{number}b", name="evaluate", arguments='{"command":"python train.py"}'),
    ]
    long_output = "".join(f"epoch {i} loss {1 / (i + 1):.3f}\n" for i in range(200))
    status = "scored" if score is not None else "failed"
    return [
        AttemptStarted(attempt=number, parents=[parent] if parent else []),
        EpochStarted(attempt=number, reason="attempt", system="You work.", tools="[]", user="The task."),
        ModelAsked(attempt=number, request=2 * number - 1, messages=2, size=900),
        ModelFailed(attempt=number, request=2 * number - 1, error="503 overloaded", again_in=1.5),
        ModelAsked(attempt=number, request=2 * number, messages=2, size=900),
        ModelReplied(
            attempt=number,
            request=2 * number,
            message=message,
            calls=calls,
            finish_reason="tool_calls",
            usage=Usage(prompt=1000, cached=400, completion=50),
            cost=0.25,
            seconds=3.0,
            retries=1,
        ),
        ToolStarted(attempt=number, call=f"c{number}a", name="bash", job=f"j{number}"),
        JobFinished(attempt=number, job=f"j{number}", ended="exited", exit_code=0, seconds=12.5, output_bytes=4000),
        ToolFinished(attempt=number, call=f"c{number}a", name="bash", content=long_output),
        ToolStarted(attempt=number, call=f"c{number}b", name="evaluate"),
        EvaluationStarted(
            attempt=number,
            evaluation=f"e{number}",
            call=f"c{number}b",
            command="python train.py",
            commit=commit,
            tree="f" * 40,
            job=f"je{number}",
        ),
        EvaluationFinished(
            attempt=number,
            evaluation=f"e{number}",
            status=status,
            commit=commit,
            tree="f" * 40,
            score=score,
            noise=None if score is None else 0.0112,
            shown_score="" if score is None else f"{score:.2f}",
            message="" if score is not None else "the command ended with code 1",
            seconds=30.0,
            submission="a" * 64,
        ),
        ToolFinished(attempt=number, call=f"c{number}b", name="evaluate", content="scored", failed=score is None),
        AttemptEnded(attempt=number, why="finish", did=f"Tried idea {number}.", criticism="Slow.", next="More trees."),
    ]


THRESHOLDS = ThresholdsKnown(gold=0.98, silver=0.97, bronze=0.95, median=0.9, rows=40)


def small_run(**changes: Any) -> list[Event]:
    """The events of a run of two attempts, the first with the better score, as the journal would record them."""
    events: list[Event] = [
        created(**changes),
        THRESHOLDS,
        SubmissionChosen(evaluation="", sha256="b" * 64, why="the sample submission"),
        *attempt(1, 0.9712),
        SubmissionChosen(attempt=1, evaluation="e1", sha256="a" * 64, why="best score so far"),
        *attempt(2, 0.95, parent=f"{1:040x}"),
    ]
    return [stamp(event, seq) for seq, event in enumerate(events)]


def stamp(event: Event, seq: int, mono: float | None = None) -> Event:
    """The event as the journal would record it, ten seconds after the one before."""
    at = f"2026-11-22T10:{seq * 10 // 60 % 60:02d}:{seq * 10 % 60:02d}.000Z"
    return event.model_copy(update={"seq": seq, "at": at, "mono": seq * 10.0 if mono is None else mono})
