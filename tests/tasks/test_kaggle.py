"""The real Kaggle client against a local server with the same API, in success and failure."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tasks.kaggle import Kaggle, KaggleError, SubmissionStatus, _pause
from tests.servers.kaggle_server import KaggleServer, serving

NAME = "spooky-author-identification"


def make_archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("train.csv", random.Random(1).randbytes(5_000_000))  # more than one piece of the client's
    return stream.getvalue()


@pytest.fixture
def signed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    monkeypatch.delenv("KAGGLE_API_TOKEN", raising=False)
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    monkeypatch.setenv("KAGGLE_KEY", "secret")


@pytest.fixture
def server(signed_in: None) -> Iterator[KaggleServer]:
    final = {"status": "COMPLETE", "publicScore": "0.41", "privateScore": "0.42"}
    with serving(KaggleServer(zip=make_archive(), final=final)) as running:
        yield running


def write_submission(folder: Path) -> Path:
    path = folder / "submission.csv"
    path.write_text("id,EAP\n1,0.5\n")
    return path


def test_download_is_complete_and_not_repeated(
    server: KaggleServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Kaggle(server.base).download(NAME, tmp_path / "raw")
    assert path == tmp_path / "raw" / f"{NAME}.zip"
    assert path.read_bytes() == server.zip
    assert server.requests[0] == ("DownloadDataFiles", {"competitionName": NAME})
    count = len(server.requests)
    Kaggle(server.base).download(NAME, tmp_path / "raw")
    assert len(server.requests) == count
    assert capsys.readouterr().out == ""
    assert [path.name for path in (tmp_path / "raw").iterdir()] == [f"{NAME}.zip"]


def test_broken_download_resumes(server: KaggleServer, tmp_path: Path) -> None:
    server.cuts = 1
    path = Kaggle(server.base).download(NAME, tmp_path / "raw")
    assert path.read_bytes() == server.zip
    starts = [body for call, body in server.requests if call == "GET"]
    assert len(starts) >= 2 and starts[-1] > 0


def test_download_that_is_not_an_archive_is_deleted(server: KaggleServer, tmp_path: Path) -> None:
    server.zip = b"<html>maintenance</html>"
    with pytest.raises(KaggleError, match="instead of a zip archive; it was deleted"):
        Kaggle(server.base).download(NAME, tmp_path / "raw")
    assert not list((tmp_path / "raw").iterdir())


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        (401, "Unauthenticated", "create an API token"),
        (403, "You must accept this competition's rules", f"kaggle.com/c/{NAME}/rules"),
        (404, "Not found", "last part of the competition's address"),
        (429, "Your team has used its daily Submission allowance (5) today", "try again tomorrow"),
        (400, "Submission limit exceeded", "try again tomorrow"),
        (400, "The file is larger than the limit", "refuses (400: "),
        (400, "Wrong", "refuses (400: Wrong)"),
        (503, "Unavailable", "server error"),
    ],
)
def test_refusal_says_what_to_do(code: int, message: str, expected: str, server: KaggleServer, tmp_path: Path) -> None:
    server.refusals = {"DownloadDataFiles": (code, message), "StartSubmissionUpload": (code, message)}
    for act in (
        lambda: Kaggle(server.base).download(NAME, tmp_path / "raw"),
        lambda: Kaggle(server.base).submit(NAME, write_submission(tmp_path), "a note"),
    ):
        with pytest.raises(KaggleError) as message:
            act()
        assert expected in str(message.value)
        assert "secret" not in str(message.value)


def test_short_rate_limit_is_waited_for_and_reported(server: KaggleServer, tmp_path: Path) -> None:
    message: list[str] = []
    kaggle = Kaggle(server.base, message.append)
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)
    server.busy, server.busy_says = 2, ("Rate limit exceeded: quota of requests per minute", "0")
    assert kaggle.download(NAME, tmp_path / "raw").read_bytes() == server.zip
    server.busy, server.busy_says = 1, ("Too many requests", "0.1")
    assert kaggle.submit(NAME, write_submission(tmp_path), "run 7") == 4711
    server.busy, server.busy_says = 1, ("Too many requests", soon)
    assert kaggle.status(4711).status == "PENDING"
    assert [line.partition(", ")[0] for line in message] == [
        *(2 * [f"{NAME}: Kaggle limits the request rate"]),
        f"{NAME}: Kaggle limits the request rate",
        "submission 4711: Kaggle limits the request rate",
    ]
    assert server.calls().count("DownloadDataFiles") == 3 and server.calls().count("CreateSubmission") == 1


def test_long_rate_limit_is_reported_with_its_time(server: KaggleServer, tmp_path: Path) -> None:
    for after, time in (("900", "15 minutes"), ("7000", "2 hours")):
        server.busy, server.busy_says = 1, ("Too many requests", after)
        with pytest.raises(KaggleError, match=rf"request rate \(Too many requests\): try again in {time}\.") as message:
            Kaggle(server.base).download(NAME, tmp_path / "raw")
        assert "tomorrow" not in str(message.value)


def test_rate_limit_without_time_waits_half_a_minute() -> None:
    assert {_pause(header) for header in (None, "", "soon", "nan", "inf")} == {30.0}
    assert (_pause("2"), _pause("-3"), _pause("Wed, 21 Oct 2015 07:28:00 GMT")) == (2.0, 0.5, 0.5)


def test_submission_is_uploaded_and_polled_by_number(server: KaggleServer, tmp_path: Path) -> None:
    kaggle = Kaggle(server.base)
    ref = kaggle.submit(NAME, write_submission(tmp_path), "run 7")
    assert ref == 4711
    assert server.uploaded == b"id,EAP\n1,0.5\n"
    created = dict(server.requests)["CreateSubmission"]
    assert (created["competitionName"], created["blobFileTokens"]) == (NAME, "blob")
    assert created["submissionDescription"] == "run 7"
    seen: list[str] = []
    status = kaggle.wait(ref, 30, lambda status: seen.append(status.status), pause=0.01)
    assert status == SubmissionStatus(4711, "COMPLETE", 0.41, 0.42, "")
    assert seen == ["PENDING", "COMPLETE"]
    assert dict(server.requests)["GetSubmission"] == {"ref": 4711}


def test_failed_upload_is_reported(server: KaggleServer, tmp_path: Path) -> None:
    server.uploads_fail = True
    with pytest.raises(KaggleError, match="did not accept the submission"):
        Kaggle(server.base).submit(NAME, write_submission(tmp_path), "")
    assert "CreateSubmission" not in server.calls()


def test_unscorable_submission_has_a_reason(server: KaggleServer) -> None:
    server.final = {"status": "ERROR", "errorDescription": "ids do not match", "publicScore": "", "privateScore": ""}
    status = Kaggle(server.base).wait(4711, 30, lambda _: None, pause=0.01)
    assert (status.status, status.public_score, status.problem) == ("ERROR", None, "ids do not match")


def test_waiting_ends_after_its_limit(server: KaggleServer) -> None:
    server.polls_until_scored = 10**6
    assert not Kaggle(server.base).wait(4711, 0.05, lambda _: None, pause=0.02).is_over


def test_missing_credentials_are_explained(tmp_path: Path) -> None:
    program = (
        "from tasks.kaggle import Kaggle, KaggleError\n"
        "try:\n    Kaggle('http://127.0.0.1:9')\nexcept KaggleError as error:\n    print('ERROR', error)\n"
    )
    environment = {"HOME": str(tmp_path), "KAGGLE_CONFIG_DIR": str(tmp_path), "PATH": ""}
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
    )
    assert process.stdout.startswith("ERROR No Kaggle credentials were found")
    assert len(process.stdout.splitlines()) == 1


def test_unreachable_server_is_reported(signed_in: None, tmp_path: Path) -> None:
    kaggle = Kaggle("http://127.0.0.1:9")
    with pytest.raises(KaggleError, match="connection to Kaggle broke"):
        kaggle.download(NAME, tmp_path / "raw")
    with pytest.raises(KaggleError, match="connection to Kaggle broke"):
        kaggle.status(4711)
