"""Choose what is submitted at the end: one of the finalists, or an ensemble of them where it is better.

What was chosen on some rows is judged on others: select rows or fresh folds. Without either, the first candidate stays
the pick, because the search has used all rows, and an ensemble is judged on the half of the rows that did not choose
it, in both directions. `run_choose`, `run_combine` and `run_distance` run this module as a child process,
`python -I -m tasks.judging.select_final REQUEST.json`.
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
    """Predictions of every candidate for the rows of some blends: `files[blend][candidate]`."""

    blends: tuple[Path, ...]
    files: tuple[tuple[Path, ...], ...]
    role: str = HELD_OUT


@dataclass(frozen=True)
class Choice:
    """The outcome. `pick` is the index of a candidate; `weights` are those of the candidates in what is submitted.

    `judges` says which rows decided. `searched` and `judged` are the candidates' scores on the search rows and on the
    judging rows. `estimates` are those on the judging rows, or on the first fold where they beat it by more than noise:
    of that fold alone the agent does not know the labels. `proposed` are the weights of the proposed ensemble,
    `ensemble_score` its score on the judging rows, `ensemble_estimate` its estimate, `gain` how much better it is there
    than the pick, `share` the share of draws in its favour.
    """

    pick: int
    weights: list[float]
    judges: Judges
    searched: list[float]
    judged: list[float]
    estimates: list[float]
    is_ensemble: bool = False
    proposed: list[float] = field(default_factory=list)
    ensemble_score: float | None = None
    ensemble_estimate: float | None = None
    gain: float | None = None
    gain_noise: float | None = None
    share: float | None = None


def run_choose(search: Rows, judging: Rows | None, judges: Judges, seconds: float) -> Choice:
    """Choose among candidates, best first, from files the judge kept, in a child process. Raises `ChildFailed`."""
    request = {"do": "choose", "search": _as_json(search), "judging": _as_json(judging) if judging else None}
    return Choice(**run_isolated("tasks.judging.select_final", {**request, "judges": judges}, seconds))


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


def choose(search: Sequence[Fold], judging: Sequence[Fold] | None, judges: Judges) -> Choice:
    """Choose in this process: see `run_choose`. `search` begins with the first fold."""
    from tasks.metrics.folds import pool_rare_classes

    choice = _choose(pool_rare_classes(search), pool_rare_classes(judging) if judging else None, judges)
    if judges == "select":  # rows whose labels the agent does not know
        return choice
    is_one_split = len(search) == 1
    if is_one_split and not judging:
        return choice
    overlap = 0.0 if is_one_split else 1 / len(search)
    lower = search[0].metric.lower_is_better
    estimates = [
        protect_score(score, search[0], _one_hot(index, len(choice.judged)), overlap, lower)
        for index, score in enumerate(choice.judged)
    ]
    estimate = choice.ensemble_score
    if estimate is not None:
        estimate = protect_score(estimate, search[0], choice.proposed, overlap, lower)
    return replace(choice, estimates=estimates, ensemble_estimate=estimate)


def protect_score(score: float, first: Fold, weights: Sequence[float], overlap: float, lower: bool) -> float:
    """A score on other rows; where it beats that of the first fold by more than noise, the score of the first fold.

    `weights` are those of the candidates. `overlap` is the share of the other rows that are rows of the first fold; 0
    if those are as many rows as the first fold has.
    """
    from tasks.metrics.bootstrap import draw_scores, estimate_noise, score_candidates

    try:
        fold = with_ensemble(first, weights)
        own = score_candidates([fold])[0]
        noise = estimate_noise([fold], draw_scores([fold]))[0] or 0.0
    except NoScore:
        return score
    better = own - score if lower else score - own
    return own if better > MAX_SCORE_Z * noise * math.sqrt(1 - overlap if overlap else 2.0) else score


def _choose(search: Sequence[Fold], judging: Sequence[Fold] | None, judges: Judges) -> Choice:
    from tasks.metrics.bootstrap import score_candidates

    lower = search[0].metric.lower_is_better
    searched = score_candidates(search)
    judged = score_candidates(judging) if judging else list(searched)
    pick = best_index(judged, lower) if judging else 0
    single = Choice(pick, _one_hot(pick, len(searched)), judges, searched, judged, judged)
    if len(searched) < 2:
        return single
    try:
        proposed = propose_weights(search)
        trials = [(judging, proposed, pick)] if judging else _cross_halves(search)
        result = _compare_with_pick(trials, lower)
    except NoScore:  # half of few rows may have one class only
        return single
    is_accepted = result["share"] >= ACCEPTED_SHARE and result["gain"] > 0 and sum(w > 0 for w in proposed) > 1
    weights = proposed if is_accepted else single.weights
    return Choice(pick, weights, judges, searched, judged, judged, is_accepted, proposed, **result)


Trial = tuple[Sequence["Fold"], list[float], int]
"""Rows, and the weights of an ensemble and the index of a pick that other rows chose."""


def _cross_halves(folds: Sequence[Fold]) -> list[Trial]:
    """Each half of the rows with the ensemble and the pick that the other half chose."""
    from tasks.metrics.bootstrap import score_candidates
    from tasks.metrics.folds import take_half

    lower = folds[0].metric.lower_is_better
    first, second = ([take_half(fold, side) for fold in folds] for side in (0, 1))
    return [
        (judging, propose_weights(search), best_index(score_candidates(search), lower))
        for search, judging in ((first, second), (second, first))
    ]


def _compare_with_pick(trials: Sequence[Trial], lower: bool) -> dict[str, Any]:
    """The ensemble against the pick on rows that chose neither."""
    from tasks.metrics.bootstrap import compare_candidates, draw_scores, score_candidates

    folds = [with_ensemble(fold, weights, pick) for rows, weights, pick in trials for fold in rows]
    scores = score_candidates(folds)
    paired = compare_candidates(scores, draw_scores(folds), lower)
    score = {"ensemble_score": scores[0], "ensemble_estimate": scores[0]}
    return {**score, "gain": paired.gain, "gain_noise": paired.noise, "share": paired.share}


def _one_hot(pick: int, count: int) -> list[float]:
    return [float(index == pick) for index in range(count)]


# ------------------------------------------------------------------------------------------------------- the child


def _as_json(rows: Rows) -> dict[str, Any]:
    return {
        "blends": [str(path.absolute()) for path in rows.blends],
        "files": [[str(path.absolute()) for path in files] for files in rows.files],
        "role": rows.role,
    }


def _load_folds(rows: dict[str, Any]) -> list[Fold]:
    from tasks.judging.judge import load_fold

    return [
        load_fold(load_blend(Path(blend)), [read_columns(Path(file)) for file in files], rows["role"])
        for blend, files in zip(rows["blends"], rows["files"], strict=True)
    ]


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
    import numpy as np

    from tasks.judging.frames import frames

    blend = load_blend(Path(request["blend"]))
    targets = targets_of(blend.folder)
    tables = [read_columns(Path(file)) for file in request["files"]]
    has_labels = blend.metric.needs == "labels"
    first, second = frames(tables[0], tables[1], targets, not has_labels)
    if has_labels:
        return {"distance": float((first != second).to_numpy().mean())}
    values, others = first.to_numpy(float), second.to_numpy(float)
    scale = np.nan_to_num(np.nanstd(values, axis=0))
    scale = np.where(scale > 0, scale, 1.0)
    difference = (values - others) / scale
    # Missing in both: no difference. Missing in one: one standard deviation.
    both_missing = np.isnan(values) & np.isnan(others)
    difference = np.where(both_missing, 0.0, np.where(np.isnan(difference), 1.0, difference))
    return {"distance": float(np.mean(np.sqrt((difference**2).mean(axis=0))))}


def _perform(request: dict[str, Any]) -> Reply:
    if request["do"] == "combine":
        return _combine(request)
    if request["do"] == "distance":
        return _distance(request)
    judging = _load_folds(request["judging"]) if request["judging"] else None
    return asdict(choose(_load_folds(request["search"]), judging, request["judges"]))


if __name__ == "__main__":
    serve(_perform)


__all__ = ["HELD_OUT", "SELECT", "Choice", "Judges", "Rows", "choose", "run_choose", "run_combine", "run_distance"]
