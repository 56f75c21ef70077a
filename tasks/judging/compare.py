"""Candidates weighed over several blends: one score, its noise, and the verdict against the best so far.

`run_weigh` runs this module as a child process, `python -I -m tasks.judging.compare REQUEST.json`, so that the harness
process never opens an answer.
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
from tasks.judging.judge import part_of, tell
from tasks.judging.score import NoScore
from tasks.subprocesses import Reply, run_isolated, serve

if TYPE_CHECKING:
    from tasks.metrics.bootstrap import Part

UNLIKE = 2.0
"""Times the noise of their rows by which folds spread where they are not of one kind: by chance, in one of 140."""


@dataclass(frozen=True)
class Comparison:
    """What a candidate is worth over several blends.

    `score` is the parts' (`parts`, one a blend) mean by rows. Against another candidate: `gain` (above 0: better),
    its noise, and `share`, how many draws favour it; `shares` says the same of the first blend and of the others by
    themselves, two sets of rows with none in common. `apart` is how much better the candidate is on the other blends
    than on the first (negative: worse), in standard errors of the difference, by its score or by its gain, whichever
    is further.
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


def run_compare(blends: Sequence[Path], ours: Sequence[Path], theirs: Sequence[Path], seconds: float) -> Comparison:
    """Weigh predictions kept by `judging`, a file a blend; `theirs` may be fewer, of the first blends, or none.

    Raises `children.ChildFailed`.
    """
    names = {"blends": blends, "ours": ours, "theirs": theirs}
    request = {name: [str(path.absolute()) for path in paths] for name, paths in names.items()}
    return Comparison(**run_isolated("tasks.judging.compare", request, seconds))


def weigh(blends: Sequence[Path], ours: Sequence[Path], theirs: Sequence[Path]) -> Comparison:
    """Weigh in this process: see `run_weigh`."""
    from tasks.metrics.bootstrap import noise_of

    parts = []
    for at, blend in enumerate(map(load_blend, blends)):
        files = [ours[at], *theirs[at : at + 1]]
        parts.append(part_of(blend, [read_columns(path) for path in files]))
    looks = _Looks(parts)
    mine = looks.at(slice(None), 1)
    noise = noise_of(mine.parts, mine.drawn)[0]
    each = [_or_none(looks, at) for at in range(len(parts))]
    weighed = Comparison(mine.scores[0], noise, tell(mine.scores[0], noise), each, fold_z=looks.fold_z(_of_score, 1))
    if not theirs:
        return weighed
    if len(theirs) == len(parts):
        weighed = replace(weighed, fold_z=max(weighed.fold_z, looks.fold_z(_of_gain, 2), key=abs))
    return replace(weighed, **_compared(_Looks(parts[: len(theirs)], looks.drawn[: len(theirs)])))


@dataclass(frozen=True)
class _Look:
    """Candidates over some parts: their scores, and their scores on every draw."""

    parts: Sequence[Part]
    scores: list[float]
    drawn: Any


class _Looks:
    """Any of the parts, of the same draws: these are what costs."""

    def __init__(self, parts: Sequence[Part], drawn: Sequence[Any] = ()) -> None:
        from tasks.metrics.bootstrap import drawn_by_part

        self.parts = parts
        self.drawn = drawn or drawn_by_part(parts)

    def at(self, place: slice, count: int) -> _Look:
        """The first `count` candidates over these parts. Raises `scoring.NoScore`."""
        from tasks.metrics.bootstrap import drawn_scores, joined, pooled, scores_of

        some = [replace(part, given=part.given[:count]) for part in self.parts[place]]
        together = pooled(some)
        if together is some:
            return _Look(some, scores_of(some), joined(some, [one[:count] for one in self.drawn[place]]))
        return _Look(together, scores_of(together), drawn_scores(together))

    def fold_z(self, look: Callable[[_Look], tuple[float, float]], count: int) -> float:
        """How much more the other blends make of a candidate than the first, in standard errors of the difference.

        Folds of whole groups may differ by more than their rows do by themselves: then what the other folds spread by
        among each other is the noise.
        """
        if len(self.parts) < 2:
            return 0.0
        try:
            (first, noise), (rest, other) = (look(self.at(side, count)) for side in (slice(1), slice(1, None)))
        except NoScore:
            return 0.0
        each = []
        for at in range(1, len(self.parts)):
            with contextlib.suppress(NoScore):
                each.append(look(self.at(slice(at, at + 1), count))[0])
        among = statistics.stdev(each) * math.sqrt(1 + 1 / len(each)) if len(each) > 1 else 0.0
        spread = math.hypot(noise, other)
        spread = among if among > UNLIKE * spread else spread
        return (rest - first) / spread if 0 < spread < math.inf else 0.0


def _or_none(looks: _Looks, at: int) -> float | None:
    """The score of one part; None where it has none, as with rows of one class."""
    try:
        return looks.at(slice(at, at + 1), 1).scores[0]
    except NoScore:
        return None


def _compared(looks: _Looks) -> dict[str, Any]:
    """Candidate 0 against candidate 1, over all parts, and over the first and the others by themselves."""
    from tasks.metrics.bootstrap import compare, rarest

    lower = looks.parts[0].metric.lower_is_better
    whole = looks.at(slice(None), 2)
    found = compare(whole.scores, whole.drawn, lower, rarest=rarest(whole.parts))
    shares = []
    for side in (slice(1), slice(1, None)) if len(looks.parts) > 1 else ():
        with contextlib.suppress(NoScore):
            one = looks.at(side, 2)
            shares.append(compare(one.scores, one.drawn, lower).share)
    return {"gain": found.gain, "gain_noise": found.noise, "share": found.share, "shares": shares}


def _of_score(look: _Look) -> tuple[float, float]:
    """A candidate's score (above: better) and its noise."""
    from tasks.metrics.bootstrap import noise_of

    sign = -1 if look.parts[0].metric.lower_is_better else 1
    return sign * look.scores[0], noise_of(look.parts, look.drawn)[0] or 0.0


def _of_gain(look: _Look) -> tuple[float, float]:
    """A candidate's gain on the other one, and its noise: not less than what rows that were not seen may cost."""
    from tasks.metrics.bootstrap import compare, unseen

    found = compare(look.scores, look.drawn, look.parts[0].metric.lower_is_better)
    return found.gain, max(found.noise, unseen(look.parts, 0) or 0.0)


def _perform(request: dict[str, Any]) -> Reply:
    paths = {name: [Path(path) for path in request[name]] for name in ("blends", "ours", "theirs")}
    return asdict(weigh(paths["blends"], paths["ours"], paths["theirs"]))


if __name__ == "__main__":
    serve(_perform)
