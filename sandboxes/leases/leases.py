"""Leases of this machine's cores, memory and GPUs, shared by all harness processes of one HARNESS_HOME.

    HOME/leases/HOST/lock           locked for a moment by whoever reads or changes the folder
    HOME/leases/HOST/held/NAME      one file per lease: what it holds; locked while its holder lives
    HOME/leases/HOST/waiting/NAME   one file per waiting request; their names sort in the order of service

The kernel releases the locks (flock) of a process that ends, however it ends, and a file that nobody has locked counts
for nothing. So a killed process keeps nothing, and nothing has to be cleaned up.

A lease is an account, not a limit: a job can use more than its lease. A holder takes all that it needs at once, so no
two holders can wait for each other.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sandboxes.base import SandboxUnavailable
from sandboxes.leases.amounts import (
    Held,
    Machine,
    Priority,
    Request,
    fits,
    free_gpus,
    remaining,
    this_machine,
    thread_variables,
)

POLL_SECONDS = 0.25
"""How often a waiting request looks again, and calls `on_wait`."""
_changed = threading.Condition()
"""Wakes the waiting threads of this process when one of them releases a lease."""


@dataclass
class Lease:
    """A held lease; ends with `release`, with its `with` block, or with its process.

    `threads` is the number of threads its jobs should use: its cores, and those that were free when it was granted.
    """

    name: str
    held: Held
    threads: int
    _path: Path = field(repr=False)
    _handle: int = field(repr=False)

    @property
    def gpus(self) -> tuple[str, ...]:
        """Ids of its GPUs."""
        return self.held.gpus

    def variables(self) -> dict[str, str]:
        """Environment variables of its jobs: the number of threads of the usual numeric libraries."""
        return thread_variables(self.threads)

    def release(self) -> None:
        """Give everything back; a second call does nothing."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            self._path.unlink(missing_ok=True)
            os.close(handle)
            _wake_waiting()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


Choose = Callable[[Sequence[str], int], Sequence[str]]
"""Picks GPUs among the free ones. May raise `SandboxUnavailable`."""


def _first(gpus: Sequence[str], count: int) -> Sequence[str]:
    return gpus[:count]


def folder_of(home: Path) -> Path:
    """Where the leases of this host are: several hosts may share a home."""
    return home / "leases" / socket.gethostname()


class Leases:
    """The leases of one HARNESS_HOME on this machine."""

    def __init__(self, home: Path, machine: Machine | None = None) -> None:
        self.machine = machine or this_machine()
        self._folder = folder_of(home)
        self._held, self._waiting = self._folder / "held", self._folder / "waiting"
        for folder in (self._held, self._waiting):
            folder.mkdir(parents=True, exist_ok=True)

    def acquire(
        self,
        request: Request,
        priority: Priority,
        on_wait: Callable[[str], None] = lambda _: None,
        *,
        spreads: bool = False,
        choose: Choose = _first,
    ) -> Lease:
        """Wait until the request can be granted, and hold it.

        While it waits, `on_wait` is called several times a second with what it waits for; what it raises ends the wait.
        With `spreads`, the lease's jobs may also use threads for cores that are free now. Raises `SandboxUnavailable`
        for more GPUs than there are.
        """
        with self._ticket(request, priority) as ticket:
            while True:
                with self._locked():
                    others = {name: other for name, other in self._tickets().items() if name != ticket}
                    ahead = [other for name, other in others.items() if name < ticket]
                    if lease := self._grant(request, ahead, choose):
                        if spreads:
                            free = remaining(self.machine, self._leases(), list(others.values()), frozenset()).cores
                            lease.threads += max(0, free)
                        return lease
                on_wait(self.describe())
                with _changed:
                    _changed.wait(POLL_SECONDS)

    def try_acquire(self, request: Request, *, choose: Choose = _first) -> Lease | None:
        """Hold the request if all of it is free now, whoever is waiting; None if not."""
        with self._locked():
            return self._grant(request, [], choose)

    def describe(self) -> str:
        """How much is leased, for somebody who waits."""
        held = self.held().values()
        cores, memory = sum(lease.cores for lease in held), sum(lease.memory for lease in held)
        of_memory = f"{memory / 1e9:.1f} of {self.machine.memory / 1e9:.1f} GB"
        return f"a lease ({cores} of {self.machine.cores} cores and {of_memory} are leased)"

    def held(self) -> dict[str, Held]:
        """The leases of living processes, by name."""
        with self._locked():
            return self._leases()

    # -------------------------------------------------------------------------- with the folder locked, but for _locked

    def _grant(self, request: Request, ahead: Sequence[Request], choose: Choose) -> Lease | None:
        """The lease, if the request fits now."""
        held = self._leases()
        request = self._bounded(request)
        if not fits(self.machine, held, ahead, request):
            return None
        gpus = tuple(choose(free_gpus(self.machine, held), request.gpus)) if request.gpus else ()
        content = Held(request.cores, request.memory, gpus)
        path = self._held / secrets.token_hex(8)
        return Lease(path.name, content, request.cores, path, _create_locked(path, asdict(content)))

    def _bounded(self, request: Request) -> Request:
        count = len(self.machine.gpus)
        if request.gpus > count:
            raise SandboxUnavailable(f"{request.gpus} GPUs are requested and there are {count}: request fewer")
        cores, memory = min(request.cores, self.machine.cores), min(request.memory, self.machine.memory)
        return replace(request, cores=cores, memory=memory)

    def _leases(self) -> dict[str, Held]:
        return {name: Held(**{**values, "gpus": tuple(values["gpus"])}) for name, values in _living(self._held)}

    def _tickets(self) -> dict[str, Request]:
        return {name: Request(**values) for name, values in _living(self._waiting)}

    @contextmanager
    def _ticket(self, request: Request, priority: Priority) -> Iterator[str]:
        """A place in the queue while the block runs; its name."""
        path = self._waiting / f"{int(priority)}-{time.monotonic_ns():020d}-{secrets.token_hex(4)}"
        with self._locked():
            handle = _create_locked(path, asdict(request) | {"lent": []})
        try:
            yield path.name
        finally:
            path.unlink(missing_ok=True)
            os.close(handle)
            _wake_waiting()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        handle = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _wake_waiting() -> None:
    with _changed:
        _changed.notify_all()


def _create_locked(path: Path, content: Mapping[str, Any]) -> int:
    """Create a file that counts as long as its handle, which is returned, is open."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        os.write(handle, json.dumps(content).encode())
    except BaseException:
        path.unlink(missing_ok=True)
        os.close(handle)
        raise
    return handle


def _living(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and contents of the files whose process lives, in order of their names; the others are removed."""
    for path in sorted(folder.iterdir()):
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                yield path.name, json.load(file)
            else:
                path.unlink(missing_ok=True)
