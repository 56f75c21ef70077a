"""Hostile and clumsy commands, each with what must happen beside it, in every kind that keeps them in."""

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
from sandboxes.docker.sandbox import Share, open_docker


def mark() -> str:
    """A number of seconds that names the sleepers of one test among all processes of this machine."""
    return f"9{os.getpid()}{time.monotonic_ns() % 10**9}"


def sleepers(word: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in line and int(path.parent.name) != os.getpid():
            found.append(line)
    return found


# ----------------------------------------------------------------------------------- what eats the machine


def test_a_fork_bomb_ends_with_its_job(isolated: Any) -> None:
    """It is ended at its time with all that it forked, and the next command runs at once."""
    word = mark()
    bomb = f"import os, time\nwhile True:\n    try:\n        if os.fork() == 0: os.execlp('sleep', 'sleep', '{word}')\n"
    bomb += "    except OSError: time.sleep(0.01)\n"
    view = isolated.run(f'python -c "{bomb}"', wall_seconds=2, processes=150)
    assert (view.ended, view.exit_code, view.survivors) == ("timeout", 137, 0)
    assert sleepers(word) == []
    assert isolated.says("echo calm") == "calm"


def test_a_memory_hog_is_killed_and_nothing_else(isolated: Any, paths: SandboxPaths) -> None:
    """Docker bounds all processes together and says so; bubblewrap bounds each process, where it is asked to."""
    hog = 'python -c "x = []\nwhile True: x.append(bytearray(10_000_000))"'
    if isolated.box.kind == "docker":
        isolated.box = open_docker(paths, Share(memory=300 << 20, cpus=1.0))
        assert isolated.run(hog).ended == "memory"
    else:
        assert "MemoryError" in isolated.says(hog, memory_bytes=500_000_000)
    assert isolated.says("echo alive") == "alive"


def test_a_disk_filler_is_ended_while_there_is_room_for_the_record(isolated: Any, paths: SandboxPaths) -> None:
    """The job ends as soon as the disk has less left than must stay free."""
    free = shutil.disk_usage(paths.workspace).free
    view = isolated.run("while :; do head -c 20M /dev/zero >> filler; done", free_bytes=free - 200_000_000)
    assert (view.ended, view.exit_code) == ("disk", 137)
    assert (paths.workspace / "filler").stat().st_size < 3_000_000_000


def test_a_workspace_that_grows_past_its_cap_ends_the_job_and_room_can_be_made(isolated: Any) -> None:
    """The job ends as `disk` with a line that says what to do; one that only removes files is let be."""
    fill = "mkdir -m 700 own; n=0; while :; do n=$((n+1)); head -c 4M /dev/zero > own/$n; sleep 0.01; done"
    view = isolated.run(fill, workspace_bytes=100_000_000)
    assert (view.ended, view.exit_code) == ("disk", 137)
    last = isolated.box.output(view.id).decode().splitlines()[-1]
    assert "may hold 100.0 MB in all: remove files that are not needed" in last
    freed = isolated.run("rm -r own; sleep 2; echo free", workspace_bytes=100_000_000)
    assert (freed.ended, isolated.box.output(freed.id)) == ("exited", b"free\n")


def test_what_is_hidden_from_the_count_counts_as_all_that_the_disk_lost(isolated: Any, paths: SandboxPaths) -> None:
    """A folder that nobody may open is no hiding place: neither for an ordinary user nor for a container's root."""
    root = isolated.box.kind == "bubblewrap" and os.geteuid() == 0  # which sees through all modes
    hide = "true" if root else "chmod 000 ."
    fill = f"mkdir own; cd own; exec 3> f; {hide}; while head -c 4M /dev/zero >&3; do sleep 0.01; done"
    view = isolated.run(fill, workspace_bytes=100_000_000, wall_seconds=60)
    (paths.workspace / "own").chmod(0o700)
    assert (view.ended, view.exit_code) == ("disk", 137)


def test_links_of_one_file_count_once_and_what_they_point_to_not_at_all(isolated: Any) -> None:
    command = "head -c 20M /dev/zero > f; for n in 1 2 3 4 5 6 7 8 9; do ln f $n; done; ln -s / all; sleep 3; echo ok"
    assert isolated.says(command, workspace_bytes=50_000_000) == "ok"


def test_a_single_file_has_a_bound(isolated: Any) -> None:
    """The kernel ends whoever writes past it."""
    assert isolated.run("head -c 3000000 /dev/zero > big", file_bytes=1_024_000).exit_code != 0
    assert len(isolated.box.read("big")) == 1_024_000


def test_five_gigabytes_of_output_end_the_job_and_fill_no_disk(isolated: Any, paths: SandboxPaths) -> None:
    """It is counted past its cap, and ended at twenty times that; the log stays small."""
    view = isolated.run("head -c 5G /dev/zero", output_bytes=1_000_000)
    assert view.ended == "output"
    assert view.output_bytes < 200_000_000
    assert (paths.jobs / view.id / "log").stat().st_size < 1_200_000


def test_output_without_newlines_and_without_sense_arrives_as_it_is(isolated: Any) -> None:
    """Byte by byte, undecoded."""
    view = isolated.run(r"head -c 1000000 /dev/zero | tr '\0' x; printf '\xff\xfe\x00\x1b[2J'")
    assert isolated.box.output(view.id, 0, 2_000_000) == b"x" * 1_000_000 + b"\xff\xfe\x00\x1b[2J"


@pytest.mark.slow
def test_a_workspace_of_200000_files_slows_no_command(isolated: Any) -> None:
    """Nothing walks it: a command starts as fast as in an empty one, once the folder is the agent's."""
    made = "import os\nfor d in range(200):\n    os.mkdir(f'd{d}')\n"
    made += "    for n in range(1000): os.close(os.open(f'd{d}/{n}', os.O_CREAT))"
    assert isolated.run(f'python -c "{made}"').exit_code == 0
    began = time.monotonic()
    assert isolated.says("echo quick") == "quick"
    assert time.monotonic() - began < 10  # walking it takes far longer on a busy machine
    assert isolated.box.read("d7/7") == b""


# ------------------------------------------------------------------------------------------ what will not die


def test_a_job_that_ignores_every_signal_it_can_is_killed(isolated: Any) -> None:
    """The kill returns when nothing of it is left."""
    word = mark()
    job = isolated.start(f"trap '' TERM INT HUP QUIT; echo up; while :; do sleep {word}; done")
    while not isolated.box.output(job):
        time.sleep(0.02)
    view = isolated.box.kill(job)
    assert (view.state, view.ended, view.survivors) == ("finished", "killed", 0)
    assert sleepers(word) == []


def test_daemonised_children_end_with_their_job(isolated: Any) -> None:
    """Twice forked, in sessions of their own, deaf to signals: gone when the job's end is told."""
    word = mark()
    tree = f"(setsid bash -c 'trap \"\" TERM HUP; (setsid sleep {word} &); sleep {word}' &) >/dev/null 2>&1; sleep 0.3"
    assert isolated.run(tree).ended == "exited"
    assert sleepers(word) == []


def test_nobody_is_left_to_rewrite_the_submission(isolated: Any) -> None:
    """What a job handed in stays what it was once the job has ended."""
    isolated.run("(setsid bash -c 'sleep 1; echo forged > submission.csv' &) ; echo honest > submission.csv")
    time.sleep(1.5)
    assert isolated.box.read("submission.csv") == b"honest\n"


def test_the_clock_cannot_be_changed(isolated: Any) -> None:
    """It is refused, and the host's clock goes on as it was."""
    before = time.time()
    script = "import time; time.clock_settime(time.CLOCK_REALTIME, 0)"
    said = isolated.says(f'date -s "2001-01-01"; python -c "{script}"; echo 0 > /proc/sys/kernel/randomize_va_space')
    assert "not permitted" in said
    assert 0 <= time.time() - before < 120


# -------------------------------------------------------------------------------- what is not where it seems


def test_the_data_cannot_be_changed(isolated: Any, paths: SandboxPaths) -> None:
    """Neither its files nor its names; the host's files stay as they are."""
    isolated.says(
        "echo 9,9 >> data/train.csv; rm -rf data; mv data other; chmod -R 777 data; touch data/new; ln -sfn /tmp data; "
        "echo x > /home/data/train.csv; rm -rf /home/submission/data; truncate -s 0 data/train.csv"
    )
    assert (paths.data / "train.csv").read_text() == "id,label\n1,0\n"
    assert [path.name for path in paths.data.iterdir()] == ["train.csv"]
    assert isolated.says("cat data/train.csv") == "id,label\n1,0"


@pytest.mark.parametrize(
    "trick",
    [
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
    ],
)
def test_a_submission_that_is_no_plain_file_is_refused_at_once(isolated: Any, tmp_path: Path, trick: str) -> None:
    """No link is followed, no pipe waited for, nothing huge is read."""
    (tmp_path / "secret.txt").write_text("the secret")
    isolated.run(trick.format(secret=tmp_path / "secret.txt", folder=tmp_path), file_bytes=None)
    began = time.monotonic()
    with pytest.raises(PathRefused):
        isolated.box.read("submission.csv")
    assert time.monotonic() - began < 2


def test_a_link_for_a_folder_leads_the_file_tools_nowhere(isolated: Any, tmp_path: Path) -> None:
    """Neither reading nor writing leaves the workspace."""
    (tmp_path / "secret.txt").write_text("the secret")
    isolated.run(f"ln -s {tmp_path} out; mkdir real; ln -s ../../../../../../.. real/up")
    for path in ("out/secret.txt", f"real/up{tmp_path}/secret.txt", "../secret.txt", str(tmp_path / "secret.txt")):
        with pytest.raises(PathRefused):
            isolated.box.read(path)
        with pytest.raises(PathRefused):
            isolated.box.write(path, b"overwritten")
    assert (tmp_path / "secret.txt").read_text() == "the secret"


def test_odd_file_names_harm_nobody(isolated: Any, paths: SandboxPaths, tmp_path: Path) -> None:
    """Newlines, bytes that are no text, names like options: they can be made, kept and removed."""
    isolated.says(
        r"touch $'a\nb' $'\xff\xfe' -- '-rf' '$(touch x)' ' ' $'\x1b[2J'; mkdir $'d\n\xff'; echo x > $'d\n\xff/f'"
    )
    assert isolated.says("ls -A | wc -l; test -e x || echo none").split() == ["11", "none"]
    versions = Versions(tmp_path / "repo.git")
    commit = versions.commit(paths.workspace, "odd names")
    assert len(versions.files(commit.hash)) == 7


def test_git_in_the_workspace_makes_the_host_run_nothing(isolated: Any, paths: SandboxPaths, tmp_path: Path) -> None:
    """Configuration, hooks, filters, attributes, a monitor, a nested repository: the host's commit runs none of it."""
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


# ------------------------------------------------------------------------------------- what is not their own


def test_nothing_of_the_harness_can_be_read_from_proc_and_environment(
    isolated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No variable, argument or open file of another process shows what the harness knows."""
    monkeypatch.setenv("HARNESS_API_KEY", "sk-very-secret")
    said = isolated.says(
        "env; cat /proc/*/environ /proc/*/cmdline /proc/[0-9]*/task/*/environ 2>/dev/null | tr '\\0' '\\n'; "
        "ls -l /proc/*/fd /proc/*/cwd /proc/*/root 2>/dev/null; cat /proc/keys /proc/1/maps 2>/dev/null"
    )
    assert "sk-very-secret" not in said
    assert "API_KEY" not in said
    assert str(Path(__file__).parents[2]) not in said


def test_no_network_and_no_server_of_this_machine_is_reached(isolated: Any) -> None:
    """Neither by address nor by name nor by an abstract socket."""
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
        assert isolated.says(f"python - <<'EOF'\n{script}\nEOF").split() == ["no"] * 6


def test_harness_folders_and_job_records_are_out_of_reach(isolated: Any, paths: SandboxPaths) -> None:
    """Neither seen nor written, by the name the host knows them by or by any other."""
    run, jobs = paths.workspace.parent, paths.jobs
    (run / "events.jsonl").write_text("{}")
    first = isolated.run("echo true")
    isolated.says(
        f"echo forged > .jobs/{first.id}/log; echo '{{}}' > .jobs/{first.id}/exit.json; rm -rf .jobs; "
        f"for d in {run} {jobs} {paths.home} /harness/jobs; do echo forged > $d/{first.id}/exit.json; "
        f"echo forged >> $d/events.jsonl; touch $d/{first.id}/kill; echo t9 > $d/.requests; done"
    )
    assert isolated.box.status(first.id) == first
    assert isolated.box.output(first.id) == b"true\n"
    assert (run / "events.jsonl").read_text() == "{}"
    said = isolated.says(
        f"cat {run}/events.jsonl /harness/jobs/*/request.json; find / -name request.json 2>/dev/null; true"
    )
    assert "request.json\n" not in said.replace("No such file or directory", "").replace("Permission denied", "")


def test_a_request_cannot_be_forged_through_the_log_folder(isolated: Any, paths: SandboxPaths) -> None:
    """Nothing of what the agent can write is ever read as a request."""
    isolated.says(
        "mkdir -p forged .jobs/forged; echo '{}' > forged/request.json; echo '{}' > .jobs/forged/request.json"
    )
    isolated.box.start(JobRequest("after", "echo fine", Limits()))
    assert isolated.box.wait(["after"], 30)[0].exit_code == 0
    assert isolated.box.status("forged").state == "unknown"


def test_another_run_beside_this_one_is_not_seen(isolated: Any, paths: SandboxPaths) -> None:
    """Two sandboxes share no folder for temporary files, no memory and no processes."""
    other = replace(paths, workspace=paths.workspace.parent / "other")
    if isolated.box.kind == "docker":
        box = open_docker(other)
    else:
        from sandboxes.bubblewrap import open_bubblewrap

        box = open_bubblewrap(other)
    word = mark()
    box.start(JobRequest("other", f"echo here > /tmp/note; echo here > /dev/shm/note; touch mine; sleep {word}"))
    while not (other.workspace / "mine").exists():
        time.sleep(0.02)
    said = isolated.says(
        f"cat /tmp/note /dev/shm/note; ls /workspace; cat /proc/*/cmdline | tr '\\0' ' ' | grep -c 'sleep {word}' "
    )
    box.kill("other")
    assert "here" not in said
    assert "mine" not in said
