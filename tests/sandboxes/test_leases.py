"""Leases of cores, memory and GPUs: exclusive across processes, in the order of service, freed with their holder."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxes.base import SandboxUnavailable
from sandboxes.leases.amounts import Held, Machine, Priority, Request, fits, remaining, this_machine
from sandboxes.leases.leases import Lease, Leases, folder_of
from sandboxes.leases.shared import SharedLease
from tests.playing import wait_until

ROOT = Path(__file__).parents[2]
MACHINE = Machine(cores=2, memory=8_000, gpus=("gpu-a", "gpu-b"))


class GivenUp(Exception):
    """Raised by a test that ends a wait."""


@contextmanager
def other_process(home: Path, cores: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds a lease until it is killed."""
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from sandboxes.leases.amounts import Machine, Priority, Request\n"
        "from sandboxes.leases.leases import Leases\n"
        f"lease = Leases(Path({str(home)!r}), Machine(2, 8000)).acquire(Request(cores={cores}), Priority.OTHER_FOLDS)\n"
        "print('held', flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout and process.stdout.readline() == b"held\n"
        try:
            yield process
        finally:
            process.kill()


def in_thread(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def wait_for_tickets(home: Path, count: int) -> None:
    until = time.monotonic() + 20
    while len(list((folder_of(home) / "waiting").iterdir())) < count:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_killed_process_keeps_nothing(tmp_path: Path) -> None:
    leases = Leases(tmp_path, MACHINE)
    with other_process(tmp_path, cores=2) as other:
        assert leases.try_acquire(Request(cores=1)) is None
        waits: list[str] = []
        granted: list[Lease] = []
        thread = in_thread(lambda: granted.append(leases.acquire(Request(2), Priority.OTHER_FOLDS, waits.append)))
        wait_until(lambda: bool(waits), 20)
        other.kill()
        thread.join(20)
    assert [lease.held.cores for lease in granted] == [2]
    assert "2 of 2 cores" in waits[0]
    granted[0].release()
    assert leases.held() == {}
    assert list((folder_of(tmp_path) / "held").iterdir()) == []


def test_requests_are_served_by_class_then_by_arrival(tmp_path: Path) -> None:
    leases = Leases(tmp_path, MACHINE)
    served: list[str] = []

    def take(name: str, priority: Priority) -> None:
        with Leases(tmp_path, MACHINE).acquire(Request(cores=2), priority):
            served.append(name)

    arrivals = [
        ("other fold 1", Priority.OTHER_FOLDS),
        ("other fold 2", Priority.OTHER_FOLDS),
        ("first fold", Priority.FIRST_FOLD),
        ("bash", Priority.INTERACTIVE),
    ]
    with leases.acquire(Request(cores=1), Priority.OTHER_FOLDS):
        threads = []
        for number, (name, priority) in enumerate(arrivals, 1):
            threads.append(in_thread(lambda name=name, priority=priority: take(name, priority)))  # type: ignore[misc]
            wait_for_tickets(tmp_path, number)
    for thread in threads:
        thread.join(20)
    assert served == ["bash", "first fold", "other fold 1", "other fold 2"]


def test_a_large_request_is_not_overtaken_but_for_what_it_does_not_need(tmp_path: Path) -> None:
    leases = Leases(tmp_path, MACHINE)
    small = leases.acquire(Request(cores=1), Priority.INTERACTIVE)
    large: list[Lease] = []
    thread = in_thread(lambda: large.append(leases.acquire(Request(cores=2), Priority.FIRST_FOLD)))
    wait_for_tickets(tmp_path, 1)

    def give_up(_: str) -> None:
        raise GivenUp

    with pytest.raises(GivenUp):
        leases.acquire(Request(cores=1), Priority.OTHER_FOLDS, give_up)
    assert len(list((folder_of(tmp_path) / "waiting").iterdir())) == 1, "a wait that was given up leaves the queue"
    leases.acquire(Request(gpus=1), Priority.OTHER_FOLDS, give_up).release()
    small.release()
    thread.join(20)
    assert large[0].held.cores == 2


def test_more_than_the_machine_has_means_all_of_it_but_for_gpus(tmp_path: Path) -> None:
    leases = Leases(tmp_path, MACHINE)
    with leases.acquire(Request(cores=64, memory=10**12), Priority.INTERACTIVE) as lease:
        assert (lease.held.cores, lease.held.memory) == (2, 8_000)
    with pytest.raises(SandboxUnavailable, match="3 GPUs are requested and there are 2"):
        leases.acquire(Request(gpus=3), Priority.INTERACTIVE)


def test_what_is_lent_counts_as_free_for_its_borrower_only(tmp_path: Path) -> None:
    leases = Leases(tmp_path, MACHINE)
    with leases.acquire(Request(cores=2, memory=8_000), Priority.INTERACTIVE) as lender:
        borrower = Request(cores=1, memory=4_000, lent=frozenset([lender.name]))
        first, second = leases.try_acquire(borrower), leases.try_acquire(borrower)
        assert first and second and leases.try_acquire(borrower) is None
        first.release()
        assert leases.try_acquire(Request(cores=1)) is None


def test_threads_are_those_of_the_lease_and_of_free_cores(tmp_path: Path) -> None:
    leases = Leases(tmp_path, Machine(8, 8_000))
    with leases.acquire(Request(2), Priority.INTERACTIVE, spreads=True) as alone:
        assert alone.threads == 8
        assert alone.variables()["OMP_NUM_THREADS"] == "8"
        with leases.acquire(Request(4), Priority.OTHER_FOLDS) as fold:
            assert fold.threads == 4
        with leases.acquire(Request(4), Priority.INTERACTIVE, spreads=True) as second:
            assert second.threads == 6


def test_jobs_of_one_holder_share_its_lease(tmp_path: Path) -> None:
    leases = Leases(tmp_path, MACHINE)
    lane = SharedLease(leases, MACHINE.share(2))
    first = lane.join("job 1", Priority.INTERACTIVE)
    assert lane.join("job 2", Priority.FIRST_FOLD) is first
    assert (first.held.cores, first.held.memory) == (1, 4_000)
    lane.leave("job 1")
    lane.leave("a job that never joined")
    assert len(leases.held()) == 1
    lane.leave("job 2")
    assert leases.held() == {}


def test_a_job_that_runs_already_takes_what_is_free_and_never_waits(tmp_path: Path) -> None:
    leases = Leases(tmp_path, MACHINE)
    lane = SharedLease(leases, Request(cores=2))
    with leases.acquire(Request(cores=1), Priority.OTHER_FOLDS):
        lane.join_running("job")
        assert lane.lease is None
    lane.join_running("job")
    assert lane.lease is not None


def test_shares_have_at_least_one_core() -> None:
    assert Machine(2, 100).share(4) == Request(1, 25)
    assert Machine(64, 100).share(4) == Request(16, 25)
    assert this_machine().cores >= 1


amounts = st.builds(Request, st.integers(0, 4), st.integers(0, 100), st.integers(0, 2))


@given(st.lists(amounts, max_size=12), st.lists(amounts, max_size=3))
def test_leases_never_exceed_the_machine(requests: list[Request], ahead: list[Request]) -> None:
    machine = Machine(4, 100, ("a", "b"))
    held: dict[str, Held] = {}
    for number, request in enumerate(requests):
        if fits(machine, held, ahead, request):
            taken = {gpu for lease in held.values() for gpu in lease.gpus}
            gpus = [gpu for gpu in machine.gpus if gpu not in taken][: request.gpus]
            assert len(gpus) == request.gpus
            held[str(number)] = Held(request.cores, request.memory, tuple(gpus))
    left = remaining(machine, held, [], frozenset())
    assert left.cores >= 0 and left.memory >= 0
    for first in ahead[:1]:
        # What waits in front could have been granted at the start and still can, as far as the others are concerned.
        if fits(machine, {}, [], first):
            assert fits(machine, held, [], first)
