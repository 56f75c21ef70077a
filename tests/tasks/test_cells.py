"""Cells are text; only an id that cannot be found as text is looked for as a number."""

from __future__ import annotations

from tasks.cells import Positions


def test_an_id_written_as_a_number_is_found_only_where_it_is_clear() -> None:
    positions = Positions(["7", "8.0", "a", "9", "09"])
    assert [positions.find(name) for name in ("7.0", "8", "a", "9", "09", "9.0", "b", "nan", "1_0")] == [
        *(0, 1, 2, 3, 4),
        *(None, None, None, None),
    ]
