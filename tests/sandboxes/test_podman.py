"""Podman behind Docker's interface, where its answers differ from Docker's. The tests of Docker run on it as well."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandboxes.base import JobRequest, SandboxPaths, SandboxUnavailable
from sandboxes.docker import daemon
from sandboxes.docker.sandbox import open_docker
from tests.playing import harness
from tests.sandboxes.conftest import build_once, end_containers


@pytest.fixture
def podman(paths: SandboxPaths, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of the Podman service whose address HARNESS_TEST_PODMAN is. It has the small image."""
    address = os.environ.get("HARNESS_TEST_PODMAN")
    if not address:
        pytest.skip("needs a Podman service: HARNESS_TEST_PODMAN is not set")
    monkeypatch.setenv("DOCKER_HOST", address)
    daemon.connect.cache_clear()
    build_once(paths.home)
    yield daemon.connect()
    end_containers(paths.jobs)
    daemon.connect.cache_clear()


def test_doctor_builds_the_image_once_and_finds_it(podman: Any, home: Path) -> None:
    before = podman.images.get("open-harness/small:1").id
    code, printed = harness(home, "doctor", "--build-image", "small")
    assert code == 0, printed
    assert printed.startswith("open-harness/small:1 works: Podman ")
    small = podman.images.get("open-harness/small:1")
    assert small.id == before, "built already"
    assert small.labels["open-harness.image"] == "small" and "LANG=C.UTF-8" in small.attrs["Config"]["Env"]


def test_an_image_stored_under_localhost_is_found_by_its_name(podman: Any, paths: SandboxPaths) -> None:
    """As Podman names what it builds."""
    name = "open-harness/test-own:1"
    recipe = io.BytesIO(b"FROM open-harness/small:1\nLABEL owner=test\n")
    podman.images.build(fileobj=recipe, tag=f"localhost/{name}", rm=True)
    try:
        assert podman.images.get(f"localhost/{name}").tags == [f"localhost/{name}"]
        sandbox = open_docker(replace(paths, image=name))
        sandbox.start(JobRequest("one", "python -c 'import sys; print(sys.version_info[0])'"))
        assert sandbox.wait(["one"], 60)[0].exit_code == 0 and sandbox.output("one") == b"3\n"
        sandbox.close()
    finally:
        podman.images.remove(f"localhost/{name}")
    assert daemon.image_named(name) is None


def test_a_masked_folder_is_empty(podman: Any, paths: SandboxPaths) -> None:
    """Podman fills a tmpfs with what the image has at its place."""
    sandbox = open_docker(replace(paths, hidden=("sklearn/datasets",)))
    find = "import importlib.util as u; print(u.find_spec('sklearn').submodule_search_locations[0])"
    sandbox.start(JobRequest("one", f'ls -A $(python -c "{find}")/datasets | wc -l'))
    assert sandbox.wait(["one"], 60)[0].exit_code == 0 and sandbox.output("one") == b"0\n"


def test_only_the_runtime_of_the_service_is_known(podman: Any, paths: SandboxPaths) -> None:
    """It lists more of them, and ignores which one a container asks for."""
    (known,) = daemon.runtimes()
    assert known in podman.info()["Runtimes"] and len(podman.info()["Runtimes"]) > 1
    daemon.check_runtime(known)
    with pytest.raises(SandboxUnavailable, match=f"Podman .* has no runtime runsc: .* {known}$"):
        open_docker(replace(paths, runtime="runsc"))
