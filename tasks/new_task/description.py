"""The description of a new task: what is predicted, how it is scored, the columns, and a place to complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks.metrics.metric import Metric
from tasks.new_task.column_types import Column
from tasks.new_task.request import TaskRequest
from tasks.new_task.targets import Target

SHOWN_COLUMNS = 60
TO_COMPLETE = "<!-- Describe what the columns mean and what the task is for. -->\n"


def describe_task(
    request: TaskRequest,
    target: Target,
    metric: Metric,
    columns: Mapping[str, Column],
    rows: int,
    more: Sequence[str] = (),
) -> str:
    """Markdown for the model and for people; `more` are paragraphs about files."""
    title = ", ".join(target.labels[:5]) + (" ..." if len(target.labels) > 5 else "")
    parts = [f"# {title}", what_to_predict(target), f"Scored by {metric.name}: {metric.doc}"]
    if request.time:
        parts.append(f"The rows to predict are later than those of `train.csv` (column `{request.time}`).")
    if request.group:
        parts.append(f"No value of `{request.group}` is among the rows of both `train.csv` and `test.csv`.")
    shown = list(columns.values())[:SHOWN_COLUMNS]
    if shown:
        left = f"\n- {len(columns) - SHOWN_COLUMNS} more columns" if len(columns) > SHOWN_COLUMNS else ""
        parts.append("Columns:\n\n" + "\n".join(f"- `{one.name}`: {one.describe(rows)}" for one in shown) + left)
    return "\n\n".join([*parts, *more, TO_COMPLETE])


def what_to_predict(target: Target) -> str:
    """What the cells of a submission are."""
    name = target.labels[0]
    if target.answer == "map":
        return f"Predict the probability that `{name}` is `{target.positive}` for every row of `test.csv`."
    if target.answer == "onehot":
        return (
            f"Predict the probability of each label of `{name}` for every row of `test.csv`: the sample submission has "
            "a column for each."
        )
    names = ", ".join(f"`{one}`" for one in target.labels[:20]) + (" ..." if len(target.labels) > 20 else "")
    contains = "`train.csv` contains it." if len(target.labels) == 1 else "`train.csv` contains them."
    return f"Predict {names} for every row of `test.csv`. {contains}"
