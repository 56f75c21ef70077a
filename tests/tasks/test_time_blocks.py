"""Rows held out by time are resampled in blocks of consecutive times, so that alike errors do not count as many."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from small_tasks import read_table, write_table

from tasks.holdout.blend import make_blend
from tasks.holdout.time_blocks import time_blocks
from tasks.judging.judge import judge
from tests.tasks.new_tasks import made


def test_consecutive_times_share_a_block_and_rows_of_one_time_are_together() -> None:
    cells = [f"2024-01-{day:02d}" for day in range(1, 26)] * 2
    blocks = time_blocks(cells, "day", dict.fromkeys(range(50), "held_out"))
    assert blocks[0] == blocks[4] == blocks[25] != blocks[5]
    assert len(set(blocks.values())) == 5
    assert time_blocks(["1", "2"] * 9, "day", dict.fromkeys(range(18), "held_out")) == {}
    for count in range(3, 40):
        few = time_blocks([str(day) for day in range(count)], "day", dict.fromkeys(range(count), "held_out"))
        assert len(set(few.values())) >= 3


@pytest.mark.parametrize(("persistence", "at_least", "at_most"), [(0.95, 1.8, 6.0), (0.0, 0.6, 1.5)])
def test_standard_error_grows_only_where_errors_of_neighbours_are_alike(
    persistence: float, at_least: float, at_most: float, tmp_path: Path
) -> None:
    draw, level, rows = random.Random(5), 0.0, []
    for day in range(2000):
        level = persistence * level + draw.gauss(0, (1 - persistence**2) ** 0.5)
        rows.append([str(day), f"{100 + level:.4f}"])
    write_table(tmp_path / "d.csv", [["day", "y"], *rows])

    def noise(**options: str) -> float:
        task, _ = made(tmp_path / "d.csv", "y", metric="mae", **options)
        blend = make_blend(task, 0, task.folder.with_suffix(".blend"))
        header, *shown = read_table(blend.public / "sample_submission.csv")
        write_table(tmp_path / "s.csv", [header, *([name, "100"] for name, _ in shown)])
        found = judge(blend, tmp_path / "s.csv", tmp_path / "out.csv").noise
        assert found is not None
        return found

    assert at_least < noise(time="day") / noise() < at_most
