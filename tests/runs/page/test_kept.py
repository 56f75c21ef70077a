"""What is kept of a long run's page: it opens without reading the journal, and never shows more than it knows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from runs.files import sha256_hex
from runs.journal import EVENTS
from runs.page.facts.kept import KEPT, Standing, keep_facts, keep_page, kept_facts, page_facts
from runs.page.facts.run_view import RunView
from tests.day_run import write_day_run
from tests.page_server import serve

RUN = "20261130-080000_digits_0_kept"
UNDER_WAY = 'id="reading"'


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run long enough, with what its own end has kept."""
    folder = write_day_run(tmp_path_factory.mktemp("kept") / RUN, 0.4, output_mb=0.3, has_code=False)
    shutil.rmtree(folder / "jobs")
    keep_page(folder)
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "runs" / RUN))


def test_a_page_opens_from_what_is_kept_and_damage_is_told_after_reading(folder: Path) -> None:
    lines = (folder / EVENTS).read_bytes().splitlines(keepends=True)
    lines[60] = lines[60].replace(b'"seq":60', b'"seq":61')  # the page below was not made from this
    (folder / EVENTS).write_bytes(b"".join(lines))
    with serve(folder.parents[1]) as server:
        first = server.get(f"/run/{RUN}").text
        assert "Search: 36 attempts" in first and "line 61 is damaged" not in first and UNDER_WAY not in first
        assert "line 61 is damaged" in server.get(f"/run/{RUN}/sections").text


def test_kept_facts_make_the_same_page_as_the_journal(folder: Path) -> None:
    with serve(folder.parents[1]) as server:
        from_file = server.get(f"/run/{RUN}").text
        sections = server.get(f"/run/{RUN}/sections").text
        assert sections in from_file


@pytest.mark.parametrize("damage", ["cut", "changed", "other code", "no object", "folder"])
def test_damaged_or_old_files_are_made_again(folder: Path, damage: str) -> None:
    head, _, facts = (folder / KEPT).read_bytes().partition(b"\n")
    content = {
        "cut": head + b"\n" + facts[:1000],
        "changed": head + b"\n" + facts.replace(b"digits", b"digots"),
        "other code": json.dumps({**json.loads(head), "code": "0" * 64}).encode() + b"\n" + facts,
        "no object": b"[]\n",
    }
    (folder / KEPT).unlink()
    (folder / KEPT).mkdir() if damage == "folder" else (folder / KEPT).write_bytes(content[damage])
    assert kept_facts(folder, Standing()) is None
    with serve(folder.parents[1]) as server:
        assert "Search: 36 attempts" in server.get(f"/run/{RUN}/sections").text
    assert (kept_facts(folder, Standing()) is None) == (damage == "folder"), "where nothing can be written, nothing is"


def test_facts_of_a_shorter_journal_or_another_standing_are_old(folder: Path) -> None:
    lines = (folder / EVENTS).read_bytes().splitlines(keepends=True)
    assert (kept := kept_facts(folder, Standing())) and kept.is_current
    assert (kept := kept_facts(folder, Standing(is_graded=True))) and not kept.is_current
    (folder / EVENTS).write_bytes(b"".join([*lines, b"{"]))
    assert (kept := kept_facts(folder, Standing())) and not kept.is_current
    (folder / EVENTS).write_bytes(b"".join(lines[:-1]))
    assert kept_facts(folder, Standing()) is None, "these are not facts of this journal"


def test_a_grade_is_not_kept_in_the_folder_of_the_run(folder: Path) -> None:
    (folder / KEPT).unlink()
    view = RunView(folder)
    view.refresh()
    graded = Standing(is_graded=True, grade={"report": {"score": 0.98887}})
    facts = page_facts(view, graded)
    assert "0.98887" in facts["head"]["grade"]
    keep_facts(view, graded, facts)
    assert not (folder / KEPT).exists()


def test_markup_in_a_forged_file_is_only_text(folder: Path) -> None:
    first, _, text = (folder / KEPT).read_bytes().removesuffix(b"\n").partition(b"\n")
    forged = text.replace(b'"task": "digits"', b'"task": "<script>alert(1)</script>"')
    head = {**json.loads(first), "facts": sha256_hex(forged)}
    (folder / KEPT).write_bytes(json.dumps(head).encode() + b"\n" + forged + b"\n")
    with serve(folder.parents[1]) as server:
        page = server.get(f"/run/{RUN}").text
    assert "&lt;script&gt;alert(1)" in page and "<script>alert(1)" not in page
