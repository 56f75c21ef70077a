"""Measures whether a trial of a changed playbook keeps only what helps: the product's trial on simulated scores.

    python -m tests.benchmarks.evolve             measure again (a minute), write figures/evolve.*
    python -m tests.benchmarks.evolve --report    write the page and the figure from figures/evolve.csv

Scores are those of the simulated agent of `ledger_world.py` on 4,000 tasks. The change makes it implement more of its
ideas right. Wrecks: 5 % of the runs of either version end with the score 0.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from context.playbook.betting import Bets, floored, follow
from tests.benchmarks.evolve_figure import draw
from tests.benchmarks.ledger_world import RIGHT, Array, World, play

FIGURES = Path(__file__).parent / "figures"
TASKS, TRIALS = 4_000, 4_000
SHARES = (RIGHT, 0.70, 0.75, 0.80, 0.85, 0.95)
WRECKS = 0.05


@dataclass(frozen=True)
class Line:
    """One change: its effect in standard deviations between runs of a task, and what 4,000 trials made of it."""

    case: str
    effect: float
    kept: float
    reverted: float
    pairs: float


def measure(tasks: int = TASKS, trials: int = TRIALS, seed: int = 22) -> list[Line]:
    """Every change, without and with wrecks."""
    world = World(seed, tasks, 1)
    old, other = (1 - play(world, None, luck=luck).final[:, 0] for luck in (0, 1))
    spread = float(np.sqrt(np.mean((old - other) ** 2) / 2))
    floor = float(np.median(old)) - 1.5 * spread
    lines = []
    for share in SHARES:
        luck = 3 if share == RIGHT else 2
        new = 1 - play(world, None, luck=luck, right=share).final[:, 0]
        effect = float(new.mean() - old.mean()) / spread
        for wrecks in (0.0, WRECKS):
            name = f"{'no change' if share == RIGHT else f'{share:.0%} right'}{', wrecks' if wrecks else ''}"
            random = np.random.default_rng((seed, 8, int(100 * share), int(100 * wrecks)))
            lines.append(_line(name, effect, _differences(new, old, floor, wrecks, trials, random), spread))
    return lines


def _differences(
    new: Array, old: Array, floor: float, wrecks: float, trials: int, random: np.random.Generator
) -> Array:
    """Differences of pairs of runs of the same task, tasks drawn at random."""
    task = random.integers(0, len(old), (trials, 100))
    pair = [scores[task] * (random.random(task.shape) >= wrecks) for scores in (new, old)]
    return np.vectorize(floored)(*pair, floor)


def _line(name: str, effect: float, differences: Array, spread: float) -> Line:
    ends = [follow(Bets(planned=0.5 * spread), one) for one in differences.tolist()]
    kept = np.mean([end.verdict == "kept" for end in ends])
    reverted = np.mean([end.verdict == "reverted" for end in ends])
    pairs = np.mean([end.pairs for end in ends])
    return Line(name, round(effect, 4), round(float(kept), 4), round(float(reverted), 4), round(float(pairs), 2))


def gates(lines: Sequence[Line]) -> list[tuple[str, bool]]:
    """Every gate with its figure, and whether it holds."""
    found = []
    for line in lines:
        if line.case.startswith("no change"):
            found.append((f"{line.case}: kept {line.kept:.1%} of {TRIALS:,}, at most 3 %", line.kept <= 0.03))
            continue
        least = 0.90 if line.effect >= 0.55 else 0.70 if line.effect >= 0.45 else 0.0
        if least and "wrecks" not in line.case:
            found.append(
                (f"{line.case} ({line.effect:.2f} SD): kept {line.kept:.2f}, at least {least}", line.kept >= least)
            )
    for line in lines:
        if "wrecks" in line.case and line.effect >= 0.55:
            text = f"{line.case} ({line.effect:.2f} SD): kept {line.kept:.2f}, at least 0.6"
            found.append((text, line.kept >= 0.6))
    return found


def report(lines: Sequence[Line], figures: Path) -> int:
    """Print and write the page and the figure; 1 if a gate fails."""
    text = [
        "# Trials of a changed playbook, measured",
        "",
        f"{TRIALS:,} trials a line with the product's own code: keep at wealth 20, give up when the mirrored bet "
        "reaches 5, at most 100 pairs, scores floored. Effects in standard deviations between runs of a task.",
        "",
        "| change | effect | kept | given up | pairs |",
        "|---|---|---|---|---|",
        *(
            f"| {one.case} | {one.effect:.2f} | {one.kept:.3f} | {one.reverted:.3f} | {one.pairs:.0f} |"
            for one in lines
        ),
        "",
        *(f"- {'holds' if holds else '**FAILS**'}: {line}" for line, holds in gates(lines)),
    ]
    print("\n".join(text))
    (figures / "evolve.md").write_text("\n".join(text) + "\n", encoding="utf-8")
    curves = {
        name: [(one.effect, one.kept) for one in lines if ("wrecks" in one.case) == is_wrecked]
        for name, is_wrecked in (("kept", False), ("kept, 5 % wrecks", True))
    }
    draw(curves, figures / "evolve.svg")
    return 0 if all(holds for _, holds in gates(lines)) else 1


def read(path: Path) -> list[Line]:
    with path.open(newline="", encoding="utf-8") as file:
        return [Line(case, *map(float, numbers)) for case, *numbers in csv.reader(file)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true")
    if not parser.parse_args().report:
        with (FIGURES / "evolve.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(vars(line).values() for line in measure())
    return report(read(FIGURES / "evolve.csv"), FIGURES)


if __name__ == "__main__":
    raise SystemExit(main())
