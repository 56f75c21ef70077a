"""`harness du` and `harness rm`: show the disk space that runs and their data take, and remove both.

Data folders (splits with their held-out labels) are shared by all runs of a task, environments built from a
requirements file by all runs that name it. They are removed with the last run that uses them, and made again for a run
that needs them.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import errors
from harness.commands.show import EVENTS, find_run, run_folders
from harness.disk import size_of
from harness.settings import Settings
from harness.startup.data_lock import data_lock
from harness.ui.table import table
from runs.events.registry import RunCreated
from runs.journal import JournalError, is_driven, read_events
from sandboxes.cleanup import remove_stale_folders
from sandboxes.environments.environment import BUILT

REMOVED = ".removed-"
"""Prefix of a folder that is being removed: no command looks into it, and the next `rm` finishes the work."""


@dataclass(frozen=True)
class _Stored:
    """A folder on disk: its name in the table, what it is, its path, its bytes."""

    name: str
    kind: str
    path: Path
    size: int


def show_usage(settings: Settings) -> int:
    """Print what every run and every data folder takes, largest last, and the total."""
    rows, total = [("what", "name", "size", "")], 0
    runs = [_Stored(folder.name, "run", folder, size_of(folder)) for folder in run_folders(settings)]
    users = _users(settings)
    shared = [_as_stored(folder, settings, users) for folder in _shared_folders(settings)]
    caches = [
        _Stored(folder.name, "cache", folder, size_of(folder))
        for folder in (settings.home / name for name in ("environment", "images", "prepared"))
        if folder.is_dir()
    ]
    for one in sorted([*runs, *shared, *caches], key=lambda each: each.size):
        count = len(users.get(one.path, ()))
        used = f"of {count} run{'s' if count > 1 else ''}" if count else "no run needs it: `harness rm` removes it"
        note = used if one in shared else ""
        rows.append((one.kind, one.name, size_text(one.size), note))
        total += one.size
    rows.append(("all", str(settings.home), size_text(total), ""))
    print(table(rows, right=(2,)))
    return errors.DONE


def remove_runs(names: Sequence[str], settings: Settings, *, is_confirmed: bool) -> int:
    """Remove runs, their grades, and the data and environments that no other run needs, after showing the sizes.

    Without `is_confirmed` nothing is removed. Raises `UsageError` for a run that is played at the moment.
    """
    folders = list(dict.fromkeys(find_run(name, settings) for name in names))
    if playing := [folder.name for folder in folders if is_driven(folder)]:
        errors.fail(f"{', '.join(playing)} is being played: stop it first (Ctrl-C in its terminal)")
    if outside := [str(folder) for folder in folders if folder.parent != settings.runs.resolve()]:
        errors.fail(f"{', '.join(outside)} is not in {settings.runs}: remove such a folder yourself")
    with data_lock(settings.home, is_exclusive=True):  # a new run would use data that is about to be removed
        users = _users(settings)
        gone = set(folders)
        unneeded = [folder for folder in _shared_folders(settings) if set(users.get(folder, ())) <= gone]
        listed = [_Stored(folder.name, "run", folder, size_of(folder)) for folder in folders]
        listed += [_as_stored(folder, settings, users) for folder in unneeded]
        rows = [(one.kind, one.name, size_text(one.size)) for one in listed]
        print(table([("what", "name", "size"), *rows], right=(2,)))
        if not is_confirmed:
            print("Nothing was removed. Add --yes to remove these for good.")
            return errors.DONE
        for folder in folders:
            (settings.grades / f"{folder.name}.json").unlink(missing_ok=True)
            _remove(folder)
        for folder in unneeded:
            _remove(folder)
        for parent in (settings.runs, _blends(settings), settings.home / BUILT):
            for left in parent.glob(f"{REMOVED}*"):
                shutil.rmtree(left, ignore_errors=True)
        remove_stale_folders(settings.home)
    print(f"Removed {len(folders)} runs.")
    return errors.DONE


def _remove(folder: Path) -> None:
    """Remove a folder so that a kill in the middle leaves nothing that looks like a run."""
    aside = folder.with_name(f"{REMOVED}{secrets.token_hex(4)}")
    folder.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def _blends(settings: Settings) -> Path:
    return settings.home / "data" / ".blends"


def _shared_folders(settings: Settings) -> list[Path]:
    """The folders of data, one per task with all its seeds and splits, and the environments that were built."""
    found: list[Path] = []
    for parent in (_blends(settings), settings.home / BUILT):
        with contextlib.suppress(OSError):
            found += sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    return found


def _as_stored(folder: Path, settings: Settings, users: Mapping[Path, Sequence[Path]]) -> _Stored:
    if folder.parent == settings.home / BUILT:
        return _Stored(folder.name, "environment", folder, size_of(folder))
    return _Stored(_task_of(users.get(folder, ())), "data", folder, size_of(folder))


def _users(settings: Settings) -> dict[Path, list[Path]]:
    """Which runs use each shared folder. A run whose journal cannot be read keeps all of them from being removed."""
    users: dict[Path, list[Path]] = {}
    for folder in run_folders(settings):
        if not (folder / EVENTS).is_file():
            continue
        try:
            created = next(iter(read_events(folder)))
        except (JournalError, OSError, StopIteration):
            for shared in _shared_folders(settings):
                users.setdefault(shared, []).append(folder)
            continue
        if isinstance(created, RunCreated) and created.blend:
            users.setdefault((settings.home / created.blend).parent, []).append(folder)
        if isinstance(created, RunCreated) and created.environment:
            users.setdefault(settings.home / created.environment, []).append(folder)
    return users


def _task_of(runs: Sequence[Path]) -> str:
    """The task that a folder of data is for, from the name of a run that uses it."""
    return runs[0].name.split("_", 1)[1].rsplit("_", 2)[0] if runs and runs[0].name.count("_") > 2 else "(unused)"


def size_text(size: int) -> str:
    """A size in kB, MB or GB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size / 1e3:.0f} kB"
