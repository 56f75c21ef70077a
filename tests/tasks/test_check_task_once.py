"""The leak checks of a task run once for each blend; the findings are kept beside the private labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.leakage import task as leakage
from tasks.leakage.task import check_task_once
from tasks.subprocesses import ChildFailed
from tests.tasks.small_tasks import churn

FINDING = {"kind": "duplicates", "message": "rows 1 and 2 are equal", "agent_may_see": False}


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The child processes that were started; each reports one finding."""
    started: list[str] = []

    def report(module: str, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        started.append(module)
        return {"findings": [FINDING]}

    monkeypatch.setattr(leakage, "run_isolated", report)
    return started


def test_second_check_reads_the_kept_findings(tmp_path: Path, children: list[str]) -> None:
    task = churn(tmp_path / "churn")
    first = check_task_once(task, tmp_path)
    assert check_task_once(task, tmp_path) == first
    assert [finding.kind for finding in first] == ["duplicates"]
    assert len(children) == 1
    assert (tmp_path / "leaks.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "[]", '{"checks": "older", "findings": []}', '{"findings": [1]}'])
def test_findings_of_other_checks_or_damaged_ones_are_replaced(
    tmp_path: Path, children: list[str], content: str
) -> None:
    task = churn(tmp_path / "churn")
    (tmp_path / "leaks.json").write_text(content)
    assert check_task_once(task, tmp_path) == check_task_once(task, tmp_path)
    assert len(children) == 1


def test_a_check_that_failed_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(module: str, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        raise ChildFailed("killed")

    monkeypatch.setattr(leakage, "run_isolated", fail)
    assert [finding.kind for finding in check_task_once(churn(tmp_path / "churn"), tmp_path)] == ["not checked"]
    assert not (tmp_path / "leaks.json").exists()


def test_findings_that_cannot_be_kept_are_still_reported(tmp_path: Path, children: list[str]) -> None:
    task = churn(tmp_path / "churn")
    assert len(check_task_once(task, tmp_path / "missing")) == 1
