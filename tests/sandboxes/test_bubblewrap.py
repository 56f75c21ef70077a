"""Isolation of commands in bubblewrap: network, files, processes and privileges."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandboxes.base import SandboxFailed, SandboxPaths
from sandboxes.bubblewrap import open_bubblewrap
from sandboxes.seccomp import make_filter


def python(driver: Any, script: str) -> str:
    output: str = driver.output_of(f"python - <<'EOF'\n{script}\nEOF")
    return output


def test_network_is_unreachable(bubblewrap: Any) -> None:
    output = python(
        bubblewrap,
        "import socket\n"
        "for kind, to in ((1, ('192.0.2.1', 80)), (2, ('192.0.2.1', 53))):\n"
        "    try: socket.socket(2, kind).connect(to); print('reached')\n"
        "    except OSError as error: print(error.errno)\n"
        "try: print(socket.getaddrinfo('example.com', 80))\n"
        "except OSError: print('no names')\n"
        "try: socket.socket(40, 1)\n"
        "except OSError as error: print(error.errno)\n"
        "print(sorted(name for _, name in socket.if_nameindex()))\n",
    )
    assert output.split("\n") == ["101", "101", "no names", "97", "['lo']"]


def test_servers_of_the_host_are_unreachable(bubblewrap: Any) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as hidden:
        hidden.bind(f"\0harness-{os.getpid()}")
        hidden.listen()
        output = python(
            bubblewrap,
            "import socket\n"
            f"for family, to in ((2, ('127.0.0.1', {server.getsockname()[1]})), (1, '\\0harness-{os.getpid()}')):\n"
            "    try: socket.socket(family).connect(to); print('reached')\n"
            "    except OSError as error: print(error.strerror)\n",
        )
    assert output == "Connection refused\nConnection refused"


def test_command_has_no_privileges_and_gains_none(bubblewrap: Any) -> None:
    status = bubblewrap.output_of("cat /proc/self/status")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    assert fields["Uid"].split()[0] != "0"
    assert {fields[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert fields["NoNewPrivs"].strip() == "1"
    if make_filter():
        assert fields["Seccomp"].strip() == "2"
    refused = bubblewrap.output_of(
        "unshare -U true; unshare -r true; su root -c id; mount -t tmpfs x /tmp; hostname evil; chroot / true"
    )
    assert "uid=0" not in refused
    assert bubblewrap.run("unshare -U true").exit_code != 0


def test_command_runs_as_unprivileged_user_of_the_host(bubblewrap: Any, paths: SandboxPaths) -> None:
    bubblewrap.run("touch made")
    expected = 65534 if os.geteuid() == 0 else os.geteuid()
    assert (paths.workspace / "made").stat().st_uid == expected


def test_only_workspace_and_temporary_folders_are_writable(bubblewrap: Any) -> None:
    folders = "/ /dev /etc /usr /proc/sys/kernel /workspace/data /workspace/.jobs /environment /environment/bin"
    folders += " /workspace /tmp /dev/shm"
    output = bubblewrap.output_of(f"for d in {folders}; do touch $d/probe 2>/dev/null && echo $d; done; true")
    assert output.split() == ["/workspace", "/tmp", "/dev/shm"]
    assert "Permission" in bubblewrap.output_of("echo x > /proc/sys/kernel/hostname") or os.geteuid()
    assert bubblewrap.run("rm -rf data; rm -rf .jobs; mv data other || ln -sfn /etc data").exit_code is not None
    assert bubblewrap.output_of("cat data/train.csv").startswith("id,label")


def test_homes_other_runs_and_harness_are_invisible(bubblewrap: Any, paths: SandboxPaths) -> None:
    private_labels = paths.home / "data" / "custody"
    private_labels.mkdir(parents=True, exist_ok=True)
    (private_labels / "answers.csv").write_text("answer-3141592653")
    (paths.workspace.parent / "events.jsonl").write_text("answer-3141592653")
    harness = Path(__file__).parents[2]
    outside = f"{private_labels} {paths.workspace.parent} {paths.home} {harness}"
    output = bubblewrap.output_of(f"ls -d {outside} /home/[!ds]* /root/.ssh /var /mnt 2>/dev/null")
    assert output == ""
    named = "find / -path /proc -prune -o -path /usr -prune -o -name answers.csv -print -o -name events.jsonl -print"
    assert bubblewrap.output_of(named) == ""


def test_only_logs_are_visible_in_jobs_folder(bubblewrap: Any) -> None:
    first = bubblewrap.run("echo 1")
    assert bubblewrap.output_of("find .jobs -type f -o -type p -o -type s") == f".jobs/{first.id}/log\n.jobs/t2/log"


def test_host_processes_are_invisible_and_unreachable(bubblewrap: Any) -> None:
    output = bubblewrap.output_of("ls /proc | grep -c '^[0-9]'; kill -9 1 2>&1; kill -9 -1; echo")
    assert int(output.split()[0]) < 10
    listing = bubblewrap.output_of("cat /proc/1/cmdline | tr '\\0' ' '")
    assert "ro-bind" not in listing


def test_package_answer_files_are_masked(bubblewrap: Any) -> None:
    output = bubblewrap.output_of(
        "cd /environment/lib/python3*/site-packages/sklearn/datasets; ls -A data; wc -c < _base.py; "
        "find / -path /proc -prune -o -path /usr/share -prune -o -name 'digits.csv*' -print -o -name 'iris.csv' -print"
    )
    assert output == "0"


def test_joblib_and_multiprocessing_work(bubblewrap: Any) -> None:
    script = "from joblib import Parallel, delayed; import multiprocessing as m; "
    script += (
        "print(sum(Parallel(n_jobs=2)(delayed(abs)(-n) for n in range(5)))); m.Lock(); print(m.Pool(2).map(abs, [-1]))"
    )
    assert bubblewrap.output_of(f'python -c "{script}"') == "10\n[1]"


def test_temporary_files_are_limited_and_deleted_with_the_job(bubblewrap: Any) -> None:
    assert "No space" in bubblewrap.output_of("fallocate -l 3G /dev/shm/big")
    assert bubblewrap.output_of("ls -A /tmp /dev/shm") == "/dev/shm:\n\n/tmp:"


def test_process_limit_is_enforced(bubblewrap: Any) -> None:
    script = "import os, time\nfor n in range(60):\n    if os.fork() == 0: time.sleep(9)"
    output = bubblewrap.output_of(f'python -c "{script}"', processes=30)
    assert "Resource temporarily unavailable" in output


def test_models_folder_is_read_only(bubblewrap: Any, paths: SandboxPaths, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "weights").write_text("w")
    bubblewrap.sandbox = open_bubblewrap(replace(paths, models=tmp_path / "models"))
    assert bubblewrap.output_of("cat /models/weights; touch /models/x 2>/dev/null || echo no") == "wno"


def test_hidden_path_outside_packages_raises(bubblewrap: Any, paths: SandboxPaths) -> None:
    with pytest.raises(SandboxFailed, match="relative to site-packages"):
        open_bubblewrap(replace(paths, hidden=("../../x",)))


# ------------------------------------------------------------------------------------------------- as an ordinary user

USER = 12345
SCRIPT = """
import sys
from pathlib import Path
from sandboxes.base import JobRequest, SandboxPaths
from sandboxes.environments import small
from sandboxes.select import open_sandbox
# Fewer packages, since they are copied where they belong to another user:
small.make_environment.__defaults__ = (("numpy",),)
root = Path(sys.argv[1])
for name in ("workspace", "data", "jobs"):
    (root / name).mkdir()
