"""CPU seconds to judge an evaluation of a table with a million rows to predict, beyond its job.

    python -m tests.benchmarks.judging_cost [--rows 1000000] [--repeats 3] [--profile]

A tenth of the rows is held out, as for a large table. The submission is read, validated, partitioned, scored with 1,000
bootstrap draws, compared with the best so far on the same draws, and the test rows are written.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import multiprocessing
import multiprocessing.process
import os
import pstats
import resource
import tempfile
import time
from pathlib import Path

from tasks.holdout.blend import load_blend
from tasks.judging.judge import judge, run_judge

TASK = """
id: million
title: A million rows
description: description.md
metric: roc_auc
data: {public: public/, private: private/, answers: private/answers.csv}
submission: {sample: public/sample_submission.csv, id: row_id, target: y}
labels: {file: public/train.csv, id: row_id, target: y}
thresholds: {gold: 0.9, silver: 0.8, bronze: 0.7, median: 0.6}
"""


def write(folder: Path, rows: int) -> Path:
    """A task whose sample has nine tenths of the rows; the blend holds out the last tenth."""
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(0)
    test, train = int(0.9 * rows), rows
    for name in ("public", "private"):
        (folder / name).mkdir(parents=True)
    labels = draw.integers(0, 2, train)
    pd.DataFrame({"row_id": np.arange(train), "x": draw.random(train).round(4), "y": labels}).to_csv(
        folder / "public" / "train.csv", index=False
    )
    ids = np.arange(train, train + test)
    pd.DataFrame({"row_id": ids, "x": draw.random(test).round(4)}).to_csv(folder / "public" / "test.csv", index=False)
    pd.DataFrame({"row_id": ids, "y": 0.5}).to_csv(folder / "public" / "sample_submission.csv", index=False)
    pd.DataFrame({"row_id": ids, "y": draw.integers(0, 2, test)}).to_csv(
        folder / "private" / "answers.csv", index=False
    )
    (folder / "description.md").write_text("Predict y.\n")
    (folder / "task.yaml").write_text(TASK)
    return folder / "task.yaml"


def prepare(home: Path, rows: int) -> None:
    """Make the blend, two submissions, and the kept predictions of one of them."""
    import numpy as np
    import pandas as pd

    from tasks.holdout.blend import make_blend
    from tasks.judging.judge import judge
    from tasks.task import load_task

    blend = make_blend(load_task(write(home / "task", rows)), 0, home / "blend")
    sample = pd.read_csv(blend.public / "sample_submission.csv")
    draw = np.random.default_rng(1)
    for name in ("best", "ours"):
        sample["y"] = draw.random(len(sample))
        sample.to_csv(home / f"{name}.csv", index=False)
    judge(blend, home / "best.csv", home / "best_test.csv", True)
    (home / "held_out.csv").rename(home / "best_held_out.csv")


def measure(home: Path) -> None:
    """Judge once and print a line of JSON. This process stays small, because its child starts as a copy of it."""
    begun = time.monotonic()
    out, best = home / "ours_test.csv", home / "best_held_out.csv"
    judged = run_judge(home / "blend", home / "ours.csv", out, 600, True, best)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert judged.status == "scored", judged
    blend = load_blend(home / "blend")
    rows = {"test": blend.test_rows, "held_out": blend.held_out_rows, "select": blend.select_rows}
    cpu = {"cpu_seconds": round(used.ru_utime + used.ru_stime, 2), "wall_seconds": round(time.monotonic() - begun, 2)}
    print(json.dumps({**rows, **cpu, "peak_MB": used.ru_maxrss // 1024, "load": os.getloadavg()[0]}), flush=True)


def main() -> None:
    """Prepare and measure, each in its own process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        fresh = multiprocessing.get_context("spawn")
        _finish(fresh.Process(target=prepare, args=(home, options.rows)))
        if options.profile:
            blend, best = load_blend(home / "blend"), home / "best_held_out.csv"
            profile = cProfile.Profile()
            profile.runcall(judge, blend, home / "ours.csv", home / "ours_test.csv", True, best)
            pstats.Stats(profile).sort_stats("cumulative").print_stats(30)
            return
        for _ in range(options.repeats):
            _finish(fresh.Process(target=measure, args=(home,)))


def _finish(process: multiprocessing.process.BaseProcess) -> None:
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)


if __name__ == "__main__":
    main()
