"""What is handed in at the end: the pick among finalists, and an ensemble of them where it is better.

Whatever was chosen on some rows is judged on others: select rows or fresh folds. Where there are neither, the first
candidate stays the pick, since all rows have been searched on, and an ensemble is judged on the half of the rows that
did not choose it, both ways round. `run_choose` and `run_combine` ask a child process, this module run as
`python -I -m tasks.judging.select_final REQUEST.json`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tasks.holdout.blend import load_blend, read_meta
from tasks.holdout.build import HELD_OUT, SELECT
from tasks.io.columns import read_columns, write_columns
from tasks.judging.score import NoScore
from tasks.subprocesses import Reply, run_isolated, serve

if TYPE_CHECKING:
    from tasks.metrics.bootstrap import Part

GREEDY_STEPS = 8
AGREES = 0.5
"""Share of draws from which on rows that did not choose an ensemble agree with it."""

Judges = Literal["select", "fresh", "halves"]


@dataclass(frozen=True)
class Rows:
    """Predictions of every candidate for the rows of some blends: `files[blend][candidate]`."""

    blends: tuple[Path, ...]
    files: tuple[tuple[Path, ...], ...]
    role: str = HELD_OUT


@dataclass(frozen=True)
class Choice:
    """The outcome. `pick` and `weights` count candidates; `weights` are those of what is handed in.

    `judges` says which rows decided; `searched` and `judged` are the candidates' scores on the rows the run looked at
    and on those. `ensemble_score` is that of the ensemble proposed, on the judging rows, `gain` how much better it is
    there than the pick, `share` the share of draws that agree.
    """

    pick: int
    weights: list[float]
    judges: Judges
    searched: list[float]
    judged: list[float]
    is_ensemble: bool = False
    proposed: list[float] = field(default_factory=list)
    ensemble_score: float | None = None
    gain: float | None = None
    gain_noise: float | None = None
    share: float | None = None


def run_choose(search: Rows, judging: Rows | None, judges: Judges, seconds: float) -> Choice:
    """Choose among candidates, best first, by files that `judging` kept. Raises `children.ChildFailed`."""
    request = {"do": "choose", "search": _plain(search), "judging": _plain(judging) if judging else None}
    return Choice(**run_isolated("tasks.judging.select_final", {**request, "judges": judges}, seconds))


def run_combine(blend: Path, files: Sequence[Path], weights: Sequence[float], out: Path, seconds: float) -> str:
    """Write the weighted combination of submissions of test rows; returns its sha256. Raises `children.ChildFailed`."""
    paths = [str(path.absolute()) for path in files]
    request = {"do": "combine", "blend": str(blend.absolute()), "files": paths, "weights": list(weights)}
    return str(run_isolated("tasks.judging.select_final", {**request, "out": str(out.absolute())}, seconds)["sha256"])


def run_distance(blend: Path, one: Path, other: Path, seconds: float) -> float:
    """How far two submissions differ: the share of other labels, or the spread of the difference in units of the
    first one's own spread. Raises `children.ChildFailed`."""
    request = {"do": "distance", "blend": str(blend.absolute()), "files": [str(one.absolute()), str(other.absolute())]}
    return float(run_isolated("tasks.judging.select_final", request, seconds)["distance"])


def choose(search: Sequence[Part], judging: Sequence[Part] | None, judges: Judges) -> Choice:
    """Choose in this process: see `run_choose`."""
    from tasks.metrics.bootstrap import scores_of

    lower = search[0].metric.lower_is_better
    searched = scores_of(search)
    judged = scores_of(judging) if judging else list(searched)
    pick = _best(judged, lower) if judging else 0
    alone = Choice(pick, _single(pick, len(searched)), judges, searched, judged)
    if len(searched) < 2:
        return alone
    try:
        proposed = propose(search)
        verdict = _against_pick([(judging, proposed, pick)] if judging else _halves(search), lower)
    except NoScore:  # half of few rows may hold one class only
        return alone
    accepted = verdict["share"] >= AGREES and verdict["gain"] > 0 and sum(w > 0 for w in proposed) > 1
    weights = proposed if accepted else _single(pick, len(searched))
    return Choice(pick, weights, judges, searched, judged, accepted, proposed, **verdict)


def propose(parts: Sequence[Part]) -> list[float]:
    """Weights of a greedy ensemble on these rows: from the best, whatever helps most is added, with replacement;
    the equal average of all is taken instead where it scores better."""
    lower = parts[0].metric.lower_is_better
    count = len(parts[0].given)
    counts = [0] * count
    best: float | None = None
    for _ in range(GREEDY_STEPS):
        tried = [mixed_score(parts, [n + (at == number) for at, n in enumerate(counts)]) for number in range(count)]
        at = _best(tried, lower)
        if best is not None and not _better(tried[at], best, lower):
            break
        best = tried[at]
        counts[at] += 1
    everyone = [1.0] * count
    if best is None or _better(mixed_score(parts, everyone), best, lower):
        return everyone
    return [float(number) for number in counts]


def mixed_score(parts: Sequence[Part], weights: Sequence[float]) -> float:
    """The score of a weighted combination of the candidates."""
    from tasks.metrics.bootstrap import scores_of

    return scores_of([_with(part, weights) for part in parts])[0]


def _with(part: Part, weights: Sequence[float], *others: int) -> Part:
    """The part with the combination as candidate 0, and the named candidates after it."""
    from dataclasses import replace

    return replace(part, given=(_mixed(part, weights), *(part.given[at] for at in others)))


