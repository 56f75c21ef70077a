"""Read the bytes of a data file, unpacked from gz, bz2, xz or zip, within bounds of memory."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tasks.errors import TaskError

MAX_BYTES = 4 << 30
"""Of a table, unpacked."""
MAX_RATIO, RATIO_FROM_BYTES = 250, 64 << 20
"""A file that unpacks to more than its size times the first, and more than the second, is taken for a bomb."""
BLOCK = 1 << 24
_COMPRESSED: tuple[tuple[bytes, Callable[[IO[bytes]], Any]], ...] = (
    (b"\x1f\x8b", lambda stream: gzip.GzipFile(fileobj=stream, mode="rb")),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\0", lzma.LZMAFile),
)
_DAMAGED = (OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Content:
    """The bytes of a table, and the name that says what they are."""

    name: str
    data: bytes


def read_content(path: Path) -> Content:
    """The bytes of a file, unpacked. `archive.zip!member` names one of several files in a zip. Raises TaskError."""
    file, member = _split(path)
    try:
        before = file.stat()
        content = _read(file, member)
        after = file.stat()
    except FileNotFoundError:
        raise TaskError(f"{file}: does not exist. Give the path of a table.") from None
    except IsADirectoryError:
        raise TaskError(f"{file}: is a folder. Name a table in it, or see `harness new-task --help`.") from None
    except OSError as error:
        raise TaskError(f"{file}: cannot be read as a table ({error.strerror or error}). Make it readable.") from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise TaskError(f"{file}: changed while it was read. Wait until it is complete, or make a copy and name that.")
    return content


def _split(path: Path) -> tuple[Path, str]:
    text = str(path)
    if "!" in text and not path.exists():
        file, _, member = text.partition("!")
        return Path(file), member
    return path, ""


def _read(path: Path, member: str) -> Content:
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(8)
        stream.seek(0)
        if head[:4] == b"PK\3\4" and not _is_workbook(path):
            return _read_member(path, member)
        if member:
            raise TaskError(f"{path}: is not a zip archive, so it has no {member}. Name the file alone.")
        for magic, opener in _COMPRESSED:
            if head.startswith(magic):
                name = path.stem if path.suffix.lower() in (".gz", ".bz2", ".xz", ".gzip") else path.name
                return Content(name, _unpacked(path, opener(stream), size))
        if size > MAX_BYTES:
            raise TaskError(f"{path}: {size / 1e9:,.1f} GB are too large for one table. Save a sample of its rows.")
        return Content(path.name, stream.read())


def _is_workbook(path: Path) -> bool:
    """Whether a zip is an Excel or OpenDocument file, which a reader of its own unpacks."""
    return path.suffix.lower() in (".xlsx", ".xlsm", ".ods")


def _read_member(path: Path, member: str) -> Content:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [
                one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX")
            ]
            if member:
                members = [one for one in members if one.filename == member]
            if len(members) != 1:
                names = ", ".join(one.filename for one in archive.infolist()[:8])
                raise TaskError(
                    f"{path}: has {len(members)} files{f' called {member}' if member else ''}, and one table is "
                    f"needed. Name one as '{path}!NAME'. It contains: {names}."
                )
            with archive.open(members[0]) as stream:
                name = members[0].filename.rpartition("/")[2]
                return Content(name, _unpacked(path, stream, members[0].compress_size))
    except _DAMAGED as error:
        raise TaskError(f"{path}: cannot be unpacked ({error}). Download or pack it again.") from None


def _unpacked(path: Path, stream: IO[bytes], packed: int) -> bytes:
    """Everything in a stream; the size that the archive states is not trusted."""
    buffer = io.BytesIO()
    try:
        while block := stream.read(BLOCK):
            buffer.write(block)
            if buffer.tell() > max(RATIO_FROM_BYTES, packed * MAX_RATIO):
                raise TaskError(
                    f"{path}: unpacks to more than {buffer.tell() / 1e6:,.0f} MB from {packed / 1e6:,.1f} MB, like a "
                    "zip bomb. If it is your data, unpack it yourself and name the table."
                )
            if buffer.tell() > MAX_BYTES:
                raise TaskError(f"{path}: unpacks to more than {MAX_BYTES / 1e9:,.1f} GB. Save a sample of its rows.")
    except _DAMAGED as error:
        raise TaskError(f"{path}: cannot be unpacked ({error}). Download or pack it again.") from None
    return buffer.getvalue()
