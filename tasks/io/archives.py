"""Find all text in a file: the file itself, or what is packed in it, up to a limit of depth and size.

Nothing is unpacked to disk. Files that are not text, archives, images, sounds or documents are `Unreadable`.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

MAX_TEXT_BYTES = 64 << 20
"""Bytes read of one text: its beginning is enough to recognise a copy of the labels."""
MAX_FILE_BYTES = 256 << 20
"""Bytes read of all texts in one file together."""
MAX_DEPTH = 3
_HEAD_BYTES = 1 << 16
_MEDIA = (
    (0, b"\x89PNG"), (0, b"\xff\xd8\xff"), (0, b"GIF8"), (0, b"BM"), (0, b"II*\0"), (0, b"MM\0*"), (0, b"RIFF"),
    (0, b"%PDF"), (0, b"OggS"), (0, b"fLaC"), (0, b"ID3"), (0, b"\xff\xfb"), (0, b"FORM"), (4, b"ftyp"), (128, b"DICM"),
)  # fmt: skip
"""Signatures (offset, bytes) of images, sounds and documents, which hold no table."""
_COMPRESSED: tuple[tuple[bytes, Callable[[IO[bytes]], Any]], ...] = (
    (b"\x1f\x8b", lambda stream: gzip.GzipFile(fileobj=stream, mode="rb")),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\0", lzma.LZMAFile),
)
_UTF16 = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_DAMAGED = (
    OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error, lzma.LZMAError,
    zipfile.BadZipFile, tarfile.TarError,
)  # fmt: skip
MAX_BINARY_SHARE = 0.3
"""Text has fewer control and undecodable characters; a dense binary format without zero bytes has about half."""


@dataclass(frozen=True)
class Text:
    """The beginning of a text file or archive member; inside an archive the name is `archive!member`."""

    name: str
    text: str


@dataclass(frozen=True)
class Unreadable:
    """A file or archive member whose content cannot be read as text."""

    name: str


def read_texts(path: Path, name: str) -> Iterator[Text | Unreadable]:
    """The texts in a file, and the parts of it that cannot be read."""
    with path.open("rb") as stream:
        yield from _read_any(stream, name, 0, [MAX_FILE_BYTES])


def _read_any(stream: IO[bytes], name: str, depth: int, budget: list[int]) -> Iterator[Text | Unreadable]:
    """The texts in a stream of any kind. `budget` holds the bytes that may still be read of the whole file."""
    try:
        head = stream.read(_HEAD_BYTES)
        if any(head[start : start + len(magic)] == magic for start, magic in _MEDIA) or budget[0] <= 0:
            return
        stream.seek(0)
        decompress = next((opener for magic, opener in _COMPRESSED if head.startswith(magic)), None)
        is_zip = head[:4] in (b"PK\3\4", b"PK\5\6")
        if depth == MAX_DEPTH and (decompress or is_zip or _is_tar(head)):
            yield Unreadable(name)
        elif decompress:
            yield from _read_any(decompress(stream), name, depth + 1, budget)
        elif is_zip:
            yield from _read_zip(stream, name, depth, budget)
        elif _is_tar(head):
            yield from _read_tar(stream, name, depth, budget)
        else:
            yield _read_text(stream, name, head, budget)
    except _DAMAGED:
        yield Unreadable(name)


def _read_zip(stream: IO[bytes], name: str, depth: int, budget: list[int]) -> Iterator[Text | Unreadable]:
    with zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                with archive.open(member) as inner:
                    yield from _read_any(inner, f"{name}!{member.filename}", depth + 1, budget)


def _read_tar(stream: IO[bytes], name: str, depth: int, budget: list[int]) -> Iterator[Text | Unreadable]:
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        for member in archive:
            inner = archive.extractfile(member) if member.isfile() else None
            if inner is not None:
                yield from _read_any(inner, f"{name}!{member.name}", depth + 1, budget)


def _is_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def _read_text(stream: IO[bytes], name: str, head: bytes, budget: list[int]) -> Text | Unreadable:
    utf16 = next((encoding for magic, encoding in _UTF16 if head.startswith(magic)), None)
    if utf16 is None and b"\0" in head:
        return Unreadable(name)
    content = stream.read(min(MAX_TEXT_BYTES, budget[0]))
    budget[0] -= len(content)
    if utf16 is None and b"\0" in content:
        return Unreadable(name)
    text = content.decode(utf16 or "utf-8", "replace" if utf16 else "surrogateescape").removeprefix("\ufeff")
    start = text[:4096]
    binary = sum("\udc80" <= char <= "\udcff" or char < "\t" for char in start)
    if utf16 is None and binary > MAX_BINARY_SHARE * len(start):
        return Unreadable(name)
    return Text(name, io.StringIO(text, newline=None).read())


MEMBER_DATE = (2000, 1, 1, 0, 0, 0)


def pack(path: Path, members: Iterable[tuple[str, Callable[[], IO[bytes]]]], deflated: bool = False) -> None:
    """Write a zip archive of (name, opener of the content), sorted by name, each opened only while it is written.

    Stored by default: deflating images saves no space and is ten times slower.
    """
    kind = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, opener in sorted(members, key=lambda member: member[0]):
            info = zipfile.ZipInfo(name, MEMBER_DATE)
            info.compress_type, info.external_attr = kind, 0o100644 << 16
            with opener() as reader, archive.open(info, "w", force_zip64=True) as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)
