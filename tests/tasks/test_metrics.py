"""Metrics on cases worked out by hand, predictions that cannot be scored, and a metric with one entry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.metrics import score as scoring
from tasks.metrics import target_columns
from tasks.metrics.registry import METRICS, Metric
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
        ("r2", [1, 2, 3], [1, 2, 3], 1.0),
        ("r2", [1, 2, 3], [2, 2, 2], 0.0),
        ("mcrmse", [0, 0], [3, 4], 12.5**0.5),
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
    assert all(METRICS[name].lower_is_better for name in lower) and not METRICS["roc_auc"].lower_is_better
    assert all(metric.doc.endswith(".") and metric.name == name for name, metric in METRICS.items())
