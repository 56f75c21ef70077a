"""Measures whether the ledger helps: the real ledger in a simulated world, against no lessons, an oracle and others'
lessons.

    python -m tests.benchmarks.ledger             measure everything again (minutes), write figures/ledger.*
    python -m tests.benchmarks.ledger --report    write the page and the figure from figures/ledger.csv

A ratio is the headroom left (averaged over the attempts of a run) with lessons, to that without. How far the agent
follows lessons moves the ratios, but hardly the *share of the way* from no lessons to the oracle.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tests.benchmarks.ledger_figure import draw
from tests.benchmarks.ledger_played import AVOIDS_GOOD, TRUE, Real, exposures_until_gone
from tests.benchmarks.ledger_world import NO_TRANSFER, Oracle, Played, World, play

FIGURES = Path(__file__).parent / "figures"
SEEDS = (31, 32, 33)
SEQUENCES = 60
SHORT, LONG = 20, 40
PACK = 6
Curves = Mapping[tuple[int, str], Sequence[float]]
"""Per seed and condition: one number a run, or the figures of planted lessons."""


def measure(seed: int, sequences: int = SEQUENCES, short: int = SHORT, long: int = LONG) -> dict[str, list[float]]:
    """Every condition of one seed: the mean headroom left in each run."""
    world = World(seed, sequences, short)
    found = {"none": _curve(play(world, None)), "oracle": _curve(play(world, Oracle(world)))}
    found["ledger"] = _played(world)
    found["others' lessons"] = _played(world, from_elsewhere=True)
    unrelated = World(seed, sequences, short, NO_TRANSFER)
    found["no transfer: none"] = _curve(play(unrelated, None))
    found["no transfer: ledger"] = _played(unrelated)
    longer = World(seed, sequences, long)
    found["long: none"] = _curve(play(longer, None))
    for name, share in (("pack", 0.0), ("pack, 20 % false", 0.2), ("pack, all false", 1.0)):
        lessons = Real(longer)
        lessons.plant(PACK, share)
        found[name] = _curve(play(longer, lessons))
        found[f"{name}: plants"] = plants(lessons)
        lessons.close()
    return found


def _played(world: World, from_elsewhere: bool = False) -> list[float]:
    lessons = Real(world, remembers=not from_elsewhere)
    curve = _curve(play(world, lessons, from_elsewhere=from_elsewhere))
    lessons.close()
    return curve


def _curve(played: Played) -> list[float]:
    return [round(float(mean), 6) for mean in played.area.mean(0)]


def plants(lessons: Real) -> list[float]:
    """Of planted lessons that were shown: median exposures of false ones until quarantine, the share of them gone
    within six, and the share of true ones in quarantine at the end."""
    seen = lessons.exposures > 0
    is_false = (lessons.planted > TRUE) & (lessons.planted <= AVOIDS_GOOD) & seen
    median, within = exposures_until_gone(lessons.gone_after[is_false], lessons.exposures[is_false])
    true = np.argwhere((lessons.planted == TRUE) & seen)
    locked = [lessons.is_gone(*(int(part) for part in place)) for place in true]
    return [median, round(float(within), 6), round(float(np.mean(locked)), 6) if locked else 0.0]


def mean(curves: Curves, seed: int, condition: str, first: int = 0, last: int | None = None) -> float:
    return float(np.mean(curves[seed, condition][first:last]))


def gates(curves: Curves, seed: int) -> list[tuple[str, bool]]:
    """Every gate with its figure, and whether it holds."""
    late = (seed, 10, None)

    def at(condition: str) -> float:
        return mean(curves, late[0], condition, late[1], late[2])

    none = at("none")
    oracle, ledger, others = (at(name) / none for name in ("oracle", "ledger", "others' lessons"))
    way, way_of_others = (1 - ledger) / (1 - oracle), (1 - others) / (1 - oracle)
    early = mean(curves, seed, "ledger", 0, 3) / mean(curves, seed, "none", 0, 3)
    later = mean(curves, seed, "ledger", 9) / mean(curves, seed, "none", 9)
    no_transfer = mean(curves, seed, "no transfer: ledger") / mean(curves, seed, "no transfer: none")
    long = mean(curves, seed, "long: none")
    poisoned = mean(curves, seed, "pack, 20 % false")
    clean = mean(curves, seed, "pack")
    all_false = [
        mean(curves, seed, "pack, all false", *part) / mean(curves, seed, "long: none", *part)
        for part in ((0, 5), (20, None))
    ]
    median, within, locked = curves[seed, "pack, 20 % false: plants"]
    return [
        _at_most("oracle / none, runs 11 to 20", oracle, 0.85),
        _at_most("ledger / none, runs 11 to 20", ledger, 0.93),
        _at_least("share of the way to the oracle", way, 0.42),
        _at_least("that share minus the one of others' lessons", way - way_of_others, 0.35),
        (f"others' lessons / none {others:.3f}, .95 to 1.04", 0.95 <= others <= 1.04),
        _at_least("ratio in runs 1 to 3 minus ratio in runs 10 to 20", early - later, 0.05),
        _at_most("world without transfer: ledger / none", no_transfer, 1.04),
        _at_most("pack with 20 % false lessons / none", poisoned / long, 0.92),
        _at_most("pack with 20 % false lessons / pack", poisoned / clean, 1.03),
        _at_most("pack of false lessons / none, runs 1 to 5", all_false[0], 1.06),
        _at_most("pack of false lessons / none, runs 21 to 40", all_false[1], 0.94),
        _at_most("median exposures of a false lesson until quarantine", median, 7),
        _at_least("false lessons gone within 6 exposures", within, 0.55),
        _at_most("true lessons in quarantine at the end", locked, 0.22),
    ]


def _at_most(name: str, value: float, bound: float) -> tuple[str, bool]:
    return f"{name} {value:.3g}, at most {bound:g}", value <= bound


def _at_least(name: str, value: float, bound: float) -> tuple[str, bool]:
    return f"{name} {value:.3g}, at least {bound:g}", value >= bound


def report(curves: Curves, figures: Path) -> int:
    """Print and write the page and the figure; 1 if a gate fails."""
    seeds = sorted({seed for seed, _ in curves})
    lines = [
        "# The ledger, measured",
        "",
        f"{len(seeds)} worlds of {SEQUENCES} sequences; one SQLite ledger per sequence, driven as a run drives it. "
        "Regret is the headroom left, averaged over the attempts of a run, as a ratio to runs without lessons.",
        "",
        "| runs | " + " | ".join(CONDITIONS) + " |",
        "|---" * (len(CONDITIONS) + 1) + "|",
    ]
    for first, last in ((0, 1), (1, 3), (3, 5), (5, 10), (10, 20), (20, 40)):
        cells = [_cell(curves, seeds, name, base, first, last) for name, base in CONDITIONS.items()]
        lines.append(f"| {first + 1}{f' to {last}' if last > first + 1 else ''} | " + " | ".join(cells) + " |")
    holds_all = True
    for seed in seeds:
        lines += ["", f"World {seed}:", ""]
        for line, holds in gates(curves, seed):
            lines.append(f"- {'holds' if holds else '**FAILS**'}: {line}")
            holds_all &= holds
    print("\n".join(lines))
    (figures / "ledger.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    drawn = {name: ratio_curve(curves, seeds, name, base) for name, base in CONDITIONS.items()}
    draw(drawn, figures / "ledger.svg")
    return 0 if holds_all else 1


CONDITIONS = {
    "oracle": "none",
    "ledger": "none",
    "others' lessons": "none",
    "pack": "long: none",
    "pack, 20 % false": "long: none",
    "pack, all false": "long: none",
}
"""Each condition and the one it is compared with."""


def ratio_curve(curves: Curves, seeds: Sequence[int], name: str, base: str) -> list[float]:
    """The ratio of each run, over all worlds."""
    top = np.mean([curves[seed, name] for seed in seeds], 0)
    bottom = np.mean([curves[seed, base] for seed in seeds], 0)
    return [float(one) for one in top / bottom]


def _cell(curves: Curves, seeds: Sequence[int], name: str, base: str, first: int, last: int) -> str:
    if len(curves[seeds[0], name]) <= first:
        return ""
    return f"{np.mean([mean(curves, s, name, first, last) / mean(curves, s, base, first, last) for s in seeds]):.3f}"


def read(path: Path) -> dict[tuple[int, str], list[float]]:
    with path.open(newline="", encoding="utf-8") as file:
        return {(int(seed), name): [float(one) for one in numbers] for seed, name, *numbers in csv.reader(file)}


def write(curves: Curves, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(
            [seed, name, *numbers] for (seed, name), numbers in curves.items()
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true")
    if not parser.parse_args().report:
        write({(seed, name): curve for seed in SEEDS for name, curve in measure(seed).items()}, FIGURES / "ledger.csv")
    return report(read(FIGURES / "ledger.csv"), FIGURES)


if __name__ == "__main__":
    raise SystemExit(main())
