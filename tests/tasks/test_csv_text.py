"""Cells are text; only an id that cannot be found as text is looked for as a number."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.io import csv_text as cells_module
from tasks.io.columns import read_columns, write_columns
from tasks.io.csv_text import Positions, read_header, read_rows, write_rows


def test_an_id_written_as_a_number_is_found_only_where_it_is_clear() -> None:
    positions = Positions(["7", "8.0", "a", "9", "09"])
    assert [positions.find(name) for name in ("7.0", "8", "a", "9", "09", "9.0", "b", "nan", "1_0")] == [
        *(0, 1, 2, 3, 4),
        *(None, None, None, None),
    ]


cells = st.text(alphabet='ab,"\n\r; é\u2028\ufeff\x00\x1c0_', max_size=6)
tables = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1))


def written_by_python(rows: list[list[str]], end: str = "\n") -> str:
    wanted = io.StringIO()
    csv.writer(wanted, lineterminator=end).writerows(rows)
    return wanted.getvalue()


@given(rows=tables)
@settings(max_examples=300, deadline=None)
def test_a_table_is_written_as_python_writes_it_and_read_back_by_rows_and_by_columns(rows: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write_rows(path, rows)
        wanted = written_by_python(rows)
        if "\r" in wanted:  # left bare by Python, and read as the end of a row, unless one ends the lines
            wanted = "".join(written_by_python([row], "\r\n").removesuffix("\r\n") + "\n" for row in rows)
        if not wanted.startswith("\ufeff"):  # left bare as well, and read as nobody's
            assert path.read_bytes().decode() == wanted
        assert list(read_rows(path)) == rows
        assert read_columns(path).rows() == rows
        copy = Path(folder) / "copy.csv"
        write_columns(copy, read_columns(path))
        assert copy.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("rest", [[], [["1", "2"]], [['"1', "2\r"]]])
def test_a_first_cell_keeps_its_byte_order_mark(rest: list[list[str]], tmp_path: Path) -> None:
    """A file may begin with one mark that is nobody's; another one is a cell's."""
    rows = [["\ufeffid", "y"], *rest]
    write_rows(tmp_path / "t.csv", rows)
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").startswith('"\ufeffid",y\n')
    assert list(read_rows(tmp_path / "t.csv")) == read_columns(tmp_path / "t.csv").rows() == rows
    (tmp_path / "two.csv").write_text("\ufeff\ufeffid,y\n1,2\n", encoding="utf-8")
    write_columns(tmp_path / "copy.csv", read_columns(tmp_path / "two.csv"))
    assert read_header(tmp_path / "copy.csv") == ["\ufeffid", "y"]


def test_what_is_written_at_once_is_what_is_written_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that need no quotes, some, or quotes that Python leaves out stand beside each other."""
    kinds = (["1", "a"], ["2", "a, b"], ['"', "\n"], ["3", "a\rb"], ["\ufeff", ""])
    rows = [["id", "y"], *(kinds[at * at % 5] for at in range(60))]
    write_rows(tmp_path / "whole.csv", rows)
    monkeypatch.setattr(cells_module, "ROWS_AT_ONCE", 7)
    write_rows(tmp_path / "pieces.csv", rows)
    assert list(read_rows(tmp_path / "pieces.csv")) == list(read_rows(tmp_path / "whole.csv")) == rows
    plain = [row for row in rows if "\r" not in row[1] and "\ufeff" not in row[0]]
    write_rows(tmp_path / "pieces.csv", plain)
    assert (tmp_path / "pieces.csv").read_bytes().decode() == written_by_python(plain)
