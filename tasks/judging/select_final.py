"""Choose what is submitted at the end: one of the finalists, or an ensemble of them where it is better.

Finalists are ordered by the mean of their scores on the search rows and on fresh folds. Without fresh folds the select
rows decide. The reported score comes from rows that were not used to choose: the select rows where fresh folds decided;
otherwise each half of the deciding rows, with the choice that the other half makes. Without any such rows the first
candidate stays the pick, because the search has used all rows. An ensemble is then judged on the half of the rows that
did not choose it, in both directions. `run_choose`, `run_combine` and `run_distance` run this module as a child
process, `python -I -m tasks.judging.select_final REQUEST.json`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tasks.holdout.blend import load_blend, read_meta
from tasks.holdout.build import HELD_OUT, SELECT
from tasks.io.columns import read_columns, write_columns
from tasks.io.hashing import hash_of_file
from tasks.judging.compare import MAX_SCORE_Z
from tasks.judging.propose_ensemble import best_index, propose_weights, with_ensemble
from tasks.metrics.score import NoScore
from tasks.subprocesses import Reply, run_isolated, serve

if TYPE_CHECKING:
    from tasks.metrics.folds import Fold

ACCEPTED_SHARE = 0.5
"""Share of draws from which on the judging rows accept an ensemble."""

Judges = Literal["select", "fresh", "halves"]


@dataclass(frozen=True)
class Rows:
    """Predictions of every candidate for the rows of some blends: `files[blend][candidate]`.

    `half` takes every other unit of each blend only, from unit 0 or 1 on: the one half for the search, the other as
    select rows.
    """

    blends: tuple[Path, ...]
    files: tuple[tuple[Path, ...], ...]
    role: str = HELD_OUT
    half: int | None = None


@dataclass(frozen=True)
class Choice:
    """The outcome. `pick` is the index of a candidate; `weights` are those of the candidates in what is submitted.

    `judges` says which rows decided. `searched` and `judged` are the candidates' scores on the search rows and on the
    judging rows. `estimates` are those on the judging rows, or on the first fold where they beat it by more than noise:
    of that fold alone the agent does not know the labels. `judged_noise` and `estimates_noise` are one standard error
    of each (None: not known), `ensemble_noise` that of `ensemble_score`. `estimate` and `estimate_noise` (one standard
    error) are the reported score of what is submitted, from rows that were not used to choose; None if there are
    none. `proposed` are the weights of the proposed ensemble, `ensemble_score` its score on the judging rows, `gain`
    how much better it is there than the pick, `share` the share of draws in its favour.
    """

    pick: int
    weights: list[float]
    judges: Judges
    searched: list[float]
    judged: list[float]
    estimates: list[float]
    judged_noise: list[float | None] = field(default_factory=list)
    estimates_noise: list[float | None] = field(default_factory=list)
    estimate: float | None = None
    estimate_noise: float | None = None
    is_ensemble: bool = False
    proposed: list[float] = field(default_factory=list)
    ensemble_score: float | None = None
    ensemble_noise: float | None = None
    gain: float | None = None
    gain_noise: float | None = None
    share: float | None = None


def run_choose(
    search: Rows,
    judging: Rows | None,
    reporting: Rows | None,
    judges: Judges,
    seconds: float,
    groups: Sequence[int] = (),
) -> Choice:
    """Choose among candidates, best first, from files the judge kept, in a child process. Raises `ChildFailed`.

    `reporting` are rows that only the reported score may use. `groups` gives the group of each candidate, such as its
    branch: an ensemble is offered members of different groups first.
    """
    rows = {"search": search, "judging": judging, "reporting": reporting}
    request: dict[str, Any] = {"do": "choose", "judges": judges, "groups": list(groups)}
    request |= {name: _as_json(one) if one else None for name, one in rows.items()}
    return Choice(**run_isolated("tasks.judging.select_final", request, seconds))


def run_combine(blend: Path, files: Sequence[Path], weights: Sequence[float], out: Path, seconds: float) -> str:
    """Write the weighted combination of submissions of test rows; returns its sha256. Raises `ChildFailed`."""
    paths = [str(path.absolute()) for path in files]
    request = {"do": "combine", "blend": str(blend.absolute()), "files": paths, "weights": list(weights)}
    return str(run_isolated("tasks.judging.select_final", {**request, "out": str(out.absolute())}, seconds)["sha256"])


def run_distance(blend: Path, first: Path, second: Path, seconds: float) -> float:
    """How far two submissions differ: the share of different labels, or the root mean square of the difference in
    standard deviations of the first. Raises `ChildFailed`."""
    files = [str(path.absolute()) for path in (first, second)]
    request = {"do": "distance", "blend": str(blend.absolute()), "files": files}
    return float(run_isolated("tasks.judging.select_final", request, seconds)["distance"])


def choose(
    search: Sequence[Fold],
    judging: Sequence[Fold] | None,
    judges: Judges,
    reporting: Sequence[Fold] | None = None,
    groups: Sequence[int] = (),
) -> Choice:
    """Choose in this process: see `run_choose`. `search` begins with the first fold."""
    from tasks.metrics.folds import pool_rare_classes

    choice = _choose(search, judging, judges, groups)
    trials: list[tuple[Sequence[Fold], list[float]]] = []
    if judging:
        trials = [(reporting, choice.weights)] if reporting else _cross_choices(search, judging, judges, groups)
    elif choice.is_ensemble:
        trials = [(rows, weights) for rows, weights, _ in _cross_halves(pool_rare_classes(search), groups)]
    estimate = _score_trials(trials)
    if not reporting and _may_be_memorized(judges, search) and estimate[0] is not None:
        estimate = protect_score((estimate[0], estimate[1]), search, choice.weights)
    noises = _noises(pool_rare_classes(judging or search))
    scores = zip(choice.judged, choice.estimates, noises, strict=True)
    shown = [
        noise if own == judged else protect_score((judged, noise), search, _one_hot(index, len(noises)))[1]
        for index, (judged, own, noise) in enumerate(scores)
    ]
    return replace(choice, judged_noise=noises, estimates_noise=shown, estimate=estimate[0], estimate_noise=estimate[1])


def _noises(folds: Sequence[Fold]) -> list[float | None]:
    """One standard error of each candidate's score; None where it is not known."""
    from tasks.metrics.bootstrap import draw_scores, estimate_noise

    try:
        return estimate_noise(folds, draw_scores(folds))
    except NoScore:
        return [None] * len(folds[0].predictions)


