"""The default environment of the agent."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from sandboxes.base import SandboxUnavailable
from sandboxes.environments.small import make_environment


def test_environment_is_made_once(tmp_path: Path) -> None:
    first = make_environment(tmp_path)
    inode = first.folder.stat().st_ino
    began = time.monotonic()
    assert make_environment(tmp_path) == first
    assert first.folder.stat().st_ino == inode
    assert time.monotonic() - began < 0.5
    assert [path.name for path in (tmp_path / "environment").iterdir()] == [first.folder.name]


def test_packages_are_listed_without_harness(home: Path) -> None:
    names = [package.split()[0] for package in make_environment(home).packages]
    assert {"numpy", "pandas", "scikit-learn", "scipy", "joblib"} <= set(names)
    assert not {"open-harness", "openai", "pytest", "pip"} & set(names)


def test_environment_can_be_moved(home: Path, tmp_path: Path) -> None:
    environment = make_environment(home)
    shutil.copytree(environment.folder, tmp_path / "elsewhere", symlinks=True, copy_function=os.link)
    script = "import sys, numpy; print(sys.prefix)"
    argv = [tmp_path / "elsewhere" / "bin" / "python", "-c", script]
    done = subprocess.run(argv, env={}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path / "elsewhere")


def test_files_that_cannot_be_linked_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    environment = make_environment(tmp_path, ("joblib",))
    module = environment.folder / environment.site_packages / "joblib" / "__init__.py"
    assert module.stat().st_nlink == 1
    assert module.read_bytes()


def test_missing_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="no-such-package is missing: install it"):
        make_environment(tmp_path, ("no-such-package",))
