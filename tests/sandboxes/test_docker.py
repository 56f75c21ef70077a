"""What a container shows, hides and bounds, and what becomes of its jobs when it is paused, killed or run twice."""

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

from sandboxes.base import JobRequest, SandboxPaths, SandboxUnavailable
from sandboxes.docker.daemon import LABEL, connect, container_named
from sandboxes.docker.sandbox import DockerSandbox, Share, check_docker, open_docker
from sandboxes.isolation import describe_sandbox
from sandboxes.select import open_sandbox

SMALL = Share(memory=400 << 20, cpus=1.0, processes=100, temporary=32 << 20)


def wait_for(claim: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def test_data_and_submission_lie_where_agents_of_mle_bench_look(isolated: Any, paths: SandboxPaths) -> None:
    said = isolated.says(
        "cat /home/data/train.csv; touch /home/data/x || echo refused; "
        "cp data/train.csv /home/submission/submission.csv"
    )
    assert said.startswith("id,label\n1,0\n")
    assert said.endswith("refused")
    assert isolated.box.read("submission.csv") == b"id,label\n1,0\n"
    isolated.says("echo mine > submission.csv")
    assert isolated.says("cat /home/submission/submission.csv") == "mine"


def test_a_command_has_no_rights_and_its_supervisor_three(contained: Any) -> None:
    fields = dict(line.split(":", 1) for line in contained.says("cat /proc/self/status").splitlines())
    assert {fields[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert fields["Uid"].split() == ["65534" if os.geteuid() == 0 else str(os.geteuid())] * 4
    assert fields["Groups"].split() == []
    assert (fields["NoNewPrivs"].strip(), fields["Seccomp"].strip()) == ("1", "2")
    bounding = contained.says("grep CapEff /proc/1/status; grep CapBnd /proc/1/status").split()
    assert {int(bounding[1], 16), int(bounding[3], 16)} == {1 << 5 | 1 << 6 | 1 << 7}  # KILL, SETGID, SETUID


def test_the_supervisor_cannot_be_touched_by_a_command(contained: Any) -> None:
    said = contained.says(
        "kill -9 1; for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline | grep -q supervisor && "
        "{ kill -9 ${p#/proc/}; ls $p/fd $p/root; cat $p/environ $p/mem; }; done; "
        "ls /harness; cat /harness/jobs/*; kill -9 -1"
    )
    assert "not permitted" in said or "Killed" in said or said == ""
    assert "request.json" not in said
    assert contained.says("stat -c %a-%u /harness; ls /harness 2>&- || echo closed").split() == ["700-0", "closed"]
    assert contained.says("echo still here") == "still here"


def test_the_root_of_the_container_cannot_be_written(contained: Any) -> None:
    places = "/ /dev /etc /usr /home /proc/sys/kernel /sys /workspace/data /workspace/.jobs /home/data /harness"
    said = contained.says(f"for d in {places} /workspace /tmp /dev/shm; do touch $d/probe 2>&- && echo $d; done; true")
    assert said.split() == ["/workspace", "/tmp", "/dev/shm"]


def test_no_network_no_new_namespaces_and_no_socket_of_the_daemon(contained: Any) -> None:
    script = (
        "import os, socket\n"
        "for kind in (1, 2):\n"
        "    try: socket.socket(2, kind).connect(('192.0.2.1', 53)); print('reached')\n"
        "    except OSError as error: print(error.errno)\n"
        "print([n for _, n in socket.if_nameindex()])\n"
        "print([d + '/' + f for d, _, fs in os.walk('/run') for f in fs], os.path.exists('/var/run/docker.sock'))\n"
    )
    said = contained.says(f"python - <<'EOF'\n{script}\nEOF\nunshare -r true; unshare -n true; mount -t tmpfs x /tmp")
    assert said.splitlines()[:4] == ["101", "101", "['lo']", "[] False"]
    assert said.count("not permitted") + said.count("must be superuser") + said.count("ermission denied") == 3


def test_answer_files_of_packages_are_masked_in_a_container(contained: Any) -> None:
    said = contained.says(
        "cd $(python -c 'import sklearn; print(sklearn.__path__[0])')/datasets; ls -A data; wc -c < _base.py; "
        "find / -xdev -name 'digits.csv*' -o -xdev -name 'iris.csv' 2>/dev/null"
    )
    assert said == "0"


def test_memory_is_bounded_for_all_processes_together(paths: SandboxPaths, contained: Any) -> None:
    contained.box = open_docker(paths, SMALL)
    hog = 'python -c "a = bytearray(150 << 20); import time; time.sleep(20)"'
    view = contained.run(f"{hog} & {hog} & {hog} & {hog} & wait -n; echo one died; exit 137")
    assert (view.ended, contained.box.output(view.id).splitlines()[-1]) == ("memory", b"one died")
    assert contained.says("echo alive") == "alive"


def test_processes_cpu_and_temporary_space_are_bounded(paths: SandboxPaths, contained: Any) -> None:
    contained.box = open_docker(paths, SMALL)
    script = "import os, time\nfor n in range(300):\n    if os.fork() == 0: time.sleep(9)"
    assert "Resource temporarily unavailable" in contained.says(f'python -c "{script}"')
    assert "No space" in contained.says("head -c 64M /dev/zero > /tmp/big")
    assert contained.says("echo $OMP_NUM_THREADS") == "1"
    found = container_named(contained.box.name)
    assert found is not None
    host = found.attrs["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (400 << 20, 400 << 20, 10**9)


def test_one_container_serves_a_workspace_and_another_an_evaluation(paths: SandboxPaths, contained: Any) -> None:
    contained.says("echo left behind > /tmp/note; echo x > made")
    assert contained.says("cat /tmp/note") == "left behind"
    other = replace(paths, workspace=paths.workspace.parent / "evaluation")
    box = open_docker(other)
    box.start(JobRequest("e-1", "ls -A; cat /tmp/note"))
    assert box.wait(["e-1"], 60)[0].state == "finished"
    assert contained.box.output("e-1").decode().split("\n")[:2] == [".jobs", "data"]
    assert b"No such file" in contained.box.output("e-1")
    assert container_named(box.name) is not None
    box.close()
    assert container_named(box.name) is None
    assert contained.box.status("e-1").state == "finished"


def test_closing_leaves_a_container_whose_job_runs(contained: Any) -> None:
    job = contained.start("sleep 30")
    wait_for(lambda: contained.box.status(job).seconds > 0)
    contained.box.close()
    assert contained.box.status(job).state == "running"
    contained.box.kill(job)
    contained.box.close()
    assert container_named(contained.box.name) is None


def test_a_job_whose_container_died_is_lost_and_says_why(contained: Any, paths: SandboxPaths) -> None:
    job = contained.start("echo began; sleep 30")
    wait_for(lambda: contained.box.output(job))
    found = container_named(contained.box.name)
    assert found is not None
    found.kill()
    [view] = contained.box.wait([job], 20)
    assert (view.state, view.why) == ("lost", "its container ended while it ran (code 137)")
    assert contained.says("echo a new one") == "a new one"
    contained.box.start(JobRequest(job, "echo began; sleep 30"))
    assert contained.box.status(job).state == "lost", "nothing runs twice"
    found = container_named(contained.box.name)
    assert found is not None
    job = contained.start("sleep 30")
    wait_for(lambda: contained.box.status(job).seconds > 0)
    found.remove(force=True)
    assert contained.box.wait([job], 20)[0].why == "its container was removed while it ran"


def test_a_paused_container_is_found_again_and_goes_on(contained: Any, paths: SandboxPaths) -> None:
    job = contained.start("sleep 1; echo through")
    wait_for(lambda: contained.box.status(job).seconds > 0)
    found = container_named(contained.box.name)
    assert found is not None
    found.pause()
    again = open_sandbox("docker", paths)
    assert again.wait([job], 2)[0].state == "running"
    again.start(JobRequest("next", "echo next"))
    assert isinstance(again, DockerSandbox)
    again._launch()
    assert again.wait(["next"], 20)[0].exit_code == 0
    assert again.wait([job], 20)[0].exit_code == 0


def test_two_harnesses_at_once_get_one_container_and_each_job_runs_once(contained: Any, paths: SandboxPaths) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom sandboxes.base import *\n"
        "from sandboxes.select import open_sandbox\n"
        "box = open_sandbox('docker', SandboxPaths(*map(Path, sys.argv[1:])))\n"
        "box.start(JobRequest('same', 'echo ran >> count'))\nprint(box.wait(['same'], 60)[0].exit_code)\n"
    )
    arguments = [str(path) for path in (paths.workspace, paths.data, paths.jobs, paths.home)]
    argv = [sys.executable, "-c", code, *arguments]
    several = [subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) for _ in range(3)]
    assert [one.communicate(timeout=90)[0] for one in several] == [b"0\n"] * 3
    assert contained.box.read("count") == b"ran\n"
    label = f"{LABEL}.jobs={paths.jobs}"
    assert len(connect().containers.list(all=True, filters={"label": label})) == 1


def test_a_strange_image_is_refused_in_words(contained: Any, paths: SandboxPaths) -> None:
    import io
    import tarfile

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("nothing"))
    told = connect().api.import_image_from_data(packed.getvalue(), repository="open-harness/test-empty", tag="1")
    assert "status" in told
    try:
        with pytest.raises(SandboxUnavailable, match=r"open-harness/test-empty:1 cannot be used: it needs a Python 3"):
            open_docker(replace(paths, image="open-harness/test-empty:1"))
    finally:
        connect().images.remove("open-harness/test-empty:1")


def test_the_packages_of_the_image_are_listed(contained: Any) -> None:
    assert any(name.startswith("scikit-learn ") for name in contained.box.packages())
    kept = list((contained.box.paths.home / "images").glob("*.json"))
    assert kept and all(json.loads(path.read_text())["python"] for path in kept)


ORDINARY = """
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


def test_an_ordinary_user_of_the_daemon_has_the_same_sandbox(contained: Any) -> None:
    """The agent is then that very user, and still cannot pass to the jobs folder, which is the user's own."""
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    if os.geteuid() != 0 or not Path(address).is_socket():
        pytest.skip("only root can become an ordinary user, and needs a daemon on a socket")
    from tests.sandboxes.test_bubblewrap import USER, python_for

    become = [*python_for(USER)]
    become[become.index("--clear-groups")] = f"--groups={Path(address).stat().st_gid}"
    become.insert(become.index("HOME=/nonexistent"), f"DOCKER_HOST=unix://{address}")
    folder = Path(tempfile.mkdtemp(prefix="ordinary-"))
    try:
        folder.chmod(0o755)
        os.chown(folder, USER, USER)
        done = subprocess.run([*become, "-c", ORDINARY, str(folder)], capture_output=True, text=True, timeout=120)
    finally:
        shutil.rmtree(folder)
    assert done.stdout.splitlines() == [f"0 datagiven ro {USER} closed", "killed"], done.stderr


def test_a_named_runtime_is_used_and_an_unknown_one_refused(contained: Any, paths: SandboxPaths) -> None:
    named = replace(paths, runtime="runc")
    contained.box = open_docker(named)
    assert contained.says("echo in it") == "in it"
    assert container_named(contained.box.name).attrs["HostConfig"]["Runtime"] == "runc"  # type: ignore[union-attr]
    with pytest.raises(SandboxUnavailable, match=r"no runtime no-such: install .* take one of .*\brunc\b"):
        open_docker(replace(paths, runtime="no-such"))
    assert ", runtimes " in check_docker(paths.home) and "runc" in check_docker(paths.home)


def test_weights_are_read_only_and_hubs_stay_offline(isolated: Any, paths: SandboxPaths, tmp_path: Path) -> None:
    (tmp_path / "models" / "huggingface").mkdir(parents=True)
    (tmp_path / "models" / "huggingface" / "weights").write_text("w")
    (tmp_path / "models").chmod(0o755)
    assert isolated.says("echo $HF_HOME$HF_HUB_OFFLINE; ls /models/huggingface 2>&- || echo none") == "none"
    shown = replace(paths, models=tmp_path / "models", workspace=paths.workspace.parent / "with-models")
    isolated.box = open_sandbox(isolated.box.kind, shown)
    said = isolated.says("echo $HF_HUB_OFFLINE $TORCH_HOME; cat $HF_HOME/weights; touch /models/x 2>&- || echo no")
    assert said == "1 /models/torch\nwno"
    told = describe_sandbox(isolated.box)
    assert "`/models`" in told and "scikit-learn" in told and "There is no network" in told


@pytest.mark.slow
def test_a_demo_run_leaves_no_container_behind(contained: Any, paths: SandboxPaths, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "harness.cli", "run", "digits", "--sandbox", "docker", "--attempts", "1", "--plain"]
    argv += ["--runtime", "runc"]
    environment = {**os.environ, "HARNESS_HOME": str(tmp_path / "home")}
    root = Path(__file__).parents[2]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, cwd=root, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sandbox docker" in done.stdout
    [run] = (tmp_path / "home" / "runs").iterdir()
    report = (run / "report.md").read_text()
    assert "(runtime `runc`): " in report and '"runtime":"runc"' in (run / "events.jsonl").read_text().split("\n")[0]
    assert "installed for the agent" in report and "unprotected" not in report
    label = f"{LABEL}.home={tmp_path / 'home'}"
    assert connect().containers.list(all=True, filters={"label": label}) == []
