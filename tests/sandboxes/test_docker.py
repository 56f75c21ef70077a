"""Containers: what they show, hide and limit, and their jobs when the container is paused, killed or shared."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.startup.sandbox_setup import why_no_gpus
from runs.events.registry import FoldFinished
from sandboxes.base import JobRequest, SandboxPaths, SandboxUnavailable
from sandboxes.docker.daemon import LABEL, connect, find_container
from sandboxes.docker.sandbox import ContainerLimits, DockerSandbox, check_docker, open_docker
from sandboxes.isolation import describe_sandbox
from sandboxes.leases.amounts import this_machine
from sandboxes.select import open_sandbox
from tests.playing import call, events_of, harness, only_run, reply
from tests.servers.chat_server import ChatServer, Message

SMALL = ContainerLimits(memory=400 << 20, cpus=1.0, processes=100, temporary=32 << 20)


def wait_for(condition: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_mle_bench_paths_exist(isolated: Any, paths: SandboxPaths) -> None:
    output = isolated.output_of(
        "cat /home/data/train.csv; touch /home/data/x || echo refused; "
        "cp data/train.csv /home/submission/submission.csv"
    )
    assert output.startswith("id,label\n1,0\n")
    assert output.endswith("refused")
    assert isolated.sandbox.read("submission.csv") == b"id,label\n1,0\n"
    isolated.output_of("echo mine > submission.csv")
    assert isolated.output_of("cat /home/submission/submission.csv") == "mine"


def test_command_has_no_capabilities_and_supervisor_three(container: Any) -> None:
    fields = dict(line.split(":", 1) for line in container.output_of("cat /proc/self/status").splitlines())
    assert {fields[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert fields["Uid"].split() == ["65534" if os.geteuid() == 0 else str(os.geteuid())] * 4
    assert fields["Groups"].split() == []
    assert (fields["NoNewPrivs"].strip(), fields["Seccomp"].strip()) == ("1", "2")
    bounding = container.output_of("grep CapEff /proc/1/status; grep CapBnd /proc/1/status").split()
    assert {int(bounding[1], 16), int(bounding[3], 16)} == {1 << 5 | 1 << 6 | 1 << 7}  # KILL, SETGID, SETUID


def test_command_cannot_reach_the_supervisor(container: Any) -> None:
    output = container.output_of(
        "kill -9 1; for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline | grep -q supervisor && "
        "{ kill -9 ${p#/proc/}; ls $p/fd $p/root; cat $p/environ $p/mem; }; done; "
        "ls /harness; cat /harness/jobs/*; kill -9 -1"
    )
    assert "not permitted" in output or "Killed" in output or output == ""
    assert "request.json" not in output
    assert container.output_of("stat -c %a-%u /harness; ls /harness 2>&- || echo closed").split() == ["700-0", "closed"]
    assert container.output_of("echo still here") == "still here"


def test_container_root_is_read_only(container: Any) -> None:
    folders = "/ /dev /etc /usr /home /proc/sys/kernel /sys /workspace/data /workspace/.jobs /home/data /harness"
    output = container.output_of(
        f"for d in {folders} /workspace /tmp /dev/shm; do touch $d/probe 2>&- && echo $d; done; true"
    )
    assert output.split() == ["/workspace", "/tmp", "/dev/shm"]


def cores_of(sandbox: DockerSandbox) -> float:
    """The cores that a container may use, from the control group of its first process."""
    pid = find_container(sandbox.name).attrs["State"]["Pid"]  # type: ignore[union-attr]
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        folder = Path(f"/sys/fs/cgroup/{controllers}{path}")
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
            return int(quota) / int(period)
        if (folder / "cpu.cfs_quota_us").exists():
            return int((folder / "cpu.cfs_quota_us").read_text()) / int((folder / "cpu.cfs_period_us").read_text())
    raise AssertionError(f"no limit of the CPU of process {pid}")


def test_a_container_is_bounded_to_the_cores_and_memory_of_its_lane(docker: None, paths: SandboxPaths) -> None:
    sandbox = open_docker(replace(paths, memory=256 << 20))
    assert isinstance(sandbox, DockerSandbox) and sandbox.limits.memory == 256 << 20
    for number, cores in enumerate((2, 1, None, 3)):
        sandbox.start(JobRequest(f"j{number}", "nproc", cores=cores))
        sandbox.wait([f"j{number}"], 60)
        assert cores_of(sandbox) == (2, 1, 1, 3)[number]
        assert find_container(sandbox.name).attrs["HostConfig"]["Memory"] == 256 << 20
    assert "0 GB of memory" in describe_sandbox(sandbox, machine=this_machine())
    sandbox.close()


def test_no_network_namespaces_or_daemon_socket(container: Any) -> None:
    script = (
        "import os, socket\n"
        "for kind in (1, 2):\n"
        "    try: socket.socket(2, kind).connect(('192.0.2.1', 53)); print('reached')\n"
        "    except OSError as error: print(error.errno)\n"
        "print([n for _, n in socket.if_nameindex()])\n"
        "print([d + '/' + f for d, _, fs in os.walk('/run') for f in fs if f != 'podman-init'])\n"
        "print(os.path.exists('/var/run/docker.sock'))\n"
    )
    output = container.output_of(
        f"python - <<'EOF'\n{script}\nEOF\nunshare -r true; unshare -n true; mount -t tmpfs x /tmp"
    )
    assert output.splitlines()[:5] == ["101", "101", "['lo']", "[]", "False"]
    assert output.count("not permitted") + output.count("must be superuser") + output.count("ermission denied") == 3


def test_package_answer_files_are_masked_in_container(container: Any) -> None:
    find_package = "import importlib.util as u; print(u.find_spec('sklearn').submodule_search_locations[0])"
    output = container.output_of(
        f'cd $(python -c "{find_package}")/datasets; ls -A data; wc -c < _base.py; '
        "find / -xdev -name 'digits.csv*' -o -xdev -name 'iris.csv' 2>/dev/null"
    )
    assert output == "0"


def test_total_memory_is_limited(paths: SandboxPaths, container: Any) -> None:
    container.sandbox = open_docker(paths, SMALL)
    hog = 'python -c "a = bytearray(150 << 20); import time; time.sleep(20)"'
    status = container.run(f"{hog} & {hog} & {hog} & {hog} & wait -n; echo one died; exit 137")
    assert (status.ended, container.sandbox.output(status.id).splitlines()[-1]) == ("memory", b"one died")
    assert container.output_of("echo alive") == "alive"


def test_processes_cpu_and_temporary_space_are_limited(paths: SandboxPaths, container: Any) -> None:
    container.sandbox = open_docker(paths, SMALL)
    script = "import os, time\nfor n in range(300):\n    if os.fork() == 0: time.sleep(9)"
    assert "Resource temporarily unavailable" in container.output_of(f'python -c "{script}"')
    assert "No space" in container.output_of("head -c 64M /dev/zero > /tmp/big")
    assert container.output_of("echo $OMP_NUM_THREADS") == "1"
    live = find_container(container.sandbox.name)
    assert live is not None
    host = live.attrs["HostConfig"]
    assert (host["Memory"], host["MemorySwap"]) == (400 << 20, 400 << 20)
    assert host["CpuQuota"] == host["CpuPeriod"] == 100_000, "one core"


def test_each_workspace_has_its_own_container(paths: SandboxPaths, container: Any) -> None:
    container.output_of("echo left behind > /tmp/note; echo x > made")
    assert container.output_of("cat /tmp/note") == "left behind"
    other = replace(paths, workspace=paths.workspace.parent / "evaluation")
    sandbox = open_docker(other)
    sandbox.start(JobRequest("e-1", "ls -A; cat /tmp/note"))
    assert sandbox.wait(["e-1"], 60)[0].state == "finished"
    assert container.sandbox.output("e-1").decode().split("\n")[:2] == [".jobs", "data"]
    assert b"No such file" in container.sandbox.output("e-1")
    assert find_container(sandbox.name) is not None
    sandbox.close()
    assert find_container(sandbox.name) is None
    assert container.sandbox.status("e-1").state == "finished"


def test_close_keeps_container_with_running_job(container: Any) -> None:
    job = container.start("sleep 30")
    wait_for(lambda: container.sandbox.status(job).seconds > 0)
    container.sandbox.close()
    assert container.sandbox.status(job).state == "running"
    container.sandbox.kill(job)
    container.sandbox.close()
    assert find_container(container.sandbox.name) is None


def test_job_of_dead_container_is_lost_with_reason(container: Any, paths: SandboxPaths) -> None:
    job = container.start("echo began; sleep 30")
    wait_for(lambda: container.sandbox.output(job))
    live = find_container(container.sandbox.name)
    assert live is not None
    live.kill()
    [status] = container.sandbox.wait([job], 20)
    assert (status.state, status.why) == ("lost", "its container ended while it ran (code 137)")
    assert container.output_of("echo a new one") == "a new one"
    container.sandbox.start(JobRequest(job, "echo began; sleep 30"))
    assert container.sandbox.status(job).state == "lost", "a lost job is not started again"
    live = find_container(container.sandbox.name)
    assert live is not None
    job = container.start("sleep 30")
    wait_for(lambda: container.sandbox.status(job).seconds > 0)
    live.remove(force=True)
    assert container.sandbox.wait([job], 20)[0].why == "its container was removed while it ran"


def test_paused_container_is_resumed(container: Any, paths: SandboxPaths) -> None:
    job = container.start("sleep 1; echo through")
    wait_for(lambda: container.sandbox.status(job).seconds > 0)
    live = find_container(container.sandbox.name)
    assert live is not None
    live.pause()
    again = open_sandbox("docker", paths)
    assert again.wait([job], 2)[0].state == "running"
    again.start(JobRequest("next", "echo next"))
    assert isinstance(again, DockerSandbox)
    again.ensure_container()
    assert again.wait(["next"], 20)[0].exit_code == 0
    assert again.wait([job], 20)[0].exit_code == 0


def test_job_in_a_container_paused_from_outside_is_not_stalled(container: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandboxes.docker.sandbox.PAUSE_CHECK_SECONDS", 0.5)
    assert container.output_of("echo one") == "one"
    live = find_container(container.sandbox.name)
    assert live is not None
    live.pause()
    assert container.sandbox.wait([container.start("echo two")], 20)[0].exit_code == 0


@pytest.mark.parametrize("is_killed_after", ["create", "start"])
def test_job_starts_although_the_harness_was_killed_at_its_container(
    is_killed_after: str, container: Any, paths: SandboxPaths
) -> None:
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom docker.models import containers\n"
        "from sandboxes.base import *\nfrom sandboxes.select import open_sandbox\n"
        "owner = containers.ContainerCollection if sys.argv[1] == 'create' else containers.Container\n"
        "original = getattr(owner, sys.argv[1])\n"
        "def dies(*args, **options):\n    original(*args, **options)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "box = open_sandbox('docker', SandboxPaths(*map(Path, sys.argv[2:])))\n"
        "setattr(owner, sys.argv[1], dies)\nbox.start(JobRequest('job', 'echo ran >> count'))\n"
    )
    arguments = [str(path) for path in (paths.workspace, paths.data, paths.jobs, paths.home)]
    done = subprocess.run([sys.executable, "-c", code, is_killed_after, *arguments], cwd=Path(__file__).parents[2])
    assert done.returncode == -9
    container.sandbox.start(JobRequest("job", "echo ran >> count"))
    assert container.sandbox.wait(["job"], 20)[0].exit_code == 0
    assert container.sandbox.read("count") == b"ran\n"


def test_concurrent_harnesses_share_container_and_run_job_once(container: Any, paths: SandboxPaths) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom sandboxes.base import *\n"
        "from sandboxes.select import open_sandbox\n"
        "box = open_sandbox('docker', SandboxPaths(*map(Path, sys.argv[1:])))\n"
        "box.start(JobRequest('same', 'echo ran >> count'))\nprint(box.wait(['same'], 60)[0].exit_code)\n"
    )
    arguments = [str(path) for path in (paths.workspace, paths.data, paths.jobs, paths.home)]
    argv = [sys.executable, "-c", code, *arguments]
    processes = [subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) for _ in range(3)]
    assert [process.communicate(timeout=90)[0] for process in processes] == [b"0\n"] * 3
    assert container.sandbox.read("count") == b"ran\n"
    label = f"{LABEL}.jobs={paths.jobs}"
    assert len(connect().containers.list(all=True, filters={"label": label})) == 1


def test_image_without_a_shell_is_refused(container: Any, paths: SandboxPaths) -> None:
    import io
    import tarfile

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("nothing"))
    answer = connect().api.import_image_from_data(packed.getvalue(), repository="open-harness/test-empty:1")
    assert "status" in answer
    try:
        with pytest.raises(SandboxUnavailable, match=r"test-empty:1 .* add a shell"):
            open_docker(replace(paths, image="open-harness/test-empty:1"))
    finally:
        connect().images.remove("open-harness/test-empty:1")


def test_packages_of_image_are_listed(container: Any) -> None:
    assert any(name.startswith("scikit-learn ") for name in container.sandbox.packages())
    cached = list((container.sandbox.paths.home / "images").glob("*.json"))
    assert cached and all(json.loads(path.read_text())["python"] for path in cached)


SCRIPT = """
import os, shutil, sys
from pathlib import Path
from sandboxes.base import JobRequest, SandboxPaths
from sandboxes.select import open_sandbox
root = Path(sys.argv[1])
for name in ("workspace", "data", "jobs"):
    (root / name).mkdir()
