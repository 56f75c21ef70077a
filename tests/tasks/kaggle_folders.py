"""Folders of files as Kaggle gives them, made from the wine data of scikit-learn, with the answers kept apart."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

ROWS, TRAIN = 178, 130


@dataclass(frozen=True)
class KaggleFolder:
    """The files by name, and the answers of the test rows by id."""

    files: dict[str, str]
    answers: dict[str, str]

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.files.items():
            (folder / name).write_text(text)
        return folder

    def zipped(self) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for name, text in self.files.items():
                archive.writestr(name, text)
        return stream.getvalue()

    def accuracy(self, uploaded: bytes) -> float:
        rows = [line.split(",") for line in uploaded.decode().splitlines()[1:]]
        assert [row[0] for row in rows] == list(self.answers)
        return sum(self.answers[row[0]] == row[1] for row in rows) / len(rows)


def wine_folder(labels: tuple[str, ...] = ("red", "rose", "white"), onehot: bool = False) -> KaggleFolder:
    """Ids count up from train to test, as on Kaggle; the sample has the same label, or the same share, in every row."""
    from sklearn.datasets import load_wine

    frame = load_wine(as_frame=True).frame.sample(frac=1, random_state=0, ignore_index=True)
    frame["target"] = [labels[number % len(labels)] for number in frame["target"]]
    frame.insert(0, "Id", range(1, ROWS + 1))
    train, test = frame[:TRAIN], frame[TRAIN:]
    sample = test[["Id"]].assign(target=labels[0])
    if onehot:
        sample = test[["Id"]].assign(**dict.fromkeys(labels, 1 / len(labels)))
    files = {"train.csv": train, "test.csv": test.drop(columns="target"), "sample_submission.csv": sample}
    answers = dict(zip(test["Id"].astype(str), test["target"].astype(str), strict=True))
    return KaggleFolder({name: table_text(table) for name, table in files.items()}, answers)


def table_text(table: pd.DataFrame) -> str:
    text = table.to_csv(index=False)
    assert isinstance(text, str)
    return text
