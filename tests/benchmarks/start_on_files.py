"""The start of a run on a task with very many files: time and disk, beside one copy of the same folder.

`python -m tests.benchmarks.start_on_files [FILES] [BYTES_EACH]` (default 200,000 of 25 kB, 5 GB) makes the data of all
five folds and prints the seconds of each, the longest silence between two reports, and the disk used.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tasks.holdout.blend import make_blend
from tasks.holdout.split import Split
from tasks.progress import listening
from tasks.task import load_task

FOLDERS = 200
YAML = """id: files
description: description.md
metric: roc_auc
data: {public: public/, private: private/}
submission: {sample: public/sample_submission.csv, id: id, target: target}
labels: {file: public/train.csv, id: id, target: target, stratify: true}
blend: {static: ["extra/*"]}
"""


def make_task(folder: Path, files: int, size: int) -> None:
    """A table of 2,000 rows and many files that belong to no row."""
    draw = random.Random(1)
    content = draw.randbytes(size + files)
    for number in range(FOLDERS):
        (folder / f"public/extra/{number}").mkdir(parents=True)
    for number in range(files):
        (folder / f"public/extra/{number % FOLDERS}/{number}.bin").write_bytes(content[number : number + size])
    ids = draw.sample(range(10_000, 99_999), 2_500)
    rows = [f"{name},{draw.random():.4f},{draw.randrange(2)}" for name in ids]
    (folder / "public/train.csv").write_text("\n".join(["id,a,target", *rows[:2000]]) + "\n")
    (folder / "public/test.csv").write_text("\n".join(["id,a", *(row[:-2] for row in rows[2000:])]) + "\n")
    sample = "\n".join(["id,target", *(f"{name},0" for name in ids[2000:])]) + "\n"
    (folder / "public/sample_submission.csv").write_text(sample)
    (folder / "private").mkdir()
    (folder / "private/answers.csv").write_text(sample)
    (folder / "description.md").write_text("Predict the target.\n")
    (folder / "task.yaml").write_text(YAML)


def used(*folders: Path) -> int:
    """Bytes on disk, each file counted once."""
    done = subprocess.run(["du", "-sc", "--block-size=1", *folders], capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1].split()[0])


def reports_of(step: Callable[[], object]) -> list[float]:
    """When a step began, when it reported what it does, and when it ended."""
    moments = [time.monotonic()]
    with listening(lambda _: moments.append(time.monotonic())):
        step()
    return [*moments, time.monotonic()]


def main(files: int, size: int) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory(prefix="start-") as place:
        base = Path(place)
        make_task(base / "task", files, size)
        os.sync()  # what was written before would slow down what is measured
        began = time.monotonic()
        subprocess.run(["cp", "-r", base / "task/public", base / "copy"], check=True)
        copying = time.monotonic() - began
        shutil.rmtree(base / "copy")
        os.sync()
        task = load_task(base / "task/task.yaml")
        for fold in range(5):
            reports = reports_of(lambda fold=fold: make_blend(task, 0, base / f"data/{fold}", Split(fold=fold)))
            silence = max(after - before for before, after in itertools.pairwise(reports))
            seconds = reports[-1] - reports[0]
            print(f"fold {fold}: {seconds:.1f} s, {seconds / copying:.2f} x one copy; longest silence {silence:.1f} s")
        data, source = used(base / "data"), used(base / "task/public")
        print(f"copy: {copying:.1f} s. Disk of 5 folds: {data / 1e9:.2f} GB, {data / source:.2f} x the data")


if __name__ == "__main__":
    main(*(int(text) for text in [*sys.argv[1:], "200000", "25000"][:2]))
