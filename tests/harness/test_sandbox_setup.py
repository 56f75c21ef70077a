"""Sandbox settings that are refused before a run exists."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.settings import Settings
from harness.startup.create_run import RunRequest, create
from harness.startup.sandbox_setup import check_settings, sandbox_paths
from runs.run_settings import RunSettings
from sandboxes.base import SandboxUnavailable
from sandboxes.gpus import query_gpus
from tasks.new_task import TaskRequest, make_task


def test_gpus_that_are_not_there_are_refused_in_words() -> None:
    there = len(query_gpus()[0])
    with pytest.raises(SandboxUnavailable, match=f"--gpus {there + 1}"):
        check_settings(RunSettings(gpus=there + 1, sandbox="docker"))
    check_settings(RunSettings(sandbox="local"))


def test_a_runtime_needs_containers() -> None:
    check_settings(RunSettings(sandbox="local"))
    check_settings(RunSettings(runtime="runsc", sandbox="docker"))
    with pytest.raises(Exception, match="--runtime needs --sandbox docker"):
        check_settings(RunSettings(runtime="runsc"))


def test_a_run_taken_up_again_has_the_runtime_it_began_with(tmp_path: Path) -> None:
    blend = SimpleNamespace(public=tmp_path)
    for runtime in ("runsc", ""):
        run = SimpleNamespace(settings=RunSettings(runtime=runtime), hidden=[], image="", environment="")
        assert sandbox_paths(tmp_path, run, blend, tmp_path).runtime == runtime  # type: ignore[arg-type]


def test_two_tasks_of_one_id_have_a_blend_each(tmp_path: Path) -> None:
    """The second is not taken for the first, whose data has changed."""
    settings = Settings(tmp_path / "home")
    for owner in ("mine", "yours"):
        (tmp_path / owner).mkdir()
        rows = [f"{owner} {at},{at % 2}" for at in range(120)]
        (tmp_path / owner / "churn.csv").write_text("\n".join(["who,left", *rows, ""]))
        made = make_task(TaskRequest(tmp_path / owner / "churn.csv", "left", tmp_path / owner / "churn"))
        create(RunRequest(str(made.folder), {"sandbox": "local"}), settings)
    files = [path.read_text() for path in (tmp_path / "home" / "data" / ".blends").glob("*/*/public/train.csv")]
    whose = [[owner for owner in ("mine", "yours") if f"{owner} " in text] for text in files]
    assert sorted(whose) == [["mine"], ["yours"]]
