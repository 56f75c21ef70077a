"""What every sandbox on this machine does, whatever it isolates."""

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


def processes_with(word: str) -> list[str]:
    """Command lines on this machine that hold a word, ours aside."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in line and int(path.parent.name) != os.getpid():
            found.append(line)
    return found


def test_a_command_runs_in_the_workspace_and_its_end_is_told(bench: Any) -> None:
    view = bench.run("echo hello > made.txt; cat data/train.csv; echo oops >&2; exit 3")
    assert (view.state, view.ended, view.exit_code) == ("finished", "exited", 3)
    assert bench.box.output(view.id) == b"id,label\n1,0\noops\n"
    assert (view.output_bytes, view.kept_bytes) == (18, 18)
    assert bench.box.read("made.txt") == b"hello\n"


def test_a_command_that_dies_by_a_signal_has_its_number(bench: Any) -> None:
    assert bench.run("kill -SEGV $$").exit_code == 128 + signal.SIGSEGV


def test_the_agents_python_has_the_packages_and_not_the_harness(bench: Any) -> None:
    wanted, ours = (
        ("numpy", "pandas", "sklearn"),
        ("harness", "tasks", "sandboxes", "runs", "context", "openai", "pytest"),
    )
    script = f"import numpy, importlib.util as u; print([n for n in {wanted + ours} if u.find_spec(n)])"
    assert bench.says(f'python -c "{script}"') == str(list(wanted))


def test_no_variable_of_the_harness_reaches_a_job(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    listing = bench.says("env; cat /proc/self/environ | tr '\\0' '\\n'; cat /proc/$PPID/environ 2>/dev/null")
    assert "PATH=" in listing
    assert "secret" not in listing


def test_a_request_may_add_variables(bench: Any) -> None:
    bench.box.start(JobRequest("v", "echo $SEED", environment={"SEED": "7"}))
    bench.box.wait(["v"], 30)
    assert bench.box.output("v") == b"7\n"


def test_a_job_can_read_the_log_of_another_one(bench: Any) -> None:
    first = bench.run("echo from the first")
    assert bench.says(f"cat .jobs/{first.id}/log; ls -A .jobs/{first.id}") == "from the first\nlog"
    assert bench.box.read(f".jobs/{first.id}/log") == b"from the first\n"


def test_starting_an_id_twice_starts_it_once(bench: Any) -> None:
    for _ in range(3):
        bench.box.start(JobRequest("once", "echo ran >> count; sleep 0.2"))
    bench.box.wait(["once"], 30)
    bench.box.start(JobRequest("once", "echo ran >> count"))
    assert bench.box.wait(["once"], 30)[0].exit_code == 0
    assert bench.box.read("count") == b"ran\n"


def test_the_wall_limit_leaves_none_of_a_daemonised_tree_alive(bench: Any) -> None:
    mark = f"9{os.getpid()}{time.monotonic_ns() % 10**9}"
    tree = (
        f"(setsid bash -c 'trap \"\" TERM HUP; (setsid sleep {mark} &) ; sleep {mark}' &) ; trap '' TERM; sleep {mark}"
    )
    view = bench.run(tree, wall_seconds=1)
    assert view.ended == "timeout"
    assert 0.9 < view.seconds < 5
    assert processes_with(mark) == []


def test_a_background_child_that_holds_the_output_neither_delays_nor_survives(bench: Any) -> None:
    mark = f"8{os.getpid()}{time.monotonic_ns() % 10**9}"
    view = bench.run(f"sleep {mark} & echo done")
    assert (view.ended, view.exit_code, bench.box.output(view.id)) == ("exited", 0, b"done\n")
    assert view.seconds < 3
    assert processes_with(mark) == []


def test_a_job_that_ignores_signals_is_killed_all_the_same(bench: Any) -> None:
    mark = f"7{os.getpid()}{time.monotonic_ns() % 10**9}"
    job = bench.start(f"trap '' TERM INT HUP; echo up; while :; do sleep {mark}; done")
    while not bench.box.output(job):
        time.sleep(0.01)
    view = bench.box.kill(job)
    assert (view.state, view.ended, view.exit_code) == ("finished", "killed", 137)
    assert processes_with(mark) == []
    assert bench.box.kill(job) == view


def test_wait_returns_at_the_first_job_that_ends(bench: Any) -> None:
    slow, fast = bench.start("sleep 30"), bench.start("true")
    began = time.monotonic()
    views = bench.box.wait([slow, fast], 20)
    assert [view.state for view in views] == ["running", "finished"]
    assert time.monotonic() - began < 5
    assert bench.box.wait([slow], 0.05)[0].state == "running"


HARNESS = """
import sys, time
from pathlib import Path
from sandboxes.base import JobRequest, SandboxPaths
from sandboxes.select import open_sandbox
workspace, data, jobs, home = map(Path, sys.argv[2:])
box = open_sandbox(sys.argv[1], SandboxPaths(workspace, data, jobs, home))
box.start(JobRequest("long", "echo began; sleep 1.5; echo ended; exit 4"))
while box.output("long") != b"began\\n":
    time.sleep(0.01)
