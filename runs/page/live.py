"""What a page is told while a run is written: server-sent events that catch up after a lost connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from runs.journal import EVENTS
from runs.page.facts.run_view import RunView
from runs.serialization import JournalError

LOOK_SECONDS = 0.5
ALL_RUNS_SECONDS = 2.0
KEEP_ALIVE_SECONDS = 15.0


def live_of_run(
    folder: Path, ready: Callable[[], RunView], rows: int | None, is_over: Callable[[], bool]
) -> StreamingResponse:
    """Tell when a run's journal grows. With `rows`, the rows of the list of turns from that one on; the id of each
    message is their number so far, which a browser sends back when it connects again. `is_over`: the server ends."""
    return _stream(_run_messages(folder, ready, rows, is_over))


async def _run_messages(
    folder: Path, ready: Callable[[], RunView], rows: int | None, is_over: Callable[[], bool]
) -> AsyncIterator[str]:
    size, told, quiet = -1, rows or 0, 0.0
    while not is_over():
        now = _size(folder / EVENTS)
        if now != size:
            is_first, size, quiet = size < 0, now, 0.0
            try:
                view = await run_in_threadpool(ready)
            except JournalError:
                yield "event: over\ndata: {}\n\n"
                return
            if rows is None and (not is_first or view.journal.damage):  # kept facts may not know of the damage
                yield "event: changed\ndata: {}\n\n"
            count = len(view.rows)
            if rows is not None and count > told:
                yield f"id: {count}\nevent: rows\ndata: {view.rows_json(told)}\n\n"
                told = count
        elif quiet >= KEEP_ALIVE_SECONDS:
            quiet = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(LOOK_SECONDS)
        quiet += LOOK_SECONDS


def live_of_all(stamp: Callable[[], Hashable], is_over: Callable[[], bool]) -> StreamingResponse:
    """Tell when any run changes. `is_over`: the server ends."""
    return _stream(_all_messages(stamp, is_over))


async def _all_messages(stamp: Callable[[], Hashable], is_over: Callable[[], bool]) -> AsyncIterator[str]:
    last = await run_in_threadpool(stamp)
    quiet = since = 0.0
    while not is_over():
        await asyncio.sleep(LOOK_SECONDS)
        quiet, since = quiet + LOOK_SECONDS, since + LOOK_SECONDS
        if since < ALL_RUNS_SECONDS:
            continue
        since = 0.0
        now = await run_in_threadpool(stamp)
        if now != last or quiet >= KEEP_ALIVE_SECONDS:
            yield "event: changed\ndata: {}\n\n" if now != last else ": still here\n\n"
            last, quiet = now, 0.0


def _stream(messages: AsyncIterator[str]) -> StreamingResponse:
    return StreamingResponse(messages, media_type="text/event-stream")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
