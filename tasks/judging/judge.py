"""Judge the submission of an evaluation: score its held-out rows and write the submission of the test rows.

The harness process never opens an answer. `run_judge` runs this module as a child process,
`python -I -m tasks.judging.judge REQUEST.json`. Messages describe the format of a submission and reveal no answer.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tasks.holdout.blend import Blend, load_blend, read_meta
from tasks.holdout.build import HELD_OUT
from tasks.io.columns import Columns, read_columns, write_columns
from tasks.io.hashing import hash_of_file
from tasks.judging.partition_submission import Partition, answers_of, partition_submission, write_test_rows
from tasks.judging.validate_submission import SubmissionRefused
from tasks.subprocesses import ChildKilled, ChildTimeout, Reply, run_isolated, serve

if TYPE_CHECKING:
    from tasks.metrics.folds import Fold

TOO_HEAVY = "The submission could not be judged within {seconds:g} seconds and the memory there is: is it too large?"
UNKNOWN_LABELS = "No prediction of the held-out rows is one of the labels: write them as in the training data."
KEPT_FILES = ("held_out.csv", "select.csv")
"""Predictions of the held-out and the select rows, each in the order of its answers."""


@dataclass(frozen=True)
class Judgement:
    """The result of judging a submission.

    `score` is exact and for people, `noise` its standard error; `shown_score` is what the model may see. `gain`,
    `gain_noise` and `share` compare with another submission (see `PairedGain`), `shares` on each half of the rows.
    `sha256` is that of the written submission of the test rows (status `scored` and `unscored`). `problem` is for
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


def run_judge(
    blend: Path,
    submission: Path,
    out: Path,
    seconds: float,
    keep: bool = False,
    against: Path | None = None,
    half: int | None = None,
) -> Judgement:
    """Judge a submission for the blend in a folder, in a child process; write the submission of the test rows to `out`.

    `keep`: write KEPT_FILES beside `out`. `against`: such a file of held-out predictions, of another submission for
    the same blend, to compare with. `half`: score every other unit only, from unit 0 or 1 on.

    Raises TaskError for a blend that cannot be read, `ChildFailed` if the judge itself failed.
    """
    load_blend(blend)  # so that a broken blend is reported from here, as a TaskError
    paths = {"blend": blend, "submission": submission, "out": out}
    request: dict[str, Any] = {name: str(path.absolute()) for name, path in paths.items()}
    request |= {"keep": keep, "against": str(against.absolute()) if against else "", "half": half}
    try:
        reply = run_isolated("tasks.judging.judge", request, seconds)
    except (ChildTimeout, ChildKilled):
        return Judgement("invalid", TOO_HEAVY.format(seconds=seconds))
    return Judgement(**reply)


def judge(
    blend: Blend,
    submission: Path,
    out: Path,
    keep: bool = False,
    against: Path | None = None,
    half: int | None = None,
) -> Judgement:
    """Judge a submission in this process: see `run_judge`. Only tests and children call it."""
    from tasks.metrics.bootstrap import draw_scores, estimate_noise, score_candidates
    from tasks.metrics.folds import take_half
    from tasks.metrics.score import NO_SCORE, NoScore

    try:
        rows = partition_submission(blend, submission)
        _write(rows, out, keep and blend.has_labels)
        _check_officially(blend, out)
        if not blend.has_labels:
            return Judgement("unscored", sha256=hash_of_file(out))
        _check_values(blend, rows.answers, rows.test, rows.select)
        candidates = [rows.held_out, *([read_columns(against)] if against else [])]
        fold = _make_fold(blend, candidates, rows.answers, rows.units)
        fold = fold if half is None else take_half(fold, half)
        scores = score_candidates([fold])
        if not math.isfinite(scores[0]):
            raise NoScore(NO_SCORE)
    except (SubmissionRefused, NoScore) as error:
        for path in (out, *(out.with_name(name) for name in KEPT_FILES if keep)):
            path.unlink(missing_ok=True)
        return Judgement("invalid", str(error), problem=getattr(error, "problem", ""))
    draws = draw_scores([fold])
    noise = estimate_noise([fold], draws)[0]
    message = "" if _has_known_label(fold) else UNKNOWN_LABELS
    judgement = Judgement("scored", message, scores[0], noise, format_score(scores[0], noise), hash_of_file(out))
    return replace(judgement, **_compare(fold, scores, draws)) if against else judgement


def _write(rows: Partition, out: Path, keep: bool) -> None:
    write_columns(out, rows.test)
    if keep:
        for name, table in zip(KEPT_FILES, (rows.held_out, rows.select), strict=True):
            write_columns(out.with_name(name), table, 0o600)


def _has_known_label(fold: Fold) -> bool:
    """Whether a prediction is one of the answers' labels, or the metric takes no labels."""
    from tasks.metrics.target_columns import comparable_labels

    if fold.metric.file is not None or fold.metric.needs != "labels" or fold.metric.answers != "any":
        return True
    pairs = [comparable_labels(fold.answers[name], fold.predictions[0][name]) for name in fold.targets]
    return any(not set(expected).isdisjoint(predicted) for expected, predicted in pairs)


def _check_officially(blend: Blend, test: Path) -> None:
    """Let the official rule of the competition refuse the test rows. Raises `NoScore`."""
    from tasks.metrics.score import NoScore

    if not blend.competition:
        return
    from tasks.mlebench.check_form import check_form
    from tasks.mlebench.official_metrics import Invalid

    meta = read_meta(blend.private_labels)
    try:
        check_form(blend.competition, test, meta["id"], meta["targets"])
    except Invalid as error:
        raise NoScore(str(error)) from None


