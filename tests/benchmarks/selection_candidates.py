"""Data sets and random scikit-learn pipelines, cheap enough for thousands of fits."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

PRIVATE = 4000
"""Private rows of a generated data set; of the others half is private."""
SLOW_ROWS = 3000
"""Training rows of nearest neighbours and forests, which are the slowest on large tables."""


def datasets() -> dict[str, Callable[[int], tuple[Any, Any]]]:
    """Features and labels of each data set, whole; half (or 4,000 rows) is private."""

    def diabetes(_: int) -> tuple[Any, Any]:
        found = load_diabetes()
        return found.data, (found.target > np.median(found.target)).astype(int)

    def made(rows: int) -> Callable[[int], tuple[Any, Any]]:
        return lambda seed: make_classification(
            rows + PRIVATE, 20, n_informative=8, n_redundant=4, flip_y=0.1, class_sep=0.8, random_state=seed
        )

    return {
        "breast": lambda _: load_breast_cancer(return_X_y=True),
        "diabetes": diabetes,
        "syn400": made(400),
        "digits": lambda _: load_digits(return_X_y=True),
        "syn2000": made(2000),
        "syn20000": made(20_000),
    }


@dataclass(frozen=True)
class Pipeline:
    """One random candidate: a model on a random part of the features."""

    model: Any
    columns: Any
    rows: int | None = None

    def fit(self, features: Any, labels: Any) -> Callable[[Any], Any]:
        """Train on some rows; returns a function that predicts others."""
        fitted = clone(self.model).fit(features[: self.rows, self.columns], labels[: self.rows])
        return lambda wanted: fitted.predict(wanted[:, self.columns])


def random_pipeline(draw: random.Random, width: int, classes: int = 2) -> Pipeline:
    """A pipeline drawn from six families, on 40 to 100 % of the features."""
    seed = draw.randrange(10**6)
    family = draw.randrange(6)
    rounds = draw.choice([10, 20] if classes == 2 else [4, 8])
    model = [
        lambda: make_pipeline(StandardScaler(), LogisticRegression(C=10 ** draw.uniform(-3, 2), max_iter=60)),
        lambda: make_pipeline(StandardScaler(), KNeighborsClassifier(draw.choice([1, 3, 5, 9, 15, 25]))),
        lambda: DecisionTreeClassifier(max_depth=draw.choice([3, 5, 8, None]), random_state=seed),
        lambda: RandomForestClassifier(draw.choice([8, 16]), max_features=draw.uniform(0.2, 0.8), random_state=seed),
        lambda: HistGradientBoostingClassifier(
            max_iter=rounds,
            max_leaf_nodes=draw.choice([6, 12]),
            learning_rate=draw.uniform(0.1, 0.5),
            random_state=seed,
        ),
        lambda: GaussianNB(var_smoothing=10 ** draw.uniform(-9, -1)),
    ][family]()
    count = max(2, round(width * draw.uniform(0.4, 1.0)))
    return Pipeline(model, sorted(draw.sample(range(width), count)), SLOW_ROWS if family in (1, 3) else None)
