"""Build an environment from a requirements file for the Python of an image, in a container of that image.

The container has the host's network. It sees the requirements, the pip of this machine and pip's settings, all
read-only, and writes the environment as the user of the harness. It is the only container of the harness with a
network, and ends with the installation.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from sandboxes.base import SandboxUnavailable
from sandboxes.docker.daemon import LABEL, Image, connect, find_image, inspect_image, remove_container
from sandboxes.environments.build import (
    SAY_SECONDS,
    Say,
    build,
    explain_failure,
    pip_arguments,
    pip_runner,
    progress_text,
)
from sandboxes.environments.environment import INSIDE
from sandboxes.environments.requirements import Requirements

PIP = PurePosixPath("/harness-pip/pip")
SETTINGS = "pip.conf"
MAKE_VENV = "import sys, venv; venv.create(sys.argv[1], symlinks=True, with_pip=False)"


def build_in_image(requirements: Requirements, image: str, home: Path, pins: Sequence[str], say: Say) -> Path:
    """The environment of a requirements file for the Python of an image; built if it is missing.

    Raises `SandboxUnavailable` if it cannot be built.
    """
    found = inspect_image(find_image(image), home, ())

    def install(draft: Path, requirements: Requirements, pins: Path | None, say: Say) -> None:
        _install(found, draft, requirements, pins, say)

    return build(requirements, home, requirements.key(found.id, found.version), install, pins, say)


def _install(image: Image, draft: Path, requirements: Requirements, pins: Path | None, say: Say) -> None:
    from docker.errors import DockerException

    settings, paths = _pip_settings()
    (draft / SETTINGS).write_text(settings)
    (draft / SETTINGS).chmod(0o600)
    folder = requirements.path.parent
    sources = {str(PIP): pip_runner().parent, str(INSIDE): draft, str(folder): folder}
    sources |= {str(path): path for path in paths if not path.is_relative_to(folder)}
    container = None
    try:
        container = connect().containers.create(image.id, **_options(image, requirements, pins, sources))
        container.start()
        lines = [line.decode(errors="replace").rstrip() for line in _lines(container, say)]
        code = container.wait()["StatusCode"]
    except (DockerException, OSError) as error:
        text = " ".join(str(getattr(error, "explanation", None) or error).split())[-300:]
        raise SandboxUnavailable(f"{requirements.path} cannot be installed in image {image.name}: {text}") from None
    finally:
        if container is not None:
            remove_container(container)
        (draft / SETTINGS).unlink(missing_ok=True)
    if code:
        raise SandboxUnavailable(explain_failure(f"{requirements.path} in image {image.name}", lines))


def _options(image: Image, requirements: Requirements, pins: Path | None, sources: dict[str, Path]) -> dict[str, Any]:
    from docker.types import Mount

    inside = str(INSIDE / pins.name) if pins else ""
    python, runner = str(INSIDE / "bin" / "python"), str(PIP / "__pip-runner__.py")
    install = [python, runner, *pip_arguments(requirements, str(requirements.path), inside)]
    script = 'set -e; "$1" -I -c "$2" "$3"; shift 3; exec "$@"'
    return {
        "entrypoint": [image.shell, "-c", script, "install", image.python, MAKE_VENV, str(INSIDE), *install],
        "command": [],
        "network_mode": "host",
        "user": f"{os.geteuid()}:{os.getegid()}",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "labels": {LABEL: "1", f"{LABEL}.probe": "1"},
        "environment": {"HOME": "/tmp", "PIP_CONFIG_FILE": str(INSIDE / SETTINGS), "PIP_CACHE_DIR": "/tmp/cache"},
        "mounts": [
            Mount(target, str(source), type="bind", read_only=target != str(INSIDE))
            for target, source in sources.items()
        ],
    }


def _lines(container: Any, say: Say) -> Iterator[bytes]:
    """The output of a container, line by line, until it ends."""
    rest, told = b"", time.monotonic()
    for chunk in container.attach(stream=True, logs=True):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if lines and time.monotonic() - told > SAY_SECONDS:
            told = time.monotonic()
            say(progress_text(lines[-1].decode(errors="replace")))
    yield rest


def _pip_settings() -> tuple[str, list[Path]]:
    """The settings of this machine's pip (index, certificates) as a file, and the files and folders that they name."""
    argv = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(argv, capture_output=True, text=True).stdout
    values: dict[str, str] = {}
    for name, value in re.findall(r"^(?:global|install|:env:)\.([\w-]+)=(['\"].*['\"])$", listed, re.MULTILINE):
        values[name] = value[1:-1].replace("\\n", "\n")
    words = [word.removeprefix("file://") for value in values.values() for word in value.split()]
    paths = [Path(word) for word in words if word.startswith("/") and Path(word).exists()]
    lines = [f"{name} = {' '.join(value.split())}" for name, value in values.items() if name != "cache-dir"]
    # A mirror on disk keeps its files beside its index.
    visible = dict.fromkeys(path.parent if path.name == "simple" else path for path in paths)
    return "\n".join(["[global]", *lines, ""]), list(visible)