def _compare(fold: Fold, scores: list[float], draws: Any) -> dict[str, Any]:
    """Candidate 0 against candidate 1. The halves are compared only where the verdict depends on them."""
    from tasks.metrics.bootstrap import (
        REAL_SHARE,
        REPEAT_SHARE,
        compare_candidates,
        draw_scores,
        score_candidates,
    )
    from tasks.metrics.folds import rarest_class_rows, take_half
    from tasks.metrics.score import NoScore

    lower = fold.metric.lower_is_better
    paired = compare_candidates(scores, draws, lower, rarest=rarest_class_rows([fold]))
    result = {"gain": paired.gain, "gain_noise": paired.noise, "share": paired.share}
    if not REPEAT_SHARE <= paired.share < REAL_SHARE:
        return result
    shares: list[float] = []
    for half in (take_half(fold, 0), take_half(fold, 1)):
        with contextlib.suppress(NoScore):  # half of the rows may have one class only
            shares.append(compare_candidates(score_candidates([half]), draw_scores([half]), lower).share)
    return {**result, "shares": shares}


def load_fold(blend: Blend, candidates: Sequence[Columns], role: str = HELD_OUT) -> Fold:
    """The held-out (or select) rows of a blend with each candidate's predictions, as the bootstrap takes them."""
    return _make_fold(blend, candidates, *answers_of(blend, role))


def _make_fold(blend: Blend, candidates: Sequence[Columns], answers: Columns, units: list[str]) -> Fold:
    from tasks.judging.frames import answer_frame, prediction_frame
    from tasks.metrics.folds import Fold

    targets = answers.header[1:]
    frame = answer_frame(answers, targets, blend.metric.needs != "labels")
    predictions = tuple(prediction_frame(one, frame) for one in candidates)
    return Fold(blend.metric, tuple(targets), frame, predictions, tuple(units))


def format_score(score: float, noise: float | None) -> str:
    """A score as the model may see it: rounded to the first digit of its standard error."""
    if not noise or not math.isfinite(noise):
        return f"{score:.4g}"
    decimals = -math.floor(math.log10(noise))
    score, noise = round(score, decimals), round(noise, decimals)
    return f"{score:.{max(0, decimals)}f} ± {noise:.{max(0, decimals)}f}"


def format_gain(gain: float | None, noise: float | None) -> str:
    """A paired gain as the model may see it, such as `+0.0033 ± 0.0013`: two digits of its standard error. Empty where
    there is no finite gain."""
    if gain is None or noise is None or not math.isfinite(gain) or not math.isfinite(noise):
        return ""
    decimals = max(0, 1 - math.floor(math.log10(noise))) if noise > 0 else 6
    return f"{gain:+.{decimals}f} ± {noise:.{decimals}f}"


# --------------------------------------------------------------------------------------------------- the test rows


def run_write_test_rows(blend: Path, out: Path, seconds: float) -> dict[str, Any]:
    """`partition_submission.write_test_rows` in a child process. Raises TaskError for a blend that cannot be read,
    `ChildFailed`."""
    load_blend(blend)
    request = {"blend": str(blend.absolute()), "test_rows": str(out.absolute())}
    return run_isolated("tasks.judging.judge", request, seconds)


def run_check_test_rows(blend: Path, test: Path, seconds: float) -> str:
    """Why the metric of a blend cannot score a submission of the test rows, in a child process; empty if it can.

    Raises `ChildFailed`.
    """
    request = {"blend": str(blend.absolute()), "check": str(test.absolute())}
    return str(run_isolated("tasks.judging.judge", request, seconds)["problem"])


def check_test_rows(blend: Blend, test: Path) -> str:
    """`run_check_test_rows` in this process."""
    from tasks.metrics.score import NoScore

    try:
        _check_officially(blend, test)
        if not blend.has_labels:
            return ""
        _check_values(blend, answers_of(blend, HELD_OUT)[0], read_columns(test))
    except NoScore as error:
        return str(error)
    return ""


def _check_values(blend: Blend, answers: Columns, *tables: Columns) -> None:
    """Let a built-in metric refuse bad values among test and select rows too, by scoring them against other answers.

    Raises `NoScore`.
    """
    import numpy as np

    from tasks.judging.frames import answer_frame, prediction_frame
    from tasks.metrics.score import guarded_score, require_numbers

    metric, targets = blend.metric, answers.header[1:]
    if metric.file is not None:
        return
    frame = answer_frame(answers, targets, metric.needs != "labels")
    for table in tables:
        predictions = prediction_frame(table, frame)
        if metric.is_rank_based:  # any number is valid, and ranking a million takes as long as reading them
            require_numbers(predictions, targets)
        elif len(predictions):
            rows = np.arange(max(len(predictions), len(frame)))  # all answers: some of them may be of one class
            expected, repeated = (one.iloc[rows % len(one)].reset_index(drop=True) for one in (frame, predictions))
            guarded_score(metric, expected, repeated, targets)


def _perform(request: dict[str, Any]) -> Reply:
    blend = load_blend(Path(request["blend"]))
    if "test_rows" in request:
        return write_test_rows(blend, Path(request["test_rows"]))
    if "check" in request:
        return {"problem": check_test_rows(blend, Path(request["check"]))}
    submission, out = (Path(request[name]) for name in ("submission", "out"))
    against = Path(request["against"]) if request.get("against") else None
    return asdict(judge(blend, submission, out, bool(request.get("keep")), against, request.get("half")))


if __name__ == "__main__":
    serve(_perform)
