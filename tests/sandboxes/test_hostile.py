"""Hostile and faulty commands in every isolating sandbox; each docstring says what must happen."""

from __future__ import annotations

import os
import shutil
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runs.versions.commits import Versions
from sandboxes.base import JobRequest, Limits, PathRefused, SandboxPaths
from sandboxes.docker.container_options import ContainerLimits
from sandboxes.docker.sandbox import open_docker
from tests.sandboxes.conftest import processes_with, unusual_seconds

# -------------------------------------------------------------------------------------------------- resource exhaustion


def test_fork_bomb_is_killed_at_wall_limit(isolated: Any) -> None:
    """It ends with all its processes, and the next command runs."""
    nap = unusual_seconds()
    bomb = f"import os, time\nwhile True:\n    try:\n        if os.fork() == 0: os.execlp('sleep', 'sleep', '{nap}')\n"
    bomb += "    except OSError: time.sleep(0.01)\n"
    status = isolated.run(f'python -c "{bomb}"', wall_seconds=1, processes=150)
    assert (status.ended, status.exit_code, status.survivors) == ("timeout", 137, 0)
    assert processes_with(nap) == []
    assert isolated.output_of("echo calm") == "calm"


def test_memory_hog_is_killed_alone(isolated: Any, paths: SandboxPaths) -> None:
    """Docker limits all processes together; bubblewrap limits each process if requested."""
    hog = 'python -c "x = []\nwhile True: x.append(bytearray(10_000_000))"'
    if isolated.sandbox.kind == "docker":
        isolated.sandbox = open_docker(paths, ContainerLimits(memory=300 << 20, cpus=1.0))
        assert isolated.run(hog).ended == "memory"
    else:
        assert "MemoryError" in isolated.output_of(hog, memory_bytes=500_000_000)
    assert isolated.output_of("echo alive") == "alive"


def test_disk_filler_is_ended_before_disk_is_full(isolated: Any, paths: SandboxPaths) -> None:
    """The job ends when the disk has less than `free_bytes` left."""
    free = shutil.disk_usage(paths.workspace).free
    status = isolated.run("while :; do head -c 20M /dev/zero >> filler; done", free_bytes=free - 200_000_000)
    assert (status.ended, status.exit_code) == ("disk", 137)
    assert (paths.workspace / "filler").stat().st_size < 3_000_000_000


def test_workspace_limit_ends_job_and_allows_deleting(isolated: Any) -> None:
    """The job ends as `disk`, its log says what to do, and a job that only deletes files may run."""
    fill = "mkdir -m 700 own; n=0; while :; do n=$((n+1)); head -c 4M /dev/zero > own/$n; sleep 0.01; done"
    status = isolated.run(fill, workspace_bytes=100_000_000)
    assert (status.ended, status.exit_code) == ("disk", 137)
    last = isolated.sandbox.output(status.id).decode().splitlines()[-1]
    assert "may hold 100.0 MB in all: remove files that are not needed" in last
    freed = isolated.run("rm -r own; sleep 2; echo free", workspace_bytes=100_000_000)
    assert (freed.ended, isolated.sandbox.output(freed.id)) == ("exited", b"free\n")


def test_unreadable_folder_counts_as_lost_disk_space(isolated: Any, paths: SandboxPaths) -> None:
    """A folder without permissions hides nothing, neither from an ordinary user nor from a container's root."""
    root = isolated.sandbox.kind == "bubblewrap" and os.geteuid() == 0  # which can read every folder
    hide = "true" if root else "chmod 000 ."
    fill = f"mkdir own; cd own; exec 3> f; {hide}; while head -c 4M /dev/zero >&3; do sleep 0.01; done"
    status = isolated.run(fill, workspace_bytes=100_000_000, wall_seconds=60)
    (paths.workspace / "own").chmod(0o700)
    assert (status.ended, status.exit_code) == ("disk", 137)


def test_hard_links_count_once_and_symlinks_not_at_all(isolated: Any) -> None:
    command = "head -c 20M /dev/zero > f; for n in 1 2 3 4 5 6 7 8 9; do ln f $n; done; ln -s / all; sleep 2.2; echo ok"
    assert isolated.output_of(command, workspace_bytes=50_000_000) == "ok"


def test_single_file_size_is_limited(isolated: Any) -> None:
    """The kernel ends a process that writes past the limit."""
    assert isolated.run("head -c 3000000 /dev/zero > big", file_bytes=1_024_000).exit_code != 0
    assert len(isolated.sandbox.read("big")) == 1_024_000


