"""GPUs of this machine: which there are and how they fare, which belong together, and who has one for how long.

A reading is text of `nvidia-smi` and of the kernel's log; reading it is kept apart from asking for it, so that recorded
text can be read as well. A lease is a lock on a file named by the device: it ends with the process that holds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from sandboxes.base import SandboxUnavailable

FIELDS = (
    "index,uuid,name,pci.bus_id,memory.total,memory.used,utilization.gpu,temperature.gpu,power.draw,power.limit,"
    "ecc.mode.current,ecc.errors.corrected.volatile.total,ecc.errors.uncorrected.volatile.total,"
    "remapped_rows.uncorrectable,pstate,clocks_throttle_reasons.active"
)
ASK_SECONDS = 20
HOT = 85.0
"""Degrees Celsius from which a GPU is likely to slow itself down."""
SLOWED = {0x8: "hardware slowdown", 0x20: "slowed for heat", 0x40: "slowed for heat (hardware)", 0x80: "power brake"}
"""Bits of the throttle reasons that change what an attempt measures; being idle or at its power cap does not."""
NEAR = {"X": 0, "NV": 1, "PIX": 2, "PXB": 3, "PHB": 4, "NODE": 5, "SYS": 6}
"""How near two devices are, by the word in the table of `nvidia-smi topo -m`; fewer is nearer."""


@dataclass(frozen=True)
class Gpu:
    """One reading of one device. Bytes, degrees Celsius; None where the device does not tell."""

    index: int
    uuid: str
    name: str
    bus: str
    memory_total: int
    memory_used: int
    temperature: float | None
    uncorrected: int | None
    remapped: int | None
    throttle: int


def read_gpus(text: str) -> list[Gpu]:
    """The devices in the answer of `nvidia-smi --query-gpu` for `FIELDS`; lines that are none are passed over."""
    found = []
    for line in text.splitlines():
        values = [value.strip() for value in line.split(",")]
        if len(values) != len(FIELDS.split(",")) or not values[0].isdigit():
            continue
        found.append(
            Gpu(
                index=int(values[0]),
                uuid=values[1],
                name=values[2],
                bus=values[3].lower(),
                memory_total=int((_number(values[4]) or 0) * (1 << 20)),
                memory_used=int((_number(values[5]) or 0) * (1 << 20)),
                temperature=_number(values[7]),
                uncorrected=_whole(values[12]),
                remapped=_whole(values[13]),
                throttle=int(values[15], 16) if values[15].startswith("0x") else 0,
            )
        )
    return found


def read_topology(text: str) -> dict[tuple[int, int], int]:
    """How near each two devices are, from the table of `nvidia-smi topo -m`: fewer is nearer."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).split("\t") for line in text.splitlines() if "\t" in line]
    if not lines:
        return {}
    columns = {at: int(word.strip()[3:]) for at, word in enumerate(lines[0]) if re.fullmatch(r"\s*GPU\d+\s*", word)}
    near: dict[tuple[int, int], int] = {}
    for row in lines[1:]:
        if not re.fullmatch(r"GPU\d+", row[0].strip()):
            continue
        for at, column in columns.items():
            word = row[at].strip() if at < len(row) else ""
            near[int(row[0].strip()[3:]), column] = NEAR.get(re.sub(r"\d+$", "", word), len(NEAR))
    return near


def read_xids(text: str) -> dict[str, list[int]]:
    """The Xid errors in a kernel log, by bus address (`0000:2a:00`): the driver tells them nowhere else."""
    found: dict[str, list[int]] = {}
    for bus, number in re.findall(r"NVRM: Xid \(PCI:([0-9a-fA-F:]+)\): (\d+)", text):
        found.setdefault(bus.lower(), []).append(int(number))
    return found


def complaints(gpu: Gpu, xids: Mapping[str, Sequence[int]] | None = None) -> list[str]:
    """What is wrong with a device, in words for the attempt that runs on it; empty for a healthy one."""
    told = []
    if gpu.uncorrected:
        told.append(f"{gpu.uncorrected} uncorrected memory errors")
    if gpu.remapped:
        told.append(f"{gpu.remapped} memory rows could not be corrected")
    if gpu.temperature is not None and gpu.temperature >= HOT:
        told.append(f"{gpu.temperature:.0f} degrees")
    told += [words for bit, words in SLOWED.items() if gpu.throttle & bit]
    numbers = next((found for bus, found in (xids or {}).items() if bus in gpu.bus), ())
    if numbers:
        told.append(f"driver errors (Xid {', '.join(map(str, sorted(set(numbers))))})")
    return [f"GPU {gpu.index} ({gpu.name}): {one}" for one in told]


def choose(gpus: Sequence[Gpu], near: Mapping[tuple[int, int], int], count: int) -> list[Gpu]:
    """The `count` devices that are nearest to each other, healthy ones first, then the emptiest.

    Raises `SandboxUnavailable` where there are not so many.
    """
    if count > len(gpus):
        raise SandboxUnavailable(f"{count} GPUs are asked for and {len(gpus)} are free: ask for fewer, or wait")

    def rank(some: Iterable[Gpu]) -> tuple[int, int, int, tuple[int, ...]]:
        group = list(some)
        ill = sum(bool(complaints(one)) for one in group)
        distances = [near.get((a.index, b.index), len(NEAR)) for a, b in combinations(group, 2)]
        return ill, sum(distances), sum(one.memory_used for one in group), tuple(one.index for one in group)

    return list(min(combinations(gpus, count), key=rank)) if count else []


@contextmanager
def leased(home: Path, gpus: Sequence[Gpu], near: Mapping[tuple[int, int], int], count: int) -> Iterator[list[Gpu]]:
    """Hold `count` devices that no other run of this home holds. Raises `SandboxUnavailable`."""
    folder = home / "gpus"
    folder.mkdir(parents=True, exist_ok=True)
    held: dict[str, int] = {}
    try:
        free = [gpu for gpu in gpus if _take(folder, gpu.uuid, held)]
        chosen = choose(free, near, count)
        for uuid in [uuid for uuid in held if uuid not in {gpu.uuid for gpu in chosen}]:
            os.close(held.pop(uuid))
        yield chosen
    finally:
        for handle in held.values():
            os.close(handle)


def ask_gpus() -> tuple[list[Gpu], dict[tuple[int, int], int], dict[str, list[int]]]:
    """The devices of this machine, how near they are and their Xid errors; nothing where there is no driver."""
    if shutil.which("nvidia-smi") is None:
        return [], {}, {}
    answer = _ask(["nvidia-smi", "--format=csv,noheader,nounits", f"--query-gpu={FIELDS}"])
    if not read_gpus(answer):  # newer drivers have another name for it
        newer = FIELDS.replace("clocks_throttle_reasons", "clocks_event_reasons")
        answer = _ask(["nvidia-smi", "--format=csv,noheader,nounits", f"--query-gpu={newer}"])
    return read_gpus(answer), read_topology(_ask(["nvidia-smi", "topo", "-m"])), read_xids(_ask(["dmesg"]))


def _ask(argv: list[str]) -> str:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=ASK_SECONDS).stdout
    return ""


def _take(folder: Path, uuid: str, held: dict[str, int]) -> bool:
    handle = os.open(folder / re.sub(r"[^A-Za-z0-9-]", "_", uuid), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return False
    held[uuid] = handle
    return True


def _number(text: str) -> float | None:
    with contextlib.suppress(ValueError):
        return float(text)
    return None


def _whole(text: str) -> int | None:
    number = _number(text)
    return None if number is None else int(number)
