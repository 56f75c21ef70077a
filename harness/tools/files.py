"""`read_file`, `write_file`, `edit_file`: the files of the workspace, through the sandbox."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice

from pydantic import Field

from context.truncation.truncate import (
    READ_LINES,
    file_lines,
    first_lines,
    is_binary,
    peek,
    truncate_lines,
    truncate_output,
)
from harness.tools.tool import Arguments, Refused, Tool, ToolContext
from runs.events.registry import ToolStarted
from runs.files import sha256_hex
from sandboxes.base import read_chunks

TABLES = (".csv", ".tsv")
"""Of a table the first lines are shown, as `head` does, since its middle and end say nothing more."""
_JOB_LOG = re.compile(r"(?:\./|/workspace/)?\.jobs/([\w.-]+)/log")


class ReadFile(Arguments):
    path: str = Field(description="A file of the workspace or `data/`, or a job's log `.jobs/<id>/log`.")
    offset: int = Field(1, ge=1, le=10**12, description="The first line.")
    limit: int = Field(2000, ge=1, le=10**12, description="Lines to read. A long answer names lines it leaves out.")


class WriteFile(Arguments):
    path: str = Field(description="A file of the workspace.")
    content: str = Field(description="All of its text.")


class EditFile(Arguments):
    path: str = Field(description="A file of the workspace.")
    old: str = Field(min_length=1, description="Text that occurs once in the file, with its line ends and spaces.")
    new: str = Field(description="The text in its place.")


def _read(context: ToolContext, arguments: ReadFile) -> str:
    log = _JOB_LOG.fullmatch(arguments.path)
    if log is None:
        with context.files.open(arguments.path) as file:
            return _lines(context, arguments, read_chunks(file), os.fstat(file.fileno()).st_size, is_log=False)
    status = context.jobs.status(log[1])
    if status.state == "unknown":
        raise Refused(f"there is no job {log[1]}")
    return _lines(context, arguments, context.jobs.log(log[1]), status.kept_bytes, is_log=True)


def _lines(context: ToolContext, arguments: ReadFile, pieces: Iterator[bytes], size: int, *, is_log: bool) -> str:
    """The requested lines. The other lines are counted but not held in memory."""
    path, tokens = arguments.path, context.settings.file_tokens
    first, pieces = peek(pieces)
    if is_binary(first):
        return truncate_output(first, size, tokens, f"all of it: {path}")
    before = arguments.offset - 1
    counted = _CountedLines(pieces)
    lines = enumerate(file_lines(counted.skip(before)), arguments.offset)
    most = min(arguments.limit, READ_LINES)
    if path.lower().endswith(TABLES):
        head = first_lines(islice(lines, most), tokens)
        shown, most = "\n".join(line for _, line in head), len(head)
    else:
        shown = truncate_lines(islice(lines, most), tokens, f"read_file {path} with offset, limit", is_log)
    count = counted.count_all()
    if before >= count > 0:
        raise Refused(f"{path} has {count} lines: offset {arguments.offset} is past its end")
    if not count:
        return f"[{path} is empty]"
    last = min(before + most, count)
    return shown + (f"\n[lines {arguments.offset} to {last} of {count}]" if last - before < count else "")


class _CountedLines:
    """The pieces of a file, with a count of its lines. Lines that are not shown cost no work of their own."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._ends, self._last = 0, b"\n"

    def skip(self, lines: int) -> Iterator[bytes]:
        """The pieces after this many line ends."""
        for piece in self._counted():
            if self._ends >= lines:
                before = lines - (self._ends - piece.count(b"\n"))
                yield b"".join(piece.split(b"\n", before)[before:]) if before > 0 else piece
                break
        yield from self._counted()

    def count_all(self) -> int:
        """The lines of the whole file; a line end at its end starts no further line."""
        for _ in self._counted():
            pass
        return self._ends + (self._last != b"\n")

    def _counted(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if piece:
                self._ends, self._last = self._ends + piece.count(b"\n"), piece[-1:]
                yield piece


def _write(context: ToolContext, arguments: WriteFile) -> str:
    return _written(context, arguments.path, _encode(arguments.content))


def _plan_edit(context: ToolContext, arguments: EditFile) -> ToolStarted:
    before = context.files.read(arguments.path)
    return context.start(before=sha256_hex(before), after=sha256_hex(_edited(before, arguments)))


def _edit(context: ToolContext, arguments: EditFile) -> str:
    assert context.started is not None
    content = context.files.read(arguments.path)
    if sha256_hex(content) == context.started.after:  # a crash came between the edit and its record
        return _answer(arguments.path, content)
    return _written(context, arguments.path, _edited(content, arguments))


def _edited(before: bytes, arguments: EditFile) -> bytes:
    old, new = _encode(arguments.old), _encode(arguments.new)
    count = before.count(old)
    if count != 1:
        matches = "does not occur" if count == 0 else f"occurs {count} times"
        raise Refused(f"`old` {matches} in {arguments.path}; it must occur once. Read the file and give more of it")
    return before.replace(old, new)


def _written(context: ToolContext, path: str, content: bytes) -> str:
    context.files.write(path, content)
    return _answer(path, content)


def _answer(path: str, content: bytes) -> str:
    # A server, or the reader of calls in a text, may have taken it for the layout of the call.
    ends = "; its last line has no line end" if content[-1:] not in (b"", b"\n") else ""
    return f"wrote {path}: {len(content)} bytes, sha256 {sha256_hex(content)}{ends}"


def _encode(text: str) -> bytes:
    return text.encode("utf-8", errors="replace")


TOOLS = (
    Tool("read_file", ReadFile, _read, shows_effect=True),
    Tool("write_file", WriteFile, _write, shows_effect=True),
    Tool("edit_file", EditFile, _edit, _plan_edit, shows_effect=True),
)
