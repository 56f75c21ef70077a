"""Metrics agree with scikit-learn, lifelines' pairs and Kaggle's MAP@k on random data, ties and missing classes too."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as theirs

from tasks.metrics import target_columns
from tasks.metrics.registry import find_metric
from tasks.metrics.score import NO_SCORE, score

ROUNDS = 5
Cases = Iterator[tuple[Any, Any]]


def ours(name: str, answers: Any, predictions: Any) -> float:
    """The score of arrays (rows, or rows x columns)."""
    metric = find_metric(name)
    assert metric is not None
    tables = [np.asarray(one) for one in (answers, predictions)]
    tables = [one[:, None] if one.ndim == 1 else one for one in tables]
    names = [f"t{index}" for index in range(tables[0].shape[1])]
    return score(metric, *(pd.DataFrame(one, columns=names) for one in tables), names)


def label_cases() -> Cases:
    draw = np.random.default_rng(0)
    for _ in range(ROUNDS):
        labels, guesses = draw.integers(0, 4, (2, 60))
        yield labels, guesses
        yield labels, guesses % 3  # a class that is never predicted
        yield labels, np.full(60, 2)
        yield np.full(60, 2), np.full(60, 2)
        yield np.full(60, 2), guesses
        yield labels % 3, guesses  # a class that no row has


LABEL_REFERENCES: dict[str, Callable[[Any, Any], float]] = {
    "accuracy": theirs.accuracy_score,
    "balanced_accuracy": theirs.balanced_accuracy_score,
    "f1_weighted": lambda a, p: theirs.f1_score(a, p, average="weighted", zero_division=0),
    # Labels that only predictions have do not count here; scikit-learn does the same when it is given the labels.
    "f1_macro": lambda a, p: theirs.f1_score(a, p, labels=np.unique(a), average="macro", zero_division=0),
    "mcc": theirs.matthews_corrcoef,
}


@pytest.mark.parametrize("name", LABEL_REFERENCES)
@pytest.mark.parametrize("words", [False, True])
def test_labels(name: str, words: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for answers, guesses in label_cases():
            cells = [np.array(list("abcd"), object)[one] if words else one for one in (answers, guesses)]
            assert ours(name, *cells) == pytest.approx(LABEL_REFERENCES[name](answers, guesses), abs=1e-12)


def test_kappa_of_grades_keeps_distances_where_a_grade_is_missing() -> None:
    draw = np.random.default_rng(1)
    for grades in ([0, 1, 2, 3], [0, 5, 9], [1, 2, 4]):
        for _ in range(ROUNDS):
            answers, guesses = draw.choice(grades, (2, 50))
            expected = theirs.cohen_kappa_score(answers, guesses, labels=range(10), weights="quadratic")
            assert ours("qwk", answers, guesses) == pytest.approx(expected)
    assert ours("qwk", [0, 1, 2], [1, 1, 1]) == pytest.approx(0)
    with pytest.raises(ValueError, match=NO_SCORE):
        ours("qwk", [1, 1], [1, 1])


@pytest.mark.parametrize(("name", "average"), [("f1", "macro"), ("f1_micro", "micro"), ("f1_samples", "samples")])
def test_f1_of_zero_and_one(name: str, average: str) -> None:
    draw = np.random.default_rng(2)
    # A row without any 1 counts as 1 in the mean over rows, and a column without any as 0.
    zero_division: Any = 1 if average == "samples" else 0
    for _ in range(ROUNDS):
        answers, guesses = draw.integers(0, 2, (2, 40, 4))
        for keep in (np.ones((40, 4), int), draw.integers(0, 2, (40, 1)), np.array([[1, 1, 1, 0]])):
            expected = theirs.f1_score(answers * keep, guesses * keep, average=average, zero_division=zero_division)
            assert ours(name, answers * keep, guesses * keep) == pytest.approx(expected)


def score_cases() -> Cases:
    draw = np.random.default_rng(3)
    for _ in range(ROUNDS):
        answers = draw.integers(0, 2, 50)
        yield answers, draw.random(50)
        yield answers, np.round(draw.random(50), 1).clip(0.05, 0.95)
        yield answers, np.full(50, 0.5)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("auc", theirs.roc_auc_score),
        ("average_precision", theirs.average_precision_score),
        ("log_loss", theirs.log_loss),
        ("brier", theirs.brier_score_loss),
    ],
)
def test_scores_and_probabilities(name: str, reference: Callable[..., float]) -> None:
    for answers, guesses in score_cases():
        assert ours(name, answers, guesses) == pytest.approx(reference(answers, guesses))
    if name in ("auc", "average_precision"):
        with pytest.raises(ValueError, match=NO_SCORE):
            ours(name, np.zeros(9), np.arange(9))


def test_log_loss_of_classes() -> None:
    draw = np.random.default_rng(4)
    for classes in (draw.integers(0, 3, 40), draw.integers(0, 2, 40)):  # the second lacks a class
        shares = draw.dirichlet(np.ones(3), 40)
        expected = theirs.log_loss(classes, shares, labels=[0, 1, 2])
        for scale in (1.0, 0.5):
            assert ours("log_loss", np.eye(3)[classes], shares * scale) == pytest.approx(expected)
    assert ours("log_loss", [1, 0], [0.0, 0.0]) == pytest.approx(-np.log(1e-15) / 2)


NUMBER_REFERENCES: dict[str, Callable[[Any, Any], float]] = {
    "rmse": theirs.root_mean_squared_error,
    "mse": theirs.mean_squared_error,
    "mae": theirs.mean_absolute_error,
    "median_absolute_error": theirs.median_absolute_error,
    "mape": theirs.mean_absolute_percentage_error,
    "rmsle": theirs.root_mean_squared_log_error,
    "r2": theirs.r2_score,
    "pinball@0.1": lambda a, p: theirs.mean_pinball_loss(a, p, alpha=0.1),
    "pinball@0.9": lambda a, p: theirs.mean_pinball_loss(a, p, alpha=0.9),
    "mcrmse": theirs.root_mean_squared_error,
    "smape": lambda a, p: float(np.mean(200 * abs(a - p) / (abs(a) + abs(p)))),
}


@pytest.mark.parametrize("name", NUMBER_REFERENCES)
def test_numbers(name: str) -> None:
    draw = np.random.default_rng(5)
    for shape in ((40,), (40, 3)):
        answers, guesses = 1 + 9 * draw.random((2, *shape))
        several = shape[1:] and name in ("rmse", "rmsle")  # ours is the root over all columns
        cases = [(answers, guesses), (answers, 0 * answers + 3), (answers, answers), (0 * answers + 2, guesses)]
        for expected, predicted in [] if several else cases:
            reference = NUMBER_REFERENCES[name](expected, predicted)
            assert ours(name, expected, predicted) == pytest.approx(reference, abs=1e-12)
        with pytest.raises(ValueError, match=target_columns.NOT_A_NUMBER):
            ours(name, answers, np.full(shape, np.nan))


def test_zero_answers_have_no_percentage() -> None:
    assert ours("smape", [0.0, 1.0], [0.0, 1.0]) == 0.0
    with pytest.raises(ValueError, match=NO_SCORE):
        ours("mape", [0.0, 1.0], [1.0, 1.0])


def test_ndcg_with_ties_and_lists_without_relevance() -> None:
    draw = np.random.default_rng(6)
    for _ in range(ROUNDS):
        relevance, scores = draw.integers(0, 4, (8, 6)), np.round(draw.random((8, 6)), 1)
        relevance[0] = 0
        for k in (1, 3, 6, 10):
            for guesses in (scores, 0 * scores):
                assert ours(f"ndcg@{k}", relevance, guesses) == pytest.approx(
                    theirs.ndcg_score(relevance, guesses, k=k)
                )


def average_precision_at(wanted: list[str], guesses: list[str], k: int) -> float:
    """`apk` of Kaggle's ml_metrics."""
    guesses, hits, total = guesses[:k], 0.0, 0.0
    for place, guess in enumerate(guesses):
        if guess in wanted and guess not in guesses[:place]:
            hits += 1
            total += hits / (place + 1)
    return total / min(len(wanted), k) if wanted else 0.0


