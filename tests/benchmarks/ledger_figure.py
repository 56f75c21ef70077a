"""Draw regret over runs, relative to runs without lessons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

WIDTH, HEIGHT, EDGE = 640, 400, 60
COLOURS = ("#3a7d44", "#1b6ca8", "#888888", "#7b4fa3", "#c8553d", "#8a6d00")
LOW, HIGH = 0.75, 1.1


def draw(curves: Mapping[str, Sequence[float]], path: Path) -> None:
    """Write the curves (one ratio per run) as an SVG, smoothed over three runs."""
    longest = max(len(curve) for curve in curves.values())

    def x(run: float) -> float:
        return EDGE + run / (longest - 1) * (WIDTH - 2 * EDGE)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{EDGE}" y="24">regret of a run relative to no lessons</text>',
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">run of the sequence</text>',
    ]
    for value in (0.8, 0.9, 1.0, 1.1):
        lines.append(f'<path d="M{EDGE} {_y(value):.1f}H{WIDTH - EDGE}" stroke="#ddd"/>')
        lines.append(f'<text x="{EDGE - 8}" y="{_y(value) + 4:.1f}" text-anchor="end">{value:.1f}</text>')
    for run in range(0, longest, 5):
        label = run or 1
        lines.append(f'<text x="{x(label - 1):.1f}" y="{HEIGHT - EDGE + 18}" text-anchor="middle">{label}</text>')
    for curve, colour in zip(curves.values(), COLOURS, strict=False):
        smooth = [sum(curve[max(0, at - 1) : at + 2]) / len(curve[max(0, at - 1) : at + 2]) for at in range(len(curve))]
        places = " ".join(f"{x(run):.1f},{_y(value):.1f}" for run, value in enumerate(smooth))
        lines.append(f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>')
    for place, (name, colour) in enumerate(zip(curves, COLOURS, strict=False)):
        left, top = EDGE + place % 3 * 180, 44 + place // 3 * 18
        lines.append(f'<rect x="{left}" y="{top - 9}" width="10" height="10" fill="{colour}"/>')
        lines.append(f'<text x="{left + 14}" y="{top}">{name}</text>')
    path.write_text("\n".join([*lines, "</svg>"]) + "\n", encoding="utf-8")


def _y(value: float) -> float:
    return HEIGHT - EDGE - (value - LOW) / (HIGH - LOW) * (HEIGHT - 2 * EDGE - 20)
