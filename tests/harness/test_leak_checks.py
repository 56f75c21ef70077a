"""Leak checks find ids, labels and predictions in the files of a solution."""

from __future__ import annotations

import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.evaluation.leak_checks import notes_for_model
from runs.events.registry import EvaluationFinished, EvaluationStarted
from runs.state import Evaluation, State
from tasks.holdout.blend import make_blend
from tasks.io.csv_text import write_rows
from tasks.leakage.solution import UNCHECKED, SolutionCheck, check_files, check_solution
from tasks.leakage.statistics import Finding
from tasks.task import load_task


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """A run's task in which the id is the second column; as the leak checks need it."""
    draw, folder = random.Random(0), tmp_path / "task"
    (folder / "public").mkdir(parents=True)
    rows = [[str(draw.randrange(2)), str(name)] for name in draw.sample(range(10_000, 99_999), 1000)]
    write_rows(folder / "public/train.csv", [["left", "customer", "age"], *([*row, "7"] for row in rows[:600])])
    write_rows(folder / "public/test.csv", [["customer", "age"], *([row[1], "7"] for row in rows[600:])])
    write_rows(folder / "public/sample.csv", [["left", "customer"], *(["0", row[1]] for row in rows[600:])])
    (folder / "description.md").write_text("Who leaves?\n")
    (folder / "task.yaml").write_text(
        "id: churn\ndescription: description.md\nmetric: accuracy\ndata: {public: public/}\n"
        "submission: {sample: public/sample.csv, id: customer, target: left}\n"
        "labels: {file: public/train.csv, id: customer, target: left}\n"
    )
    task = load_task(folder)
    return SimpleNamespace(blend=make_blend(task, 0, tmp_path / "blend"), task=task)


def look(run: Any, folder: Path, **files: str) -> list[Finding]:
    folder.mkdir()
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return check_files(folder, folder / "submission.csv", run.blend.folder, run.task.path)


def shown(run: Any, name: str, column: int) -> list[str]:
    return [line.split(",")[column] for line in (run.blend.public / name).read_text().splitlines()[1:]]


def test_a_list_of_small_numbers_holds_no_ids(run: Any, tmp_path: Path) -> None:
    assert look(run, tmp_path / "w", solve_py="DEPTHS = [0, 1, 2, 3]\n") == []


def test_labels_of_training_rows_in_the_source_are_found(run: Any, tmp_path: Path) -> None:
    known = dict(zip(shown(run, "train.csv", 1)[::3], shown(run, "train.csv", 0)[::3], strict=True))
    (found,) = look(run, tmp_path / "w", solve_py=f"import csv\nKNOWN = {known}\n")
    assert found.kind == "labels in the code"
    assert f"solve.py:2 contains {len(known)} ids of training rows" in found.message
    (found,) = look(run, tmp_path / "v", solve_py=f"KNOWN = '''{';'.join(map('='.join, known.items()))}'''\n")
    assert found.kind == "labels in the code"


def test_findings_in_files_that_no_command_uses_come_last(run: Any, tmp_path: Path) -> None:
    early = "s = StandardScaler()\nX = s.fit_transform(X)\nscores = cross_val_score(m, X, y)\n"
    ids = " ".join(shown(run, "train.csv", 1))
    files = {"a_old.py": early, "main.py": "import src.model\nopen('known.json')", "src/model.py": early}
    for name, text in {**files, "known.json": ids, "unused.yaml": ids}.items():
        (tmp_path / "w" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "w" / name).write_text(text)
    where = tmp_path / "w", tmp_path / "w" / "submission.csv", run.blend.folder, run.task.path
    messages = [finding.message for finding in check_files(*where, ["python main.py --fast"])]
    assert [message.split()[0] for message in messages] == ["known.json", "src/model.py:2", "a_old.py:2", "unused.yaml"]


def test_a_finding_that_does_not_count_is_reported_once_in_a_run() -> None:
    early = Finding("fitted before the split", "a.py:2 fits PCA on all rows, line 3 splits")
    counts = Finding("labels in the code", "a.py:9 contains 40 ids of training rows")
    state = State()
    first = notes_for_model(state, SolutionCheck([early, counts, Finding("x", "for people", agent_may_see=False)]))
    assert ["does not count" in note for note in first] == [True, False]
    assert "not trusted" in first[1] and len(first) == 2
    told = EvaluationFinished(evaluation="001-1", status="scored", commit="c", tree="t", notes=first)
    started = EvaluationStarted(evaluation="001-1", call="c", command="x", commit="c", tree="t", job="e")
    state.evaluations["001-1"] = Evaluation(started, finished=told)
    moved = Finding(early.kind, "a.py:20 fits PCA on all rows, line 30 splits")
    assert notes_for_model(state, SolutionCheck([moved, counts])) == first[1:]


def test_a_source_too_long_to_be_one_is_found(run: Any, tmp_path: Path) -> None:
    (found,) = look(run, tmp_path / "w", solve_py="X = 1\n" * 60_000)
    assert found.message == "solve.py has 360000 bytes: source so long holds data"


def test_labels_in_a_json_file_are_found_behind_many_other_files(run: Any, tmp_path: Path) -> None:
    known = dict(zip(shown(run, "train.csv", 1)[::3], shown(run, "train.csv", 0)[::3], strict=True))
    dummies = {f"a{number}_py": "x = 1\n" for number in range(250)}
    (found,) = look(run, tmp_path / "w", **dummies, params_json=json.dumps(known))
    assert found.kind == "labels in the code" and "params.json" in found.message


@pytest.mark.parametrize(
    "source",
    [
        "x = " + " + ".join(["1"] * 5000),
        "if x: pass\n" + "elif x: pass\n" * 3000,
        "x = " + "-" * 90_000 + "1",
        "x = " + "(" * 5000 + ")" * 5000,
    ],
)
def test_source_that_breaks_the_parser_does_not_break_the_run(run: Any, tmp_path: Path, source: str) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "solve.py").write_text(source)
    checked = check_solution(
        tmp_path / "w", tmp_path / "w" / "submission.csv", run.blend.folder, run.task.path, b"valid" * 4000
    )
    assert all(finding.kind == UNCHECKED for finding in checked.findings)
