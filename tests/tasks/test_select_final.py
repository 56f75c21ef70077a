"""The final choice is made on rows that did not choose the candidates; both implementations of ensembles agree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tasks.holdout.blend import make_blend
from tasks.io.columns import Columns, write_columns
from tasks.judging.ensemble import combine
from tasks.judging.propose_ensemble import propose_weights, score_ensemble
from tasks.judging.select_final import Judges, choose, run_distance
from tasks.metrics.bootstrap import score_candidates
from tasks.metrics.folds import Fold
from tasks.metrics.registry import METRICS, Metric, Needs
from tasks.task import load_task
from tests.harness.judged_runs import two_numbers

ROWS = 600


def make_fold(seed: int, *spreads: float, name: str = "rmse", same: bool = False) -> Fold:
    """Answers, and a candidate for each spread of errors (the same errors, or independent ones)."""
    import numpy as np

    draw = np.random.default_rng(seed)
    answers = draw.normal(size=ROWS)
    errors = [draw.normal(size=ROWS) for _ in spreads]
    candidates = [
        answers + spread * (errors[0] if same else error) for spread, error in zip(spreads, errors, strict=True)
    ]
    if name != "rmse":
        answers = (answers > 0).astype(float)
    if name == "accuracy":
        candidates = [(one > 0).astype(float) for one in candidates]
    frames = [pd.DataFrame({"t": one}) for one in (answers, *candidates)]
    return Fold(METRICS[name], ("t",), frames[0], tuple(frames[1:]), ("",) * ROWS)


def test_fresh_folds_decide_together_with_the_search_rows_and_select_rows_alone() -> None:
    search, judging = make_fold(0, 0.50, 0.53, same=True), make_fold(1, 0.60, 0.55, same=True)
    fresh = choose([search], [judging], "fresh")
    assert (fresh.pick, fresh.is_ensemble, fresh.weights) == (1, False, [0.0, 1.0])
    closer = choose([search], [make_fold(1, 0.57, 0.55, same=True)], "fresh")
    assert closer.judged[1] < closer.judged[0] and closer.pick == 0, "the mean favours the first"
    assert choose([search], [make_fold(1, 0.57, 0.55, same=True)], "select").pick == 1


def test_the_reported_score_comes_from_rows_that_did_not_choose() -> None:
    """Thirty equal candidates: the best on the deciding rows is so by luck, and the report does not count that luck."""
    optimism = {"judged": 0.0, "estimate": 0.0}
    for seed in range(12):
        search, judging = (make_fold(100 * seed + one, *[0.5] * 30) for one in (1, 2))
        choice = choose([search], [judging], "select")
        assert choice.estimate is not None and choice.estimate_noise is not None
        optimism["judged"] += (0.5 - choice.judged[choice.pick]) / 12
        truth = 0.5 * sum(w * w for w in choice.weights) ** 0.5 / sum(choice.weights)  # independent errors
        optimism["estimate"] += (truth - choice.estimate) / 12
    assert optimism["judged"] > 0.02 and abs(optimism["estimate"]) < 0.01


def test_select_rows_report_alone_where_fresh_folds_decide() -> None:
    search, fresh, select = (make_fold(seed, 0.5, 0.52, same=True) for seed in (1, 2, 3))
    choice = choose([search], [fresh], "fresh", [select])
    assert choice.estimate == score_candidates([select])[choice.pick] and choice.estimate_noise is not None


def test_without_unused_rows_a_pick_has_no_reported_score() -> None:
    choice = choose([make_fold(2, 0.5, 0.55, same=True)], None, "halves")
    assert (choice.pick, choice.is_ensemble, choice.estimate) == (0, False, None)
    assert all(choice.judged_noise) and choice.estimates_noise == choice.judged_noise


@pytest.mark.parametrize("judges", ["fresh", "halves"])
def test_memorized_labels_do_not_move_the_estimates(judges: Judges) -> None:
    """The agent knows the labels of all folds but the first."""
    honest, *others = [make_fold(seed, 0.5, 0.5) for seed in range(5)]
    known = [
        replace(fold, predictions=tuple(0.5 * fold.answers + 0.5 * p for p in fold.predictions)) for fold in others
    ]
    fresh = [honest, *known] if judges == "fresh" else None
    choice = choose([honest, *known], fresh, judges)
    first = score_candidates([honest])
    assert choice.judged[0] < 0.4 and choice.estimates == first
    assert choice.estimate == score_ensemble([honest], choice.proposed) > (choice.ensemble_score or 0)
    untouched = [honest, *others]
    choice = choose(untouched, untouched if judges == "fresh" else None, judges)
    assert choice.estimates[0] == choice.judged[0], "within noise of the first fold"


@pytest.mark.parametrize("judges", ["fresh", "halves"])
def test_an_ensemble_is_accepted_for_independent_errors_only(judges: Judges) -> None:
    judging = [make_fold(3, 0.5, 0.5, 0.5)] if judges == "fresh" else None
    choice = choose([make_fold(2, 0.5, 0.5, 0.5)], judging, judges)
    assert choice.is_ensemble and (choice.gain or 0) > 0.1
    judging = [make_fold(3, 0.5, 0.55, same=True)] if judges == "fresh" else None
    choice = choose([make_fold(2, 0.5, 0.55, same=True)], judging, judges)
    assert (choice.is_ensemble, choice.weights) == (False, [1.0, 0.0])


def test_an_ensemble_that_is_better_on_the_search_rows_only_is_rejected() -> None:
    search = make_fold(2, 0.5, 0.5)
    good, bad = make_fold(3, 0.1, 0.5).predictions[0], make_fold(3, 0.5, 3.0).predictions[1]
    choice = choose([search], [replace(make_fold(3, 0.5, 0.5), predictions=(good, bad))], "select")
    assert sum(weight > 0 for weight in choice.proposed) == 2
    assert not choice.is_ensemble and choice.pick == 0


@pytest.mark.parametrize("name", ["rmse", "roc_auc", "accuracy"])
def test_ensembles_of_frames_and_of_submissions_are_equal(name: str) -> None:
    fold = make_fold(5, 0.5, 0.8, 1.2, name=name)
    weights = [2.0, 1.0, 1.0]
    ids = list(map(str, range(len(fold.answers))))
    tables = [Columns(["id", "t"], [ids, [repr(float(cell)) for cell in one["t"]]]) for one in fold.predictions]
    combined = combine(METRICS[name], ["t"], tables, weights)
    frame = pd.DataFrame({"t": list(map(float, combined.column("t")))})
    expected = pytest.approx(score_ensemble([fold], weights))
    assert score_candidates([replace(fold, predictions=(frame,))])[0] == expected


def test_text_labels_are_voted_on_and_the_first_voter_breaks_ties() -> None:
    tables = [Columns(["id", "t"], [["1", "2"], [cell, "x"]]) for cell in ("cat", "dog", "dog")]
    assert combine(METRICS["accuracy"], ["t"], tables, [1.0, 1.0, 1.0]).rows()[1:] == [["1", "dog"], ["2", "x"]]
    assert combine(METRICS["accuracy"], ["t"], tables[:2], [1.0, 1.0]).column("t")[0] == "cat"


def test_booleans_written_in_several_ways_are_voted_on_as_one_and_written_alike() -> None:
    columns = (["True", "False", "True"], ["0", "0", "1"], ["false", "true", "true"])
    tables = [Columns(["id", "t"], [["1", "2", "3"], column]) for column in columns]
    votes = combine(METRICS["accuracy"], ["t"], tables, [1.0, 1.0, 1.0]).column("t")
    assert votes == ["False", "False", "True"]
    assert combine(METRICS["accuracy"], ["t"], tables[:1], [1.0]).column("t") == columns[0]
    assert combine(METRICS["accuracy"], ["t"], tables[2:], [1.0]).column("t") == columns[2]
    assert combine(METRICS["accuracy"], ["t"], tables[1:2], [1.0]).column("t") == columns[1]


@pytest.mark.parametrize(("needs", "first"), [("numbers", "0"), ("scores", repr(2 / 3))])
def test_an_own_metric_votes_on_classes_and_averages_scores(needs: Needs, first: str) -> None:
    metric = Metric("hits", False, needs, file=Path("metric.py"), function="hits")
    tables = [Columns(["id", "t"], [["1", "2"], [cell, "1"]]) for cell in ("0", "2", "0")]
    assert combine(metric, ["t"], tables, [1.0, 1.0, 1.0]).column("t")[0] == first
    halves = [table.with_column("t", ["0.5", "1"]) for table in tables]
    assert combine(metric, ["t"], [*tables, *halves], [1.0] * 6).column("t")[1] == "1.0"


def test_labels_written_in_two_ways_are_one_label() -> None:
    tables = [Columns(["id", "t"], [["1"], [cell]]) for cell in ("1", "1.0", "0")]
    assert combine(METRICS["accuracy"], ["t"], tables, [1.0, 1.0, 1.5]).column("t") == ["1"]


def test_without_judging_rows_the_best_so_far_stays_the_pick() -> None:
    choice = choose([make_fold(11, 0.8, 0.5)], None, "halves")
    assert choice.pick == 0 and choice.weights[0] > 0


def test_a_half_that_cannot_be_scored_leaves_the_pick() -> None:
    """Two positive rows among two hundred, both in one half."""
    answers = pd.DataFrame({"t": [float(row in (0, 2)) for row in range(200)]})
    predictions = tuple(pd.DataFrame({"t": [(row * step) % 7 / 7 for row in range(200)]}) for step in (3.0, 5.0))
    choice = choose([Fold(METRICS["roc_auc"], ("t",), answers, predictions, ("",) * 200)], None, "halves")
    assert (choice.pick, choice.is_ensemble, choice.weights) == (0, False, [1.0, 0.0])


def test_cells_missing_in_both_submissions_do_not_differ(tmp_path: Path) -> None:
    task = load_task(two_numbers(tmp_path / "sum", lambda draw, a, b: f"{a + b:.3f}", metric="rmse"))
    blend = make_blend(task, 0, tmp_path / "blend")
    for name, cells in (("one", ["1", "", "3"]), ("same", ["1", "", "3"]), ("other", ["1", "2", "3"])):
        write_columns(tmp_path / f"{name}.csv", Columns(["key", "y"], [["7", "8", "9"], cells]))
    one = tmp_path / "one.csv"
    assert run_distance(blend.folder, one, tmp_path / "same.csv", 60) == 0
    assert run_distance(blend.folder, one, tmp_path / "other.csv", 60) == pytest.approx((1 / 3) ** 0.5)


def test_a_greedy_ensemble_leaves_out_what_does_not_help() -> None:
    weights = propose_weights([make_fold(7, 0.3, 0.3, 9.0)])
    assert weights[0] > 0 and weights[1] > 0 and weights[2] == 0


def test_a_greedy_ensemble_is_offered_members_of_other_groups_first() -> None:
    folds = [make_fold(7, 0.30, 0.31, 0.33)]
    alone, grouped = propose_weights(folds), propose_weights(folds, [1, 1, 2])
    assert alone[1] >= alone[2]
    assert grouped[2] >= alone[2] and score_ensemble(folds, grouped) < score_ensemble(folds, [1.0, 0.0, 0.0])
    useless = propose_weights([make_fold(7, 0.3, 0.31, 9.0)], [1, 1, 2])
    assert useless[2] == 0, "what does not help is left out, whatever its group"
