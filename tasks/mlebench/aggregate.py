"""The benchmark's number: per cent of competitions with a medal, averaged over seeds as the official script does.

    SeedsMissing    a competition has no report, so not even one seed is whole; or fewer seeds are whole than asked for

The k-th report of each competition is seed k; only whole seeds count, unless missing ones are padded as failures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Report = Mapping[str, Any]
"""A report on one submission with the official keys."""

MEASURES = {
    "submission_exists_percentage": "submission_exists",
    "valid_submissions_percentage": "valid_submission",
    "above_median_percentage": "above_median",
    "gold_medal_percentage": "gold_medal",
    "silver_medal_percentage": "silver_medal",
    "bronze_medal_percentage": "bronze_medal",
    "any_medal_percentage": "any_medal",
}
"""What is averaged, by its official name and in the official order -> the flag of a report that counts for it."""


class SeedsMissing(Exception):
    """Not one seed is whole, or fewer than asked for; the message says which or how many."""


@dataclass(frozen=True)
class Average:
    """Mean and standard error over seeds, in per cent; the error of a single seed is 0."""

    mean: float
    standard_error: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean."""
        return self.mean - 1.96 * self.standard_error, self.mean + 1.96 * self.standard_error


def by_competition(groups: Sequence[Sequence[Report]]) -> dict[str, list[Report]]:
    """The reports of each competition, seeds in the order of the groups; a group's own are taken by competition id."""
    found: dict[str, list[Report]] = {}
    for group in groups:
        for report in sorted(group, key=lambda one: str(one["competition_id"])):
            found.setdefault(report["competition_id"], []).append(report)
    return found


def averages(
    reports: Mapping[str, Sequence[Report]], competitions: Sequence[str], pads: bool = False, seeds: int | None = None
) -> tuple[int, dict[str, Average]]:
    """How many seeds count, and the average of every measure over them. Raises `SeedsMissing`."""
    counts = [len(reports.get(name, ())) for name in competitions]
    missing = [name for name, count in zip(competitions, counts, strict=True) if not count]
    if not any(counts) or (missing and not pads):
        raise SeedsMissing(f"no run of {', '.join(missing)}")
    whole = max(counts) if pads else min(counts)
    if seeds and seeds > whole:
        raise SeedsMissing(f"{seeds} seeds are asked for, {whole} can be made whole")
    whole = seeds or whole
    shares = {
        measure: [_share(reports, competitions, seed, flag) for seed in range(whole)]
        for measure, flag in MEASURES.items()
    }
    return whole, {measure: _average(values) for measure, values in shares.items()}


def official(
    reports: Mapping[str, Sequence[Report]], competitions: Sequence[str], pads: bool = False, seeds: int | None = None
) -> dict[str, Any]:
    """The official object: seeds, competitions, mean, interval and error of every measure. Raises `SeedsMissing`."""
    whole, found = averages(reports, competitions, pads, seeds)
    # The official script averages the number of competitions, too, since it stands among a seed's numbers.
    found = {"total_competitions": Average(float(len(competitions)), 0.0), **found}
    metrics = {
        measure: {
            "mean": one.mean,
            "ci_lower": one.interval[0],
            "ci_upper": one.interval[1],
            "standard_error": one.standard_error,
        }
        for measure, one in found.items()
    }
    return {"num_seeds_averaged": whole, "num_competitions_per_seed": len(competitions), "metrics": metrics}


def _share(reports: Mapping[str, Sequence[Report]], competitions: Sequence[str], seed: int, flag: str) -> float:
    won = 0
    for name in competitions:
        found = reports.get(name, ())
        won += bool(found[seed][flag]) if seed < len(found) else 0
    return won / len(competitions) * 100  # in the official order of operations, for the last digit


def _average(values: Sequence[float]) -> Average:
    import numpy as np

    mean = float(np.mean(values))
    if len(values) == 1:
        return Average(mean, 0.0)
    return Average(mean, float(np.std(values, ddof=1) / np.sqrt(len(values))))
