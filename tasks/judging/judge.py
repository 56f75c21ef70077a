"""Judging an evaluation: cut the submission, score its held-out rows, hand on the submission of the test rows.

`run_judge` is for the harness, which never opens an answer itself: it asks a child process, this module run as
`python -I -m tasks.judging.judge REQUEST.json`. Its messages describe problems of format and reveal no answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tasks.holdout.blend import Blend, load_blend
from tasks.holdout.build import HELD_OUT
from tasks.io.columns import Columns, read_columns, write_columns
from tasks.judging.partition_submission import answers_of, cut
from tasks.judging.validate_submission import SubmissionRefused
from tasks.subprocesses import ChildKilled, ChildTimeout, Reply, run_isolated, serve

if TYPE_CHECKING:
    from tasks.metrics.bootstrap import Part

TOO_HEAVY = "The submission could not be judged within {seconds:g} seconds and the memory there is: is it too large?"


@dataclass(frozen=True)
class Judgement:
    """The verdict on a submission.

    `score` is exact and for people, `noise` its standard error; `told` is the score as the model may see it.
    `sha256` is that of the submission of the test rows, written for status `scored` and `unscored`. `problem` is for
    people: what a task's own metric raised.
    """

    status: Literal["scored", "unscored", "invalid", "failed", "timeout"]
    message: str = ""
    score: float | None = None
    noise: float | None = None
    shown_score: str = ""
    sha256: str = ""
    gain: float | None = None
    gain_noise: float | None = None
    share: float | None = None
    shares: list[float] = field(default_factory=list)
    problem: str = ""


KEPT = ("held_out.csv", "select.csv")
"""What is kept of a judged submission beside its test rows: its predictions of the other rows, in their own order."""


def run_judge(
    blend: Path, submission: Path, out: Path, seconds: float, keep: bool = False, against: Path | None = None
) -> Judgement:
    """Judge a submission for the blend in a folder, in a process of its own; the test rows' part goes to `out`.

    `keep`: the predictions of the other rows go beside `out`. `against` is a file kept so of another submission for
    the same blend: `gain`, its noise, the share of draws in this one's favour, and where that is neither small nor
    beyond doubt the share on each half of the rows by itself are told.

    Raises `spec.TaskError` for a blend that cannot be read, `children.ChildFailed` where the judge itself broke.
    """
    load_blend(blend)  # a broken blend is told here, in the user's words
    paths = {"blend": blend, "submission": submission, "out": out}
    request: dict[str, Any] = {name: str(path.absolute()) for name, path in paths.items()}
    request |= {"keep": keep, "against": str(against.absolute()) if against else ""}
    try:
        reply = run_isolated("tasks.judging.judge", request, seconds)
    except (ChildTimeout, ChildKilled):
        return Judgement("invalid", TOO_HEAVY.format(seconds=seconds))
    return Judgement(**reply)


def judge(blend: Blend, submission: Path, out: Path, keep: bool = False, against: Path | None = None) -> Judgement:
    """Judge a submission in this process: see `run_judge`. Only tests and children call it."""
    from tasks.judging.score import NoScore
    from tasks.metrics.bootstrap import AGAIN, REAL, compare, drawn_scores, half_of, noise_of, rarest, scores_of

    try:
        parts = cut(blend, submission)
        if not blend.has_labels:
            write_columns(out, parts.test)
            return Judgement("unscored", sha256=_digest(out))
        _meet(blend, parts.answers, parts.test, parts.select)
        both = [parts.held_out, *([read_columns(against)] if against else [])]
        part = _part(blend, both, parts.answers, parts.units)
        scores = scores_of([part])
        if not math.isfinite(scores[0]):
            raise NoScore("The metric gave no finite number for these predictions.")
    except (SubmissionRefused, NoScore) as refused:
        return Judgement("invalid", str(refused), problem=getattr(refused, "problem", ""))
    write_columns(out, parts.test)
    if keep:
        for name, rows in zip(KEPT, (parts.held_out, parts.select), strict=True):
            write_columns(out.with_name(name), rows, 0o600)
    drawn = drawn_scores([part])
    noise = noise_of([part], drawn)[0]
    judged = Judgement("scored", "", scores[0], noise, tell(scores[0], noise), _digest(out))
    if against is None:
        return judged
    found = compare(scores, drawn, blend.metric.lower_is_better, rarest=rarest([part]))
    shares: list[float] = []
    if not AGAIN <= found.share < REAL:  # nobody asks whether it is repeated
        return replace(judged, gain=found.gain, gain_noise=found.noise, share=found.share)
    for side in (half_of(part, 0), half_of(part, 1)):
        with contextlib.suppress(NoScore):  # half of the rows may hold one class only
            shares.append(compare(scores_of([side]), drawn_scores([side]), blend.metric.lower_is_better).share)
    return replace(judged, gain=found.gain, gain_noise=found.noise, share=found.share, shares=shares)


def part_of(blend: Blend, given: Sequence[Columns], role: str = HELD_OUT) -> Part:
    """The held-out (or select) rows of a blend with the predictions of each candidate, ready to be resampled."""
    return _part(blend, given, *answers_of(blend, role))


def _part(blend: Blend, given: Sequence[Columns], answers: Columns, units: list[str]) -> Part:
    from tasks.judging.score import answer_frame, given_frame
    from tasks.metrics.bootstrap import Part

    targets = answers.header[1:]
    wanted = answer_frame(answers, targets, blend.metric.needs != "labels")
    return Part(blend.metric, tuple(targets), wanted, tuple(given_frame(one, wanted) for one in given), tuple(units))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tell(score: float, noise: float | None) -> str:
    """A score as the model may see it: no finer than the first digit of its standard error."""
    if not noise or not math.isfinite(noise):
        return f"{score:.4g}"
    decimals = -math.floor(math.log10(noise))
    score, noise = round(score, decimals), round(noise, decimals)
    return f"{score:.{max(0, decimals)}f} ± {noise:.{max(0, decimals)}f}"


def run_look(blend: Path, test: Path, seconds: float) -> str:
    """What keeps the metric of a blend from scoring a submission of the test rows, in a process of its own; empty where
    nothing does. Raises `children.ChildFailed`."""
    request = {"blend": str(blend.absolute()), "look": str(test.absolute())}
    return str(run_isolated("tasks.judging.judge", request, seconds)["problem"])


def look(blend: Blend, test: Path) -> str:
    """The same in this process."""
    from tasks.judging.score import NoScore

    if not blend.has_labels:
        return ""
    try:
        _meet(blend, answers_of(blend, HELD_OUT)[0], read_columns(test))
    except NoScore as refused:
        return str(refused)
    return ""


def _meet(blend: Blend, answers: Columns, *others: Columns) -> None:
    """A built-in metric refuses bad values where it meets them: let it meet those of the test and select rows too.

    Raises `NoScore`.
    """
    import numpy as np

    from tasks.judging.score import answer_frame, given_frame, guarded_score, require_numbers

    metric, targets = blend.metric, answers.header[1:]
    if metric.file is not None:
        return
    wanted = answer_frame(answers, targets, metric.needs != "labels")
    for given in others:
        table = given_frame(given, wanted)
        if metric.name == "roc_auc":  # it takes any number, and to rank a million takes as long as to read them
            require_numbers(table, targets)
        elif len(table):
            count = np.arange(max(len(table), len(wanted)))  # all answers: some of them may be of one class
            stand_ins, repeated = (one.iloc[count % len(one)].reset_index(drop=True) for one in (wanted, table))
            guarded_score(metric, stand_ins, repeated, targets)


def _perform(request: dict[str, Any]) -> Reply:
    if "look" in request:
        return {"problem": look(load_blend(Path(request["blend"])), Path(request["look"]))}
    submission, out = (Path(request[name]) for name in ("submission", "out"))
    against = Path(request["against"]) if request.get("against") else None
    blend = load_blend(Path(request["blend"]))
    return asdict(judge(blend, submission, out, bool(request.get("keep")), against))


if __name__ == "__main__":
    serve(_perform)
