"""Unused containers and stale folders are removed, and nothing else."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

from sandboxes.base import SandboxPaths
from sandboxes.cleanup import STALE_SECONDS, remove_stale_folders, remove_unused_containers
from sandboxes.docker.daemon import LABEL, connect, find_container


def test_used_container_is_kept_until_its_job_ends(container: Any, paths: SandboxPaths) -> None:
    container.output_of("true")
    assert remove_unused_containers(paths.home, lambda jobs: jobs == paths.jobs) == []
    job = container.start("sleep 60")
    while container.sandbox.status(job).seconds == 0:
        time.sleep(0.02)
    assert remove_unused_containers(paths.home, lambda _: False) == []
    container.sandbox.kill(job)
    assert remove_unused_containers(paths.home, lambda _: False) == [container.sandbox.name]
    assert find_container(container.sandbox.name) is None


def test_container_of_deleted_run_is_removed(container: Any, paths: SandboxPaths) -> None:
    container.start("sleep 60")
    while not find_container(container.sandbox.name):
        time.sleep(0.02)
    while paths.jobs.exists():  # its supervisor still writes into it
        shutil.rmtree(paths.jobs, ignore_errors=True)
    assert remove_unused_containers(paths.home, lambda _: True) == [container.sandbox.name]
    paths.jobs.mkdir()


def test_foreign_containers_are_never_removed(container: Any, paths: SandboxPaths, tmp_path: Path) -> None:
    """Neither a container of another home nor one with our folder but without our label."""
    image = container.sandbox.image
    labels = [{LABEL: "1", f"{LABEL}.home": str(tmp_path / "other")}, {f"{LABEL}.home": str(paths.home)}, {}]
    containers = [connect().containers.create(image.id, entrypoint=["/bin/true"], labels=each) for each in labels]
    try:
        assert remove_unused_containers(paths.home, lambda _: False) == []
        assert all(find_container(each.name) for each in containers)
    finally:
        for each in containers:
            each.remove(force=True)


def test_only_stale_temporary_folders_are_removed(tmp_path: Path) -> None:
    for name in ("probe/old", "probe/young", "environment/.making-old", "environment/key", "runs/old"):
        (tmp_path / name).mkdir(parents=True)
        if name.endswith("old"):
            os.utime(tmp_path / name, (0, time.time() - 2 * STALE_SECONDS))
    assert sorted(path.name for path in remove_stale_folders(tmp_path)) == [".making-old", "old"]
    assert (tmp_path / "runs" / "old").exists()
    assert (tmp_path / "probe" / "young").exists()
