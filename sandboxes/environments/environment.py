"""A Python environment of the agent: where it is, what else it needs, and what is installed in it.

An environment is a prefix: a folder with `bin/python` and `lib/pythonX.Y/site-packages`. Facts about it are read from
its files, without running its Python, which may belong to a container's image.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sandboxes.base import SandboxFailed, SandboxUnavailable
from sandboxes.cache import short_hash

OLDEST = (3, 9)
"""The oldest Python that an environment or an image may have."""
SMALL, BUILT = "environment", "environments"
"""Folders of HARNESS_HOME: the default environment, and those that were built from requirements."""
INSIDE = PurePosixPath("/environment")
"""Where isolating sandboxes show an environment that the harness made."""
SITE_PACKAGES = ("lib/python3*/site-packages", "lib/python3*/dist-packages", "local/lib/python3*/*-packages")
"""Where an installed Python keeps its packages, which may hold the harness or answers: masked in every root."""
USUAL = ("numpy", "pandas", "scikit-learn")
"""Packages that most solutions use; it is said which of them are missing."""


@dataclass(frozen=True)
class Environment:
    """An environment.

    `folder` is its prefix on this machine, `inside` in isolating sandboxes. `site_packages` is relative to both.
    `roots` are folders that its interpreter needs beside it. `id` changes with what is installed.
    """

    folder: Path
    inside: PurePosixPath
    site_packages: Path
    roots: tuple[Path, ...]
    python: str
    packages: tuple[str, ...]
    id: str

    @property
    def is_conda(self) -> bool:
        """Whether it is a conda prefix, which carries its interpreter."""
        return (self.folder / "conda-meta").is_dir()

    def visible_roots(self) -> list[Path]:
        """The roots to mount beside `/usr`. Raises `SandboxUnavailable` for one that holds a home folder."""
        roots: list[Path] = []
        for root in self.roots:
            if any(root.is_relative_to(other) for other in (Path("/usr"), *roots)):
                continue
            if Path.home().is_relative_to(root):
                raise SandboxUnavailable(
                    f"Python is installed in {root}, a home folder: install it in a folder of its own"
                )
            roots.append(root)
        return roots

    def hidden(self, names: tuple[str, ...]) -> dict[PurePosixPath, bool]:
        """The paths inside to mask, and whether each is a folder. Raises `SandboxFailed` for one outside."""
        masked = {}
        for name in names:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                raise SandboxFailed(f"{name} cannot be hidden: name it relative to site-packages")
            real = self.folder / self.site_packages / path
            if real.exists():
                masked[self.inside / self.site_packages / path] = real.is_dir()
        return masked

    def variables(self, folder: PurePosixPath | Path) -> dict[str, str]:
        """The variables that make it the environment of a job which sees it at `folder`."""
        name = "CONDA_PREFIX" if self.is_conda else "VIRTUAL_ENV"
        return {"PATH": f"{folder}/bin:/usr/local/bin:/usr/bin:/bin", name: str(folder)}


def read_prefix(folder: Path, home: Path) -> Environment:
    """The environment in a prefix: a venv, a conda environment, or one that the harness built under `home`.

    Raises `SandboxUnavailable` for a folder that is not an environment, or whose Python is too old.
    """
    folder = folder.absolute()
    if not (folder / "pyvenv.cfg").is_file() and not (folder / "conda-meta").is_dir():
        raise SandboxUnavailable(f"{folder} is neither a venv nor a conda environment: name the folder that holds bin/")
    for kept in (home.absolute(), Path.home()):
        if kept.is_relative_to(folder):
            raise SandboxUnavailable(f"the environment {folder} contains {kept}: put it into a folder of its own")
    site_packages = _site_packages(folder)
    is_made = folder.parent in (home.absolute() / SMALL, home.absolute() / BUILT)
    return _read(folder, site_packages, is_made, (folder / site_packages).stat().st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _read(folder: Path, site_packages: Path, is_made: bool, changed: int) -> Environment:
    """The environment, read again when a package is installed or removed (`changed`)."""
    settings = _settings(folder)
    python = settings.get("version") or settings.get("version_info") or site_packages.parts[1].removeprefix("python")
    packages = list_packages(folder / site_packages)
    # The harness names one by what it was made of; another one may be changed by its owner.
    identity = folder.name if is_made else short_hash("\n".join([str(folder), python, str(changed), *packages]))
    inside = INSIDE if is_made else PurePosixPath(folder)
    return Environment(folder, inside, site_packages, _roots(folder, settings), python, packages, identity)


def list_packages(site_packages: Path) -> tuple[str, ...]:
    """Names and versions of the packages in a folder, for the report and the task card."""
    from importlib.metadata import distributions

    installed = distributions(path=[str(site_packages)])
    named = {((item.metadata["Name"] or "").lower(), item.version) for item in installed}
    return tuple(f"{name} {version}" for name, version in sorted(named) if name)


def missing_packages(packages: tuple[str, ...] | list[str]) -> list[str]:
    """Which of the usual packages are not installed."""
    names = {package.partition(" ")[0] for package in packages}
    return [name for name in USUAL if name not in names]


def changed_packages(before: tuple[str, ...] | list[str], now: tuple[str, ...] | list[str]) -> str:
    """What was installed, removed or replaced, in words; empty if nothing was."""
    added, gone = sorted(set(now) - set(before)), sorted(set(before) - set(now))
    parts = [f"{word} {', '.join(packages)}" for word, packages in (("now with", added), ("without", gone)) if packages]
    return ", ".join(parts)


def _site_packages(folder: Path) -> Path:
    """The folder of packages, relative to the prefix. Raises `SandboxUnavailable`."""
    for path in sorted(folder.glob("lib/python3.*/site-packages")):
        version = path.parent.name.removeprefix("python3.")
        if not version.isdigit():
            continue
        if (3, int(version)) < OLDEST:
            raise SandboxUnavailable(
                f"the environment {folder} has Python 3.{version}: make one with Python {'.'.join(map(str, OLDEST))} "
                "or later"
            )
        return path.relative_to(folder)
    raise SandboxUnavailable(f"{folder} has no lib/python3.X/site-packages: make the environment with Python 3")


def _settings(folder: Path) -> dict[str, str]:
    """The lines of `pyvenv.cfg`; empty for a conda environment."""
    path = folder / "pyvenv.cfg"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _roots(folder: Path, settings: dict[str, str]) -> tuple[Path, ...]:
    """The prefixes of the interpreter that a venv links to: where it is said to be, and where it really is."""
    roots = [Path(settings["home"]).parent] if "home" in settings else []
    python = folder / "bin" / "python"
    if python.exists():
        roots.append(python.resolve().parents[1])
    return tuple(dict.fromkeys(root for root in roots if root != folder and not root.is_relative_to(folder)))
