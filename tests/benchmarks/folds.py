"""Wall time of one evaluation on 5 folds: one fold after the other, and as many at once as leases allow.

`python -m tests.benchmarks.folds [REPEATS]` plays whole runs of one evaluation with the local sandbox and a scripted
model, in turns with and without folds at once. Waiting: a solution that mostly waits, such as for a disk or a GPU. One
thread, all cores: a boosted model and a forest that train on this machine.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

from runs.events.registry import EvaluationFinished, EvaluationStarted, FoldFinished
from sandboxes.leases.amounts import this_machine
from tests.harness.judged_runs import evaluated, script, side, two_numbers
from tests.playing import events_of, harness, only_run
from tests.servers.chat_server import ChatServer

TRAIN = """import numpy as np, pandas as pd
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
train, test = pd.read_csv("data/train.csv"), pd.read_csv("data/test.csv")
x = np.tile(train[["a", "b"]].to_numpy(), (20, 20))
model = MODEL.fit(x, np.tile(train["y"].to_numpy(), 20))
predicted = model.predict(np.tile(test[["a", "b"]].to_numpy(), (1, 20)))
test[["key"]].assign(y=predicted).to_csv("submission.csv", index=False)
"""
SOLUTIONS = {
    "waiting": "import time; time.sleep(8)\n" + TRAIN.replace("MODEL", "RandomForestClassifier(5)"),
    "one thread": TRAIN.replace("MODEL", "GradientBoostingClassifier(n_estimators=12)"),
    "all cores": TRAIN.replace("MODEL", "RandomForestClassifier(60, n_jobs=-1)"),
}


def seconds_of(source: str, at_once: int) -> tuple[float, float, float]:
    """Seconds of the evaluation, of its first fold, and the sum over the jobs on other folds."""
    with tempfile.TemporaryDirectory() as folder, ChatServer(script(evaluated(source)), piece=1000) as server:
        home = Path(folder)
        task = two_numbers(home / "side", side, train=1500)
        options = ["--model", "m", "--base-url", server.url, "--sandbox", "local", "--plain", "--attempts", "1"]
        settings = ["--set", f"jobs_at_once={at_once}", "--set", "finalists=1", "--parallel", "1"]
        code, printed = harness(home, "run", str(task), *options, *settings, seconds=600)
        assert code == 0, printed
        events = events_of(only_run(home))
    (started,) = [event for event in events if isinstance(event, EvaluationStarted)]
    (finished,) = [event for event in events if isinstance(event, EvaluationFinished)]
    assert (finished.status, finished.folds) == ("scored", 5)
    others = [e.seconds for e in events if isinstance(e, FoldFinished) and e.fold.startswith("fold")]
    return finished.mono - started.mono, finished.seconds, sum(others)


def main(repeats: int) -> None:
    """Print one line per solution."""
    cores = this_machine().cores
    print(f"{cores} cores, load {os.getloadavg()[0]:.1f} at the start, medians of {repeats}")
    print("| solution | first fold | one at a time | at once | ratio | jobs on other folds, one at a time / at once |")
    print("|---|---|---|---|---|---|")
    for name, source in SOLUTIONS.items():
        found: dict[int, list[tuple[float, float, float]]] = {1: [], 4: []}
        for _ in range(repeats):
            for at_once, each in found.items():
                each.append(seconds_of(source, at_once))
        one, many = ([statistics.median(column) for column in zip(*found[n], strict=True)] for n in (1, 4))
        print(
            f"| {name} | {one[1]:.1f} s | {one[0]:.1f} s | {many[0]:.1f} s | {one[0] / many[0]:.2f} | "
            f"{one[2]:.1f} / {many[2]:.1f} s |",
            flush=True,
        )
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 3)
