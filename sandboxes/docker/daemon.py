"""What the harness asks of a Docker daemon: is it there, which image is meant, what is in it, one container by name."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from sandboxes.base import SandboxFailed, SandboxUnavailable

Found = TypeVar("Found")

IMAGES = ("open-harness/ml:1", "open-harness/small:1")
"""Taken in this order where no image was asked for; `sandboxes/images/README.md` says how they are made."""
LABEL = "open-harness"
"""Every container of ours has labels that begin with it: nothing without them is ever touched."""
PATIENCE_SECONDS = 60.0
LOOK = """
import importlib.metadata as m, json, os, shutil, sys
hidden = json.loads(sys.argv[1])
roots = [p for p in sys.path if p.endswith("-packages") and os.path.isdir(p)]
found = {}
for name in hidden:
    for root in roots:
        path = os.path.realpath(os.path.join(root, name))
        if os.path.exists(path):
            found[path] = os.path.isdir(path)
packages = sorted({(d.metadata["Name"] or "").lower() + " " + d.version for d in m.distributions()})
shell = shutil.which("bash") or "/bin/sh"
print(json.dumps({"python": os.path.realpath(sys.executable), "version": sys.version.split()[0], "shell": shell,
                  "packages": packages, "hidden": found}))
"""
FIND_PYTHON = 'p=$(command -v python3 || command -v python) || exit 9; exec "$p" -I -c "$0" "$1"'


@dataclass(frozen=True)
class Image:
    """An image that was looked into: `hidden` are paths to mask in it, True for folders."""

    id: str
    name: str
    python: str
    version: str
    shell: str
    packages: tuple[str, ...]
    hidden: Mapping[str, bool]
    environment: Mapping[str, str]


@functools.cache
def connect() -> Any:
    """A client of the daemon that `DOCKER_HOST` or the default names. Raises `SandboxUnavailable` with what to do."""
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=60)
        client.ping()
    except (DockerException, OSError) as error:
        raise SandboxUnavailable(f"no Docker daemon answers ({_short(error)}): {_advice(str(error))}") from None
    return client


def patiently(ask: Callable[[], Found], seconds: float = PATIENCE_SECONDS) -> Found:
    """Ask the daemon, again for a while where it does not answer: it may be restarting. Raises `SandboxFailed`."""
    import requests
    from docker.errors import APIError, DockerException

    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except APIError as error:
            if error.response is None or error.response.status_code < 500 or time.monotonic() > deadline:
                raise SandboxFailed(f"Docker refused: {_short(error)}") from error
        except (DockerException, requests.RequestException, OSError) as error:
            if time.monotonic() > deadline:
                raise SandboxFailed(f"the Docker daemon stopped answering ({_short(error)}): start it again") from error
        time.sleep(0.5)


def runtimes() -> tuple[str, ...]:
    """What the daemon can run containers with, by name."""
    found: Mapping[str, Any] = patiently(lambda: connect().info())["Runtimes"]
    return tuple(sorted(found))


def check_runtime(wanted: str) -> None:
    """Refuse a runtime that the daemon does not know. Raises `SandboxUnavailable` with those it does."""
    known = runtimes() if wanted else ()
    if wanted and wanted not in known:
        raise SandboxUnavailable(
            f"the Docker daemon has no runtime {wanted}: install it and name it in daemon.json, or take one of "
            + ", ".join(known)
        )


def choose_image(wanted: str = "") -> Any:
    """The image asked for, or the first of ours that is there. Raises `SandboxUnavailable`."""
    from docker.errors import ImageNotFound

    client = connect()
    for name in (wanted,) if wanted else IMAGES:
        with contextlib.suppress(ImageNotFound):
            return client.images.get(name)
    if wanted:
        raise SandboxUnavailable(f"there is no image {wanted}: build or pull it, or unset HARNESS_IMAGE")
    raise SandboxUnavailable(
        "Docker works, but there is no image of ours yet: build one with `harness doctor --build-image small`"
    )


def look_into(found: Any, home: Path, hidden: tuple[str, ...]) -> Image:
    """What an image has to offer, asked of itself once. Raises `SandboxUnavailable` for one that cannot be used."""
    key = hashlib.sha256(json.dumps([found.id, LOOK, hidden]).encode()).hexdigest()[:16]
    kept = home / "images" / f"{key}.json"
    if kept.exists():
        known = json.loads(kept.read_text(encoding="utf-8"))
        return Image(**{**known, "packages": tuple(known["packages"])})
    told = _ask_image(found, hidden)
    pairs = [item.partition("=") for item in found.attrs["Config"].get("Env") or ()]
    image = Image(
        id=found.id,
        name=(found.tags or [found.id])[0],
        environment={name: value for name, _, value in pairs},
        **{**told, "packages": tuple(told["packages"])},
    )
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(asdict(image)), encoding="utf-8")
    return image


def _ask_image(found: Any, hidden: tuple[str, ...]) -> dict[str, Any]:
    from docker.errors import DockerException

    asked = None
    try:
        asked = connect().containers.create(
            found.id,
            entrypoint=["/bin/sh", "-c", FIND_PYTHON, LOOK, json.dumps(hidden)],
            command=[],
            network_mode="none",
            user="65534:65534",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            read_only=True,
            labels={LABEL: "1", f"{LABEL}.probe": "1"},
        )
        asked.start()
        asked.wait(timeout=PATIENCE_SECONDS)
        told: dict[str, Any] = json.loads(asked.logs(stdout=True, stderr=False))
    except (DockerException, ValueError, OSError) as error:
        name = (found.tags or [found.id])[0]
        raise SandboxUnavailable(f"image {name} cannot be used: it needs a Python 3 ({_short(error)})") from None
    finally:
        if asked is not None:
            remove(asked)
    return told


def container_named(name: str) -> Any | None:
    """The container of this name with its state as of now, or None."""
    from docker.errors import NotFound

    def ask() -> Any | None:
        with contextlib.suppress(NotFound):
            return connect().containers.get(name)
        return None

    return patiently(ask)


def remove(container: Any) -> None:
    """Kill and remove a container; one that is gone already is fine."""
    from docker.errors import APIError

    with contextlib.suppress(APIError):
        container.remove(force=True, v=True)


def _short(error: BaseException) -> str:
    text = " ".join(str(getattr(error, "explanation", None) or getattr(error, "stderr", None) or error).split())
    return text[-300:] or type(error).__name__


def _advice(message: str) -> str:
    if "Permission" in message or "denied" in message:
        return "let this user use it (group `docker`, which is as good as root), or use `--sandbox bubblewrap`"
    return "install and start Docker (package `docker.io`), or use `--sandbox bubblewrap`"
