"""Draw the power curve and the regret of each rule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

WIDTH, HEIGHT, EDGE = 640, 400, 60
COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#7b4fa3", "#8a6d00")
LEAST, MOST = 0.002, 0.1


def draw_power(curve: Mapping[int, Sequence[tuple[float, float]]], path: str) -> None:
    """Write the curves (gain, share called real) by rows as an SVG; a gain of zero is drawn at the left edge."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        lines.append(f'<path d="M{EDGE} {_y(share):.1f}H{WIDTH - EDGE}" stroke="#ddd"/>')
        lines.append(f'<text x="{EDGE - 8}" y="{_y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    for gain in (0.0, 0.005, 0.01, 0.02, 0.04, 0.08):
        label = "none" if gain == 0 else f"{100 * gain:g}"
        lines.append(f'<text x="{_x(gain):.1f}" y="{HEIGHT - EDGE + 18}" text-anchor="middle">{label}</text>')
    lines.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 16}" text-anchor="middle">true gain in points of accuracy</text>')
    lines.append(f'<text x="{EDGE}" y="30">share of verdicts that say real, by held-out rows</text>')
    for (rows, points), colour in zip(curve.items(), COLOURS, strict=False):
        places = " ".join(f"{_x(gain):.1f},{_y(share):.1f}" for gain, share in points)
        lines.append(f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>')
        gain, share = points[len(points) // 2]
        lines.append(f'<text x="{_x(gain) + 6:.1f}" y="{_y(share) - 6:.1f}" fill="{colour}">{rows:,}</text>')
    Path(path).write_text("\n".join([*lines, "</svg>"]) + "\n", encoding="utf-8")


def _x(gain: float) -> float:
    part = math.log(max(gain, LEAST) / LEAST) / math.log(MOST / LEAST)
    return EDGE + part * (WIDTH - 2 * EDGE)


def _y(share: float) -> float:
    return HEIGHT - EDGE - share * (HEIGHT - 2 * EDGE - 10)


def draw_regret(means: Mapping[str, Mapping[str, tuple[float, float]]], path: str) -> None:
    """Write the regret (mean, standard error) of each rule on each data set as an SVG of bars."""
    rules = list(next(iter(means.values()))) if means else []
    most = max([mean + error for rules_of in means.values() for mean, error in rules_of.values()] + [1.0])
    least = min([mean - error for rules_of in means.values() for mean, error in rules_of.values()] + [0.0])
    room = (WIDTH - 2 * EDGE) / max(1, len(means))
    bar = 0.8 * room / max(1, len(rules))

    def height(value: float) -> float:
        return HEIGHT - EDGE - (value - least) / (most - least) * (HEIGHT - 2 * EDGE - 20)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<path d="M{EDGE} {height(0):.1f}H{WIDTH - EDGE}" stroke="#888"/>',
        f'<text x="{EDGE}" y="22">regret in points of accuracy, with one standard error; below 0: better than any '
        "single candidate</text>",
    ]
    for value in range(math.ceil(least), math.floor(most) + 1):
        lines.append(f'<text x="{EDGE - 8}" y="{height(value) + 4:.1f}" text-anchor="end">{value}</text>')
    for at, (name, found) in enumerate(means.items()):
        left = EDGE + at * room + 0.1 * room
        lines.append(f'<text x="{left + 0.4 * room:.1f}" y="{HEIGHT - EDGE + 18}" text-anchor="middle">{name}</text>')
        for place, (mean, error) in enumerate(found.values()):
            x, ends = left + place * bar, sorted((height(0), height(mean)))
            lines.append(
                f'<rect x="{x:.1f}" y="{ends[0]:.1f}" width="{0.9 * bar:.1f}" height="{ends[1] - ends[0]:.1f}" '
                f'fill="{COLOURS[place]}"/>'
            )
            middle = x + 0.45 * bar
            lines.append(
                f'<path d="M{middle:.1f} {height(mean - error):.1f}V{height(mean + error):.1f}" stroke="#222"/>'
            )
    for place, rule in enumerate(rules):
        x = EDGE + place * 110
        lines.append(f'<rect x="{x}" y="{HEIGHT - 24}" width="10" height="10" fill="{COLOURS[place]}"/>')
        lines.append(f'<text x="{x + 14}" y="{HEIGHT - 15}">{rule}</text>')
    Path(path).write_text("\n".join([*lines, "</svg>"]) + "\n", encoding="utf-8")
