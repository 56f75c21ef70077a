"""Numbers are read as by pandas 2, to the last bit."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tasks.mlebench.read_raw import parse_like_pandas_2, read_csv, reads_like_pandas_2

# Read by pandas 2.2.3 with its default parser.
BY_PANDAS_2 = [
    ("0.00915847874050736", 0.0091584787405073),
    ("0.0008089620446393668", 0.0008089620446393),
    ("0.08710329683679705", 0.087103296836797),
    ("0.004648938620973121", 0.0046489386209731),
    ("40.721319", 40.721319),
    ("-73.844311", -73.844311),
    ("1e-5", 1e-05),
    ("12345678901234567890", 1.2345678901234567e19),
]


@pytest.mark.parametrize(("text", "value"), BY_PANDAS_2)
def test_numbers_are_those_of_pandas_2_to_the_last_bit(text: str, value: float) -> None:
    assert parse_like_pandas_2(text) == value


def test_up_to_fifteen_digits_both_parsers_agree() -> None:
    draw = random.Random(3)
    for _ in range(20_000):
        text = f"{draw.uniform(-1000, 1000):.{draw.randrange(0, 11)}f}"
        assert parse_like_pandas_2(text) == float(text)


def test_long_numbers_of_a_table_are_parsed_again(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,x,y,name\n1,0.00915847874050736,1.5,a\n2,,2.5,b\n3,0.25,NA,c\n")
    frame = read_csv(path)
    assert frame["x"][0] == 0.0091584787405073
    assert frame["x"].isna().tolist() == [False, True, False]
    assert frame["y"].isna().tolist() == [False, False, True]
    assert frame.to_csv(index=False).splitlines()[1] == "1,0.0091584787405073,1.5,a"
    assert isinstance(reads_like_pandas_2(), bool)
