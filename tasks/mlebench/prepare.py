"""From Kaggle's files to a task that can be played: unpack, prepare, check against the known sums, appear as a whole.

<home>/data/<id>/raw/<id>.zip      as Kaggle serves it; raw/files/ and raw/opened/ are what was unpacked of it
<home>/data/<id>/prepared.part/    being made; a start that was stopped goes on here
<home>/data/<id>/prepared/         public/, private/ (0700) and perhaps withheld/; sums.json says what was checked
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
from tasks.mlebench.builder import Workshop
from tasks.mlebench.extract import Tell, stamp_of, unpack, unpacked_size
from tasks.mlebench.facts import Competition, competitions, with_notes
from tasks.mlebench.task_yaml import OFFICIAL_METRIC, description, task_file
from tasks.mlebench.transfer_rate import Throughput, Took

TABLES = (".csv", ".tsv", ".json", ".npy", ".txt")
RECORD = "raw.json"
"""In `prepared.part/`: the raw files it is made of, with size and time of change."""
SPARE = 200_000_000
"""Bytes that are to stay free."""


@dataclass(frozen=True)
class Difference:
    """A prepared file, or Kaggle's zip, whose sum is not the one known; `found` is empty for a file that is missing."""

    file: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.file}: md5 {self.expected} is expected, {self.found or 'the file is missing'}"


@dataclass(frozen=True)
class Prepared:
    """A competition that is ready: its folder, how many sums were checked, which differ, whether it was there.

    `raw_size` are the bytes of the raw files, 0 where they are not known; `took` says how fast each group was made;
    `went_on` whether an earlier start had made some of it.
    """

    folder: Path
    checked: int
    differences: tuple[Difference, ...]
    was_ready: bool = False
    raw_size: int = 0
    took: tuple[Took, ...] = ()
    went_on: bool = False


def folder_of(name: str, home: Path) -> Path:
    """Where the data of a competition lie."""
    return home / "data" / name


def is_prepared(name: str, home: Path) -> bool:
    """Whether a competition's data are whole."""
    folder = folder_of(name, home)
    return (folder / "prepared").is_dir() and (folder / "task.yaml").is_file()


def prepare(name: str, home: Path, raw: Path | None, tell: Tell, accepts_differences: bool = False) -> Prepared:
    """Make a competition's data from Kaggle's files in `raw` (a folder, or the zip), by default those downloaded.

    Data whose sums differ from the known ones are refused, unless `accepts_differences`. Raises TaskError.
    """
    from filelock import FileLock, Timeout

    competition = with_notes(name)
    folder = folder_of(name, home)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "prepare.lock", timeout=0):
            if is_prepared(name, home):
                return _ready(folder)
            return _prepare(competition, folder, raw, tell, accepts_differences)
    except Timeout:
        raise TaskError(f"{folder}: another process is preparing {name}. Wait until it has ended.") from None


def _ready(folder: Path) -> Prepared:
    kept = json.loads((folder / "prepared" / "sums.json").read_text(encoding="utf-8"))
    return Prepared(folder, kept["checked"], tuple(Difference(**one) for one in kept["differences"]), True)


def differences_of(name: str, home: Path) -> tuple[Difference, ...]:
    """What differs from the benchmark in data that were prepared all the same; none of data that are not there."""
    folder = folder_of(name, home)
    return _ready(folder).differences if (folder / "prepared" / "sums.json").is_file() else ()


def _prepare(
    competition: Competition, folder: Path, raw: Path | None, tell: Tell, accepts_differences: bool
) -> Prepared:
    from tasks.mlebench.official_package import prepare_officially
    from tasks.mlebench.preparers.registry import PREPARERS

    target = folder / "prepared.part"
    zip_differences: list[Difference] = []
    was_zip, size, went_on, throughput = False, 0, False, Throughput()
    if competition.id in PREPARERS:
        source, zip_differences = _unpacked(competition, folder, raw, tell, accepts_differences, throughput)
        was_zip = source == folder / "raw" / "files"
        _require_room(source, folder)
        size, went_on = _begin(source, target, tell)
        (target / "private").mkdir(mode=0o700, exist_ok=True)
        PREPARERS[competition.id](Workshop(source, folder / "raw" / "opened", target, tell, throughput))
    else:
        prepare_officially(competition.id, folder, raw, target, tell)
    found = [*zip_differences, *compare(competition, target)]
    if found and not accepts_differences:
        listed = "\n".join(f"  {one}" for one in found)
        raise TaskError(
            f"{competition.id}: the files made are not those of the benchmark:\n{listed}\nThey are kept in {target}. "
            "If the data are meant to differ, add --accept-differences; scores are then not comparable."
        )
    checked = len(competition.md5) - (not was_zip)
    prepared = Prepared(folder, checked, tuple(found), raw_size=size, took=throughput.groups, went_on=went_on)
    _finish(competition, prepared, target, tell)
    return prepared


