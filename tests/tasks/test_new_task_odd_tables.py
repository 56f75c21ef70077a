"""Odd spellings and marks in tables are reported or refused with advice, and never guessed silently."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from small_tasks import read_table, write_table

from tasks.errors import TaskError
from tests.tasks.new_tasks import made

ROWS = 200


def column(cell: Callable[[random.Random, int], object], path: Path, name: str = "y") -> Path:
    """A table with a number and a column of these cells."""
    draw = random.Random(4)
    write_table(path, [["x", name], *([f"{draw.random():.5f}", str(cell(draw, row))] for row in range(ROWS))])
    return path


@pytest.mark.parametrize(
    ("words", "metric", "kinds"),
    [
        (["True", "False", "1", "0"], "roc_auc", {"1", "0"}),
        (["TRUE", "false", "true", "FALSE"], "roc_auc", {"1", "0"}),
        (["Yes", "Yes", "yes", "no", "NO", "no"], "roc_auc", {"Yes", "no"}),
    ],
)
def test_spellings_of_two_words_become_one(words: list[str], metric: str, kinds: set[str], tmp_path: Path) -> None:
    task, created = made(column(lambda draw, row: words[row % len(words)], tmp_path / "d.csv"), "y")
    assert task.metric.name == metric
    assert {row[-1] for row in read_table(task.public / "train.csv")[1:]} == kinds
    assert any("became" in fact for fact in created.findings.facts)


@pytest.mark.parametrize(
    ("cell", "advice"),
    [
        (lambda draw, row: ["Oak", "oak", "Elm"][row % 3], "'Oak' and 'oak', two labels here"),
        (lambda draw, row: ["yes", "NA"][row % 2], "y is NA in 100 rows, a label here"),
        (lambda draw, row: -999 if row % 10 == 0 else round(draw.gauss(50, 9), 2), "y is -999 in 20 rows, far from"),
        (lambda draw, row: 5000 + row * 3 + draw.randrange(3), "y grows from row to row"),
        (lambda draw, row: ['["a"]', '["a", "b"]', '["b"]', '["b", "c"]'][row % 4], "use --split-labels ','"),
    ],
)
def test_ambiguous_values_are_reported(
    cell: Callable[[random.Random, int], object], advice: str, tmp_path: Path
) -> None:
    _, created = made(column(cell, tmp_path / "d.csv"), "y")
    assert any(advice in one for one in created.findings.advice), created.findings.advice


def test_counts_get_no_advice_about_rare_classes(tmp_path: Path) -> None:
    _, created = made(
        column(lambda draw, row: min(6, int(draw.expovariate(0.5))), tmp_path / "d.csv", "visits"), "visits"
    )
    assert not any("chance dominates" in one for one in created.findings.advice)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (lambda draw, row: f"({draw.randrange(60)})" if row % 3 else row % 40, r"signs or spaces.*y=number"),
        (lambda draw, row: f"1\u00a0{draw.randrange(100, 999)}", r"signs or spaces.*y=number"),
        (lambda draw, row: f"{draw.randrange(24)}:{draw.randrange(60):02d}", r"no plain numbers.*seconds"),
        (lambda draw, row: f"2024-01-{1 + draw.randrange(28):02d}", r"no plain numbers.*days"),
    ],
)
def test_numbers_in_other_forms_are_not_classes(
    cell: Callable[[random.Random, int], object], message: str, tmp_path: Path
) -> None:
    path = column(cell, tmp_path / "d.csv")
    with pytest.raises(TaskError, match=message):
        made(path, "y", into=tmp_path / "never")
    assert not (tmp_path / "never").exists()
    assert made(path, "y", types={"y": "category"})[0].metric.name == "accuracy"
    if "=number" in message:
        assert made(path, "y", types={"y": "number"})[0].metric.needs == "numbers"


def test_whole_numbers_called_an_id_are_not_a_target(tmp_path: Path) -> None:
    numbers = random.Random(1).sample(range(10_000, 99_999), ROWS)
    path = column(lambda draw, row: numbers[row], tmp_path / "d.csv", "order_id")
    with pytest.raises(TaskError, match="different in every row, as an id is"):
        made(path, "order_id", into=tmp_path / "never")
    task, _ = made(column(lambda draw, row: numbers[row], tmp_path / "e.csv", "price"), "price")
    assert task.metric.needs == "numbers"


def test_joined_files_lose_their_second_header(tmp_path: Path) -> None:
    path = column(lambda draw, row: draw.random(), tmp_path / "d.csv")
    path.write_text(path.read_text() * 2)
    task, created = made(path, "y")
    assert "left out 1 rows that repeat the header" in created.findings.facts
    assert task.metric.name == "rmse"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "Report, May\nof the year\n" + text.replace(",", ",z,"), r"begins with 'x': remove what stands"),
        (
            lambda text: text.replace("\n", "\nkg,class\n", 1),
            "more than one row .the second row has words above numbers",
        ),
        (lambda text: text.replace("\n", '\n"', 1), r"Line 2 has a quotation mark without a second one"),
        (lambda text: text + "1,2,3\n", "line 202 has 3 cells, the header has 2"),
    ],
)
def test_malformed_rows_are_located(change: Callable[[str], str], message: str, tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    rows = "".join(f"{row},{row * 7 % 5}\n" for row in range(ROWS))
    path.write_text(change("x,y\n" + rows))
    with pytest.raises(TaskError, match=message):
        made(path, "y", into=tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_target_that_is_empty_in_every_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"no row has a y.*workbook"):
        made(column(lambda draw, row: "", tmp_path / "d.csv"), "y", into=tmp_path / "never")


@pytest.mark.parametrize(
    ("above", "separator", "row"),
    [
        ("Report of the year\n\n", ",", 3),
        ("\ufeffReport of 2024\r\nmade in May\r\n", ";", 3),
        ('"Sales, by\nshop"\n', ",", 3),
        ("Report,\n,\nmade in May,\n", ",", 4),
    ],
)
def test_title_above_the_header_is_left_out_and_told(above: str, separator: str, row: int, tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    rows = "".join(f"{row},{row * 7 % 5}\n" for row in range(ROWS))
    path.write_text(above + ("x,y\n" + rows).replace(",", separator), newline="")
    task, created = made(path, "y")
    assert read_table(task.public / "train.csv")[0] == ["row_id", "x", "y"]
    assert len(read_table(task.public / "train.csv")) + len(read_table(task.public / "test.csv")) == ROWS + 2
    assert any(f"is row {row}," in guess for guess in created.findings.guesses), created.findings.guesses


def test_separator_at_the_end_of_each_row_makes_no_column(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("x,y,\n" + "".join(f"{row},{row * 7 % 5},\n" for row in range(ROWS)))
    task, created = made(tmp_path / "d.csv", "y")
    assert read_table(task.public / "train.csv")[0] == ["row_id", "x", "y"]
    assert "left out 1 columns that have neither a name nor cells" in created.findings.facts


def test_title_of_a_sheet_is_left_out(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["Report of 2024"], [], ["x", "y"], *([row, row * 7 % 5] for row in range(ROWS))):
        book.active.append(row)
    book.save(tmp_path / "d.xlsx")
    task, _ = made(tmp_path / "d.xlsx", "y")
    assert read_table(task.public / "train.csv")[0] == ["row_id", "x", "y"]


@pytest.mark.parametrize("word", ["café", "„Spaß“", "« café\u00a0»", "É° café", "naïve…”"])
def test_western_text_is_read_and_told(word: str, tmp_path: Path) -> None:
    rows = "".join(f"{word},{row},{row % 2}\n" for row in range(ROWS))
    (tmp_path / "d.csv").write_bytes(("x,n,y\n" + rows).encode("cp1252"))
    before = (tmp_path / "d.csv").read_bytes()
    task, created = made(tmp_path / "d.csv", "y")
    assert {row[1] for row in read_table(task.public / "train.csv")[1:]} == {word}
    assert any("Windows-1252" in guess for guess in created.findings.guesses)
    assert (tmp_path / "d.csv").read_bytes() == before