@pytest.mark.parametrize("k", [1, 3, 5])
def test_mean_average_precision_of_lists(k: int) -> None:
    draw = np.random.default_rng(k)
    for _ in range(20):
        wanted = [list(map(str, draw.choice(8, draw.integers(0, 4), replace=False))) for _ in range(20)]
        guesses = [list(map(str, draw.integers(0, 8, draw.integers(0, 8)))) for _ in range(20)]
        expected = np.mean([average_precision_at(*pair, k) for pair in zip(wanted, guesses, strict=True)])
        cells = [np.array([" ".join(one) for one in lists], object) for lists in (wanted, guesses)]
        assert ours(f"map@{k}", *cells) == pytest.approx(expected)


def concordance_of_lifelines(times: Any, guesses: Any, happened: Any) -> float:
    """The naive pairs of lifelines: of equal times, an event is before a censored row."""
    right = pairs = 0.0
    for one in range(len(times)):
        for other in range(len(times)):
            is_tied = times[one] == times[other] and not happened[other]
            if happened[one] and (times[one] < times[other] or is_tied):
                pairs += 1
                right += 0.5 if guesses[one] == guesses[other] else float(guesses[one] < guesses[other])
    return right / pairs


@pytest.mark.parametrize("has_ties", [False, True])
def test_concordance_with_ties_and_censored_rows(has_ties: bool) -> None:
    draw = np.random.default_rng(7)
    for _ in range(10):
        times = draw.integers(1, 9, 40).astype(float) if has_ties else draw.random(40)
        guesses, happened = np.round(10 * draw.random(40)), draw.integers(0, 2, 40)
        expected = concordance_of_lifelines(times, guesses, happened)
        answers = np.column_stack([times, happened])
        assert ours("c_index", answers, np.column_stack([guesses, 0 * guesses])) == pytest.approx(expected)
        expected = concordance_of_lifelines(times, guesses, np.ones(40))
        assert ours("c_index", times, guesses) == pytest.approx(expected)
    assert ours("c_index", times, np.zeros(40)) == 0.5
    with pytest.raises(ValueError, match=NO_SCORE):
        ours("c_index", np.column_stack([times, np.zeros(40)]), np.column_stack([guesses, guesses]))


