"""The default environment: the harness's data science packages, without the harness itself.

    HOME/environment/KEY/bin/python                  link to the base interpreter
    HOME/environment/KEY/pyvenv.cfg
    HOME/environment/KEY/lib/pythonX.Y/site-packages the packages without their tests
    HOME/environment/KEY/etc/                        a small /etc and an empty file, for sandboxes with their own /etc

Package files are hard links if possible, else copies, so that one mount shows them all: a mount costs a job 1 to 2 ms.
KEY is a hash of all versions and paths: an upgrade makes a new environment, and a running run keeps its own. No file
contains the folder's path, so it can be mounted anywhere.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sandboxes.base import SandboxUnavailable
from sandboxes.cache import make_folder_once, short_hash
from sandboxes.environments.environment import SMALL, USUAL, Environment, read_prefix

if TYPE_CHECKING:
    from importlib.metadata import Distribution

SYSTEM_FILES = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "fonts")
"""Entries of this machine's /etc that programs need."""
DEFAULT = (*USUAL, "pillow")
"""The packages of the default environment, apart from what they need."""
SANDBOX_USER = 65534
"""The user that commands run as when the harness runs as root."""


def make_environment(home: Path, wanted: tuple[str, ...] = DEFAULT) -> Environment:
    """Find or make the environment under `home`. Raises `SandboxUnavailable` if a wanted package is missing."""
    chosen, key = _closure_and_key(wanted)
    folder = home.absolute() / SMALL / key

    def fill(draft: Path) -> None:
        try:
            _fill(draft, chosen)
        except OSError as error:  # shutil.Error is one
            reason = error.strerror or "a file could not be copied"
            raise SandboxUnavailable(
                f"the Python environment of the agent cannot be made in {folder.parent} ({reason}). It takes up to 500 "
                "MB if HARNESS_HOME is on another disk than the packages: free some space, or set HARNESS_HOME"
            ) from None

    return read_prefix(make_folder_once(folder, fill), home)


@functools.cache
def _closure_and_key(wanted: tuple[str, ...]) -> tuple[dict[str, Distribution], str]:
    """What an environment consists of. Asked once in a process, which keeps its environment while it runs."""
    chosen = _closure(wanted)
    return chosen, _key(chosen)


def _closure(wanted: tuple[str, ...]) -> dict[str, Distribution]:
    """The wanted distributions and all their installed requirements, by name."""
    from importlib.metadata import PackageNotFoundError, distribution

    chosen: dict[str, Distribution] = {}
    todo = list(wanted)
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in chosen:
            continue
        try:
            chosen[name] = distribution(name)
        except PackageNotFoundError:
            if name in wanted:
                raise SandboxUnavailable(
                    f"the package {name} is missing: install it with pip beside the harness"
                ) from None
            continue  # required only on other systems or Python versions
        for requirement in chosen[name].requires or ():
            if "extra ==" not in requirement and (match := re.match(r"[A-Za-z0-9._-]+", requirement)):
                todo.append(match[0])
    return chosen


def _key(chosen: dict[str, Distribution]) -> str:
    cache = Path("/etc/ld.so.cache")
    changed = cache.stat().st_mtime_ns if cache.exists() else 0
    lines = [f"{sys.version} {interpreter()} {changed} 2"]
    lines += [f"{name} {chosen[name].version} {chosen[name].locate_file('')}" for name in sorted(chosen)]
    return short_hash("\n".join(lines))


def interpreter() -> Path:
    """The base interpreter, outside any virtual environment."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable)


def _fill(folder: Path, chosen: dict[str, Distribution]) -> None:
    version = ".".join(map(str, sys.version_info[:2]))
    site_packages = folder / "lib" / f"python{version}" / "site-packages"
    for path in (site_packages, folder / "bin", folder / "etc"):
        path.mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(interpreter())
    for name in ("python3", f"python{version}"):
        (folder / "bin" / name).symlink_to("python")
    settings = f"home = {interpreter().parent}\ninclude-system-site-packages = false\nversion = {version}\n"
    (folder / "pyvenv.cfg").write_text(settings)
    for target in sorted({target for item in chosen.values() for target in _top_level(item)}):
        _link(target, site_packages / target.name)
    _fill_etc(folder / "etc")


def _fill_etc(etc: Path) -> None:
    users = ((1000, "agent"), (SANDBOX_USER, "agent"), (0, "root"))
    passwd = "".join(f"{name}:x:{number}:{number}::/tmp:/bin/bash\n" for number, name in users)
    (etc / "passwd").write_text(passwd)
    (etc / "group").write_text("".join(f"{name}:x:{number}:\n" for number, name in users))
    (etc / "hosts").write_text("127.0.0.1 localhost sandbox\n::1 localhost\n")
    (etc / "empty").touch()
    for name in SYSTEM_FILES:
        with contextlib.suppress(OSError, shutil.Error):  # programs run without them too
            _copy(Path("/etc", name), etc / name)


def _link(source: Path, target: Path) -> None:
    if source.is_dir():
        left_out = shutil.ignore_patterns("tests")
        shutil.copytree(source, target, copy_function=_link_file, ignore=left_out, ignore_dangling_symlinks=True)
    else:
        _link_file(source, target)


def _link_file(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # on another disk, or owned by another user
        shutil.copy2(source, target)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target, follow_symlinks=False)


def _top_level(item: Distribution) -> Iterator[Path]:
    """Folders and modules that a distribution has directly under site-packages."""
    root = Path(str(item.locate_file(""))).absolute()
    names = {file.parts[0] for file in item.files or ()}
    for name in names - {"..", "__pycache__", "/"}:
        if not name.endswith(".pth") and (root / name).exists():
            yield (root / name).resolve()
