"""GPUs for jobs on this machine's file system, with faked device nodes: no GPU is needed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandboxes import gpu_devices
from sandboxes.base import SandboxPaths
from sandboxes.gpu_devices import device_nodes, gpu_variables, outside, parse_library_folders, without_node
from sandboxes.gpus import lease_free_gpus, look_at, parse_gpus
from sandboxes.select import open_sandbox

RECORDED = Path(__file__).parent / "recorded"
UUIDS = [gpu.uuid for gpu in parse_gpus((RECORDED / "query_gpu.csv").read_text())]
LDCONFIG = """212 libs found in cache `/etc/ld.so.cache'
\tlibcuda.so.1 (libc6,x86-64) => /opt/driver/lib/libcuda.so.1
\tlibcuda.so.1 (libc6) => /usr/lib32/libcuda.so.1
\tlibcudart.so.12 (libc6,x86-64) => /usr/local/cuda/lib64/libcudart.so.12
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with four GPUs, whose device nodes are numbered in another order than nvidia-smi's. The nodes are
    those of /dev/null where we may make some, else files."""
    dev, driver = tmp_path / "dev", tmp_path / "driver"
    dev.mkdir()
    for name in ("nvidia0", "nvidia1", "nvidia2", "nvidia3", "nvidiactl", "nvidia-uvm"):
        if os.geteuid() == 0:
            os.mknod(dev / name, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            (dev / name).chmod(0o666)
        else:
            (dev / name).touch()
    for number, uuid in enumerate(UUIDS):
        folder = driver / f"0000:{number}8:00.0"
        folder.mkdir(parents=True)
        (folder / "information").write_text(
            f"Model: \t\t NVIDIA H200\nGPU UUID: \t {uuid}\nBus Type: \t PCIe\nDevice Minor: \t {3 - number}\n"
        )
    monkeypatch.setattr(gpu_devices, "DEVICES", dev)
    monkeypatch.setattr(gpu_devices, "DRIVER", driver)
    return dev


def test_a_job_gets_the_nodes_of_its_gpus_only(machine: Path) -> None:
    assert list(device_nodes([UUIDS[0]]).values()) == ["nvidia3", "nvidiactl", "nvidia-uvm"]
    assert list(device_nodes(UUIDS[1:3]).values())[:2] == ["nvidia2", "nvidia1"]
    assert device_nodes([]) == {}
    assert without_node(UUIDS) == []
    (machine / "nvidia3").unlink()
    assert without_node(UUIDS) == [UUIDS[0]]


def test_a_driver_that_names_no_gpu_gives_all_nodes(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_devices, "DRIVER", machine / "none")
    assert list(device_nodes(["GPU-x"]).values())[:2] == ["nvidia0", "nvidia1"]
    assert without_node(["GPU-x"]) == []


def test_gpus_are_visible_in_a_sandbox_as_leased(
    machine: Path, open_driver: Callable[[str], Any], paths: SandboxPaths
) -> None:
    box = open_driver("bubblewrap")
    command = "cd /dev; echo nvidia*; echo CUDA=$CUDA_VISIBLE_DEVICES; echo x > nvidia3 && ls -d /sys/devices"
    assert box.output_of(command).splitlines()[:2] == ["nvidia*", "CUDA="]
    leased = replace(paths, gpus=(UUIDS[0], UUIDS[2]), workspace=paths.workspace.parent / "with-gpus")
    box.sandbox = open_sandbox("bubblewrap", leased)
    assert box.output_of(command).splitlines() == [
        "nvidia-uvm nvidia1 nvidia3 nvidiactl",
        f"CUDA={UUIDS[0]},{UUIDS[2]}",
        "/sys/devices",
    ]
    (machine / "nvidia3").unlink()  # it vanishes while the run goes on: the job starts without it
    assert box.output_of("cd /dev; echo nvidia[0-9]").splitlines() == ["nvidia1"]
    box.sandbox = open_sandbox("local", leased)
    assert box.output_of("echo $CUDA_VISIBLE_DEVICES") == f"{UUIDS[0]},{UUIDS[2]}"


def test_libraries_outside_the_system_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_library_folders(LDCONFIG) == [Path("/opt/driver/lib"), Path("/usr/lib32")]
    assert parse_library_folders("") == []
    (tmp_path / "libcuda.so.1").touch()
    monkeypatch.setattr(gpu_devices, "LIBRARY_FOLDERS", (str(tmp_path), "/no/such"))
    assert gpu_variables(["GPU-a"]) == {"CUDA_VISIBLE_DEVICES": "GPU-a", "LD_LIBRARY_PATH": str(tmp_path)}
    assert gpu_variables([]) == {"CUDA_VISIBLE_DEVICES": ""}
    assert tmp_path in outside([Path("/usr")])


def test_all_free_gpus_are_leased(tmp_path: Path) -> None:
    gpus = parse_gpus((RECORDED / "query_gpu.csv").read_text())
    assert lease_free_gpus(tmp_path, []) is None
    first = lease_free_gpus(tmp_path, gpus)
    assert first and first.gpus == tuple(UUIDS)
    assert lease_free_gpus(tmp_path, gpus) is None
    first.release()
    second = lease_free_gpus(tmp_path, gpus[:2])
    third = lease_free_gpus(tmp_path, gpus)
    assert second and third and third.gpus == tuple(UUIDS[2:])
    second.release()
    third.release()


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `nvidia-smi` that prints the recorded text of a file; returns that file."""
    text = tmp_path / "query.csv"
    text.write_bytes((RECORDED / "query_gpu.csv").read_bytes())
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ncase "$*" in topo*) cat {RECORDED}/topo_m.txt;; *) cat {text};; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return text


def test_a_vanished_gpu_is_distinguished_from_a_failing_driver(nvidia_smi: Path) -> None:
    assert look_at(UUIDS[:1]).gone == () and look_at(()).problems == ()
    lines = nvidia_smi.read_text().splitlines(keepends=True)
    nvidia_smi.write_text("".join(lines[1:]))
    look = look_at([UUIDS[0], UUIDS[3]])
    assert look.gone == (UUIDS[0],) and f"GPU {UUIDS[0]} is gone" in look.problems[0]
    nvidia_smi.write_text("Unable to determine the device handle for GPU 0000:18:00.0: GPU is lost.\n")
    look = look_at(UUIDS)
    assert look.gone == () and "lists no GPU" in look.problems[0]
