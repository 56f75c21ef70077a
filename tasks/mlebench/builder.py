"""Make the data of a competition: raw files in, public and private files out, resumable after an interruption.

A preparer is a function of a `DataBuilder`. It names raw files as Kaggle does and prepared files as the benchmark does.
The builder unpacks archives, links instead of copying, writes each file atomically, and reports progress.
"""

from __future__ import annotations

import errno
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tasks.errors import TaskError
from tasks.io.atomic import replacing
from tasks.mlebench.extract import Progress, unpack
from tasks.mlebench.read_raw import read_csv
from tasks.mlebench.transfer_rate import Throughput

if TYPE_CHECKING:
    import pandas as pd

FILE_TIME = (2000, 1, 1, 0, 0, 0)
"""The time of all files in archives, so that archives are reproducible and times reveal nothing."""
_FICLONE = 0x40049409


class DataBuilder:
    """The raw files of one competition and the folder of its prepared files.

    `raw` is only read. Inner archives are unpacked to `opened`. `target` gets `public/`, `private/` and, for files
    that the benchmark publishes although they contain answers, `withheld/`.
    """

    def __init__(
        self, raw: Path, opened: Path, target: Path, progress: Progress, throughput: Throughput | None = None
    ) -> None:
        self.raw, self._opened, self.target, self.progress = raw, opened, target, progress
        self._throughput = throughput or Throughput()

    # --------------------------------------------------------------------------------------------------------- raw

    def file(self, name: str) -> Path:
        """A raw file, if necessary from the archive NAME.zip. Raises TaskError if it is in neither."""
        path = self.raw / name
        if path.is_file():
            return path
        archive = self.raw / f"{name}.zip"
        if archive.is_file():
            return self._inside(archive, PurePosixPath(name).name)
        for container in sorted(self.raw.glob("*.zip")):
            if container.stem == PurePosixPath(name).stem:
                return self._inside(container, PurePosixPath(name).name)
        raise TaskError(f"neither {path} nor {archive.name} exists: download the competition's data again")

    def _inside(self, archive: Path, name: str) -> Path:
        paths = [path for path in self.unpacked(archive).rglob(name) if "__MACOSX" not in path.parts]
        if len(paths) != 1:
            raise TaskError(f"{archive} contains {len(paths)} files named {name}, expected 1: download it again")
        return paths[0]

    def folder(self, name: str) -> Path:
        """A raw folder, if necessary from NAME.zip or NAME.7z, which may contain a folder of that name."""
        path = self.raw / name
        if path.is_dir():
            return path
        for suffix in (".zip", ".7z"):
            archive = self.raw / f"{name}{suffix}"
            if archive.is_file():
                unpacked = self.unpacked(archive)
                inner = unpacked / PurePosixPath(name).name
                return inner if inner.is_dir() else unpacked
        raise TaskError(f"neither {path} nor {name}.zip exists: download the competition's data again")

    def unpacked(self, archive: Path) -> Path:
        """The folder an inner archive is unpacked to; it is not unpacked twice."""
        return unpack(archive, self._opened / archive.name, self.progress, self._throughput)

    def table(self, name: str, **options: Any) -> pd.DataFrame:
        """A raw CSV, read as the benchmark does. Raises TaskError."""
        path = self.file(name)
        self.progress(f"reading {name}", 0, 0)
        try:
            with self._throughput.measure(f"reading {name}", lambda: path.stat().st_size):
                return read_csv(path, **options)
        except ValueError as error:
            raise TaskError(f"{path} is damaged ({str(error).splitlines()[0]}): download it again") from None

    # ---------------------------------------------------------------------------------------------------- prepared

    def path(self, name: str) -> Path:
        """The path of a prepared file, such as `public/train.csv`; its folder is made."""
        path = self.target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name: str, frame: pd.DataFrame, **options: Any) -> None:
        """Write a table as CSV, atomically. `options` are those of `DataFrame.to_csv`."""
        self.progress(f"writing {name}", 0, 0)
        self.write_by(name, lambda path: frame.to_csv(path, index=False, **options))

    def write_text(self, name: str, text: str) -> None:
        """Write a text file, atomically."""
        self.write_by(name, lambda path: path.write_text(text, encoding="utf-8", newline="\n"))

    def write_by(self, name: str, write: Callable[[Path], object]) -> None:
        """Let `write` fill a draft, then rename it to the prepared file."""
        path = self.path(name)
        with (
            self._throughput.measure(f"writing {name}", lambda: path.stat().st_size),
            replacing(path, one_writer=True) as draft,
        ):
            write(draft)

    def copy(self, source: Path, name: str) -> None:
        """Copy a raw file byte for byte."""
        self.write_by(name, lambda path: shutil.copyfile(source, path))

    def link(self, pairs: Iterable[tuple[Path, str]], what: str) -> None:
        """Link raw files to prepared names, or copy them where the file system has no links. Raises TaskError."""
        links = list(pairs)
        with self._throughput.measure(f"placing {what}", lambda: sum(source.stat().st_size for source, _ in links)):
            self._link(links, what)

    def _link(self, links: Sequence[tuple[Path, str]], what: str) -> None:
        folders: set[Path] = set()
        for count, (source, name) in enumerate(links, 1):
            target = self.target / name
            if target.parent not in folders:
                target.parent.mkdir(parents=True, exist_ok=True)
                folders.add(target.parent)
            link_file(source, target)
            if count % 1000 == 1 or count == len(links):
                self.progress(f"placing {what}", count, len(links))

    def archive(self, name: str, members: Sequence[tuple[Path, str]]) -> None:
        """Write a zip archive of files with these names: the same bytes for the same content."""

        def write(path: Path) -> None:
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for count, (source, member) in enumerate(members, 1):
                    info = zipfile.ZipInfo(member, FILE_TIME)
                    info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
                    with source.open("rb") as reader, archive.open(info, "w", force_zip64=True) as writer:
                        shutil.copyfileobj(reader, writer, 1 << 20)
                    if count % 500 == 1 or count == len(members):
                        self.progress(f"packing {name}", count, len(members))

        if not self.path(name).exists():  # it is written atomically, so an existing one is complete
            self.write_by(name, write)

    def archive_tables(self, name: str, frame: pd.DataFrame, member: str, **options: Any) -> None:
        """Write one table as a CSV inside a zip archive."""
        draft = self.path(name).with_name(f".{PurePosixPath(member).name}.csv")
        self.progress(f"writing {name}", 0, 0)
        frame.to_csv(draft, index=False, **options)
        try:
            self.path(name).unlink(missing_ok=True)
            self.archive(name, [(draft, member)])
        finally:
            draft.unlink()


def split(rows: Any, **size: Any) -> tuple[Any, Any]:
    """Train and test rows of a table or a list, with the benchmark's random split; both in the order drawn."""
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(rows, random_state=0, **size)
    return train, test


def link_file(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`: a hard link, else a reflink, else a copy. Raises TaskError."""
    try:
        os.link(source, target)
        return
    except FileExistsError:
        if target.stat().st_size == source.stat().st_size:
            return
        target.unlink()
    except FileNotFoundError:
        raise TaskError(f"{source} does not exist: the download is incomplete") from None
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
    draft = target.with_name(f".{target.name}.part")
    if not _reflink(source, draft):
        shutil.copyfile(source, draft)
    draft.replace(target)


def _reflink(source: Path, target: Path) -> bool:
    import fcntl

    try:
        with source.open("rb") as reader, target.open("wb") as writer:
            fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
        return True
    except OSError:
        return False
