"""Search reads all texts of a run: events, long texts beside them, and whole outputs of jobs, also of other folds."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from runs.events.registry import Warned
from runs.journal import Journal
from runs.page.facts import find
from runs.page.facts.find import find_text
from runs.page.facts.run_view import RunView
from tests.day_run import write_day_run
from tests.page_server import serve

RUN = "20261130-080000_digits_0_found"
JOB = "e-001-1-fold3"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_day_run(tmp_path_factory.mktemp("home") / "runs" / RUN, 0.04, output_mb=0.1, has_code=False)
    with Journal.open(folder) as journal:
        journal.append(Warned(message=f"{'x' * 40_000} Needle 1"))
    for path, text in (("jobs/00101-0/log", "needle 2"), (f"fold_jobs/fold3/001-1/{JOB}/log", "NEEDLE 3")):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"y" * find.CHUNK + text.encode() + b"\xff\n")
    return folder


def test_events_long_texts_and_outputs_are_found(folder: Path) -> None:
    view = RunView(folder)
    view.refresh()
    found = find_text(view, "needle")
    assert [hit["parts"][1] for hit in found["hits"]] == ["Needle", "needle", "NEEDLE"]
    assert [hit.get("job") for hit in found["hits"]] == [None, "00101-0", JOB]
    assert (found["more"], found["unread"]) == (False, 0)


def test_a_hit_in_an_output_opens_the_output_there(folder: Path) -> None:
    with serve(folder.parents[1]) as server:
        hits = json.loads(server.get(f"/run/{RUN}/search?q={quote('needle 3')}").text)["hits"]
        page = server.get(f"/run/{RUN}/job/{hits[0]['job']}?from={hits[0]['from']}")
    assert page.status == 200 and "NEEDLE 3" in page.text


def test_outputs_that_take_too_long_are_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "OUTPUT_SECONDS", -1.0)
    view = RunView(folder)
    view.refresh()
    found = find_text(view, "needle")
    assert len(found["hits"]) == 1 and found["unread"] > 2


def test_a_link_in_place_of_an_output_is_not_followed(folder: Path) -> None:
    secret = folder.parent / "secret"
    secret.write_text("needle of another")
    link = folder / "jobs" / "linked" / "log"
    link.parent.mkdir()
    link.symlink_to(secret)
    view = RunView(folder)
    view.refresh()
    assert not [hit for hit in find_text(view, "needle of another")["hits"] if hit.get("job")]
    with serve(folder.parents[1]) as server:
        assert server.get(f"/run/{RUN}/job/linked").status == 404


def test_a_hit_in_the_arguments_of_a_call_reads_as_it_was_written(folder: Path) -> None:
    view = RunView(folder)
    view.refresh()
    hit = find_text(view, "step_12 = ")["hits"][0]
    assert "\\" not in "".join(hit["parts"]) and "step_11 = " in hit["parts"][0]
