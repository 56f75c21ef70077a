"""Find the train, test and sample tables in a folder as Kaggle gives it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tasks.errors import TaskError
from tasks.new_task.media import class_root, part_of, words_of

SUFFIXES = (".csv", ".tsv", ".parquet", ".json", ".jsonl", ".xlsx")
PACKED = (".zip", ".gz", ".bz2", ".xz")


@dataclass(frozen=True)
class Tables:
    """Labelled rows, rows to predict, and the sample submission; without `test`, the sample lists the rows to predict.

    `train` and `test` may be folders of files, in train by class. `labels` is a separate table with the labels.
    """

    train: Path
    test: Path | None
    sample: Path | None
    labels: Path | None = None

    @property
    def test_name(self) -> str:
        """What lists the rows to predict."""
        path = self.test or self.sample
        return path.name if path else "the sample"


def find_tables(folder: Path) -> Tables | None:
    """The three tables in a folder, by words of their names; train may be a folder by class. None without train or
    sample."""
    tables = list_tables(folder)
    samples = [path for path in tables if _is_sample(path)]
    rest = [path for path in tables if path not in samples and "unlabel" not in path.name.lower()]
    of_test = [path for path in rest if part_of(_stem(path)) == "test"]
    labels = _best([path for path in rest if path not in of_test and _has_labels(path)], "train_labels")
    features = _best([path for path in rest if path != labels and part_of(_stem(path)) == "train"], "train")
    train = features or labels or class_root(folder)
    sample = _best(samples, "sample_submission")
    if train is None or sample is None:
        return None
    return Tables(train, _best(of_test, "test"), sample, labels if features else None)


def note_left_tables(tables: Tables) -> list[str]:
    """Advice where the folder of train, test and sample has other tables."""
    used = {path for path in (tables.train, tables.test, tables.sample, tables.labels) if path}
    if len({path.parent for path in used}) > 1:
        return []
    left = sorted(path.name for path in tables.train.parent.iterdir() if path not in used and is_table(path))
    if not left:
        return []
    are = "is" if len(left) == 1 else "are"
    return [f"{', '.join(left[:5])} {are} not part of the task; join what the model needs of it to train and test"]


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]


def _is_sample(path: Path) -> bool:
    """Whether a name has the word submission, or the word sample without train: `train_sample.csv` has labels."""
    words = words_of(_stem(path))
    is_sample = "sample" in words and part_of(_stem(path)) != "train"
    return is_sample or any(word.endswith(("submission", "submissions")) for word in words)


def _has_labels(path: Path) -> bool:
    return any(word.endswith(("label", "labels")) for word in words_of(_stem(path)))


def refuse_folder(folder: Path) -> NoReturn:
    """Raise TaskError, which lists the tables in a folder that has neither classes nor train and sample tables."""
    names = ", ".join(path.relative_to(folder).as_posix() for path in list_tables(folder)[:12]) or "no tables"
    raise TaskError(
        f"{folder}: train, test and sample tables cannot be told by their names, and there is no subfolder of files "
        "for each class. Name tables with --train, --test and --sample, or name a single table instead of the folder. "
        f"The folder has: {names}."
    )


def list_tables(folder: Path) -> list[Path]:
    """The tables at any depth, those nearest to the top first."""
    return sorted((path for path in folder.rglob("*") if is_table(path)), key=lambda path: (len(path.parts), path.name))


def is_table(path: Path) -> bool:
    """Whether the name is that of a table, possibly packed."""
    name = path.name.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    return name.endswith(SUFFIXES) and path.is_file() and not path.name.startswith(".")


def _best(paths: Sequence[Path], name: str) -> Path | None:
    """The file nearest to the top whose name is, or begins with, the usual one."""
    stems = {path: _stem(path).lower() for path in paths}
    ranked = sorted(paths, key=lambda path: (stems[path] != name, not stems[path].startswith(name), len(stems[path])))
    return next(iter(ranked), None)