print("up", flush=True)
box.wait(["long"], 600)
"""


def test_a_job_outlives_a_killed_harness_and_is_found_again(bench: Any, paths: SandboxPaths) -> None:
    argv = [bench.box.kind, str(paths.workspace), str(paths.data), str(paths.jobs), str(paths.home)]
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", HARNESS, *argv], stdout=subprocess.PIPE, cwd=root) as harness:
        assert harness.stdout and harness.stdout.readline() == b"up\n"
        harness.kill()
    again = open_sandbox(bench.box.kind, paths)
    assert again.status("long").state == "running"
    [view] = again.wait(["long"], 30)
    assert (view.exit_code, again.output("long")) == (4, b"began\nended\n")


def test_a_file_can_only_be_as_large_as_the_limit(bench: Any) -> None:
    view = bench.run("head -c 3000000 /dev/zero > big", file_bytes=1_024_000)
    assert view.exit_code != 0
    assert len(bench.box.read("big")) == 1_024_000


def test_memory_is_bounded_where_it_is_asked_for(bench: Any) -> None:
    said = bench.says("/usr/bin/env python -S -c 'bytearray(10**9)'", memory_bytes=500_000_000)
    assert "MemoryError" in said


def test_the_agent_and_the_harness_can_both_write_a_file(bench: Any) -> None:
    bench.box.write("deep/solution.py", b"print(1)\n")
    assert bench.says("echo 'print(2)' >> deep/solution.py && python deep/solution.py") == "1\n2"
    bench.box.write("deep/solution.py", b"print(3)\n")
    assert bench.says("rm deep/solution.py; ls deep; ls -A deep") == ""


def test_what_the_harness_puts_into_the_workspace_belongs_to_the_agent(bench: Any, paths: SandboxPaths) -> None:
    """A checkout lies there before its sandbox is opened; what a reset writes gets the owner of the workspace."""
    (paths.workspace / "checkout").mkdir()
    (paths.workspace / "checkout" / "a.py").write_text("old")
    assert bench.says("echo new > checkout/a.py; echo more > checkout/b.py; cat checkout/*") == "new\nmore"


@pytest.mark.parametrize(
    "path", ["data/x", ".jobs/x", "../x", "/etc/x", "/workspace/../x", "a/../../x", "", "/workspace"]
)
def test_writes_outside_the_workspace_are_refused(bench: Any, path: str) -> None:
    from sandboxes.base import PathRefused

    with pytest.raises(PathRefused):
        bench.box.write(path, b"x")


def test_data_is_read_where_the_harness_keeps_it(bench: Any, paths: SandboxPaths) -> None:
    assert bench.box.read("data/train.csv") == (paths.data / "train.csv").read_bytes()
    assert bench.box.read("/workspace/data/train.csv") == (paths.data / "train.csv").read_bytes()
    with pytest.raises(FileNotFoundError):
        bench.box.read("data/nothing.csv")


def test_a_workspace_is_made_and_missing_data_is_told(bench: Any, paths: SandboxPaths) -> None:
    shutil.rmtree(paths.workspace)
    bench.box = open_sandbox(bench.box.kind, paths)
    assert bench.says("cat data/train.csv").startswith("id,label")
    shutil.rmtree(paths.data)
    with pytest.raises(SandboxFailed, match="prepared again"):
        open_sandbox(bench.box.kind, paths)


def test_what_stands_where_data_belongs_is_put_aside(bench: Any, paths: SandboxPaths) -> None:
    (paths.workspace / "data").mkdir()
    (paths.workspace / "data" / "mine.txt").write_text("kept")
    paths.workspace.joinpath(".jobs").symlink_to("/etc")
    said = bench.says("cat data/train.csv; ls .jobs/passwd")
    assert said.startswith("id,label")
    assert "No such file" in said or bench.box.kind == "bubblewrap"


def test_both_kinds_can_follow_each_other_in_one_workspace(open_bench: Any) -> None:
    boxes = [open_bench(kind) for kind in ("local", "bubblewrap", "local")]
    for number, bench in enumerate(boxes):
        bench.number = 10 * number
        assert bench.says("cat data/train.csv").startswith("id,label")
