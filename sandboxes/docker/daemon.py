"""Requests to the Docker daemon: connect, find and inspect images, find and remove containers."""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from sandboxes.atomic import write_atomically
from sandboxes.base import SandboxFailed, SandboxUnavailable
from sandboxes.cache import short_hash
from sandboxes.environments.environment import OLDEST

Result = TypeVar("Result")

IMAGES = ("open-harness/ml:1", "open-harness/small:1")
"""Tried in this order if no image was requested; `images/README.md` says how they are built."""
LABEL = "open-harness"
"""Prefix of the labels of our containers. Containers without these labels are never touched."""
RETRY_SECONDS = 60.0
CPU_PERIOD = 100_000
"""Microseconds. The quota of cores counts in them, since it can be changed while a container runs."""
INSPECT_SCRIPT = """
import importlib.metadata as m, json, os, shutil, sys
hidden = json.loads(sys.argv[1])
roots = [p for p in sys.path if p.endswith("-packages") and os.path.isdir(p)]
masks = {}
for name in hidden:
    for root in roots:
        path = os.path.realpath(os.path.join(root, name))
        if os.path.exists(path):
            masks[path] = os.path.isdir(path)
packages = sorted({(d.metadata["Name"] or "").lower() + " " + d.version for d in m.distributions()})
shell = shutil.which("bash") or "/bin/sh"
print(json.dumps({"python": os.path.realpath(sys.executable), "version": sys.version.split()[0], "shell": shell,
                  "packages": packages, "hidden": masks}))
"""
_OLDEST = ".".join(map(str, OLDEST))
FIND_PYTHON = 'p=$(command -v python3 || command -v python) || exit 9; exec "$p" -I -c "$0" "$1"'


@dataclass(frozen=True)
class Image:
    """An inspected image. `hidden` maps the paths to mask to whether each is a folder."""

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
    """A client of the daemon at `DOCKER_HOST` or the default address. Raises `SandboxUnavailable`."""
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=60)
        client.ping()
    except (DockerException, OSError) as error:
        raise SandboxUnavailable(f"no Docker daemon answers ({_summary(error)}): {_advice(str(error))}") from None
    return client


def with_retries(request: Callable[[], Result], seconds: float = RETRY_SECONDS) -> Result:
    """Send a request to the daemon, again if it does not answer: it may be restarting. Raises `SandboxFailed`."""
    import requests
    from docker.errors import APIError, DockerException

    deadline = time.monotonic() + seconds
    while True:
        try:
            return request()
        except APIError as error:
            if error.response is None or error.response.status_code < 500 or time.monotonic() > deadline:
                raise SandboxFailed(f"Docker refused: {_summary(error)}") from error
        except (DockerException, requests.RequestException, OSError) as error:
            if time.monotonic() > deadline:
                raise SandboxFailed(f"the Docker daemon stopped answering ({_summary(error)}): restart it") from error
        time.sleep(0.5)


def version() -> str:
    """The name and version of what answers: Docker, or Podman at Docker's interface."""
    info = with_retries(lambda: connect().info())
    return f"{'Podman' if _is_podman(info) else 'Docker'} {info['ServerVersion']}"


def runtimes() -> tuple[str, ...]:
    """Names of the runtimes in which a container can be started. Podman lists those it has heard of, and uses one."""
    info = with_retries(lambda: connect().info())
    return (info["DefaultRuntime"],) if _is_podman(info) else tuple(sorted(info["Runtimes"]))


def _is_podman(info: Mapping[str, Any]) -> bool:
    return "BuildahVersion" in info


def check_runtime(wanted: str) -> None:
    """Raises `SandboxUnavailable`, with the known names, if no container would start in the runtime."""
    known = runtimes() if wanted else ()
    if wanted and wanted not in known:
        raise SandboxUnavailable(
            f"{version()} has no runtime {wanted}: install it and add it to daemon.json (Podman: to containers.conf), "
            f"or use one of {', '.join(known)}"
        )


def set_cores(container: Any, cores: int) -> None:
    """Change how many cores a container may use. It keeps those it has if the daemon may not change that."""
    import requests
    from docker.errors import APIError, NotFound

    quota = {"period": CPU_PERIOD, "quota": cores * CPU_PERIOD}
    with contextlib.suppress(APIError, requests.RequestException):
        try:
            container.update(**{f"cpu_{name}": value for name, value in quota.items()})
        except NotFound:  # Podman has it in its own interface only
            api = connect().api
            api.post(f"{api.base_url}/v4.3.0/libpod/containers/{container.id}/update", json={"cpu": quota})


