"""Build an environment from a requirements file, once: a venv whose packages are wheels.

    HOME/environments/KEY-VERSIONS/          the environment; both parts of the name are hashes
    HOME/environments/KEY-VERSIONS/packages.txt  its packages, as pins that pip understands
    HOME/environments/KEY.lock               held while an environment is built

KEY is made of the bytes of the file, the Python and the platform, VERSIONS of the packages that were installed. An
environment is built in a folder of its own and then renamed, so it is complete or missing.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from sandboxes.base import SandboxUnavailable
from sandboxes.cache import short_hash
from sandboxes.environments.environment import BUILT, list_packages
from sandboxes.environments.requirements import Requirements
from sandboxes.environments.small import interpreter

PINS = "packages.txt"
SAY_SECONDS = 5.0
"""How often the progress of a build is told."""
KEPT_LINES = 60
RELOCATABLE = "#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' \"$0\" \"$@\"\n' '''\n"
"""First lines of a script that is run by the Python beside it, wherever the environment is mounted."""

DRAFT = ".making-"
"""Prefix of a folder in which an environment is being installed, before its key."""
Say = Callable[[str], None]
Install = Callable[[Path, Requirements, "Path | None", Say], None]
"""Makes a venv in a folder and installs requirements into it, at most with the versions of a file of pins."""


def build_here(requirements: Requirements, home: Path, pins: Sequence[str] = (), say: Say = lambda _: None) -> Path:
    """The environment of a requirements file for this machine's Python; built if it is missing.

    `pins` are the versions that it must have (`name version`), for an environment that was removed meanwhile. Raises
    `SandboxUnavailable` where it cannot be built.
    """
    key = requirements.key(sys.version, str(interpreter()), platform.platform(terse=True), platform.machine())
    return build(requirements, home, key, _install_here, pins, say)


def build(requirements: Requirements, home: Path, key: str, install: Install, pins: Sequence[str], say: Say) -> Path:
    """The environment of this key, installed by `install` if it is missing."""
    from filelock import FileLock

    folder = home.absolute() / BUILT
    folder.mkdir(parents=True, exist_ok=True)
    remove_unfinished(home)
    with FileLock(folder / f"{key}.lock"):
        if found := _find(folder, key, pins):
            return found
        draft = Path(tempfile.mkdtemp(dir=folder, prefix=f"{DRAFT}{key}-"))
        try:
            say(f"building the environment of {requirements.path.name}, which later runs use again")
            install(draft, requirements, _write_pins(draft, pins) if pins else None, say)
            return _finish(draft, folder, key)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise


def remove_unfinished(home: Path) -> list[Path]:
    """Remove what killed builds left; returns it. A running build holds the lock of its key."""
    from filelock import FileLock, Timeout

    removed = []
    for draft in (home.absolute() / BUILT).glob(f"{DRAFT}*"):
        key = draft.name.removeprefix(DRAFT).partition("-")[0]
        with suppress(Timeout), FileLock(draft.parent / f"{key}.lock", timeout=0):
            shutil.rmtree(draft, ignore_errors=True)
            removed.append(draft)
    return removed


def _find(folder: Path, key: str, pins: Sequence[str]) -> Path | None:
    """The newest environment of a key, or the one that has these versions."""
    found = sorted(folder.glob(f"{key}-*"), key=lambda path: path.stat().st_mtime)
    wanted = [path for path in found if not pins or path.name == f"{key}-{_hash_of(pins)}"]
    return wanted[-1] if wanted else None


def _hash_of(packages: Sequence[str]) -> str:
    return short_hash("\n".join(sorted(packages)), 8)


def _write_pins(folder: Path, packages: Sequence[str]) -> Path:
    (folder / PINS).write_text("".join(f"{package.replace(' ', '==', 1)}\n" for package in packages))
    return folder / PINS


def _finish(draft: Path, folder: Path, key: str) -> Path:
    """Give an installed environment its name."""
    [site_packages] = draft.glob("lib/python3*/site-packages")
    packages = list_packages(site_packages)
    _write_pins(draft, packages)
    for script in (draft / "bin").iterdir():
        _relocate(script, draft)
    draft.chmod(0o755)
    target = folder / f"{key}-{_hash_of(packages)}"
    if target.exists():  # rebuilt with other pins, and these are the versions that were there
        shutil.rmtree(draft)
    else:
        draft.rename(target)
    return target


def _relocate(script: Path, draft: Path) -> None:
    """Make a script find the Python beside it: the folder is renamed, and mounted elsewhere."""
    if script.is_symlink() or not script.is_file():
        return
    content = script.read_bytes()
    own = re.escape(os.fsencode(draft))
    long_form = rb"#!/bin/sh\n'''exec' \"?" + own + rb"/bin/python[0-9.]*\"? \"\$0\" \"\$@\"\n' '''\n"
    body = re.sub(rb"\A(?:#!" + own + rb"/bin/python[0-9.]*[^\n]*\n|" + long_form + rb")", b"", content, count=1)
    if body != content:
        script.write_bytes(RELOCATABLE.encode() + body)


def _install_here(draft: Path, requirements: Requirements, pins: Path | None, say: Say) -> None:
    """Make a venv of this machine's Python and install into it, with uv where that is installed."""
    python, uv, what = str(draft / "bin" / "python"), shutil.which("uv"), str(requirements.path)
    runner = "" if uv else str(pip_runner())
    run_visibly([str(interpreter()), "-m", "venv", "--without-pip", str(draft)], say, what)
    if uv:
        argv = [uv, "pip", "install", "--python", python, "--compile-bytecode"]
        argv += [] if requirements.allows_builds else ["--no-build"]
        argv += ["-r", what, *(["-c", str(pins)] if pins else [])]
    else:
        argv = [python, runner, *pip_arguments(requirements, what, str(pins or ""))]
    run_visibly(argv, say, what)