(root / "data" / "a").write_text("data")
box = open_sandbox("docker", SandboxPaths(root / "workspace", root / "data", root / "jobs", root / "home"))
box.write("given", b"given")
command = "cat data/a given; echo; touch data/x 2>&- || echo ro; id -u; ls /harness 2>&- || echo closed; mkdir -m 700 d"
box.start(JobRequest("one", command))
print(box.wait(["one"], 60)[0].exit_code, *box.output("one").decode().split())
box.start(JobRequest("two", "sleep 100"))
print(box.kill("two").ended)
box.close()
shutil.rmtree(root / "workspace")
shutil.rmtree(root / "jobs")
"""


def test_docker_works_for_unprivileged_user(container: Any) -> None:
    """Commands then run as the harness's user, and still cannot enter the jobs folder."""
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    if os.geteuid() != 0 or not Path(address).is_socket():
        pytest.skip("only root can become another user, and needs a daemon on a socket")
    from tests.sandboxes.test_bubblewrap import USER, python_for

    drop_privileges = [*python_for(USER)]
    drop_privileges[drop_privileges.index("--clear-groups")] = f"--groups={Path(address).stat().st_gid}"
    drop_privileges.insert(drop_privileges.index("HOME=/nonexistent"), f"DOCKER_HOST=unix://{address}")
    folder = Path(tempfile.mkdtemp(prefix="ordinary-"))
    try:
        folder.chmod(0o755)
        os.chown(folder, USER, USER)
        done = subprocess.run(
            [*drop_privileges, "-c", SCRIPT, str(folder)], capture_output=True, text=True, timeout=120
        )
    finally:
        shutil.rmtree(folder)
    assert done.stdout.splitlines() == [f"0 datagiven ro {USER} closed", "killed"], done.stderr


