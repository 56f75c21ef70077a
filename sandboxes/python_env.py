"""The agent's interpreter: a virtual environment with the data science packages of ours, and without the harness.

    HOME/environment/KEY/bin/python                  link to the base interpreter
    HOME/environment/KEY/pyvenv.cfg
    HOME/environment/KEY/lib/pythonX.Y/site-packages the packages, file by file linked to ours, without their tests
    HOME/environment/KEY/etc/                        a small /etc, and an empty file, for sandboxes with their own

The files are hard links where that can be, else copies: one mount shows them all, and each mount costs a job a
millisecond or two. KEY names the versions and places of all of it, so that an upgrade makes a new environment and a run
that goes on keeps its own. Nothing in it holds its own path: it can be mounted anywhere.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandboxes.base import SandboxUnavailable

if TYPE_CHECKING:
    from importlib.metadata import Distribution

SYSTEM_FILES = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "fonts")
"""What programs look for in /etc and may see of this machine's."""
WANTED = ("numpy", "pandas", "scikit-learn")
SANDBOX_USER = 65534
"""The user a sandbox runs commands as where the harness runs as root."""


@dataclass(frozen=True)
class Environment:
    """A made environment: its folder, the base interpreter's prefix, and what lies in `site-packages`."""

    folder: Path
    base: Path
    packages: tuple[Path, ...]

    @property
    def site_packages(self) -> Path:
        """Where its packages are, relative to the environment's folder."""
        return Path("lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")


def make_environment(home: Path, wanted: tuple[str, ...] = WANTED) -> Environment:
    """Find or make the environment under `home`. Raises `SandboxUnavailable` where a wanted package is missing."""
    chosen = _closure(wanted)
    folder = home.absolute() / "environment" / _key(chosen)
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
        try:
            _fill(making, chosen)
        except (OSError, shutil.Error) as error:
            shutil.rmtree(making, ignore_errors=True)
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "a file could not be copied"
            raise SandboxUnavailable(
                f"the interpreter for the model's code cannot be made in {folder.parent} ({reason}). It takes up to "
                "500 MB where HARNESS_HOME is on another disk than the packages: make room, or set HARNESS_HOME"
            ) from None
        making.chmod(0o755)
        try:
            making.rename(folder)
        except OSError:  # another run made the same one meanwhile
            shutil.rmtree(making)
    environment = Environment(folder, Path(sys.base_prefix), ())
    return Environment(folder, environment.base, tuple(sorted((folder / environment.site_packages).iterdir())))


def list_packages(environment: Environment) -> list[tuple[str, str]]:
    """Names and versions of the packages in it, for the report and the task card."""
    from importlib.metadata import distributions

    found = distributions(path=[str(environment.folder / environment.site_packages)])
    return sorted((item.metadata["Name"].lower(), item.version) for item in found)


def _closure(wanted: tuple[str, ...]) -> dict[str, Distribution]:
    """The wanted distributions and all that they require and is installed, by name."""
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
                    f"the package {name} is missing: install it with pip, next to harness"
                ) from None
            continue  # required on other systems or Pythons only
        for requirement in chosen[name].requires or ():
            if "extra ==" not in requirement and (match := re.match(r"[A-Za-z0-9._-]+", requirement)):
                todo.append(match[0])
    return chosen


def _key(chosen: dict[str, Distribution]) -> str:
    import hashlib

    cache = Path("/etc/ld.so.cache")
    changed = cache.stat().st_mtime_ns if cache.exists() else 0
    lines = [f"{sys.version} {interpreter()} {changed} 2"]
    lines += [f"{name} {chosen[name].version} {chosen[name].locate_file('')}" for name in sorted(chosen)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def interpreter() -> Path:
    """The base interpreter, outside of any virtual environment."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable)


def _fill(folder: Path, chosen: dict[str, Distribution]) -> None:
    version = ".".join(map(str, sys.version_info[:2]))
    site_packages = folder / "lib" / f"python{version}" / "site-packages"
    for made in (site_packages, folder / "bin", folder / "etc"):
        made.mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(interpreter())
    for name in ("python3", f"python{version}"):
        (folder / "bin" / name).symlink_to("python")
    settings = f"home = {interpreter().parent}\ninclude-system-site-packages = false\nversion = {version}\n"
    (folder / "pyvenv.cfg").write_text(settings)
    for target in sorted({target for item in chosen.values() for target in _top_level(item)}):
        _link(target, site_packages / target.name)
    users = ((1000, "agent"), (SANDBOX_USER, "agent"), (0, "root"))
    passwd = "".join(f"{name}:x:{number}:{number}::/tmp:/bin/bash\n" for number, name in users)
    (folder / "etc" / "passwd").write_text(passwd)
    (folder / "etc" / "group").write_text("".join(f"{name}:x:{number}:\n" for number, name in users))
    (folder / "etc" / "hosts").write_text("127.0.0.1 localhost sandbox\n::1 localhost\n")
    (folder / "etc" / "empty").touch()
    for name in SYSTEM_FILES:
        with contextlib.suppress(OSError, shutil.Error):  # no program fails without them
            _copy(Path("/etc", name), folder / "etc" / name)


def _link(source: Path, target: Path) -> None:
    if source.is_dir():
        left_out = shutil.ignore_patterns("tests")
        shutil.copytree(source, target, copy_function=_link_file, ignore=left_out, ignore_dangling_symlinks=True)
    else:
        _link_file(source, target)


def _link_file(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or files of another user
        shutil.copy2(source, target)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target, follow_symlinks=False)


def _top_level(item: Distribution) -> Iterator[Path]:
    """Folders and modules that a distribution put right under site-packages."""
    root = Path(str(item.locate_file(""))).absolute()
    names = {file.parts[0] for file in item.files or ()}
    for name in names - {"..", "__pycache__", "/"}:
        if not name.endswith(".pth") and (root / name).exists():
            yield (root / name).resolve()
