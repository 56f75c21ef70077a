"""The lessons of a sweep: all runs read one copy, frozen at the start, and what they show is added at the end.

Runs write to no ledger. At the end their journals are recorded in a file of the sweep, which is merged into the ledger
of the home. That is done on a local disk, since SQLite must not write to a network file system.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from context.ledger.database import NAME, LedgerError
from context.ledger.knowledge import add_knowledge
from context.ledger.ledger import Ledger
from context.ledger.maintain import digest, merge, write_snapshot
from harness.errors import UsageError
from harness.startup.lessons import learn_folder
from harness.startup.network_home import network_file_system
from harness.sweep.store import Store, now
from harness.sweep.types import Plan, Row
from runs.files import replace_file
from runs.journal import JournalError
from tasks.errors import TaskError

SNAPSHOT, LEARNED = "ledger.snapshot.sqlite", "ledger.learned.sqlite"


def freeze(plan: Plan, home: Path, draft: Path, folder: Path) -> Plan:
    """Copy the ledgers that the runs read into `draft`, which becomes `folder`, and let the rows read the copies.

    Raises `LedgerError`.
    """
    sources = {row.settings.get("ledger", "") for row in plan.rows if row.uses_ledger}
    known: dict[str, Any] = {}
    paths: dict[str, str] = {}
    for number, source in enumerate(sorted(sources)):
        path = Path(source).expanduser().absolute() if source else home / NAME
        name = f"{number}-{SNAPSHOT}" if number else SNAPSHOT
        known[str(path)] = {"snapshot": name, **_copy(path, draft / name)}
        paths[source] = str(folder / name)
    rows = [_reading(row, paths) for row in plan.rows]
    return replace(plan, rows=tuple(rows), ledger=known)


def _copy(path: Path, target: Path) -> dict[str, Any]:
    """Make the copy on a local disk; what it holds."""
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        draft = Path(folder) / SNAPSHOT
        if path.is_file():
            with Ledger(path, read_only=True) as ledger:
                write_snapshot(ledger, draft)
        with Ledger(draft) as ledger:
            add_knowledge(ledger)
            (count,) = ledger.rows(
                "select (select count(*) from lesson) as lessons, (select count(*) from run) as runs"
            )
            facts = {"digest": digest(ledger), "lessons": count["lessons"], "runs": count["runs"], "at": now()}
        shutil.copyfile(draft, target)
    return facts


def _reading(row: Row, paths: dict[str, str]) -> Row:
    if not row.uses_ledger:
        return row
    settings = {name: text for name, text in row.settings.items() if name != "ledger"}
    return replace(row, settings={**settings, "ledger_snapshot": paths[row.settings.get("ledger", "")]})


def merge_learned(store: Store, plan: Plan, ended: Sequence[Row]) -> str:
    """Add what the ended runs showed to the ledgers that they would have written to; says what was done.

    Doing it twice changes nothing. A run that cannot be read is left out and named.
    """
    said = []
    for source, known in plan.ledger.items():
        snapshot = str(store.folder / known["snapshot"])
        rows = [row for row in ended if row.settings.get("ledger_snapshot") == snapshot]
        said.append(_merge(store, rows, Path(source), str(known["snapshot"])))
    return "; ".join(said)


def _merge(store: Store, rows: Sequence[Row], target: Path, snapshot: str) -> str:
    problems = []
    with tempfile.TemporaryDirectory(prefix="harness-") as folder, FileLock(store.folder / "merge.lock"):
        draft = Path(folder) / LEARNED
        for row in rows:
            try:
                learn_folder(store.home / "runs" / row.run_id, store.home, str(draft))
            except (LedgerError, UsageError, JournalError, TaskError, OSError) as error:
                problems.append(f"{row.run_id} ({error})")
        if not draft.exists():
            return f"nothing was learned for {target}"
        replace_file(store.folder / snapshot.replace(SNAPSHOT, LEARNED), draft.read_bytes())
        added = _add(draft, target, Path(folder))
    left_out = f"; left out: {', '.join(problems)}" if problems else ""
    return f"{added} runs added to {target}{left_out}"


def _add(draft: Path, target: Path, folder: Path) -> int:
    if not network_file_system(target.parent):
        with Ledger(target) as ledger, Ledger(draft, read_only=True) as learned:
            return merge(ledger, learned)
    with FileLock(target.with_name(f"{target.name}.lock")):
        local = folder / NAME
        if target.is_file():
            shutil.copyfile(target, local)
        with Ledger(local) as ledger, Ledger(draft, read_only=True) as learned:
            added = merge(ledger, learned)
        replace_file(target, local.read_bytes(), is_durable=True)
    return added
