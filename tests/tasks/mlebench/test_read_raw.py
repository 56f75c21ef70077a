"""Numbers are read exactly and written with the fewest digits that read back as the same float."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tasks.mlebench.read_raw import read_csv


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("-73.892005920410156", "-73.89200592041016"),
        ("-0.13629433874529376", "-0.13629433874529376"),
        ("0.00915847874050736", "0.00915847874050736"),
        ("0.9424502837770503", "0.9424502837770503"),
        ("40.721319", "40.721319"),
        ("12345678901234567890.5", "1.2345678901234567e+19"),
    ],
)
def test_a_number_is_written_as_the_nearest_float(tmp_path: Path, text: str, written: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"id,x\n1,{text}\n2,0.5\n")
    assert read_csv(path).to_csv(index=False).splitlines()[1] == f"1,{written}"


def test_every_float_survives_reading_and_writing(tmp_path: Path) -> None:
    draw = random.Random(3)
    values = [draw.uniform(-1, 1) * 10.0 ** draw.randrange(-20, 20) for _ in range(20_000)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["x", *map(repr, values)]) + "\n")
    assert read_csv(path)["x"].tolist() == values


def test_missing_words_are_missing_values(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,x,y\n1,,1.5\n2,0.25,NA\n")
    assert read_csv(path).isna().sum().tolist() == [0, 1, 1]
