"""Prepare a competition: unpack Kaggle's files, make the data, check the known checksums, write the task.

<home>/data/<id>/raw/<id>.zip      Kaggle's file; raw/files/ and raw/opened/ are unpacked from it
<home>/data/<id>/prepared.part/    being made; an interrupted preparation resumes here
<home>/data/<id>/prepared/         public/, private/ (0700) and sometimes withheld/; sums.json: what was checked
<home>/data/<id>/task.yaml         beside description.md
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import TaskError
from tasks.io.atomic import FILE_TIME, replacing
from tasks.io.hashing import hash_of_file
from tasks.mlebench.builder import DataBuilder
from tasks.mlebench.extract import Progress, stamp_of, unpack, unpacked_size
from tasks.mlebench.facts import Competition, competitions, with_notes
from tasks.mlebench.task_yaml import OFFICIAL_METRIC, description, task_file
from tasks.mlebench.transfer_rate import Throughput, Timing

TABLES = (".csv", ".tsv", ".json", ".npy", ".txt")
RECORD = "raw.json"
"""In `prepared.part/`: the raw files it is made of, with size and modification time."""
SPARE_BYTES = 200_000_000
"""Disk space to leave free."""


@dataclass(frozen=True)
class Difference:
    """A prepared file, or Kaggle's zip, with an unexpected checksum; `actual` is empty for a missing file."""

    file: str
    expected: str
    actual: str

    def __str__(self) -> str:
        return f"{self.file}: expected md5 {self.expected}, got {self.actual or 'no file'}"


@dataclass(frozen=True)
class Prepared:
    """A prepared competition: its folder, how many checksums were checked, which differ, whether it was ready before.

    `raw_size` is the size of the raw files in bytes, 0 if unknown. `timings` says how fast each group of files was
    made. `was_resumed`: an interrupted preparation had made some of them.
    """

    folder: Path
    checked: int
    differences: tuple[Difference, ...]
    was_ready: bool = False
    raw_size: int = 0
    timings: tuple[Timing, ...] = ()
    was_resumed: bool = False


def folder_of(name: str, home: Path) -> Path:
    """The folder of a competition's data."""
    return home / "data" / name


def is_prepared(name: str, home: Path) -> bool:
    """Whether a competition's data are complete."""
    folder = folder_of(name, home)
    return (folder / "prepared").is_dir() and (folder / "task.yaml").is_file()


def prepare(name: str, home: Path, raw: Path | None, progress: Progress, accepts_differences: bool = False) -> Prepared:
    """Make a competition's data from Kaggle's files in `raw` (a folder or the zip; default: the downloaded ones).

    Data with unexpected checksums are refused unless `accepts_differences` is set. Raises TaskError.
    """
    from filelock import FileLock, Timeout

    competition = with_notes(name)
    folder = folder_of(name, home)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "prepare.lock", timeout=0):
            if is_prepared(name, home):
                return _load_prepared(folder)
            return _prepare(competition, folder, raw, progress, accepts_differences)
    except Timeout:
        raise TaskError(f"{folder}: another process is preparing {name}. Wait for it to end.") from None


def _load_prepared(folder: Path) -> Prepared:
    sums = json.loads((folder / "prepared" / "sums.json").read_text(encoding="utf-8"))
    # The key `found` is kept in the file, where data prepared by earlier versions have it.
    differences = tuple(Difference(one["file"], one["expected"], one["found"]) for one in sums["differences"])
    return Prepared(folder, sums["checked"], differences, True)


def differences_of(name: str, home: Path) -> tuple[Difference, ...]:
    """The differences from the benchmark with which the data were accepted; none if they are not prepared."""
    folder = folder_of(name, home)
    return _load_prepared(folder).differences if (folder / "prepared" / "sums.json").is_file() else ()


