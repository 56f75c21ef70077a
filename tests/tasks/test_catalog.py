"""Find tasks by name or path, and list them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.catalog import count_rows, find_task, list_tasks, task_row
from tasks.errors import TaskError


def test_list_equals_the_prepared_tasks_and_prepares_nothing(tmp_path: Path) -> None:
    listed = {row.name: row for row in list_tasks(tmp_path)}
    assert list(listed) == ["digits", "breast-cancer", "diabetes"] and not list(tmp_path.iterdir())
    assert not listed["diabetes"].prepared and listed["diabetes"].direction == "lower"
    for name, row in listed.items():
        task = find_task(name, tmp_path)
        counted = task_row(task)
        assert (counted.train_rows, counted.test_rows, counted.thresholds) == (
            row.train_rows,
            row.test_rows,
            row.thresholds,
        )
        assert (counted.title, counted.metric, counted.lower_is_better) == (row.title, row.metric, row.lower_is_better)
    assert all(row.prepared for row in list_tasks(tmp_path))


def test_example_has_answers_and_hidden_paths(tmp_path: Path) -> None:
    task = find_task("digits", tmp_path)
    assert task.folder == tmp_path / "data" / "digits" and task.path == task.folder / "task.yaml"
    assert task.answers == task.folder / "private" / "answers.csv" and task.hidden == ("sklearn/datasets/data",)
    assert find_task(str(task.path), tmp_path) == find_task(str(task.folder), tmp_path) == task


def test_hidden_paths_exist_and_contain_the_bundled_tables(tmp_path: Path) -> None:
    import sklearn

    packages = Path(sklearn.__file__).parent.parent
    for name in ("digits", "breast-cancer", "diabetes"):
        for hidden in find_task(name, tmp_path).hidden:
            assert (packages / hidden).exists()
    tables = {path.name for path in packages.glob("sklearn/**/*") if path.suffix in (".csv", ".gz")}
    masked = {path.name for path in (packages / "sklearn/datasets/data").iterdir()}
    for word in ("digits", "cancer", "diabetes"):
        assert {name for name in tables if word in name} <= masked


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digit", "Did you mean digits?"),
        ("Breast_Cancer", "Did you mean breast-cancer?"),
        ("zzz", "`harness tasks`"),
        ("", "has no name"),
        ("  ", "has no name"),
        ("a\0b", "has no name"),
        ("./digits", "does not exist"),
        ("nowhere/task.yaml", "does not exist"),
        ("x" * 5000, "cannot be read"),
    ],
)
def test_unknown_task_is_reported_with_a_hint(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(TaskError) as caught:
        find_task(name, tmp_path)
    assert message in str(caught.value)


def test_count_rows_counts_csv_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('id,text\n1,"two\nlines"\n2,x\n\n')
    assert count_rows(tmp_path / "a.csv") == 2
    assert count_rows(tmp_path / "none.csv") is None


def test_listing_tasks_imports_no_numeric_library() -> None:
    code = (
        "import sys, pathlib; from tasks import catalog, prompt_card; catalog.list_tasks(pathlib.Path('none'));"
        "sys.exit(any(name in sys.modules for name in ('pandas', 'numpy', 'sklearn')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
