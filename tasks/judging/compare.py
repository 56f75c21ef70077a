"""Compare a candidate with the best so far over several splits: its score, its noise, and whether the splits agree.

The harness process never opens an answer. `run_compare` runs this module as a child process,
`python -I -m tasks.judging.compare REQUEST.json`.
"""

from __future__ import annotations

import contextlib
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.holdout.blend import load_blend
from tasks.io.columns import read_columns
from tasks.judging.judge import format_score, load_fold
from tasks.metrics.score import NoScore
from tasks.subprocesses import Reply, run_isolated, serve

if TYPE_CHECKING:
    from tasks.metrics.folds import Fold

HETEROGENEOUS = 2.0
"""Folds whose scores spread this many times wider than the noise of their rows differ in kind; 1 in 140 by chance."""
MAX_SCORE_Z = 1.0
"""Standard errors by which the other folds may score better than the first. Beyond that the score is the first fold's:
labels of the other folds may be memorized, and this bounds what they can gain."""


@dataclass(frozen=True)
class Comparison:
    """The score of a candidate over several splits, and its gain on another candidate.

    `score` is the mean over folds by rows, `parts` the score of each fold. `gain` (above 0: better), its noise and
    `share` (of draws in the candidate's favour) compare with the other candidate; `shares` are the same on the first
    fold and on the others, two disjoint sets of rows. `fold_z` is how much better the candidate is on the other folds
    than on the first, in standard errors of the difference (negative: worse), by its score or by its gain, whichever
    is further from 0. `score_z` is the same by its score and the noise of its rows alone: folds that differ in kind do
    not excuse it, since labels of one fold alone may be memorized. `first_score` and `first_noise` are those of the
    first fold; None if it has no score by itself.
    """

    score: float
    noise: float | None
    shown_score: str
    parts: list[float | None] = field(default_factory=list)
    gain: float | None = None
    gain_noise: float | None = None
    share: float | None = None
    shares: list[float] = field(default_factory=list)
    fold_z: float = 0.0
    score_z: float = 0.0
    first_score: float | None = None
    first_noise: float | None = None

    def protected(self) -> Comparison:
        """The same; with the score of the first fold where the others scored better than `MAX_SCORE_Z` allows."""
        if self.first_score is None or self.score_z <= MAX_SCORE_Z:
            return self
        shown = format_score(self.first_score, self.first_noise)
        return replace(self, score=self.first_score, noise=self.first_noise, shown_score=shown)


def run_compare(blends: Sequence[Path], ours: Sequence[Path], theirs: Sequence[Path], seconds: float) -> Comparison:
    """Compare predictions that the judge kept, one file per blend, in a child process.

    `theirs` may hold files of the first blends only, or none. Raises `ChildFailed`.
    """
    names = {"blends": blends, "ours": ours, "theirs": theirs}
    request = {name: [str(path.absolute()) for path in paths] for name, paths in names.items()}
    return Comparison(**run_isolated("tasks.judging.compare", request, seconds))


def compare_predictions(blends: Sequence[Path], ours: Sequence[Path], theirs: Sequence[Path]) -> Comparison:
    """Compare in this process: see `run_compare`."""
    folds = []
    for index, blend in enumerate(map(load_blend, blends)):
        files = [ours[index], *theirs[index : index + 1]]
        folds.append(load_fold(blend, [read_columns(path) for path in files]))
    return compare_folds(folds, len(theirs))


def compare_folds(folds: Sequence[Fold], compared: int = 0) -> Comparison:
    """Compare candidate 0 over these folds, and with candidate 1 on the first `compared` of them."""
    from tasks.metrics.bootstrap import estimate_noise

    drawn = _DrawnFolds(folds)
    whole = drawn.select(slice(None), 1)
    score, noise = whole.scores[0], estimate_noise(whole.folds, whole.draws)[0]
    fold_scores = [_fold_score(drawn, index) for index in range(len(folds))]
    fold_z = drawn.fold_z(_score_and_noise, 1)
    if compared == len(folds):
        fold_z = max(fold_z, drawn.fold_z(_gain_and_noise, 2), key=abs)
    first, first_noise = drawn.first_score()
    comparison = Comparison(
        score,
        noise,
        format_score(score, noise),
        fold_scores,
        fold_z=fold_z,
        score_z=drawn.score_z(),
        first_score=first,
        first_noise=first_noise,
    )
    if not compared:
        return comparison
    return replace(comparison, **_gains(_DrawnFolds(folds[:compared], drawn.draws[:compared])))


@dataclass(frozen=True)
class _Selection:
    """Candidates over some folds: their scores, and their scores on every draw."""

    folds: Sequence[Fold]
    scores: list[float]
    draws: Any


