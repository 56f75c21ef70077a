"""The benchmark's result: the percentage of competitions with a medal, averaged over seeds like the official script.

    SeedsMissing    a competition has no report, or there are fewer complete seeds than required

The k-th report of each competition is seed k. A seed counts if every competition has it, unless `pads` counts missing
reports as failures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Report = Mapping[str, Any]
"""A report on one submission, with the official keys."""

MEASURES = {
    "submission_exists_percentage": "submission_exists",
    "valid_submissions_percentage": "valid_submission",
    "above_median_percentage": "above_median",
    "gold_medal_percentage": "gold_medal",
    "silver_medal_percentage": "silver_medal",
    "bronze_medal_percentage": "bronze_medal",
    "any_medal_percentage": "any_medal",
}
"""The averaged measures, by official name and in official order, and the flag of a report that each counts."""


class SeedsMissing(Exception):
    """A competition has no report, or there are too few complete seeds; the message says which or how many."""


@dataclass(frozen=True)
class Average:
    """Mean and standard error over seeds, in percent; the error of a single seed is 0."""

    mean: float
    standard_error: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean."""
        return self.mean - 1.96 * self.standard_error, self.mean + 1.96 * self.standard_error


def group_by_competition(groups: Sequence[Sequence[Report]]) -> dict[str, list[Report]]:
    """The reports of each competition, with seeds in the order of the groups."""
    reports: dict[str, list[Report]] = {}
    for group in groups:
        for report in sorted(group, key=lambda one: str(one["competition_id"])):
            reports.setdefault(report["competition_id"], []).append(report)
    return reports


def average_measures(
    reports: Mapping[str, Sequence[Report]], competitions: Sequence[str], pads: bool = False, seeds: int | None = None
) -> tuple[int, dict[str, Average]]:
    """The number of seeds that count, and the average of each measure over them. Raises `SeedsMissing`."""
    counts = [len(reports.get(name, ())) for name in competitions]
    missing = [name for name, count in zip(competitions, counts, strict=True) if not count]
    if not any(counts) or (missing and not pads):
        raise SeedsMissing(f"no run of {', '.join(missing)}")
    complete = max(counts) if pads else min(counts)
    if seeds and seeds > complete:
        raise SeedsMissing(f"{seeds} seeds are required, {complete} are complete")
    complete = seeds or complete
    shares = {
        measure: [_share(reports, competitions, seed, flag) for seed in range(complete)]
        for measure, flag in MEASURES.items()
    }
    return complete, {measure: _average(values) for measure, values in shares.items()}


def official_summary(
    reports: Mapping[str, Sequence[Report]], competitions: Sequence[str], pads: bool = False, seeds: int | None = None
) -> dict[str, Any]:
    """The official JSON object: seeds, competitions, and mean, interval and error of each measure.

    Raises `SeedsMissing`.
    """
    complete, measures = average_measures(reports, competitions, pads, seeds)
    # The official script averages the number of competitions too.
    measures = {"total_competitions": Average(float(len(competitions)), 0.0), **measures}
    metrics = {
        measure: {
            "mean": one.mean,
            "ci_lower": one.interval[0],
            "ci_upper": one.interval[1],
            "standard_error": one.standard_error,
        }
        for measure, one in measures.items()
    }
    return {"num_seeds_averaged": complete, "num_competitions_per_seed": len(competitions), "metrics": metrics}


def _share(reports: Mapping[str, Sequence[Report]], competitions: Sequence[str], seed: int, flag: str) -> float:
    count = 0
    for name in competitions:
        seeds = reports.get(name, ())
        count += bool(seeds[seed][flag]) if seed < len(seeds) else 0
    return count / len(competitions) * 100  # the official order of operations, for the last digit


def _average(values: Sequence[float]) -> Average:
    import numpy as np

    mean = float(np.mean(values))
    if len(values) == 1:
        return Average(mean, 0.0)
    return Average(mean, float(np.std(values, ddof=1) / np.sqrt(len(values))))
