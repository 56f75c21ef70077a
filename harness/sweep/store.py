"""A sweep on disk, in HARNESS_HOME/sweeps/NAME, made for a home that several hosts share.

    plan.json         the table of runs; never changed
    sweep.yaml        the same as a sweep file
    rows/KEY.jsonl    what happened to a run, a line each; written by the holder of KEY.lock alone
    rows/KEY.lock     locked while a worker plays the run
    output/KEY.log    what its processes printed
    workers/NAME.json a worker that cannot run, and why
    slurm/KEY.json    the job of Slurm that plays a run, beside what submitit keeps
    stop              its presence stops the sweep

There is no database: SQLite is not safe on a network file system.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import errors
from harness.sweep.types import Plan
from runs.files import replace_file

FOLDER = "sweeps"


@dataclass(frozen=True)
class Store:
    """The folder of one sweep."""

    home: Path
    name: str

    @property
    def folder(self) -> Path:
        """Where everything about the sweep is."""
        return self.home / FOLDER / self.name

    def create(self, fill: Callable[[Path], tuple[Plan, str]]) -> Plan:
        """Make the folder, which appears all at once, with the plan and the sweep file that `fill` returns; it may put
        more into the folder. Raises `UsageError` for a name that is taken."""
        self.refuse_if_taken()
        draft = self.folder.with_name(f".{self.name}.{os.getpid()}-{time.monotonic_ns()}")
        for part in ("rows", "output", "workers"):
            (draft / part).mkdir(parents=True)
        try:
            plan, text = fill(draft)
            replace_file(draft / "plan.json", json.dumps(plan.as_json(), indent=1).encode(), is_durable=True)
            replace_file(draft / "sweep.yaml", text.encode())
            draft.rename(self.folder)
        except BaseException:
            shutil.rmtree(draft)
            self.refuse_if_taken()
            raise
        return plan

    def refuse_if_taken(self) -> None:
        """Raises `UsageError` if there is a sweep of this name."""
        if self.folder.exists():
            errors.fail(
                f"there is a sweep {self.name} already: continue it with `harness sweep resume {self.name}`, or give "
                "this one another name with --name"
            )

    def plan(self) -> Plan:
        """The table of the sweep. Raises `UsageError`."""
        try:
            return Plan.of_json(json.loads((self.folder / "plan.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            known = ", ".join(list_sweeps(self.home)) or "none yet"
            errors.fail(f"there is no sweep {self.name!r} in {self.home / FOLDER} (sweeps there: {known})")
        except (ValueError, KeyError, TypeError) as error:
            errors.fail(f"{self.folder / 'plan.json'} is damaged ({error}): start the sweep again under another name")

    # -------------------------------------------------------------------------------------------------------- rows

    def log(self, key: str) -> list[dict[str, Any]]:
        """What happened to a run so far; a torn last line, of a crash, is left out."""
        try:
            lines = (self.folder / "rows" / f"{key}.jsonl").read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def append(self, key: str, what: str, **facts: Any) -> None:
        """Record what happens to a run, on disk before this returns."""
        line = json.dumps({"what": what, "at": now(), **facts}, ensure_ascii=False).encode() + b"\n"
        path = self.folder / "rows" / f"{key}.jsonl"
        with path.open("ab+") as file:
            if file.tell() and not _ends_whole(file.fileno(), file.tell()):
                line = b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Hold a run for this worker alone; False if another worker has it. A worker that dies lets go of it."""
        handle = os.open(self.folder / "rows" / f"{key}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True
        finally:
            os.close(handle)

    def is_claimed(self, key: str) -> bool:
        """Whether a worker has the run at this moment."""
        try:
            handle = os.open(self.folder / "rows" / f"{key}.lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        except OSError:
            return True
        finally:
            os.close(handle)

    def output(self, key: str) -> Path:
        """The file that holds what the processes of a run printed."""
        return self.folder / "output" / f"{key}.log"

    # ----------------------------------------------------------------------------------------------------- the sweep

    def stop(self) -> None:
        """Ask all workers, on whatever host, to pause their runs and end."""
        (self.folder / "stop").touch()

    def allow(self) -> None:
        """Take the request to stop back."""
        (self.folder / "stop").unlink(missing_ok=True)

    @property
    def is_stopped(self) -> bool:
        """Whether a stop was asked for."""
        return (self.folder / "stop").exists()

    def mark_worker(self, why: str) -> None:
        """Record that the worker of this process cannot run something, and why."""
        content = json.dumps({"worker": worker_name(), "why": why, "at": now()})
        replace_file(self.folder / "workers" / f"{worker_name()}.json", content.encode())

    def unfit_workers(self) -> dict[str, str]:
        """The workers that cannot run something, and why."""
        found = {}
        for path in sorted((self.folder / "workers").glob("*.json")):
            with contextlib.suppress(OSError, ValueError, KeyError):
                mark = json.loads(path.read_text(encoding="utf-8"))
                found[mark["worker"]] = mark["why"]
        return found

    def forget_workers(self) -> None:
        """Let all workers try again."""
        for path in (self.folder / "workers").glob("*.json"):
            path.unlink(missing_ok=True)

    def set_fact(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a small file of facts about the sweep."""
        replace_file(self.folder / f"{name}.json", json.dumps(values, indent=1).encode(), is_durable=True)

    def fact(self, name: str) -> dict[str, Any]:
        """The facts of that name; empty if there are none."""
        try:
            return dict(json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}


def list_sweeps(home: Path) -> list[str]:
    """The names of all sweeps of a home."""
    try:
        return sorted(path.parent.name for path in (home / FOLDER).glob("[!.]*/plan.json"))
    except OSError:
        return []


def worker_name() -> str:
    """The name of this host as a worker."""
    return socket.gethostname()


def now() -> str:
    """This moment in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _ends_whole(descriptor: int, size: int) -> bool:
    return os.pread(descriptor, 1, size - 1) == b"\n"
