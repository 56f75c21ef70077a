"""Every error ends with a clear message and the right exit code, never with a traceback, and loses nothing."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runs.events.registry import (
    AttemptEnded,
    EndpointProbed,
    ModelFailed,
    ModelReplied,
    RunEnded,
    SubmissionChosen,
)
from runs.state import fold
from sandboxes.base import Limits
from sandboxes.jobs.start_supervisor import supervisor_pid
from tests.playing import (
    HARNESS,
    call,
    engineer,
    events_of,
    harness,
    harness_here,
    only_run,
    reply,
    start_harness,
    wait_until,
    with_digits,
)
from tests.servers.chat_server import ChatServer, Message, unused_port

LOCAL = ["--sandbox", "local", "--plain"]


def scripted(server: ChatServer) -> list[str]:
    return ["--model", "scripted", "--base-url", server.url, *LOCAL]


def error_text(code: int, printed: str) -> str:
    assert code != 0, printed
    assert "Traceback" not in printed
    return printed


@pytest.fixture
def churn(tmp_path: Path) -> Path:
    """A small task of a user, with words as labels."""
    folder = tmp_path / "churn"
    (folder / "public").mkdir(parents=True)
    (folder / "private").mkdir()
    rows = [f"{number},{number * 7 % 13},{'yes' if number % 3 else 'no'}" for number in range(100, 200)]
    (folder / "public" / "train.csv").write_text("id,age,left\n" + "\n".join(rows) + "\n")
    (folder / "public" / "test.csv").write_text("id,age\n300,1\n301,2\n")
    (folder / "public" / "sample_submission.csv").write_text("id,left\n300,no\n301,no\n")
    (folder / "private" / "answers.csv").write_text("id,left\n300,yes\n301,no\n")
    (folder / "task.yaml").write_text(
        "id: churn\ntitle: Who leaves\ndescription: description.md\nmetric: accuracy\n"
        "data: {public: public/, private: private/}\n"
        "submission: {sample: public/sample_submission.csv, id: id, target: left}\n"
        "labels: {file: public/train.csv, id: id, target: left}\n"
    )
    (folder / "description.md").write_text("Say who leaves.\n")
    return folder


def remove(path: str) -> Callable[[Path], None]:
    return lambda folder: (folder / path).unlink()


def change(old: str, new: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        text = (folder / "task.yaml").read_text()
        assert old in text
        (folder / "task.yaml").write_text(text.replace(old, new))

    return act


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (remove("task.yaml"), "task.yaml"),
        (remove("public/train.csv"), "train.csv"),
        (remove("public/sample_submission.csv"), "sample_submission.csv"),
        (change("metric: accuracy", "metric: acuracy"), "accuracy"),
        (change("title:", "titel:"), "title"),
        (change("id: churn", "id: [churn"), "task.yaml:"),
        (change("target: left}\nlabels", "target: gone}\nlabels"), "gone"),
    ],
)
def test_invalid_task_is_refused_before_a_run_exists(
    churn: Path, tmp_path: Path, damage: Callable[[Path], None], words: str
) -> None:
    damage(churn)
    code, printed = harness_here(tmp_path / "home", "run", str(churn), *LOCAL)
    assert code == 2
    assert words in error_text(code, printed)
    assert not (tmp_path / "home" / "runs").exists()


def test_own_task_is_played_and_graded_and_leaves_no_process(churn: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    code, printed = harness(home, "run", str(churn), "--attempts", "1", *LOCAL)
    assert code == 0, printed
    folders = [only_run(home) / "jobs", *(only_run(home) / "fold_jobs").glob("*/*")]
    wait_until(lambda: all(supervisor_pid(folder) is None for folder in folders if folder.is_dir()))
    code, printed = harness_here(home, "score", "last")
    assert code == 0, printed
    assert "churn" in printed


def test_own_task_may_have_the_id_of_an_example(churn: Path, tmp_path: Path) -> None:
    change("id: churn", "id: digits")(churn)
    home = tmp_path / "home"
    code, printed = harness_here(home, "run", str(churn), "--turns", "1", *LOCAL)
    assert code == 0, printed
    code, printed = harness_here(home, "tasks", "digits")
    assert code == 0, printed
    assert "digit" in printed
    assert (home / "data" / "digits" / "public" / "train.csv").is_file()


def test_full_disk_under_standard_output_is_reported(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [HARNESS, "tasks"], stdout=full, stderr=subprocess.PIPE, text=True, env={"HARNESS_HOME": str(tmp_path)}
        )
    assert done.returncode == 3
    assert done.stderr.startswith("harness: ") and "no space" in done.stderr and "Traceback" not in done.stderr


def test_home_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words in (["doctor"], ["run", "digits", *LOCAL]):
        code, printed = harness_here(tmp_path / "file" / "home", *words)
        assert code == 2
        assert str(tmp_path / "file") in error_text(code, printed)


def test_invalid_sample_is_refused_before_a_run_exists(churn: Path, tmp_path: Path) -> None:
    sample = churn / "public" / "sample_submission.csv"
    sample.write_text("id,left\n300,\n301,\n")
    code, printed = harness_here(tmp_path / "home", "run", str(churn), *LOCAL)
    assert code == 2
    assert f"{sample} cannot be the first submission" in error_text(code, printed)
    assert "2 missing values" in printed
    assert not (tmp_path / "home" / "runs").exists()


def test_unreachable_endpoint_is_named(digits_home: Path) -> None:
    address = f"http://127.0.0.1:{unused_port()}/v1"
    code, printed = harness_here(digits_home, "run", "digits", "--model", "m", "--base-url", address, *LOCAL)
    assert code == 4
    assert address in error_text(code, printed)


def test_model_without_endpoint_is_a_usage_error(digits_home: Path) -> None:
    code, printed = harness_here(digits_home, "run", "digits", "--model", "m", *LOCAL)
    assert code == 2
    assert "--base-url" in error_text(code, printed)


def test_unusable_replies_end_the_run_with_a_valid_submission(digits_home: Path) -> None:
    def rubbish(_: dict[str, Any]) -> Message:
        return {"content": "I am sure it will all be well."}

    with ChatServer(rubbish, piece=1000) as server:
        code, printed = harness_here(digits_home, "run", "digits", *scripted(server))
    assert code == 4
    folder = only_run(digits_home)
    events = events_of(folder)
    assert isinstance(events[-1], RunEnded)
    assert events[-1].why == "unusable_replies"
    assert sum(isinstance(event, ModelReplied) for event in events) == 50
    assert "usable" in error_text(code, printed)
    assert (folder / "submission.csv").read_text().startswith("image_id,digit\n")


def test_second_process_on_the_same_run_is_refused(digits_home: Path, tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    with ChatServer(engineer(tmp_path / "marks", seconds=3), piece=1000) as server:
        first = start_harness(digits_home, "run", "digits", "--attempts", "1", *scripted(server))
        try:
            wait_until(lambda: (tmp_path / "marks" / "a1-look").exists())
            code, printed = harness_here(digits_home, "resume", "last", "--plain")
        finally:
            first.kill()
            first.communicate()
    assert code == 2
    assert str(first.pid) in error_text(code, printed)


def test_run_of_another_version_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "20260101-000000_digits_0_abcd"
    folder.mkdir(parents=True)
    line = '{"seq":0,"at":"","mono":0.0,"kind":"run_created","format":99,"harness_version":"9.9"}\n'
    (folder / "events.jsonl").write_text(line)
    code, printed = harness_here(tmp_path, "resume", "last", "--plain")
    assert code == 2
    assert "99" in error_text(code, printed)
    assert (folder / "events.jsonl").read_text() == line


# At once: a file that grows is noticed, and its job ended, before the disk is full.
FILL = "fallocate -l $(df --output=avail -B1 . | tail -1) fill"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 700 MB, where this machine allows one: most of it is for the Python environment."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no small file system can be mounted here (needs root)")
    try:
        yield folder
    finally:
        # A lazy unmount does not wait for supervisors to end.
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_disk_stops_the_run_and_loses_nothing(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.run.Limits", partial(Limits, free_bytes=1_000_000))  # the disk is smaller than usual
    (tmp_path / "marks").mkdir()

    def fill(request: dict[str, Any]) -> Message:
        step = sum(message["role"] == "assistant" for message in request["messages"])
        return reply("more", call("bash", command="true" if step else FILL), tag=str(step))

    with ChatServer(fill, piece=100_000) as server:
        with_digits(small_disk)
        code, printed = harness_here(small_disk, "run", "digits", "--turns", "40", *scripted(server))
        assert code == 3, printed
        assert "free some space" in error_text(code, printed).lower()
        folder = only_run(small_disk)
        before = events_of(folder)
        (folder / "workspace" / "fill").unlink()
        server.script = engineer(tmp_path / "marks", seconds=0.01)
        code, printed = harness_here(small_disk, "resume", "last", "--plain")
    assert code == 0, printed
    assert events_of(folder)[: len(before)] == before


def test_full_disk_before_a_run_exists_is_reported(small_disk: Path) -> None:
    free = int(subprocess.check_output(["df", "--output=avail", "-k", str(small_disk)], text=True).split()[1])
    for room in (0, 40, 400, 2000):  # kilobytes: enough for nothing, part of the data, all of it, and splits as well
        subprocess.run(["fallocate", "-l", f"{free - room}K", str(small_disk / "fill")], check=True)
        code, printed = harness_here(small_disk / "home", "run", "digits", *LOCAL)
        message = error_text(code, printed).lower()
        assert "space" in message and str(small_disk) in message, message
        assert not list((small_disk / "home").glob("runs/*"))
        (small_disk / "fill").unlink()
        shutil.rmtree(small_disk / "home", ignore_errors=True)


# --------------------------------------------------------------------------------------------------------- budgets


def test_run_without_time_left_ends_with_a_valid_submission(digits_home: Path) -> None:
    def sleep(request: dict[str, Any]) -> Message:
        step = sum(message["role"] == "assistant" for message in request["messages"])
        return reply("wait", call("bash", command="sleep 600", wait_seconds=600), tag=str(step))

    with ChatServer(sleep, piece=1000) as server:
        start = time.monotonic()
        code, printed = harness_here(digits_home, "run", "digits", "--hours", "4s", *scripted(server))
        seconds = time.monotonic() - start
    assert code == 0, printed
    assert seconds < 40
    folder = only_run(digits_home)
    events = events_of(folder)
    assert isinstance(events[-1], RunEnded)
    assert events[-1].why == "hours"
    assert (folder / "submission.csv").exists()
    assert any(isinstance(event, SubmissionChosen) for event in events)


def test_truncated_replies_exceed_the_cost_limit_by_at_most_one(digits_home: Path, tmp_path: Path) -> None:
    digits_home.joinpath("models.toml").write_text("[scripted]\nprices = {input = 1000.0, output = 1000.0}\n")
    (tmp_path / "marks").mkdir()
    with ChatServer(engineer(tmp_path / "marks", seconds=0.01), piece=1000) as server:
        code, printed = harness_here(digits_home, "run", "digits", "--turns", "1", *scripted(server))
        assert code == 0, printed
        earlier = only_run(digits_home)
        server.faults = lambda _: "reset_mid_stream"
        code, printed = harness_here(digits_home, "run", "digits", "--cost", "5", *scripted(server))
    (folder,) = (path for path in (digits_home / "runs").iterdir() if path != earlier)
    state = fold(events_of(folder))
    costs = [event.cost for event in events_of(folder) if isinstance(event, (ModelReplied, ModelFailed))]
    assert state.ended == "cost", printed
    assert state.cost < 5 + max(costs) + 5


def test_cost_limit_is_exceeded_by_at_most_one_call(digits_home: Path, tmp_path: Path) -> None:
    digits_home.joinpath("models.toml").write_text("[scripted]\nprices = {input = 1000.0, output = 1000.0}\n")
    (tmp_path / "marks").mkdir()
    with ChatServer(engineer(tmp_path / "marks", seconds=0.01), piece=1000) as server:
        code, printed = harness_here(digits_home, "run", "digits", "--cost", "15", *scripted(server))
    assert code == 0, printed
    events = events_of(only_run(digits_home))
    costs = [event.cost for event in events if isinstance(event, (EndpointProbed, ModelReplied))]
    assert costs[0] > 0, "the probe costs something too"
    assert sum(costs[:-1]) < 15 <= sum(costs)
    assert isinstance(events[-1], RunEnded)
    assert events[-1].why == "cost"
    assert any(isinstance(event, AttemptEnded) and event.why == "budget" for event in events)