(root / "data" / "a").write_text("data")
for kind in ("local", "bubblewrap"):
    box = open_sandbox(kind, SandboxPaths(root / "workspace", root / "data", root / "jobs", root / "home"))
    box.write("given", b"given")
    command = "cat data/a given; echo; touch data/x 2>&- || echo ro; unshare -U true 2>&- || echo no; id -u"
    command += "; python -c 'import numpy'"
    box.start(JobRequest(kind, command))
    print(kind, box.wait([kind], 60)[0].exit_code, box.output(kind).decode().split())
"""


@pytest.fixture
def public_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ordinary-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def python_for(user: int) -> list[str]:
    """Arguments that run a Python of this version as another user, with our packages."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root can become another user; as an ordinary user, the other tests cover this")
    drop_privileges = ["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups"]
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    import numpy

    paths = f"{Path(__file__).parents[2]}:{Path(numpy.__file__).parents[1]}"
    for program in (sys.executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
        argv = [*drop_privileges, "env", f"PYTHONPATH={paths}", "HOME=/nonexistent", program]
        if subprocess.run([*argv, "-c", "import numpy, sandboxes"], capture_output=True).returncode == 0:
            return argv
    pytest.skip("no Python of this version can be executed by an ordinary user")


def test_sandboxes_work_for_unprivileged_user(bubblewrap: Any, public_folder: Path) -> None:
    argv = python_for(USER)
    os.chown(public_folder, USER, USER)
    done = subprocess.run([*argv, "-c", SCRIPT, str(public_folder)], capture_output=True, text=True, timeout=60)
    local, isolated = done.stdout.splitlines() if done.returncode == 0 else (done.stderr, "")
    assert local.startswith("local 0 ['datagiven', ")
    assert isolated == "bubblewrap 0 ['datagiven', 'ro', 'no', '1000']"
