"""A candidate over several splits: its score, its noise, and whether the first split agrees with the others."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.holdout.blend import Blend, make_blend
from tasks.holdout.private_labels import read_labels
from tasks.holdout.split import Split
from tasks.io.columns import write_columns
from tasks.judging.compare import compare_predictions
from tasks.metrics.bootstrap import score_candidates
from tasks.metrics.folds import pool_rare_classes, rarest_class_rows
from tasks.task import load_task
from tests.benchmarks.rare_classes import count_verdicts, make_fold
from tests.harness.judged_runs import coin, two_numbers

Guess = Callable[[int, str, random.Random], str]
"""A prediction from the index of the fold, the answer and a random generator."""


@pytest.fixture(scope="module")
def blends(tmp_path_factory: pytest.TempPathFactory) -> list[Blend]:
    folder = tmp_path_factory.mktemp("compared")
    task = load_task(two_numbers(folder / "coin", coin))
    return [make_blend(task, 0, folder / f"b{fold}", Split(0, fold)) for fold in range(5)]


def predict(blends: list[Blend], folder: Path, guess: Guess, seed: int = 0) -> list[Path]:
    """A file of predictions of the held-out rows of each blend."""
    paths = []
    for index, blend in enumerate(blends):
        draw = random.Random(f"{seed} {index}")
        answers = read_labels(blend.private_labels / "answers.csv", "a test")
        cells = [guess(index, cell, draw) for cell in answers.column("y")]
        folder.mkdir(exist_ok=True)
        paths.append(folder / f"{index}.csv")
        write_columns(paths[-1], answers.with_column("y", cells))
    return paths


def right_in(share: float) -> Guess:
    return lambda _, cell, draw: cell if draw.random() < share else str(1 - int(cell))


def folders(blends: list[Blend]) -> list[Path]:
    return [blend.folder for blend in blends]


def test_an_honest_gain_is_real_on_every_fold(blends: list[Blend], tmp_path: Path) -> None:
    ours, theirs = (predict(blends, tmp_path / str(share), right_in(share)) for share in (0.8, 0.6))
    compared = compare_predictions(folders(blends), ours, theirs)
    assert compared.share is not None and compared.share > 0.99 and compared.gain == pytest.approx(0.2, abs=0.06)
    assert len(compared.parts) == 5 and len(compared.shares) == 2 and abs(compared.fold_z) < 3
    alone = compare_predictions(folders(blends), ours, [])
    assert (alone.score, alone.noise, alone.gain) == (compared.score, compared.noise, None)


@pytest.mark.parametrize("on_first", [False, True])
def test_a_gain_on_the_first_fold_only_or_on_the_others_only_has_a_large_fold_z(
    on_first: bool, blends: list[Blend], tmp_path: Path
) -> None:
    """A third of the answers memorized shows in the gain on the best so far, not in the scores."""

    def memorized(index: int, cell: str, draw: random.Random) -> str:
        return cell if (index == 0) == on_first and draw.random() < (0.9 if on_first else 0.35) else "0"

    theirs = predict(blends, tmp_path / "base", lambda index, cell, draw: "0")
    compared = compare_predictions(folders(blends), predict(blends, tmp_path / "known", memorized), theirs)
    assert compared.fold_z < -4 if on_first else compared.fold_z > 4, compared.fold_z


def test_folds_of_different_difficulty_have_a_small_fold_z(blends: list[Blend], tmp_path: Path) -> None:
    """Folds of whole groups differ by more than the noise of their rows."""
    shares = (0.55, 0.95, 0.6, 0.97, 0.9)
    ours = predict(blends, tmp_path / "ours", lambda index, cell, draw: right_in(shares[index])(index, cell, draw))
    assert abs(compare_predictions(folders(blends), ours, []).fold_z) < 4


@pytest.mark.parametrize("memorized", [(1, 2, 3, 4), (1,)])
def test_the_score_is_the_first_folds_where_others_beat_it(
    memorized: tuple[int, ...], blends: list[Blend], tmp_path: Path
) -> None:
    """Labels of one fold alone count too, although the folds then differ as much as folds of different kinds do."""

    def partly(index: int, cell: str, draw: random.Random) -> str:
        knows = index in memorized and draw.random() < 0.8 / len(memorized)
        return cell if knows else "0"

    compared = compare_predictions(folders(blends), predict(blends, tmp_path / "known", partly), [])
    shown = compared.protected()
    assert abs(compared.fold_z) < 4 and compared.score > shown.score
    assert (shown.score, shown.noise) == (compared.first_score, compared.first_noise)
    honest = compare_predictions(folders(blends), predict(blends, tmp_path / "honest", right_in(0.7)), [])
    assert honest.protected() is honest


def test_a_best_with_fewer_folds_is_compared_on_those_folds(blends: list[Blend], tmp_path: Path) -> None:
    ours, theirs = (predict(blends, tmp_path / str(share), right_in(share)) for share in (0.8, 0.6))
    all_folds = compare_predictions(folders(blends), ours, theirs[:1])
    first = compare_predictions(folders(blends)[:1], ours[:1], theirs[:1])
    assert (all_folds.gain, all_folds.share, all_folds.shares) == (first.gain, first.share, [])
    assert all_folds.score == compare_predictions(folders(blends), ours, []).score


# ----------------------------------------------------------------------------------------------------- rare classes


def test_folds_with_a_rare_class_are_pooled() -> None:
    folds = [make_fold(positives, 40, seed) for seed, positives in enumerate((1, 0, 2))]
    (pooled,) = pool_rare_classes(folds)
    assert len(pooled.answers) == 120 and rarest_class_rows([pooled]) == 3
    assert 0.5 < score_candidates([pooled])[0] < 1.0, "the fold without positives has no AUC of its own"
    many = [make_fold(15, 40, seed) for seed in range(3)]
    assert pool_rare_classes(many) is many


@pytest.mark.parametrize("positives", [1, 2])
def test_equal_candidates_are_rarely_real_with_few_positives(positives: int) -> None:
    """The first 20 repeats of `tests.benchmarks.rare_classes`, whose gates are 9 % and 90 % of 100."""
    real, covered = count_verdicts(positives, 20)
    assert real <= 2 and covered >= 18
