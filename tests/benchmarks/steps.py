"""What a second evaluation of a stack costs where one of its three models changed, against the first one.

    python -m tests.benchmarks.steps [--rows 4000] [--trees 400] [--sandbox bubblewrap]

A scripted model evaluates a stack of three models and a blend, each a step, then changes one model, and each of the
others in turn with the first ones as they were. CPU seconds are those that the programs of the steps took, imports
included, on the first fold and on all five. A change moves the predictions by less than matters, so that no evaluation
is too bad for the other folds. Prints a table; nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runs.events.registry import Event
from tests.harness.judged_runs import evaluations, played, side, two_numbers
from tests.playing import call

MODELS = {
    "forest": "RandomForestClassifier(n_estimators=TREES, max_depth=12, random_state=0)",
    "extra": "ExtraTreesClassifier(n_estimators=2 * TREES, max_depth=12, random_state=0)",
    "boosting": "GradientBoostingClassifier(n_estimators=TREES, random_state=0)",
}
MODEL = """import pickle, time
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier
TREES = {trees}
train, test = pd.read_csv("data/train.csv"), pd.read_csv("data/test.csv")
model = {model}.fit(train[["a", "b"]], train["y"])
pickle.dump(model.predict_proba(test[["a", "b"]])[:, 1] + {change} * 1e-9, open("made/{name}.pkl", "wb"))
print("CPU", time.process_time())
"""
BLEND = """import pickle, time
import pandas as pd
test = pd.read_csv("data/test.csv")
mean = sum(pickle.load(open(f"made/{name}.pkl", "rb")) for name in ("forest", "extra", "boosting")) / 3
pd.DataFrame({"key": test["key"], "y": (mean > 0.5).astype(int)}).to_csv("submission.csv", index=False)
print("CPU", time.process_time())
"""


def steps() -> list[dict[str, Any]]:
    """Three models and their blend."""
    models = [
        {"command": f"python {name}.py", "uses": [f"{name}.py"], "makes": [f"made/{name}.pkl"]} for name in MODELS
    ]
    return [*models, {"command": "python blend.py", "uses": ["blend.py", "made"]}]


def write(name: str, trees: int, change: int = 0) -> dict[str, Any]:
    """A call that writes one model."""
    source = MODEL.format(model=MODELS[name], name=name, trees=trees, change=change)
    return call("write_file", path=f"{name}.py", content=source)


def play(home: Path, rows: int, trees: int, sandbox: str) -> list[Event]:
    """The events of a run with one evaluation of the whole stack, and one for each changed model."""
    whole = [write(name, trees) for name in MODELS]
    first = [*whole, call("write_file", path="blend.py", content=BLEND), call("evaluate", steps=steps())]
    changed = [[*whole, write(name, trees, 1), call("evaluate", steps=steps())] for name in MODELS]
    task = two_numbers(home / "side", side, train=rows, test=500)
    return played(home, task, first, *changed, flags=("--sandbox", sandbox, "--set", "finalists=1"))


def cpu_seconds(home: Path, evaluation: str) -> tuple[float, float]:
    """What the steps of an evaluation took on the first fold, and on all folds."""

    def total(pattern: str) -> float:
        logs = home.glob(f"runs/*/{pattern}/log")
        return sum(
            float(line.split()[1]) for log in logs for line in log.read_text().splitlines() if line[:4] == "CPU "
        )

    first = total(f"jobs/.logs/e-{evaluation}-s*")
    return first, first + total(f"fold_jobs/fold*/{evaluation}/.logs/e-{evaluation}-*-s*")


def report(home: Path, events: list[Event]) -> Iterator[str]:
    """The table: one line per evaluation, then the mean of those with one changed model."""
    yield "changed    folds  steps run   CPU s, fold 0  against first    CPU s, all  against first"
    base, ratios = cpu_seconds(home, "001-1"), []
    for name, evaluation in zip(["(all)", *MODELS], evaluations(events), strict=True):
        one, every = cpu_seconds(home, evaluation.evaluation)
        ran = sum(not step.cached_from for step in evaluation.steps)
        ratios.append((one / base[0], every / base[1]))
        numbers = f"{one:14.2f} {ratios[-1][0]:14.2f} {every:13.2f} {ratios[-1][1]:14.2f}"
        yield f"{name:10} {evaluation.folds:5} {ran:10} {numbers}"
    first, every = (sum(column) / len(MODELS) for column in zip(*ratios[1:], strict=True))
    yield f"{'mean':10} {first:46.2f} {every:28.2f}"


def main() -> None:
    """Play the run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--trees", type=int, default=400)
    parser.add_argument("--sandbox", default="bubblewrap")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        print("\n".join(report(home, play(home, options.rows, options.trees, options.sandbox))))


if __name__ == "__main__":
    main()
