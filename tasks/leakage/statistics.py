"""What the leak sentinel counts with: two tables, their columns as numbers and ranks, and what it says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.io.csv_text import Row, as_number

SURE = 4.5
"""Standard errors from which on a rank statistic is no chance, with a few hundred columns looked at."""


@dataclass(frozen=True)
class Finding:
    """One warning. `kind` is a word for it, `says` a sentence with numbers."""

    kind: str
    says: str
    is_fair: bool = True


@dataclass(frozen=True)
class Tables:
    """Train and test rows as text (header first), the id column, the target, and the columns of group and time."""

    train: Sequence[Row]
    test: Sequence[Row]
    id: str
    target: str
    group: str | None = None
    time: str | None = None


def column(rows: Sequence[Row], name: str) -> list[str]:
    """The cells of a column."""
    at = rows[0].index(name)
    return [row[at] for row in rows[1:]]


def shared(tables: Tables) -> list[str]:
    """The columns that both tables have, but for the id."""
    return [name for name in tables.train[0] if name in tables.test[0] and name != tables.id]


def numbers(cells: Sequence[str]) -> list[float] | None:
    """The cells as floats, missing ones as the median; None where some are words."""
    found = [as_number(cell) if cell.strip() else None for cell in cells]
    known = sorted(float(one) for one in found if one is not None)
    if not known or any(
        one is None and cell.strip() not in ("", "NA", "nan", "NaN") for one, cell in zip(found, cells, strict=True)
    ):
        return None
    middle = known[len(known) // 2]
    return [middle if one is None else float(one) for one in found]
