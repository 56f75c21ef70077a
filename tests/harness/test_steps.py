"""Steps are read and checked before anything runs: patterns, the files of an evaluation, every fault at once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evaluation.steps import patterns
from harness.evaluation.steps.checkout import CODE_BYTES, LINES, SETTINGS_BYTES, contents
from harness.evaluation.steps.commit import CommittedSolution, commit_solution
from harness.evaluation.steps.declare import StepArguments, StepsRefused, canonical, parse_solution, read_steps
from harness.parsing.coerce import fit
from harness.tools.evaluate import Evaluate
from harness.tools.registry import specs
from runs.events.registry import Step
from runs.versions.commits import Versions
from runs.versions.files import Caps

PARTS = st.sampled_from(["a", "b", "*", "**", "?", "a*", "*b", "[ab]", "ab"])
NAMES = st.sampled_from(["a", "b", "ab", "ba", "c"])


def write(workspace: Path, **files: str) -> Path:
    for name, text in files.items():
        path = workspace / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return workspace


def committed(workspace: Path, *steps: dict[str, Any]) -> CommittedSolution:
    declared, faults = read_steps([StepArguments.model_validate(step) for step in steps])
    return commit_solution(Versions(workspace.parent / "repo.git"), workspace, "001-1", None, declared, faults)


def faults(workspace: Path, *steps: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(StepsRefused) as caught:
        committed(workspace, *steps)
    return caught.value.faults


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("models", "models/deep/a.pkl", True),
        ("models/*.pkl", "models/a.pkl", True),
        ("*.py", "deep/a.py", False),
        ("**/*.py", "a.py", True),
        ("**/*.py", "deep/er/a.py", True),
        ("fold_[0-4].npy", "fold_3.npy", True),
        ("models/**", "model/a.pkl", False),
        ("", "anything", True),
    ],
)
def test_patterns_match_files_and_all_that_is_below_a_folder(pattern: str, path: str, expected: bool) -> None:
    assert patterns.matches(pattern, path) is expected
    assert patterns.Matcher([pattern])(path) is expected


@given(st.lists(PARTS, min_size=1, max_size=4), st.lists(PARTS, min_size=1, max_size=4), st.lists(NAMES, min_size=1))
def test_two_patterns_that_match_one_path_overlap(one: list[str], other: list[str], path: list[str]) -> None:
    a, b, name = "/".join(one), "/".join(other), "/".join(path)
    if patterns.matches(a, name) and patterns.matches(b, name):
        assert patterns.may_overlap(a, b) and patterns.may_overlap(b, a)


def test_an_evaluation_holds_code_and_short_settings_alone(tmp_path: Path) -> None:
    workspace = write(tmp_path / "w", a_py="x", deep__settings_json="{}", known_csv="a", notes_md="b")
    write(workspace, learnt_json="x" * (SETTINGS_BYTES + 1), big_py="x" * (CODE_BYTES + 1))
    (workspace / "data.py").write_bytes(os.urandom(11_000_000))
    (workspace / "latin.py").write_bytes(b"x = '\xe9'")
    (workspace / "link.py").symlink_to("/etc/passwd")
    (workspace / "huge.bin").write_bytes(b"0" * 21_000_000)
    made = committed(workspace, {"command": "python a.py"})
    held = contents(Versions(tmp_path / "repo.git"), made.commit)
    assert set(held.held) == {"a.py", "deep/settings.json", "notes.md"}
    assert {line.split(" (")[0] for line in made.left_out} == {
        *("big.py", "data.py", "huge.bin", "known.csv", "latin.py", "learnt.json", "link.py")
    }


@pytest.mark.parametrize(("files", "count"), [(200, 50), pytest.param(100_000, 20_000, marks=pytest.mark.slow)])
def test_code_is_committed_before_any_number_of_other_files(files: int, count: int, tmp_path: Path) -> None:
    workspace = write(tmp_path / "w", z__train_py="print(1)")
    for number in range(files):
        folder = workspace / f"a{number // 1000}"
        folder.mkdir(exist_ok=True)
        os.close(os.open(folder / f"{number}.npy", os.O_CREAT | os.O_WRONLY))
    versions = Versions(tmp_path / "repo.git", Caps(count=count))
    made = commit_solution(versions, workspace, "001-1", None, [Step(command="python z/train.py", uses=["z"])])
    assert set(contents(versions, made.commit).held) == {"z/train.py"}
    assert len(versions.files(made.commit)) == count + 1, "solution.json is not one of the workspace's files"
    assert 0 < len(made.left_out) <= LINES


def test_code_is_committed_before_labels_that_could_be_settings(tmp_path: Path) -> None:
    workspace = write(tmp_path / "w", solution_py="print(1)", zz__model_yaml="a: 1")
    (workspace / "labels").mkdir()
    for number in range(60):
        (workspace / "labels" / f"{number:02}.txt").write_text("0 0.5 0.5\n")
        (workspace / "labels" / f"{number:02}.png").write_text("picture")
    versions = Versions(tmp_path / "repo.git", Caps(count=20))
    made = commit_solution(versions, workspace, "001-1", None, [Step(command="python solution.py")])
    held = set(contents(versions, made.commit).held)
    assert held == {"solution.py", *(f"labels/{number:02}.txt" for number in range(19))}


def test_every_fault_is_in_one_answer(tmp_path: Path) -> None:
    workspace = write(tmp_path / "w", train_py="x", models__a_pkl="trained")
    (workspace / "linked").symlink_to("/proc")
    found = faults(
        workspace,
        {"command": "python train.py", "uses": ["nothing.py", "models/a.pkl"], "makes": ["/etc/passwd", "../out"]},
        {"command": "python train.py", "uses": ["late.npy"], "makes": ["early.npy", "linked/x", "data/y"]},
        {"command": "python train.py", "uses": ["early.npy"], "makes": ["late.npy", "train.py"], "make": "x"},
        {"command": "echo", "uses": []},
        {"command": " ", "makes": ["other.csv"]},
    )
    expected = [
        *(
            "'/etc/passwd'",
            "'../out'",
            "step 4 makes nothing",
            "data/y",
            "make is not known",
            "step 5 has no command",
        ),
        *(
            "must make submission.csv",
            "nothing.py",
            "models/a.pkl",
            "linked is a link",
            "cycle",
            "train.py, which is code",
        ),
    ]
    for words in expected:
        assert any(words in fault for fault in found), (words, found)
    assert len(found) == len(expected)
    assert not (tmp_path / "w" / "solution.json").exists()


def test_a_file_that_a_step_makes_is_never_read_from_the_commit(tmp_path: Path) -> None:
    workspace = write(tmp_path / "w", train_py="x", params_json="{}")
    two = [
        {"command": "python train.py", "makes": "params.json"},
        {"command": "cat params.json", "uses": ["params.json"]},
    ]
    first = committed(workspace, *two)
    write(workspace, params_json='{"rows": "of another fold"}')
    assert committed(workspace, *two).solution == first.solution
    (fault,) = faults(workspace, {**two[0], "uses": ["params.json"]}, two[1])
    assert "itself" in fault


def test_solution_json_says_how_a_commit_is_run(tmp_path: Path) -> None:
    workspace = write(tmp_path / "w", train_py="x")
    made = committed(workspace, {"cmd": "python train.py", "outs": "./models/"}, {"command": "a | b"})
    versions = Versions(tmp_path / "repo.git")
    steps = parse_solution(versions.read(made.commit, "solution.json").decode())
    assert [(step.uses, step.makes) for step in steps] == [(None, ["models/**"]), (None, ["submission.csv"])]
    assert made.command == "python train.py && (\na | b\n)" and canonical(steps) == canonical(made.steps)
    versions.reset(workspace, made.commit)
    assert committed(workspace, {"command": "true"}).solution != made.solution, "the harness's own file is no fault"
    write(workspace, solution_json='{"alpha": 1}')
    assert "solution.json" in faults(workspace, {"command": "true"})[0]


def test_steps_are_read_as_models_write_them() -> None:
    (tool,) = (spec for spec in specs() if spec.name == "evaluate")
    steps = [{"command": "python a.py", "uses": "a.py", "makes": None}, {"command": "b", "makes": '["x.pkl"]'}]
    for written in (steps, json.dumps(steps), [json.dumps(step) for step in steps]):
        fitted = fit(tool, {"steps": written, "minutes": "5"})
        assert not fitted.problem and not fitted.is_ambiguous
        read = Evaluate.model_validate(fitted.value)
        assert read.steps and [step.uses for step in read.steps] == [["a.py"], None]
        assert [step.makes for step in read.steps] == [None, ["x.pkl"]]
    schema = tool.properties["steps"]
    assert schema["items"]["properties"]["uses"]["items"] == {"type": "string"} and schema["description"]
    assert schema["items"]["required"] == ["command"] and "$ref" not in json.dumps(tool.parameters)
    for wrong in ({}, {"command": "a", "steps": [{"command": "b"}]}, {"steps": []}):
        with pytest.raises(ValueError, match="either"):
            Evaluate.model_validate(wrong)
