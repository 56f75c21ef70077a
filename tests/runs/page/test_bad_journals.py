"""Journals that are torn, damaged, newer, or still being written are shown as far as they can be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from runs.events.registry import AttemptEnded, AttemptStarted, RunCreated, Warned
from runs.journal import EVENTS, Journal, create_run
from runs.page.facts.run_view import RunView
from runs.serialization import JournalMissing
from tests.day_run import write_day_run
from tests.page_server import serve

RUN = "20261130-080000_digits_0_bad"
ROOT = Path(__file__).parents[3]


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


def test_a_missing_blob_is_reported_in_place_of_its_text(folder: Path) -> None:
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
        create_run(folder.parent / f"20261201-{number:06d}_digits", first)
    (folder / EVENTS).write_text("no json\n")
    with serve(folder.parents[1]) as server:
        page = server.get("/")
    assert page.text.count("<tr data-run=") == 201
    assert "is damaged" in page.text


def test_a_text_of_50_mb_on_one_line_is_cut_and_can_be_paged(folder: Path) -> None:
    with Journal.open(folder) as journal:
        seq = journal.append(Warned(message="x" * 50_000_000 + "the end")).seq
    with serve(folder.parents[1]) as server:
        assert len(server.get(f"/run/{RUN}").text) < 400_000
        last = server.get(f"/run/{RUN}/event/{seq}?field=message&from=49900000").text
        assert "the end" in last and len(last) < 400_000
        found = json.loads(server.get(f"/run/{RUN}/search?q=the+end").text)
        assert found["hits"][-1]["seq"] == seq


def test_a_line_of_50_mb_in_the_journal_is_shown_cut(folder: Path) -> None:
    with Journal.open(folder) as journal:
        started = journal.append(AttemptStarted(attempt=5, move="draft"))
        journal.append(AttemptEnded(attempt=started.attempt, why="finish", did="left", lessons=["y" * 50_000_000]))
    assert max(map(len, (folder / EVENTS).read_bytes().splitlines())) > 50_000_000
    with serve(folder.parents[1]) as server:
        for path in ("", "/sections", "/turns", "/rows", "/attempt/5"):
            page = server.get(f"/run/{RUN}{path}")
            assert page.status == 200 and len(page.text) < 600_000, path


def test_a_line_of_50_mb_in_the_output_of_a_job_can_be_paged(folder: Path) -> None:
    job = next(path.name for path in (folder / "jobs").iterdir())
    (folder / "jobs" / job / "log").write_bytes(b"z" * 50_000_000 + b"the end")
    with serve(folder.parents[1]) as server:
        first = server.get(f"/run/{RUN}/job/{job}").text
        last = server.get(f"/run/{RUN}/job/{job}?from=49900000").text
    assert len(first) < 400_000 and len(last) < 400_000 and "the end" in last


def test_a_read_only_folder_is_shown_and_nothing_is_written(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with serve(folder.parents[1]) as server:
        for path in ("", "/turns", "/turn/2", "/turn/2/window", "/attempt/1", "/search?q=step", "/rows", "/sections"):
            assert server.get(f"/run/{RUN}{path}").status == 200
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_run_on_a_read_only_disk_is_shown(folder: Path) -> None:
    sees = ["bwrap", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/dev/shm"]
    if subprocess.run([*sees, "true"], capture_output=True, check=False).returncode:
        pytest.skip("bubblewrap does not work here")
    script = f"""
from pathlib import Path
from tests.page_server import serve
try:
    Path({str(folder / "probe")!r}).touch()
except OSError:
    with serve(Path({str(folder.parents[1])!r})) as server:
        paths = ("/", "/run/{RUN}", "/run/{RUN}/turns", "/run/{RUN}/turn/2", "/run/{RUN}/attempt/1")
        print(*(server.get(path).status for path in paths))
"""
    done = subprocess.run([*sees, sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.split() == ["200"] * 5, done.stderr
