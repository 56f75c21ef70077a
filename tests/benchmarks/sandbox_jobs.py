"""What a job costs in each sandbox: ready, `true` from start to result, 100 MB of output, and who survives a timeout.

    python -m tests.benchmarks.sandbox_jobs [--jobs 40]

Beside them, in the same run and taken in turns: a bare subprocess, plain `bwrap`, and `docker exec` on the command
line. Kinds that do not work here are left out. The daemon is that of DOCKER_HOST. Prints a table; nothing passes or
fails, but the aims stand beside it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sandboxes.base import JobRequest, Limits, Sandbox, SandboxPaths, SandboxUnavailable
from sandboxes.docker.sandbox import DockerSandbox
from sandboxes.select import open_sandbox

OUTPUT = 100_000_000
FLOOD = f"head -c {OUTPUT} /dev/zero"
BWRAP = "bwrap --unshare-all --die-with-parent --new-session --ro-bind / / --proc /proc --dev /dev --tmpfs /tmp --"
SETTLED = 0.05
"""Seconds between two measurements: a job's record goes to the disk after its end is told, and no other way should
wait for it."""
TREE = "(setsid sleep 98765 &); (setsid bash -c 'trap \"\" TERM; (setsid sleep 98765 &); sleep 98765' &); sleep 98765"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=40)
    count = parser.parse_args().jobs
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="sandbox-jobs-") as folder:
        Path(folder).chmod(0o755)
        boxes = dict(opened(Path(folder)))
        ready = {kind: measured(lambda box=box: run(box, "true")) for kind, box in boxes.items()}  # type: ignore[misc]
        ways = {kind: (lambda box=box: run(box, "true")) for kind, box in boxes.items()} | bare(boxes)
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(count):
            for name, way in ways.items():
                time.sleep(SETTLED)
                times[name].append(measured(way))
        print("first job, its container or supervisor started with it (ms):", shown(ready))
        print(f"`true` from start to result, median of {count} (ms):", shown(middles := medians(times)))
        print("   90th of 100:", shown({name: sorted(some)[int(len(some) * 0.9)] for name, some in times.items()}))
        ratio("docker", "docker exec", middles, "aim 0.33")
        ratio("bubblewrap", "plain bwrap", middles, "aim 2")
        ratio("bubblewrap", "bwrap with a shell", middles, "no aim")
        for kind, box in boxes.items():
            output(kind, box)
        for kind, box in boxes.items():
            survivors(kind, box)
            box.close()


def opened(folder: Path) -> list[tuple[str, Sandbox]]:
    found = []
    for kind in ("local", "bubblewrap", "docker"):
        for name in ("workspace", "data", "jobs"):
            (folder / kind / name).mkdir(parents=True)
        place = SandboxPaths(
            folder / kind / "workspace", folder / kind / "data", folder / kind / "jobs", folder / "home"
        )
        try:
            found.append((kind, open_sandbox(kind, place)))
        except SandboxUnavailable as error:
            print(f"left out: {error}")
    return found


def bare(boxes: dict[str, Sandbox]) -> dict[str, Callable[[], object]]:
    ways: dict[str, Callable[[], object]] = {"subprocess": lambda: subprocess.run(["true"], capture_output=True)}
    if shutil.which("bwrap"):
        ways["plain bwrap"] = lambda: subprocess.run([*BWRAP.split(), "true"], capture_output=True, check=True)
        in_shell = [*BWRAP.split(), "bash", "-c", "true"]  # as every job is a line for a shell
        ways["bwrap with a shell"] = lambda: subprocess.run(in_shell, capture_output=True, check=True)
    docker = boxes.get("docker")
    if isinstance(docker, DockerSandbox) and shutil.which("docker"):
        argv = ["docker", "exec", docker.name, "true"]
        ways["docker exec"] = lambda: subprocess.run(argv, capture_output=True, check=True)
    return ways


number = 0


def run(box: Sandbox, command: str, **limits: float) -> float:
    """One job to its end; the seconds that it says it took."""
    global number
    number += 1
    box.start(JobRequest(f"j{number}", command, Limits(**limits)))  # type: ignore[arg-type]
    [view] = box.wait([f"j{number}"], 120)
    assert view.state == "finished", view
    return view.seconds


def output(kind: str, box: Sandbox) -> None:
    before = resident()
    seconds = measured(lambda: run(box, FLOOD, output_bytes=2 * OUTPUT))
    read = box.output(f"j{number}", -65536)
    print(f"{kind}: 100 MB of output at {OUTPUT / 1e6 / seconds:.0f} MB/s (aim 50), the harness's memory grew by "
          f"{(resident() - before) / 1e6:.1f} MB (aim under 20), end read: {len(read)} bytes")  # fmt: skip


def survivors(kind: str, box: Sandbox) -> None:
    seconds = measured(lambda: run(box, TREE, wall_seconds=1.0))
    left = [line for line in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout.splitlines()
            if line.startswith("sleep 98765")]  # fmt: skip
    print(f"{kind}: a daemonised tree at its limit of 1 s is gone after {seconds:.2f} s, survivors: {len(left)}")


def resident() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def measured(way: Callable[[], object]) -> float:
    began = time.perf_counter()
    way()
    return time.perf_counter() - began


def medians(times: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(some) for name, some in times.items()}


def shown(times: dict[str, float]) -> str:
    return ", ".join(f"{name} {seconds * 1e3:.1f}" for name, seconds in times.items())


def ratio(ours: str, theirs: str, middles: dict[str, float], aim: str) -> None:
    if ours in middles and theirs in middles:
        print(f"{ours} / {theirs}: {middles[ours] / middles[theirs]:.2f} ({aim})")


if __name__ == "__main__":
    main()
