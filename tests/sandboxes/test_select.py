"""A sandbox is chosen by name, or the strongest that works; never one without isolation by itself."""

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


def test_local_says_that_it_isolates_nothing(paths: SandboxPaths) -> None:
    box = open_sandbox("local", paths)
    assert box.kind == "local"
    assert "isolates nothing" in box.isolation.notice
    assert "labels unprotected" in box.isolation.notice
    assert not (box.isolation.network or box.isolation.files or box.isolation.protects_labels)


def test_auto_takes_docker_first(contained: object, paths: SandboxPaths) -> None:
    assert open_sandbox("auto", paths).kind == "docker"


@pytest.mark.usefixtures("without_docker")
def test_auto_takes_bubblewrap_where_docker_does_not_answer(wrapped: object, paths: SandboxPaths) -> None:
    assert open_sandbox("auto", paths).kind == "bubblewrap"


@pytest.mark.usefixtures("without_docker")
def test_auto_refuses_rather_than_not_isolate(paths: SandboxPaths, without_bwrap: Path) -> None:
    with pytest.raises(SandboxUnavailable, match=r"install the system package `bubblewrap`.*--sandbox local"):
        open_sandbox("auto", paths)


@pytest.mark.usefixtures("without_docker")
def test_docker_is_told_to_be_absent(paths: SandboxPaths) -> None:
    with pytest.raises(SandboxUnavailable, match=r"no Docker daemon answers.*--sandbox bubblewrap"):
        open_sandbox("docker", paths)


def test_an_image_that_is_not_there_is_told(contained: object, paths: SandboxPaths) -> None:
    with pytest.raises(SandboxUnavailable, match="there is no image nobody/nothing:9"):
        open_sandbox("docker", replace(paths, image="nobody/nothing:9"))


def test_an_unknown_kind_lists_the_known_ones(paths: SandboxPaths) -> None:
    with pytest.raises(SandboxUnavailable, match="auto, docker, bubblewrap, local"):
        open_sandbox("chroot", paths)


def test_the_probe_says_of_each_kind_what_to_do(home: Path, without_bwrap: Path) -> None:
    probes = {probe.kind: probe for probe in probe_sandboxes(home)}
    assert list(probes) == ["docker", "bubblewrap", "local"]
    assert not probes["bubblewrap"].works
    assert "install" in probes["bubblewrap"].advice
    assert probes["local"].works


def test_a_bwrap_that_may_not_work_is_told_with_its_own_words(without_bwrap: Path, home: Path) -> None:
    for name, script in (("bwrap", "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1"), ("setpriv", "")):
        (without_bwrap / name).write_text(f"#!/bin/sh\n{script}\n")
        (without_bwrap / name).chmod(0o755)
    with pytest.raises(SandboxUnavailable, match="Permission denied"):
        check_bubblewrap(home)
