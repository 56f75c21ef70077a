"""How long `harness new-task` takes for 500,000 rows, in seconds of CPU: `python -m tests.benchmarks.new_task [ROWS]`.

The aim is 20 seconds. One step is printed a line, as a user sees the progress.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tasks.new_task import TaskRequest, make_task


def write_table(path: Path, rows: int) -> None:
    """Eight columns of numbers, one of words, one of dates, and a target of two words."""
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(0)
    columns = {f"x{place}": draw.normal(size=rows).round(4) for place in range(8)}
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(draw.integers(0, 1500, rows), unit="D")
    words = draw.choice(["north", "south", "east, far", "west"], rows)
    target = np.where(columns["x0"] + draw.normal(size=rows) > 0, "yes", "no")
    pd.DataFrame({**columns, "where": words, "day": days.strftime("%Y-%m-%d"), "y": target}).to_csv(path, index=False)


def measure(rows: int, **options: str) -> None:
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        data = Path(folder) / "big.csv"
        write_table(data, rows)
        started = time.process_time()

        def say(step: str, done: int, total: int) -> None:
            print(f"  {time.process_time() - started:5.1f} s  {step}", flush=True)

        make_task(TaskRequest(data, "y", Path(folder) / "task", **options), say)  # type: ignore[arg-type]
        megabytes = data.stat().st_size / 1e6
        seconds = time.process_time() - started
        print(f"{rows:,} rows, {megabytes:,.0f} MB, {options or 'no options'}: {seconds:.1f} s of CPU")


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
    measure(count)
    measure(count, time="day")
    measure(count, group="where" if count < 100 else "day")
