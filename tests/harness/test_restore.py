"""`restore`, `diff` and `recall` with a path bring back files of earlier evaluations."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runs.events.registry import Event, ToolFinished
from runs.versions.commits import Versions
from tests.long_play import Calls, Worker, play
from tests.playing import SOLUTION, call

HELPER = "printf 'BEAK = 1\\n' > lib/helper.py; ln -s ../lib/helper.py lib/alias.py; ln -s /etc/hostname away.txt"
STEPS: list[Calls] = [
    [call("write_file", path="solution.py", content=SOLUTION), call("bash", command=f"mkdir lib; {HELPER}")],
    [call("evaluate", command="python solution.py")],
    [
        call("edit_file", path="solution.py", old="GUESS = 0", new="GUESS = 3"),
        call("bash", command="rm -r lib; echo unsaved > lib; echo mine > other.txt"),
    ],
    [call("diff", a="001-1"), call("restore", evaluation="001-1")],
    [call("bash", command="rm lib"), call("restore", evaluation="001-1", path="lib/")],
    [call("bash", command="cat solution.py lib/helper.py lib/alias.py other.txt .kept/*/solution.py")],
    [call("evaluate", command="python solution.py"), call("diff", a="001-1", b="001-2")],
    [call("restore", evaluation="009-9"), call("restore", evaluation="001-1", path="none.py")],
    [call("bash", command="rm -r lib"), call("recall", path="helper.py")],
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    played = play(tmp_path_factory.mktemp("restore"), Worker(lambda turn: STEPS[turn - 1]), len(STEPS))
    return played.folder, [content_of(event) for event in played.events if isinstance(event, ToolFinished)]


def content_of(event: Event) -> str:
    assert isinstance(event, ToolFinished)
    return event.content


def result_of(results: list[str], step: int, place: int = 0) -> str:
    return results[sum(len(calls) for calls in STEPS[:step]) + place]


def test_diff_shows_what_changed_in_the_workspace(results: tuple[Path, list[str]]) -> None:
    shown = result_of(results[1], 3)
    assert shown.startswith("from evaluation 001-1 to the workspace:\n")
    assert "solution.py: +1 -1" in shown and "+GUESS = 3" in shown and "other.txt: +1 -0" in shown
    assert "solution.json" not in shown  # only `evaluate` writes the steps


def test_restore_writes_files_and_keeps_those_it_replaces(results: tuple[Path, list[str]]) -> None:
    first, second = result_of(results[1], 3, 1), result_of(results[1], 4, 1)
    assert re.search(r"restored 2 files of evaluation 001-1: solution\.json, solution\.py", first)
    assert re.search(r"your versions are kept in \.kept/00004-1/: solution\.(json, solution\.)?py", first)
    assert "lib/helper.py (" in first, "a file stands where a folder was"
    assert "away.txt (a link that leaves the workspace)" in first
    assert "restored 2 files of evaluation 001-1: lib/alias.py, lib/helper.py" in second
    read = result_of(results[1], 5)
    assert "GUESS = 0" in read and read.count("BEAK = 1") == 2 and "mine" in read and "GUESS = 3" in read


def test_kept_files_and_notes_are_in_no_commit(results: tuple[Path, list[str]]) -> None:
    (repo,) = results[0].glob("*.git")
    assert "away.txt" not in result_of(results[1], 6, 1)
    commit = result_of(results[1], 6).split("commit ")[1][:10]
    versions = Versions(repo)
    whole = next(line.strip() for line in (repo / "refs/heads/main").read_text().splitlines())
    assert not [name for name in versions.files(whole) if name.startswith((".kept", "NOTES"))], commit


def test_unknown_evaluation_or_path_is_answered(results: tuple[Path, list[str]]) -> None:
    assert "error: there is no evaluation '009-9'; the latest are 001-1, 001-2" in result_of(results[1], 7)
    assert "error: evaluation 001-1 has no file none.py" in result_of(results[1], 7, 1)


def test_recall_returns_a_file_that_only_a_commit_has(results: tuple[Path, list[str]]) -> None:
    found = result_of(results[1], 8, 1)
    assert "(helper.py in the commit of evaluation 001-2)\nBEAK = 1" in found
