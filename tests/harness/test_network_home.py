"""A home on a network file system, by a faked table of mounts: it is reported, and no SQLite file is written there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from context.ledger.ledger import Ledger
from harness.startup import network_home
from harness.startup.network_home import network_file_system
from harness.sweep.store import Store
from tests.playing import call, harness_here, only_run, reply
from tests.servers.chat_server import ChatServer, Message
from tests.sweeps.whole import QUICK

MOUNTS = """/dev/vda / ext4 rw 0 0
server:/export /mnt/my\\040homes nfs4 rw,vers=4.2 0 0
tmpfs /mnt/my\\040homes/local tmpfs rw 0 0
"""
EVALUATE = "cp data/sample_submission.csv submission.csv"


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets the text of the table of mounts."""
    table = tmp_path / "mounts"
    monkeypatch.setattr(network_home, "MOUNTS", table)
    return lambda text: table.write_text(text) and None


def test_a_home_on_a_network_file_system_is_recognized(mount: Callable[[str], None]) -> None:
    assert network_file_system(Path("/mnt/my homes/runs")) == "", "the mounts cannot be read"
    mount(MOUNTS)
    assert network_file_system(Path("/mnt/my homes/runs")) == "nfs4"
    assert network_file_system(Path("/mnt/my homes/local/runs")) == ""
    assert network_file_system(Path("/srv/runs")) == ""


class Opened:
    """SQLite files that this process opened to write them, by an audit hook, which cannot be removed."""

    paths: list[str] | None = None

    @classmethod
    def hook(cls, event: str, arguments: Any) -> None:
        if event == "sqlite3.connect" and cls.paths is not None and "mode=ro" not in str(arguments[0]):
            cls.paths.append(str(arguments[0]))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    sys.addaudithook(Opened.hook)
    monkeypatch.setattr(Opened, "paths", [])
    assert Opened.paths is not None
    return Opened.paths


def script(request: dict[str, Any]) -> Message:
    """A model that evaluates, recalls something and finishes."""
    step = sum(message["role"] == "assistant" for message in request["messages"])
    steps = [
        [call("evaluate", command=EVALUATE)],
        [call("recall", query="sample submission")],
        [call("finish", did="all", lessons=["Averages of different models are better than one"])],
    ]
    return reply("step", *steps[min(step, 2)], tag=str(step))


def test_a_sweep_says_that_its_home_is_on_nfs_and_no_sqlite_file_is_written_there(
    digits_home: Path, mount: Callable[[str], None], opened: list[str]
) -> None:
    mount(f"/dev/vda / ext4 rw 0 0\nserver:/export {digits_home.resolve()} nfs4 rw 0 0\n")
    with ChatServer(script, piece=100_000) as server:
        where = [f"--set={one}" for one in (*QUICK, f"base_url={server.url}", "model=m")]
        code, printed = harness_here(digits_home, "sweep", "digits", "--name", "n", "--create-only", *where)
        assert code == 0 and "nfs4" in printed, printed
        row = Store(digits_home, "n").plan().rows[0]
        settings = [f"--set={name}={text}" for name, text in row.settings.items()]
        code, printed = harness_here(
            digits_home, "run", "digits", "--resume-or-start", row.run_id, "--plain", *settings
        )
        assert code == 0, printed
    Store(digits_home, "n").append(row.key, "ended", kind="done")
    code, printed = harness_here(digits_home, "sweep", "merge", "n")
    assert code == 0 and "1 runs added" in printed, printed
    assert any("recall.sqlite" in path for path in opened) and any("ledger" in path for path in opened)
    assert not [path for path in opened if str(digits_home.resolve()) in path]
    assert not list(only_run(digits_home).glob("recall.sqlite*"))
    with Ledger(digits_home / "ledger.sqlite", read_only=True) as ledger:
        assert ledger.rows("select count(*) as runs from run")[0]["runs"] == 1
