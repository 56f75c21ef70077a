"""Search policies compared on simulated tasks: how far a run's final pick stays below the best reachable score.

    python -m tests.benchmarks.search [--tasks 600] [--jobs 2] [--sigma 0.08] [--only tree,lanes,...]

Drives the policy classes of `harness/search/` with a scripted engineer (`scripted_search.py`) on generated tasks
(`landscapes.py`). Prints mean regret and its ratio to `greedy`, with standard errors, and fails where a gate is missed.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import Pool

import numpy as np

from harness.search.greedy import Greedy
from harness.search.moves import Move
from harness.search.policy import Policy
from harness.search.state import SearchState
from harness.search.tree import Tree
from tests.benchmarks.landscapes import GROUPS
from tests.benchmarks.scripted_search import Game, play

FIRST_SEED = 400_000
"""No constant was chosen on tasks from here on."""
BLOCK = 50


@dataclass(frozen=True)
class RandomParent:
    """Three drafts, then any result: what a policy must beat."""

    def choose(self, state: SearchState, seed: int) -> Move:
        """See `Policy.choose`."""
        if not state.results or sum(trial.kind == "draft" for trial in state.trials) < 3:
            return Move("draft")
        return Move("improve", (random.Random(seed).choice(state.results).commit,))


@dataclass(frozen=True)
class Entry:
    """One row of a table: a policy, the game it plays, and whether the engineer knows the best family."""

    policy: Policy
    game: Game
    knows_best: bool = False


@dataclass(frozen=True)
class Gate:
    """A bound on the ratio of two entries in one group of tasks."""

    entry: str
    against: str
    group: str
    bound: float
    is_most: bool = True


def entries(sigma: float) -> dict[str, Entry]:
    """All rows by name."""
    table: dict[str, Entry] = {}
    for budget in (20, 40, 80):
        game = Game(budget, sigma)
        table[f"greedy {budget}"] = Entry(Greedy(), game)
        table[f"greedy by score {budget}"] = Entry(Greedy(by_score=True), game)
        table[f"tree {budget}"] = Entry(Tree(), game)
        table[f"tree, wishes {budget}"] = Entry(Tree(), Game(budget, sigma, wishes=0.3))
        table[f"random {budget}"] = Entry(RandomParent(), game)
        table[f"oracle {budget}"] = Entry(Greedy(by_score=True), game, knows_best=True)
    table["two lanes 40"] = Entry(Tree(), Game(40, sigma, lanes=2, slowdown=4 / 3))
    return table


GATES = (
    *(Gate("tree 40", "greedy 40", group, bound) for group, bound in zip(GROUPS, (0.95, 1.0, 0.97), strict=True)),
    *(Gate("tree 80", "greedy 80", group, bound) for group, bound in zip(GROUPS, (0.82, 0.90, 0.90), strict=True)),
    *(Gate("random 40", "greedy 40", group, 1.05, is_most=False) for group in GROUPS),
    *(Gate("oracle 80", "greedy 80", group, 0.90) for group in GROUPS),
    *(Gate("two lanes 40", "tree 40", group, 0.92) for group in GROUPS),
)


def measure(table: dict[str, Entry], tasks: int, jobs: int) -> dict[tuple[str, str], np.ndarray]:
    """The regret of every entry on every task, by entry and group."""
    work = [
        (name, entry, group, first, min(first + BLOCK, FIRST_SEED + tasks))
        for name, entry in table.items()
        for group in GROUPS
        for first in range(FIRST_SEED, FIRST_SEED + tasks, BLOCK)
    ]
    found: dict[tuple[str, str], list[float]] = {}
    with Pool(jobs) as pool:
        for name, group, regrets in pool.imap(_play_block, work):
            found.setdefault((name, group), []).extend(regrets)
    return {key: np.array(values) for key, values in found.items()}


def _play_block(work: tuple[str, Entry, str, int, int]) -> tuple[str, str, list[float]]:
    name, entry, group, first, last = work
    regrets = [play(group, seed, entry.policy, entry.game, knows_best=entry.knows_best) for seed in range(first, last)]
    return name, group, regrets


def ratio(found: dict[tuple[str, str], np.ndarray], entry: str, against: str, group: str) -> tuple[float, float]:
    """The ratio of two mean regrets, and its standard error over the tasks, which are paired."""
    ours, theirs = found[entry, group], found[against, group]
    value = ours.mean() / theirs.mean()
    return float(value), float((ours - value * theirs).std() / np.sqrt(len(ours)) / theirs.mean())


def report(found: dict[tuple[str, str], np.ndarray], names: Sequence[str]) -> None:
    """Print mean regrets and ratios to greedy of the same length."""
    print("| policy, attempts | " + " | ".join(f"{group}: regret (x greedy)" for group in GROUPS) + " |")
    print("|---|" + "---|" * len(GROUPS))
    for name in names:
        against = f"greedy {name.rsplit(' ', 1)[1]}"
        cells = []
        for group in GROUPS:
            value, error = ratio(found, name, against, group) if (against, group) in found else (np.nan, np.nan)
            cells.append(f"{found[name, group].mean():.3f} ({value:.2f} ± {error:.2f})")
        print(f"| {name} | " + " | ".join(cells) + " |")


def missed(found: dict[tuple[str, str], np.ndarray]) -> list[str]:
    """The gates that are missed, one line each; those whose entries were measured are printed."""
    lines = []
    for gate in GATES:
        if (gate.entry, gate.group) in found and (gate.against, gate.group) in found:
            value, error = ratio(found, gate.entry, gate.against, gate.group)
            holds = value <= gate.bound if gate.is_most else value >= gate.bound
            sign = "<=" if gate.is_most else ">="
            line = f"{gate.entry} / {gate.against}, {gate.group}: {value:.3f} ± {error:.3f} {sign} {gate.bound}"
            print(f"{'ok    ' if holds else 'MISSED'} {line}")
            lines += [] if holds else [line]
    return lines


def main() -> int:
    """Measure, print, and return 1 if a gate is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=600, help="simulated tasks in each group")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--sigma", type=float, default=0.08, help="noise of a score, as a share of the headroom")
    parser.add_argument("--only", default="", help="rows whose name begins with one of these, separated by commas")
    options = parser.parse_args()
    table = entries(options.sigma)
    wanted = tuple(filter(None, options.only.split(",")))
    table = {name: entry for name, entry in table.items() if not wanted or name.startswith(wanted)}
    found = measure(table, options.tasks, options.jobs)
    report(found, list(table))
    return 1 if missed(found) else 0


if __name__ == "__main__":
    sys.exit(main())
