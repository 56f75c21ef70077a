"""GPUs from recorded output: four devices on two NUMA nodes, one hot, one with memory errors, one consumer card."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sandboxes.base import SandboxUnavailable
from sandboxes.gpus import (
    FIELDS,
    choose_gpus,
    health_problems,
    lease_gpus,
    parse_gpus,
    parse_topology,
    parse_xids,
    query_gpus,
)

RECORDED = Path(__file__).parent / "recorded"
GPUS = parse_gpus((RECORDED / "query_gpu.csv").read_text())
DISTANCES = parse_topology((RECORDED / "topo_m.txt").read_text())


def test_devices_are_parsed_with_missing_values() -> None:
    assert [gpu.index for gpu in GPUS] == [0, 1, 2, 3]
    assert GPUS[0].memory_total == 143771 << 20
    assert (GPUS[2].uncorrected, GPUS[3].uncorrected, GPUS[3].temperature) == (3, None, 33.0)


def test_topology_has_gpu_pairs_only() -> None:
    assert (DISTANCES[0, 0], DISTANCES[0, 1], DISTANCES[0, 2], DISTANCES[2, 3]) == (0, 1, 6, 1)
    assert set(DISTANCES) == {(a, b) for a in range(4) for b in range(4)}


def test_health_problems_are_listed_per_device() -> None:
    assert health_problems(GPUS[0]) == []
    problems = ["1 memory rows could not be corrected", "88 degrees", "slowed by heat"]
    assert health_problems(GPUS[1]) == [f"GPU 1 (NVIDIA H200): {problem}" for problem in problems]
    assert health_problems(GPUS[2])[0] == "GPU 2 (NVIDIA H200): 3 uncorrected memory errors"
    assert health_problems(GPUS[3]) == []


def test_xid_errors_are_parsed_from_kernel_log() -> None:
    log = "[1.5] NVRM: Xid (PCI:0000:2A:00): 79, pid=7, GPU has fallen off the bus.\n[2.0] usb 1-1: new device\n"
    xids = parse_xids(log + log)
    assert xids == {"0000:2a:00": [79, 79]}
    assert health_problems(GPUS[1], xids)[-1] == "GPU 1 (NVIDIA H200): driver errors (Xid 79)"
    assert health_problems(GPUS[0], xids) == []


def test_healthy_and_close_devices_are_chosen_first() -> None:
    assert [gpu.index for gpu in choose_gpus(GPUS, DISTANCES, 1)] == [3]
    healthy = [gpu for gpu in GPUS if gpu.index != 3]
    assert [gpu.index for gpu in choose_gpus(healthy, DISTANCES, 1)] == [0]
    assert [gpu.index for gpu in choose_gpus(healthy, DISTANCES, 2)] == [0, 1]
    assert choose_gpus(GPUS, DISTANCES, 0) == []
    with pytest.raises(SandboxUnavailable, match="5 GPUs are requested and 4 are free"):
        choose_gpus(GPUS, DISTANCES, 5)


def test_leases_are_exclusive_and_end_with_their_process(tmp_path: Path) -> None:
    hold = (
        "import sys, time\nfrom pathlib import Path\nfrom sandboxes.gpus import *\n"
        f"gpus = parse_gpus(Path({str(RECORDED / 'query_gpu.csv')!r}).read_text())\n"
        f"with lease_gpus(Path({str(tmp_path)!r}), gpus, {{}}, 3) as mine:\n"
        "    print(len(mine.gpus), flush=True)\n    time.sleep(60)\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, cwd=root) as other:
        assert other.stdout and other.stdout.readline() == b"3\n"
        with lease_gpus(tmp_path, GPUS, DISTANCES, 1) as mine:
            assert len(mine.gpus) == 1
            with pytest.raises(SandboxUnavailable, match="0 are free"):
                lease_gpus(tmp_path, GPUS, DISTANCES, 1)
        with pytest.raises(SandboxUnavailable, match="1 are free"):
            lease_gpus(tmp_path, GPUS, DISTANCES, 2)
        other.kill()
        other.wait()
    with lease_gpus(tmp_path, GPUS, DISTANCES, 4) as mine:
        assert len(mine.gpus) == 4


def test_other_text_yields_no_devices() -> None:
    for text in ("", "Failed to initialize NVML: Unknown Error", "No devices were found\n", "0, only, three"):
        assert parse_gpus(text) == []
        assert parse_topology(text) == {}
    assert len(FIELDS.split(",")) == 16
    assert isinstance(query_gpus()[0], list)