class _DrawnFolds:
    """Folds with their bootstrap draws, which are expensive and shared by every selection of folds."""

    def __init__(self, folds: Sequence[Fold], draws: Sequence[Any] = ()) -> None:
        from tasks.metrics.bootstrap import draw_scores_by_fold

        self.folds = folds
        self.draws = draws or draw_scores_by_fold(folds)

    def select(self, indices: slice, count: int) -> _Selection:
        """The first `count` candidates over these folds. Raises `NoScore`."""
        from tasks.metrics.bootstrap import average_draws, draw_scores, score_candidates
        from tasks.metrics.folds import pool_rare_classes

        folds = [replace(fold, predictions=fold.predictions[:count]) for fold in self.folds[indices]]
        pooled = pool_rare_classes(folds)
        if pooled is folds:
            draws = average_draws(folds, [scores[:count] for scores in self.draws[indices]])
            return _Selection(folds, score_candidates(folds), draws)
        return _Selection(pooled, score_candidates(pooled), draw_scores(pooled))

    def fold_z(self, measure: Callable[[_Selection], tuple[float, float]], count: int) -> float:
        """The z-score between the first fold and the others, of a measure of candidate 0 and its noise.

        Folds of whole groups may differ by more than the noise of their rows. Then the standard error comes from the
        spread among the other folds.
        """
        difference, within = self._difference(measure, count)
        values = []
        for index in range(1, len(self.folds)):
            with contextlib.suppress(NoScore):
                values.append(measure(self.select(slice(index, index + 1), count))[0])
        between = statistics.stdev(values) * math.sqrt(1 + 1 / len(values)) if len(values) > 1 else 0.0
        return _ratio(difference, between if between > HETEROGENEOUS * within else within)

    def score_z(self) -> float:
        """`fold_z` of the score, by the noise of the rows alone."""
        return _ratio(*self._difference(_score_and_noise, 1))

    def first_score(self) -> tuple[float | None, float | None]:
        """The score of candidate 0 on the first fold and its noise; None if it has none."""
        from tasks.metrics.bootstrap import estimate_noise

        try:
            first = self.select(slice(1), 1)
        except NoScore:
            return None, None
        return first.scores[0], estimate_noise(first.folds, first.draws)[0]

    def _difference(self, measure: Callable[[_Selection], tuple[float, float]], count: int) -> tuple[float, float]:
        """By how much the other folds beat the first, and its noise; 0 and 0 if that cannot be said."""
        if len(self.folds) < 2:
            return 0.0, 0.0
        try:
            (first, noise), (others, others_noise) = (
                measure(self.select(indices, count)) for indices in (slice(1), slice(1, None))
            )
        except NoScore:
            return 0.0, 0.0
        return others - first, math.hypot(noise, others_noise)


def _ratio(difference: float, error: float) -> float:
    return difference / error if 0 < error < math.inf else 0.0


def _fold_score(drawn: _DrawnFolds, index: int) -> float | None:
    """The score of one fold; None if there is none, as with rows of one class."""
    try:
        return drawn.select(slice(index, index + 1), 1).scores[0]
    except NoScore:
        return None


def _gains(drawn: _DrawnFolds) -> dict[str, Any]:
    """Candidate 0 against candidate 1 over all folds, and its share on the first fold and on the others."""
    from tasks.metrics.bootstrap import compare_candidates
    from tasks.metrics.folds import rarest_class_rows

    lower = drawn.folds[0].metric.lower_is_better
    whole = drawn.select(slice(None), 2)
    paired = compare_candidates(whole.scores, whole.draws, lower, rarest=rarest_class_rows(whole.folds))
    shares = []
    for indices in (slice(1), slice(1, None)) if len(drawn.folds) > 1 else ():
        with contextlib.suppress(NoScore):
            side = drawn.select(indices, 2)
            shares.append(compare_candidates(side.scores, side.draws, lower).share)
    return {"gain": paired.gain, "gain_noise": paired.noise, "share": paired.share, "shares": shares}


def _score_and_noise(selection: _Selection) -> tuple[float, float]:
    """The score of candidate 0 (higher is better) and its noise."""
    from tasks.metrics.bootstrap import estimate_noise

    sign = -1 if selection.folds[0].metric.lower_is_better else 1
    return sign * selection.scores[0], estimate_noise(selection.folds, selection.draws)[0] or 0.0


def _gain_and_noise(selection: _Selection) -> tuple[float, float]:
    """The gain of candidate 0 on candidate 1, and its noise: at least what unseen rows may cost."""
    from tasks.metrics.bootstrap import compare_candidates, noise_of_unseen_rows

    lower = selection.folds[0].metric.lower_is_better
    paired = compare_candidates(selection.scores, selection.draws, lower)
    return paired.gain, max(paired.noise, noise_of_unseen_rows(selection.folds, 0) or 0.0)


def _perform(request: dict[str, Any]) -> Reply:
    paths = {name: [Path(path) for path in request[name]] for name in ("blends", "ours", "theirs")}
    return asdict(compare_predictions(paths["blends"], paths["ours"], paths["theirs"]))


if __name__ == "__main__":
    serve(_perform)
