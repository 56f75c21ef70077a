"""Draw the share of trials that keep a change, by its effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

WIDTH, HEIGHT, EDGE = 640, 400, 60
COLOURS = ("#1b6ca8", "#c8553d")


def draw(curves: Mapping[str, Sequence[tuple[float, float]]], path: Path) -> None:
    """Write the curves (effect, share kept) as an SVG."""
    most = max(effect for points in curves.values() for effect, _ in points)

    def x(effect: float) -> float:
        return EDGE + max(effect, 0) / most * (WIDTH - 2 * EDGE)

    def y(share: float) -> float:
        return HEIGHT - EDGE - share * (HEIGHT - 2 * EDGE)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{EDGE}" y="24">share of trials that keep the change</text>',
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">effect in SD between runs</text>',
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        lines.append(f'<path d="M{EDGE} {y(share):.1f}H{WIDTH - EDGE}" stroke="#ddd"/>')
        lines.append(f'<text x="{EDGE - 8}" y="{y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    for tenth in range(0, int(most * 10) + 1, 2):
        place = f'x="{x(tenth / 10):.1f}" y="{HEIGHT - EDGE + 18}"'
        lines.append(f'<text {place} text-anchor="middle">{tenth / 10:.1f}</text>')
    for (name, points), colour in zip(curves.items(), COLOURS, strict=True):
        places = " ".join(f"{x(effect):.1f},{y(share):.1f}" for effect, share in points)
        lines.append(f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>')
        effect, share = points[2]
        lines.append(f'<text x="{x(effect) + 8:.1f}" y="{y(share) + 14:.1f}" fill="{colour}">{name}</text>')
    path.write_text("\n".join([*lines, "</svg>"]) + "\n", encoding="utf-8")
