"""The agent's interpreter is made once, of what is installed, and can be put anywhere."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from sandboxes.base import SandboxUnavailable
from sandboxes.python_env import list_packages, make_environment


def test_it_is_made_once_and_found_again(tmp_path: Path) -> None:
    first = make_environment(tmp_path)
    inode = first.folder.stat().st_ino
    began = time.monotonic()
    assert make_environment(tmp_path) == first
    assert first.folder.stat().st_ino == inode
    assert time.monotonic() - began < 0.5
    assert [path.name for path in (tmp_path / "environment").iterdir()] == [first.folder.name]


def test_it_lists_what_is_in_it(home: Path) -> None:
    names = [name for name, _ in list_packages(make_environment(home))]
    assert {"numpy", "pandas", "scikit-learn", "scipy", "joblib"} <= set(names)
    assert not {"open-harness", "openai", "pytest", "pip"} & set(names)


def test_it_works_wherever_it_is_put(home: Path, tmp_path: Path) -> None:
    made = make_environment(home)
    shutil.copytree(made.folder, tmp_path / "elsewhere", symlinks=True)
    script = "import sys, sklearn; print(sys.prefix)"
    argv = [tmp_path / "elsewhere" / "bin" / "python", "-c", script]
    done = subprocess.run(argv, env={}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path / "elsewhere")


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="no-such-package is missing: install it"):
        make_environment(tmp_path, ("no-such-package",))
