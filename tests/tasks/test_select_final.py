"""What is handed in is chosen on rows that did not choose the candidates, and two ways to mix them are one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.holdout.blend import make_blend
from tasks.io.columns import Columns, write_columns
from tasks.judging.ensemble import combine
from tasks.judging.select_final import choose, mixed_score, propose, run_distance
from tasks.metrics.bootstrap import Part
from tasks.metrics.registry import METRICS, Metric, Needs
from tasks.task import load_task
from tests.harness.judged_runs import two_numbers

ROWS = 600


def numbers(seed: int, *spreads: float, name: str = "rmse", same: bool = False) -> Part:
    """Answers, and a candidate for each spread of errors (the same errors, or independent ones)."""
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(seed)
    wanted = draw.normal(size=ROWS)
    errors = [draw.normal(size=ROWS) for _ in spreads]
    given = [wanted + spread * (errors[0] if same else error) for spread, error in zip(spreads, errors, strict=True)]
    if name != "rmse":
        wanted = (wanted > 0).astype(float)
    if name == "accuracy":
        given = [(one > 0).astype(float) for one in given]
    tables = [pd.DataFrame({"t": one}) for one in (wanted, *given)]
    return Part(METRICS[name], ("t",), tables[0], tuple(tables[1:]), ("",) * ROWS)


def test_the_pick_is_made_on_the_judging_rows() -> None:
    searched, judged = numbers(0, 0.5, 0.6, same=True), numbers(1, 0.6, 0.5, same=True)
    found = choose([searched], [judged], "fresh")
    assert found.pick == 1
    assert not found.is_ensemble
    assert found.weights == [0.0, 1.0]


@pytest.mark.parametrize("judges", ["fresh", "halves"])
def test_an_ensemble_of_independent_errors_is_taken_and_one_of_equal_errors_is_not(judges: Any) -> None:
    judging = [numbers(3, 0.5, 0.5, 0.5)] if judges == "fresh" else None
    found = choose([numbers(2, 0.5, 0.5, 0.5)], judging, judges)
    assert found.is_ensemble and (found.gain or 0) > 0.1
    judging = [numbers(3, 0.5, 0.55, same=True)] if judges == "fresh" else None
    found = choose([numbers(2, 0.5, 0.55, same=True)], judging, judges)
    assert not found.is_ensemble
    assert found.weights == [1.0, 0.0]


def test_an_ensemble_that_only_the_searched_rows_like_is_not_taken() -> None:
    searched = numbers(2, 0.5, 0.5)
    judged = replace(numbers(3, 0.5, 0.5), given=(numbers(3, 0.1, 0.5).given[0], numbers(3, 0.5, 3.0).given[1]))
    found = choose([searched], [judged], "select")
    assert sum(weight > 0 for weight in found.proposed) == 2
    assert not found.is_ensemble and found.pick == 0


@pytest.mark.parametrize("name", ["rmse", "roc_auc", "accuracy"])
def test_mixing_tables_and_mixing_submissions_are_the_same(name: str) -> None:
    import pandas as pd

    from tasks.metrics.bootstrap import scores_of

    part = numbers(5, 0.5, 0.8, 1.2, name=name)
    weights = [2.0, 1.0, 1.0]
    count = list(map(str, range(len(part.answers))))
    tables = [Columns(["id", "t"], [count, [repr(float(cell)) for cell in one["t"]]]) for one in part.given]
    mixed = combine(METRICS[name], ["t"], tables, weights)
    frame = pd.DataFrame({"t": list(map(float, mixed.column("t")))})
    assert scores_of([replace(part, given=(frame,))])[0] == pytest.approx(mixed_score([part], weights))


def test_votes_count_words_too_and_a_tie_goes_to_the_first() -> None:
    tables = [Columns(["id", "t"], [["1", "2"], [one, "x"]]) for one in ("cat", "dog", "dog")]
    assert combine(METRICS["accuracy"], ["t"], tables, [1.0, 1.0, 1.0]).rows()[1:] == [["1", "dog"], ["2", "x"]]
    assert combine(METRICS["accuracy"], ["t"], tables[:2], [1.0, 1.0]).column("t")[0] == "cat"


@pytest.mark.parametrize(("needs", "first"), [("numbers", "0"), ("scores", repr(2 / 3))])
def test_classes_of_a_metric_of_the_tasks_own_are_voted_on_and_its_scores_are_not(needs: Needs, first: str) -> None:
    metric = Metric("hits", False, needs, file=Path("metric.py"), function="hits")
    tables = [Columns(["id", "t"], [["1", "2"], [one, "1"]]) for one in ("0", "2", "0")]
    assert combine(metric, ["t"], tables, [1.0, 1.0, 1.0]).column("t")[0] == first
    halves = [table.with_column("t", ["0.5", "1"]) for table in tables]
    assert combine(metric, ["t"], [*tables, *halves], [1.0] * 6).column("t")[1] == "1.0"


def test_without_other_rows_the_best_so_far_stays_the_pick() -> None:
    lucky = numbers(11, 0.8, 0.5)
    found = choose([lucky], None, "halves")
    assert found.pick == 0 and found.weights[0] > 0


def test_a_half_that_cannot_be_scored_ends_no_choice() -> None:
    """Eight rows of one class in two hundred may all lie in one half."""
    import pandas as pd

    wanted = pd.DataFrame({"t": [float(row in (0, 2)) for row in range(200)]})
    given = tuple(pd.DataFrame({"t": [(row * step) % 7 / 7 for row in range(200)]}) for step in (3.0, 5.0))
    part = Part(METRICS["roc_auc"], ("t",), wanted, given, ("",) * 200)
    found = choose([part], None, "halves")
    assert (found.pick, found.is_ensemble, found.weights) == (0, False, [1.0, 0.0])


def test_one_label_written_in_two_ways_is_one(tmp_path: Path) -> None:
    tables = [Columns(["id", "t"], [["1"], [cell]]) for cell in ("1", "1.0", "0")]
    assert combine(METRICS["accuracy"], ["t"], tables, [1.0, 1.0, 1.5]).column("t") == ["1"]


def test_cells_that_are_missing_in_both_are_no_distance(tmp_path: Path) -> None:
    task = load_task(two_numbers(tmp_path / "sum", lambda draw, a, b: f"{a + b:.3f}", metric="rmse"))
    blend = make_blend(task, 0, tmp_path / "blend")
    for name, cells in (("one", ["1", "", "3"]), ("same", ["1", "", "3"]), ("other", ["1", "2", "3"])):
        write_columns(tmp_path / f"{name}.csv", Columns(["key", "y"], [["7", "8", "9"], cells]))
    one = tmp_path / "one.csv"
    assert run_distance(blend.folder, one, tmp_path / "same.csv", 60) == 0
    assert run_distance(blend.folder, one, tmp_path / "other.csv", 60) == pytest.approx((1 / 3) ** 0.5)


def test_a_greedy_ensemble_leaves_out_what_does_not_help() -> None:
    weights = propose([numbers(7, 0.3, 0.3, 9.0)])
    assert weights[0] > 0 and weights[1] > 0 and weights[2] == 0
