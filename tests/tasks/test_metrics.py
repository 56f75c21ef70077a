"""Metrics on cases worked out by hand, predictions that cannot be scored, and a metric with one entry."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.metrics import score as scoring
from tasks.metrics import target_columns
from tasks.metrics.registry import METRICS, Metric, find_metric, metric_from_record
from tasks.metrics.score import score


def score_cells(name: str, answers: list[object], predictions: list[object]) -> float:
    return score(METRICS[name], pd.DataFrame({"y": answers}), pd.DataFrame({"y": predictions}), ["y"])


@pytest.mark.parametrize(
    ("name", "answers", "predictions", "expected"),
    [
        ("accuracy", [1, 2, 3, 4], [1, 2, 3, 9], 0.75),
        ("accuracy", ["cat", "dog"], [" cat", "cow"], 0.5),
        ("accuracy", ["a", "b"], [1, 2], 0.0),
        ("accuracy", [1, 2], ["1", "rubbish"], 0.5),
        ("accuracy", [True, False], [1.0, 1.0], 0.5),
        ("accuracy", [1, 2], [None, 2], 0.5),
        ("roc_auc", [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 0.75),
        ("rmse", [0, 0], [3, 4], 12.5**0.5),
        ("mae", [0, 0], [3, -4], 3.5),
        ("log_loss", [1, 0], [0.5, 0.5], np.log(2)),
        ("log_loss", [1], [0.0], -np.log(1e-15)),
        ("rmsle", [np.e - 1], [0.0], 1.0),
        ("f1_macro", ["a", "a", "b", "b"], ["a", "a", "a", "b"], (0.8 + 2 / 3) / 2),
        ("f1_macro", [0, 1], ["zebra", 1], 0.5),
        ("quadratic_weighted_kappa", [1, 2, 3], [1, 2, 3], 1.0),
        ("quadratic_weighted_kappa", [1, 2, 3], [3, 2, 1], -1.0),
        ("quadratic_weighted_kappa", [0, 0, 9], [0, 1, 9], 1 - 1 / 103),  # a grade that no row has keeps its distance
        ("ndcg", [1, 0], [5, 5], (1 + 1 / np.log2(3)) / 2),
        ("r2", [1, 2, 3], [1, 2, 3], 1.0),
        ("r2", [1, 2, 3], [2, 2, 2], 0.0),
        ("mcrmse", [0, 0], [3, 4], 12.5**0.5),
        ("balanced_accuracy", ["a", "a", "a", "b"], ["a", "a", "b", "b"], (2 / 3 + 1) / 2),
        ("f1", [1, 1, 0, 0], [1, 0, 1, 0], 0.5),
        ("f1_micro", [1, 1, 0, 0], [1, 1, 1, 0], 0.8),
        ("f1_weighted", ["a", "a", "a", "b"], ["a", "a", "b", "b"], 0.75 * 0.8 + 0.25 * 2 / 3),
        ("mcc", [1, 1, 0, 0], [1, 1, 0, 0], 1.0),
        ("mcc", ["a", "a", "b", "b"], ["a", "b", "a", "b"], 0.0),
        ("average_precision", [1, 0, 1], [0.9, 0.8, 0.7], (1 + 2 / 3) / 2),
        ("brier", [1, 0], [0.5, 0.5], 0.25),
        ("c_index", [1, 2, 3], [10, 30, 20], 2 / 3),
        ("mse", [0, 0], [3, 4], 12.5),
        ("mape", [10, 20], [11, 18], 0.1),
        ("smape", [1, 0], [3, 0], 50.0),
        ("median_absolute_error", [0, 0, 0], [1, 2, 9], 2.0),
        ("pinball", [0, 0], [1, -1], 0.5),
        ("map", ["a b", "c"], ["b x a", "x c"], ((1 + 2 / 3) / 2 + 0.5) / 2),
        ("ndcg", [3, 0, 1], [1, 3, 2], (3 / 2 + 1 / np.log2(3)) / (3 + 1 / np.log2(3))),
        ("dice", ["1 4", ""], ["3 4", ""], (0.5 + 1) / 2),
        ("iou", ["1 4"], ["3 4"], 1 / 3),
    ],
)
def test_a_metric_gives_the_value_worked_out_by_hand(
    name: str, answers: list[object], predictions: list[object], expected: float
) -> None:
    assert score_cells(name, answers, predictions) == pytest.approx(expected)


def test_several_target_columns_are_averaged() -> None:
    answers = pd.DataFrame({"a": [1, 0], "b": [0.0, 4.0]})
    predictions = pd.DataFrame({"b": [0.0, 0.0], "a": [1, 0]})
    assert score(METRICS["mcrmse"], answers, predictions, ["a", "b"]) == pytest.approx(8**0.5 / 2)
    assert score(METRICS["accuracy"], answers, predictions, ["a", "b"]) == pytest.approx(0.75)


def test_class_probabilities_are_scaled_to_sum_to_one_in_each_row() -> None:
    answers = pd.DataFrame({"a": [1, 0], "b": [0, 1]})
    predictions = pd.DataFrame({"a": [0.2, 0.1], "b": [0.2, 0.1]})
    assert score(METRICS["log_loss"], answers, predictions, ["a", "b"]) == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    ("name", "predictions", "sentence"),
    [
        ("rmse", ["0.1", "x"], target_columns.NOT_A_NUMBER),
        ("rmse", [np.nan, 1], target_columns.NOT_A_NUMBER),
        ("roc_auc", [np.inf, 1], target_columns.NOT_A_NUMBER),
        ("log_loss", [1.5, 0], target_columns.NOT_A_PROBABILITY),
        ("rmsle", [-1, 0], target_columns.NEGATIVE),
        ("quadratic_weighted_kappa", [0.5, 1], target_columns.NOT_A_WHOLE_NUMBER),
        ("f1", [0.5, 1], target_columns.NOT_ZERO_OR_ONE),
        ("dice", ["1 2 2 2", ""], target_columns.NOT_A_MASK),
        ("mae", [1], scoring.WRONG_ROWS),
    ],
)
def test_invalid_predictions_raise_a_fixed_sentence(name: str, predictions: list[object], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        score_cells(name, [0, 1], predictions)
    assert str(caught.value) == sentence


def test_messages_of_libraries_about_the_answers_are_replaced() -> None:
    with pytest.raises(ValueError) as caught:
        score_cells("roc_auc", ["secret", "other"], [0, 1])
    assert "secret" not in str(caught.value)
    with pytest.raises(ValueError) as caught:
        score(METRICS["rmse"], pd.DataFrame({"y": [1]}), pd.DataFrame({"z": [1]}), ["y"])
    assert str(caught.value) == scoring.NO_SCORE


def test_a_task_may_have_its_own_metric(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "def gap(answers, predictions, targets):\n"
        "    return float((answers[targets] - predictions[targets]).abs().max().max())\n"
        "def broken(answers, predictions, targets):\n"
        "    raise KeyError(answers['y'].tolist())\n"
    )
    answers, predictions = pd.DataFrame({"y": [1, 2]}), pd.DataFrame({"y": [1, 5]})
    assert score(Metric("gap", True, "numbers", file=file, function="gap"), answers, predictions, ["y"]) == 3
    for function in ("broken", "absent"):
        with pytest.raises(ValueError) as caught:
            score(Metric("x", True, "numbers", file=file, function=function), answers, predictions, ["y"])
        assert str(caught.value) == scoring.METRIC_BROKE


def test_every_metric_has_a_name_a_description_and_a_direction() -> None:
    lower = ("log_loss", "mean_columnwise_log_loss", "rmse", "mae", "rmsle", "mean_columnwise_rmsle", "mcrmse")
    lower += ("brier", "mse", "mape", "smape", "median_absolute_error", "pinball")
    assert {name for name, metric in METRICS.items() if metric.lower_is_better} == set(lower)
    assert all(METRICS[name].lower_is_better for name in lower) and not METRICS["roc_auc"].lower_is_better
    assert all(metric.doc.endswith(".") and metric.name == name for name, metric in METRICS.items())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("auc", "roc_auc"),
        ("QWK", "quadratic_weighted_kappa"),
        ("log-loss", "log_loss"),
        ("Root Mean Squared Error", "rmse"),
        ("MAP@{5}", "map@5"),
        ("pinball@0.9", "pinball@0.9"),
        ("ndcg@10", "ndcg@10"),
        ("accuracy@3", None),
        ("pinball@9", None),
        ("luck", None),
    ],
)
def test_metrics_are_found_by_other_names_and_spellings(name: str, expected: str | None) -> None:
    metric = find_metric(name)
    assert (metric.name if metric else None) == expected
    if metric:
        assert metric_from_record(metric.record()) == metric or "@" in metric.name


def test_a_parameter_in_the_name_changes_the_score() -> None:
    cells = [pd.DataFrame({"y": one}) for one in ([0.0, 0.0], [1.0, -1.0])]
    for quantile, expected in (("0.9", 0.5), ("0.1", 0.5)):
        metric = find_metric(f"pinball@{quantile}")
        assert metric and score(metric, cells[0], cells[1], ["y"]) == pytest.approx(expected)
    high = find_metric("pinball@0.9")
    assert high and score(high, cells[0], cells[1].abs(), ["y"]) == pytest.approx(0.1)
    lists = [pd.DataFrame({"y": one}) for one in (["a"], ["b a"])]
    first = find_metric("map@1")
    assert first and score(first, *lists, ["y"]) == 0.0 and score(METRICS["map"], *lists, ["y"]) == 0.5


def test_new_metrics_agree_with_scikit_learn() -> None:
    from sklearn import metrics as theirs

    draw = np.random.default_rng(0)
    for _ in range(20):
        truth, guess = draw.integers(0, 3, (2, 60)).tolist()
        for name, function in (
            ("balanced_accuracy", theirs.balanced_accuracy_score),
            ("mcc", theirs.matthews_corrcoef),
            ("f1_weighted", lambda a, b: theirs.f1_score(a, b, average="weighted")),
        ):
            assert score_cells(name, truth, guess) == pytest.approx(function(truth, guess)), name
        binary, ranks = draw.integers(0, 2, 60).tolist(), np.round(draw.random(60), 1).tolist()
        assert score_cells("average_precision", binary, ranks) == pytest.approx(
            theirs.average_precision_score(binary, ranks)
        )
        relevance, scores = draw.integers(0, 4, (5, 6)), draw.random((5, 6))
        columns = list("abcdef")
        frames = [pd.DataFrame(one, columns=columns) for one in (relevance, scores)]
        assert score(METRICS["ndcg"], *frames, columns) == pytest.approx(theirs.ndcg_score(relevance, scores))
        labels = draw.integers(0, 2, (2, 30, 4))
        frames = [pd.DataFrame(one, columns=columns[:4]) for one in labels]
        for name, average in (("f1_micro", "micro"), ("f1", "macro")):
            expected = theirs.f1_score(labels[0], labels[1], average=average)
            assert score(METRICS[name], *frames, columns[:4]) == pytest.approx(expected), name


def test_own_metric_may_use_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("def acc(a, b): return float((a == b).mean())\n")
    (tmp_path / "weights.txt").write_text("2\n")
    file = tmp_path / "metric.py"
    file.write_text(
        "from helper import acc\n"
        "def score(answers, predictions, targets):\n"
        "    return acc(answers['y'], predictions['y']) * float(open('weights.txt').read())\n"
    )
    own, here = Metric("score", False, "labels", file=file, function="score"), Path.cwd()
    cells = pd.DataFrame({"y": [1, 2]})
    assert score(own, cells, cells, ["y"]) == 2.0
    assert Path.cwd() == here and str(tmp_path) not in sys.path
