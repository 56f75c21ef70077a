"""The power curve as a drawing: how often a planted gain is called real, by its size and the rows it is seen on."""

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
