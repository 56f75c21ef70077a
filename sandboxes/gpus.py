"""GPUs of this machine: their state, their topology, and leases of them.

The output of `nvidia-smi` and the kernel log are parsed apart from the calls, so that recorded text can be parsed too.
A run leases devices while it is played (`leases/`).
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from sandboxes.base import SandboxUnavailable
from sandboxes.leases.amounts import Request, free_gpus, this_machine
from sandboxes.leases.leases import Lease, Leases

FIELDS = (
    "index,uuid,name,pci.bus_id,memory.total,memory.used,utilization.gpu,temperature.gpu,power.draw,power.limit,"
    "ecc.mode.current,ecc.errors.corrected.volatile.total,ecc.errors.uncorrected.volatile.total,"
    "remapped_rows.uncorrectable,pstate,clocks_throttle_reasons.active"
)
QUERY_SECONDS = 20
HOT_CELSIUS = 85.0
"""From this temperature a GPU is likely to slow itself down."""
THROTTLE_REASONS = {
    0x8: "hardware slowdown",
    0x20: "slowed by heat",
    0x40: "slowed by heat (hardware)",
    0x80: "power brake",
}
"""Bits that affect measured times. Being idle or at the power limit is normal."""
LINK_DISTANCE = {"X": 0, "NV": 1, "PIX": 2, "PXB": 3, "PHB": 4, "NODE": 5, "SYS": 6}
"""Distance of two devices by their link type in `nvidia-smi topo -m`."""


@dataclass(frozen=True)
class Gpu:
    """State of one device. Bytes, degrees Celsius; None for values that the device does not report."""

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


def parse_gpus(text: str) -> list[Gpu]:
    """Parse the output of `nvidia-smi --query-gpu` for `FIELDS`; other lines are skipped."""
    gpus = []
    for line in text.splitlines():
        values = [value.strip() for value in line.split(",")]
        if len(values) != len(FIELDS.split(",")) or not values[0].isdigit():
            continue
        gpus.append(
            Gpu(
                index=int(values[0]),
                uuid=values[1],
                name=values[2],
                bus=values[3].lower(),
                memory_total=int((_number(values[4]) or 0) * (1 << 20)),
                memory_used=int((_number(values[5]) or 0) * (1 << 20)),
                temperature=_number(values[7]),
                uncorrected=_integer(values[12]),
                remapped=_integer(values[13]),
                throttle=int(values[15], 16) if values[15].startswith("0x") else 0,
            )
        )
    return gpus


def parse_topology(text: str) -> dict[tuple[int, int], int]:
    """The distance of each pair of devices, from the table of `nvidia-smi topo -m`."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).split("\t") for line in text.splitlines() if "\t" in line]
    if not lines:
        return {}
    header = enumerate(lines[0])
    columns = {index: int(word.strip()[3:]) for index, word in header if re.fullmatch(r"\s*GPU\d+\s*", word)}
    distances: dict[tuple[int, int], int] = {}
    for row in lines[1:]:
        if not re.fullmatch(r"GPU\d+", row[0].strip()):
            continue
        for index, column in columns.items():
            word = row[index].strip() if index < len(row) else ""
            distances[int(row[0].strip()[3:]), column] = LINK_DISTANCE.get(
                re.sub(r"\d+$", "", word), len(LINK_DISTANCE)
            )
    return distances


def parse_xids(text: str) -> dict[str, list[int]]:
    """The driver's Xid errors in a kernel log, by bus address (`0000:2a:00`). They are reported nowhere else."""
    errors: dict[str, list[int]] = {}
    for bus, number in re.findall(r"NVRM: Xid \(PCI:([0-9a-fA-F:]+)\): (\d+)", text):
        errors.setdefault(bus.lower(), []).append(int(number))
    return errors


def health_problems(gpu: Gpu, xids: Mapping[str, Sequence[int]] | None = None) -> list[str]:
    """Problems of a device, one message each; empty for a healthy device."""
    problems = []
    if gpu.uncorrected:
        problems.append(f"{gpu.uncorrected} uncorrected memory errors")
    if gpu.remapped:
        problems.append(f"{gpu.remapped} memory rows could not be corrected")
    if gpu.temperature is not None and gpu.temperature >= HOT_CELSIUS:
        problems.append(f"{gpu.temperature:.0f} degrees")
    problems += [reason for bit, reason in THROTTLE_REASONS.items() if gpu.throttle & bit]
    numbers = next((errors for bus, errors in (xids or {}).items() if bus in gpu.bus), ())
    if numbers:
        problems.append(f"driver errors (Xid {', '.join(map(str, sorted(set(numbers))))})")
    return [f"GPU {gpu.index} ({gpu.name}): {problem}" for problem in problems]


