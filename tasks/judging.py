"""Judging an evaluation: cut the submission, score its held-out rows, hand on the submission of the test rows.

`run_judge` is for the harness, which never opens an answer itself: it asks a child process, this module run as
`python -I -m tasks.judging REQUEST.json`. The messages say what is wrong with the form, and nothing of the answers.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tasks.blending import Blend, Cut, cut, load_blend
from tasks.cells import write_rows
from tasks.checking import SubmissionRefused
from tasks.children import ChildKilled, ChildTimeout, Reply, answer, ask

DRAWS = 200
WORK = 1_000_000
"""Rows drawn in all for the noise, so that many rows do not take minutes."""

TOO_HEAVY = "The submission could not be judged within {seconds:g} seconds and the memory there is: is it too large?"


@dataclass(frozen=True)
class Judgement:
    """The verdict on a submission.

    `score` is exact and for people, `noise` its standard error; `told` is the score as the model may see it.
    `sha256` is that of the submission of the test rows, written for status `scored` and `unscored`.
    """

    status: Literal["scored", "unscored", "invalid", "failed", "timeout"]
    message: str = ""
    score: float | None = None
    noise: float | None = None
    told: str = ""
    sha256: str = ""


def run_judge(blend: Path, submission: Path, out: Path, seconds: float) -> Judgement:
    """Judge a submission for the blend in a folder, in a process of its own; the test rows' part goes to `out`.

    Raises `spec.TaskError` for a blend that cannot be read, `children.ChildFailed` where the judge itself broke.
    """
    load_blend(blend)  # a broken blend is told here, in the user's words
    request = {"blend": str(blend.absolute()), "submission": str(submission.absolute()), "out": str(out.absolute())}
    try:
        reply = ask("tasks.judging", request, seconds)
    except (ChildTimeout, ChildKilled):
        return Judgement("invalid", TOO_HEAVY.format(seconds=seconds))
    return Judgement(**reply)


def judge(blend: Blend, submission: Path, out: Path) -> Judgement:
    """Judge a submission in this process: see `run_judge`. Only tests and the child call it."""
    from tasks.scoring import NoScore

    try:
        parts = cut(blend, submission)
        score, noise = _score(blend, parts) if blend.has_labels else (None, None)
    except (SubmissionRefused, NoScore) as refused:
        return Judgement("invalid", str(refused))
    write_rows(out, parts.test)
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    if score is None:
        return Judgement("unscored", sha256=digest)
    return Judgement("scored", "", score, noise, tell(score, noise), digest)


def tell(score: float, noise: float | None) -> str:
    """A score as the model may see it: no finer than two digits of its standard error."""
    if not noise:
        return f"{score:.4g}"
    decimals = 1 - math.floor(math.log10(noise))
    score, noise = round(score, decimals), round(noise, decimals)
    return f"{score:.{max(0, decimals)}f} ± {noise:.{max(0, decimals)}f}"


def _score(blend: Blend, parts: Cut) -> tuple[float, float | None]:
    """The score of the held-out rows and its standard error. Raises `NoScore`."""
    from tasks.scoring import frames, guarded_score

    metric, targets = blend.metric, parts.answers[0][1:]
    numbers = metric.needs != "labels"
    answers, given = frames(parts.answers, parts.held_out, targets, numbers)
    score = guarded_score(metric, answers, given, targets)
    if metric.file is None:
        # A built-in metric refuses bad values where it meets them: let it meet those of the test rows as well.
        body = parts.answers[1:]
        stand_ins = [parts.answers[0], *(body[at % len(body)] for at in range(len(parts.test) - 1))]
        guarded_score(metric, *frames(stand_ins, parts.test, targets, numbers), targets)

    def score_of(rows: Any) -> float:
        drawn, guesses = (table.iloc[rows].reset_index(drop=True) for table in (answers, given))
        return guarded_score(metric, drawn, guesses, targets)

    return score, standard_error(score_of, parts.units)


def standard_error(score_of: Callable[[Any], float], units: Sequence[str]) -> float | None:
    """The standard deviation of a score over resampled rows, or over resampled units where rows belong together.

    `score_of` takes an array of row numbers. None where too few draws can be scored.
    """
    import numpy as np

    from tasks.scoring import NoScore

    members: dict[Any, list[int]] = {}
    for row, unit in enumerate(units):
        members.setdefault(unit or row, []).append(row)
    pools = [np.array(rows) for rows in members.values()]
    generator = np.random.default_rng(0)
    scores = []
    for _ in range(max(20, min(DRAWS, WORK // len(units)))):
        drawn = generator.integers(0, len(pools), len(pools))
        try:
            scores.append(score_of(np.concatenate([pools[place] for place in drawn])))
        except NoScore:  # a draw may hold one class only
            continue
    return float(np.std(scores, ddof=1)) if len(scores) > 1 else None


def _perform(request: dict[str, Any]) -> Reply:
    return asdict(judge(load_blend(Path(request["blend"])), Path(request["submission"]), Path(request["out"])))


if __name__ == "__main__":
    answer(_perform)
