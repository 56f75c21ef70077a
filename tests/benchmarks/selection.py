"""Does the contract pick well? Real scikit-learn pipelines, no model: optimism and regret of four ways to choose.

    python -m tests.benchmarks.selection [--pipelines 60] [--repeats 20] [--sets breast,diabetes,...] [--figure FILE]

*Optimism*: the score told minus the private score of what is handed in. *Regret*: the private score of the best single
candidate minus that. The last lines hold the gates against the measured numbers.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from tasks.metrics import METRICS
from tasks.resampling import Part, compare, drawn_scores, noise_of, scores_of
from tasks.selection import choose
from tasks.splitting import deal_rows
from tests.benchmarks.selection_figure import draw_power

ACCURACY = METRICS["accuracy"]
FOLDS, FINALISTS, PRIVATE = 5, 5, 4000
RULES = ("own split", "own CV", "one split", "contract")


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

    def predict(self, features: Any, labels: Any, wanted: Any) -> Any:
        """Labels predicted after training on some rows."""
        from sklearn.base import clone

        return clone(self.model).fit(features[:, self.columns], labels).predict(wanted[:, self.columns])


def random_pipeline(draw: random.Random, width: int) -> Pipeline:
    """A pipeline drawn from seven families, on 40 to 100 % of the features."""
    seed = draw.randrange(10**6)
    model = draw.choice(
        [
            lambda: make_pipeline(StandardScaler(), LogisticRegression(C=10 ** draw.uniform(-3, 2), max_iter=300)),
            lambda: make_pipeline(StandardScaler(), KNeighborsClassifier(draw.choice([1, 3, 5, 9, 15, 25]))),
            lambda: DecisionTreeClassifier(max_depth=draw.choice([3, 5, 8, None]), random_state=seed),
            lambda: RandomForestClassifier(
                draw.choice([15, 40]), max_features=draw.uniform(0.2, 0.8), random_state=seed
            ),
            lambda: HistGradientBoostingClassifier(
                max_iter=draw.choice([15, 40]), learning_rate=draw.uniform(0.05, 0.3), random_state=seed
            ),
            lambda: GaussianNB(var_smoothing=10 ** draw.uniform(-9, -1)),
        ]
    )()
    count = max(2, round(width * draw.uniform(0.4, 1.0)))
    return Pipeline(model, sorted(draw.sample(range(width), count)))


class Bench:
    """One repeat on one data set: a train half, a private half, and the candidates' predictions of both."""

    def __init__(self, features: Any, labels: Any, count: int, seed: int) -> None:
        private = PRIVATE if len(labels) >= PRIVATE + 400 else len(labels) // 2
        self.train, self.private, self.y, self.truth = train_test_split(
            features, labels, test_size=private, random_state=seed, stratify=labels
        )
        self.seed = seed
        draw = random.Random(seed)
        self.pipelines = [random_pipeline(draw, features.shape[1]) for _ in range(count)]
        self.final = [self._score(one.predict(self.train, self.y, self.private)) for one in self.pipelines]

    def _score(self, predicted: Any) -> float:
        return float((predicted == self.truth).mean())

    def parts(self, seed: str, count: int = FOLDS) -> list[Any]:
        dealt = np.array(deal_rows([str(label) for label in self.y], count, seed, True), dtype=object)
        return [np.flatnonzero(dealt == part) for part in range(count)]

    def run(self, at: int, held: Any) -> tuple[Any, Any]:
        """Predictions of held-out and private rows after training on the others."""
        mask = np.ones(len(self.y), dtype=bool)
        mask[held] = False
        wanted = np.vstack([self.train[held], self.private])
        found = self.pipelines[at].predict(self.train[mask], self.y[mask], wanted)
        return found[: len(held)], found[len(held) :]

    # ------------------------------------------------------------------------------------------- the ways to choose

    def own_split(self) -> tuple[float, float]:
        """Every candidate's own 80/20 split; the best printed score wins."""
        told = []
        for at in range(len(self.pipelines)):
            held = self.parts(f"{self.seed}:{at}:own")[0]
            told.append(float((self.run(at, held)[0] == self.y[held]).mean()))
        return self._argmax(told)

    def own_cv(self) -> tuple[float, float]:
        """Every candidate's own honest five folds; the best mean wins."""
        told = []
        for at in range(len(self.pipelines)):
            folds = self.parts(f"{self.seed}:{at}:cv")
            told.append(float(np.mean([(self.run(at, held)[0] == self.y[held]).mean() for held in folds])))
        return self._argmax(told)

    def one_split(self) -> tuple[float, float]:
        """One 10 % split for all; the best score wins."""
        held = self.parts(f"{self.seed}:one", 10)[0]
        told = [float((self.run(at, held)[0] == self.y[held]).mean()) for at in range(len(self.pipelines))]
        return self._argmax(told)

    def _argmax(self, told: Sequence[float]) -> tuple[float, float]:
        best = int(np.argmax(told))
        return told[best], self.final[best]

    def contract(self) -> tuple[float, float, float, float]:
        """This code: verdicts in turn, folds, finalists on fresh folds, an ensemble where they agree.

        Told and private score of what is handed in, and of the single pick.
        """
        own, fresh = self.parts(f"{self.seed}:held out"), self.parts(f"{self.seed}:fresh 1")
        ran: dict[int, list[tuple[Any, Any]]] = {}
        best: int | None = None
        for at in range(len(self.pipelines)):
            runs = [self.run(at, own[0])]
            if best is not None and self._against(own[:1], runs, ran[best][:1]).verdict == "worse":
                continue
            runs += [self.run(at, held) for held in own[1:]]
            ran[at] = runs
            if best is None or self._is_promoted(own, runs, ran[best]):
                best = at
        assert best is not None
        scores = {at: scores_of(self._parts(own, [runs]))[0] for at, runs in ran.items()}
        finalists = sorted(scores, key=lambda at: (-scores[at], at != best))[:FINALISTS]
        finalists = finalists if best in finalists else [best, *finalists[:-1]]
        again = {at: [self.run(at, held) for held in fresh] for at in finalists}
        search = self._parts(own, [ran[at] for at in finalists])
        judging = self._parts(fresh, [again[at] for at in finalists])
        found = choose(search, judging, "fresh")
        told = found.ensemble_score if found.is_ensemble else found.judged[found.pick]
        single = [float(at == found.pick) for at in range(len(finalists))]
        private = [self._handed_in(finalists, ran, again, weights) for weights in (found.weights, single)]
        return float(told or 0.0), private[0], found.judged[found.pick], private[1]

    def _is_promoted(self, own: list[Any], ours: list[Any], theirs: list[Any]) -> bool:
        whole = self._against(own, ours, theirs)
        if whole.verdict != "unclear":
            return whole.verdict == "real"
        sides = [self._against(own[side], ours[side], theirs[side]).share for side in (slice(1), slice(1, None))]
        return whole.share >= 0.75 and all(share > 0.5 for share in sides)

    def _against(self, folds: list[Any], ours: list[Any], theirs: list[Any]) -> Any:
        parts = self._parts(folds, [ours, theirs])
        return compare(scores_of(parts), drawn_scores(parts), False)

    def _parts(self, folds: list[Any], runs: list[list[tuple[Any, Any]]]) -> list[Part]:
        return [
            part_of(self.y[held], [candidate[number][0] for candidate in runs]) for number, held in enumerate(folds)
        ]

    def _handed_in(self, finalists: list[int], ran: Any, again: Any, weights: Sequence[float]) -> float:
        known = np.unique(self.y)
        votes = np.zeros((len(self.truth), len(known)))
        for at, weight in zip(finalists, weights, strict=True):
            for _, predicted in [*ran[at], *again[at]]:
                votes += weight * (predicted[:, None] == known)
        return self._score(known[votes.argmax(axis=1)])


