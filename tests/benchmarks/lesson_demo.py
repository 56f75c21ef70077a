"""Measures whether lessons help the demo model, which reads them in its window as any model does.

    python -m tests.benchmarks.lesson_demo             measure again (minutes), write figures/lesson_demo.*
    python -m tests.benchmarks.lesson_demo --report    write the page from figures/lesson_demo.csv

Each seed: five runs of one family that learn from each other, then a sixth with their ledger, with an empty one, and
with their ledger after its words were exchanged between lessons. Everything is the product's own: the demo model's
replies to the rendered first message, search policy and moves, state, record of a run, patches read with the
vocabulary, ledger, selection, rendering. Only the scores are simulated: how good an idea is, is 70 % the family's and
30 % the task's. The area is the true quality of the best solution so far, averaged over 40 attempts.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from pathlib import Path

import numpy as np

from context.ledger.database import writing
from context.ledger.ledger import Ledger
from tests.benchmarks.lesson_game import Game, Task
from tests.benchmarks.lesson_ideas import ACTION_OF
from tests.benchmarks.lesson_text import LEVEL, compare

FIGURES = Path(__file__).parent / "figures"
SEEDS, EARLIER = 40, 5
CONDITIONS = ("empty", "ledger", "shuffled")


def play_seed(seed: int, credit: Counter[str] | None = None, attempts: int = 40) -> dict[str, float]:
    """The area of the sixth run of one seed in each condition. `credit` counts right and wrong credit."""
    with Ledger.in_memory() as ledger, Ledger.in_memory() as other, Ledger.in_memory() as empty:
        for number in range(EARLIER):
            record = Game(Task(seed, number), ledger, attempts).play()
            ledger.record(record)
            other.record(record)
            if credit is not None:
                for one in record.evidence:
                    idea = "" if one.is_process else Task.idea_of(one.commit_after)
                    credit["process" if one.is_process else _judge(one.action, idea)] += 1
        shuffle_words(other, seed)
        areas = {}
        for name, used in zip(CONDITIONS, (empty, ledger, other), strict=True):
            game = Game(Task(seed, EARLIER), used, attempts)
            game.play()
            areas[name] = game.area
        return areas


def _judge(action: str, tag: str) -> str:
    """Whether an action is what the demo model did under a tag."""
    if tag.startswith("blend of "):
        return "right" if action == "ensemble.average" else "wrong"
    if tag == "safe":
        return "right" if action == "model.forest" else "wrong"
    name = tag.removesuffix(" tuned")
    return "right" if action == (ACTION_OF.get(name) if name == tag else "training.tuning") else "wrong"


def shuffle_words(ledger: Ledger, seed: int) -> None:
    """Exchange the words of lessons, each by a recorded operation: records and order stay, their meaning does not."""
    lessons = ledger.lessons()
    order = np.random.default_rng((seed, 99)).permutation(len(lessons))
    with writing(ledger.database, ledger.path):
        for lesson, place in zip(lessons, order, strict=True):
            changes = {name: getattr(lessons[place], name) for name in ("words", "situation", "reason")}
            ledger.change(lesson, "edit", changes, "person")


def report(rows: dict[str, list[float]], credit: Counter[str]) -> list[str]:
    """The page."""
    areas = {name: np.array(rows[name]) for name in CONDITIONS}
    lines = [
        "# The demo model with lessons, measured",
        "",
        f"{len(ACTION_OF)} candidate ideas, {EARLIER} earlier runs of one family, {len(areas['ledger'])} seeds; area "
        "under the curve of the best solution's quality (standard deviations between ideas); one-sided paired t test.",
        "",
        "| ledger of five runs | area | against an empty one | against shuffled lessons |",
        "|---|---|---|---|",
    ]
    cells = []
    for other in ("empty", "shuffled"):
        gain, deviations, p = compare(-areas[other], -areas["ledger"])
        t = deviations * len(areas["ledger"]) ** 0.5
        cells.append(f"{gain:+.3f} ({deviations:.2f} SD, t {t:.2f}, p {p:.2g}{'' if p <= LEVEL else ', **missed**'})")
    means = ", ".join(f"{name} {areas[name].mean():.3f}" for name in CONDITIONS)
    lines += [f"| | {means} | {' | '.join(cells)} |", ""]
    told = credit["right"] + credit["wrong"]
    lines.append(
        f"Evidence about {told} actions in the earlier runs, {credit['wrong'] / max(told, 1):.1%} of it about "
        f"an action that the change was not; {credit['process']} about the process."
    )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    options = parser.parse_args()
    path = FIGURES / "lesson_demo.csv"
    if not options.report:
        credit: Counter[str] = Counter()
        found = [play_seed(seed, credit) for seed in range(options.seeds)]
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([name, *(round(one[name], 5) for one in found)] for name in CONDITIONS)
            writer.writerow(["credit", *(credit[kind] for kind in ("right", "wrong", "process"))])
    lines = report(*read(path))
    print("\n".join(lines))
    (FIGURES / "lesson_demo.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


def read(path: Path) -> tuple[dict[str, list[float]], Counter[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = {name: [float(one) for one in numbers] for name, *numbers in csv.reader(file)}
    credit = dict(zip(("right", "wrong", "process"), map(int, rows.pop("credit")), strict=True))
    return rows, Counter(credit)


if __name__ == "__main__":
    raise SystemExit(main())