def test_named_runtime_is_used_and_unknown_one_refused(container: Any, paths: SandboxPaths) -> None:
    named = replace(paths, runtime="runc")
    container.sandbox = open_docker(named)
    assert container.output_of("echo in it") == "in it"
    live = find_container(container.sandbox.name)
    assert live is not None and live.attrs["HostConfig"]["Runtime"] in ("runc", "oci"), "Podman names none"
    with pytest.raises(SandboxUnavailable, match=r"no runtime no-such: install .*\brunc\b"):
        open_docker(replace(paths, runtime="no-such"))
    assert ", runtimes " in check_docker(paths.home) and "runc" in check_docker(paths.home)


def test_models_are_read_only_and_hubs_stay_offline(isolated: Any, paths: SandboxPaths, tmp_path: Path) -> None:
    (tmp_path / "models" / "huggingface").mkdir(parents=True)
    (tmp_path / "models" / "huggingface" / "weights").write_text("w")
    (tmp_path / "models").chmod(0o755)
    assert isolated.output_of("echo $HF_HOME$HF_HUB_OFFLINE; ls /models/huggingface 2>&- || echo none") == "none"
    shown = replace(paths, models=tmp_path / "models", workspace=paths.workspace.parent / "with-models")
    isolated.sandbox = open_sandbox(isolated.sandbox.kind, shown)
    output = isolated.output_of(
        "echo $HF_HUB_OFFLINE $TORCH_HOME; cat $HF_HOME/weights; touch /models/x 2>&- || echo no"
    )
    assert output == "1 /models/torch\nwno"
    section = describe_sandbox(isolated.sandbox)
    assert "`/models`" in section and "scikit-learn" in section and "There is no network" in section


