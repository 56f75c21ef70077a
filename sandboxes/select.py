"""Which sandbox to use: opens the one asked for, and tells for each kind whether it works here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandboxes.base import Isolation, Sandbox, SandboxPaths, SandboxUnavailable

KINDS = ("auto", "docker", "bubblewrap", "local")


@dataclass(frozen=True)
class Probe:
    """Whether a kind of sandbox works on this machine; `advice` says what to do where it does not."""

    kind: str
    works: bool
    detail: str
    advice: str
    isolation: Isolation


def open_sandbox(kind: str, paths: SandboxPaths) -> Sandbox:
    """The sandbox of this kind at this place; `auto` takes the strongest that works and never one without isolation.

    Raises `SandboxUnavailable` with what to install or to choose.
    """
    from sandboxes.bubblewrap import open_bubblewrap
    from sandboxes.docker.sandbox import open_docker
    from sandboxes.local import open_local

    if kind == "local":
        return open_local(paths)
    if kind == "bubblewrap":
        return open_bubblewrap(paths)
    if kind == "docker":
        return open_docker(paths)
    if kind != "auto":
        raise SandboxUnavailable(f"there is no sandbox {kind!r}: choose one of {', '.join(KINDS)}")
    reasons = []
    for opened in (open_docker, open_bubblewrap):
        try:
            return opened(paths)
        except SandboxUnavailable as error:
            reasons.append(str(error))
    raise SandboxUnavailable(
        f"no sandbox that isolates works here: {'; '.join(reasons)}; or say `--sandbox local` to run the model's "
        "commands with your own rights and the labels unprotected"
    )


def probe_sandboxes(home: Path, image: str = "") -> list[Probe]:
    """Try each kind for real, strongest first."""
    from sandboxes import bubblewrap, local
    from sandboxes.docker import sandbox

    found = []
    checks: list[tuple[str, Callable[[], str], Isolation]] = [
        ("docker", lambda: sandbox.check_docker(home, image), sandbox.ISOLATION),
        ("bubblewrap", lambda: bubblewrap.check_bubblewrap(home), bubblewrap.ISOLATION),
    ]
    for kind, check, isolation in checks:
        try:
            found.append(Probe(kind, True, check(), "", isolation))
        except SandboxUnavailable as error:
            detail, _, advice = str(error).rpartition(": ")
            found.append(Probe(kind, False, detail, advice, isolation))
    try:
        local.check_local(home)
        found.append(Probe("local", True, "isolates nothing", "", local.ISOLATION))
    except SandboxUnavailable as error:
        found.append(Probe("local", False, str(error), str(error), local.ISOLATION))
    return found
