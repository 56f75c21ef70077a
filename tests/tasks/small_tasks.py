"""Small tasks on disk, as users write them, with cells that type conversion would change."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from tasks.task import Task, load_task

Row = list[str]
ODD_CELLS = ["007", "1.10", "NA", "", "nul", 'say "yes", twice', "two\nlines", " padded ", "äöü", "1e3", "True", "null"]


def write_table(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """A CSV with every cell quoted: equal as a table to what the harness writes, different in its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)


def read_table(path: Path) -> list[Row]:
    """The rows of a CSV, header first, as text."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def churn(
    folder: Path,
    metric: str = "accuracy",
    train_rows: int = 200,
    test_rows: int = 60,
    label: Callable[[random.Random], str] = lambda draw: draw.choice(["stays", "leaves", "unsure"]),
    sample: str = "stays",
    labels: str = "stratify: true",
    households: int = 25,
    more: str = "",
) -> Task:
    """A task in `folder`: customers with an id, a note of odd text, a household, and whether they leave.

    `labels` are further keys of the `labels:` section; an empty string omits the section.
    """
    draw = random.Random(5)
    ids = [str(number) for number in draw.sample(range(10_000, 99_999), train_rows + test_rows)]
    rows = [[name, draw.choice(ODD_CELLS), f"h{draw.randrange(households)}", label(draw)] for name in ids]
    header = ["customer", "note", "household", "left"]
    train, test = rows[:train_rows], rows[train_rows:]
    write_table(folder / "public/train.csv", [header, *train])
    write_table(folder / "public/test.csv", [header[:3], *(row[:3] for row in test)])
    write_table(folder / "public/sample_submission.csv", [["customer", "left"], *([row[0], sample] for row in test)])
    write_table(folder / "private/answers.csv", [["customer", "left"], *([row[0], row[3]] for row in test)])
    (folder / "public/notes").mkdir()
    (folder / "public/notes/read_me.txt").write_text("Nothing of interest.\n", encoding="utf-8")
    (folder / "description.md").write_text("Who leaves?\n", encoding="utf-8")
    section = f"labels: {{file: public/train.csv, id: customer, target: left, {labels}}}" if labels else ""
    lines = [
        "id: churn",
        "description: description.md",
        f"metric: {metric}",
        "data: {public: public/, private: private/}",
        "submission: {sample: public/sample_submission.csv, id: customer, target: left}",
        section,
        more,
    ]
    (folder / "task.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load_task(folder / "task.yaml")


def truth(task: Task) -> dict[str, str]:
    """The correct answer of every row, labelled or to predict."""
    assert task.answers is not None
    train = {row[0]: row[3] for row in read_table(task.public / "train.csv")[1:]}
    return train | {row[0]: row[1] for row in read_table(task.answers)[1:]}
