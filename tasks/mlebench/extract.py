"""Archives of raw files: opened member by member, never outside their folder, and never taken for one another."""

from __future__ import annotations

import json
import lzma
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tasks.errors import TaskError
from tasks.mlebench.transfer_rate import Throughput

Tell = Callable[[str, int, int], None]
"""Told of every step: what is done, how many of it, of how many (0 where that is not known)."""

# A zip that is encrypted or packed by an unknown method is told as RuntimeError or NotImplementedError.
_DAMAGES = (zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, RuntimeError)


def unpack(archive: Path, folder: Path, tell: Tell, throughput: Throughput | None = None) -> Path:
    """Unpack a zip or 7z archive into a folder, going on where an earlier start stopped. Raises TaskError.

    `<folder>.done` says of which archive the folder is, and whether it is whole: another archive begins it anew.
    """
    mark = folder.with_name(f"{folder.name}.done")
    stamp = stamp_of(archive)
    known = _read(mark)
    if known == {"of": stamp, "whole": True}:
        return folder
    if known != {"of": stamp, "whole": False} and folder.exists():
        tell(f"{archive.name} is not the archive that was unpacked before: unpacking it anew", 0, 0)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _write(mark, {"of": stamp, "whole": False})
    before = _size(folder)
    way = _unpack_7z if archive.suffix == ".7z" else _unpack_zip
    try:
        with (throughput or Throughput()).of(f"unpacking {archive.name}", lambda: _size(folder) - before):
            way(archive, folder, tell)
    except _DAMAGES as error:
        raise _damaged(archive, error) from None
    _write(mark, {"of": stamp, "whole": True})
    return folder


def unpacked_size(archive: Path) -> int:
    """Bytes that the members of a zip archive take. Raises TaskError for a damaged one."""
    try:
        with zipfile.ZipFile(archive) as opened:
            return sum(member.file_size for member in opened.infolist())
    except _DAMAGES as error:
        raise _damaged(archive, error) from None


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def stamp_of(path: Path) -> list[int]:
    """Size and time of change: what tells a file from another one of its name without reading it."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _damaged(archive: Path, error: Exception) -> TaskError:
    said = " ".join(str(error).split()) or type(error).__name__
    return TaskError(f"{archive} is damaged ({said}): delete it and download it again")


def _read(mark: Path) -> Any:
    try:
        return json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write(mark: Path, said: dict[str, Any]) -> None:
    draft = mark.with_name(f".{mark.name}.part")
    draft.write_text(json.dumps(said), encoding="utf-8")
    draft.replace(mark)


def _require_inside(archive: Path, names: Iterable[str], folder: Path) -> None:
    for name in names:
        if not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise TaskError(f"{archive} holds {name!r}, which points outside: do not use it")


def _unpack_zip(archive: Path, folder: Path, tell: Tell) -> None:
    with zipfile.ZipFile(archive) as opened:
        members = [member for member in opened.infolist() if not member.is_dir()]
        _require_inside(archive, (member.filename for member in members), folder)
        for at, member in enumerate(members):
            target = folder / member.filename
            if not (target.is_file() and target.stat().st_size == member.file_size):
                target.parent.mkdir(parents=True, exist_ok=True)
                draft = target.with_name(f".{target.name}.part")
                with opened.open(member) as reader, draft.open("wb") as writer:
                    shutil.copyfileobj(reader, writer, 1 << 20)
                draft.replace(target)
            if at % 500 == 0 or at + 1 == len(members):
                tell(f"unpacking {archive.name}", at + 1, len(members))


def _unpack_7z(archive: Path, folder: Path, tell: Tell) -> None:
    try:
        import py7zr
    except ImportError:
        raise TaskError(f"{archive.name} needs the package py7zr: pip install py7zr") from None
    tell(f"unpacking {archive.name}", 0, 0)
    try:
        with py7zr.SevenZipFile(archive) as opened:
            _require_inside(archive, opened.getnames(), folder)
            # A link could be written first and through it, outside, what comes next.
            if links := [one.filename for one in opened.files if one.is_symlink or one.is_junction]:
                raise TaskError(f"{archive} holds {links[0]!r}, which is a link: do not use it")
            opened.extractall(folder)
    except (TaskError, OSError, MemoryError):
        raise
    except Exception as error:  # its own errors have no one base, and a mangled header fails in any way
        raise _damaged(archive, error) from None
