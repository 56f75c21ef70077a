"""Measures whether lessons help through their text alone: an agent reads the rendered lessons, and no ids.

    python -m tests.benchmarks.lesson_text

One family, five earlier runs, then a sixth with lessons, without, and with lessons whose words were shuffled among
actions: 40 seeds, paired, by the headroom left on average over 40 attempts. The agent is that of `ledger_world.py` with
50 candidate actions. It knows each action only by its words in the vocabulary, which it looks for in what it reads.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.stats import t

from context.ledger.ledger import Ledger
from context.ledger.render import fits, render_lessons
from context.ledger.types import Evidence, Named, RunRecord
from context.ledger.vocabulary import shipped_vocabulary
from tests.benchmarks.ledger_world import ACTIONS, Array, Outcomes, World, play

FIGURES = Path(__file__).parent / "figures"
SEEDS, EARLIER = 40, 5
LEVEL = 0.05
WORDS = [action for action in shipped_vocabulary().actions if not action.process][:ACTIONS]


class Reader:
    """Runs that read the text of the ledger's lessons. `shuffles`: the last one reads other actions' words."""

    def __init__(self, world: World, shuffles: bool = False) -> None:
        self.world = world
        self.ledgers = [Ledger.in_memory() for _ in range(world.sequences)]
        self.shuffles = shuffles

    def choose(self, sequence: int, run: int, family: int) -> tuple[Array, Array]:
        found = self.ledgers[sequence].select(self.name(sequence, run), "tabular", "tabular/x", fits=fits("tabular"))
        text = render_lessons(found, "tabular")
        do, avoid = np.zeros(ACTIONS, bool), np.zeros(ACTIONS, bool)
        for line in text.splitlines():
            for number, action in enumerate(WORDS):
                do[number] |= line.startswith(f"> do: {action.words}")
                avoid[number] |= line.startswith(f"> avoid: {action.words}")
        if self.shuffles and run == EARLIER:
            order = np.random.default_rng((self.world.seed, sequence)).permutation(ACTIONS)
            return do[order], avoid[order]
        return do, avoid

    def learn(self, sequence: int, run: int, family: int, outcomes: Outcomes) -> None:
        evidence = []
        for action in np.flatnonzero(outcomes.tried):
            fails = outcomes.worse[action] or outcomes.failed[action]
            outcome = "gain" if outcomes.real[action] else "against" if fails else "dry"
            evidence.append(Evidence(WORDS[action].key, outcome))
        record = RunRecord(
            id=self.name(sequence, run),
            task=f"task{run}",
            modality="tabular",
            family="tabular/x",
            evidence=tuple(evidence),
            actions=tuple(Named(WORDS[action].key, WORDS[action].words) for action in np.flatnonzero(outcomes.tried)),
        )
        self.ledgers[sequence].record(record)

    def name(self, sequence: int, run: int) -> str:
        return f"{self.world.seed}-{sequence}-{run}"


def measure(seed: int = 41, seeds: int = SEEDS) -> dict[str, Array]:
    """Regret of the sixth run of every seed: without lessons, with them, with shuffled ones."""
    world = World(seed, seeds, EARLIER + 1, one_family=True)
    conditions = {"empty": None, "ledger": Reader(world), "shuffled": Reader(world, shuffles=True)}
    return {name: play(world, lessons).area[:, EARLIER] for name, lessons in conditions.items()}


def compare(worse: Array, better: Array) -> tuple[float, float, float]:
    """The mean paired gain, in standard deviations of it, and the one-sided p of the t test."""
    difference = worse - better
    deviations = float(difference.mean() / difference.std(ddof=1))
    p = float(t.sf(deviations * np.sqrt(len(difference)), len(difference) - 1))
    return float(difference.mean()), deviations, p


def report(blocks: dict[str, dict[str, Array]]) -> list[str]:
    """The table of blocks of 40 seeds, and over all of them."""
    lines = [
        f"{len(WORDS)} candidate actions, {EARLIER} earlier runs of one family; gain of the sixth run in regret, with "
        f"the one-sided p of a paired t test. With {SEEDS} seeds the test finds this effect in about 9 of 10 blocks.",
        "",
        "| block | seeds | against no lessons | against shuffled lessons |",
        "|---|---|---|---|",
    ]
    names = ("empty", "ledger", "shuffled")
    together = {name: np.concatenate([block[name] for block in blocks.values()]) for name in names}
    for name, block in {**blocks, "all": together}.items():
        cells = [f"{name}", str(len(block["ledger"]))]
        for other in ("empty", "shuffled"):
            gain, deviations, p = compare(block[other], block["ledger"])
            cells.append(f"{gain:+.3f} ({deviations:.2f} SD), p {p:.4f}{'' if p <= LEVEL else ' **not significant**'}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> int:
    """Seven blocks: the first seed that was tried, and six more."""
    first, more = measure(41), measure(43, 6 * SEEDS)
    blocks = {"41": first}
    for place in range(6):
        part = slice(place * SEEDS, (place + 1) * SEEDS)
        blocks[f"43, part {place + 1}"] = {name: regret[part] for name, regret in more.items()}
    lines = ["# Lessons read as text, measured", "", *report(blocks)]
    print("\n".join(lines))
    (FIGURES / "lesson_text.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