def test_five_gigabytes_of_output_end_the_job(isolated: Any, paths: SandboxPaths) -> None:
    """Output past the limit is counted; the job ends at twenty times the limit, and the log stays small."""
    status = isolated.run("head -c 5G /dev/zero", output_bytes=1_000_000)
    assert status.ended == "output"
    assert status.output_bytes < 200_000_000
    assert (paths.jobs / status.id / "log").stat().st_size < 1_200_000


def test_binary_output_without_newlines_is_kept(isolated: Any) -> None:
    status = isolated.run(r"head -c 1000000 /dev/zero | tr '\0' x; printf '\xff\xfe\x00\x1b[2J'")
    assert isolated.sandbox.output(status.id, 0, 2_000_000) == b"x" * 1_000_000 + b"\xff\xfe\x00\x1b[2J"


@pytest.mark.slow
def test_workspace_of_200000_files_does_not_slow_commands(isolated: Any) -> None:
    """Nothing walks the workspace: a command starts as fast as in an empty one."""
    made = "import os\nfor d in range(200):\n    os.mkdir(f'd{d}')\n    os.close(os.open(f'd{d}/0', os.O_CREAT))\n"
    made += "    for n in range(1, 1000): os.link(f'd{d}/0', f'd{d}/{n}')"  # links are made much faster than files
    assert isolated.run(f'python -c "{made}"').exit_code == 0
    began = time.monotonic()
    assert isolated.output_of("echo quick") == "quick"
    assert time.monotonic() - began < 10  # a walk takes far longer
    assert isolated.sandbox.read("d7/7") == b""


# ------------------------------------------------------------------------------------------------ processes that resist


def test_job_that_ignores_all_signals_is_killed(isolated: Any) -> None:
    """`kill` returns when no process is left."""
    nap = unusual_seconds()
    job = isolated.start(f"trap '' TERM INT HUP QUIT; echo up; while :; do sleep {nap}; done")
    while not isolated.sandbox.output(job):
        time.sleep(0.02)
    status = isolated.sandbox.kill(job)
    assert (status.state, status.ended, status.survivors) == ("finished", "killed", 0)
    assert processes_with(nap) == []


def test_daemonised_children_end_with_job(isolated: Any) -> None:
    """Twice forked, in their own sessions, ignoring signals: gone when the job has ended."""
    nap = unusual_seconds()
    tree = f"(setsid bash -c 'trap \"\" TERM HUP; (setsid sleep {nap} &); sleep {nap}' &) >/dev/null 2>&1; sleep 0.3"
    assert isolated.run(tree).ended == "exited"
    assert processes_with(nap) == []


def test_background_processes_that_were_ended_are_reported(driver: Any) -> None:
    status = driver.run("nohup sleep 61 > log.txt 2>&1 & sleep 62 & echo on")
    assert status.killed == 2 or b"2 left in the background" in driver.sandbox.output(status.id)
    status = driver.run("(echo on > >(cat)) && true 2>&1 | cat")
    # The shell does not wait for `>(cat)`, so on a busy machine its output may come too late.
    assert (status.killed, driver.sandbox.output(status.id)) in ((0, b"on\n"), (0, b""))
    assert driver.run("kill -9 $$").exit_code == 137


def test_no_process_can_change_submission_after_job(isolated: Any) -> None:
    """A file stays as it was when the job ended."""
    isolated.run("(setsid bash -c 'sleep 0.3; echo forged > submission.csv' &) ; echo honest > submission.csv")
    time.sleep(0.6)
    assert isolated.sandbox.read("submission.csv") == b"honest\n"


def test_clock_cannot_be_changed(isolated: Any) -> None:
    """The calls are refused and the host's clock is unchanged."""
    before = time.time()
    script = "import time; time.clock_settime(time.CLOCK_REALTIME, 0)"
    output = isolated.output_of(
        f'date -s "2001-01-01"; python -c "{script}"; echo 0 > /proc/sys/kernel/randomize_va_space'
    )
    assert "not permitted" in output
    assert 0 <= time.time() - before < 120


# ----------------------------------------------------------------------------------------------------- misleading files


def test_data_cannot_be_changed(isolated: Any, paths: SandboxPaths) -> None:
    """Neither the files nor their names; the host's files are unchanged."""
    isolated.output_of(
        "echo 9,9 >> data/train.csv; rm -rf data; mv data other; chmod -R 777 data; touch data/new; ln -sfn /tmp data; "
        "echo x > /home/data/train.csv; rm -rf /home/submission/data; truncate -s 0 data/train.csv"
    )
    assert (paths.data / "train.csv").read_text() == "id,label\n1,0\n"
    assert [path.name for path in paths.data.iterdir()] == ["train.csv"]
    assert isolated.output_of("cat data/train.csv") == "id,label\n1,0"