def find_image(wanted: str = "") -> Any:
    """The requested image, or the first of `IMAGES` that exists. Raises `SandboxUnavailable`."""
    for name in (wanted,) if wanted else IMAGES:
        if image := image_named(name):
            return image
    if wanted:
        raise SandboxUnavailable(f"there is no image {wanted}: build or pull it, or unset HARNESS_IMAGE")
    raise SandboxUnavailable(
        "Docker works, but the sandbox image is missing: build it with `harness doctor --build-image small`"
    )


def image_named(name: str) -> Any | None:
    """The image of a name, or None. Podman stores an image that it made itself as `localhost/NAME`."""
    from docker.errors import ImageNotFound

    for known in (name, f"localhost/{name}"):
        with contextlib.suppress(ImageNotFound):
            return connect().images.get(known)
    return None


def inspect_image(image: Any, home: Path, hidden: tuple[str, ...]) -> Image:
    """Python, shell and packages of an image, from a container of it; cached under `home`.

    Raises `SandboxUnavailable` if the image cannot be used.
    """
    key = short_hash(json.dumps([image.id, INSPECT_SCRIPT, hidden]))
    cache = home / "images" / f"{key}.json"
    if cache.exists():
        fields = json.loads(cache.read_text(encoding="utf-8"))
        return Image(**{**fields, "packages": tuple(fields["packages"])})
    answer = _run_inspection(image, hidden)
    pairs = [item.partition("=") for item in image.attrs["Config"].get("Env") or ()]
    inspected = Image(
        id=image.id,
        name=(image.tags or [image.id])[0],
        environment={name: value for name, _, value in pairs},
        **{**answer, "packages": tuple(answer["packages"])},
    )
    cache.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(cache, json.dumps(asdict(inspected)).encode(), 0o644)
    return inspected


def _run_inspection(image: Any, hidden: tuple[str, ...]) -> dict[str, Any]:
    from docker.errors import DockerException

    container, name = None, (image.tags or [image.id])[0]
    try:
        container = connect().containers.create(
            image.id,
            entrypoint=["/bin/sh", "-c", FIND_PYTHON, INSPECT_SCRIPT, json.dumps(hidden)],
            command=[],
            network_mode="none",
            user="65534:65534",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            read_only=True,
            labels={LABEL: "1", f"{LABEL}.probe": "1"},
        )
        container.start()
        container.wait(timeout=RETRY_SECONDS)
        answer: dict[str, Any] = json.loads(container.logs(stdout=True, stderr=False))
    except ValueError:
        raise SandboxUnavailable(f"image {name} cannot be used: add Python {_OLDEST} or later to it") from None
    except (DockerException, OSError) as error:
        why = _summary(error)
        advice = "add a shell (/bin/sh) to it" if "/bin/sh" in why else "see *Set up* in docs/sandboxes.md"
        raise SandboxUnavailable(f"image {name} cannot be used ({why}): {advice}") from None
    finally:
        if container is not None:
            remove_container(container)
    if tuple(map(int, answer["version"].split(".")[:2])) < OLDEST:
        raise SandboxUnavailable(f"image {name} has Python {answer['version']}: add Python {_OLDEST} or later to it")
    return answer


def find_container(name: str) -> Any | None:
    """The container of this name with its current state, or None."""
    from docker.errors import NotFound

    def request() -> Any | None:
        with contextlib.suppress(NotFound):
            return connect().containers.get(name)
        return None

    return with_retries(request)


def remove_container(container: Any) -> None:
    """Kill and remove a container, unless it was removed already."""
    from docker.errors import APIError

    with contextlib.suppress(APIError):
        container.remove(force=True, v=True)


def _summary(error: BaseException) -> str:
    text = " ".join(str(getattr(error, "explanation", None) or getattr(error, "stderr", None) or error).split())
    return text[-300:] or type(error).__name__


def _advice(message: str) -> str:
    if "Permission" in message or "denied" in message:
        return "add this user to the group `docker` (equivalent to root), or use `--sandbox bubblewrap`"
    return "install and start Docker (package `docker.io`), or use `--sandbox bubblewrap`"
