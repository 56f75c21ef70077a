"""What the leak checks share: findings, a pair of tables, and columns as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.io.csv_text import Row, as_number

MIN_STANDARD_ERRORS = 4.5
"""From here on a rank statistic is not chance, with a few hundred columns checked."""


@dataclass(frozen=True)
class Finding:
    """One warning. `kind` names it, `message` is a sentence with numbers.

    `agent_may_see`: it follows from public data alone, not from held-out labels.
    """

    kind: str
    message: str
    agent_may_see: bool = True


@dataclass(frozen=True)
class Tables:
    """Train and test rows as text (header first), and the names of the id, target, group and time columns.

    `hides_ids`: a run shows other ids than these.
    """

    train: Sequence[Row]
    test: Sequence[Row]
    id: str
    target: str
    group: str | None = None
    time: str | None = None
    hides_ids: bool = False


def column(rows: Sequence[Row], name: str) -> list[str]:
    """The cells of a column."""
    index = rows[0].index(name)
    return [row[index] for row in rows[1:]]


def shared_columns(tables: Tables) -> list[str]:
    """The columns that both tables have, except the id."""
    return [name for name in tables.train[0] if name in tables.test[0] and name != tables.id]


def numbers(cells: Sequence[str]) -> list[float] | None:
    """The cells as floats, missing ones as the median; None if some cells are text."""
    values = [as_number(cell) if cell.strip() else None for cell in cells]
    present = sorted(float(value) for value in values if value is not None)
    if not present or any(
        value is None and cell.strip() not in ("", "NA", "nan", "NaN")
        for value, cell in zip(values, cells, strict=True)
    ):
        return None
    median = present[len(present) // 2]
    return [median if value is None else float(value) for value in values]
