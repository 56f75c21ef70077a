"""Report how far a long step is. Nobody listens by default; the harness prints what a silence hides.

with listening(print): ...
    for name in counted(names, "copying files"): ...
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Listener = Callable[[str], None]
"""Takes what is done now, in words, such as `copying files, 12,000 of 200,000`. Called a few times a second."""

_REPORT_SECONDS = 0.2
_listener: ContextVar[Listener | None] = ContextVar("progress listener", default=None)
_T = TypeVar("_T")


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell `listener` what this thread reports within the block."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report(doing: str) -> None:
    """Say what happens from now on."""
    if listener := _listener.get():
        listener(doing)


def counted(items: Collection[_T], doing: str) -> Iterator[_T]:
    """The items, reporting how many of them are done."""
    report(doing)
    listener, total, told_at = _listener.get(), len(items), time.monotonic()
    for done, item in enumerate(items):
        if listener and done % 64 == 0 and time.monotonic() - told_at > _REPORT_SECONDS:
            told_at = time.monotonic()
            listener(f"{doing}, {done:,} of {total:,}")
        yield item
