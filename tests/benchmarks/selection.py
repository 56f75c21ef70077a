"""Measures the final choice: optimism and regret of several selection rules on real scikit-learn pipelines.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.selection [--minutes 60] [--report | --check]

*Optimism*: the reported score minus the private score of the submission. *Regret*: the private score of the best single
candidate minus that of the submission. Each repeat appends a line to figures/selection.csv and is not measured again.
`--report` measures nothing, checks the gates and draws the figures; `--check` repeats three lines and compares them.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from harness.evaluation.final_selection import MAX_REFIT_DISTANCE
from tasks.holdout.splitters import assign_folds
from tasks.judging.select_final import choose
from tasks.metrics.bootstrap import compare_candidates, draw_scores, score_candidates
from tasks.metrics.folds import Fold
from tests.benchmarks.selection_candidates import PRIVATE, datasets, random_pipeline
from tests.benchmarks.selection_luck import FOLDS, adaptive, compare_folds, compare_halves, false_real, make_fold, power
from tests.benchmarks.selection_report import ONE_BLEND, RULES, report

FINALISTS = 5
LARGE = ("syn2000", "syn20000")
"""Data sets with enough rows to take one tenth for the search and another for the pick."""
FIGURES = Path(__file__).parent / "figures"
CHECKED = ("breast", "diabetes", f"{ONE_BLEND}syn2000")
COLUMNS = ("what", "repeat", "size", "seconds", "numbers")


class Bench:
    """One repeat on one data set: training rows, private rows, and candidates."""

    def __init__(self, features: Any, labels: Any, count: int, seed: int) -> None:
        private = PRIVATE if len(labels) >= PRIVATE + 400 else len(labels) // 2
        self.train, self.private, self.y, self.truth = train_test_split(
            features, labels, test_size=private, random_state=seed, stratify=labels
        )
        self.seed, self.known = seed, np.unique(labels)
        draw = random.Random(seed)
        self.pipelines = [random_pipeline(draw, features.shape[1], len(self.known)) for _ in range(count)]
        fitted = [one.fit(self.train, self.y) for one in self.pipelines]
        self.final = [self._score(predict(self.private)) for predict in fitted]

    def _score(self, predicted: Any) -> float:
        return float((predicted == self.truth).mean())

    def parts(self, seed: str, count: int = FOLDS) -> list[Any]:
        dealt = np.array(
            assign_folds([str(label) for label in self.y], count, f"{self.seed}:{seed}", True), dtype=object
        )
        return [np.flatnonzero(dealt == part) for part in range(count)]

    def run(self, at: int, held: Any) -> tuple[Any, Callable[[Any], Any]]:
        """Predictions of held-out rows after training on the others, and a function that predicts any rows."""
        mask = np.ones(len(self.y), dtype=bool)
        mask[held] = False
        predict = self.pipelines[at].fit(self.train[mask], self.y[mask])
        return predict(self.train[held]), predict

    def on_rows(self, at: int, held: Any) -> float:
        return float((self.run(at, held)[0] == self.y[held]).mean())

    def rules(self) -> dict[str, tuple[float, float]]:
        """Reported and private score of the submission by each rule; `pick` is this code without ensembles.

        Every candidate's own 80/20 split is the first fold of its own cross-validation, which saves a fit.
        """
        own = [[self.on_rows(at, held) for held in self.parts(f"{at}:own")] for at in range(len(self.pipelines))]
        one = self.parts("one", 10)[0]
        found = {
            "own split": self._argmax([scores[0] for scores in own]),
            "own CV": self._argmax([float(np.mean(scores)) for scores in own]),
            "one split": self._argmax([self.on_rows(at, one) for at in range(len(self.pipelines))]),
        }
        return found | self.contract()

    def _argmax(self, scores: Sequence[float]) -> tuple[float, float]:
        best = int(np.argmax(scores))
        return scores[best], self.final[best]

    def contract(self) -> dict[str, tuple[float, float]]:
        """This code: verdicts one after the other, folds, finalists on fresh folds, an ensemble if accepted."""
        own, fresh = self.parts("held out"), self.parts("fresh 1")
        ran: dict[int, list[Any]] = {}
        best: int | None = None
        for at in range(len(self.pipelines)):
            runs = [self.run(at, own[0])]
            if best is not None:
                first = self._parts(own[:1], [runs, ran[best]])
                if compare_candidates(score_candidates(first), draw_scores(first), False).verdict == "worse":
                    continue
            runs += [self.run(at, held) for held in own[1:]]
            if best is None or compare_folds(self._parts(own, [runs, ran[best]]))[1]:
                best = at
            ran[at] = runs
        assert best is not None
        scores = {at: score_candidates(self._parts(own, [runs]))[0] for at, runs in ran.items()}
        finalists = sorted(scores, key=lambda at: (-scores[at], at != best))[:FINALISTS]
        finalists = finalists if best in finalists else [best, *finalists[:-1]]
        again = {at: [self.run(at, held) for held in fresh] for at in finalists}
        search = self._parts(own, [ran[at] for at in finalists])
        judging = self._parts(fresh, [again[at] for at in finalists])
        found = choose(search, judging, "fresh")
        single = [float(at == found.pick) for at in range(len(finalists))]
        votes = [self._votes([*ran[at], *again[at]]) for at in finalists]
        private = [
            self._score(self.known[sum(w * v for w, v in zip(weights, votes, strict=True)).argmax(axis=1)])
            for weights in (found.weights, single)
        ]
        return {"contract": (found.estimate or 0.0, private[0]), "pick": (found.judged[found.pick], private[1])}

    def one_blend(self) -> tuple[float, float]:
        """This code on one split: verdicts on a tenth of the rows, finalists on a fresh fifth, the report on another
        tenth, the refit."""
        held, select, *_ = self.parts("one blend", 10)
        ran: dict[int, list[Any]] = {}
        best: int | None = None
        for at in range(len(self.pipelines)):
            _, predict = self.run(at, np.concatenate([held, select]))
            ran[at] = [predict(self.train[rows]) for rows in (held, select)] + [predict(self.private)]
            if best is None or compare_halves(make_fold(self.y[held], [ran[at][0], ran[best][0]]))[1]:
                best = at
        scores = {at: score_candidates([make_fold(self.y[held], [one[0]])])[0] for at, one in ran.items()}
        finalists = sorted(scores, key=lambda at: (-scores[at], at != best))[:FINALISTS]
        finalists = finalists if best in finalists else [best or 0, *finalists[:-1]]
        search, reporting = (
            make_fold(self.y[rows], [ran[at][place] for at in finalists]) for place, rows in enumerate((held, select))
        )
        other = np.concatenate(self.parts("one blend again", 10)[:2])
        again = {at: self.run(at, other) for at in finalists}
        judging = make_fold(self.y[other], [again[at][0] for at in finalists])
        found = choose([search], [judging], "fresh", [reporting])
        members = {at: weight for at, weight in zip(finalists, found.weights, strict=True) if weight}
        before, refit, usual = (
            self._voted({at: predict(at) for at in members}, members)
            for predict in (
                lambda at: ran[at][2],
                lambda at: self.pipelines[at].fit(self.train, self.y)(self.private),
                lambda at: again[at][1](self.private),
            )
        )
        is_taken = (before != refit).mean() <= MAX_REFIT_DISTANCE * (before != usual).mean()
        return found.estimate or 0.0, self._score(refit if is_taken else before)

    def _voted(self, guesses: dict[int, Any], weights: dict[int, float]) -> Any:
        votes = sum(weight * (guesses[at][:, None] == self.known) for at, weight in weights.items())
        return self.known[np.asarray(votes).argmax(axis=1)]

    def _parts(self, folds: list[Any], runs: list[list[Any]]) -> list[Fold]:
        return [
            make_fold(self.y[held], [candidate[number][0] for candidate in runs]) for number, held in enumerate(folds)
        ]

    def _votes(self, runs: list[Any]) -> Any:
        return sum(((predict(self.private)[:, None] == self.known).astype(float) for _, predict in runs), start=0.0)


def selected(name: str, repeat: int, pipelines: int) -> list[float]:
    """One repeat on one data set: the best single candidate's private score, then reported and private of each rule."""
    bench = Bench(*datasets()[name](repeat), pipelines, repeat)
    found = bench.rules()
    return [max(bench.final), *(number for rule in RULES for number in found[rule])]