def part_of(truth: Any, given: Sequence[Any]) -> Part:
    """Held-out rows as the judge sees them."""
    frames = [pd.DataFrame({"y": np.asarray(one, dtype=float)}) for one in (truth, *given)]
    return Part(ACCURACY, ("y",), frames[0], tuple(frames[1:]), ("",) * len(truth))


# ------------------------------------------------------------------------------- false alarms, power, an adaptive one


def false_real(candidates: int, seed: int = 0) -> dict[str, float]:
    """A/A: candidates that differ by their seed alone, each against the best so far; the share called real."""
    shares = {}
    for name in ("digits", "syn2000"):
        features, labels = datasets()[name](seed)
        bench = Bench(features, labels, 0, seed)
        own = bench.parts("a/a")
        best, called = None, 0
        for number in range(candidates):
            forest = RandomForestClassifier(12, random_state=number, n_jobs=1)
            bench.pipelines = [Pipeline(forest, list(range(features.shape[1])))]
            runs = [bench.run(0, held) for held in own]
            if best is None:
                best = runs
                continue
            called += bench._against(own, runs, best).verdict == "real"
            best = runs if bench._is_promoted(own, runs, best) else best
        shares[name] = called / max(1, candidates - 1)
    return shares


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
                real += compare(scores_of([part]), drawn_scores([part]), False).verdict == "real"
            found.setdefault(rows, []).append((gain, real / draws))
    return found


def adaptive(looks: int = 300, repeats: int = 10, rows: int = 500) -> tuple[list[float], list[float]]:
    """Optimism of a searcher that follows what it is told, by plain argmax and by the ladder, on the same rows."""
    plain, ladder = [], []
    for repeat in range(repeats):
        generator = np.random.default_rng(repeat)
        features = generator.normal(size=(rows + 20_000, 40))
        truth = (features[:, 0] + 3 * generator.normal(size=len(features)) > 0).astype(float)
        for ladders, found in ((False, plain), (True, ladder)):
            found.append(_search(np.random.default_rng(1000 + repeat), features, truth, rows, looks, ladders))
    return plain, ladder


