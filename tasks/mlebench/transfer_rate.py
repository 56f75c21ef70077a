"""How fast each group of files was read, unpacked, placed or written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Timing:
    """What was done with a group of files, its size in bytes, and the wall-clock seconds it took."""

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
    """The timings so far, by group of files in the order of their start."""

    def __init__(self) -> None:
        self._groups: dict[str, Timing] = {}

    @contextmanager
    def measure(self, what: str, size: Callable[[], int]) -> Iterator[None]:
        """Time a block and add it to its group; `size` is called at the end, unless the block raises."""
        started = time.perf_counter()
        yield
        seconds = time.perf_counter() - started
        group = self._groups.get(what, Timing(what, 0, 0.0))
        self._groups[what] = replace(group, size=group.size + size(), seconds=group.seconds + seconds)

    @property
    def groups(self) -> tuple[Timing, ...]:
        """All groups."""
        return tuple(self._groups.values())