def _begin(source: Path, target: Path, tell: Tell) -> tuple[int, bool]:
    """Go on with what an earlier start made of these very raw files; what it made of others is thrown away.

    The bytes of the raw files, and whether there is something to go on with.
    """
    record = target / RECORD
    now = {path.relative_to(source).as_posix(): stamp_of(path) for path in _files(source)}
    if target.exists():
        known = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
        if changed := [name for name in sorted({*known, *now}) if not _is_same(known.get(name), now.get(name))]:
            rest = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            tell(f"the raw files are not those of the earlier start ({changed[0]}{rest}): beginning anew", 0, 0)
            shutil.rmtree(target)
    went_on = target.exists()
    target.mkdir(exist_ok=True)
    _write(record, json.dumps(now))
    return sum(size for size, _ in now.values()), went_on


def _is_same(before: list[int] | None, now: list[int] | None) -> bool:
    # The seal of a prepared file is that of the raw file as well, where they are one by a hard link.
    return before == now or bool(before and now and before[0] == now[0] and now[1] == FILE_TIME * 10**9)


def _finish(competition: Competition, prepared: Prepared, target: Path, tell: Tell) -> None:
    folder = prepared.folder
    told = description(competition) if competition.about else ""
    said = target / "public" / "description.md"
    text = told or (said.read_text(encoding="utf-8") if said.is_file() else f"# {competition.title}\n")
    if not said.is_file():
        said.write_text(text, encoding="utf-8")
    sums = {"checked": prepared.checked, "differences": [vars(one) for one in prepared.differences]}
    (target / "sums.json").write_text(json.dumps(sums, indent=1) + "\n", encoding="utf-8")
    _write(folder / "description.md", text)
    if not competition.is_native:
        _write(folder / "metric.py", OFFICIAL_METRIC)
    _write(folder / "task.yaml", task_file(competition, target))
    tell("closing the private files", 0, 0)
    seal(target)
    (target / RECORD).unlink(missing_ok=True)
    target.rename(folder / "prepared")


def _write(path: Path, text: str) -> None:
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


# ---------------------------------------------------------------------------------------------------------- raw files


def _unpacked(
    competition: Competition,
    folder: Path,
    raw: Path | None,
    tell: Tell,
    accepts_differences: bool,
    throughput: Throughput,
) -> tuple[Path, list[Difference]]:
    """The folder of raw files. Kaggle's zip is checked and unpacked first, where it is that."""
    place = raw or folder / "raw"
    archive = place if place.is_file() else place / f"{competition.id}.zip"
    if archive.is_file():
        differences = _check_zip(competition, archive, tell)
        if differences and not accepts_differences:
            raise TaskError(
                f"{archive} is not the file the benchmark knows:\n  {differences[0]}\nDelete it and download it again, "
                "or add --accept-differences; scores are then not comparable."
            )
        _require_room(archive, folder)
        return unpack(archive, folder / "raw" / "files", tell, throughput), differences
    if raw is not None and raw.is_dir() and any(raw.iterdir()):
        return raw, []
    if raw is not None:
        raise TaskError(f"{raw} holds no files: name the folder of Kaggle's files, or {competition.id}.zip")
    raise TaskError(f"{archive} is not there: download it from Kaggle, or name a folder: --raw DIR")


def _check_zip(competition: Competition, archive: Path, tell: Tell) -> list[Difference]:
    if not zipfile.is_zipfile(archive):
        raise TaskError(f"{archive} is no zip archive, or is cut off: delete it and download it again")
    tell(f"checking {archive.name}", 0, 0)
    found, expected = hash_of_file(archive, "md5"), competition.md5["zip"]
    return [] if found == expected else [Difference(archive.name, expected, found)]


def _require_room(source: Path, folder: Path) -> None:
    """Refuse before anything is written. A zip needs what it unpacks to; a folder its tables and archives thrice."""
    if source.is_file():
        need = unpacked_size(source)
        done = folder / "raw" / "files"
        need -= sum(path.stat().st_size for path in done.rglob("*") if path.is_file()) if done.is_dir() else 0
    else:
        need = room_for(source, folder)
    free = shutil.disk_usage(folder).free
    if need + SPARE > free:
        raise TaskError(
            f"{folder}: preparing needs about {need / 1e9:.1f} GB, {free / 1e9:.1f} GB are free. Make room, or set "
            "HARNESS_HOME to a folder on a larger disk."
        )


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def room_for(source: Path, folder: Path) -> int:
    """Bytes that preparing the raw files of a folder takes at most: images are linked, unless disks differ."""
    is_apart = source.stat().st_dev != folder.stat().st_dev
    need = 0
    for path in _files(source):
        size = path.stat().st_size
        if path.suffix == ".zip":
            need += 2 * unpacked_size(path)
        elif path.suffix in TABLES:
            need += 3 * size
        elif path.suffix == ".7z" or is_apart:
            need += 2 * size if path.suffix == ".7z" else size
    return need


# -------------------------------------------------------------------------------------------------- checking, sealing


def compare(competition: Competition, prepared: Path) -> list[Difference]:
    """The prepared files whose sums are not the known ones."""
    differences = []
    for name, expected in competition.md5.items():
        if name == "zip":
            continue
        path = prepared / name
        found = hash_of_file(path, "md5") if path.is_file() else ""
        if found != expected:
            differences.append(Difference(name, expected, found))
    return differences


def seal(prepared: Path) -> None:
    """Close the private files, and give the public ones the one mode and date that let them be linked, not copied."""
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


def known(name: str) -> bool:
    """Whether a name is that of a competition."""
    return name in competitions()
