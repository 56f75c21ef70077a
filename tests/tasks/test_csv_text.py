"""CSV files keep every cell as text, and ids are found by text, then by number."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.io import csv_text
from tasks.io.columns import read_columns, write_columns
from tasks.io.csv_text import Positions, read_header, read_rows, write_rows


def test_id_is_found_by_number_only_if_unambiguous() -> None:
    positions = Positions(["7", "8.0", "a", "9", "09"])
    assert [positions.find(name) for name in ("7.0", "8", "a", "9", "09", "9.0", "b", "nan", "1_0")] == [
        *(0, 1, 2, 3, 4),
        *(None, None, None, None),
    ]


cells = st.text(alphabet='ab,"\n\r; é\u2028\ufeff\x00\x1c0_', max_size=6)
tables = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1))


def write_with_csv_module(rows: list[list[str]], end: str = "\n") -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator=end).writerows(rows)
    return text.getvalue()


@given(rows=tables)
@settings(max_examples=300, deadline=None)
def test_written_table_equals_csv_module_output_and_is_read_back(rows: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write_rows(path, rows)
        expected = write_with_csv_module(rows)
        if "\r" in expected:  # the csv module leaves it unquoted unless it ends lines, and reads it as a row end
            expected = "".join(write_with_csv_module([row], "\r\n").removesuffix("\r\n") + "\n" for row in rows)
        if not expected.startswith("\ufeff"):  # also left unquoted, and read as the file's own mark
            assert path.read_bytes().decode() == expected
        assert list(read_rows(path)) == rows
        assert read_columns(path).rows() == rows
        copy = Path(folder) / "copy.csv"
        write_columns(copy, read_columns(path))
        assert copy.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("rest", [[], [["1", "2"]], [['"1', "2\r"]]])
def test_byte_order_mark_in_first_cell_is_kept(rest: list[list[str]], tmp_path: Path) -> None:
    """Only one mark at the start belongs to the file; a second one belongs to the cell."""
    rows = [["\ufeffid", "y"], *rest]
    write_rows(tmp_path / "t.csv", rows)
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").startswith('"\ufeffid",y\n')
    assert list(read_rows(tmp_path / "t.csv")) == read_columns(tmp_path / "t.csv").rows() == rows
    (tmp_path / "two.csv").write_text("\ufeff\ufeffid,y\n1,2\n", encoding="utf-8")
    write_columns(tmp_path / "copy.csv", read_columns(tmp_path / "two.csv"))
    assert read_header(tmp_path / "copy.csv") == ["\ufeffid", "y"]


def test_chunked_writing_gives_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows without quotes, with quotes, and with quotes that the csv module omits follow each other."""
    kinds = (["1", "a"], ["2", "a, b"], ['"', "\n"], ["3", "a\rb"], ["\ufeff", ""])
    rows = [["id", "y"], *(kinds[index * index % 5] for index in range(60))]
    write_rows(tmp_path / "whole.csv", rows)
    monkeypatch.setattr(csv_text, "ROWS_AT_ONCE", 7)
    write_rows(tmp_path / "pieces.csv", rows)
    assert list(read_rows(tmp_path / "pieces.csv")) == list(read_rows(tmp_path / "whole.csv")) == rows
    plain = [row for row in rows if "\r" not in row[1] and "\ufeff" not in row[0]]
    write_rows(tmp_path / "pieces.csv", plain)
    assert (tmp_path / "pieces.csv").read_bytes().decode() == write_with_csv_module(plain)
