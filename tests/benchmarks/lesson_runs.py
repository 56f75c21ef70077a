"""Record real runs of the demo model with realistic failures, and replay them against the ledger.

    python -m tests.benchmarks.lesson_runs HOME [--tasks NAME...] [--seeds N] [--attempts N]

Plays each example task with each seed: whole runs, real processes and scores, with a ledger in HOME. Beside its own
families the demo model tries programs that fail as programs of models do: a package that is not installed, a file that
is not in the commit, missing values, rows left out of the submission. Then prints what `lesson_replay` finds, and how
often a change was credited to an action that it was not (from the tag of each attempt).
"""

from __future__ import annotations

import argparse
import os
import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from context.ledger.types import RunRecord
from harness.cli import main as harness
from harness.demo import transport
from harness.demo.solutions import Idea, default_ideas
from runs.journal import read_events
from runs.state import fold
from tests.benchmarks.lesson_replay import records_of, replay

TASKS = ("breast-cancer", "diabetes", "digits")
ACTION_OF = {
    "linear": "model.linear",
    "kernel": "model.kernel",
    "trees": "model.forest",
    "splines": "model.linear",
}
_READ = """import pandas as pd

train, test = pd.read_csv("data/train.csv"), pd.read_csv("data/test.csv")
sample = pd.read_csv("data/sample_submission.csv")
key, target = sample.columns[0], sample.columns[-1]
X, y = train.drop(columns=[key, target], errors="ignore"), train[target]
"""
_WRITE = """
test[target] = model.predict(test[X.columns])
sample[[key]].merge(test[[key, target]], on=key).to_csv("submission.csv", index=False)
"""
FAULTY = {
    "lightgbm": (
        "boosted trees of lightgbm",
        f"{_READ}import lightgbm\n\nmodel = lightgbm.LGBMModel().fit(X, y)\n{_WRITE}",
    ),
    "saved": (
        "nearest neighbours saved before",
        f'{_READ}import joblib\n\nmodel = joblib.load("models/neighbours.joblib")\n{_WRITE}',
    ),
    "gaps": (
        "nearest neighbours with ratios of columns",
        f"{_READ}from sklearn.neighbors import KNeighborsRegressor\n\nX = X / X.mean() / (X != 0)\n"
        f"model = KNeighborsRegressor().fit(X, y)\n{_WRITE}",
    ),
    "short": (
        "a small tree on rows without outliers",
        f"{_READ}from sklearn.tree import DecisionTreeRegressor\n\n"
        f"model = DecisionTreeRegressor(max_depth=3).fit(X, y)\n"
        f"test = test[test[X.columns[-1]] <= test[X.columns[-1]].quantile(0.9)].copy()\n{_WRITE}",
    ),
}


def ideas(seed: int) -> tuple[Idea, ...]:
    """The families of the demo model and the faulty programs, in an order of their own for each seed."""
    quick = [idea for idea in default_ideas() if idea.name != "boosting"]  # half a minute on digits
    found = [*quick, *(Idea(name, what, program=text) for name, (what, text) in FAULTY.items())]
    random.Random(seed).shuffle(found)
    return tuple(found)


def play(home: Path, tasks: Sequence[str], seeds: int, attempts: int) -> None:
    """Play all runs, in turn over the tasks."""
    os.environ["HARNESS_HOME"] = str(home)
    for seed in range(seeds):
        found = ideas(seed)
        setattr(transport, "default_ideas", partial(tuple, found))  # noqa: B010
        for task in tasks:
            words = ["--attempts", str(attempts), "--seed", str(seed), "--ledger", str(home / "l.sqlite")]
            code = harness(["run", task, *words, "--sandbox", "local", "--plain", "--set", "fold_share=0"])
            assert code == 0, (task, seed)


def wrong_credit(records: Iterable[RunRecord], tags: dict[str, str]) -> Counter[str]:
    """Evidence about actions that was right or wrong, by the tag of the evaluation it comes from."""
    found: Counter[str] = Counter()
    for record in records:
        for one in record.evidence:
            tag = tags.get(one.commit_after, "") if not one.is_process else ""
            if tag:
                found["right" if one.action in actions_of(tag) else "wrong"] += 1
    return found


_ALSO = {
    "linear": ("features.scaling",),
    "kernel": ("features.scaling",),
    "trees": ("training.regularisation",),
    "safe": ("model.forest", "training.regularisation"),
    "gaps": ("model.neighbours", "features.interactions"),
    "saved": ("model.neighbours",),
    "lightgbm": ("model.gradient_boosting",),
}
"""Parts of these programs that a reader would name as well: what their code does beside the model."""


def actions_of(tag: str) -> set[str]:
    """What the demo model did under a tag."""
    if tag.startswith("blend of "):
        return {"ensemble.average"}
    if tag.endswith(" tuned"):
        return {"training.tuning"}
    return {ACTION_OF.get(tag, ""), *_ALSO.get(tag, ())}


def tags_of(folders: Iterable[Path]) -> dict[str, str]:
    """What the demo model says it did in each commit."""
    found = {}
    for folder in folders:
        state = fold(read_events(folder))
        for attempt in state.attempts:
            said = re.findall(r"\[(?:idea|failed): ([^\]]+)\]", attempt.did)
            for evaluation, tag in zip(state.evaluations_in(attempt.number), said, strict=False):
                found[evaluation.commit] = tag
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--attempts", type=int, default=10)
    options = parser.parse_args()
    play(options.home.absolute(), options.tasks, options.seeds, options.attempts)
    folders = sorted(path for path in (options.home / "runs").iterdir() if (path / "events.jsonl").is_file())
    records = list(records_of(folders))
    credit = wrong_credit(records, tags_of(folders))
    print(replay(records).text())
    print(f"{sum(credit.values())} actions credited, {credit['wrong']} of them wrongly")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
