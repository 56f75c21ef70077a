"""`harness doctor` on a working machine, with endpoints of every kind, and with a home that is read-only."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from harness.cli import main
from harness.commands import doctor
from harness.commands.doctor import Finding
from harness.config import resolve
from harness.settings import Settings, SettingsError
from runs.run_settings import RunSettings
from tests.servers.chat_server import ChatServer

LISTING = json.dumps({"object": "list", "data": [{"id": "MiniMaxAI/MiniMax-M2.7"}, {"id": "other"}]}).encode()
KEY = "sk-test-very-secret"


@contextmanager
def endpoint(status: int = 200, body: bytes = LISTING, **headers: str) -> Iterator[tuple[str, list[str]]]:
    """A local server that gives every request the same answer; yields its address and the requests it got."""
    seen: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(f"{self.path} {self.headers.get('Authorization', '')}")
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", seen
    finally:
        server.shutdown()
        server.server_close()


def check_endpoint(tmp_path: Path, base_url: str | None, model: str | None = None) -> Finding:
    process = Settings(tmp_path, api_key=KEY)
    return doctor.endpoint(process, resolve(process, None, {"base_url": base_url, "model": model}))


def test_working_machine_is_reported_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "new"))
    monkeypatch.setenv("HARNESS_API_KEY", KEY)
    monkeypatch.setenv("HARNESS_SANDBOX", "local")  # the one that works on every machine
    with ChatServer() as server:
        assert main(["doctor", "--base-url", server.url, "--model", "test-model"]) == 0
    out = capsys.readouterr().out
    for word in ("python", "packages", "git", "home", "disk", "sandbox local", "key: set", "and lists test-model"):
        assert word in out
    assert "labels unprotected" in out
    assert "  labels\n      docker, bubblewrap: protected\n      local: unprotected\n" in out
    assert out.endswith("A run can start.\n")
    assert KEY not in out
    assert "probe: tried" in out and "comes in reasoning_content, kept in reasoning_content" in out
    assert not list(tmp_path.glob("new/.doctor-*"))


def test_model_that_answers_is_enough_even_if_not_listed(tmp_path: Path) -> None:
    with ChatServer() as server:
        process = Settings(tmp_path, api_key=KEY)
        listed, tried, prices = doctor.served(
            process, resolve(process, None, {"base_url": server.url, "model": "an-alias"})
        )
    assert (listed.health, tried.health, prices.health) == ("note", "ok", "ok")
    assert "self-hosted" in prices.detail
    assert "does not list 'an-alias'" in listed.detail


def test_key_is_sent_to_the_endpoint_only(tmp_path: Path) -> None:
    with endpoint() as (elsewhere, seen_elsewhere), endpoint(307, Location=f"{elsewhere}/models") as (url, seen):
        finding = check_endpoint(tmp_path, url)
        with pytest.raises(SettingsError) as refused:
            check_endpoint(tmp_path, url.replace("//", "//user:pass@"))
    assert seen == [f"/v1/models Bearer {KEY}"]
    assert not seen_elsewhere, "a redirect does not get the key"
    assert finding.health == "bad"
    assert "user:pass" not in str(refused.value)


@pytest.mark.parametrize(
    ("status", "body", "detail", "advice"),
    [
        (401, b"{}", "key", "HARNESS_API_KEY"),
        (404, b"{}", "/models", "/v1"),
        (503, b"{}", "status 503", "log"),
        (302, b"", "302", "address"),
        (200, b"<html>welcome</html>", "OpenAI-compatible", "/v1"),
        (200, b'{"data": [{"id": "small"}]}', "does not list 'big'", "small"),
    ],
)
def test_unusable_endpoint_is_reported_with_advice(
    tmp_path: Path, status: int, body: bytes, detail: str, advice: str
) -> None:
    with endpoint(status, body, Location="/") as (url, _):
        finding = check_endpoint(tmp_path, url, "big")
    assert (finding.health, finding.code) == ("bad", 4)
    assert detail in finding.detail and advice in finding.advice


def test_endpoint_that_does_not_answer_gives_exit_code_4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    with endpoint() as (url, _):
        pass
    assert main(["doctor", "--base-url", url]) == 4
    assert "does not answer" in capsys.readouterr().out


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host/v1", "http://", "http://[::1", "http://host:port/v1"])
def test_invalid_address_is_an_input_error(tmp_path: Path, url: str) -> None:
    finding = check_endpoint(tmp_path, url)
    assert (finding.health, finding.code) == ("bad", 2)
    assert "http://HOST:PORT/v1" in finding.advice


def test_home_that_cannot_be_written_is_bad(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert doctor.home(tmp_path / "new" / "deeper").health == "ok"
    assert not (tmp_path / "new").exists(), "the check creates nothing"
    assert doctor.home(Path("/proc/no-home")).health == "bad"


def test_a_disk_without_room_is_bad(tmp_path: Path) -> None:
    assert doctor.space(Path("/proc")).health == "bad", "it has no room at all"
    found = doctor.space(tmp_path / "new" / "deeper")
    free = shutil.disk_usage(tmp_path).free
    assert found.health == ("ok" if free >= doctor.LOW_SPACE else "note" if free >= doctor.LEAST_SPACE else "bad")


def test_missing_git_is_reported_with_advice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("git") is None
    finding = doctor.git()
    assert finding.health == "bad" and "install git" in finding.advice


def test_a_limit_on_unknown_cost_is_bad_as_a_run_would_refuse_it(tmp_path: Path) -> None:
    process = Settings(tmp_path, api_key=KEY)
    flags = {"base_url": "https://api.example.com/v1", "model": "unheard-of", "cost": 5.0}
    limited = doctor.prices(process, resolve(process, None, flags))
    free = doctor.prices(process, resolve(process, None, {**flags, "cost": None}))
    assert (limited.health, limited.code, free.health) == ("bad", 2, "note")


def test_a_sandbox_that_is_set_must_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    *_, last = doctor.sandboxes(tmp_path, RunSettings(sandbox="docker"))
    assert (last.name, last.health, last.code) == ("sandbox", "bad", 5)
    assert last.detail == "docker is set, and does not work"


def test_a_model_needs_a_sandbox_that_protects_labels_or_a_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    (tmp_path / "bin").mkdir()
    for name in ("bash", "sh", "env", "cat", "git"):
        if found := shutil.which(name):
            (tmp_path / "bin" / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    address = "http://localhost:8000/v1"
    *_, refused = doctor.sandboxes(tmp_path, RunSettings(base_url=address))
    assert (refused.health, refused.code) == ("bad", 5)
    for settings in (RunSettings(), RunSettings(base_url=address, sandbox="local")):
        assert all(finding.health != "bad" for finding in doctor.sandboxes(tmp_path, settings))
