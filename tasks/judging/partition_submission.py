"""A submission for a blend cut apart: held-out rows, select rows, and the task's own submission of the test rows.

`<custody>/ids.csv` has the ids of the shown sample, `key.csv` what each of its rows is.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tasks.holdout.blend import Blend, read_meta
from tasks.holdout.build import HELD_OUT, SELECT, TEST
from tasks.holdout.private_labels import read_labels
from tasks.io.columns import Columns, read_columns
from tasks.judging.validate_submission import SIZE_CAP, Format, read_submission

ANSWERS = {HELD_OUT: "answers.csv", SELECT: "select.csv"}


@dataclass(frozen=True)
class Cut:
    """A submission cut apart, cells as text.

    `held_out`: id and targets in the order of `answers`; `units` names what each row must stay together with.
    `select`: the same of the select rows. `test`: the task's own submission, in the original order, ids and columns.
    """

    held_out: Columns
    answers: Columns
    units: list[str]
    select: Columns
    test: Columns


@dataclass(frozen=True)
class _Key:
    """What the rows of the shown sample are; there may be ten million of them.

    `at` says of each role where its rows stand in the sample, in the order of the role's own file. `units` may be
    empty: each row is one of its own. `originals` are ids in the task's own sample, by place, where they are others.
    """

    ids: list[str]
    at: Mapping[str, array[int]]
    units: list[str]
    originals: Mapping[int, str]


def format_of(blend: Blend) -> Format:
    """What a submission for this blend must look like."""
    return _format(read_meta(blend.private_labels), _read_key(blend.private_labels))


def cut(blend: Blend, submission: Path, size_cap: int = SIZE_CAP) -> Cut:
    """Cut a submission for the blend into its held-out rows, its select rows and the submission of the test rows.

    Raises `checking.SubmissionRefused`.
    """
    meta, key = read_meta(blend.private_labels), _read_key(blend.private_labels)
    given = read_submission(submission, _format(meta, key), size_cap)
    held_out, select, test = (given.take(key.at[role]) for role in (HELD_OUT, SELECT, TEST))
    if key.originals:
        test = test.with_column(meta["id"], [key.originals.get(at, key.ids[at]) for at in key.at[TEST]])
    answers, units = answers_of(blend, HELD_OUT)
    return Cut(held_out, answers, units, select, _whole(blend, meta["columns"], test))


def answers_of(blend: Blend, role: str) -> tuple[Columns, list[str]]:
    """The answers of a role's rows and the unit of each row, in the order of `cut`."""
    answers, key = read_labels(blend.private_labels / ANSWERS[role], "judging"), _read_key(blend.private_labels)
    return answers, [key.units[at] for at in key.at[role]] if key.units else [""] * len(answers)


def _whole(blend: Blend, header: list[str], test: Columns) -> Columns:
    """The task's own submission: the sample's columns, in its order; what no one is asked for is as in the sample."""
    if header == test.header:
        return test
    path = blend.private_labels / "rest.csv"
    rest = read_columns(path) if path.exists() else None
    blank = [""] * len(test)
    columns = [test.column(name) if name in test.header else rest.column(name) if rest else blank for name in header]
    return Columns(header, columns)


@lru_cache(1)
def _read_key(private_labels: Path) -> _Key:
    import numpy as np
    import pandas as pd

    types: Any = {"role": "category", "row": "int64", "unit": object, "original": object}
    frame = pd.read_csv(
        private_labels / "key.csv", usecols=[*types], dtype=types, na_filter=False, encoding_errors="surrogateescape"
    )
    at = {}
    for role in (HELD_OUT, SELECT, TEST):
        rows = np.flatnonzero(frame["role"] == role)
        ordered = np.empty(len(rows), dtype=np.int64)
        ordered[frame["row"].to_numpy()[rows]] = rows
        at[role] = array("q", ordered.tobytes())
    units, originals = frame["unit"], frame["original"]
    others = np.flatnonzero(originals != "")
    ids = private_labels / "ids.csv"
    names = read_columns(ids if ids.exists() else private_labels / "key.csv").column(
        "id"
    )  # one file in blends made before
    return _Key(
        names,
        at,
        units.tolist() if (units != "").any() else [],
        dict(zip(others.tolist(), originals.to_numpy()[others], strict=True)),
    )


def _format(meta: dict[str, Any], key: _Key) -> Format:
    return Format(
        columns=(meta["id"], *meta["targets"]),
        id=meta["id"],
        targets=tuple(meta["targets"]),
        ids=key.ids,
        numbers=meta["metric"]["needs"] != "labels",
        may_be_missing=meta["may_be_missing"],
    )
