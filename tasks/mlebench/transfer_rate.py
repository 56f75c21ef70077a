"""How fast each group of files was read, unpacked, placed or written: bytes and seconds, told when all is prepared."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Took:
    """What was done with a group of files, how many bytes it has, and the seconds of the wall clock it took."""

    what: str
    size: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.what}: {self.size / 1e6:,.1f} MB in {self.seconds:,.1f} s, {self.rate:,.1f} MB/s"

    @property
    def rate(self) -> float:
        """Megabytes a second."""
        return self.size / 1e6 / max(self.seconds, 1e-6)


class Throughput:
    """The groups so far, in the order in which they were begun; a group that is met again grows."""

    def __init__(self) -> None:
        self._groups: dict[str, Took] = {}

    @contextmanager
    def of(self, what: str, size: Callable[[], int]) -> Iterator[None]:
        """Time a block; `size` is asked when it has ended, and not where it fails."""
        started = time.perf_counter()
        yield
        seconds = time.perf_counter() - started
        known = self._groups.get(what, Took(what, 0, 0.0))
        self._groups[what] = replace(known, size=known.size + size(), seconds=known.seconds + seconds)

    @property
    def groups(self) -> tuple[Took, ...]:
        """All groups."""
        return tuple(self._groups.values())