def _search(generator: Any, features: Any, truth: Any, rows: int, looks: int, ladders: bool) -> float:
    weights = generator.normal(size=features.shape[1])
    best, told = weights, -1.0
    for _ in range(looks):
        tried = best + 0.3 * generator.normal(size=len(weights))
        guesses = [(features[:rows] @ one > 0).astype(float) for one in (tried, best)]
        score = float((guesses[0] == truth[:rows]).mean())
        if ladders and told >= 0:
            parts = [part_of(truth[:rows], guesses)]
            scores, drawn = scores_of(parts), drawn_scores(parts)
            found = compare(scores, drawn, False)
            half = rows // 5
            sides = [
                part_of(truth[:rows][side], [one[side] for one in guesses]) for side in (slice(half), slice(half, rows))
            ]
            twice = all(compare(scores_of([p]), drawn_scores([p]), False).share > 0.5 for p in sides)
            if found.verdict == "real" or (found.verdict == "unclear" and found.share >= 0.75 and twice):
                step = noise_of(parts, drawn)[0] or 0.01
                digits = -math.floor(math.log10(step))
                best, told = tried, round(score, digits)
        elif score > told:
            best, told = tried, score
    private = float((((features[rows:] @ best) > 0) == truth[rows:]).mean())
    return told - private


# -------------------------------------------------------------------------------------------------------- the report


def measure(names: Sequence[str], pipelines: int, repeats: int) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """(Optimism, regret) of each rule on each data set, a pair a repeat; `pick` is the contract without ensembles."""
    measured: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for name in names:
        rules: dict[str, list[tuple[float, float]]] = {rule: [] for rule in (*RULES, "pick")}
        begun = time.monotonic()
        for repeat in range(repeats):
            bench = Bench(*datasets()[name](repeat), pipelines, repeat)
            top = max(bench.final)
            for rule, (told, got) in zip(RULES, (bench.own_split(), bench.own_cv(), bench.one_split()), strict=False):
                rules[rule].append((told - got, top - got))
            told, got, told_pick, got_pick = bench.contract()
            rules["contract"].append((told - got, top - got))
            rules["pick"].append((told_pick - got_pick, top - got_pick))
        measured[name] = rules
        cells = [f"{rule} {_cell(pairs, 0)} / {_cell(pairs, 1)}" for rule, pairs in rules.items()]
        print(f"{name}: {'; '.join(cells)} ({time.monotonic() - begun:.0f} s)", flush=True)
    return measured


def _cell(pairs: Sequence[tuple[float, float]], which: int) -> str:
    mean, error = _mean([100 * pair[which] for pair in pairs])
    return f"{mean:+.2f}±{error:.2f}"


def _mean(values: Sequence[float]) -> tuple[float, float]:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return float(np.mean(values)), spread / len(values) ** 0.5


def gates(measured: dict[str, dict[str, list[tuple[float, float]]]]) -> list[tuple[str, bool]]:
    """The gates over all data sets."""

    def over(rule: str, which: int) -> list[float]:
        return [100 * float(np.mean([pair[which] for pair in rules[rule]])) for rules in measured.values()]

    regret, own = float(np.mean(over("contract", 1))), float(np.mean(over("own split", 1)))
    told, own_told = float(np.mean(over("contract", 0))), float(np.mean(over("own split", 0)))
    lines = [
        (f"regret {regret:.2f}, at most 0.6 of own split's {own:.2f}", regret <= 0.6 * own),
        (f"optimism {told:.2f}, at most a quarter of own split's {own_told:.2f}", told <= 0.25 * own_told),
    ]
    for name, rules in measured.items():
        worse, error = _mean([100 * (a[1] - b[1]) for a, b in zip(rules["contract"], rules["own CV"], strict=True)])
        lines.append((f"{name}: regret {worse:+.2f}±{error:.2f} against honest CV", worse <= error))
        changed = [(a[1], b[1]) for a, b in zip(rules["contract"], rules["pick"], strict=True) if a != b]
        if changed:
            worse, error = _mean([100 * (a - b) for a, b in changed])
            lines.append(
                (f"{name}: ensembles ({len(changed)}) {worse:+.2f}±{error:.2f} against the pick", worse <= error)
            )
    return lines


def main() -> int:
    """Measure, print, and say which gates hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelines", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--sets", default="breast,diabetes,syn400,digits,syn2000,syn20000")
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--figure", default="")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    print(f"{options.pipelines} pipelines, {options.repeats} repeats; optimism / regret in points, ± standard error")
    lines = gates(measure(options.sets.split(","), options.pipelines, options.repeats))
    shares = false_real(options.candidates)
    lines += [
        (f"A/A {name}: {share:.1%} of {options.candidates - 1} called real", share <= 0.05)
        for name, share in shares.items()
    ]
    plain, ladder = adaptive()
    for name, found in (("plain argmax", plain), ("the ladder", ladder)):
        mean, error = _mean([100 * one for one in found])
        print(f"adaptive searcher, 300 looks, 500 rows, {name}: optimism {mean:+.2f}±{error:.2f}")
    curve = power()
    for rows, points in curve.items():
        print(f"power at {rows} rows: " + ", ".join(f"{100 * gain:g} points {share:.0%}" for gain, share in points))
    if options.figure:
        draw_power(curve, options.figure)
    for line, holds in lines:
        print(f"{'holds' if holds else 'FAILS'}: {line}")
    return 0 if all(holds for _, holds in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