def test_gpus_that_the_daemon_cannot_give_are_reported(container: Any) -> None:
    """No daemon of a test has NVIDIA's toolkit, nor this GPU."""
    why = why_no_gpus(container.sandbox, ("GPU-no-such",))
    assert "1 GPUs" in why and "NVIDIA's container toolkit" in why


SOLUTION = "import shutil; shutil.copy('data/sample_submission.csv', 'submission.csv')"
STEPS = (
    [call("write_file", path="solution.py", content=SOLUTION), call("evaluate", command="python solution.py")],
    [call("finish", did="copied", criticism="", next="", lessons=[])],
)


def scripted_reply(request: dict[str, Any]) -> Message:
    step = sum(message["role"] == "assistant" for message in request["messages"])
    return reply(f"step {step}", *STEPS[min(step, 1)], tag=str(step)) if request["messages"][1:] else {"content": "ok"}


@pytest.mark.slow
def test_run_leaves_no_container_and_is_made_again_from_its_export(container: Any, tmp_path: Path) -> None:
    """A run with an evaluation on all folds, each in a container of its own."""
    home = tmp_path / "home"
    with ChatServer(scripted_reply) as server:
        options = ["--sandbox", "docker", "--runtime", "runc", "--attempts", "1", "--plain"]
        options += ["--model", "m", "--base-url", server.url]
        code, printed = harness(home, "run", "digits", *options)
    assert code == 0, printed
    assert "sandbox docker" in printed
    run = only_run(home)
    folds = [event for event in events_of(run) if isinstance(event, FoldFinished)]
    assert folds and all(fold.status == "scored" for fold in folds)
    report = (run / "report.md").read_text()
    assert "(runtime `runc`) " in report and '"runtime":"runc"' in (run / "events.jsonl").read_text().split("\n")[0]
    assert "installed for the agent" in report and "unprotected" not in report
    label = f"{LABEL}.home={home}"
    assert connect().containers.list(all=True, filters={"label": label}) == []
    code, printed = harness(home, "export", str(run), str(tmp_path / "winner"))
    assert code == 0, printed
    recorded = json.loads((tmp_path / "winner" / "export.json").read_text())
    assert all(int(part["variables"]["OMP_NUM_THREADS"]) > 0 for part in recorded["parts"])
    argv = ["sh", str(tmp_path / "winner" / "run.sh")]
    done = subprocess.run(argv, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "winner" / "submission.csv").read_bytes() == (run / "submission.csv").read_bytes()
