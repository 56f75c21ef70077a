"""The numbers of a sweep's report, on a made-up table of 1,000 runs, against numpy and scipy on plain arrays."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from harness.commands.medal_curve import Step, medal_rate
from harness.commands.sweep_report import make_report
from harness.sweep.reproduce import command
from harness.sweep.row_state import History, RowState
from harness.sweep.store import Store
from harness.sweep.types import Plan, Row

TASKS, SEEDS = 50, 5
LEVELS = {"search": ["tree", "greedy"], "model": ["m2", "local"]}
SHAPE = (2, 2, TASKS, SEEDS)
ORDER = list(itertools.product(*map(range, SHAPE)))
FLAGS = ("submission_exists", "valid_submission", "above_median", "gold_medal", "silver_medal", "bronze_medal")


class Table:
    """1,000 runs as arrays over search, model, task and seed. `is_graded` is False for runs that failed."""

    def __init__(self, missing: float) -> None:
        chance = np.random.default_rng(5)
        luck = chance.normal(0, 0.3, (1, 1, TASKS, SEEDS)) + chance.normal(0, 0.5, (1, 1, TASKS, 1))
        gain = np.array([0.0, -0.4]).reshape(2, 1, 1, 1) + np.array([0.0, 0.1]).reshape(1, 2, 1, 1)
        self.scores = np.round(luck + gain + chance.normal(0, 0.2, SHAPE), 2)
        self.hours = chance.uniform(1, 24, SHAPE)
        self.costs = chance.uniform(0, 9, SHAPE)
        self.is_valid = chance.random(SHAPE) > 0.05
        self.is_graded = chance.random(SHAPE) >= missing
        self.medals = (self.scores > 0.3) & self.is_valid
        self.lower = np.arange(TASKS) % 2 == 1
        self.states = [self._state(place) for place in ORDER]
        self.plan = Plan(
            "big", "2026-12-01T00:00:00+00:00", "1", "", "local", 2, 0, 0, True, tuple(one.row for one in self.states)
        )

    def _state(self, place: tuple[int, ...]) -> RowState:
        search, model, task, seed = place
        levels = {"search": LEVELS["search"][search], "model": LEVELS["model"][model]}
        is_lower, score = bool(self.lower[task]), float(self.scores[place])
        key = ".".join([f"t{task}", *levels.values(), f"s{seed}"])
        row = Row(key, key, f"t{task}", f"t{task}", seed, levels, {}, 24.0, gpus=2, lower_is_better=is_lower)
        summary = {"active_seconds": float(self.hours[place]) * 3600, "cost": float(self.costs[place])}
        if not self.is_graded[place]:
            return RowState(row, History("failed", "no GPU", tries=3), summary, {})
        is_valid, has_medal = bool(self.is_valid[place]), bool(self.medals[place])
        report = {
            **dict.fromkeys(FLAGS, has_medal),
            "submission_exists": True,
            "valid_submission": is_valid,
            "gold_medal": False,
            "silver_medal": False,
            "any_medal": has_medal,
            "gold_threshold": 1.0,
            "competition_id": f"t{task}",
            "score": (-score if is_lower else score) if is_valid else None,
        }
        return RowState(row, History("done", tries=1), summary, {"report": report, "model": "m"})

    def report(self, pads: bool = False) -> dict[str, Any]:
        """The report, whatever the order in which the runs have ended."""
        return make_report(Store(Path("home"), "big"), self.plan, self.states, pads)


def percent(table: Table, place: tuple[int, int], pads: bool) -> tuple[list[int], Any, Any]:
    """Seeds that count, and the mean and standard error over them of the percentage of medals (None without seeds)."""
    is_graded = table.is_graded[place]
    counted = np.flatnonzero(is_graded.any(axis=0) if pads else is_graded.all(axis=0))
    if not counted.size:
        return [], None, None
    shares = 100 * np.where(is_graded, table.medals[place], False)[:, counted].mean(axis=0)
    return list(counted), shares.mean(), stats.sem(shares) if len(counted) > 1 else 0.0


@pytest.mark.parametrize("pads", [False, True])
@pytest.mark.parametrize("missing", [0.0, 0.004, 0.1])
def test_the_official_number_is_that_of_whole_seeds_with_the_error_over_them(missing: float, pads: bool) -> None:
    table = Table(missing)
    cells = {one["settings"]: one["official"] for one in table.report(pads)["settings"]}
    for search, model in itertools.product(range(2), range(2)):
        found = cells[f"search={LEVELS['search'][search]}, model={LEVELS['model'][model]}"]
        seeds, mean, error = percent(table, (search, model), pads)
        if not seeds:
            assert "has no graded run of t" in found["missing"]
            continue
        medal = found["metrics"]["any_medal_percentage"]
        assert found["seeds"] == seeds
        assert (medal["mean"], medal["standard_error"]) == pytest.approx((mean, error))
    if missing == 0.004:
        assert len({tuple(one["seeds"]) for one in cells.values()}) > 1 or pads, "some seed is not complete somewhere"


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_factors_are_compared_over_pairs_that_differ_in_nothing_else(missing: float) -> None:
    table = Table(missing)
    found = {(one["factor"], one["level"]): one for one in table.report()["comparisons"]}
    assert set(found) == {("search", "greedy"), ("model", "local")}
    for axis, (factor, level) in enumerate(found):
        one = found[factor, level]
        is_pair = table.is_graded.all(axis=axis)
        gains = np.where(is_pair, np.diff(table.medals.astype(float), axis=axis).squeeze(axis), np.nan)
        means = 100 * np.nanmean(gains, axis=(0, 2))
        assert (one["reference"], one["pairs"], one["tasks"]) == (LEVELS[factor][0], is_pair.sum(), TASKS)
        assert one["difference"] == pytest.approx(means.mean())
        interval = stats.ttest_1samp(means, 0).confidence_interval(0.95)
        assert one["interval"] == pytest.approx((interval.low, interval.high))
        scores = np.where(table.is_valid, table.scores, -np.inf)
        first, second = np.take(scores, 0, axis=axis)[is_pair], np.take(scores, 1, axis=axis)[is_pair]
        wins, losses = int((second > first).sum()), int((second < first).sum())
        assert (one["wins"], one["losses"], one["ties"]) == (wins, losses, is_pair.sum() - wins - losses)
        assert one["p"] == pytest.approx(stats.binomtest(wins, wins + losses).pvalue)


def test_a_factor_is_compared_with_its_first_level_even_if_that_is_graded_last() -> None:
    table = Table(0.0)
    first = [one for one in table.states if one.row.task == "t0" and one.row.levels["search"] == "tree"]
    table.states = [RowState(one.row, History("waiting")) if one in first else one for one in table.states]
    assert {one["reference"] for one in table.report()["comparisons"]} == {"tree", "m2"}


def test_sums_count_every_run_and_name_what_failed() -> None:
    table = Table(0.1)
    report = table.report()
    assert report["compute"]["hours"] == pytest.approx(table.hours.sum())
    assert report["compute"]["gpu_hours"] == pytest.approx(2 * table.hours.sum())
    assert report["compute"]["cost"] == pytest.approx(table.costs.sum())
    done = int(table.is_graded.sum())
    assert report["runs"] == {"done": done, "running": 0, "waiting": 0, "failed": 1000 - done}
    assert (report["graded"], len(report["failed"]), len(report["entries"])) == (done, 1000 - done, 1000)


def test_the_curve_of_medals_is_the_share_of_runs_that_hold_one_at_that_hour() -> None:
    chance = np.random.default_rng(9)
    hours = np.sort(chance.uniform(0, 24, (1000, 6)), axis=1)
    medals = chance.random((1000, 6)) < np.linspace(0.05, 0.4, 6)
    steps = [
        Step(f"r{run}", "chosen", float(hours[run, k]), "e", 0.0, "gold" if medals[run, k] else "")
        for run in range(1000)
        for k in chance.permutation(6)
    ]
    points = medal_rate(steps, 1000, "chosen")
    for moment in (0.0, 1.0, 6.0, 12.0, 23.9, 24.0):
        chosen = (hours <= moment).sum(axis=1)  # so many submissions were chosen by then
        holds = (chosen > 0) & medals[np.arange(1000), chosen - 1]
        assert [rate for hour, rate in points if hour <= moment][-1] == pytest.approx(100 * holds.mean())


def test_the_command_plays_the_same_sweep_with_the_lessons_that_it_read() -> None:
    plan = Table(0.0).plan
    folder = Path("/home of runs/sweeps/big")
    _, line = command(plan, folder)
    assert line == "harness sweep '/home of runs/sweeps/big/sweep.yaml' --name big-again"
    read = replace(plan, ledger={"/l.sqlite": {"snapshot": "ledger.snapshot.sqlite"}}, variables={"HARNESS_HOURS": "2"})
    _, line = command(read, folder)
    assert line.startswith("HARNESS_HOURS=2 harness sweep ")
    assert line.endswith("--set 'ledger_snapshot=/home of runs/sweeps/big/ledger.snapshot.sqlite'")
