"""GPUs read from recorded text: four devices on two sides of a machine, one hot, one with broken memory, one plain."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sandboxes.base import SandboxUnavailable
from sandboxes.gpus import FIELDS, ask_gpus, choose, complaints, leased, read_gpus, read_topology, read_xids

RECORDED = Path(__file__).parent / "recorded"
GPUS = read_gpus((RECORDED / "query_gpu.csv").read_text())
NEAR = read_topology((RECORDED / "topo_m.txt").read_text())


def test_devices_are_read_with_what_they_do_not_tell() -> None:
    assert [gpu.index for gpu in GPUS] == [0, 1, 2, 3]
    assert GPUS[0].memory_total == 143771 << 20
    assert (GPUS[2].uncorrected, GPUS[3].uncorrected, GPUS[3].temperature) == (3, None, 33.0)


def test_the_topology_knows_pairs_and_not_network_cards() -> None:
    assert (NEAR[0, 0], NEAR[0, 1], NEAR[0, 2], NEAR[2, 3]) == (0, 1, 6, 1)
    assert set(NEAR) == {(a, b) for a in range(4) for b in range(4)}


def test_a_healthy_device_has_no_complaint_and_an_ill_one_says_what() -> None:
    assert complaints(GPUS[0]) == []
    told = ["1 memory rows could not be corrected", "88 degrees", "slowed for heat"]
    assert complaints(GPUS[1]) == [f"GPU 1 (NVIDIA H200): {words}" for words in told]
    assert complaints(GPUS[2])[0] == "GPU 2 (NVIDIA H200): 3 uncorrected memory errors"
    assert complaints(GPUS[3]) == []


def test_errors_of_the_driver_are_found_in_the_log_of_the_kernel() -> None:
    log = "[1.5] NVRM: Xid (PCI:0000:2A:00): 79, pid=7, GPU has fallen off the bus.\n[2.0] usb 1-1: new device\n"
    xids = read_xids(log + log)
    assert xids == {"0000:2a:00": [79, 79]}
    assert complaints(GPUS[1], xids)[-1] == "GPU 1 (NVIDIA H200): driver errors (Xid 79)"
    assert complaints(GPUS[0], xids) == []


def test_several_are_chosen_near_each_other_and_healthy_ones_first() -> None:
    assert [gpu.index for gpu in choose(GPUS, NEAR, 1)] == [3]
    healthy = [gpu for gpu in GPUS if gpu.index != 3]
    assert [gpu.index for gpu in choose(healthy, NEAR, 1)] == [0]
    assert [gpu.index for gpu in choose(healthy, NEAR, 2)] == [0, 1]
    assert choose(GPUS, NEAR, 0) == []
    with pytest.raises(SandboxUnavailable, match="5 GPUs are asked for and 4 are free"):
        choose(GPUS, NEAR, 5)


def test_two_runs_get_different_devices_and_a_dead_one_gives_its_back(tmp_path: Path) -> None:
    hold = (
        "import sys, time\nfrom pathlib import Path\nfrom sandboxes.gpus import *\n"
        f"gpus = read_gpus(Path({str(RECORDED / 'query_gpu.csv')!r}).read_text())\n"
        f"with leased(Path({str(tmp_path)!r}), gpus, {{}}, 3) as mine:\n"
        "    print(len(mine), flush=True)\n    time.sleep(60)\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, cwd=root) as other:
        assert other.stdout and other.stdout.readline() == b"3\n"
        with leased(tmp_path, GPUS, NEAR, 1) as mine:
            assert len(mine) == 1
            with pytest.raises(SandboxUnavailable, match="0 are free"), leased(tmp_path, GPUS, NEAR, 1):
                pass
        with pytest.raises(SandboxUnavailable, match="1 are free"), leased(tmp_path, GPUS, NEAR, 2):
            pass
        other.kill()
    with leased(tmp_path, GPUS, NEAR, 4) as mine:
        assert len(mine) == 4


def test_text_that_is_no_reading_gives_no_devices() -> None:
    for text in ("", "Failed to initialize NVML: Unknown Error", "No devices were found\n", "0, only, three"):
        assert read_gpus(text) == []
        assert read_topology(text) == {}
    assert len(FIELDS.split(",")) == 16
    assert isinstance(ask_gpus()[0], list)
