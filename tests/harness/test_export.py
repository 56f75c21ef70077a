"""`harness export`: the exported code of a run makes its submission again, byte for byte."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runs.events.registry import Decided, Part, SubmissionChosen
from runs.journal import Journal
from runs.state import fold
from tests.harness.judged_runs import Step, evaluated, guessing, played, side, two_numbers
from tests.harness.run_folders import a_run
from tests.playing import call, events_of, harness_here, only_run
from tests.sandboxes.wheels import make_wheel, requirements_in

TRAIN = """import csv, json
rows = list(csv.DictReader(open("data/train.csv")))
weights = {name: sum(float(row[name]) * (float(row["y"]) - 0.5) for row in rows) / len(rows) for name in "ab"}
json.dump(weights, open("models/weights.json", "w"))
"""
PREDICT = """import csv, json
weights = json.load(open("models/weights.json"))
rows = list(csv.DictReader(open("data/test.csv")))
with open("submission.csv", "w", newline="") as file:
    made = ([row["key"], sum(weights[name] * float(row[name]) for name in NAMES)] for row in rows)
    csv.writer(file).writerows([["key", "y"], *made])
"""


def trained(names: str) -> Step:
    """A step of a model: write a solution of two steps and evaluate it."""
    steps = [
        {"command": "python train.py", "uses": ["train.py"], "makes": ["models/weights.json"]},
        {"command": "python predict.py", "uses": ["predict.py", "models"]},
    ]
    return [
        call("write_file", path="train.py", content=TRAIN),
        call("write_file", path="predict.py", content=PREDICT.replace("NAMES", repr(names))),
        call("evaluate", steps=steps),
    ]


def noisy(draw: random.Random, a: float, b: float) -> str:
    return f"{0.4 * a + 0.1 * b + draw.gauss(0, 0.1):.4f}"


def both(draw: random.Random, a: float, b: float) -> str:
    return f"{a + b + draw.gauss(0, 0.1):.4f}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a finished run whose submission is the mean over folds, and one whose submission is a refit."""
    home = tmp_path_factory.mktemp("home")
    task = two_numbers(home / "tasks" / "side", side, train=160, test=60, metric="auc")
    played(home, task, trained("b"), trained("ab"))
    return home


@pytest.fixture(scope="module")
def refitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("refitted")
    one_split = "blend: {plan: {search: 0.1, select: 0.1}}\n"
    task = two_numbers(home / "tasks" / "line", noisy, train=600, test=60, metric="rmse", more=one_split)
    played(home, task, trained("ab"))
    return home


def exported(home: Path, run: Path, target: Path) -> Path:
    code, printed = harness_here(home, "export", str(run), str(target))
    assert code == 0, printed
    return target


def refused(home: Path, *arguments: str) -> str:
    code, printed = harness_here(home, "export", *arguments)
    assert code == 2
    return printed