def _prepare(
    competition: Competition, folder: Path, raw: Path | None, progress: Progress, accepts_differences: bool
) -> Prepared:
    from tasks.mlebench.official_package import prepare_officially
    from tasks.mlebench.preparers.registry import PREPARERS

    target = folder / "prepared.part"
    zip_differences: list[Difference] = []
    was_zip, size, was_resumed, throughput = False, 0, False, Throughput()
    if competition.id in PREPARERS:
        source, zip_differences = _open_raw(competition, folder, raw, progress, accepts_differences, throughput)
        was_zip = source == folder / "raw" / "files"
        _require_space(source, folder)
        size, was_resumed = _resume_or_start(source, target, progress)
        (target / "private").mkdir(mode=0o700, exist_ok=True)
        PREPARERS[competition.id](DataBuilder(source, folder / "raw" / "opened", target, progress, throughput))
    else:
        prepare_officially(competition.id, folder, raw, target, progress)
    differences = [*zip_differences, *find_differences(competition, target)]
    if differences and not accepts_differences:
        listed = "\n".join(f"  {difference}" for difference in differences)
        raise TaskError(
            f"{competition.id}: the prepared files differ from those of the benchmark:\n{listed}\nThey are kept in "
            f"{target}. If this is intended, add --accept-differences; scores are then not comparable."
        )
    checked = len(competition.md5) - (not was_zip)
    prepared = Prepared(
        folder, checked, tuple(differences), raw_size=size, timings=throughput.groups, was_resumed=was_resumed
    )
    _finish(competition, prepared, target, progress)
    return prepared


def _resume_or_start(source: Path, target: Path, progress: Progress) -> tuple[int, bool]:
    """Keep what an interrupted preparation made if the raw files have not changed; otherwise delete it.

    Returns the size of the raw files in bytes, and whether something was kept.
    """
    record = target / RECORD
    now = {path.relative_to(source).as_posix(): stamp_of(path) for path in _files(source)}
    if target.exists():
        before = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
        names = sorted({*before, *now})
        if changed := [name for name in names if not _is_unchanged(before.get(name), now.get(name))]:
            rest = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            progress(f"raw files changed since the interrupted preparation ({changed[0]}{rest}): starting over", 0, 0)
            shutil.rmtree(target)
    was_resumed = target.exists()
    target.mkdir(exist_ok=True)
    _write(record, json.dumps(now))
    return sum(size for size, _ in now.values()), was_resumed


def _is_unchanged(before: list[int] | None, now: list[int] | None) -> bool:
    # A prepared file may be a hard link to the raw file, and set_permissions sets the time of both.
    return before == now or bool(before and now and before[0] == now[0] and now[1] == FILE_TIME * 10**9)


def _finish(competition: Competition, prepared: Prepared, target: Path, progress: Progress) -> None:
    folder = prepared.folder
    public = target / "public" / "description.md"
    text = description(competition) if competition.about else ""
    text = text or (public.read_text(encoding="utf-8") if public.is_file() else f"# {competition.title}\n")
    if not public.is_file():
        public.write_text(text, encoding="utf-8")
    differences = [{"file": one.file, "expected": one.expected, "found": one.actual} for one in prepared.differences]
    sums = {"checked": prepared.checked, "differences": differences}
    (target / "sums.json").write_text(json.dumps(sums, indent=1) + "\n", encoding="utf-8")
    _write(folder / "description.md", text)
    if not competition.is_native:
        _write(folder / "metric.py", OFFICIAL_METRIC)
    _write(folder / "task.yaml", task_file(competition, target))
    progress("setting permissions", 0, 0)
    set_permissions(target)
    (target / RECORD).unlink(missing_ok=True)
    target.rename(folder / "prepared")


def _write(path: Path, text: str) -> None:
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


# ---------------------------------------------------------------------------------------------------------- raw files