def pip_arguments(requirements: Requirements, file: str, pins: str = "") -> list[str]:
    """The arguments with which pip installs requirements, at these paths of the file and of the pins."""
    options = ["install", "--no-input", "--progress-bar", "off", "--disable-pip-version-check", "--compile"]
    options += [] if requirements.allows_builds else ["--only-binary", ":all:"]
    return [*options, "-r", file, *(["-c", pins] if pins else [])]


def pip_runner() -> Path:
    """The script with which the pip beside the harness installs for another Python. Raises `SandboxUnavailable`."""
    spec = importlib.util.find_spec("pip")
    for folder in spec.submodule_search_locations or () if spec else ():
        if (runner := Path(folder, "__pip-runner__.py")).is_file():
            return runner
    raise SandboxUnavailable(
        "no pip to build the environment with: install uv, or pip 22.3 or later beside the harness"
    )


def run_visibly(argv: Sequence[str], say: Say, what: str, cwd: Path | None = None) -> None:
    """Run a program of an installation and report its progress. Raises `SandboxUnavailable` if it fails."""
    kept: deque[str] = deque(maxlen=KEPT_LINES)
    told = time.monotonic()
    try:
        process = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=cwd
        )
    except OSError as error:
        raise SandboxUnavailable(f"{what} cannot be installed: {argv[0]} does not start ({error.strerror})") from None
    with process, suppress(ValueError):
        try:
            for line in process.stdout or ():
                kept.append(line.decode(errors="replace").rstrip())
                if time.monotonic() - told > SAY_SECONDS:
                    told = time.monotonic()
                    say(progress_text(kept[-1]))
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise SandboxUnavailable(explain_failure(what, list(kept)))


def progress_text(line: str, limit: int = 120) -> str:
    """A line of an installer as it may be shown: short, and without a password in an address."""
    return re.sub(r"//[^/@\s]*@", "//", line.strip())[:limit]


def explain_failure(what: str, lines: Sequence[str]) -> str:
    """Why an installation failed, from the output of pip or uv."""
    text = "\n".join(lines)
    marked = [line for line in lines if re.match(r"(ERROR|error|\s*cause|hint):", line)]
    reason = " ".join(" ".join(progress_text(line, 500) for line in marked or lines[-5:]).split())[:900]
    if "No space left" in text:
        advice = "free some space, or set HARNESS_HOME to another disk"
    elif "No matching distribution" in text or "no usable wheels" in text or "not found in the" in text:
        advice = "correct the requirement; or, where it has no wheel for this Python, add --allow-builds"
    elif "onflict" in text or "No solution found" in text:
        advice = "change requirements that exclude each other"
    else:
        advice = "see the message of the installer"
    return f"{what} cannot be installed ({reason}): {advice}"