def _may_be_memorized(judges: Judges, search: Sequence[Fold]) -> bool:
    """Whether the deciding rows are rows whose labels the agent may know: all but those of the first fold."""
    return judges == "fresh" or (judges == "halves" and len(search) > 1)


def protect_score(
    score: tuple[float, float | None], search: Sequence[Fold], weights: Sequence[float]
) -> tuple[float, float | None]:
    """A score on fresh folds and its noise; where it beats that of the first fold by more than noise, the score of the
    first fold.

    `weights` are those of the candidates. Of fresh folds over all rows one in `len(search)` is a row of the first fold.
    """
    from tasks.metrics.bootstrap import draw_scores, estimate_noise, score_candidates

    first = search[0]
    overlap = 0.0 if len(search) == 1 else 1 / len(search)
    try:
        fold = with_ensemble(first, weights)
        own = score_candidates([fold])[0]
        noise = estimate_noise([fold], draw_scores([fold]))[0]
    except NoScore:
        return score
    better = own - score[0] if first.metric.lower_is_better else score[0] - own
    is_suspicious = better > MAX_SCORE_Z * (noise or 0.0) * math.sqrt(1 - overlap if overlap else 2.0)
    return (own, noise) if is_suspicious else score


def _choose(search: Sequence[Fold], judging: Sequence[Fold] | None, judges: Judges, groups: Sequence[int]) -> Choice:
    """The choice without its reported score."""
    from tasks.metrics.bootstrap import score_candidates
    from tasks.metrics.folds import pool_rare_classes

    lower = search[0].metric.lower_is_better
    by_fold, search = search, pool_rare_classes(search)
    judging = pool_rare_classes(judging) if judging else None
    searched = score_candidates(search)
    judged = score_candidates(judging) if judging else list(searched)
    estimates = judged
    if _may_be_memorized(judges, by_fold):
        singles = [_one_hot(index, len(judged)) for index in range(len(judged))]
        pairs = zip(judged, singles, strict=True)
        estimates = [protect_score((score, None), by_fold, single)[0] for score, single in pairs]
    pick = _best_of(searched, estimates, judges, lower)
    single = Choice(pick, _one_hot(pick, len(searched)), judges, searched, judged, estimates)
    if len(searched) < 2:
        return single
    try:
        proposed = propose_weights(search, groups)
        trials = [(judging, proposed, pick)] if judging else _cross_halves(search, groups)
        result = _compare_with_pick(trials, lower)
    except NoScore:  # half of few rows may have one class only
        return single
    is_accepted = result["share"] >= ACCEPTED_SHARE and result["gain"] > 0 and sum(w > 0 for w in proposed) > 1
    weights = proposed if is_accepted else single.weights
    return replace(single, weights=weights, is_ensemble=is_accepted, proposed=proposed, **result)


def _best_of(searched: Sequence[float], judged: Sequence[float], judges: Judges, lower: bool) -> int:
    """The index of the candidate that is submitted alone if no ensemble is."""
    if judges == "halves":
        return 0
    if judges == "select":
        return best_index(judged, lower)
    return best_index([(one + other) / 2 for one, other in zip(searched, judged, strict=True)], lower)


