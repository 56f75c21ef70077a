"""Times are parsed as people write them, in one format per column, and ambiguous dates are refused."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from small_tasks import churn, read_table, write_table

from tasks.holdout.blend import make_blend
from tasks.io.timestamps import UnreadableTimestamps, parse_timestamps
from tasks.task import TaskError, load_task

DAYS = [date(2009, 11, 27) + timedelta(days=37 * index) for index in range(60)]
FORMS: dict[str, Callable[[date], str]] = {
    "number": lambda day: str(day.toordinal()),
    "float": lambda day: f"{day.toordinal()}.50",
    "packed": lambda day: day.strftime("%Y%m%d"),
    "ISO": lambda day: day.isoformat(),
    "ISO with a clock": lambda day: f"{day}T09:30:00Z",
    "German": lambda day: f"{day.day}.{day.month}.{day.year}",
    "German with a clock": lambda day: day.strftime("%d.%m.%Y %H:%M"),
    "day first": lambda day: day.strftime("%d/%m/%Y"),
    "month first": lambda day: day.strftime("%m/%d/%Y 1:05 PM"),
    "year first": lambda day: f"{day.year}/{day.month}/{day.day}",
    "named": lambda day: day.strftime("%d %b %Y"),
    "with a zone in words": lambda day: f"{day} 10:00:00 UTC",
    "Excel": lambda day: day.strftime("%d-%b-%y"),
    "year first, named": lambda day: day.strftime("%Y-%B-%d"),
    "American": lambda day: day.strftime("%B %d, %Y"),
    "week": lambda day: day.strftime("%G-W%V"),
    "counted": lambda day: f"day {day.toordinal() - 700_000}",
}


@pytest.mark.parametrize("form", FORMS)
def test_dates_sort_by_time(form: str) -> None:
    days = random.Random(1).sample(DAYS, len(DAYS))
    cells = [FORMS[form](day) for day in days]
    times = parse_timestamps([*cells, "NA", ""])
    assert times[-2:] == [None, None]
    known = [value for value in times if value is not None]
    assert [day for _, day in sorted(zip(known, days, strict=True))] == DAYS


def test_months_and_quarters_sort_by_time() -> None:
    for cells in (
        ["2020-09", "2020-10", "2021-01"],
        ["2020Q3", "2020Q4", "2021Q1"],
        ["Sep 2020", "Oct 2020", "January 2021"],
        ["24-Jan-99", "1-Feb-00", "31-Dec-68"],
        ["99-Jan-24", "99-Jan-25", "99-Feb-01"],
    ):
        first, later, last = parse_timestamps(cells)
        assert first is not None and later is not None and last is not None and first < later < last


def test_twelve_hour_clock_and_time_zones_are_used() -> None:
    noon, night = parse_timestamps(["05/31/2024 12:00 PM", "05/31/2024 12:30 AM"])
    assert noon is not None and night is not None and noon > night
    east, west = parse_timestamps(["2024-05-31T10:00:00+02:00", "2024-05-31T09:00:00+00:00"])
    assert east is not None and west is not None and east < west


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (["1", "2", "soon"], r"1 of 3 cells .*'soon' in row 3"),
        (["2024-05-31", "2024-06-01", "7"], "'7' in row 3"),
        (["01/02/2024", "03/04/2024"], "2 of 2 cells .*ambiguous"),
        (["13/02/2024", "03/14/2024"], "ambiguous"),
        (["31-Jan-99", "99-Jan-24"], "'31-Jan-99' in row 1"),
        (["2020-Jan-06", "05-Jan-20"], "'05-Jan-20' in row 2"),
        (["2024-02-30"], "'2024-02-30' in row 1"),
        (["alpha 1", "beta 2"], "Write numbers or ISO dates"),
    ],
)
def test_unreadable_and_ambiguous_cells_are_refused(cells: list[str], says: str) -> None:
    with pytest.raises(UnreadableTimestamps, match=says):
        parse_timestamps(cells, "when")


def test_time_split_reports_unreadable_and_missing_times(tmp_path: Path) -> None:
    task = churn(tmp_path / "task", labels="")
    for name in ("train", "test"):
        header, *rows = read_table(task.public / f"{name}.csv")
        days = [
            "" if index == 5 else f"{1 + index % 28}.{1 + index % 12}.{2010 + index // 20}"
            for index in range(len(rows))
        ]
        header[2:3] = ["day"]
        write_table(
            task.public / f"{name}.csv",
            [header, *([*row[:2], day, *row[3:]] for row, day in zip(rows, days, strict=True))],
        )
    part = (
        "labels: {file: public/train.csv, id: customer, target: left}\n"
        'blend: {test: public/test.csv, static: ["notes/*"], split: {time: day}}\n'
    )
    (task.folder / "task.yaml").write_text((task.folder / "task.yaml").read_text() + part)
    blend = make_blend(load_task(task.folder), 0, tmp_path / "blend")
    hidden = {row[0] for row in read_table(blend.private_labels / "answers.csv")[1:]}
    years = {row[2][-4:] for row in read_table(blend.public / "test.csv")[1:] if row[0] in hidden}
    assert years == {"2018", "2019"}
    assert "1 rows have no day: they stay training rows" in " ".join(blend.notes)
    table = task.public / "train.csv"
    table.write_text(table.read_text().replace('"1.1.2010"', '"long ago"'))
    with pytest.raises(TaskError, match=r"column day: \d of 200 cells .*'long ago' in row 1"):
        make_blend(load_task(task.folder), 0, tmp_path / "other")
