"""Cells are text; only an id that cannot be found as text is looked for as a number."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.cells import Positions, TableError, read_columns, read_rows, rows_of, write_rows
from tasks.checking import Format, _as_wanted, _collect


def test_an_id_written_as_a_number_is_found_only_where_it_is_clear() -> None:
    positions = Positions(["7", "8.0", "a", "9", "09"])
    assert [positions.find(name) for name in ("7.0", "8", "a", "9", "09", "9.0", "b", "nan", "1_0")] == [
        *(0, 1, 2, 3, 4),
        *(None, None, None, None),
    ]


cells = st.text(alphabet='ab,"\n\r; é0_', max_size=6)
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
        assert read_columns(path) == [[row[at] for row in rows[1:]] for at in range(len(rows[0]))]


def test_the_quick_ways_do_not_take_what_is_uneven_for_a_table(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("id,a\n1\n0.5,2,0.7\n")
    for read in (read_columns, lambda where: list(read_rows(where))):
        with pytest.raises(TableError, match="line 2 has 1 cells"):
            read(path)


header = st.sampled_from(["id,y", "y,id", "id,y,z"])
body = st.lists(st.sampled_from(["1,a", "2,b", "3,c", '"3","c"', "", "3,c,d", "3.0,c", "x,c"]), max_size=4)
texts = st.tuples(header, st.just(["1,a", "2,b", "3,c"]) | body).map(lambda parts: [parts[0], *parts[1]])


@given(lines=texts, end=st.sampled_from(["\n", "\r\n"]))
@example(lines=["id,y", "1,a", "2,b", "3,c"], end="\n")
@settings(max_examples=500, deadline=None)
def test_a_submission_is_read_alike_by_the_quick_way_and_by_the_thorough_one(lines: list[str], end: str) -> None:
    form = Format(("id", "y"), "id", ("y",), ["1", "2", "3"], numbers=False)
    text = end.join(lines) + end
    quick = _as_wanted(io.StringIO(text, newline=""), form)
    assert quick is not None or lines != ["id,y", "1,a", "2,b", "3,c"], "what stands as in the sample is read quickly"
    if quick is not None:
        assert quick == _collect(rows_of(io.StringIO(text, newline=""), "it"), form)
