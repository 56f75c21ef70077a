"""The report on the measurements of the final choice: a table, the gates, two figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tests.benchmarks.selection_figure import draw_power, draw_regret

RULES = ("own split", "own CV", "one split", "contract", "pick")
OTHERS = ("adaptive", "power")
ONE_BLEND = "one blend, "
FEWEST_ENSEMBLES = 3
"""With fewer accepted ensembles on a data set there is no standard error to hold their regret against."""
Measured = Mapping[tuple[str, int, int], Sequence[float]]
Pairs = list[tuple[float, float]]
"""(Optimism, regret) in points, one per repeat."""


def report(measured: Measured, figures: Path) -> int:
    """Print and write the table, the gates and the figures; 1 if a gate fails."""
    sets = by_set(measured)
    lines = table(sets)
    verdicts = gates(sets)
    for what, _, size in measured:
        if what.startswith("A/A "):
            share = measured[what, 0, size][0]
            verdicts.append((f"{what}: {share:.1%} of {size - 1} verdicts say real, at most 5 %", share <= 0.05))
    lines += ["", *one_blend_lines(measured, verdicts), *adaptive_lines(measured)]
    curve = power_curve(measured)
    for rows, points in curve.items():
        cells = ", ".join(f"{100 * gain:g} points {share:.0%}" for gain, share in points)
        lines.append(f"A planted gain is called real at {rows:,} rows: {cells}.")
    lines += ["", *(f"- {'holds' if holds else '**FAILS**'}: {line}" for line, holds in verdicts)]
    print("\n".join(lines))
    (figures / "selection.md").write_text("\n".join(["# The choice at the end, measured", "", *lines]) + "\n")
    if curve:
        draw_power(curve, str(figures / "selection_power.svg"))
    means = {
        name: {rule: _mean([pair[1] for pair in pairs]) for rule, pairs in rules.items()}
        for name, rules in sets.items()
    }
    draw_regret(means, str(figures / "selection_regret.svg"))
    return 0 if all(holds for _, holds in verdicts) else 1


def by_set(measured: Measured) -> dict[str, dict[str, Pairs]]:
    """Optimism and regret of each rule on each data set."""
    found: dict[str, dict[str, Pairs]] = {}
    for (what, _, _), numbers in measured.items():
        if what in OTHERS or what.startswith(("A/A ", ONE_BLEND)):
            continue
        top, rules = numbers[0], found.setdefault(what, {rule: [] for rule in RULES})
        for at, rule in enumerate(RULES):
            shown_score, got = numbers[1 + 2 * at : 3 + 2 * at]
            rules[rule].append((100 * (shown_score - got), 100 * (top - got)))
    return found


def table(sets: Mapping[str, Mapping[str, Pairs]]) -> list[str]:
    """Optimism / regret of each rule, in points of accuracy with one standard error."""
    lines = [
        "Optimism / regret in points of accuracy ± one standard error; *pick* is the contract without ensembles.",
        "",
        "| set | repeats | " + " | ".join(RULES) + " |",
        "|---" * (len(RULES) + 2) + "|",
    ]
    for name, rules in sets.items():
        cells = [" / ".join(_cell([pair[at] for pair in rules[rule]]) for at in (0, 1)) for rule in RULES]
        lines.append(f"| {name} | {len(rules[RULES[0]])} | " + " | ".join(cells) + " |")
    return lines


def gates(sets: Mapping[str, Mapping[str, Pairs]]) -> list[tuple[str, bool]]:
    """The gates over all data sets, and whether each holds."""

    def over(rule: str, which: int) -> float:
        return float(np.mean([np.mean([pair[which] for pair in rules[rule]]) for rules in sets.values()]))

    regret, own, shown_score, own_shown = (over(rule, at) for at in (1, 0) for rule in ("contract", "own split"))
    lines = [
        (f"regret {regret:.2f}, at most 0.6 of own split's {own:.2f} (is {regret / own:.2f})", regret <= 0.6 * own),
        (
            f"optimism {shown_score:.2f}, at most a quarter of own split's {own_shown:.2f}",
            shown_score <= 0.25 * own_shown,
        ),
    ]
    # Pessimism on one data set must not offset optimism on another.
    sizes = [
        float(np.mean([abs(np.mean([pair[0] for pair in rules[rule]])) for rules in sets.values()]))
        for rule in ("contract", "own split")
    ]
    line = f"optimism whatever its sign {sizes[0]:.2f}, at most a quarter of {sizes[1]:.2f}"
    lines.append((line, sizes[0] <= 0.25 * sizes[1]))
    for name, rules in sets.items():
        worse, error = _mean([a[1] - b[1] for a, b in zip(rules["contract"], rules["own CV"], strict=True)])
        lines.append((f"{name}: regret {worse:+.2f}±{error:.2f} against honest CV", worse <= error))
    for name, rules in sets.items():
        changed = [a[1] - b[1] for a, b in zip(rules["contract"], rules["pick"], strict=True) if a[1] != b[1]]
        if len(changed) >= FEWEST_ENSEMBLES:
            worse, error = _mean(changed)
            share = f"{len(changed)} of {len(rules['pick'])}"
            lines.append(
                (f"{name}: ensembles ({share}): regret {worse:+.2f}±{error:.2f} against the pick", worse <= error)
            )
    return lines


def one_blend_lines(measured: Measured, verdicts: list[tuple[str, bool]]) -> list[str]:
    """This code on one split, for tables too large for folds, on the same repeats; with the same gate as above."""
    lines = []
    for name in sorted({what.removeprefix(ONE_BLEND) for what, _, _ in measured if what.startswith(ONE_BLEND)}):
        pairs, against = [], []
        for (what, repeat, size), found in measured.items():
            if what == f"{ONE_BLEND}{name}" and (name, repeat, size) in measured:
                (shown_score, got), (top, *numbers) = found, measured[name, repeat, size]
                honest = numbers[2 * RULES.index("own CV") + 1]
                pairs.append((100 * (shown_score - got), 100 * (top - got)))
                against.append(100 * (honest - got))
        optimism, regret = (_cell([pair[at] for pair in pairs]) for at in (0, 1))
        lines.append(f"One blend instead of folds, {name}, {len(pairs)} repeats: {optimism} / {regret}.")
        worse, error = _mean(against)
        verdicts.append((f"{ONE_BLEND}{name}: regret {worse:+.2f}±{error:.2f} against honest CV", worse <= error))
    return lines


def adaptive_lines(measured: Measured) -> list[str]:
    """The optimism of a searcher that follows the reported scores."""
    found = [numbers for (what, _, _), numbers in measured.items() if what == "adaptive"]
    if not found:
        return []
    plain, by_verdicts = (_cell([100 * numbers[at] for numbers in found]) for at in (0, 1))
    steps = np.mean([numbers[2] for numbers in found])
    return [
        f"Adaptive searcher, 300 queries of 500 rows, {len(found)} repeats: optimism {plain} by plain argmax, "
        f"{by_verdicts} by the verdicts, which accepted {steps:.1f} steps."
    ]


def power_curve(measured: Measured) -> dict[int, list[tuple[float, float]]]:
    """(Gain, share called real) by rows."""
    curve: dict[int, list[tuple[float, float]]] = {}
    for (what, _, _), numbers in measured.items():
        for at in range(0, len(numbers) if what == "power" else 0, 3):
            rows, gain, share = numbers[at : at + 3]
            curve.setdefault(int(rows), []).append((gain, share))
    return curve


def _cell(values: Sequence[float]) -> str:
    mean, error = _mean(values)
    return f"{mean:+.2f}±{error:.2f}"


def _mean(values: Sequence[float]) -> tuple[float, float]:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return float(np.mean(values)), spread / len(values) ** 0.5
