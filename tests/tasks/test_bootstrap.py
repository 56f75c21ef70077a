"""The bootstrap: row statistics add up to the metric, and their spread is that of scoring resampled rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tasks.metrics.bootstrap import compare_candidates, draw_scores, estimate_noise, score_candidates
from tasks.metrics.folds import Fold
from tasks.metrics.registry import METRICS, Metric
from tasks.metrics.score import score

ROWS = 400


def make_fold(name: str) -> Fold:
    """Answers and two candidates, the second one worse, with values the metric accepts."""
    import numpy as np
    import pandas as pd

    metric, draw = METRICS[name], np.random.default_rng(3)
    width = 3 if name == "log_loss" else 2
    shape = (ROWS, width)
    if metric.answers == "lists":
        return make_fold_of_lists(metric)
    if metric.answers == "masks":
        return make_fold_of_masks(metric)
    if metric.answers == "binary" and metric.needs == "labels":
        answers: Any = draw.integers(0, 2, shape)
        candidates = [np.where(draw.random(shape) < share, answers, 1 - answers) for share in (0.8, 0.6)]
    elif name == "c_index":
        answers = np.column_stack([1 + 5 * draw.random(ROWS), draw.integers(0, 2, ROWS)])
        candidates = [answers + spread * draw.normal(size=shape) for spread in (1.0, 3.0)]
    elif name == "ndcg":
        answers = draw.integers(0, 4, shape)
        candidates = [answers + spread * draw.normal(size=shape) for spread in (0.5, 3.0)]
    elif metric.needs == "labels":
        answers = draw.integers(0, 4, shape)
        candidates = [np.where(draw.random(shape) < share, answers, 1) for share in (0.8, 0.6)]
    elif name == "log_loss":
        answers = np.eye(width)[draw.integers(0, width, ROWS)]
        candidates = [np.clip(answers * weight + draw.random(shape) * 0.5, 0.01, 1) for weight in (0.45, 0.2)]
    elif metric.needs == "scores":
        answers = draw.integers(0, 2, shape)
        candidates = [np.clip(answers * weight + draw.random(shape) * 0.6, 0.01, 0.99) for weight in (0.35, 0.1)]
    else:
        answers = 1 + 5 * draw.random(shape)
        candidates = [abs(answers + spread * draw.normal(size=shape)) for spread in (0.5, 0.9)]
    names = tuple(f"t{index}" for index in range(width))
    frames = [pd.DataFrame(np.asarray(one, dtype=float), columns=list(names)) for one in (answers, *candidates)]
    return Fold(metric, names, frames[0], tuple(frames[1:]), ("",) * ROWS)


def make_fold_of_lists(metric: Metric) -> Fold:
    """Answers of one to two labels; the first candidate guesses the right one early more often."""
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(3)
    answers = [" ".join(map(str, draw.choice(5, 1 + draw.integers(2), replace=False))) for _ in range(ROWS)]
    guesses = [
        [
            " ".join(answer.split()[: 1 + (draw.random() < share)]) if draw.random() < share else "4 3"
            for answer in answers
        ]
        for share in (0.8, 0.5)
    ]
    frames = [pd.DataFrame({"t": cells}) for cells in (answers, *guesses)]
    return Fold(metric, ("t",), frames[0], tuple(frames[1:]), ("",) * ROWS)


def make_fold_of_masks(metric: Metric) -> Fold:
    """Answers of two runs, some of them empty; candidates are shifted, the second one further."""
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(3)
    starts = draw.integers(1, 50, ROWS)

    def masks(shifts: Any) -> pd.DataFrame:
        cells = [
            "" if start % 10 == 0 else f"{start + by} 9 {start + 40 + by} 20"
            for start, by in zip(starts, shifts, strict=True)
        ]
        return pd.DataFrame({"t": cells})

    shifts = [np.zeros(ROWS, int), *(draw.integers(0, most, ROWS) for most in (5, 15))]
    frames = [masks(one) for one in shifts]
    return Fold(metric, ("t",), frames[0], tuple(frames[1:]), ("",) * ROWS)


@pytest.mark.parametrize("name", METRICS)
def test_row_statistics_give_the_score_and_the_noise_of_resampled_rows(name: str) -> None:
    import numpy as np

    fold = make_fold(name)
    for predictions in fold.predictions:
        if fold.metric.row_statistics is None:
            continue
        statistics = fold.metric.row_statistics(fold.answers, predictions, fold.targets)
        whole = statistics.finish(statistics.rows.sum(axis=0)[None, :], np.array([ROWS]))[0]
        assert whole == pytest.approx(score(fold.metric, fold.answers, predictions, fold.targets))
    draw = np.random.default_rng(0)
    scores = []
    for _ in range(150):
        rows = draw.integers(0, ROWS, ROWS)
        pair = (frame.iloc[rows].reset_index(drop=True) for frame in (fold.answers, fold.predictions[0]))
        scores.append(score(fold.metric, *pair, fold.targets))
    assert estimate_noise([fold], draw_scores([fold]))[0] == pytest.approx(np.std(scores), rel=0.25)


@pytest.mark.parametrize("name", METRICS)
def test_the_better_candidate_is_real_whatever_the_direction(name: str) -> None:
    fold = make_fold(name)
    lower = METRICS[name].lower_is_better
    scores, draws = score_candidates([fold, fold]), draw_scores([fold, fold])
    assert compare_candidates(scores, draws, lower).verdict == "real"
    assert compare_candidates(scores, draws, lower, 1, 0).verdict == "worse"
    assert compare_candidates(scores, draws, lower, 0, 0).verdict == "unclear"
    assert compare_candidates(scores, draws, lower).gain > 0


def test_rows_of_one_unit_are_resampled_together() -> None:
    fold = make_fold("accuracy")
    doubled = [row // 2 for row in range(ROWS)]
    alone = replace(
        fold,
        answers=fold.answers.loc[doubled].reset_index(drop=True),
        predictions=tuple(one.loc[doubled].reset_index(drop=True) for one in fold.predictions),
    )
    together = replace(alone, units=tuple(f"u{row}" for row in doubled))
    noises = [estimate_noise([one], draw_scores([one]))[0] for one in (alone, together)]
    assert noises[1] == pytest.approx(2**0.5 * (noises[0] or 0.0), rel=0.2)


def test_a_perfect_score_has_noise() -> None:
    fold = make_fold("accuracy")
    fold = replace(fold, predictions=(fold.answers,))
    (noise,) = estimate_noise([fold], draw_scores([fold]))
    assert 0.5 / ROWS < (noise or 0.0) < 3.0 / ROWS


def test_few_units_are_no_surer_than_their_rows() -> None:
    import numpy as np

    alike, plain = make_fold("mae"), make_fold("mae")
    errors = abs(alike.answers - alike.predictions[0]).to_numpy().mean(axis=1)
    ranks = errors.argsort().argsort()
    same_mean = tuple(f"u{min(rank, ROWS - 1 - rank) % 5}" for rank in ranks)  # every unit has the same errors
    noises = [estimate_noise([one], draw_scores([one]))[0] for one in (plain, replace(alike, units=same_mean))]
    assert noises[1] == pytest.approx(noises[0], rel=0.1)

    units = tuple(f"u{place % 5}" for place in range(ROWS))
    apart = replace(
        alike, predictions=tuple(one + np.arange(ROWS)[:, None] % 5 for one in alike.predictions), units=units
    )
    draws = draw_scores([apart])
    assert estimate_noise([apart], draws)[0] == pytest.approx((5 / 4) ** 0.5 * draws[0].std(ddof=1))
