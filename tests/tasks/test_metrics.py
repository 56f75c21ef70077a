"""Metrics on cases whose value is known by hand, and predictions that cannot be scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.metrics import registry
from tasks.metrics.registry import METRICS, Metric, score


def scored(name: str, wanted: list[object], given: list[object]) -> float:
    return score(METRICS[name], pd.DataFrame({"y": wanted}), pd.DataFrame({"y": given}), ["y"])


@pytest.mark.parametrize(
    ("name", "wanted", "given", "expected"),
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
    name: str, wanted: list[object], given: list[object], expected: float
) -> None:
    assert scored(name, wanted, given) == pytest.approx(expected)


def test_several_target_columns_are_averaged() -> None:
    answers = pd.DataFrame({"a": [1, 0], "b": [0.0, 4.0]})
    given = pd.DataFrame({"b": [0.0, 0.0], "a": [1, 0]})
    assert score(METRICS["mcrmse"], answers, given, ["a", "b"]) == pytest.approx(8**0.5 / 2)
    assert score(METRICS["accuracy"], answers, given, ["a", "b"]) == pytest.approx(0.75)


def test_class_probabilities_are_scaled_to_one_a_row() -> None:
    answers = pd.DataFrame({"a": [1, 0], "b": [0, 1]})
    given = pd.DataFrame({"a": [0.2, 0.1], "b": [0.2, 0.1]})
    assert score(METRICS["log_loss"], answers, given, ["a", "b"]) == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("rmse", ["0.1", "x"], registry.NOT_A_NUMBER),
        ("rmse", [np.nan, 1], registry.NOT_A_NUMBER),
        ("roc_auc", [np.inf, 1], registry.NOT_A_NUMBER),
        ("log_loss", [1.5, 0], registry.NOT_A_PROBABILITY),
        ("rmsle", [-1, 0], registry.NEGATIVE),
        ("quadratic_weighted_kappa", [0.5, 1], registry.NOT_A_WHOLE_NUMBER),
        ("mae", [1], registry.WRONG_ROWS),
    ],
)
def test_what_cannot_be_scored_is_refused_with_a_fixed_sentence(name: str, given: list[object], says: str) -> None:
    with pytest.raises(ValueError) as caught:
        scored(name, [0, 1], given)
    assert str(caught.value) == says


def test_a_library_s_words_about_the_answers_do_not_pass() -> None:
    with pytest.raises(ValueError) as caught:
        scored("roc_auc", ["secret", "other"], [0, 1])
    assert "secret" not in str(caught.value)
    with pytest.raises(ValueError) as caught:
        score(METRICS["rmse"], pd.DataFrame({"y": [1]}), pd.DataFrame({"z": [1]}), ["y"])
    assert str(caught.value) == registry.NO_SCORE


def test_a_task_may_bring_its_own_metric(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "def gap(answers, predictions, targets):\n"
        "    return float((answers[targets] - predictions[targets]).abs().max().max())\n"
        "def broken(answers, predictions, targets):\n"
        "    raise KeyError(answers['y'].tolist())\n"
    )
    answers, given = pd.DataFrame({"y": [1, 2]}), pd.DataFrame({"y": [1, 5]})
    assert score(Metric("gap", True, "numbers", file=file, function="gap"), answers, given, ["y"]) == 3
    for function in ("broken", "absent"):
        with pytest.raises(ValueError) as caught:
            score(Metric("x", True, "numbers", file=file, function=function), answers, given, ["y"])
        assert str(caught.value) == registry.NO_SCORE


def test_every_metric_says_what_it_is_and_which_way_is_better() -> None:
    assert {name for name, metric in METRICS.items() if metric.lower_is_better} == {
        *("log_loss", "mean_columnwise_log_loss", "rmse", "mae", "rmsle", "mean_columnwise_rmsle", "mcrmse")
    }
    assert all(metric.doc.endswith(".") and metric.name == name for name, metric in METRICS.items())