def _open_raw(
    competition: Competition,
    folder: Path,
    raw: Path | None,
    progress: Progress,
    accepts_differences: bool,
    throughput: Throughput,
) -> tuple[Path, list[Difference]]:
    """The folder of raw files. If they are Kaggle's zip, it is checked and unpacked first."""
    source = raw or folder / "raw"
    archive = source if source.is_file() else source / f"{competition.id}.zip"
    if archive.is_file():
        differences = _check_zip(competition, archive, progress)
        if differences and not accepts_differences:
            raise TaskError(
                f"{archive} is not the file of the benchmark:\n  {differences[0]}\nDelete it and download it again, "
                "or add --accept-differences; scores are then not comparable."
            )
        _require_space(archive, folder)
        return unpack(archive, folder / "raw" / "files", progress, throughput), differences
    if raw is not None and raw.is_dir() and any(raw.iterdir()):
        return raw, []
    if raw is not None:
        raise TaskError(f"{raw} has no files: give the folder of Kaggle's files, or {competition.id}.zip")
    raise TaskError(f"{archive} does not exist: download it from Kaggle, or give a folder: --raw DIR")


def _check_zip(competition: Competition, archive: Path, progress: Progress) -> list[Difference]:
    if not zipfile.is_zipfile(archive):
        raise TaskError(f"{archive} is not a zip archive, or is truncated: delete it and download it again")
    progress(f"checking {archive.name}", 0, 0)
    actual, expected = hash_of_file(archive, "md5"), competition.md5["zip"]
    return [] if actual == expected else [Difference(archive.name, expected, actual)]


def _require_space(source: Path, folder: Path) -> None:
    """Raise TaskError before anything is written if the disk is too full.

    A zip needs its unpacked size; a folder up to three times its tables and archives.
    """
    if source.is_file():
        need = unpacked_size(source)
        unpacked = folder / "raw" / "files"
        need -= sum(path.stat().st_size for path in _files(unpacked)) if unpacked.is_dir() else 0
    else:
        need = space_needed(source, folder)
    free = shutil.disk_usage(folder).free
    if need + SPARE_BYTES > free:
        raise TaskError(
            f"{folder}: preparing needs about {need / 1e9:.1f} GB, {free / 1e9:.1f} GB are free. Free some, or set "
            "HARNESS_HOME to a folder on a larger disk."
        )


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def space_needed(source: Path, folder: Path) -> int:
    """Bytes that preparing the raw files of a folder takes at most. Images are linked if on the same disk."""
    is_other_disk = source.stat().st_dev != folder.stat().st_dev
    need = 0
    for path in _files(source):
        size = path.stat().st_size
        if path.suffix == ".zip":
            need += 2 * unpacked_size(path)
        elif path.suffix in TABLES:
            need += 3 * size
        elif path.suffix == ".7z" or is_other_disk:
            need += 2 * size if path.suffix == ".7z" else size
    return need


# ------------------------------------------------------------------------------------------- checksums, permissions


def find_differences(competition: Competition, prepared: Path) -> list[Difference]:
    """The prepared files with unexpected checksums."""
    differences = []
    for name, expected in competition.md5.items():
        if name == "zip":
            continue
        path = prepared / name
        actual = hash_of_file(path, "md5") if path.is_file() else ""
        if actual != expected:
            differences.append(Difference(name, expected, actual))
    return differences


def set_permissions(prepared: Path) -> None:
    """Make private files readable by the owner only; give public ones the mode and time that blends can link."""
    for parent, folders, names in os.walk(prepared):
        is_public = Path(parent).relative_to(prepared).parts[:1] == ("public",)
        for name in names:
            path = Path(parent) / name
            path.chmod(0o444 if is_public else 0o600)
            if is_public:
                os.utime(path, (FILE_TIME, FILE_TIME))
        for name in folders:
            (Path(parent) / name).chmod(0o755 if is_public or name == "public" else 0o700)
    prepared.chmod(0o755)


def is_competition(name: str) -> bool:
    """Whether this is the name of a competition."""
    return name in competitions()
