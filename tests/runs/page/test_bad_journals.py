"""Journals that are torn, damaged, newer, or still being written are shown as far as they can be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runs.events.registry import RunCreated, Warned
from runs.journal import EVENTS, Journal
from runs.page.facts.run_view import RunView
from runs.serialization import JournalMissing
from tests.day_run import write_day_run
from tests.page_server import serve

RUN = "20261130-080000_digits_0_bad"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_day_run(tmp_path / "runs" / RUN, 0.04, output_mb=0.1, has_code=False)


def test_a_torn_end_is_left_out_and_read_once_it_is_whole(folder: Path) -> None:
    lines = (folder / EVENTS).read_bytes().splitlines(keepends=True)
    (folder / EVENTS).write_bytes(b"".join(lines[:40]) + lines[40][:25])
    view = RunView(folder)
    assert view.refresh() == 40
    (folder / EVENTS).write_bytes(b"".join(lines))
    assert view.refresh() == len(lines) - 40
    assert view.journal.damage == ""


def test_a_damaged_line_ends_what_is_shown_and_is_named(folder: Path) -> None:
    lines = (folder / EVENTS).read_bytes().splitlines(keepends=True)
    lines[60] = lines[60].replace(b'"seq":60', b'"seq":61')
    (folder / EVENTS).write_bytes(b"".join(lines))
    with serve(folder.parents[1]) as server:
        page = server.get(f"/run/{RUN}")
        assert page.status == 200 and "line 61 is damaged" in page.text
        assert server.get(f"/run/{RUN}/turn/3").status == 200


def test_unknown_kinds_and_fields_are_counted_as_newer(folder: Path) -> None:
    lines = (folder / EVENTS).read_bytes().splitlines(keepends=True)
    fields = json.loads(lines[-1])
    strange = {"seq": len(lines), "at": fields["at"], "mono": fields["mono"], "kind": "dreamt", "of": "sheep"}
    (folder / EVENTS).write_bytes(b"".join(lines) + json.dumps(strange).encode() + b"\n")
    view = RunView(folder)
    view.refresh()
    assert view.newer["dreamt.of"] == 1
    assert view.rows[-1].text.startswith("event dreamt")


def test_a_missing_blob_is_told_where_its_text_would_stand(folder: Path) -> None:
    view = RunView(folder)
    view.refresh()
    number = next(row.turn for row in view.rows if row.text.startswith("write_file"))
    for blob in (folder / "blobs").iterdir():
        blob.unlink()
    with serve(folder.parents[1]) as server:
        assert server.get(f"/run/{RUN}").status == 200
        assert server.get(f"/run/{RUN}/turn/{number}").status == 200
        seen = server.get(f"/run/{RUN}/turn/{number}/window")
        assert seen.status == 200 and "is missing" in seen.text


def test_no_run_and_an_empty_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalMissing):
        RunView(tmp_path).refresh()
    (tmp_path / "runs" / RUN).mkdir(parents=True)
    (tmp_path / "runs" / RUN / EVENTS).touch()
    with serve(tmp_path) as server:
        assert server.get(f"/run/{RUN}").status == 200
        assert server.get("/").status == 200
        assert server.get("/run/other").status == 404


def test_200_runs_and_a_broken_one_are_listed(folder: Path) -> None:
    first = RunCreated.model_validate_json((folder / EVENTS).read_bytes().splitlines()[0])
    for number in range(200):
        from runs.journal import create_run

        create_run(folder.parent / f"20261201-{number:06d}_digits", first)
    (folder / EVENTS).write_text("no json\n")
    with serve(folder.parents[1]) as server:
        page = server.get("/")
    assert page.text.count("<tr data-run=") == 201
    assert "is damaged" in page.text


def test_a_text_of_50_mb_on_one_line_is_cut_and_can_be_paged(folder: Path) -> None:
    (folder / "blobs").mkdir(exist_ok=True)
    lines = (folder / EVENTS).read_bytes().splitlines(keepends=True)
    (folder / EVENTS).write_bytes(b"".join(lines))
    with Journal.open(folder) as journal:
        seq = journal.append(Warned(message="x" * 50_000_000 + "the end")).seq
    with serve(folder.parents[1]) as server:
        assert len(server.get(f"/run/{RUN}").text) < 400_000
        last = server.get(f"/run/{RUN}/event/{seq}?field=message&from=49900000").text
        assert "the end" in last and len(last) < 400_000
        found = json.loads(server.get(f"/run/{RUN}/search?q=the+end").text)
        assert found["hits"][-1]["seq"] == seq


def test_a_read_only_folder_is_shown_and_nothing_is_written(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with serve(folder.parents[1]) as server:
        for path in ("", "/turns", "/turn/2", "/turn/2/window", "/attempt/1", "/search?q=step", "/rows", "/sections"):
            assert server.get(f"/run/{RUN}{path}").status == 200
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