IRREGULAR_FILES = (
    "ln -s {secret} submission.csv",
    "ln -s {folder} out && ln -s out/secret.txt submission.csv",
    "ln {secret} submission.csv || ln -s {secret} submission.csv",
    "mkfifo submission.csv",
    "mkdir submission.csv",
    "ln -s /dev/zero submission.csv",
    "ln -s /proc/self/environ submission.csv",
    "ln -s submission.csv submission.csv",
    "mknod submission.csv c 1 5 || mkfifo submission.csv",
    "python -c \"import socket; socket.socket(1).bind('submission.csv')\"",
    "truncate -s 200G submission.csv 2>/dev/null || truncate -s 2G submission.csv",
)


def test_submission_that_is_not_a_regular_file_is_refused(isolated: Any, paths: SandboxPaths, tmp_path: Path) -> None:
    """It follows no link, waits for no pipe and reads no huge file."""
    (tmp_path / "secret.txt").write_text("the secret")
    for number, command in enumerate(IRREGULAR_FILES):
        attack = command.format(secret=tmp_path / "secret.txt", folder=tmp_path)
        isolated.run(f"mkdir {number} && cd {number} && {{ {attack}; }}", file_bytes=None)
        assert os.path.lexists(paths.workspace / str(number) / "submission.csv"), command
        began = time.monotonic()
        with pytest.raises(PathRefused):
            isolated.sandbox.read(f"{number}/submission.csv")
        assert time.monotonic() - began < 2, command


def test_file_access_does_not_follow_folder_links(isolated: Any, tmp_path: Path) -> None:
    """Neither reads nor writes leave the workspace."""
    (tmp_path / "secret.txt").write_text("the secret")
    isolated.run(f"ln -s {tmp_path} out; mkdir real; ln -s ../../../../../../.. real/up")
    for path in ("out/secret.txt", f"real/up{tmp_path}/secret.txt", "../secret.txt", str(tmp_path / "secret.txt")):
        with pytest.raises(PathRefused):
            isolated.sandbox.read(path)
        with pytest.raises(PathRefused):
            isolated.sandbox.write(path, b"overwritten")
    assert (tmp_path / "secret.txt").read_text() == "the secret"


def test_odd_file_names_are_handled(isolated: Any, paths: SandboxPaths, tmp_path: Path) -> None:
    """Newlines, invalid UTF-8, names like options: they can be made, committed and removed."""
    isolated.output_of(
        r"touch $'a\nb' $'\xff\xfe' -- '-rf' '$(touch x)' ' ' $'\x1b[2J'; mkdir $'d\n\xff'; echo x > $'d\n\xff/f'"
    )
    assert isolated.output_of("ls -A | wc -l; test -e x || echo none").split() == ["11", "none"]
    versions = Versions(tmp_path / "repo.git")
    commit = versions.commit(paths.workspace, "odd names")
    assert len(versions.files(commit.hash)) == 7


def test_git_files_in_workspace_run_nothing_on_host(isolated: Any, paths: SandboxPaths, tmp_path: Path) -> None:
    """A commit on the host runs no config, hook, filter, attribute, monitor or nested repository."""
    proof = tmp_path / "proof"
    isolated.run(
        f"mkdir -p .git/hooks inner/.git; for h in pre-commit post-commit post-checkout; do "
        f"printf '#!/bin/sh\\ntouch {proof}' > .git/hooks/$h; chmod +x .git/hooks/$h; done; "
        f'printf \'[core]\\n fsmonitor=touch {proof}\\n hooksPath=.git/hooks\\n[filter "x"]\\n clean=touch {proof}\\n'
        f' smudge=touch {proof}\\n[diff "x"]\\n textconv=touch {proof}\\n\' | tee .git/config > inner/.git/config; '
        "echo '* filter=x diff=x' > .gitattributes; echo 'gitdir: /etc' > sub.git; echo code > solution.py; "
        "printf '[submodule \"s\"]\\n path=s\\n url=ext::sh\\n' > .gitmodules; echo 'ref: refs/heads/x' > .git/HEAD"
    )
    versions = Versions(tmp_path / "repo.git")
    commit = versions.commit(paths.workspace, "hostile")
    versions.checkout(commit.hash, tmp_path / "out")
    versions.diff(None, commit.hash)
    assert (tmp_path / "out" / "solution.py").read_text() == "code\n"
    assert not proof.exists()


