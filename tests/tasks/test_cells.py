"""Cells are text; only an id that cannot be found as text is looked for as a number."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.cells import Positions, read_rows, write_rows
from tasks.columns import read_columns, write_columns


def test_an_id_written_as_a_number_is_found_only_where_it_is_clear() -> None:
    positions = Positions(["7", "8.0", "a", "9", "09"])
    assert [positions.find(name) for name in ("7.0", "8", "a", "9", "09", "9.0", "b", "nan", "1_0")] == [
        *(0, 1, 2, 3, 4),
        *(None, None, None, None),
    ]


cells = st.text(alphabet='ab,"\n\r; é\u2028\x00\x1c0_', max_size=6)
tables = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1))


@given(rows=tables)
@settings(max_examples=300, deadline=None)
def test_a_table_is_written_as_python_writes_it_and_read_back_by_rows_and_by_columns(rows: list[list[str]]) -> None:
    wanted = io.StringIO()
    csv.writer(wanted, lineterminator="\n").writerows(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write_rows(path, rows)
        if "\r" not in wanted.getvalue():  # which Python leaves as it is, and then takes for the end of a row
            assert path.read_bytes().decode() == wanted.getvalue()
        assert list(read_rows(path)) == rows
        assert read_columns(path).rows() == rows
        copy = Path(folder) / "copy.csv"
        write_columns(copy, read_columns(path))
        assert copy.read_bytes() == path.read_bytes()
