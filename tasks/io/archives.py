"""What a file of any kind holds that can be read as text: itself, or what is packed in it, to some depth and size.

Nothing is unpacked to disk. What is neither text, nor an archive, nor a picture, a sound or a paper is a `Sealed`.
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

MOST = 64 << 20
"""Bytes read of one text: a second copy of the labels is known by its beginning."""
IN_ALL = 256 << 20
DEEPEST = 3
_HEAD = 1 << 16
_MEDIA = (
    (0, b"\x89PNG"), (0, b"\xff\xd8\xff"), (0, b"GIF8"), (0, b"BM"), (0, b"II*\0"), (0, b"MM\0*"), (0, b"RIFF"),
    (0, b"%PDF"), (0, b"OggS"), (0, b"fLaC"), (0, b"ID3"), (0, b"\xff\xfb"), (0, b"FORM"), (4, b"ftyp"), (128, b"DICM"),
)  # fmt: skip
"""How pictures, sounds and papers begin (place, bytes): what people look at or listen to holds no table."""
_PACKED: tuple[tuple[bytes, Callable[[IO[bytes]], Any]], ...] = (
    (b"\x1f\x8b", lambda stream: gzip.GzipFile(fileobj=stream, mode="rb")),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\0", lzma.LZMAFile),
)
_WIDE = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_BROKEN = (
    OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error, lzma.LZMAError,
    zipfile.BadZipFile, tarfile.TarError,
)  # fmt: skip


@dataclass(frozen=True)
class Text:
    """A text that a file is, or holds: its name (`archive!name` inside one) and its beginning."""

    name: str
    text: str


@dataclass(frozen=True)
class Unreadable:
    """A file, or one in it, that cannot be looked into."""

    name: str


def contents(path: Path, name: str) -> Iterator[Text | Unreadable]:
    """The texts that a file holds, and what in it cannot be read."""
    left = [IN_ALL]
    with path.open("rb") as stream:
        yield from _inside(stream, name, 0, left)


def _inside(stream: IO[bytes], name: str, depth: int, left: list[int]) -> Iterator[Text | Unreadable]:
    """`left` counts, for all that a file holds together, the bytes that may still be read."""
    try:
        head = stream.read(_HEAD)
        if any(head[at : at + len(sign)] == sign for at, sign in _MEDIA) or left[0] <= 0:
            return
        stream.seek(0)
        unpacked = next((opened for sign, opened in _PACKED if head.startswith(sign)), None)
        is_zip = head[:4] in (b"PK\3\4", b"PK\5\6")
        if depth == DEEPEST and (unpacked or is_zip or _is_tar(head)):
            yield Unreadable(name)
        elif unpacked:
            yield from _inside(unpacked(stream), name, depth + 1, left)
        elif is_zip:
            yield from _zipped(stream, name, depth, left)
        elif _is_tar(head):
            yield from _tarred(stream, name, depth, left)
        else:
            yield _read(stream, name, head, left)
    except _BROKEN:
        yield Unreadable(name)


def _zipped(stream: IO[bytes], name: str, depth: int, left: list[int]) -> Iterator[Text | Unreadable]:
    with zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                with archive.open(member) as inner:
                    yield from _inside(inner, f"{name}!{member.filename}", depth + 1, left)


def _tarred(stream: IO[bytes], name: str, depth: int, left: list[int]) -> Iterator[Text | Unreadable]:
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        for member in archive:
            inner = archive.extractfile(member) if member.isfile() else None
            if inner is not None:
                yield from _inside(inner, f"{name}!{member.name}", depth + 1, left)


def _is_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def _read(stream: IO[bytes], name: str, head: bytes, left: list[int]) -> Text | Unreadable:
    wide = next((coding for sign, coding in _WIDE if head.startswith(sign)), None)
    if wide is None and b"\0" in head:
        return Unreadable(name)
    content = stream.read(min(MOST, left[0]))
    left[0] -= len(content)
    if wide is None and b"\0" in content:
        return Unreadable(name)
    text = content.decode(wide or "utf-8", "replace" if wide else "surrogateescape").removeprefix("\ufeff")
    # Bytes of a dense format without a zero among them are still no text: every second one is no letter of any.
    if wide is None and sum("\udc80" <= sign <= "\udcff" or sign < "\t" for sign in text[:4096]) > 0.3 * len(
        text[:4096]
    ):
        return Unreadable(name)
    return Text(name, io.StringIO(text, newline=None).read())


DATE = (2000, 1, 1, 0, 0, 0)


def pack(path: Path, members: Iterable[tuple[str, Callable[[], IO[bytes]]]], deflated: bool = False) -> None:
    """Write an archive of named contents, each opened when its turn comes. Images are stored: deflating gains nothing
    and is ten times slower."""
    kind = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, opened in sorted(members, key=lambda member: member[0]):
            info = zipfile.ZipInfo(name, DATE)
            info.compress_type, info.external_attr = kind, 0o100644 << 16
            with opened() as reader, archive.open(info, "w", force_zip64=True) as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)
