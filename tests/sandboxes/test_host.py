"""Behaviour that all kinds of sandbox share."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sandboxes.base import JobRequest, SandboxFailed, SandboxPaths
from sandboxes.select import open_sandbox
from tests.sandboxes.conftest import processes_with, unusual_seconds


def test_command_runs_in_workspace_and_reports_exit(driver: Any) -> None:
    status = driver.run("echo hello > made.txt; cat data/train.csv; echo oops >&2; exit 3")
    assert (status.state, status.ended, status.exit_code) == ("finished", "exited", 3)
    assert driver.sandbox.output(status.id) == b"id,label\n1,0\noops\n"
    assert (status.output_bytes, status.kept_bytes) == (18, 18)
    assert driver.sandbox.read("made.txt") == b"hello\n"


def test_exit_code_contains_signal_number(driver: Any) -> None:
    assert driver.run("kill -SEGV $$").exit_code == 128 + signal.SIGSEGV


def test_agent_python_has_packages_but_no_harness(driver: Any) -> None:
    wanted, ours = (
        ("numpy", "pandas", "sklearn"),
        ("harness", "tasks", "sandboxes", "runs", "context", "openai", "pytest"),
    )
    script = f"import numpy, importlib.util as u; print([n for n in {wanted + ours} if u.find_spec(n)])"
    assert driver.output_of(f'python -c "{script}"') == str(list(wanted))


def test_no_harness_variable_reaches_a_job(driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    listing = driver.output_of("env; cat /proc/self/environ | tr '\\0' '\\n'; cat /proc/$PPID/environ 2>/dev/null")
    assert "PATH=" in listing
    assert "secret" not in listing


def test_request_adds_environment_variables(driver: Any) -> None:
    driver.sandbox.start(JobRequest("v", "echo $SEED", environment={"SEED": "7"}))
    driver.sandbox.wait(["v"], 30)
    assert driver.sandbox.output("v") == b"7\n"


def test_job_can_read_log_of_another_job(driver: Any) -> None:
    first = driver.run("echo from the first")
    assert driver.output_of(f"cat .jobs/{first.id}/log; ls -A .jobs/{first.id}") == "from the first\nlog"
    assert driver.sandbox.read(f".jobs/{first.id}/log") == b"from the first\n"


def test_starting_an_id_twice_runs_it_once(driver: Any) -> None:
    for _ in range(3):
        driver.sandbox.start(JobRequest("once", "echo ran >> count; sleep 0.2"))
    driver.sandbox.wait(["once"], 30)
    driver.sandbox.start(JobRequest("once", "echo ran >> count"))
    assert driver.sandbox.wait(["once"], 30)[0].exit_code == 0
    assert driver.sandbox.read("count") == b"ran\n"


def test_wall_limit_kills_daemonised_processes(driver: Any) -> None:
    nap = unusual_seconds()
    tree = f"(setsid bash -c 'trap \"\" TERM HUP; (setsid sleep {nap} &) ; sleep {nap}' &) ; trap '' TERM; sleep {nap}"
    status = driver.run(tree, wall_seconds=1)
    assert status.ended == "timeout"
    assert 0.9 < status.seconds < 5
    assert processes_with(nap) == []


def test_background_child_neither_delays_nor_survives_the_job(driver: Any) -> None:
    nap = unusual_seconds()
    status = driver.run(f"sleep {nap} & echo done")
    assert (status.ended, status.exit_code) == ("exited", 0)
    assert driver.sandbox.output(status.id).startswith(b"done\n")
    assert status.seconds < 3
    assert processes_with(nap) == []


def test_job_that_ignores_signals_is_killed(driver: Any) -> None:
    nap = unusual_seconds()
    job = driver.start(f"trap '' TERM INT HUP; echo up; while :; do sleep {nap}; done")
    while not driver.sandbox.output(job):
        time.sleep(0.01)
    status = driver.sandbox.kill(job)
    assert (status.state, status.ended, status.exit_code) == ("finished", "killed", 137)
    assert processes_with(nap) == []
    assert driver.sandbox.kill(job) == status


def test_wait_returns_when_first_job_ends(driver: Any) -> None:
    slow, fast = driver.start("sleep 30"), driver.start("true")
    began = time.monotonic()
    statuses = driver.sandbox.wait([slow, fast], 20)
    assert [status.state for status in statuses] == ["running", "finished"]
    assert time.monotonic() - began < 5
    assert driver.sandbox.wait([slow], 0.05)[0].state == "running"


HARNESS = """
import sys, time
from pathlib import Path
from sandboxes.base import JobRequest, SandboxPaths
from sandboxes.select import open_sandbox
workspace, data, jobs, home = map(Path, sys.argv[2:])
box = open_sandbox(sys.argv[1], SandboxPaths(workspace, data, jobs, home))
box.start(JobRequest("long", "echo began; while [ ! -e go ]; do sleep 0.02; done; echo ended; exit 4"))
while box.output("long") != b"began\\n":
    time.sleep(0.01)
