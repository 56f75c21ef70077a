"""What nobody needs is taken away, and nothing else."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

from sandboxes.base import SandboxPaths
from sandboxes.cleanup import OLD_SECONDS, reap_containers, reap_folders
from sandboxes.docker.daemon import LABEL, connect, container_named


def test_a_container_of_a_run_that_is_driven_or_has_a_job_stays(contained: Any, paths: SandboxPaths) -> None:
    contained.says("true")
    assert reap_containers(paths.home, lambda jobs: jobs == paths.jobs) == []
    job = contained.start("sleep 60")
    while contained.box.status(job).seconds == 0:
        time.sleep(0.02)
    assert reap_containers(paths.home, lambda _: False) == []
    contained.box.kill(job)
    assert reap_containers(paths.home, lambda _: False) == [contained.box.name]
    assert container_named(contained.box.name) is None


def test_a_container_whose_run_was_removed_goes_with_its_jobs(contained: Any, paths: SandboxPaths) -> None:
    contained.start("sleep 60")
    while not container_named(contained.box.name):
        time.sleep(0.02)
    while paths.jobs.exists():  # its supervisor goes on writing there for as long as it can
        shutil.rmtree(paths.jobs, ignore_errors=True)
    assert reap_containers(paths.home, lambda _: True) == [contained.box.name]
    paths.jobs.mkdir()


def test_what_is_not_ours_is_never_touched(contained: Any, paths: SandboxPaths, tmp_path: Path) -> None:
    """Neither a container of another home, nor one that bears our folder's name but not our label."""
    image = contained.box.image
    labels = [{LABEL: "1", f"{LABEL}.home": str(tmp_path / "other")}, {f"{LABEL}.home": str(paths.home)}, {}]
    made = [connect().containers.create(image.id, entrypoint=["/bin/true"], labels=one) for one in labels]
    try:
        assert reap_containers(paths.home, lambda _: False) == []
        assert all(container_named(one.name) for one in made)
    finally:
        for one in made:
            one.remove(force=True)


def test_old_temporary_folders_go_and_young_ones_stay(tmp_path: Path) -> None:
    for name in ("probe/old", "probe/young", "environment/.making-old", "environment/key", "runs/old"):
        (tmp_path / name).mkdir(parents=True)
        if name.endswith("old"):
            os.utime(tmp_path / name, (0, time.time() - 2 * OLD_SECONDS))
    assert sorted(path.name for path in reap_folders(tmp_path)) == [".making-old", "old"]
    assert (tmp_path / "runs" / "old").exists()
    assert (tmp_path / "probe" / "young").exists()
