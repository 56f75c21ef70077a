"""The list of runs and the pages of sweeps: live runs are read on, sweeps link to their runs."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from harness.sweep.store import Store
from runs.events.registry import ModelReplied, Usage
from runs.journal import EVENTS, Journal
from runs.page import app
from runs.page.facts.all_runs import AllRuns
from tests.day_run import write_day_run
from tests.page_server import serve, write_sweep

RUN, MISSING = "20261130-080000_digits_0_s", "20261130-080000_digits_1_s"


def test_a_sweep_lists_its_runs_with_links_to_those_that_began(tmp_path: Path) -> None:
    write_day_run(tmp_path / "runs" / RUN, 0.04, output_mb=0.1, has_code=False)
    write_sweep(tmp_path, "s", RUN, MISSING)
    store = Store(tmp_path, "s")
    for key, kind, reason in (("r0", "done", ""), ("r1", "refused", "<b>no</b> such data")):
        store.append(key, "started", worker="host", events=0)
        store.append(key, "ended", kind=kind, reason=reason)
    with serve(tmp_path) as server:
        assert 'href="/sweep/s"' in server.get("/").text
        page = server.get("/sweep/s")
        assert server.get("/sweep/other").status == 404
    assert page.status == 200 and page.text.count("<tr") == 3
    assert "&lt;b&gt;no&lt;/b&gt; such data" in page.text and "no run folder" in page.text
    hours = json.loads((tmp_path / "runs" / RUN / "summary.json").read_text())["active_seconds"] / 3600
    assert f'data-value="{hours}"' in page.text, "sorted by the number, not by `23 h 36 min`"
    assert f'href="/run/{RUN}"' in page.text and f'href="/run/{MISSING}"' not in page.text


def test_a_damaged_plan_of_a_sweep_is_named(tmp_path: Path) -> None:
    write_sweep(tmp_path, "s", RUN)
    (tmp_path / "sweeps" / "s" / "plan.json").write_text("{")
    with serve(tmp_path) as server:
        page = server.get("/sweep/s")
    assert page.status == 404 and "plan.json is damaged" in page.text


def test_the_row_of_a_live_run_follows_its_journal(tmp_path: Path) -> None:
    folder = write_day_run(tmp_path / "runs" / RUN, 0.04, output_mb=0.1, has_code=False, is_open=True)
    runs = AllRuns(tmp_path / "runs", tmp_path / "grades")
    before = runs.facts(RUN)["turns"]
    with Journal.open(folder) as journal:
        for count in (1, 2):
            journal.append(ModelReplied(attempt=1, request=9_000, message="{}", usage=Usage(prompt=1, completion=1)))
            assert runs.facts(RUN)["turns"] == before + count
        row = runs.rows()[0]
    assert row["is_live"] and row["status"] == "running"


def test_while_a_journal_is_read_the_summary_is_shown(tmp_path: Path) -> None:
    folder = write_day_run(tmp_path / "runs" / RUN, 0.04, output_mb=0.1, has_code=False)
    preview = AllRuns(tmp_path / "runs", tmp_path / "grades").preview(folder)
    assert preview is not None and preview["attempts"] == 4 and "±" in preview["score"]
    assert preview["last"] and preview["status"].startswith("ended")
    later = time.time() + 5  # newer than the summary, which is shown all the same
    os.utime(folder / EVENTS, (later, later))
    assert AllRuns(tmp_path / "runs", tmp_path / "grades").preview(folder) == preview
    with Journal.open(folder):  # played again, as after `harness extend`
        live = AllRuns(tmp_path / "runs", tmp_path / "grades").preview(folder)
    assert live is not None and (live["status"], live["is_live"]) == ("running", True)
    (folder / "summary.json").unlink()
    assert AllRuns(tmp_path / "runs", tmp_path / "grades").preview(folder) is None


@pytest.mark.parametrize("fields", [{"progress": []}, {"status": 5}, {"progress": [[1]]}, {"cost": "much"}])
def test_a_summary_of_another_form_is_read_from_the_journal(tmp_path: Path, fields: dict[str, Any]) -> None:
    folder = write_day_run(tmp_path / "runs" / RUN, 0.04, output_mb=0.1, has_code=False)
    known = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps(fields if fields == {"progress": []} else known | fields))
    runs = AllRuns(tmp_path / "runs", tmp_path / "grades")
    assert runs.preview(folder) is None
    assert runs.rows()[0]["attempts"] == 4


def test_a_page_shows_the_summary_first_and_its_sections_once_the_journal_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "READING_SECONDS", 0.0)
    write_day_run(tmp_path / "runs" / RUN, 0.1, output_mb=0.1, has_code=False)
    with serve(tmp_path) as server:
        first = server.get(f"/run/{RUN}").text
        assert 'id="reading"' in first and 'id="s-head"' not in first
        assert "<dt>score</dt>" in first and "<polyline points=" in first
        assert 'id="s-head"' in server.get(f"/run/{RUN}/sections").text


def test_a_page_of_a_turn_is_asked_for_again_while_the_journal_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "PAGE_SECONDS", 0.0)
    write_day_run(tmp_path / "runs" / RUN, 0.1, output_mb=0.1, has_code=False)
    with serve(tmp_path) as server:
        first = server.get(f"/run/{RUN}/turn/3")
        assert (first.status, first.headers["refresh"]) == (503, "1") and "being read" in first.text
        assert server.get(f"/run/{RUN}/turn/3?part=1").status == 200, "who asks for a part waits"
