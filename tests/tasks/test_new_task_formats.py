"""Tables of every common format become the same task, and damaged ones end with a message."""

from __future__ import annotations

import gzip
import json
import random
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_tasks import read_table

from tasks.errors import TaskError
from tasks.new_task import TaskRequest, make_task
from tasks.new_task.numbers_with_commas import rewrite_commas, rewrite_numbers
from tasks.new_task.typed_tables import cell_text
from tasks.new_task.unpack import read_content
from tests.tasks.new_tasks import made, perfect_scores


def frame(rows: int = 200) -> pd.DataFrame:
    draw = random.Random(2)
    columns: dict[str, Any] = {
        "age": [draw.randrange(18, 80) for _ in range(rows)],
        "weight": [round(draw.uniform(40, 120), 2) for _ in range(rows)],
        "city": [draw.choice(["Köln", "Bern, CH", 'the "old" town']) for _ in range(rows)],
        "y": [round(draw.gauss(50, 9), 3) for _ in range(rows)],
    }
    return pd.DataFrame(columns)


def as_semicolons(path: Path) -> None:
    frame().to_csv(path, sep=";", decimal=",", index=False)


def as_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("folder/data.csv", frame().to_csv(index=False))
        archive.writestr("__MACOSX/._data.csv", "x")


WRITERS: dict[str, Callable[[Path], Any]] = {
    "d.csv": lambda path: frame().to_csv(path, index=False),
    "d.tsv": lambda path: frame().to_csv(path, sep="\t", index=False),
    "d.txt": lambda path: frame().to_csv(path, sep="|", index=False),
    "semicolons.csv": as_semicolons,
    "unicode_text.txt": lambda path: frame().to_csv(path, sep="\t", index=False, encoding="utf-16"),
    "big_endian.csv": lambda path: path.write_bytes(b"\xfe\xff" + frame().to_csv(index=False).encode("utf-16-be")),
    "utf-32.csv": lambda path: path.write_bytes(frame().to_csv(index=False).encode("utf-32")),
    "d.csv.gz": lambda path: frame().to_csv(path, index=False),
    "d.csv.bz2": lambda path: frame().to_csv(path, index=False),
    "d.zip": as_zip,
    "d.json": lambda path: frame().to_json(path, orient="records"),
    "columns.json": lambda path: frame().to_json(path),
    "d.jsonl": lambda path: frame().to_json(path, orient="records", lines=True),
    "d.parquet": lambda path: frame().to_parquet(path),
    "d.xlsx": lambda path: frame().to_excel(path, index=False),
    "with_index.csv": lambda path: frame().to_csv(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_becomes_the_same_task(name: str, tmp_path: Path) -> None:
    if name.endswith((".parquet", ".xlsx")):
        pytest.importorskip("pyarrow" if name.endswith(".parquet") else "openpyxl")
    WRITERS[name](tmp_path / name)
    task, created = made(tmp_path / name, "y")
    assert task.metric.name == "rmse"
    rows = read_table(task.public / "train.csv")
    assert rows[0] == ["row_id", "age", "weight", "city", "y"]
    table = frame().sort_values(["age", "weight"], ignore_index=True)
    shown = pd.concat([pd.read_csv(task.public / "train.csv"), pd.read_csv(task.public / "test.csv")])
    shown = shown.sort_values(["age", "weight"], ignore_index=True)
    assert shown["city"].tolist() == table["city"].tolist() and shown["weight"].tolist() == table["weight"].tolist()
    _, judged, graded = perfect_scores(task, tmp_path / "scores")
    assert judged == graded == 0
    facts = " ".join(created.findings.facts)
    assert ("decimal commas" in facts) == (name == "semicolons.csv")
    assert ("counts the rows" in facts) == (name == "with_index.csv")


def test_missing_libraries_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("d.parquet", "d.xlsx"):
        pytest.importorskip("pyarrow" if name.endswith(".parquet") else "openpyxl")
        WRITERS[name](tmp_path / name)
    monkeypatch.setattr("pandas.read_parquet", _missing)
    monkeypatch.setattr("pandas.read_excel", _missing)
    for name, library in (("d.parquet", "pyarrow"), ("d.xlsx", "openpyxl")):
        with pytest.raises(TaskError, match=rf"{library}, which is not installed: pip install"):
            made(tmp_path / name, "y")


def _missing(*_: object, **__: object) -> None:
    raise ImportError("no such library")


def test_values_with_types_become_the_text_people_write() -> None:
    assert [cell_text(value) for value in (None, float("nan"), 3.0, 2.5, True, "007", [1, "a"], pd.NaT, pd.NA)] == [
        *("", "", "3", "2.5", "True", "007", '[1, "a"]', "", "")
    ]
    assert cell_text(pd.Timestamp("2024-05-01")) == "2024-05-01"
    assert cell_text(pd.Timestamp("2024-05-01 13:30")) == "2024-05-01 13:30:00"


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["0,5", "1.234,50", ""], ["0.5", "1234.50", ""]),
        (["1,5", "-2"], ["1.5", "-2"]),
        (["1,5", "x"], None),
        (["1.5", "2"], None),
        (["a, b", "c"], None),
    ],
)
def test_decimal_commas_become_points(cells: list[str], expected: list[str] | None) -> None:
    assert rewrite_commas(cells) == expected


def test_corrected_numbers_lose_what_people_write_around_them() -> None:
    assert rewrite_numbers(["$1,234.50", "12 %", "3", ""]) == (["1234.50", "12", "3", ""], "")
    assert rewrite_numbers(["1.234,5 €", "0,5"]) == (["1234.5", "0.5"], "")
    assert rewrite_numbers(["7", "about 8"])[1] == "about 8"


