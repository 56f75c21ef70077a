"""The inbox takes small regular files of the run's owner with a known request, and nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runs.control import inbox
from runs.control.requests import MAX_BYTES, Continue, Extend, Pause, Request, Steer, Stop, parse_request


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path


REQUESTS: list[Request] = [
    Steer(hint="try the ratio of the first two columns\nand its log"),
    Steer(evaluation="003-1"),
    Pause(),
    Continue(),
    Stop(),
    Stop(now=True),
    Extend(hours=2.5, attempts=3),
]


def test_requests_are_read_in_order_and_stay_until_they_are_removed(folder: Path) -> None:
    names = [inbox.put(folder, request) for request in REQUESTS]
    found = inbox.received(folder)
    assert [one.id for one in found] == names
    assert [one.request for one in found] == REQUESTS
    assert all(inbox.is_waiting(folder, name) for name in names)
    for name in names:
        inbox.remove(folder, name)
    assert inbox.received(folder) == []


def test_a_file_that_is_being_written_is_not_read(folder: Path) -> None:
    (folder / "inbox" / ".draft").write_text("{")
    assert inbox.received(folder) == []


def test_links_pipes_folders_and_large_files_are_refused(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(Pause().model_dump_json().encode())
    box = folder / "inbox"
    (box / "a-link").symlink_to(secret)
    (box / "b-hard-link").hardlink_to(secret)
    os.mkfifo(box / "c-pipe")
    (box / "d-folder").mkdir()
    (box / "e-large").write_text(json.dumps({"action": "steer", "hint": "x" * MAX_BYTES}))
    found = inbox.received(folder)
    assert [one.id for one in found] == ["a-link", "b-hard-link", "c-pipe", "d-folder", "e-large"]
    assert all(one.request is None and one.problem for one in found)


def test_an_inbox_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "inbox").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "a.json").write_text('{"action": "pause"}')
    assert inbox.received(tmp_path / "run") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused(folder: Path) -> None:
    name = inbox.put(folder, Pause())
    os.chown(folder / "inbox" / name, 12345, 12345)
    (found,) = inbox.received(folder)
    assert found.request is None and "another user" in found.problem


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"pause",
        b"[]",
        b"{}",
        b'{"action": "delete"}',
        b'{"action": "pause", "why": "an unknown field"}',
        b'{"action": "steer"}',
        b'{"action": "steer", "hint": "  "}',
        b'{"action": "steer", "hint": 3}',
        b'{"action": "extend"}',
        b'{"action": "extend", "hours": -1}',
        b'{"action": "extend", "hours": "2"}',
        b'{"action": "extend", "hours": NaN}',
        b'{"action": "extend", "attempts": 1.5}',
        b'{"action": "stop", "now": "yes"}',
        b"\xff\xfe",
    ],
)
def test_what_does_not_fit_the_schema_is_not_a_request(content: bytes) -> None:
    assert isinstance(parse_request(content), str)


@given(st.binary(max_size=300) | st.recursive(st.none() | st.text() | st.floats(), st.lists).map(repr).map(str.encode))
def test_any_bytes_are_a_request_or_a_reason(content: bytes) -> None:
    assert parse_request(content)


@given(st.text(min_size=1, max_size=4000).filter(lambda text: text.strip()))
def test_a_hint_survives_its_file(hint: str) -> None:
    try:
        request = Steer(hint=hint)
    except ValidationError:  # unpaired surrogates
        return
    assert parse_request(request.model_dump_json().encode()) == request
