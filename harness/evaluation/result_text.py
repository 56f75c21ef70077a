"""What the model reads of an evaluation: the result of `evaluate`.

The output of the first fold is the agent's to read, since it was computed without held-out labels. The output of other
folds never appears here.
"""

from __future__ import annotations

from collections.abc import Iterator

from context.truncation.truncate import truncate_output
from harness.evaluation.steps.describe import describe_left_out, describe_steps, describe_time
from harness.run import Run
from runs.state import Evaluation, State
from runs.views import verdict
from sandboxes.base import read_log

REPEATED = "(your files and command are those of this earlier evaluation: not run again, this is its result)"


def result_text(run: Run, evaluation: Evaluation) -> str:
    """The result of an evaluation that is over."""
    result, job = evaluation.result, evaluation.started.job
    log = read_log(run.sandbox, job)
    output = truncate_output(log, 0, run.settings.output_tokens, f"all of it: .jobs/{job}/log")
    lines = [
        f"evaluation {evaluation.id}: {evaluation.status}",
        *_outcome(run, evaluation),
        describe_time(result),
        *describe_steps(evaluation.started, result),
        *describe_left_out(evaluation.started, result.status == "failed"),
        f"commit {evaluation.commit[:10]}",
        *([f"output (whole log: .jobs/{job}/log):", output] if output.strip() else ["it printed nothing"]),
    ]
    return "\n".join(lines).rstrip("\n")


def repeated_text(run: Run, earlier: Evaluation) -> str:
    """The answer to a call that repeats an evaluation."""
    head, _, rest = result_text(run, earlier).partition("\n")
    return f"{head}\n{REPEATED}\n{rest}"


def _outcome(run: Run, evaluation: Evaluation) -> Iterator[str]:
    result = evaluation.result
    if result.status == "unscored":
        yield "the file is valid; this task has no labels to hold out, so there is no score"
    elif result.status != "scored":
        yield result.message
    else:
        yield from _score(run, evaluation)
        yield from (f"noticed: {note}" for note in result.notes)
    if (twin := _same_change(run.state, evaluation)) is not None:
        yield f"note: attempt {twin.attempt} made the same change to another parent: {verdict.outcome_shown(twin)}"


def _same_change(state: State, evaluation: Evaluation) -> Evaluation | None:
    """An earlier evaluation whose attempt made the same change to another parent."""
    change, attempts = evaluation.started.change, state.attempts
    earlier = [e for e in state.evaluations.values() if e.started.change == change and e.finished and change]
    parent = attempts[evaluation.attempt - 1].parent
    return next((e for e in earlier if attempts[e.attempt - 1].parent != parent), None)


def _score(run: Run, evaluation: Evaluation) -> Iterator[str]:
    result, created = evaluation.result, run.created
    if shown := verdict.score_shown(evaluation):
        direction = "lower" if created.lower_is_better else "higher"
        unit = f" ({created.metric}, {direction} is better) on held-out rows" if verdict.is_number(shown) else ""
        yield f"score {shown}{unit}"
    yield from [f"note: {result.message}"] if result.message else []
    if result.claimed is not None:
        yield f"own score (the last one it printed): {result.claimed:.6g}"
    if gain := verdict.gain_shown(evaluation):
        yield gain + (", a new best" if evaluation.became_best else "")
    elif sentence := _verdict(run.state, evaluation):
        yield f"verdict: {sentence}"
    if result.distrust_reason:
        yield f"not trusted: {result.distrust_reason}. So it cannot become the best"


def _verdict(state: State, evaluation: Evaluation) -> str:
    """The verdict in words, where no gain is shown."""
    result = evaluation.result
    if not verdict.comparison_shown(evaluation):
        return ""
    if result.verdict == "first":
        return "the first score"
    if result.verdict == "unclear":
        return _unclear(state, evaluation)
    if result.verdict == "worse":
        return f"worse than {result.against}, the best at the time, beyond the noise; no number is shown"
    return f"{result.verdict}: better than {result.against} beyond the noise" if result.verdict else ""


def _unclear(state: State, evaluation: Evaluation) -> str:
    against = evaluation.result.against
    if evaluation.result.distrust_reason:
        return f"unclear: the difference from {against} is within noise, so no number is shown"
    if not evaluation.became_best:
        return (
            f"unclear: the difference from {against}, the best at the time, is within noise, so no number is shown. It "
            "stays a candidate for the end of the run; your own cross-validation is the better guide"
        )
    if _failed_elsewhere(state, against):
        return (
            f"unclear: the difference from {against} is within noise, so no number is shown. This one is the new best, "
            f"because {against} did not succeed on other training rows"
        )
    return (
        f"unclear, but the new best: it was ahead of {against} on two separate sets of held-out rows. Each lead is "
        "within noise, so no number is shown"
    )


def _failed_elsewhere(state: State, name: str) -> bool:
    ended = (fold for (evaluation, _), fold in state.folds.items() if evaluation == name)
    return any(fold is not None and fold.status not in ("scored", "unscored") for fold in ended)
