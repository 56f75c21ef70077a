"""A table read by column equals the table read by row, however it is selected and written."""

from __future__ import annotations

import io
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.io.columns import Columns, parse_numbers, read_columns, write_columns
from tasks.io.csv_text import TableError, iter_rows, number, read_rows, write_rows
from tasks.judging.validate_submission import Format, _collect, _read_ordered


def test_fast_path_refuses_rows_of_unequal_width(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("id,a\n1\n0.5,2,0.7\n")  # as many commas as a table of equal widths has
    for read in (read_columns, lambda where: list(read_rows(where))):
        with pytest.raises(TableError, match="line 2 has 1 cells"):
            read(path)


lines_of_any_kind = st.lists(st.sampled_from(["1,a", "2,b", "", "3", "é,ü", '"4","d,e"', "5,f\r", "6,g,h"]), max_size=5)


@given(lines=lines_of_any_kind, bom=st.booleans(), last=st.sampled_from(["", "\n", "\n\n"]))
@settings(max_examples=500, deadline=None)
def test_columns_and_rows_read_any_file_alike(lines: list[str], bom: bool, last: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_bytes(("\ufeff" * bom + "\n".join(["x,y", *lines]) + last).encode())
        try:
            expected = list(read_rows(path))
        except TableError as error:
            with pytest.raises(TableError) as caught:
                read_columns(path)
            assert str(caught.value) == str(error)
        else:
            assert read_columns(path).rows() == expected


def test_empty_file_has_no_columns(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    assert read_columns(tmp_path / "empty.csv").header == []


def test_bytes_that_are_not_utf8_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id,t\n1,\xff\xfe\n")
    write_columns(tmp_path / "b.csv", read_columns(tmp_path / "a.csv"))
    assert (tmp_path / "b.csv").read_bytes() == (tmp_path / "a.csv").read_bytes()


small = st.text(alphabet='a,"0 .', max_size=3)


@given(data=st.data(), rows=st.lists(st.tuples(small, small), min_size=1, max_size=6))
@settings(max_examples=300, deadline=None)
def test_rows_are_selected_changed_and_written_in_any_order(data: st.DataObject, rows: list[tuple[str, str]]) -> None:
    chosen = st.lists(st.integers(0, len(rows) - 1), max_size=6)
    first = data.draw(chosen)
    second = data.draw(st.lists(st.integers(0, len(first) - 1), max_size=6)) if first else []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write_rows(path, [["id", "t"], *map(list, rows)])
        table = read_columns(path)
        if data.draw(st.booleans()):
            table.numbers("t")  # numbers already parsed are reused by the selection
        selection = table.take(first).take(second)
        expected = [["id", "t"], *(list(rows[first[index]]) for index in second)]
        assert selection.rows() == expected and len(selection) == len(second)
        numbers = selection.numbers("t")
        if numbers is not None:
            assert list(numbers) == [number(row[1]) for row in expected[1:]]
        write_columns(path, selection)
        assert list(read_rows(path)) == expected
        other = selection.with_column("t", ["new"] * len(selection))
        write_columns(path, other)
        assert list(read_rows(path)) == [["id", "t"], *([row[0], "new"] for row in expected[1:])]
        assert selection.rows() == expected


def test_selecting_many_rows_equals_selecting_few() -> None:
    cells = [f"{index}.5" if index % 7 else "" for index in range(30_000)]
    table = Columns(["t"], [cells], list(cells))
    order = random.Random(0).sample(range(30_000), 20_000)
    selection = table.take(order)
    assert selection.column("t") == selection.lines() == [cells[index] for index in order]
    assert selection.take(range(100)).column("t") == [cells[index] for index in order[:100]]


def test_column_of_numbers_is_parsed_like_single_cells() -> None:
    cells = ["1", " 2.5 ", "-3e4", "inf", "007"]
    assert list(parse_numbers(cells) or ()) == [number(cell) for cell in cells]
    for odd in ("1_0", "", "NA", "true", "word"):
        assert parse_numbers([*cells, odd]) is None
    with pytest.raises(ValueError, match="1_0"):
        number("1_0")


# -------------------------------------------------------------------------------------------------------- submissions

header = st.sampled_from(["id,y", "y,id", "id,y,z"])
body = st.lists(st.sampled_from(["1,a", "2,b", "3,c", '"3","c"', "", "3,c,d", "3.0,c", "x,c"]), max_size=4)
texts = st.tuples(header, st.just(["1,a", "2,b", "3,c"]) | body).map(lambda parts: [parts[0], *parts[1]])


@given(lines=texts, end=st.sampled_from(["\n", "\r\n"]), last=st.booleans())
@example(lines=["id,y", "1,a", "2,b", "3,c"], end="\n", last=True)
@example(lines=["id,y", "1,a", "2,b", "3,c"], end="\n", last=False)
@settings(max_examples=500, deadline=None)
def test_fast_and_thorough_submission_readers_agree(lines: list[str], end: str, last: bool) -> None:
    form = Format(("id", "y"), "id", ("y",), ["1", "2", "3"], numbers=False)
    text = end.join(lines) + end * last
    quick = _read_ordered(io.BytesIO(text.encode()), form)
    as_in_the_sample = lines == ["id,y", "1,a", "2,b", "3,c"] and end == "\n"
    assert quick is not None or not as_in_the_sample, "a submission ordered like the sample takes the fast path"
    if quick is not None:
        assert quick.rows() == _collect(iter_rows(io.StringIO(text, newline=""), "it"), form).rows()


def test_ids_are_returned_as_the_sample_writes_them() -> None:
    form = Format(("id", "y"), "id", ("y",), ["7", "8"], numbers=False)
    table = _collect(iter_rows(io.StringIO("y,id\nb,8.0\na,07\n", newline=""), "it"), form)
    assert table.rows() == [["id", "y"], ["7", "a"], ["8", "b"]]
    assert Columns.of([["id", "y"], ["7", "a"], ["8", "b"]]).rows() == table.rows()