print("up", flush=True)
box.wait(["long"], 600)
"""


def test_job_outlives_killed_harness(driver: Any, paths: SandboxPaths) -> None:
    argv = [driver.sandbox.kind, str(paths.workspace), str(paths.data), str(paths.jobs), str(paths.home)]
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", HARNESS, *argv], stdout=subprocess.PIPE, cwd=root) as harness:
        assert harness.stdout and harness.stdout.readline() == b"up\n"
        harness.kill()
    again = open_sandbox(driver.sandbox.kind, paths)
    assert again.status("long").state == "running"
    again.write("go", b"")
    [status] = again.wait(["long"], 30)
    assert (status.exit_code, again.output("long")) == (4, b"began\nended\n")


def test_file_size_limit_is_enforced(driver: Any) -> None:
    status = driver.run("head -c 3000000 /dev/zero > big", file_bytes=1_024_000)
    assert status.exit_code != 0
    assert len(driver.sandbox.read("big")) == 1_024_000


def test_memory_limit_is_enforced(driver: Any) -> None:
    output = driver.output_of("/usr/bin/env python -S -c 'bytearray(10**9)'", memory_bytes=500_000_000)
    assert "MemoryError" in output


def test_agent_and_harness_can_write_the_same_file(driver: Any) -> None:
    driver.sandbox.write("deep/solution.py", b"print(1)\n")
    assert driver.output_of("echo 'print(2)' >> deep/solution.py && python deep/solution.py") == "1\n2"
    driver.sandbox.write("deep/solution.py", b"print(3)\n")
    assert driver.output_of("rm deep/solution.py; ls deep; ls -A deep") == ""


def test_files_written_by_harness_belong_to_agent(driver: Any, paths: SandboxPaths) -> None:
    """A checkout exists before its sandbox is opened; later writes get the owner of the workspace."""
    (paths.workspace / "checkout").mkdir()
    (paths.workspace / "checkout" / "a.py").write_text("old")
    assert driver.output_of("echo new > checkout/a.py; echo more > checkout/b.py; cat checkout/*") == "new\nmore"


@pytest.mark.parametrize(
    "path", ["data/x", ".jobs/x", "../x", "/etc/x", "/workspace/../x", "a/../../x", "", "/workspace"]
)
def test_writes_outside_workspace_are_refused(driver: Any, path: str) -> None:
    from sandboxes.base import PathRefused

    with pytest.raises(PathRefused):
        driver.sandbox.write(path, b"x")


def test_data_can_be_read_through_the_sandbox(driver: Any, paths: SandboxPaths) -> None:
    assert driver.sandbox.read("data/train.csv") == (paths.data / "train.csv").read_bytes()
    assert driver.sandbox.read("/workspace/data/train.csv") == (paths.data / "train.csv").read_bytes()
    with pytest.raises(FileNotFoundError):
        driver.sandbox.read("data/nothing.csv")


def test_workspace_is_made_and_missing_data_raises(driver: Any, paths: SandboxPaths) -> None:
    shutil.rmtree(paths.workspace)
    driver.sandbox = open_sandbox(driver.sandbox.kind, paths)
    assert driver.output_of("cat data/train.csv").startswith("id,label")
    shutil.rmtree(paths.data)
    with pytest.raises(SandboxFailed, match="prepared"):
        open_sandbox(driver.sandbox.kind, paths)


def test_files_at_mount_points_are_moved_aside(driver: Any, paths: SandboxPaths) -> None:
    (paths.workspace / "data").mkdir()
    (paths.workspace / "data" / "mine.txt").write_text("kept")
    paths.workspace.joinpath(".jobs").symlink_to("/etc")
    output = driver.output_of("cat data/train.csv; ls .jobs/passwd")
    assert output.startswith("id,label")
    assert "No such file" in output or driver.sandbox.kind == "bubblewrap"


def test_local_and_bubblewrap_can_share_a_workspace(open_driver: Any) -> None:
    drivers = [open_driver(kind) for kind in ("local", "bubblewrap", "local")]
    for number, driver in enumerate(drivers):
        driver.number = 10 * number
        assert driver.output_of("cat data/train.csv").startswith("id,label")


COUNT_CORES = """import os, warnings
warnings.simplefilter("error")
import joblib
assert joblib.cpu_count(only_physical_cores=True) >= 1
print(*(os.environ[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_WAIT_POLICY")))
"""


def test_numeric_libraries_use_the_cores_of_the_job(driver: Any) -> None:
    """And joblib finds the number of physical cores, so that it does not warn."""
    driver.sandbox.write("count.py", COUNT_CORES.encode())
    cores = len(os.sched_getaffinity(0))
    assert driver.output_of("python count.py") == f"{cores} {cores} {cores} PASSIVE"