def on_one_blend(name: str, repeat: int, pipelines: int) -> list[float]:
    """The same repeat on one split: reported and private score."""
    return list(Bench(*datasets()[name](repeat), pipelines, repeat).one_blend())


def measure_line(what: str, repeat: int, pipelines: int) -> list[float]:
    """The numbers of a data set, or of one blend of it."""
    name = what.removeprefix(ONE_BLEND)
    return (selected if name == what else on_one_blend)(name, repeat, pipelines)


def check(measured: dict[tuple[str, int, int], list[float]], pipelines: int) -> int:
    """Measure repeat 0 of three lines again; 1 where a number differs from the record."""
    differing = []
    for what in CHECKED:
        pairs = zip(measure_line(what, 0, pipelines), measured[what, 0, pipelines], strict=True)
        if any(abs(now - before) > 1e-4 for now, before in pairs):
            differing.append(what)
    print(f"differ from the record: {', '.join(differing) or 'none'} of {', '.join(CHECKED)}")
    return int(bool(differing))


def work(pipelines: int, repeats: int, candidates: int) -> list[tuple[str, int, int, Callable[[], list[float]]]]:
    """All measurements, ordered by repeat, so that an early end leaves all data sets with equal repeats."""
    from functools import partial

    tasks: list[tuple[str, int, int, Callable[[], list[float]]]] = []
    for repeat in range(repeats):
        for name in datasets():
            tasks.append((name, repeat, pipelines, partial(selected, name, repeat, pipelines)))
        for name in LARGE:
            tasks.append((f"{ONE_BLEND}{name}", repeat, pipelines, partial(on_one_blend, name, repeat, pipelines)))
        tasks.append(("adaptive", repeat, 300, lambda repeat=repeat: list(adaptive(repeat))))
        if repeat < 2:
            name = ("digits", "syn2000")[repeat]
            tasks.append((f"A/A {name}", 0, candidates, lambda name=name: [false_real(name, candidates)]))
        if repeat == 1:
            tasks.append(("power", 0, 200, lambda: [x for line in _lines(power()) for x in line]))
    return tasks