# ------------------------------------------------------------------------------------------------ other processes' data


def test_harness_secrets_are_not_in_proc_or_environment(isolated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable, argument or open file of another process shows a secret."""
    monkeypatch.setenv("HARNESS_API_KEY", "sk-very-secret")
    output = isolated.output_of(
        "env; cat /proc/*/environ /proc/*/cmdline /proc/[0-9]*/task/*/environ 2>/dev/null | tr '\\0' '\\n'; "
        "ls -l /proc/*/fd /proc/*/cwd /proc/*/root 2>/dev/null; cat /proc/keys /proc/1/maps 2>/dev/null"
    )
    assert "sk-very-secret" not in output
    assert "API_KEY" not in output
    assert str(Path(__file__).parents[2]) not in output


def test_no_network_or_host_server_is_reachable(isolated: Any) -> None:
    """Neither by address, by name nor by an abstract socket."""
    with socket.create_server(("0.0.0.0", 0)) as server, socket.socket(socket.AF_UNIX) as hidden:
        hidden.bind(f"\0harness-{os.getpid()}")
        hidden.listen()
        port = server.getsockname()[1]
        script = (
            "import socket\n"
            f"for family, to in ((2, ('127.0.0.1', {port})), (2, ('192.0.2.1', 80)), (1, '\\0harness-{os.getpid()}'),\n"
            "                   (1, '/var/run/docker.sock'), (1, '/run/docker.sock')):\n"
            "    try: socket.socket(family).connect(to); print('reached', to)\n"
            "    except OSError: print('no')\n"
            "try: socket.getaddrinfo('example.com', 80); print('named')\n"
            "except OSError: print('no')\n"
        )
        assert isolated.output_of(f"python - <<'EOF'\n{script}\nEOF").split() == ["no"] * 6


def test_harness_folders_and_job_records_are_unreachable(isolated: Any, paths: SandboxPaths) -> None:
    """They can be neither read nor written, by their host path or any other."""
    run, jobs = paths.workspace.parent, paths.jobs
    (run / "events.jsonl").write_text("{}")
    first = isolated.run("echo true")
    isolated.output_of(
        f"echo forged > .jobs/{first.id}/log; echo '{{}}' > .jobs/{first.id}/exit.json; rm -rf .jobs; "
        f"for d in {run} {jobs} {paths.home} /harness/jobs; do echo forged > $d/{first.id}/exit.json; "
        f"echo forged >> $d/events.jsonl; touch $d/{first.id}/kill; echo t9 > $d/.requests; done"
    )
    assert isolated.sandbox.status(first.id) == first
    assert isolated.sandbox.output(first.id) == b"true\n"
    assert (run / "events.jsonl").read_text() == "{}"
    output = isolated.output_of(
        f"cat {run}/events.jsonl /harness/jobs/*/request.json; find / -name request.json 2>/dev/null; true"
    )
    assert "request.json\n" not in output.replace("No such file or directory", "").replace("Permission denied", "")


def test_request_cannot_be_forged_in_log_folder(isolated: Any, paths: SandboxPaths) -> None:
    """No file that the agent can write is read as a request."""
    isolated.output_of(
        "mkdir -p forged .jobs/forged; echo '{}' > forged/request.json; echo '{}' > .jobs/forged/request.json"
    )
    isolated.sandbox.start(JobRequest("after", "echo fine", Limits()))
    assert isolated.sandbox.wait(["after"], 30)[0].exit_code == 0
    assert isolated.sandbox.status("forged").state == "unknown"


def test_other_sandboxes_are_invisible(isolated: Any, paths: SandboxPaths) -> None:
    """Two sandboxes share no temporary folder, memory or processes."""
    other = replace(paths, workspace=paths.workspace.parent / "other")
    if isolated.sandbox.kind == "docker":
        sandbox = open_docker(other)
    else:
        from sandboxes.bubblewrap import open_bubblewrap

        sandbox = open_bubblewrap(other)
    nap = unusual_seconds()
    sandbox.start(JobRequest("other", f"echo here > /tmp/note; echo here > /dev/shm/note; touch mine; sleep {nap}"))
    while not (other.workspace / "mine").exists():
        time.sleep(0.02)
    output = isolated.output_of(
        f"cat /tmp/note /dev/shm/note; ls /workspace; cat /proc/*/cmdline | tr '\\0' ' ' | grep -c 'sleep {nap}' "
    )
    sandbox.kill("other")
    assert "here" not in output
    assert "mine" not in output