def _cross_choices(
    search: Sequence[Fold], judging: Sequence[Fold], judges: Judges, groups: Sequence[int]
) -> list[tuple[Sequence[Fold], list[float]]]:
    """Each half of the judging rows with the weights that the other half chooses; none where a half has no score."""
    from tasks.metrics.folds import take_half

    first, second = ([take_half(fold, side) for fold in judging] for side in (0, 1))
    try:
        pairs = ((first, second), (second, first))
        return [(reporting, _choose(search, deciding, judges, groups).weights) for deciding, reporting in pairs]
    except NoScore:
        return []


def _score_trials(trials: Sequence[tuple[Sequence[Fold], list[float]]]) -> tuple[float | None, float | None]:
    """The score over all rows of the trials, each combined by its weights, and one standard error."""
    from tasks.metrics.bootstrap import draw_scores, estimate_noise, score_candidates
    from tasks.metrics.folds import pool_rare_classes

    folds = pool_rare_classes([with_ensemble(fold, weights) for rows, weights in trials for fold in rows])
    try:
        return (score_candidates(folds)[0], estimate_noise(folds, draw_scores(folds))[0]) if folds else (None, None)
    except NoScore:
        return None, None


Trial = tuple[Sequence["Fold"], list[float], int]
"""Rows, and the weights of an ensemble and the index of a pick that other rows chose."""


def _cross_halves(folds: Sequence[Fold], groups: Sequence[int]) -> list[Trial]:
    """Each half of the rows with the ensemble and the pick that the other half chose."""
    from tasks.metrics.bootstrap import score_candidates
    from tasks.metrics.folds import take_half

    lower = folds[0].metric.lower_is_better
    first, second = ([take_half(fold, side) for fold in folds] for side in (0, 1))
    return [
        (judging, propose_weights(search, groups), best_index(score_candidates(search), lower))
        for search, judging in ((first, second), (second, first))
    ]


def _compare_with_pick(trials: Sequence[Trial], lower: bool) -> dict[str, Any]:
    """The ensemble against the pick on rows that chose neither."""
    from tasks.metrics.bootstrap import compare_candidates, draw_scores, estimate_noise, score_candidates

    folds = [with_ensemble(fold, weights, pick) for rows, weights, pick in trials for fold in rows]
    scores = score_candidates(folds)
    draws = draw_scores(folds)
    paired, noise = compare_candidates(scores, draws, lower), estimate_noise(folds, draws)[0]
    gain = {"gain": paired.gain, "gain_noise": paired.noise, "share": paired.share}
    return {"ensemble_score": scores[0], "ensemble_noise": noise, **gain}


def _one_hot(pick: int, count: int) -> list[float]:
    return [float(index == pick) for index in range(count)]


# ------------------------------------------------------------------------------------------------------- the child


def _as_json(rows: Rows) -> dict[str, Any]:
    return {
        "blends": [str(path.absolute()) for path in rows.blends],
        "files": [[str(path.absolute()) for path in files] for files in rows.files],
        "role": rows.role,
        "half": rows.half,
    }


def _load_folds(rows: dict[str, Any]) -> list[Fold]:
    from tasks.judging.judge import load_fold
    from tasks.metrics.folds import take_half

    folds = [
        load_fold(load_blend(Path(blend)), [read_columns(Path(file)) for file in files], rows["role"])
        for blend, files in zip(rows["blends"], rows["files"], strict=True)
    ]
    return folds if rows["half"] is None else [take_half(fold, rows["half"]) for fold in folds]


def _combine(request: dict[str, Any]) -> Reply:
    from tasks.judging.ensemble import combine

    blend = load_blend(Path(request["blend"]))
    tables = [read_columns(Path(file)) for file in request["files"]]
    out = Path(request["out"])
    out.parent.mkdir(parents=True, exist_ok=True)
    write_columns(out, combine(blend.metric, targets_of(blend.folder), tables, request["weights"]))
    return {"sha256": hash_of_file(out)}


def targets_of(folder: Path) -> list[str]:
    """The target columns of a blend's submissions."""
    return list(read_meta(load_blend(folder).private_labels)["targets"])


def _distance(request: dict[str, Any]) -> Reply:
    from tasks.judging.distance import distance

    blend = load_blend(Path(request["blend"]))
    first, second = (read_columns(Path(file)) for file in request["files"])
    return {"distance": distance(blend.metric, targets_of(blend.folder), first, second)}


def _perform(request: dict[str, Any]) -> Reply:
    if request["do"] == "combine":
        return _combine(request)
    if request["do"] == "distance":
        return _distance(request)
    search, judging, reporting = (
        _load_folds(request[name]) if request[name] else None for name in ("search", "judging", "reporting")
    )
    assert search is not None
    return asdict(choose(search, judging, request["judges"], reporting, request.get("groups", ())))


if __name__ == "__main__":
    serve(_perform)


__all__ = ["HELD_OUT", "SELECT", "Choice", "Judges", "Rows", "choose", "run_choose", "run_combine", "run_distance"]
