"""The cache of step results: what a step made on one split, found again by a hash of all that it depends on.

    step_cache/<split>/results/<key>.json   the files a step made, its log, how long it took
    step_cache/<split>/files/<sha256>       their contents

The folder is in the run folder, which no sandbox mounts, and each split has its own: what was made on one split holds
labels that another one holds out. Contents are checked by their hash whenever they are used; a damaged result is
dropped and its step runs again. The least recently used results are removed when all of them together are too large.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.evaluation.steps.outputs import MadeFile, hash_of
from runs.files import replace_file

FORMAT = 1
_LOCK = threading.Lock()


class StepRecord(BaseModel):
    """A successful run of a step: the evaluation and job that made it, its seconds, memory, files and log."""

    model_config = ConfigDict(frozen=True)

    key: str
    evaluation: str
    job: str
    seconds: float
    peak_bytes: int = 0
    files: dict[str, MadeFile] = Field(default_factory=dict)
    log: MadeFile | None = None
    notes: list[str] = Field(default_factory=list)

    @property
    def contents(self) -> dict[str, MadeFile]:
        """All kept files by hash, the log among them."""
        return {made.sha256: made for made in (*self.files.values(), *([self.log] if self.log else []))}

    @property
    def made_bytes(self) -> int:
        """The size of what it made."""
        return sum(made.size for made in self.files.values())


def key_of(
    command: str,
    makes: list[str],
    code: Mapping[str, str],
    made: Mapping[str, MadeFile],
    environment: str,
    split: str,
) -> str:
    """The name of a step's result: a hash of its command, the files it uses, the environment and the split."""
    upstream = {path: [one.sha256, one.is_executable] for path, one in made.items()}
    parts = [FORMAT, command, sorted(set(makes)), dict(code), upstream, environment, split]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class StepCache:
    """The cache of one split below `root`, which holds at most `max_bytes` over all splits."""

    root: Path
    split: str
    max_bytes: int

    @property
    def _results(self) -> Path:
        return self.root / self.split / "results"

    @property
    def _files(self) -> Path:
        return self.root / self.split / "files"

    def fetch(self, key: str, into: Path) -> tuple[StepRecord | None, bool]:
        """The result under a key, its contents linked into the folder `into`; whether a damaged one was dropped."""
        path = self._results / f"{key}.json"
        try:
            try:
                record = self._linked(path, into)
            except FileNotFoundError:  # not there, or just now removed, and perhaps stored again, by another thread
                with _LOCK:
                    if not path.exists():
                        return None, False
                    record = self._linked(path, into)
        except (ValidationError, ValueError, OSError):
            is_damaged = True
        else:
            if record.key == key:
                return record, False
            is_damaged = True
        if is_damaged:
            self._drop(path)
        return None, is_damaged

    def _linked(self, path: Path, into: Path) -> StepRecord:
        """A result, its checked contents linked into a folder. Raises FileNotFoundError, OSError, ValueError."""
        record = StepRecord.model_validate_json(path.read_bytes())
        for sha256 in record.contents:
            link(self._files / sha256, into / sha256)
            if hash_of(into / sha256) != sha256:
                (into / sha256).unlink()
                raise ValueError
        os.utime(path)
        return record

    def store(self, record: StepRecord, source: Path) -> bool:
        """Keep a result, whose contents are in the folder `source`; False if it is too large for the cache."""
        if sum(made.size for made in record.contents.values()) > self.max_bytes:
            return False
        with _LOCK:
            for folder in (self._results, self._files):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root.chmod(0o700)
            for sha256 in record.contents:
                link(source / sha256, self._files / sha256)
            replace_file(self._results / f"{record.key}.json", record.model_dump_json().encode())
            self._evict(record.key)
        return True

    def _drop(self, path: Path) -> None:
        """Remove a damaged result, and its contents where they are damaged."""
        with _LOCK:
            with contextlib.suppress(ValidationError, ValueError, OSError):
                for sha256 in StepRecord.model_validate_json(path.read_bytes()).contents:
                    with contextlib.suppress(FileNotFoundError):
                        if hash_of(self._files / sha256) != sha256:
                            (self._files / sha256).unlink()
            path.unlink(missing_ok=True)

    def _evict(self, kept: str) -> None:
        """Remove the least recently used results until all splits together are small enough."""
        size = sum(entry.stat().st_size for entry in self._entries("files"))
        if size <= self.max_bytes:
            return
        for entry in sorted(self._entries("results"), key=lambda entry: entry.stat().st_mtime):
            if size <= self.max_bytes:
                return
            if entry.name != f"{kept}.json":
                Path(entry.path).unlink(missing_ok=True)
                size -= _remove_unreferenced(Path(entry.path).parents[1])

    def _entries(self, kind: str) -> Iterator[os.DirEntry[str]]:
        for split in self.root.iterdir():
            with contextlib.suppress(FileNotFoundError), os.scandir(split / kind) as entries:
                yield from [entry for entry in entries if not entry.name.startswith(".")]


def link(source: Path, target: Path) -> None:
    """Give a kept file a second name beside other kept files. Raises OSError."""
    with contextlib.suppress(FileExistsError):
        os.link(source, target)


def _remove_unreferenced(split: Path) -> int:
    """Remove contents that no result of a split names any more; returns their bytes."""
    named: set[str] = set()
    for path in (split / "results").glob("*.json"):
        with contextlib.suppress(ValidationError, OSError):
            named |= StepRecord.model_validate_json(path.read_bytes()).contents.keys()
    removed = 0
    for path in (split / "files").iterdir():
        if path.name not in named:
            removed += path.stat().st_size
            path.unlink(missing_ok=True)
    return removed
