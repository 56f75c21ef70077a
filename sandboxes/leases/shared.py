"""A lease that the jobs of one holder share."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sandboxes.leases.amounts import Priority, Request
from sandboxes.leases.leases import Lease, Leases


class SharedLease:
    """One lease for all jobs of a holder, such as a lane: the first job waits for it, the last one returns it.

    So a holder that has jobs never waits for another lease to start one more.
    """

    def __init__(self, leases: Leases, request: Request, *, spreads: bool = False) -> None:
        self.leases, self.request, self.spreads = leases, request, spreads
        self._users: set[str] = set()
        self._lease: Lease | None = None
        self._lock = threading.Lock()

    @property
    def lease(self) -> Lease | None:
        """The lease, while somebody uses it."""
        return self._lease

    def has_user(self, prefix: str) -> bool:
        """Whether a user whose name begins so has the lease."""
        with self._lock:
            return any(user.startswith(prefix) for user in self._users)

    def join(self, user: str, priority: Priority, on_wait: Callable[[str], None] = lambda _: None) -> Lease:
        """Use the lease on behalf of a job; see `Leases.acquire`. Joining twice is joining once."""
        with self._lock:
            if self._lease is not None:
                self._users.add(user)
                return self._lease
        lease = self.leases.acquire(self.request, priority, on_wait, spreads=self.spreads)
        with self._lock:
            if self._lease is None:
                self._lease = lease
            else:  # another thread was faster
                lease.release()
            self._users.add(user)
            return self._lease

    def join_running(self, user: str) -> None:
        """Use the lease on behalf of a job that runs already, for example since before a crash: if it is not free, the
        job is not accounted."""
        with self._lock:
            if self._lease is None:
                self._lease = self.leases.try_acquire(self.request)
            if self._lease is not None:
                self._users.add(user)

    def close(self) -> None:
        """Release the lease whoever uses it: the process ends, and its jobs run on unaccounted."""
        with self._lock:
            self._users.clear()
            if self._lease is not None:
                self._lease.release()
                self._lease = None

    def leave(self, user: str) -> None:
        """The job has ended. Unknown jobs are ignored."""
        with self._lock:
            self._users.discard(user)
            if self._lease is not None and not self._users:
                self._lease.release()
                self._lease = None
