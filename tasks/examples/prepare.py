"""Prepare the example tasks: real data that ships with scikit-learn, split into public and private files.

Rows, ids and bytes are the same on every machine: order and ids come from hashes, not from a random generator whose
sequence may change. Ids of train and test rows have the same distribution, so that a run can hide labelled rows among
the test rows.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import TaskError
from tasks.io.atomic import replacing
from tasks.io.hashing import hash_of
from tasks.subprocesses import ChildFailed, Reply, run_isolated, serve

EXAMPLES_FOLDER = Path(__file__).parent
TEST_SHARE = 0.3
PREPARATION_SECONDS = 300.0
TASK_FILES = ("task.yaml", "description.md", "leaderboard.csv")
"""The files of each example in the package, which are copied beside its data."""

Cell = int | float | str
Table = tuple[list[str], list[list[Cell]]]
"""Feature names, and rows of features with the target last."""


@dataclass(frozen=True)
class Example:
    """An example task: its table, the names of its columns, and the value of the sample submission."""

    id: str
    rows: int
    id_column: str
    target: str
    sample_value: Cell
    table: Callable[[], Table]

    @property
    def test_rows(self) -> int:
        """The number of test rows."""
        return round(self.rows * TEST_SHARE)

    @property
    def train_rows(self) -> int:
        """The number of labelled public rows."""
        return self.rows - self.test_rows


def _digits() -> Table:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    names = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
    pixels, labels = bunch.data.tolist(), bunch.target.tolist()
    return names, [[*map(int, values), int(label)] for values, label in zip(pixels, labels, strict=True)]


def _breast_cancer() -> Table:
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in bunch.feature_names]
    # The bundled file has 0 for malignant; the positive class should be 1.
    values, labels = bunch.data.tolist(), bunch.target.tolist()
    return names, [[*row, 1 - int(label)] for row, label in zip(values, labels, strict=True)]


def _diabetes() -> Table:
    from sklearn.datasets import load_diabetes

    bunch = load_diabetes(scaled=False)
    names = ["age", "sex", "body_mass_index", "blood_pressure"]
    names += ["total_cholesterol", "ldl", "hdl", "cholesterol_ratio", "log_triglycerides", "glucose"]
    values, targets = bunch.data.tolist(), bunch.target.tolist()
    return names, [[*row, float(target)] for row, target in zip(values, targets, strict=True)]


EXAMPLES: dict[str, Example] = {
    example.id: example
    for example in (
        Example("digits", 1797, "image_id", "digit", 0, _digits),
        Example("breast-cancer", 569, "sample_id", "malignant", 0.5, _breast_cancer),
        Example("diabetes", 442, "patient_id", "progression", 150.0, _diabetes),
    )
}


def prepare_example(name: str, home: Path) -> Path:
    """The folder `home`/data/`name` with the task files and data of an example; made atomically if it is missing.

    An existing folder keeps its data; its task files are replaced by those of this version. Raises TaskError if the
    folder cannot be written.
    """
    example, folder = EXAMPLES[name], home / "data" / name
    try:
        if not folder.exists():
            _make(example, folder)
        for file in TASK_FILES:
            _copy_if_changed(EXAMPLES_FOLDER / name / file, folder / file)
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"{folder}: the example cannot be prepared ({reason}). Free disk space, or set HARNESS_HOME to a"
        raise TaskError(f"{message} writable folder.") from None
    return folder


def _make(example: Example, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        draft.chmod(0o755)
        for file in TASK_FILES:
            _copy_if_changed(EXAMPLES_FOLDER / example.id / file, draft / file)
        _write_data_in_child(example, draft)
        try:
            draft.rename(folder)
        except OSError:
            if not folder.exists():  # otherwise another process made the same folder
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_data_in_child(example: Example, folder: Path) -> None:
    """`write_data` in a child process: scikit-learn takes 130 MB, which a long run should not keep."""
    try:
        reply = run_isolated(
            "tasks.examples.prepare", {"example": example.id, "folder": str(folder)}, PREPARATION_SECONDS
        )
    except ChildFailed as failure:
        raise TaskError(f"{folder.parent}: the example {example.id} cannot be prepared: {failure}") from None
    if "errno" in reply:
        raise OSError(reply["errno"], reply["error"])
    if "error" in reply:
        raise TaskError(reply["error"])


def _perform(request: dict[str, Any]) -> Reply:
    try:
        write_data(EXAMPLES[request["example"]], Path(request["folder"]))
    except TaskError as error:
        return {"error": str(error)}
    except OSError as error:
        return {"error": error.strerror or str(error), "errno": error.errno}
    return {}


def _copy_if_changed(source: Path, target: Path) -> None:
    content = source.read_bytes()
    if target.exists() and target.read_bytes() == content:
        return
    with replacing(target) as draft:
        draft.write_bytes(content)


def write_data(example: Example, folder: Path) -> None:
    """Write public/ and private/ of an example into `folder`; private/ is readable by the owner only."""
    features, rows = example.table()
    if len(rows) != example.rows:
        message = f"{example.id}: the installed scikit-learn has {len(rows)} rows, expected {example.rows}."
        raise TaskError(f"{message} Install the version in constraints.txt.")
    ids = _draw_ids(example.id, len(rows))
    order = sorted(range(len(rows)), key=lambda row: _hash(f"{example.id} order {row}"))
    test, train = order[: example.test_rows], order[example.test_rows :]
    public, private = folder / "public", folder / "private"
    public.mkdir()
    private.mkdir(mode=0o700)
    shutil.copyfile(EXAMPLES_FOLDER / example.id / "description.md", public / "description.md")
    answer = [example.id_column, example.target]
    _write(public / "train.csv", [example.id_column, *features, example.target], [[ids[r], *rows[r]] for r in train])
    _write(public / "test.csv", [example.id_column, *features], [[ids[r], *rows[r][:-1]] for r in test])
    _write(public / "sample_submission.csv", answer, [[ids[r], example.sample_value] for r in test])
    _write(private / "answers.csv", answer, [[ids[r], rows[r][-1]] for r in test])


def _hash(text: str) -> int:
    return int(hash_of(text)[:16], 16)


def _draw_ids(salt: str, count: int) -> list[int]:
    """Distinct six-digit numbers, one per row, independent of the rows."""
    ids: list[int] = []
    seen: set[int] = set()
    draw = 0
    while len(ids) < count:
        number = 100_000 + _hash(f"{salt} id {draw}") % 900_000
        draw += 1
        if number not in seen:
            seen.add(number)
            ids.append(number)
    return ids


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    serve(_perform)
