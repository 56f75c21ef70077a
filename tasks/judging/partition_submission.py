"""Partition a submission for a blend: held-out rows, select rows, and the task's own submission of the test rows.

Of the blend's private labels, `ids.csv` has the ids of the shown sample and `key.csv` the role of each of its rows.
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
from tasks.io.columns import Columns, read_columns, write_columns
from tasks.judging.restore_test_rows import restore_test_rows
from tasks.judging.validate_submission import SIZE_CAP, Format, read_submission

ANSWERS = {HELD_OUT: "answers.csv", SELECT: "select.csv"}


@dataclass(frozen=True)
class Partition:
    """The parts of a submission, cells as text.

    `held_out`: id and targets in the order of `answers`; `units` names the rows that must stay together.
    `select`: the same for the select rows. `test`: the task's own submission, with its order, ids and columns.
    """

    held_out: Columns
    answers: Columns
    units: list[str]
    select: Columns
    test: Columns


@dataclass(frozen=True)
class _Key:
    """The role of each row of the shown sample, of which there may be ten million.

    `rows` has for each role the indices of its rows in the sample, in the order of the role's own file. `units` may be
    empty: each row is its own unit. `originals` has the ids in the task's own sample, by row, where they differ.
    """

    ids: list[str]
    rows: Mapping[str, array[int]]
    units: list[str]
    originals: Mapping[int, str]


def format_of(blend: Blend) -> Format:
    """What a submission for this blend must look like."""
    return _format(read_meta(blend.private_labels), _read_key(blend.private_labels))


def partition_submission(blend: Blend, submission: Path, size_cap: int = SIZE_CAP) -> Partition:
    """Partition a submission for the blend into held-out rows, select rows and the submission of the test rows.

    Raises `SubmissionRefused`.
    """
    meta, key = read_meta(blend.private_labels), _read_key(blend.private_labels)
    table = read_submission(submission, _format(meta, key), size_cap)
    held_out, select, test = (table.take(key.rows[role]) for role in (HELD_OUT, SELECT, TEST))
    originals = [key.originals.get(row, key.ids[row]) for row in key.rows[TEST]] if key.originals else None
    answers, units = answers_of(blend, HELD_OUT)
    test = restore_test_rows(test, meta["id"], originals, meta["columns"], _rest_of(blend))
    return Partition(held_out, answers, units, select, test)


def write_test_rows(blend: Blend, out: Path) -> dict[str, Any]:
    """Write which rows of a blend's sample are test rows, and nothing else of its private labels.

    `out` gets `ids.csv` (of all rows in the order of the sample) and `test_rows.csv` (the position of each test row in
    it, and its id in the task's own sample). If the task's sample has further columns, it also gets `rest.csv`. Returns
    what else is needed to make the task's submission of one for the blend: names of columns and facts of the metric.
    """
    meta, key = read_meta(blend.private_labels), _read_key(blend.private_labels)
    out.mkdir(parents=True)
    rows = key.rows[TEST]
    originals = [key.originals.get(row, key.ids[row]) for row in rows]
    write_columns(out / "ids.csv", Columns(["id"], [key.ids]))
    write_columns(out / "test_rows.csv", Columns(["row", "id"], [[str(row) for row in rows], originals]))
    if (rest := _rest_of(blend)) is not None:
        write_columns(out / "rest.csv", rest)
    return {
        "columns": meta["columns"],
        "id": meta["id"],
        "targets": meta["targets"],
        "may_be_missing": meta["may_be_missing"],
        "needs": blend.metric.needs,
        "is_rank_based": blend.metric.is_rank_based,
        "has_own_metric": blend.metric.file is not None,
        "is_renamed": bool(key.originals),
    }


def answers_of(blend: Blend, role: str) -> tuple[Columns, list[str]]:
    """The answers of a role's rows and the unit of each row, in the order of `Partition`."""
    answers, key = read_labels(blend.private_labels / ANSWERS[role], "judging"), _read_key(blend.private_labels)
    return answers, [key.units[row] for row in key.rows[role]] if key.units else [""] * len(answers)


def _rest_of(blend: Blend) -> Columns | None:
    """The cells of columns of the task's sample that are not targets."""
    path = blend.private_labels / "rest.csv"
    return read_columns(path) if path.exists() else None


@lru_cache(1)
def _read_key(private_labels: Path) -> _Key:
    import numpy as np
    import pandas as pd

    types: Any = {"role": "category", "row": "int64", "unit": object, "original": object}
    frame = pd.read_csv(
        private_labels / "key.csv", usecols=[*types], dtype=types, na_filter=False, encoding_errors="surrogateescape"
    )
    indices = {}
    for role in (HELD_OUT, SELECT, TEST):
        rows = np.flatnonzero(frame["role"] == role)
        ordered = np.empty(len(rows), dtype=np.int64)
        ordered[frame["row"].to_numpy()[rows]] = rows
        indices[role] = array("q", ordered.tobytes())
    units, originals = frame["unit"], frame["original"]
    renamed = np.flatnonzero(originals != "")
    ids = private_labels / "ids.csv"  # older blends have the ids in key.csv
    return _Key(
        read_columns(ids if ids.exists() else private_labels / "key.csv").column("id"),
        indices,
        units.tolist() if (units != "").any() else [],
        dict(zip(renamed.tolist(), originals.to_numpy()[renamed], strict=True)),
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
