"""Report how far a long step is. Nobody listens by default; the harness prints what a silence hides.

with listening(print): ...
    for name in counted(names, "copying files"): ...
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sized
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


def counted(items: Iterable[_T], doing: str, total: int = 0) -> Iterator[_T]:
    """The items, reporting how many of them are done, and of how many where this is known."""
    report(doing)
    listener, told_at = _listener.get(), time.monotonic()
    total = total or (len(items) if isinstance(items, Sized) else 0)
    for done, item in enumerate(items):
        if listener and time.monotonic() - told_at > _REPORT_SECONDS:
            told_at = time.monotonic()
            listener(f"{doing}, {done:,}" + (f" of {total:,}" if total else ""))
        yield item
