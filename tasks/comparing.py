"""Candidates weighed over several blends: one score, its noise, and the verdict against the best so far.

`run_weigh` asks a child process, this module run as `python -I -m tasks.comparing REQUEST.json`: no process of the
harness opens an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tasks.blending import load_blend
from tasks.children import Reply, answer, ask
from tasks.columns import read_columns
from tasks.judging import part_of, tell


@dataclass(frozen=True)
class Weighed:
    """What a candidate is worth over several blends.

    `score` is the parts' (`parts`, one a blend) mean by rows. Against another candidate: `gain` (above 0: better),
    its noise, and `share`, how many draws favour it; `shares` says the same of the first blend and of the others by
    themselves, two sets of rows with none in common. `apart` is how far the first blend's score lies below
    (negative: above) that of the others, in standard errors of the difference.
    """

    score: float
    noise: float | None
    told: str
    parts: list[float] = field(default_factory=list)
    gain: float | None = None
    gain_noise: float | None = None
    share: float | None = None
    shares: list[float] = field(default_factory=list)
    apart: float = 0.0


def run_weigh(blends: Sequence[Path], ours: Sequence[Path], theirs: Sequence[Path], seconds: float) -> Weighed:
    """Weigh predictions kept by `judging`, a file a blend; `theirs` may be empty. Raises `children.ChildFailed`."""
    names = {"blends": blends, "ours": ours, "theirs": theirs}
    request = {name: [str(path.absolute()) for path in paths] for name, paths in names.items()}
    return Weighed(**ask("tasks.comparing", request, seconds))


def weigh(blends: Sequence[Path], ours: Sequence[Path], theirs: Sequence[Path]) -> Weighed:
    """Weigh in this process: see `run_weigh`."""
    from tasks.resampling import compare, drawn_by_part, joined, noise_of, scores_of

    parts = []
    for at, blend in enumerate(map(load_blend, blends)):
        files = [ours[at], *([theirs[at]] if theirs else [])]
        parts.append(part_of(blend, [read_columns(path) for path in files]))
    lower = parts[0].metric.lower_is_better
    scores, drawn = scores_of(parts), drawn_by_part(parts)
    together = joined(parts, drawn)
    noise = noise_of(parts, together)[0]
    each = [scores_of([part])[0] for part in parts]
    pieces = (slice(1), slice(1, None)) if len(parts) > 1 else ()
    sides = [(parts[piece], joined(parts[piece], drawn[piece])) for piece in pieces]
    apart, told = _apart(sides, lower), tell(scores[0], noise)
    if not theirs:
        return Weighed(scores[0], noise, told, each, apart=apart)
    found = compare(scores, together, lower)
    shares = [compare(scores_of(side), draws, lower).share for side, draws in sides]
    return Weighed(scores[0], noise, told, each, found.gain, found.noise, found.share, shares, apart)


def _apart(sides: Sequence[tuple[Any, Any]], lower_is_better: bool) -> float:
    """How much better the other blends score than the first, in standard errors of the difference."""
    from tasks.resampling import noise_of, scores_of

    if not sides:
        return 0.0
    first, rest = (scores_of(side)[0] for side, _ in sides)
    noises = [noise_of(side, draws)[0] or 0.0 for side, draws in sides]
    spread = (noises[0] ** 2 + noises[1] ** 2) ** 0.5
    return (-1 if lower_is_better else 1) * (rest - first) / spread if spread else 0.0


def _perform(request: dict[str, Any]) -> Reply:
    paths = {name: [Path(path) for path in request[name]] for name in ("blends", "ours", "theirs")}
    return asdict(weigh(paths["blends"], paths["ours"], paths["theirs"]))


if __name__ == "__main__":
    answer(_perform)
