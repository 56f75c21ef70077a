"""Limits of a job, its output log and its exit record."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sandboxes.base import JobStatus, Limits
from sandboxes.jobs import resource_limits
from sandboxes.jobs.client import Command, Jobs

Shell = Callable[[str], Command]


def run(jobs: Jobs, command: Command, limits: Limits | None = None) -> JobStatus:
    jobs.start("job", command, limits or Limits())
    return jobs.wait(["job"], 60)[0]


def test_output_past_limit_is_counted_and_tail_kept(jobs: Jobs, shell: Shell) -> None:
    command = "head -c 300000 /dev/zero | tr '\\0' 'a'; printf 'the last words'"
    status = run(jobs, shell(command), Limits(output_bytes=100_000))
    log = jobs.output("job")
    assert (status.ended, status.exit_code, status.output_bytes) == ("exited", 0, 300_014)
    assert status.kept_bytes == 100_000 + 65_536
    assert log.startswith(b"a" * 100_000 + b"\n[harness: the log is full here")
    *_, words, last = log.decode().splitlines()
    assert words.endswith("athe last words")
    assert last == "[harness: the output was cut: 165536 of 300014 bytes are kept]"


def test_output_at_limit_is_complete(jobs: Jobs, shell: Shell) -> None:
    status = run(jobs, shell("printf 12345"), Limits(output_bytes=5))
    assert (jobs.output("job"), status.output_bytes, status.kept_bytes) == (b"12345", 5, 5)


def test_output_flood_ends_job(jobs: Jobs, shell: Shell) -> None:
    status = run(jobs, shell("cat /dev/zero"), Limits(output_bytes=10_000))
    assert (status.ended, status.exit_code) == ("output", 137)
    assert len(jobs.output("job")) < 80_000
    assert status.output_bytes > 60_000_000


def test_binary_output_is_unchanged(jobs: Jobs, shell: Shell) -> None:
    run(jobs, shell(r"printf '\x00\xff\xfe\x80ab\r\n\x1b'"))
    assert jobs.output("job") == b"\x00\xff\xfe\x80ab\r\n\x1b"
    assert jobs.output("job", 4, 2) == b"ab"
    assert jobs.output("job", -3) == b"\r\n\x1b"
    assert jobs.output("job", 100) == b""


def test_closed_output_does_not_end_job(jobs: Jobs, shell: Shell) -> None:
    status = run(jobs, shell("echo a; exec >&- 2>&-; sleep 0.3; exit 5"))
    assert (status.exit_code, jobs.output("job")) == (5, b"a\n")
    assert status.seconds > 0.25


def test_job_has_no_input_and_no_terminal(jobs: Jobs, shell: Shell) -> None:
    assert run(jobs, shell("cat; tty; exit 0")).exit_code == 0
    assert jobs.output("job") == b"not a tty\n"


def test_sigpipe_ends_writer(jobs: Jobs, shell: Shell) -> None:
    run(jobs, shell("yes | head -1; echo ${PIPESTATUS[0]}"))
    assert jobs.output("job") == b"y\n141\n"


def test_missing_program_is_a_result(jobs: Jobs, shell: Shell) -> None:
    command = shell("")
    status = run(jobs, Command(("/no/such/program",), command.cwd, {}))
    assert status.exit_code == 127
    assert b"could not be started" in jobs.output("job")


@pytest.mark.parametrize("bounds_itself", [False, True])
@pytest.mark.parametrize("word", ["a\0b", "a\ud800b"])
def test_unencodable_command_is_a_result(jobs: Jobs, shell: Shell, word: str, bounds_itself: bool) -> None:
    status = run(jobs, replace(shell(f"echo {word}"), bounds_itself=bounds_itself))
    assert (status.ended, status.exit_code) == ("exited", 127)
    assert b"harness: the command could not be started: " in jobs.output("job")


def test_fork_storm_is_killed_completely(jobs: Jobs, shell: Shell) -> None:
    storm = """
        f() { (trap '' TERM; sleep 60 & sleep 0.01; [ $1 -gt 0 ] && { f $(($1-1)) & f $(($1-1)) & } ; wait) & }
        f 5; wait
    """
    status = run(jobs, shell(storm), Limits(wall_seconds=1))
    record = json.loads((jobs.folder / "job" / "exit.json").read_text())
    assert status.ended == "timeout"
    assert record["killed"] > 20
    assert record["survivors"] == 0


def test_only_log_is_readable_by_others(jobs: Jobs, shell: Shell) -> None:
    run(jobs, shell("echo x"))
    modes = {path.name: path.stat().st_mode & 0o777 for path in (jobs.folder / "job").iterdir()}
    assert modes == {"log": 0o644, "request.json": 0o600, "started": 0o600, "exit.json": 0o600}


def test_oom_counter_is_used_in_containers_only(
    jobs: Jobs, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine's counter counts other processes too; a container's counts only ours."""
    counter = tmp_path / "counter"
    counter.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n")
    monkeypatch.setattr(resource_limits, "OOM_COUNTERS", (str(tmp_path / "missing"), str(counter)))
    assert resource_limits.oom_kills() == 0
    assert run(jobs, shell("kill -9 $$")).ended == "exited"
    monkeypatch.setattr(resource_limits, "in_container", True)
    assert resource_limits.oom_kills() == 7
