"""The folder of a valid task, for tests that load it or damage it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.task import TaskError, load_task

WHOLE = """\
id: churn
title: Predict which customers leave
description: description.md
metric: roc_auc
data: {public: public/, private: private/}
submission:
  sample: public/sample_submission.csv
  id: customer_id
  target: left
labels: {file: public/train.csv, id: customer_id, target: left, group: household, stratify: true}
thresholds: {gold: 0.92, silver: 0.90, bronze: 0.88, median: 0.80}
run: {model: a/b, base_url: "http://localhost:8000/v1", hours: 24, cost: 20, sandbox: docker}
"""


def make_folder(folder: Path) -> Path:
    (folder / "public").mkdir(parents=True)
    (folder / "private").mkdir()
    (folder / "task.yaml").write_text(WHOLE)
    (folder / "description.md").write_text("# Who leaves?\n")
    (folder / "public/train.csv").write_text("customer_id,household,age,left\n1,1,30,0\n")
    (folder / "public/sample_submission.csv").write_text("customer_id,left\n2,0\n")
    (folder / "private/answers.csv").write_text("customer_id,left\n2,1\n")
    return folder


def refusal(folder: Path, text: str | bytes | None = None) -> str:
    """The error message for `text` as task.yaml, with the folder removed from paths."""
    if text is not None:
        (folder / "task.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(TaskError) as caught:
        load_task(folder / "task.yaml")
    return str(caught.value).replace(f"{folder}/", "")
