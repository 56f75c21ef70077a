"""The file of a ledger: an SQLite database that is created, checked, migrated and opened here.

LedgerError          it cannot be used; the message says what to do
  LedgerLocked       another process has been writing to it for too long
  LedgerDamaged      it is not a database, or its content contradicts itself
  LedgerNewer        a newer version of the harness wrote it
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = "ledger.sqlite"
"""The file in HARNESS_HOME."""
BUSY_SECONDS = 30.0
"""How long a writer waits for another one."""
MIGRATIONS = ("schema.sql", "version2.sql", "version3.sql", "version4.sql", "version5.sql", "version6.sql")
"""Scripts beside this module, by the version they lead to; the first makes version 1. All that are
needed run in one transaction."""
MEMORY = Path(":memory:")


class LedgerError(Exception):
    """The ledger cannot be used."""


class LedgerLocked(LedgerError):
    """Another process holds the ledger."""


class LedgerDamaged(LedgerError):
    """The file is not a ledger, or it is damaged."""


class LedgerNewer(LedgerError):
    """A newer version of the harness wrote it."""


def open_database(path: Path, *, read_only: bool = False, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Open a ledger, creating or migrating it. Raises `LedgerError`, for a missing file only if `read_only`.

    A read-only ledger of an older version is migrated in memory; its file is not touched.
    """
    if read_only and path != MEMORY and not path.is_file():
        raise LedgerError(f"{path}: there is no such ledger")
    with explaining(path):
        if path != MEMORY and not read_only:
            path.parent.mkdir(parents=True, exist_ok=True)
        database = _connect(path, read_only, busy_seconds)
        try:
            return _current(database, path, read_only)
        except BaseException:
            database.close()
            raise


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Turn errors of the database and of the disk into `LedgerError`s that say what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise _explain(error, path) from error
    except OSError as error:
        raise LedgerError(f"{path} cannot be used as a ledger: {error.strerror or error}") from error


@contextmanager
def writing(database: sqlite3.Connection, path: Path) -> Iterator[None]:
    """One transaction of a writer: other writers wait, and an error leaves the ledger as it was."""
    with explaining(path):
        database.execute("begin immediate")
        try:
            yield
        except BaseException:
            database.rollback()
            raise
        database.commit()


def _connect(path: Path, read_only: bool, busy_seconds: float) -> sqlite3.Connection:
    name = str(path) if path == MEMORY else f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    database = sqlite3.connect(name, uri=path != MEMORY, timeout=busy_seconds, isolation_level=None)
    database.row_factory = sqlite3.Row
    database.execute("pragma foreign_keys = on")
    return database


def _current(database: sqlite3.Connection, path: Path, read_only: bool) -> sqlite3.Connection:
    """The database in the version of this harness."""
    version = _version(database)
    if version > len(MIGRATIONS):
        raise LedgerNewer(
            f"{path} has version {version}, and this harness knows {len(MIGRATIONS)}: update the harness, or use "
            "another file (--ledger FILE)"
        )
    if version == len(MIGRATIONS):
        return database
    if read_only:
        database, path = _copy_in_memory(database), MEMORY
    _migrate(database, path)
    return database


def _version(database: sqlite3.Connection) -> int:
    version = int(database.execute("pragma user_version").fetchone()[0])
    if version == 0 and database.execute("select count(*) from sqlite_master").fetchone()[0]:
        raise sqlite3.DatabaseError("not a ledger")
    return version


def _migrate(database: sqlite3.Connection, path: Path) -> None:
    """Bring a database to the newest version under the writers' lock, after a copy of the file was made."""
    database.execute("begin immediate")
    try:
        version = _version(database)  # another process may have been faster
        if 0 < version < len(MIGRATIONS) and path != MEMORY:
            shutil.copyfile(path, path.with_name(f"{path.name}.version{version}"))
        for script in MIGRATIONS[version:]:
            for statement in _statements(script):
                database.execute(statement)
        database.execute(f"pragma user_version = {len(MIGRATIONS)}")
    except BaseException:
        database.rollback()
        raise
    database.commit()


def _statements(name: str) -> Iterator[str]:
    """The statements of a script. `executescript` would end the transaction."""
    text = ""
    for line in (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            yield text
            text = ""


def _copy_in_memory(database: sqlite3.Connection) -> sqlite3.Connection:
    memory = _connect(MEMORY, False, 0.0)
    database.backup(memory)
    database.close()
    return memory


def _explain(error: sqlite3.Error, path: Path) -> LedgerError:
    text = str(error)
    if "locked" in text or "busy" in text:
        return LedgerLocked(f"{path} is in use by another process; try again when it has finished")
    if "readonly" in text:
        return LedgerError(f"{path} cannot be written: check the rights of the file and its folder")
    if "unable to open" in text:
        return LedgerError(f"{path} cannot be opened: check the path and its rights")
    if "disk is full" in text:
        return LedgerError(f"{path} cannot be written: the disk is full")
    if isinstance(error, sqlite3.IntegrityError):
        return LedgerError(f"{path} refuses a change: {text}")
    return LedgerDamaged(
        f"{path} is damaged or no ledger ({text}): restore a copy, or move it away and import an exported file into a "
        "new one"
    )