def choose_gpus(gpus: Sequence[Gpu], distances: Mapping[tuple[int, int], int], count: int) -> list[Gpu]:
    """The `count` devices with the fewest unhealthy ones, then the shortest distances, then the least used memory.

    Raises `SandboxUnavailable` if there are not enough devices.
    """
    if count > len(gpus):
        raise SandboxUnavailable(f"{count} GPUs are requested and {len(gpus)} are free: request fewer, or wait")

    def rank(group: tuple[Gpu, ...]) -> tuple[int, int, int, tuple[int, ...]]:
        unhealthy = sum(bool(health_problems(gpu)) for gpu in group)
        pairs = [distances.get((a.index, b.index), len(LINK_DISTANCE)) for a, b in combinations(group, 2)]
        return unhealthy, sum(pairs), sum(gpu.memory_used for gpu in group), tuple(gpu.index for gpu in group)

    best: tuple[Gpu, ...] = min(combinations(gpus, count), key=rank)
    return list(best)


def lease_gpus(home: Path, gpus: Sequence[Gpu], distances: Mapping[tuple[int, int], int], count: int) -> Lease:
    """Lease `count` devices that no other holder of this home has leased. Raises `SandboxUnavailable`."""
    by_id = {gpu.uuid: gpu for gpu in gpus}

    def choose(free: Sequence[str], wanted: int) -> list[str]:
        return [gpu.uuid for gpu in choose_gpus([by_id[uuid] for uuid in free], distances, wanted)]

    leases = Leases(home, this_machine(list(by_id)))
    lease = leases.try_acquire(Request(gpus=count), choose=choose)
    if lease is None:
        free = len(free_gpus(leases.machine, leases.held()))
        raise SandboxUnavailable(f"{count} GPUs are requested and {free} are free: request fewer, or wait")
    return lease


def lease_free_gpus(home: Path, gpus: Sequence[Gpu]) -> Lease | None:
    """Lease all devices that nobody of this home has leased; None if there are none."""
    leases = Leases(home, this_machine([gpu.uuid for gpu in gpus]))
    while free := free_gpus(leases.machine, leases.held()):
        if lease := leases.try_acquire(Request(gpus=len(free))):  # another process may have been faster
            return lease
    return None


def query_gpus() -> tuple[list[Gpu], dict[tuple[int, int], int], dict[str, list[int]]]:
    """The devices of this machine, their distances and their Xid errors; empty without a driver."""
    if shutil.which("nvidia-smi") is None:
        return [], {}, {}
    output = _run(["nvidia-smi", "--format=csv,noheader,nounits", f"--query-gpu={FIELDS}"])
    if not parse_gpus(output):  # newer drivers use another field name
        newer = FIELDS.replace("clocks_throttle_reasons", "clocks_event_reasons")
        output = _run(["nvidia-smi", "--format=csv,noheader,nounits", f"--query-gpu={newer}"])
    return parse_gpus(output), parse_topology(_run(["nvidia-smi", "topo", "-m"])), parse_xids(_run(["dmesg"]))


def _run(argv: list[str]) -> str:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=QUERY_SECONDS).stdout
    return ""


def _number(text: str) -> float | None:
    with contextlib.suppress(ValueError):
        return float(text)
    return None


def _integer(text: str) -> int | None:
    number = _number(text)
    return None if number is None else int(number)


def describe_gpus(leased: Sequence[str]) -> list[str]:
    """Each leased GPU (by uuid): its name and memory, as far as the driver tells."""
    if not leased:
        return []
    known = {gpu.uuid: f"{gpu.name} with {gpu.memory_total / 1e9:.0f} GB" for gpu in query_gpus()[0]}
    return [known.get(uuid, "a GPU") for uuid in leased]


@dataclass(frozen=True)
class Look:
    """How leased GPUs are now: those that have vanished, and what is wrong, one message each."""

    gone: tuple[str, ...]
    problems: tuple[str, ...]


def look_at(leased: Sequence[str]) -> Look:
    """How leased GPUs (their uuids) are, for the job or attempt that is about to use them.

    Where the driver lists no GPU at all, which one is broken is not known, and none counts as gone.
    """
    if not leased:
        return Look((), ())
    gpus, _, xids = query_gpus()
    if not gpus:
        return Look((), ("nvidia-smi lists no GPU any more: jobs may fail to use theirs",))
    gone = tuple(uuid for uuid in leased if uuid not in {gpu.uuid for gpu in gpus})
    problems = [problem for gpu in gpus if gpu.uuid in leased for problem in health_problems(gpu, xids)]
    return Look(gone, (*(f"GPU {uuid} is gone; jobs are started without it" for uuid in gone), *problems))
