"""How often equally good candidates are called real, and their noise is right, with few positive rows per fold.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.rare_classes [--repeats 100]

Four folds of 50 rows with one or two positives each. When each fold was scored by itself, 29 and 10 of 100 pairs of
equal candidates were called real. Gates: at most 9 % are, and the noise covers the true AUC in at least 90 %.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import pandas as pd

from tasks.metrics.bootstrap import compare_candidates, draw_scores, estimate_noise, score_candidates
from tasks.metrics.folds import Fold, pool_rare_classes, rarest_class_rows
from tasks.metrics.registry import METRICS

TRUE_AUC = 0.736
MOST_REAL, LEAST_COVERED = 0.09, 0.9


def make_fold(positives: int, rows: int, seed: int, candidates: int = 2) -> Fold:
    """A fold with few positive rows, and candidates that rank them equally well."""
    draw = np.random.default_rng(seed)
    answers = (np.arange(rows) < positives).astype(float)
    base = answers + draw.normal(size=rows)
    predictions = [pd.DataFrame({"y": base + 0.5 * draw.normal(size=rows)}) for _ in range(candidates)]
    return Fold(METRICS["roc_auc"], ("y",), pd.DataFrame({"y": answers}), tuple(predictions), ("",) * rows)


def count_verdicts(positives: int, repeats: int) -> tuple[int, int]:
    """In how many repeats the first candidate is called real, and in how many two noises cover the true AUC."""
    real = covered = 0
    for repeat in range(repeats):
        folds = pool_rare_classes([make_fold(positives, 50, 1000 * repeat + index) for index in range(4)])
        scores, draws = score_candidates(folds), draw_scores(folds)
        real += compare_candidates(scores, draws, False, rarest=rarest_class_rows(folds)).verdict == "real"
        noise = estimate_noise(folds, draws)[0]
        covered += noise is not None and abs(scores[0] - TRUE_AUC) < 2 * noise
    return real, covered


def main() -> int:
    """Measure, print, and check the gates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=100)
    repeats = parser.parse_args().repeats
    failed = False
    for positives in (1, 2):
        real, covered = count_verdicts(positives, repeats)
        print(f"{positives} positives per fold: {real} of {repeats} real, noise covers {covered} of {repeats}")
        failed |= real > MOST_REAL * repeats or covered < LEAST_COVERED * repeats
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
