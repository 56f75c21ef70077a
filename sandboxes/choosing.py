"""Which sandbox to use: opens the one asked for, and tells for each kind whether it works here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sandboxes.base import Isolation, Place, Sandbox, SandboxUnavailable

KINDS = ("auto", "docker", "bubblewrap", "local")
NO_DOCKER = "the docker sandbox is not in this version: use `--sandbox bubblewrap`"


@dataclass(frozen=True)
class Probe:
    """Whether a kind of sandbox works on this machine; `advice` says what to do where it does not."""

    kind: str
    works: bool
    detail: str
    advice: str
    isolation: Isolation


def open_sandbox(kind: str, place: Place) -> Sandbox:
    """The sandbox of this kind at this place; `auto` takes the strongest that works and never one without isolation.

    Raises `SandboxUnavailable` with what to install or to choose.
    """
    from sandboxes.bubblewrap import open_bubblewrap
    from sandboxes.local import open_local

    if kind == "local":
        return open_local(place)
    if kind == "bubblewrap":
        return open_bubblewrap(place)
    if kind == "docker":
        raise SandboxUnavailable(NO_DOCKER)
    if kind != "auto":
        raise SandboxUnavailable(f"there is no sandbox {kind!r}: choose one of {', '.join(KINDS)}")
    try:
        return open_bubblewrap(place)
    except SandboxUnavailable as error:
        raise SandboxUnavailable(
            f"no sandbox that isolates works here: {error}; or say `--sandbox local` to run the model's commands "
            "with your own rights and the labels unprotected"
        ) from error


def probe_sandboxes(home: Path) -> list[Probe]:
    """Try each kind for real, strongest first."""
    from sandboxes import bubblewrap, local

    docker = Isolation(True, True, True, True, True, "Docker containers; not in this version.")
    found = [Probe("docker", False, "not in this version", NO_DOCKER, docker)]
    try:
        version = bubblewrap.check_bubblewrap(home)
        found.append(Probe("bubblewrap", True, version, "", bubblewrap.ISOLATION))
    except SandboxUnavailable as error:
        detail, _, advice = str(error).partition(": ")
        found.append(Probe("bubblewrap", False, detail, advice, bubblewrap.ISOLATION))
    try:
        local.check_local(home)
        found.append(Probe("local", True, "isolates nothing", "", local.ISOLATION))
    except SandboxUnavailable as error:
        found.append(Probe("local", False, str(error), str(error), local.ISOLATION))
    return found
