"""`harness check`, `replay` and `show --messages` on a played run, and on copies of it that were damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.commands.check import LEFT_OUT
from runs.events.registry import ModelReplied, ToolFinished
from runs.integrity import check_run
from tests.playing import events_of, harness_here, only_run, with_digits


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one run of two attempts."""
    home = with_digits(tmp_path_factory.mktemp("played") / "home")
    code, printed = harness_here(home, "run", "digits", "--attempts", "2", "--plain", "--no-ledger")
    assert code == 0, printed
    return home


@pytest.fixture
def home(played: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of that home to damage."""
    yield Path(shutil.copytree(played, tmp_path / "home", symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT)))


def lines_of(folder: Path) -> list[bytes]:
    return (folder / "events.jsonl").read_bytes().splitlines(keepends=True)


def write_lines(folder: Path, lines: list[bytes]) -> None:
    (folder / "events.jsonl").write_bytes(b"".join(lines))


def test_a_whole_run_is_as_recorded(played: Path) -> None:
    code, printed = harness_here(played, "check", "last")
    assert code == 0
    assert f"all {len(events_of(only_run(played)))} events" in printed


def test_an_edited_line_is_named_and_all_before_it_is_saved_and_resumed(home: Path, tmp_path: Path) -> None:
    folder = only_run(home)
    lines = lines_of(folder)
    number = next(n for n, line in enumerate(lines) if b'"attempt_ended"' in line)
    lines[number] = lines[number].replace(b'"why":"finish"', b'"why":"turns"')
    write_lines(folder, lines)
    found = check_run(folder)
    # The edited line is valid; the line after it no longer follows it.
    assert [problem.partition(":")[0] for problem in found.problems] == [f"events.jsonl, line {number + 2}"]
    assert (found.events, found.intact) == (len(lines) - 1, number + 1)
    code, printed = harness_here(home, "check", "last", "--save", str(tmp_path / "saved"))
    assert code == 2 and f"Lines 1 to {number + 1} are intact" in printed
    (problem,) = check_run(tmp_path / "saved").problems
    assert problem.startswith("submission.csv: it is not the submission of record")
    code, printed = harness_here(home, "resume", str(tmp_path / "saved"), "--plain")
    assert code == 0, printed
    assert check_run(tmp_path / "saved").problems == []


@pytest.mark.parametrize("damage", ["cut in half", "removed", "twice", "zeros"])
def test_every_kind_of_damaged_line_is_found_where_it_is(home: Path, damage: str) -> None:
    folder = only_run(home)
    lines = lines_of(folder)
    number = len(lines) // 2
    line = lines[number]
    lines[number : number + 1] = {
        "cut in half": [line[: len(line) // 2] + b"\n"],
        "removed": [],
        "twice": [line, line],
        "zeros": [b"\0" * (len(line) - 1) + b"\n"],
    }[damage]
    write_lines(folder, lines)
    found = check_run(folder)
    assert found.intact == (number + 1 if damage == "twice" else number)
    first = number + (2 if damage == "twice" else 1)
    assert found.problems[0].startswith(f"events.jsonl, line {first}:")


def test_a_half_written_last_line_is_not_damage(home: Path) -> None:
    folder = only_run(home)
    lines = lines_of(folder)
    write_lines(folder, [*lines[:-1], lines[-1][:20]])
    code, printed = harness_here(home, "check", "last")
    assert code == 0 and "half written" in printed


def test_changed_texts_commits_and_submissions_are_found(home: Path) -> None:
    folder = only_run(home)
    blob = next((folder / "blobs").iterdir())
    blob.write_bytes(blob.read_bytes() + b" ")
    judged = next((folder / "evaluations").glob("0*/submission.csv"))
    judged.write_text(judged.read_text() + "\n")
    (folder / "submission.csv").write_text("nothing\n")
    shutil.rmtree(folder / "repo.git" / "objects")
    (folder / "repo.git" / "objects").mkdir()
    problems = "\n".join(check_run(folder).problems)
    for part in (blob.name, str(judged.relative_to(folder)), "submission.csv: ", "repo.git: the commit"):
        assert part in problems


def test_a_replay_shows_the_lines_of_the_run(played: Path) -> None:
    code, printed = harness_here(played, "replay", "last", "--plain", "--speed", "100000")
    assert code == 0
    assert "attempt 2 of 2 (improve) starts from commit" in printed and "ended (attempts) after 2 attempts" in printed


def test_messages_hold_every_reply_and_result_once(played: Path) -> None:
    code, printed = harness_here(played, "show", "last", "--messages")
    assert code == 0
    records = [json.loads(line) for line in printed.splitlines()]
    messages = [message for record in records for message in record["messages"]]
    events = events_of(only_run(played))
    assert {record["attempt"] for record in records} == {1, 2}
    assert all(record["messages"][0]["role"] == "system" for record in records)
    assert sum(m["role"] == "assistant" for m in messages) == sum(isinstance(e, ModelReplied) for e in events)
    # The result of `finish` ends an attempt, so no reply follows it, but it is a message all the same.
    assert sum(m["role"] == "tool" for m in messages) >= sum(isinstance(e, ToolFinished) for e in events) - 2
    code, printed = harness_here(played, "show", "last", "--messages", "--attempt", "2")
    assert {json.loads(line)["attempt"] for line in printed.splitlines()} == {2}
