"""Whether this host can run a row at all: the harness's version, the sandbox with its image, the GPUs."""

from __future__ import annotations

import secrets
import shutil
from functools import cache
from importlib.metadata import version
from pathlib import Path

from harness.settings import Settings
from harness.startup import sandbox_setup
from harness.startup.create_run import RunRequest, plays_demo, resolve_settings
from harness.sweep.types import Plan, Row
from runs.run_settings import RunSettings
from sandboxes.base import SandboxPaths, SandboxUnavailable
from sandboxes.select import open_sandbox


def why_unfit(row: Row, plan: Plan, process: Settings, *, is_fresh: bool = False) -> str:
    """Why this host cannot run the row; empty if it can. Mistakes in settings are not a fault of the host.

    The result is cached, unless `is_fresh`.
    """
    if (mine := version("open-harness")) != plan.version:
        return f"it has version {mine} of the harness, and the sweep was started with {plan.version}"
    settings = settings_of(row, process)
    needs = (settings.sandbox, settings.image, settings.runtime, row.gpus, plays_demo(settings))
    if is_fresh:
        _why_not.cache_clear()
    return _why_not(*needs, process.home)


def settings_of(row: Row, process: Settings) -> RunSettings:
    """The settings of a row, as far as they do not come from its task file."""
    assignments = tuple(f"{name}={text}" for name, text in row.settings.items())
    return resolve_settings(RunRequest(row.task, {}, assignments), None, process).settings


@cache
def _why_not(sandbox: str, image: str, runtime: str, gpus: int, is_demo: bool, home: Path) -> str:
    folder = home / "probe" / secrets.token_hex(4)
    paths = SandboxPaths(folder / "workspace", folder, folder / "jobs", home, image=image, runtime=runtime)
    paths.workspace.mkdir(parents=True)
    try:
        sandbox_setup.check_gpus(gpus)
        open_sandbox(sandbox, paths).close()
    except SandboxUnavailable as error:
        if is_demo and sandbox == "auto" and not gpus:
            return ""  # the demo model may run without isolation
        return str(error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return ""
