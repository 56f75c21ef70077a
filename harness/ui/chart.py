"""The best score over the run's time as a chart of a few lines of text, with the medal lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"
LINE = "┄"


def chart(
    points: Sequence[tuple[float, float]],
    end: float,
    lines: Mapping[str, float],
    lower_is_better: bool,
    width: int,
    height: int = 3,
) -> list[str]:
    """Rows of text: a step curve through `points` (time, best score from then on) up to time `end`, better scores
    higher; `lines` are drawn where the curve leaves room, with their names at the right. Empty without a point."""
    if not points or width < 8:
        return []
    sign = -1.0 if lower_is_better else 1.0
    names = {name: sign * value for name, value in lines.items()}
    values = [sign * value for _, value in points]
    low, high = min([*values, *names.values()]), max([*values, *names.values()])
    span = (high - low) or 1.0
    steps = height * (len(BLOCKS) - 1)

    def level(value: float) -> int:
        return 1 + round((steps - 1) * (value - low) / span)

    columns = [_value_at(points, end * (column + 1) / width) for column in range(width)]
    levels = [None if value is None else level(sign * value) for value in columns]
    rows = []
    for row in reversed(range(height)):
        here = [name for name, value in names.items() if (level(value) - 1) * height // steps == row]
        cells = [_cell(value, row, bool(here)) for value in levels]
        label = ", ".join(f"{name} {lines[name]:.4g}" for name in here)
        rows.append(f"{''.join(cells)} {label}".rstrip())
    return rows


def _value_at(points: Sequence[tuple[float, float]], moment: float) -> float | None:
    """The best score at a moment; None before the first one."""
    return next((value for at, value in reversed(points) if at <= moment), None)


def _cell(level: int | None, row: int, has_line: bool) -> str:
    per_row = len(BLOCKS) - 1
    filled = 0 if level is None else max(0, min(per_row, level - row * per_row))
    return BLOCKS[filled] if filled else LINE if has_line else " "
