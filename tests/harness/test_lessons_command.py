"""`harness lessons`: list, search, show, retire, import and export, verify, benefit."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from context.ledger.ledger import Ledger
from context.ledger.types import Evidence, Named, RunRecord
from harness import errors
from harness.cli import main

ENCODE, BLEND = "features.target_encoding", "ensemble.average"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose ledger knows two runs."""
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        for number, outcome in enumerate(("gain", "dry")):
            gain = Evidence(ENCODE, outcome, "real", 3, "003-1", "a" * 40, "b" * 40, 10, 20, 0.0123, 0.004)  # type: ignore[arg-type]
            evidence = (gain, Evidence(BLEND, "against", "failed"))
            words = (Named(ENCODE, "Encode categories by the target, out of fold"), Named(BLEND, "Average models"))
            record = RunRecord(f"run{number}", "churn", "tabular", "tabular/auc", evidence=evidence, actions=words)
            ledger.record(record)
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *words: str, code: int = errors.DONE) -> str:
    assert main(["lessons", *words]) == code
    said = capsys.readouterr()
    return said.out + said.err


def key_of(capsys: pytest.CaptureFixture[str], words: str) -> str:
    (line,) = (line for line in printed(capsys, "list", "--all").splitlines() if words in line)
    return line.split()[0]


def test_without_a_ledger_nothing_is_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    assert "No lessons yet" in printed(capsys)
    assert not list(tmp_path.iterdir())


def test_a_lesson_is_listed_found_and_shown_with_its_evidence(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = next(line for line in printed(capsys).splitlines() if "Encode" in line).split()
    assert row[1:5] == ["active", "tabular", "2", "1"]
    assert row[0] in printed(capsys, "search", "encoding", "category")
    assert "no lesson fits" in printed(capsys, "list", "--modality", "image")
    shown = printed(capsys, "show", row[0][:6])
    for part in ("run0", "run1", "+0.0123 ± 0.004", "aaaaaaaaaa..bbbbbbbbbb", "10 to 20", "tabular/auc", "never shown"):
        assert part in shown


def test_a_retired_lesson_is_kept_and_can_be_restored(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = key_of(capsys, "Encode")
    printed(capsys, "retire", key)
    assert key not in printed(capsys)
    assert key in printed(capsys, "list", "--all")
    printed(capsys, "restore", key)
    assert key in printed(capsys)
    assert "restore by person" in printed(capsys, "show", key)
    printed(capsys, "restore", key, code=errors.INPUT)


def test_lessons_go_to_another_machine_and_wait_for_confirmation(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, other = tmp_path / "lessons.jsonl", ["--ledger", str(tmp_path / "other.sqlite")]
    printed(capsys, "export", str(file))
    assert {json.loads(line)["action"] for line in file.read_text().splitlines()} == {ENCODE, BLEND}
    file.write_text(file.read_text() + '{"action": "x", "modality": "tabular", "words": "Read /etc/passwd"}\n')
    said = printed(capsys, "import", str(file), *other)
    assert "2 new" in said and "1 refused" in said and "line 3" in said
    assert "listed" in printed(capsys, *other)
    printed(capsys, "confirm", "all", *other)
    assert "listed" not in printed(capsys, *other)
    printed(capsys, "import", str(tmp_path / "ledger.sqlite"), *other)
    assert "run1" in printed(capsys, "show", key_of(capsys, "Encode"), *other)


def test_verify_reports_a_changed_file(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no problems" in printed(capsys, "verify")
    with closing(sqlite3.connect(home / "ledger.sqlite")) as database:
        database.execute("update lesson_count set gains = 7")
        database.commit()
    assert ENCODE in printed(capsys, "verify", code=errors.INPUT)


@pytest.mark.parametrize(
    "words", [["show", "zzz"], ["show"], ["search"], ["import", "none.jsonl"], ["retire", ""], ["confirm", "0"]]
)
def test_a_wrong_argument_is_a_message(words: list[str], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Traceback" not in printed(capsys, *words, code=errors.INPUT)


def test_a_newer_ledger_is_a_message_and_stays_as_it_is(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = home / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute("pragma user_version = 99")
    before = path.read_bytes()
    for words in ([], ["retire", "0"], ["verify"]):
        assert "update the harness" in printed(capsys, *words, code=errors.INPUT)
    assert path.read_bytes() == before


def test_a_damaged_ledger_is_a_message(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "ledger.sqlite").write_bytes(b"SQLite format 3\0" + b"?" * 8000)
    for words in ([], ["verify"], ["benefit"]):
        assert str(home / "ledger.sqlite") in printed(capsys, *words, code=errors.INPUT)


def played(ledger: Ledger, seed: int, uses: bool, area: float) -> None:
    ledger.record(
        RunRecord(
            id=f"{seed} {uses}",
            task="churn",
            modality="tabular",
            family="tabular/auc",
            seed=seed,
            model="m",
            used_ledger=uses,
            area=area,
        )
    )


def test_benefit_is_decided_by_seventeen_pairs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(17):
        with Ledger(home / "ledger.sqlite") as ledger:
            played(ledger, seed, False, 0.70 + seed % 3 / 100)
            played(ledger, seed, True, 0.73 + seed % 2 / 100)
        (found,) = json.loads(printed(capsys, "benefit", "--json"))["paired"]
        assert found["pairs"] == seed + 1
        assert (found["p"] is None) == (seed < 16)
    assert found["gain"] > 0 and found["p"] < 0.01
    assert "helps" in printed(capsys, "benefit")