def pixels(mask: str) -> set[int]:
    numbers = list(map(int, mask.split()))
    runs = zip(numbers[::2], numbers[1::2], strict=True)
    return {pixel for start, length in runs for pixel in range(start, start + length)}


def test_masks_overlap_as_sets_of_pixels() -> None:
    draw = np.random.default_rng(8)

    def mask() -> str:
        gaps, lengths = draw.integers(1, 6, 3), draw.integers(1, 9, 3)
        starts = np.cumsum(gaps + np.concatenate([[0], lengths[:-1]]))
        return " ".join(f"{start} {length}" for start, length in zip(starts, lengths, strict=True))

    answers, guesses = ([mask() if draw.random() < 0.8 else "" for _ in range(60)] for _ in range(2))
    sets = [(pixels(one), pixels(other)) for one, other in zip(answers, guesses, strict=True)]
    dice = np.mean([2 * len(a & p) / (len(a) + len(p)) if a or p else 1.0 for a, p in sets])
    iou = np.mean([len(a & p) / len(a | p) if a or p else 1.0 for a, p in sets])
    cells = [np.array(one, object) for one in (answers, guesses)]
    assert ours("dice", *cells) == pytest.approx(dice) and ours("iou", *cells) == pytest.approx(iou)


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "mcc"])
def test_missing_labels_are_wrong_ones(name: str) -> None:
    assert ours(name, [0, 1, 2, 1], np.full(4, np.nan)) == 0.0
