"""Luck told apart from progress: candidates that differ by seed alone, planted gains, a searcher that adapts."""

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


def part_of(truth: Any, predictions: list[Any]) -> Fold:
    """Held-out rows as the judge sees them."""
    frames = [pd.DataFrame({"y": np.asarray(one, dtype=float)}) for one in (truth, *predictions)]
    return Fold(ACCURACY, ("y",), frames[0], tuple(frames[1:]), ("",) * len(truth))


def weighed(parts: list[Fold]) -> tuple[PairedGain, bool]:
    """The first candidate against the second over several folds: the verdict, and whether it is promoted."""
    drawn = draw_scores_by_fold(parts)
    found = compare_candidates(score_candidates(parts), average_draws(parts, drawn), False)
    pieces = (slice(1), slice(1, None))
    shares = [
        compare_candidates(score_candidates(parts[at]), average_draws(parts[at], drawn[at]), False).share
        for at in pieces
    ]
    return found, is_promoted(found.verdict, found.share, shares)


def judged(part: Fold) -> tuple[PairedGain, bool]:
    """The same over one blend, whose two halves stand for the two sets of rows."""
    found = compare_candidates(score_candidates([part]), draw_scores([part]), False)
    shares = []
    if found.share >= REPEAT_SHARE:
        halves = [take_half(part, side) for side in (0, 1)]
        shares = [compare_candidates(score_candidates([half]), draw_scores([half]), False).share for half in halves]
    return found, is_promoted(found.verdict, found.share, shares)


def false_real(name: str, candidates: int, seed: int = 0) -> float:
    """A/A: candidates that differ by their seed alone, each against the best so far; the share called real."""
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
        parts = [part_of(y[dealt == fold], [runs[fold], best[fold]]) for fold in range(FOLDS)]
        found, promoted = weighed(parts)
        called += found.verdict == "real"
        best = runs if promoted else best
    return called / max(1, candidates - 1)


def power(draws: int = 200) -> dict[int, list[tuple[float, float]]]:
    """How often a planted gain is called real, by rows and size; 4 % of the rows change sides besides."""
    found: dict[int, list[tuple[float, float]]] = {}
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
                part = part_of(truth, [better, base])
                real += compare_candidates(score_candidates([part]), draw_scores([part]), False).verdict == "real"
            found.setdefault(rows, []).append((gain, real / draws))
    return found


def adaptive(repeat: int, looks: int = 300, rows: int = 500) -> tuple[float, float, int]:
    """Optimism of a searcher that follows what it is told, by plain argmax and by the ladder, on the same rows; and
    how many steps the ladder let it take."""
    generator = np.random.default_rng(repeat)
    features = generator.normal(size=(rows + 20_000, 40))
    truth = (features[:, 0] + 3 * generator.normal(size=len(features)) > 0).astype(float)
    plain, _ = _search(np.random.default_rng(1000 + repeat), features, truth, rows, looks, False)
    return plain, *_search(np.random.default_rng(1000 + repeat), features, truth, rows, looks, True)


def _search(generator: Any, features: Any, truth: Any, rows: int, looks: int, ladders: bool) -> tuple[float, int]:
    weights = generator.normal(size=features.shape[1])
    best, told, steps = weights, -1.0, 0
    for _ in range(looks):
        tried = best + 0.3 * generator.normal(size=len(weights))
        guesses = [(features[:rows] @ one > 0).astype(float) for one in (tried, best)]
        score = float((guesses[0] == truth[:rows]).mean())
        if ladders and told >= 0:
            part = part_of(truth[:rows], guesses)
            if not judged(part)[1]:
                continue
            step = estimate_noise([part], draw_scores([part]))[0] or 0.01
            best, told, steps = tried, round(score, -math.floor(math.log10(step))), steps + 1
        elif score > told:
            best, told, steps = tried, score, steps + 1
    private = float((((features[rows:] @ best) > 0) == truth[rows:]).mean())
    return told - private, steps