def _lines(curve: dict[int, list[tuple[float, float]]]) -> list[tuple[float, float, float]]:
    return [(float(rows), *point) for rows, points in curve.items() for point in points]


def read(path: Path) -> dict[tuple[str, int, int], list[float]]:
    """The recorded measurements."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {
            (row["what"], int(row["repeat"]), int(row["size"])): [float(one) for one in row["numbers"].split()]
            for row in csv.DictReader(file)
        }


def measure(path: Path, tasks: list[tuple[str, int, int, Callable[[], list[float]]]], seconds: float) -> None:
    """Measure what is not recorded yet until the time is over; a started measurement is finished."""
    done, begun = read(path), time.monotonic()
    with path.open("a", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        if not done:
            out.writerow(COLUMNS)
        for what, repeat, size, task in tasks:
            if (what, repeat, size) in done or time.monotonic() - begun > seconds:
                continue
            started = time.process_time()
            numbers = " ".join(f"{number:.6g}" for number in task())
            out.writerow((what, repeat, size, f"{time.process_time() - started:.1f}", numbers))
            file.flush()


def main() -> int:
    """Measure for a while, print, and check the gates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pipelines", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=24 * 60)
    parser.add_argument("--figures", type=Path, default=FIGURES)
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    path = options.figures / "selection.csv"
    if options.check:
        return check(read(path), options.pipelines)
    if not options.report:
        tasks = work(options.pipelines, options.repeats, options.candidates)
        measure(path, tasks, 60 * options.minutes)
    return report(read(path), options.figures)


if __name__ == "__main__":
    sys.exit(main())
