"""The task's own submission, from the test rows of a submission for a blend. `harness export` copies this module."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.io.columns import Columns


def restore_test_rows(
    test: Columns, id_column: str, originals: list[str] | None, header: Sequence[str], rest: Columns | None
) -> Columns:
    """The test rows with their ids in the task's own sample, and its columns in its order.

    `originals` are these ids, where some differ; columns that are not targets have the cells of `rest`.
    """
    if originals is not None:
        test = test.with_column(id_column, originals)
    if list(header) == test.header:
        return test
    blank = [""] * len(test)
    columns = [test.column(name) if name in test.header else rest.column(name) if rest else blank for name in header]
    return Columns(header, columns)