def run_there(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run an exported folder as a user does, with no variable of the harness."""
    usual = {"PATH": os.environ["PATH"], "HOME": str(folder.parent)}
    return subprocess.run(
        ["sh", str(folder / "run.sh")], env=usual, cwd="/", capture_output=True, text=True, timeout=120
    )


def record_of(run: Path) -> SubmissionChosen:
    return [event for event in events_of(run) if isinstance(event, SubmissionChosen)][-1]


def parts(run: Path) -> list[tuple[str, str]]:
    return [(part.evaluation, part.split) for part in record_of(run).parts]


def copied(run: Path, target: Path) -> Path:
    """A copy of a run, without its locks and pipes."""
    shutil.copytree(run, target, symlinks=True, ignore=shutil.ignore_patterns("lock*", ".requests", ".done"))
    return target


def ended_earlier(run: Path, target: Path, evaluation: str) -> Path:
    """A copy of a run whose journal ends where this evaluation became the submission of record."""
    copied(run, target)
    kept = []
    for line in (target / "events.jsonl").read_text().splitlines(keepends=True):
        kept.append(line)
        event = json.loads(line)
        if event["kind"] == "submission_chosen" and event["evaluation"] == evaluation:
            break
    (target / "events.jsonl").write_text("".join(kept))
    return target


def test_mean_over_folds_is_made_again_byte_for_byte(home: Path, tmp_path: Path) -> None:
    run = only_run(home)
    made_of = parts(run)
    assert record_of(run).evaluation == "final" and len(made_of) > 3
    assert {split for _, split in made_of} >= {"fold0", "fold1", "fold2", "fresh1-fold0"}
    folder = exported(home, run, tmp_path / "winner")
    done = run_there(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "submission.csv").read_bytes() == (run / "submission.csv").read_bytes()
    assert "byte for byte" in done.stdout
    for evaluation, split in made_of:
        assert (folder / "work" / evaluation / split / "models" / "weights.json").exists()


def test_exported_folder_has_code_steps_requirements_and_provenance(home: Path, tmp_path: Path) -> None:
    run = only_run(home)
    state = fold(events_of(run))
    folder = exported(home, run, tmp_path / "winner")
    text = (folder / "README.md").read_text()
    assert state.created is not None
    for name, _ in parts(run):
        evaluation = state.evaluations[name]
        assert evaluation.commit in text and name in text
        steps = json.loads((folder / "code" / name / "solution.json").read_text())["steps"]
        assert [step["command"] for step in steps] == ["python train.py", "python predict.py"]
        assert (folder / "code" / name / "train.py").read_text() == TRAIN
    for fact in (state.created.run_id, "scripted", "seed: 0", state.created.harness_version, record_of(run).sha256):
        assert fact in text
    assert "±" in text and "labels unprotected" in text
    recorded = json.loads((folder / "export.json").read_text())["parts"]
    assert all(int(part["variables"]["OMP_NUM_THREADS"]) > 0 for part in recorded)
    pins = (folder / "requirements.txt").read_text().splitlines()
    assert pins == [package.replace(" ", "==") for package in state.created.packages] and pins


def test_only_public_data_is_linked_and_no_label_is_written(home: Path, tmp_path: Path) -> None:
    folder = exported(home, only_run(home), tmp_path / "winner")
    links = [path for path in folder.rglob("*") if path.is_symlink()]
    assert {path.parent for path in links} == {folder / "data"}
    assert all(path.resolve().name == "public" and path.is_dir() for path in links)
    assert {path.name for path in (folder / "rows" / "fold0").iterdir()} == {"ids.csv", "test_rows.csv"}
    assert len((folder / "rows" / "fold0" / "test_rows.csv").read_text().splitlines()) == 1 + 60
    assert (folder / "rows" / "fold0" / "test_rows.csv").read_text().startswith("row,id\n")


def test_submission_of_an_evaluation_is_made_again_from_its_folds(home: Path, tmp_path: Path) -> None:
    run = ended_earlier(only_run(home), tmp_path / "run", "001-1")
    assert parts(run) == [("001-1", "fold0"), ("001-1", "fold1"), ("001-1", "fold2")]
    folder = exported(home, run, tmp_path / "winner")
    assert run_there(folder).returncode == 0
    assert (folder / "submission.csv").read_bytes() == (run / "evaluations" / "001-1" / "submission.csv").read_bytes()
    assert "so far" in (folder / "README.md").read_text()


def test_refit_is_made_again_byte_for_byte(refitted: Path, tmp_path: Path) -> None:
    run = only_run(refitted)
    refit = [event for event in events_of(run) if isinstance(event, Decided) and event.step == "refit"]
    assert [event.chosen for event in refit] == ["refit"] and parts(run) == [("001-1", "refit")]
    folder = exported(refitted, run, tmp_path / "winner")
    assert run_there(folder).returncode == 0
    assert (folder / "submission.csv").read_bytes() == (run / "submission.csv").read_bytes()


def test_ensemble_of_different_evaluations_is_made_again(tmp_path: Path) -> None:
    """y = a + b: one solution knows more of a, the other more of b, and each folder of code is run on every split."""
    home = tmp_path / "home"
    task = two_numbers(home / "tasks" / "sum", both, train=300, test=60, metric="rmse")
    one, other = ("float(row['a']) + 0.4 * float(row['b'])", "float(row['b']) + 0.48 * float(row['a'])")
    played(home, task, evaluated(guessing(one)), evaluated(guessing(other)))
    run = only_run(home)
    assert {name for name, _ in parts(run)} == {"001-1", "001-2"} and len(parts(run)) > 2
    folder = exported(home, run, tmp_path / "winner")
    assert run_there(folder).returncode == 0
    assert (folder / "submission.csv").read_bytes() == (run / "submission.csv").read_bytes()
    assert (folder / "code/001-1/solution.py").read_bytes() != (folder / "code/001-2/solution.py").read_bytes()


def test_run_with_a_built_environment_is_made_again(tmp_path: Path) -> None:
    """With the environment of this machine, and with one that a user made from the exported requirements."""
    home = tmp_path / "home"
    task = two_numbers(home / "tasks" / "sum", both, train=160, test=60, metric="rmse")
    wanted = requirements_in(tmp_path, "tiny")
    make_wheel(tmp_path, version="1.5")
    solution = "import tiny\n" + guessing("float(tiny.VALUE) * float(row['a'])")
    played(home, task, evaluated(solution), flags=("--sandbox", "bubblewrap", "--environment", str(wanted)))
    run = only_run(home)
    folder = exported(home, run, tmp_path / "winner")
    assert (folder / "requirements.txt").read_text() == "tiny==1.5\n"
    assert run_there(folder).returncode == 0
    assert (folder / "submission.csv").read_bytes() == (run / "submission.csv").read_bytes()
    (home / "environments").rename(tmp_path / "gone")
    assert run_there(folder).returncode == 1, "no Python here has the package"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    pip = [sys.executable, "-m", "pip", "--python", folder / ".venv/bin/python", "install", "-q", "--no-index"]
    subprocess.run([*pip, "--find-links", tmp_path, "-r", folder / "requirements.txt"], check=True)
    assert run_there(folder).returncode == 0
    assert (folder / "submission.csv").read_bytes() == (run / "submission.csv").read_bytes()


def test_single_result_of_an_evaluation_is_made_again(refitted: Path, tmp_path: Path) -> None:
    run = ended_earlier(only_run(refitted), tmp_path / "run", "001-1")
    assert parts(run) == [("001-1", "fold0")]
    folder = exported(refitted, run, tmp_path / "winner")
    assert run_there(folder).returncode == 0
    assert (folder / "submission.csv").read_bytes() == (run / "evaluations" / "001-1" / "submission.csv").read_bytes()


def test_changed_code_is_noticed(refitted: Path, tmp_path: Path) -> None:
    folder = exported(refitted, only_run(refitted), tmp_path / "winner")
    code = folder / "code" / "001-1" / "train.py"
    code.write_text(TRAIN.replace("0.5", "0.4"))
    assert run_there(folder).returncode == 1


def test_run_recorded_without_parts_says_that_they_are_unknown(home: Path, tmp_path: Path) -> None:
    run = copied(only_run(home), tmp_path / "run")
    journal = run / "events.jsonl"
    journal.write_text(re.sub(r',"parts":\[.*?\]|,"prev":"\w+"', "", journal.read_text()))
    assert record_of(run).parts == []
    folder = exported(home, run, tmp_path / "winner")
    done = run_there(folder)
    assert done.returncode == 1 and "does not say which runs" in done.stdout
    assert "does not say which runs" in (folder / "README.md").read_text()
    earlier = ended_earlier(run, tmp_path / "earlier", "001-1")
    assert run_there(exported(home, earlier, tmp_path / "known")).returncode == 0, "an evaluation's parts can be told"


def test_what_cannot_be_exported_is_refused(home: Path, tmp_path: Path) -> None:
    run, target = only_run(home), tmp_path / "winner"
    target.mkdir()
    (target / "mine.txt").write_text("keep")
    assert "not an empty folder" in refused(home, "last", str(target))
    assert [path.name for path in target.iterdir()] == ["mine.txt"]
    with Journal.open(ended_earlier(run, tmp_path / "played", "001-1")):
        assert "being played" in refused(home, str(tmp_path / "played"), str(tmp_path / "new"))
    sample = SubmissionChosen(evaluation="", sha256="0" * 64, why="the sample")
    only_sample = a_run(tmp_path, "20260801-120000_letters_0_aa11", [sample])
    assert "beyond the sample" in refused(home, str(only_sample), str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_data_that_was_removed_is_named(refitted: Path, tmp_path: Path) -> None:
    home, run = tmp_path / "home", only_run(refitted)
    shutil.copytree(refitted / "data", home / "data")
    exported(home, run, tmp_path / "all there")
    linked = (tmp_path / "all there" / "data" / "refit").readlink()
    assert linked.is_relative_to(home)
    shutil.rmtree(linked.parent)
    message = refused(home, str(run), str(tmp_path / "new"))
    assert "removed (refit)" in message and "--seed 0" in message
    assert not (tmp_path / "new").exists()
    assert run_there(tmp_path / "all there").returncode == 1, "the link leads nowhere"


def test_parts_keep_journals_without_them_readable() -> None:
    old = SubmissionChosen.model_validate({"kind": "submission_chosen", "evaluation": "1", "sha256": "", "why": ""})
    assert old.parts == []
    assert Part(evaluation="001-1") == Part(evaluation="001-1", split="fold0", weight=1.0)
