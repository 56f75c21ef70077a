"""The bootstrap knows how sure a score is: its sums are the metric, its spread is that of draws scored anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tasks.metrics.bootstrap import Part, compare, drawn_scores, noise_of, scores_of
from tasks.metrics.registry import METRICS, score
from tasks.metrics.row_statistics import row_sums

ROWS = 400


def tables(name: str) -> Part:
    """Answers and two candidates, the second one worse, in a form the metric takes."""
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(3)
    width = 3 if name == "log_loss" else 2
    if METRICS[name].needs == "labels":
        wanted: Any = draw.integers(0, 4, (ROWS, width))
        given = [np.where(draw.random((ROWS, width)) < share, wanted, 1) for share in (0.8, 0.6)]
    elif name == "log_loss":
        wanted = np.eye(width)[draw.integers(0, width, ROWS)]
        given = [np.clip(wanted * weight + draw.random((ROWS, width)) * 0.5, 0.01, 1) for weight in (0.45, 0.2)]
    elif METRICS[name].needs == "scores":
        wanted = draw.integers(0, 2, (ROWS, width))
        given = [np.clip(wanted * weight + draw.random((ROWS, width)) * 0.6, 0.01, 0.99) for weight in (0.35, 0.1)]
    else:
        wanted = 1 + 5 * draw.random((ROWS, width))
        given = [abs(wanted + spread * draw.normal(size=(ROWS, width))) for spread in (0.5, 0.9)]
    names = tuple(f"t{at}" for at in range(width))
    frames = [pd.DataFrame(np.asarray(one, dtype=float), columns=list(names)) for one in (wanted, *given)]
    return Part(METRICS[name], names, frames[0], tuple(frames[1:]), ("",) * ROWS)


@pytest.mark.parametrize("name", METRICS)
def test_sums_over_all_rows_are_the_metric_and_their_spread_is_that_of_drawing_anew(name: str) -> None:
    import numpy as np

    part = tables(name)
    for given in part.given:
        sums = row_sums(part.metric, part.answers, given, part.targets)
        assert sums is not None
        found = sums.finish(sums.rows.sum(axis=0)[None, :], np.array([ROWS]))[0]
        assert found == pytest.approx(score(part.metric, part.answers, given, part.targets))
    draw = np.random.default_rng(0)
    anew = []
    for _ in range(150):
        rows = draw.integers(0, ROWS, ROWS)
        pair = (frame.iloc[rows].reset_index(drop=True) for frame in (part.answers, part.given[0]))
        anew.append(score(part.metric, *pair, part.targets))
    assert noise_of([part], drawn_scores([part]))[0] == pytest.approx(np.std(anew), rel=0.25)


@pytest.mark.parametrize("name", METRICS)
def test_the_better_candidate_is_called_so_whatever_the_direction(name: str) -> None:
    part = tables(name)
    lower = METRICS[name].lower_is_better
    scores, drawn = scores_of([part, part]), drawn_scores([part, part])
    assert compare(scores, drawn, lower).verdict == "real"
    assert compare(scores, drawn, lower, 1, 0).verdict == "worse"
    assert compare(scores, drawn, lower, 0, 0).verdict == "unclear"
    assert compare(scores, drawn, lower).gain > 0


def test_rows_of_one_unit_are_drawn_together() -> None:
    part = tables("accuracy")
    halves = tuple(f"u{at // 2}" for at in range(ROWS))
    twin = replace(
        part,
        answers=part.answers.loc[[at // 2 for at in range(ROWS)]].reset_index(drop=True),
        given=tuple(one.loc[[at // 2 for at in range(ROWS)]].reset_index(drop=True) for one in part.given),
    )
    alone, together = (noise_of([one], drawn_scores([one]))[0] for one in (twin, replace(twin, units=halves)))
    assert together == pytest.approx(2**0.5 * (alone or 0.0), rel=0.2)


def test_a_perfect_score_has_noise_too() -> None:
    part = tables("accuracy")
    part = replace(part, given=(part.answers,))
    (noise,) = noise_of([part], drawn_scores([part]))
    assert 0.5 / ROWS < (noise or 0.0) < 3.0 / ROWS