def test_types_are_shown_and_corrected(tmp_path: Path) -> None:
    rows = [f'{index % 7},{index % 3},"{1 + index % 50},{index:03d}"' for index in range(200)]
    (tmp_path / "d.csv").write_text("zip,grade,y\n" + "\n".join(rows) + "\n")
    task, created = made(tmp_path / "d.csv", "y", types={"y": "number", "zip": "category"})
    assert task.metric.needs == "numbers"
    assert any(
        "zip: category, 7 different values\n    grade: whole number, 0 to 2" in guess
        for guess in created.findings.guesses
    )
    assert "`zip`: category" in task.description
    task, _ = made(tmp_path / "d.csv", "grade", types={"grade": "category"})
    assert task.metric.name == "accuracy"
    task, _ = made(tmp_path / "d.csv", "grade", types={"grade": "number"})
    assert task.metric.name == "rmse"
    with pytest.raises(TaskError, match="--types nothing is not a column"):
        made(tmp_path / "d.csv", "grade", types={"nothing": "text"})


# ----------------------------------------------------------------------------------------------------------- bad input


def refused(path: Path, target: str = "y", **options: Any) -> str:
    into = path.parent / "never"
    with pytest.raises(TaskError) as caught:
        make_task(TaskRequest(path, target, into, **options))
    assert not list(path.parent.glob("*never*")), "half-made tasks remain"
    return str(caught.value)


def test_zip_bomb_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("d.csv", "w") as file,
    ):
        for _ in range(10):
            file.write(b"0" * (10 << 20))
    assert "like a zip bomb" in refused(tmp_path / "bomb.zip")
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(b"0" * (100 << 20)))
    assert "like a zip bomb" in refused(tmp_path / "bomb.csv.gz")


def test_archives_with_several_tables_ask_which(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("one.csv", frame().to_csv(index=False))
        archive.writestr("two.csv", "a,b\n1,2\n")
    message = refused(tmp_path / "d.zip")
    assert "one.csv, two.csv" in message and f"'{tmp_path}/d.zip!NAME'" in message
    assert made(Path(f"{tmp_path}/d.zip!one.csv"), "y")[0].metric.name == "rmse"
    (tmp_path / "damaged.csv.gz").write_bytes(gzip.compress(b"x,y\n" * 1000)[:30])
    assert "cannot be unpacked" in refused(tmp_path / "damaged.csv.gz")


def test_workbook_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openpyxl")
    WRITERS["d.xlsx"](tmp_path / "d.xlsx")
    monkeypatch.setattr("tasks.new_task.typed_tables.MAX_SHEET_BYTES", 1000)
    assert "Save the sheet as CSV" in refused(tmp_path / "d.xlsx")


def test_two_gigabytes_of_excel_are_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "huge.xlsx").open("wb") as file:
        file.truncate(2 << 30)  # they take no space on disk
    assert "2,147 MB of Excel" in refused(tmp_path / "huge.xlsx")


def test_merged_header_rows_of_a_workbook_are_refused(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Sales", None, "y"])
    sheet.append(["2020", "north", "result"])
    for row in range(100):
        sheet.append([row, row * 2, row % 2])
    sheet.merge_cells("A1:B1")
    book.save(tmp_path / "d.xlsx")
    assert "header takes more than one row" in refused(tmp_path / "d.xlsx")


def test_workbook_is_read_from_its_first_sheet_with_a_table(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["Notes about the data"])
    sheet = book.create_sheet("Data")
    for row in (["x", "y"], *([row, row % 2] for row in range(100))):
        sheet.append(row)
    book.save(tmp_path / "d.xlsx")
    _, created = made(tmp_path / "d.xlsx", "y")
    assert any("'Data' and not 'Sheet'" in fact for fact in created.findings.facts)


def test_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path, writes, is_over = tmp_path / "d.csv", threading.Event(), threading.Event()
    path.write_text(frame().to_csv(index=False) + "1,2,x,3\n" * 200_000)

    def append() -> None:
        with path.open("a", buffering=1) as file:
            while not is_over.is_set():
                file.write("1,2,x,3\n")
                writes.set()

    writer = threading.Thread(target=append)
    writer.start()
    try:
        writes.wait()
        with pytest.raises(TaskError, match="changed while it was read"):
            for _ in range(1000):  # the writer may get no processor while one reading lasts
                read_content(path)
    finally:
        is_over.set()
        writer.join()


def test_times_in_three_formats_are_refused_with_examples(tmp_path: Path) -> None:
    formats = ["2024-05-{0:02d}", "{0}.5.2024", "May {0}, 2024"]
    rows = [f"{formats[index % 3].format(1 + index % 28)};{index};{index * index % 97}" for index in range(150)]
    (tmp_path / "d.csv").write_text("when;x;y\n" + "\n".join(rows) + "\n")
    message = refused(tmp_path / "d.csv", time="when")
    assert "in the format of the other cells" in message and "ISO dates" in message


def test_what_is_not_a_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_bytes(b"\x7fELF\0\0\0" * 100)
    assert "not a table that can be read" in refused(tmp_path / "d.csv")
    (tmp_path / "d.json").write_text('{"a": 1}')
    assert "list of objects" in refused(tmp_path / "d.json")
    (tmp_path / "d.jsonl").write_text(json.dumps({"y": 1}) + "\n{broken\n")
    assert "line 2 is not JSON" in refused(tmp_path / "d.jsonl")
    (tmp_path / "d.parquet").write_bytes(b"PAR1 and nothing more")
    assert "cannot be read as Parquet" in refused(tmp_path / "d.parquet") or not pytest.importorskip("pyarrow")
