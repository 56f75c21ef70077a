"""Where a competition's data is made: raw files in, public and private files out, nothing done twice after a stop.

A preparer is a function of a `Workshop`. It names raw files as Kaggle does and prepared files as the benchmark does;
the workshop unpacks archives, links instead of copying, writes each file whole, and tells how far it is.
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
from tasks.mlebench.extract import Tell, unpack
from tasks.mlebench.read_raw import read_csv
from tasks.mlebench.transfer_rate import Throughput

if TYPE_CHECKING:
    import pandas as pd

FILE_TIME = (2000, 1, 1, 0, 0, 0)
"""The one date inside archives, so that the same bytes come out everywhere and dates tell nothing."""
_FICLONE = 0x40049409


class Workshop:
    """The raw files of one competition and the folder its prepared files go to.

    `raw` is only read. `opened` is where inner archives are unpacked; `target` gets `public/`, `private/` and, for what
    the model must not get although the benchmark hands it out, `withheld/`.
    """

    def __init__(self, raw: Path, opened: Path, target: Path, tell: Tell, throughput: Throughput | None = None) -> None:
        self.raw, self._opened, self.target, self.tell = raw, opened, target, tell
        self._throughput = throughput or Throughput()

    # --------------------------------------------------------------------------------------------------------- raw

    def file(self, name: str) -> Path:
        """A raw file: as it is, or out of the archive NAME.zip. Raises TaskError where it is in neither."""
        path = self.raw / name
        if path.is_file():
            return path
        archive = self.raw / f"{name}.zip"
        if archive.is_file():
            return self._inside(archive, PurePosixPath(name).name)
        for container in sorted(self.raw.glob("*.zip")):
            if container.stem == PurePosixPath(name).stem:
                return self._inside(container, PurePosixPath(name).name)
        raise TaskError(f"{path} is not there, nor {archive.name}: download the competition's data again")

    def _inside(self, archive: Path, name: str) -> Path:
        found = [path for path in self.unpacked(archive).rglob(name) if "__MACOSX" not in path.parts]
        if len(found) != 1:
            raise TaskError(f"{archive} holds {len(found)} files called {name}, one is expected: download it again")
        return found[0]

    def folder(self, name: str) -> Path:
        """A raw folder: as it is, or out of NAME.zip or NAME.7z, inside which it may be named again."""
        path = self.raw / name
        if path.is_dir():
            return path
        for suffix in (".zip", ".7z"):
            archive = self.raw / f"{name}{suffix}"
            if archive.is_file():
                place = self.unpacked(archive)
                return place / PurePosixPath(name).name if (place / PurePosixPath(name).name).is_dir() else place
        raise TaskError(f"{path} is not there, nor {name}.zip: download the competition's data again")

    def unpacked(self, archive: Path) -> Path:
        """The folder an inner archive is unpacked to; what an earlier start unpacked is taken as it is."""
        return unpack(archive, self._opened / archive.name, self.tell, self._throughput)

    def table(self, name: str, **options: Any) -> pd.DataFrame:
        """A raw CSV, read as the benchmark reads it. Raises TaskError."""
        path = self.file(name)
        self.tell(f"reading {name}", 0, 0)
        try:
            with self._throughput.of(f"reading {name}", lambda: path.stat().st_size):
                return read_csv(path, **options)
        except ValueError as error:
            raise TaskError(f"{path} is damaged ({str(error).splitlines()[0]}): download it again") from None

    # ---------------------------------------------------------------------------------------------------- prepared

    def path(self, name: str) -> Path:
        """The path of a prepared file, such as `public/train.csv`; its folder is there."""
        path = self.target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name: str, frame: pd.DataFrame, **options: Any) -> None:
        """Write a table as CSV, whole or not at all. `options` are those of `DataFrame.to_csv`."""
        self.tell(f"writing {name}", 0, 0)
        self.write_by(name, lambda path: frame.to_csv(path, index=False, **options))

    def write_text(self, name: str, text: str) -> None:
        """Write a text file, whole or not at all."""
        self.write_by(name, lambda path: path.write_text(text, encoding="utf-8", newline="\n"))

    def write_by(self, name: str, write: Callable[[Path], object]) -> None:
        """Let `write` fill a file beside the prepared one, then put it in place."""
        path = self.path(name)
        with (
            self._throughput.of(f"writing {name}", lambda: path.stat().st_size),
            replacing(path, one_writer=True) as draft,
        ):
            write(draft)

    def copy(self, source: Path, name: str) -> None:
        """Copy a raw file byte for byte."""
        self.write_by(name, lambda path: shutil.copyfile(source, path))

    def link(self, pairs: Iterable[tuple[Path, str]], what: str) -> None:
        """Put raw files under prepared names without taking room, where the file system can. Raises TaskError."""
        wanted = list(pairs)
        with self._throughput.of(f"placing {what}", lambda: sum(source.stat().st_size for source, _ in wanted)):
            self._link(wanted, what)

    def _link(self, wanted: Sequence[tuple[Path, str]], what: str) -> None:
        made: set[Path] = set()
        for at, (source, name) in enumerate(wanted):
            target = self.target / name
            if target.parent not in made:
                target.parent.mkdir(parents=True, exist_ok=True)
                made.add(target.parent)
            place(source, target)
            if at % 1000 == 0 or at + 1 == len(wanted):
                self.tell(f"placing {what}", at + 1, len(wanted))

    def archive(self, name: str, members: Sequence[tuple[Path, str]]) -> None:
        """Write a zip archive of files under the names given, deflated; the same bytes for the same content."""

        def write(path: Path) -> None:
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for at, (source, inside) in enumerate(members):
                    info = zipfile.ZipInfo(inside, FILE_TIME)
                    info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
                    with source.open("rb") as reader, archive.open(info, "w", force_zip64=True) as writer:
                        shutil.copyfileobj(reader, writer, 1 << 20)
                    if at % 500 == 0 or at + 1 == len(members):
                        self.tell(f"packing {name}", at + 1, len(members))

        if not self.path(name).exists():  # it appears whole, so one that is there is done
            self.write_by(name, write)

    def archive_tables(self, name: str, frame: pd.DataFrame, inside: str, **options: Any) -> None:
        """Write one table as a CSV inside a zip archive."""
        draft = self.path(name).with_name(f".{PurePosixPath(inside).name}.csv")
        self.tell(f"writing {name}", 0, 0)
        frame.to_csv(draft, index=False, **options)
        try:
            self.path(name).unlink(missing_ok=True)
            self.archive(name, [(draft, inside)])
        finally:
            draft.unlink()


def split(rows: Any, **size: Any) -> tuple[Any, Any]:
    """Train and test part of a table or a list, drawn as the benchmark draws them; both in the order drawn."""
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(rows, random_state=0, **size)
    return train, test


def place(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`: a hard link, else a reflink, else a copy. Raises TaskError."""
    try:
        os.link(source, target)
        return
    except FileExistsError:
        if target.stat().st_size == source.stat().st_size:
            return
        target.unlink()
    except FileNotFoundError:
        raise TaskError(f"{source} is not there: the download is not complete") from None
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
