"""A candidate is weighed over several blends: its score, its luck, and whether one blend says what the others say."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.holdout.blend import Blend, make_blend
from tasks.holdout.private_labels import read_labels
from tasks.holdout.recipe import Split
from tasks.io.columns import write_columns
from tasks.judging.compare import weigh
from tasks.metrics.bootstrap import Part, compare, drawn_scores, noise_of, pooled, rarest, scores_of
from tasks.metrics.registry import METRICS
from tasks.task import load_task
from tests.harness.judged_runs import coin, two_numbers

Guess = Callable[[int, str, random.Random], str]
"""A prediction from the blend's number, the answer and luck."""


@pytest.fixture(scope="module")
def blends(tmp_path_factory: pytest.TempPathFactory) -> list[Blend]:
    folder = tmp_path_factory.mktemp("weighed")
    task = load_task(two_numbers(folder / "coin", coin))
    return [make_blend(task, 0, folder / f"b{part}", Split(0, part)) for part in range(5)]


def predicted(blends: list[Blend], folder: Path, guess: Guess, seed: int = 0) -> list[Path]:
    """A file of predictions of the held-out rows of each blend."""
    paths = []
    for number, blend in enumerate(blends):
        draw = random.Random(f"{seed} {number}")
        answers = read_labels(blend.private_labels / "answers.csv", "a test")
        cells = [guess(number, cell, draw) for cell in answers.column("y")]
        folder.mkdir(exist_ok=True)
        paths.append(folder / f"{number}.csv")
        write_columns(paths[-1], answers.with_column("y", cells))
    return paths


def hit(share: float) -> Guess:
    return lambda _, cell, draw: cell if draw.random() < share else str(1 - int(cell))


def folders(blends: list[Blend]) -> list[Path]:
    return [blend.folder for blend in blends]


def test_an_honest_gain_is_real_and_the_same_everywhere(blends: list[Blend], tmp_path: Path) -> None:
    ours, theirs = (predicted(blends, tmp_path / str(share), hit(share)) for share in (0.8, 0.6))
    found = weigh(folders(blends), ours, theirs)
    assert found.share is not None and found.share > 0.99 and found.gain == pytest.approx(0.2, abs=0.06)
    assert len(found.parts) == 5 and len(found.shares) == 2 and abs(found.fold_z) < 3
    alone = weigh(folders(blends), ours, [])
    assert (alone.score, alone.noise, alone.gain) == (found.score, found.noise, None)


@pytest.mark.parametrize("turned", [False, True])
def test_what_holds_on_the_first_blend_only_or_on_the_others_only_is_apart(
    turned: bool, blends: list[Blend], tmp_path: Path
) -> None:
    """A quarter of the answers known by heart: too few for the scores, not for the gain on the best so far."""

    def knowing(number: int, cell: str, draw: random.Random) -> str:
        return cell if (number == 0) == turned and draw.random() < (0.9 if turned else 0.25) else "0"

    theirs = predicted(blends, tmp_path / "base", lambda number, cell, draw: "0")
    found = weigh(folders(blends), predicted(blends, tmp_path / "known", knowing), theirs)
    assert found.fold_z < -4 if turned else found.fold_z > 4, found.fold_z


def test_folds_that_are_not_of_one_kind_raise_no_alarm(blends: list[Blend], tmp_path: Path) -> None:
    """Folds of whole groups: what is easy in one is hard in another, and no row by itself tells."""
    shares = (0.55, 0.95, 0.6, 0.97, 0.9)
    ours = predicted(blends, tmp_path / "ours", lambda number, cell, draw: hit(shares[number])(number, cell, draw))
    assert abs(weigh(folders(blends), ours, []).fold_z) < 4


def test_a_best_so_far_of_fewer_blends_is_compared_on_those_alone(blends: list[Blend], tmp_path: Path) -> None:
    ours, theirs = (predicted(blends, tmp_path / str(share), hit(share)) for share in (0.8, 0.6))
    found, first = weigh(folders(blends), ours, theirs[:1]), weigh(folders(blends)[:1], ours[:1], theirs[:1])
    assert (found.gain, found.share, found.shares) == (first.gain, first.share, [])
    assert found.score == weigh(folders(blends), ours, []).score


# ----------------------------------------------------------------------------------------------------- a rare class


def ranked(positives: int, rows: int, seed: int, count: int = 2) -> Part:
    """Rows of which a few are positive, and candidates that rank them somewhat, all equally well."""
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(seed)
    wanted = (np.arange(rows) < positives).astype(float)
    base = wanted + draw.normal(size=rows)
    given = [pd.DataFrame({"y": base + 0.5 * draw.normal(size=rows)}) for _ in range(count)]
    return Part(METRICS["roc_auc"], ("y",), pd.DataFrame({"y": wanted}), tuple(given), ("",) * rows)


def test_parts_with_a_rare_class_are_ranked_as_one() -> None:
    parts = [ranked(count, 40, seed) for seed, count in enumerate((1, 0, 2))]
    (one,) = pooled(parts)
    assert len(one.answers) == 120 and rarest([one]) == 3
    assert 0.5 < scores_of([one])[0] < 1.0, "a part without the class has no area of its own"
    plenty = [ranked(15, 40, seed) for seed in range(3)]
    assert pooled(plenty) is plenty


@pytest.mark.parametrize("positives", [1, 2])
def test_a_rare_class_makes_no_verdict_and_tells_its_noise(positives: int) -> None:
    """Candidates that are equally good: of parts averaged one by one, 29 and 10 of 100 pairs were called real."""
    called = covered = 0
    for seed in range(100):
        parts = pooled([ranked(positives, 50, 1000 * seed + part) for part in range(4)])
        scores, drawn = scores_of(parts), drawn_scores(parts)
        called += compare(scores, drawn, False, rarest=rarest(parts)).verdict == "real"
        noise = noise_of(parts, drawn)[0]
        covered += noise is not None and abs(scores[0] - 0.736) < 2 * noise
    assert called <= 9
    assert covered >= 90
