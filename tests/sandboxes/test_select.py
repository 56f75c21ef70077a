"""Choosing a sandbox by name or automatically."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandboxes.base import SandboxPaths, SandboxUnavailable
from sandboxes.bubblewrap import check_bubblewrap
from sandboxes.docker.daemon import connect
from sandboxes.select import open_sandbox, probe_sandboxes


@pytest.fixture
def without_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-such.sock")
    connect.cache_clear()
    yield
    connect.cache_clear()


@pytest.fixture
def without_bwrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    check_bubblewrap.cache_clear()
    return tmp_path


def test_local_notice_warns_of_missing_isolation(paths: SandboxPaths) -> None:
    sandbox = open_sandbox("local", paths)
    assert sandbox.kind == "local"
    assert "isolates nothing" in sandbox.isolation.notice
    assert "labels unprotected" in sandbox.isolation.notice
    assert not (sandbox.isolation.network or sandbox.isolation.files or sandbox.isolation.protects_labels)


def test_auto_prefers_docker(container: object, paths: SandboxPaths) -> None:
    assert open_sandbox("auto", paths).kind == "docker"


@pytest.mark.usefixtures("without_docker")
def test_auto_falls_back_to_bubblewrap(bubblewrap: object, paths: SandboxPaths) -> None:
    assert open_sandbox("auto", paths).kind == "bubblewrap"


@pytest.mark.usefixtures("without_docker")
def test_auto_never_takes_local(paths: SandboxPaths, without_bwrap: Path) -> None:
    with pytest.raises(SandboxUnavailable, match=r"install the system package `bubblewrap`.*--sandbox local"):
        open_sandbox("auto", paths)


@pytest.mark.usefixtures("without_docker")
def test_missing_docker_daemon_is_reported(paths: SandboxPaths) -> None:
    with pytest.raises(SandboxUnavailable, match=r"no Docker daemon answers.*--sandbox bubblewrap"):
        open_sandbox("docker", paths)


def test_missing_image_is_reported(container: object, paths: SandboxPaths) -> None:
    with pytest.raises(SandboxUnavailable, match="there is no image nobody/nothing:9"):
        open_sandbox("docker", replace(paths, image="nobody/nothing:9"))


def test_unknown_kind_lists_known_kinds(paths: SandboxPaths) -> None:
    with pytest.raises(SandboxUnavailable, match="auto, docker, bubblewrap, local"):
        open_sandbox("chroot", paths)


def test_probe_advises_for_each_kind(home: Path, without_bwrap: Path) -> None:
    probes = {probe.kind: probe for probe in probe_sandboxes(home)}
    assert list(probes) == ["docker", "bubblewrap", "local"]
    assert not probes["bubblewrap"].works
    assert "install" in probes["bubblewrap"].advice
    assert probes["local"].works


def test_bwrap_error_message_is_shown(without_bwrap: Path, home: Path) -> None:
    for name, script in (("bwrap", "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1"), ("setpriv", "")):
        (without_bwrap / name).write_text(f"#!/bin/sh\n{script}\n")
        (without_bwrap / name).chmod(0o755)
    with pytest.raises(SandboxUnavailable, match="Permission denied"):
        check_bubblewrap(home)
