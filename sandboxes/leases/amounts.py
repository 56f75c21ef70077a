"""What is leased: the amounts of a machine, of a request and of a lease, and whether a request fits."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")


class Priority(IntEnum):
    """The order of service: a request waits for all waiting requests of a higher class, and earlier ones of its own."""

    INTERACTIVE = 0
    FIRST_FOLD = 1
    OTHER_FOLDS = 2


@dataclass(frozen=True)
class Machine:
    """What can be leased: cores, bytes of memory, ids of GPUs."""

    cores: int
    memory: int
    gpus: tuple[str, ...] = ()

    def share(self, parts: int) -> Request:
        """One of `parts` equal shares of cores (at least one) and memory."""
        return Request(max(1, self.cores // max(1, parts)), self.memory // max(1, parts))


def this_machine(gpus: Sequence[str] = ()) -> Machine:
    """The cores this process may use, and the memory except for a tenth (at least 1 GB), which the machine and the
    harness keep."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(len(os.sched_getaffinity(0)), max(memory // 2, memory - max(memory // 10, 1 << 30)), tuple(gpus))


@dataclass(frozen=True)
class Request:
    """What a holder needs. More cores or memory than the machine has mean all of it.

    `lent` names leases whose holders are paused: their cores and memory count as free for this request.
    """

    cores: int = 0
    memory: int = 0
    gpus: int = 0
    lent: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Held:
    """What a lease holds, as its file says."""

    cores: int = 0
    memory: int = 0
    gpus: tuple[str, ...] = ()


def thread_variables(threads: int) -> dict[str, str]:
    """Environment variables that make the usual numeric libraries use this many threads."""
    return dict.fromkeys(THREAD_VARIABLES, str(max(1, threads)))


def free_gpus(machine: Machine, held: Mapping[str, Held]) -> list[str]:
    """Ids of the GPUs that no lease holds."""
    taken = {gpu for lease in held.values() for gpu in lease.gpus}
    return [gpu for gpu in machine.gpus if gpu not in taken]


def remaining(machine: Machine, held: Mapping[str, Held], ahead: Sequence[Request], lent: frozenset[str]) -> Request:
    """Cores and memory that are neither held nor reserved for the requests `ahead`; may be negative."""
    counted = [lease for name, lease in held.items() if name not in lent]
    cores = sum(lease.cores for lease in counted) + sum(request.cores for request in ahead)
    memory = sum(lease.memory for lease in counted) + sum(request.memory for request in ahead)
    return Request(machine.cores - cores, machine.memory - memory)


def fits(machine: Machine, held: Mapping[str, Held], ahead: Sequence[Request], request: Request) -> bool:
    """Whether a request can be granted now without taking anything that the requests `ahead` of it wait for."""
    free = remaining(machine, held, ahead, request.lent)
    return (
        (request.cores == 0 or request.cores <= free.cores)
        and (request.memory == 0 or request.memory <= free.memory)
        and (request.gpus == 0 or request.gpus <= len(free_gpus(machine, held)) - sum(other.gpus for other in ahead))
    )
