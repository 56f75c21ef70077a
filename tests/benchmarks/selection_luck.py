"""Chance or progress: candidates that differ by seed only, planted gains, and an adaptive searcher."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from harness.evaluation.verdict import is_promoted
from tasks.holdout.splitters import assign_folds
from tasks.metrics.bootstrap import (
    REPEAT_SHARE,
    PairedGain,
    average_draws,
    compare_candidates,
    draw_scores,
    draw_scores_by_fold,
    estimate_noise,
    score_candidates,
)
from tasks.metrics.folds import Fold, take_half
from tasks.metrics.registry import METRICS
from tests.benchmarks.selection_candidates import PRIVATE, datasets

ACCURACY = METRICS["accuracy"]
FOLDS = 5


def make_fold(truth: Any, predictions: list[Any]) -> Fold:
    """Held-out rows with the predictions of candidates."""
    frames = [pd.DataFrame({"y": np.asarray(one, dtype=float)}) for one in (truth, *predictions)]
    return Fold(ACCURACY, ("y",), frames[0], tuple(frames[1:]), ("",) * len(truth))


def compare_folds(folds: list[Fold]) -> tuple[PairedGain, bool]:
    """The first candidate against the second over several folds: the gain, and whether it is promoted."""
    draws = draw_scores_by_fold(folds)
    result = compare_candidates(score_candidates(folds), average_draws(folds, draws), False)
    sides = (slice(1), slice(1, None))
    shares = [
        compare_candidates(score_candidates(folds[side]), average_draws(folds[side], draws[side]), False).share
        for side in sides
    ]
    return result, is_promoted(result.verdict, result.share, shares)


def compare_halves(fold: Fold) -> tuple[PairedGain, bool]:
    """The same on one fold, whose two halves are the two sets of rows."""
    result = compare_candidates(score_candidates([fold]), draw_scores([fold]), False)
    shares = []
    if result.share >= REPEAT_SHARE:
        halves = [take_half(fold, side) for side in (0, 1)]
        shares = [compare_candidates(score_candidates([half]), draw_scores([half]), False).share for half in halves]
    return result, is_promoted(result.verdict, result.share, shares)


def false_real(name: str, candidates: int, seed: int = 0) -> float:
    """A/A test: candidates that differ by seed only, each against the best so far; the share of *real* verdicts."""
    features, labels = datasets()[name](seed)
    private = PRIVATE if len(labels) >= PRIVATE + 400 else len(labels) // 2
    train, _, y, _ = train_test_split(features, labels, test_size=private, random_state=seed, stratify=labels)
    dealt = np.array(assign_folds([str(label) for label in y], FOLDS, f"{seed}:a/a", True), dtype=object)
    best: list[Any] = []
    called = 0
    for number in range(candidates):
        runs = []
        for fold in range(FOLDS):
            forest = RandomForestClassifier(12, random_state=number, n_jobs=1)
            runs.append(forest.fit(train[dealt != fold], y[dealt != fold]).predict(train[dealt == fold]))
        if not best:
            best = runs
            continue
        folds = [make_fold(y[dealt == fold], [runs[fold], best[fold]]) for fold in range(FOLDS)]
        result, promoted = compare_folds(folds)
        called += result.verdict == "real"
        best = runs if promoted else best
    return called / max(1, candidates - 1)


def power(draws: int = 200) -> dict[int, list[tuple[float, float]]]:
    """How often a planted gain is *real*, by rows and size; another 4 % of the predictions change."""
    result: dict[int, list[tuple[float, float]]] = {}
    generator = np.random.default_rng(0)
    for rows in (250, 1250, 5000, 20_000):
        for gain in (0.0, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08):
            real = 0
            for _ in range(draws):
                truth = np.zeros(rows)
                chance = generator.random(rows)
                base = (chance < 0.15).astype(float)
                other = generator.random(rows)
                better = np.where(base == 1, other > (gain + 0.02) / 0.15, other < 0.02 / 0.85).astype(float)
                fold = make_fold(truth, [better, base])
                real += compare_candidates(score_candidates([fold]), draw_scores([fold]), False).verdict == "real"
            result.setdefault(rows, []).append((gain, real / draws))
    return result


def adaptive(repeat: int, queries: int = 300, rows: int = 500) -> tuple[float, float, int]:
    """Optimism of a searcher that follows the reported scores: by plain argmax, by the verdicts, and how many steps the
    verdicts accepted."""
    generator = np.random.default_rng(repeat)
    features = generator.normal(size=(rows + 20_000, 40))
    truth = (features[:, 0] + 3 * generator.normal(size=len(features)) > 0).astype(float)
    plain, _ = _search(np.random.default_rng(1000 + repeat), features, truth, rows, queries, False)
    return plain, *_search(np.random.default_rng(1000 + repeat), features, truth, rows, queries, True)


def _search(
    generator: Any, features: Any, truth: Any, rows: int, queries: int, uses_verdicts: bool
) -> tuple[float, int]:
    weights = generator.normal(size=features.shape[1])
    best, shown_score, steps = weights, -1.0, 0
    for _ in range(queries):
        tried = best + 0.3 * generator.normal(size=len(weights))
        guesses = [(features[:rows] @ one > 0).astype(float) for one in (tried, best)]
        score = float((guesses[0] == truth[:rows]).mean())
        if uses_verdicts and shown_score >= 0:
            fold = make_fold(truth[:rows], guesses)
            if not compare_halves(fold)[1]:
                continue
            step = estimate_noise([fold], draw_scores([fold]))[0] or 0.01
            best, shown_score, steps = tried, round(score, -math.floor(math.log10(step))), steps + 1
        elif score > shown_score:
            best, shown_score, steps = tried, score, steps + 1
    private = float((((features[rows:] @ best) > 0) == truth[rows:]).mean())
    return shown_score - private, steps
