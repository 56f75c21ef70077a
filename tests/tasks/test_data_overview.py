"""The data overview states facts of the public files, within its budget, and reads nothing else."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image

from tasks.data_overview import MAX_BYTES, NAME, overview_of, render_overview
from tasks.holdout.blend import make_blend
from tasks.io.csv_text import write_rows
from tasks.task import load_task
from tests.harness.judged_runs import side, two_numbers


def films(public: Path, columns: int = 0) -> None:
    """Train and test tables of 200 and 50 films, with missing values, categories and texts."""
    draw = random.Random(0)
    public.mkdir(parents=True)
    extra = [f"feature_{number}_{'x' * 60}" for number in range(columns)]
    header = ["id", "genre", "plot", "budget", *extra]
    rows = [
        [str(at), draw.choice(["drama", "comedy"]), "word " * (20 + at % 7), "" if at % 4 == 0 else str(at), *extra]
        for at in range(250)
    ]
    write_rows(public / "train.csv", [[*header, "score"], *([*row, str(at % 50)] for at, row in enumerate(rows[:200]))])
    write_rows(public / "test.csv", [header, *rows[200:]])
    write_rows(public / "sample.csv", [["id", "score"], *([row[0], "0"] for row in rows[200:])])


def test_tables_are_described_by_their_columns(tmp_path: Path) -> None:
    films(tmp_path / "public")
    text = render_overview(tmp_path / "public", ["score"], "sample.csv")
    for fact in (
        "`train.csv`: 200 rows x 5 columns",
        "target `score`: quantiles",
        "`id`: integer, 0 to 199",
        "`genre`: category, 2 distinct",
        "`plot`: text of 100 to 130 characters",
        "25.0% missing",
        "`test.csv`: 50 rows; the columns of `train.csv` without `score`",
        "first row: id=0",
    ):
        assert fact in text
    assert "sample.csv" not in text


def test_an_overview_keeps_its_budget_whatever_the_files_are(tmp_path: Path) -> None:
    films(tmp_path / "public", columns=300)
    for name in ("a", "b"):
        (tmp_path / "public" / f"{name}.csv").write_bytes(b"\0\xff\n" * 1000)
    (tmp_path / "public" / "empty.csv").write_text("")
    text = render_overview(tmp_path / "public", ["score"], "sample.csv")
    assert len(text.encode()) <= MAX_BYTES and "more columns" in text and "target `score`" in text


def test_images_are_counted_by_folder_with_their_sizes(tmp_path: Path) -> None:
    for place, kind in enumerate(("cat", "cat", "cat", "dog")):
        folder = tmp_path / "train" / kind
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32 + place, 20)).save(folder / f"{place}.png")
    (tmp_path / "train" / "cat" / "broken.png").write_bytes(b"no image")
    text = render_overview(tmp_path, ["label"], "sample.csv")
    for fact in ("5 files .png", "width 32 to 35, height 20 to 20", "modes RGB", "cat 4, dog 1"):
        assert fact in text


def test_it_is_made_once_of_the_files_that_the_agent_sees(tmp_path: Path) -> None:
    task = load_task(two_numbers(tmp_path / "side", side))
    blend = make_blend(task, 0, tmp_path / "blend")
    text = overview_of(task, blend)
    rows = len((blend.public / "train.csv").read_text().splitlines()) - 1
    assert f"`train.csv`: {rows} rows" in text and "target `y`: 2 values" in text
    (blend.folder / NAME).write_text("kept")
    assert overview_of(task, blend) == "kept"
    assert not (blend.public / NAME).exists()
