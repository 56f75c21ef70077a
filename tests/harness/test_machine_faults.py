"""Faults of the machine stop a run, and what cannot work is refused before a run: neither is the model's mistake."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import disk, errors
from harness.cli import main
from harness.endpoint.proxies import is_direct, require_usable_proxy
from harness.evaluation import background
from harness.evaluation.steps import sandboxed
from harness.settings import SettingsError, load_settings
from runs.events.registry import Paused, ToolFinished
from sandboxes.base import JobStatus, Limits, SandboxPaths
from tests.harness.judged_runs import side, two_numbers
from tests.playing import call, events_of, harness_here, only_run, reply
from tests.servers.chat_server import ChatServer

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM])
def test_faults_of_the_machine_stop_a_run_resumably(number: int) -> None:
    error = OSError(number, os.strerror(number), "/runs/r")
    assert errors.is_of_machine(error)
    assert errors.code_of(error) == errors.STOPPED
    assert "harness resume" in errors.explain(error, None)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EISDIR, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG])
def test_faults_of_paths_are_not_the_machines(number: int) -> None:
    assert not errors.is_of_machine(OSError(number, os.strerror(number)))


def test_home_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(SettingsError, match="HARNESS_HOME"):
        load_settings({"HARNESS_HOME": os.fsdecode(b"/tmp/\xff")})


def test_run_without_git_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    assert main(["run", "digits"]) == errors.INPUT
    assert "git" in capsys.readouterr().err
    assert not (tmp_path / "home" / "runs").exists()


@pytest.mark.parametrize(
    "proxy", ["socks://127.0.0.1:9", "socks5h://127.0.0.1:9", "nonsense://x", "http://h:port", " "]
)
def test_unusable_proxy_is_refused_by_name(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(SettingsError, match="ALL_PROXY"):
        require_usable_proxy("http://models.example/v1")


def test_usable_proxy_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy:3128")
    monkeypatch.setenv("HTTP_PROXY", "proxy:3128")
    require_usable_proxy("http://models.example/v1")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "127.8.8.8", "0.0.0.0", "[::ffff:127.0.0.1]", "named.example"]
)
def test_loopback_and_excepted_hosts_need_no_proxy(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "named.example")
    assert is_direct(f"http://{host}:8000/v1")
    assert not is_direct("http://other.example:8000/v1")


def test_doctor_names_the_proxy_it_cannot_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    assert main(["doctor", "--base-url", "http://models.example/v1", "--model", "m"]) == errors.INPUT
    assert "ALL_PROXY" in "".join(capsys.readouterr())


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EMFILE])
def test_fault_of_the_machine_in_an_evaluation_is_shown_to_the_user_alone(
    number: int, digits_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(background, "start", fail)
    with ChatServer(lambda _: reply("", call("evaluate", command="true")), piece=1000) as server:
        options = ["--attempts", "1", "--model", "m", "--base-url", server.url, "--sandbox", "local", "--plain"]
        code, printed = harness_here(digits_home, "run", "digits", *options)
    assert code == errors.STOPPED, printed
    assert os.strerror(number) in printed
    recorded = events_of(only_run(digits_home))
    assert not [event for event in recorded if isinstance(event, ToolFinished)]
    [pause] = [event for event in recorded if isinstance(event, Paused)]
    assert os.strerror(number) in pause.why


@pytest.mark.parametrize("has_labels", [True, False])
def test_run_of_a_metric_that_cannot_be_imported_is_refused(has_labels: bool, tmp_path: Path) -> None:
    own = '{function: "metric.py:score", direction: higher, needs: labels}'
    task = two_numbers(tmp_path / "task", side, metric=own)
    if not has_labels:  # then it is tried on the private answers
        lines = task.read_text().splitlines(keepends=True)
        task.write_text("".join(line for line in lines if not line.startswith(("labels:", "blend:"))))
    (task.parent / "metric.py").write_text(
        "from kaggle_metric_utilities import acc\ndef score(answers, predictions, targets):\n"
        "    return acc(answers[targets[0]], predictions[targets[0]])\n"
    )
    code, printed = harness_here(tmp_path / "home", "run", str(task), "--sandbox", "local", "--attempts", "1")
    assert code == errors.INPUT
    assert "ModuleNotFoundError" in printed and "kaggle_metric_utilities" in printed
    assert not (tmp_path / "home" / "runs").exists()


@pytest.mark.parametrize(
    ("ended", "free", "outcome"), [("exited", 0, False), ("disk", 1 << 40, True), ("disk", 0, None)]
)
def test_full_disk_stops_the_run_and_forgets_the_job(
    ended: Any, free: int, outcome: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = SandboxPaths(tmp_path / "workspace", tmp_path / "data", tmp_path / "jobs", tmp_path)
    job = paths.jobs / "e-1"
    for folder in (job, paths.jobs / ".logs" / "e-1", paths.workspace):
        folder.mkdir(parents=True)
    monkeypatch.setattr(sandboxed.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    run: Any = SimpleNamespace(folder=tmp_path, limits=Limits)
    sandbox: Any = SimpleNamespace(paths=paths, close=lambda: None)
    status = JobStatus("e-1", "finished", ended, 137)
    if outcome is None:
        with pytest.raises(OSError) as caught:
            sandboxed.check_disk(run, sandbox, status)
        assert caught.value.errno == errno.ENOSPC
        assert not job.exists()
    else:
        assert sandboxed.check_disk(run, sandbox, status) is outcome
        assert job.exists()
    assert paths.workspace.exists() is (ended != "disk")


@pytest.mark.parametrize(("free", "workspace", "stops"), [(600, 0, False), (100, 0, True), (100, 450, False)])
def test_a_disk_that_the_model_cannot_empty_stops_the_run(
    free: int, workspace: int, stops: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "workspace").mkdir()
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: SimpleNamespace(free=free * 1_000_000))
    monkeypatch.setattr(disk, "size_of", lambda folder: workspace * 1_000_000)
    sandbox = SimpleNamespace(paths=SimpleNamespace(workspace=tmp_path / "workspace"))
    run: Any = SimpleNamespace(folder=tmp_path, limits=Limits, lanes=[SimpleNamespace(sandbox=sandbox)])
    if not stops:
        return disk.refuse_full(run)
    with pytest.raises(OSError) as caught:
        disk.refuse_full(run)
    assert caught.value.errno == errno.ENOSPC and errors.code_of(caught.value) == errors.STOPPED
    return None
