"""Unpack archives of raw files: resumable, never outside their folder, and again if the archive changed."""

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
from tasks.io.atomic import replacing
from tasks.mlebench.transfer_rate import Throughput

Progress = Callable[[str, int, int], None]
"""Called for every step: what is done, how many are done, and of how many (0: unknown)."""

# An encrypted zip, or an unknown compression method, raises RuntimeError or NotImplementedError.
_DAMAGE_ERRORS = (zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, RuntimeError)


def unpack(archive: Path, folder: Path, progress: Progress, throughput: Throughput | None = None) -> Path:
    """Unpack a zip or 7z archive into a folder; resumes an interrupted unpacking. Raises TaskError.

    `<folder>.done` records the archive and whether it is completely unpacked; for another archive the folder is
    emptied first.
    """
    mark = folder.with_name(f"{folder.name}.done")
    stamp = stamp_of(archive)
    state = _read(mark)
    if state == {"of": stamp, "whole": True}:
        return folder
    if state != {"of": stamp, "whole": False} and folder.exists():
        progress(f"{archive.name} changed since it was unpacked: unpacking it again", 0, 0)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _write(mark, {"of": stamp, "whole": False})
    before = _size(folder)
    unpack_members = _unpack_7z if archive.suffix == ".7z" else _unpack_zip
    try:
        with (throughput or Throughput()).measure(f"unpacking {archive.name}", lambda: _size(folder) - before):
            unpack_members(archive, folder, progress)
    except _DAMAGE_ERRORS as error:
        raise _damaged(archive, error) from None
    _write(mark, {"of": stamp, "whole": True})
    return folder


def unpacked_size(archive: Path) -> int:
    """The unpacked size of a zip archive in bytes. Raises TaskError if it is damaged."""
    try:
        with zipfile.ZipFile(archive) as opened:
            return sum(member.file_size for member in opened.infolist())
    except _DAMAGE_ERRORS as error:
        raise _damaged(archive, error) from None


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def stamp_of(path: Path) -> list[int]:
    """Size and modification time, which identify a version of a file without reading it."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _damaged(archive: Path, error: Exception) -> TaskError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return TaskError(f"{archive} is damaged ({reason}): delete it and download it again")


def _read(mark: Path) -> Any:
    try:
        return json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write(mark: Path, state: dict[str, Any]) -> None:
    with replacing(mark, one_writer=True) as draft:
        draft.write_text(json.dumps(state), encoding="utf-8")


def _require_inside(archive: Path, names: Iterable[str], folder: Path) -> None:
    for name in names:
        if not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise TaskError(f"{archive} contains {name!r}, a path outside its folder: do not use it")


def _unpack_zip(archive: Path, folder: Path, progress: Progress) -> None:
    with zipfile.ZipFile(archive) as opened:
        members = [member for member in opened.infolist() if not member.is_dir()]
        _require_inside(archive, (member.filename for member in members), folder)
        for count, member in enumerate(members, 1):
            target = folder / member.filename
            if not (target.is_file() and target.stat().st_size == member.file_size):
                target.parent.mkdir(parents=True, exist_ok=True)
                with (
                    replacing(target, one_writer=True) as draft,
                    opened.open(member) as reader,
                    draft.open("wb") as writer,
                ):
                    shutil.copyfileobj(reader, writer, 1 << 20)
            if count % 500 == 1 or count == len(members):
                progress(f"unpacking {archive.name}", count, len(members))


def _unpack_7z(archive: Path, folder: Path, progress: Progress) -> None:
    try:
        import py7zr
    except ImportError:
        raise TaskError(f"{archive.name} needs the package py7zr: pip install py7zr") from None
    progress(f"unpacking {archive.name}", 0, 0)
    try:
        with py7zr.SevenZipFile(archive) as opened:
            _require_inside(archive, opened.getnames(), folder)
            # Through a link, the members after it could be written outside the folder.
            if links := [member.filename for member in opened.files if member.is_symlink or member.is_junction]:
                raise TaskError(f"{archive} contains {links[0]!r}, which is a link: do not use it")
            opened.extractall(folder)
    except (TaskError, OSError, MemoryError):
        raise
    except Exception as error:  # its errors have no common base, and a damaged header may raise anything
        raise _damaged(archive, error) from None