def _mixed(part: Part, weights: Sequence[float]) -> Any:
    """`ensembling.combine` on tables of numbers; a test holds the two together."""
    import numpy as np
    import pandas as pd

    from tasks.judging.ensemble import looks_like_labels

    used = [(table, weight) for table, weight in zip(part.given, weights, strict=True) if weight]
    if len(used) == 1:
        return used[0][0]
    columns = {}
    for name in part.targets:
        cells = [table[name] for table, _ in used]
        words = part.metric.needs == "labels" or any(column.dtype == object for column in cells)
        if words or looks_like_labels(part.metric, (column.tolist() for column in cells)):
            columns[name] = _voted(cells, [weight for _, weight in used])
            continue
        if part.metric.name == "roc_auc" and part.metric.file is None:
            cells = [(column.rank() - 1) / max(1, len(column) - 1) for column in cells]
        columns[name] = np.average(np.column_stack(cells), axis=1, weights=[weight for _, weight in used])
    return pd.DataFrame(columns)


def _voted(columns: Sequence[Any], weights: Sequence[float]) -> Any:
    import numpy as np
    import pandas as pd

    found: Any = pd.factorize(np.concatenate([column.to_numpy() for column in columns]))
    codes, labels = found[0].reshape(len(columns), -1), found[1]
    votes = np.zeros((codes.shape[1], len(labels)))
    for row, weight in zip(codes, weights, strict=True):
        votes[np.arange(len(row)), row] += weight
    # A tie goes to whoever came first, by a nudge smaller than any weight.
    for place, row in enumerate(codes):
        votes[np.arange(len(row)), row] += 1e-9 * 0.5**place
    return np.asarray(labels)[votes.argmax(axis=1)]


def _halves(parts: Sequence[Part]) -> list[tuple[Sequence[Part], list[float], int]]:
    """Each half of the rows with the ensemble and the pick that the other half chose."""
    from tasks.metrics.bootstrap import half_of, scores_of

    lower = parts[0].metric.lower_is_better
    sides = [[half_of(part, side) for part in parts] for side in (0, 1)]
    trial: list[tuple[Sequence[Part], list[float], int]] = []
    for ours, others in (sides, sides[::-1]):
        trial.append((others, propose(ours), _best(scores_of(ours), lower)))
    return trial


def _against_pick(trial: Sequence[tuple[Sequence[Part], list[float], int]], lower: bool) -> dict[str, Any]:
    """The ensemble against the pick on rows that chose neither."""
    from tasks.metrics.bootstrap import compare, drawn_scores, scores_of

    parts = [_with(part, weights, pick) for side, weights, pick in trial for part in side]
    scores = scores_of(parts)
    found = compare(scores, drawn_scores(parts), lower)
    return {"ensemble_score": scores[0], "gain": found.gain, "gain_noise": found.noise, "share": found.share}


def _best(scores: Sequence[float], lower: bool) -> int:
    return min(range(len(scores)), key=lambda at: (scores[at] if lower else -scores[at], at))


def _better(one: float, other: float, lower: bool) -> bool:
    return one < other if lower else one > other


def _single(pick: int, count: int) -> list[float]:
    return [float(at == pick) for at in range(count)]


# ------------------------------------------------------------------------------------------------------- the child


def _plain(rows: Rows) -> dict[str, Any]:
    return {
        "blends": [str(path.absolute()) for path in rows.blends],
        "files": [[str(path.absolute()) for path in files] for files in rows.files],
        "role": rows.role,
    }


def _parts(rows: dict[str, Any]) -> list[Part]:
    from tasks.judging.judge import part_of
    from tasks.metrics.bootstrap import pooled

    pairs = zip(rows["blends"], rows["files"], strict=True)
    parts = [
        part_of(load_blend(Path(blend)), [read_columns(Path(file)) for file in files], rows["role"])
        for blend, files in pairs
    ]
    return list(pooled(parts))


def _combine(request: dict[str, Any]) -> Reply:
    from tasks.judging.ensemble import combine

    blend = load_blend(Path(request["blend"]))
    tables = [read_columns(Path(file)) for file in request["files"]]
    out = Path(request["out"])
    out.parent.mkdir(parents=True, exist_ok=True)
    write_columns(out, combine(blend.metric, targets_of(blend.folder), tables, request["weights"]))
    return {"sha256": hashlib.sha256(out.read_bytes()).hexdigest()}


def targets_of(folder: Path) -> list[str]:
    """The target columns of a blend's submissions."""
    return list(read_meta(load_blend(folder).private_labels)["targets"])


def _distance(request: dict[str, Any]) -> Reply:
    import numpy as np

    from tasks.judging.score import frames

    blend = load_blend(Path(request["blend"]))
    targets = targets_of(blend.folder)
    first, second = (read_columns(Path(file)) for file in request["files"])
    labels = blend.metric.needs == "labels"
    one, other = frames(first, second, targets, not labels)
    if labels:
        return {"distance": float((one != other).to_numpy().mean())}
    values, others = one.to_numpy(float), other.to_numpy(float)
    spread = np.nan_to_num(np.nanstd(values, axis=0))
    spread = np.where(spread > 0, spread, 1.0)
    away = (values - others) / spread
    away = np.where(np.isnan(values) & np.isnan(others), 0.0, np.where(np.isnan(away), 1.0, away))
    return {"distance": float(np.mean(np.sqrt((away**2).mean(axis=0))))}


def _perform(request: dict[str, Any]) -> Reply:
    if request["do"] == "combine":
        return _combine(request)
    if request["do"] == "distance":
        return _distance(request)
    judging = _parts(request["judging"]) if request["judging"] else None
    return asdict(choose(_parts(request["search"]), judging, request["judges"]))


if __name__ == "__main__":
    serve(_perform)


__all__ = ["HELD_OUT", "SELECT", "Choice", "Rows", "choose", "run_choose", "run_combine", "run_distance"]
