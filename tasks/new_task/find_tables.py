"""Find the train, test and sample tables in a folder as Kaggle gives it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import TaskError

SUFFIXES = (".csv", ".tsv", ".parquet", ".json", ".jsonl", ".xlsx")
PACKED = (".zip", ".gz", ".bz2", ".xz")
_SAMPLE = re.compile(r"submission|sample", re.IGNORECASE)


@dataclass(frozen=True)
class Tables:
    """Labelled rows, rows to predict, and the sample submission."""

    train: Path
    test: Path
    sample: Path

    @property
    def paths(self) -> tuple[Path, Path, Path]:
        """All three."""
        return self.train, self.test, self.sample


def find_tables(folder: Path) -> Tables:
    """The three tables in a folder, by their names. Raises TaskError, which lists the files."""
    tables = sorted(
        (path for path in folder.rglob("*") if is_table(path)), key=lambda path: (len(path.parts), path.name)
    )
    samples = [path for path in tables if _SAMPLE.search(path.name)]
    rest = [path for path in tables if path not in samples]
    found = {
        "--train": _best(rest, lambda name: "train" in name, "train"),
        "--test": _best(rest, lambda name: "test" in name, "test"),
        "--sample": _best(samples, lambda name: True, "sample_submission"),
    }
    if missing := [option for option, path in found.items() if path is None]:
        names = ", ".join(path.relative_to(folder).as_posix() for path in tables[:12]) or "no tables"
        raise TaskError(
            f"{folder}: train, test and sample tables cannot be told by their names (missing: {', '.join(missing)}). "
            "Name them with --train, --test and --sample, or name a single table instead of the folder. The folder "
            f"has: {names}."
        )
    return Tables(*(path for path in found.values() if path is not None))


def is_table(path: Path) -> bool:
    """Whether the name is that of a table, possibly packed."""
    name = path.name.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    return name.endswith(SUFFIXES) and path.is_file() and not path.name.startswith(".")


def _best(paths: Sequence[Path], fits: Callable[[str], bool], name: str) -> Path | None:
    """The fitting file nearest to the top whose name is, or begins with, the usual one."""
    fitting = [path for path in paths if fits(path.name.lower())]
    stems = {path: path.name.lower().partition(".")[0] for path in fitting}
    ranked = sorted(fitting, key=lambda path: (stems[path] != name, not stems[path].startswith(name), len(stems[path])))
    return next(iter(ranked), None)
