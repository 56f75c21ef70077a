"""Open the requested kind of sandbox, and check which kinds work on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandboxes.base import Isolation, Sandbox, SandboxPaths, SandboxUnavailable

KINDS = ("auto", "docker", "bubblewrap", "local")


@dataclass(frozen=True)
class Probe:
    """Whether a kind of sandbox works on this machine; `advice` says what to do if it does not."""

    kind: str
    works: bool
    detail: str
    advice: str
    isolation: Isolation


def open_sandbox(kind: str, paths: SandboxPaths) -> Sandbox:
    """Open a sandbox. `auto` takes Docker, else bubblewrap, and never the local kind, which does not isolate.

    Raises `SandboxUnavailable` with what to install or choose.
    """
    from sandboxes.bubblewrap import open_bubblewrap
    from sandboxes.docker.sandbox import open_docker
    from sandboxes.local import open_local

    openers: dict[str, Callable[[SandboxPaths], Sandbox]]
    openers = {"docker": open_docker, "bubblewrap": open_bubblewrap, "local": open_local}
    if kind in openers:
        return openers[kind](paths)
    if kind != "auto":
        raise SandboxUnavailable(f"there is no sandbox {kind!r}: choose one of {', '.join(KINDS)}")
    reasons = []
    for open_kind in (open_docker, open_bubblewrap):
        try:
            return open_kind(paths)
        except SandboxUnavailable as error:
            reasons.append(str(error))
    raise SandboxUnavailable(
        f"no isolating sandbox works on this machine: {'; '.join(reasons)}; or use `--sandbox local` to run the "
        "model's commands as your user, with labels unprotected"
    )


def probe_sandboxes(home: Path, image: str = "") -> list[Probe]:
    """Start each kind of sandbox, strongest first, and report which ones work."""
    from sandboxes import bubblewrap, local
    from sandboxes.docker import sandbox

    probes = []
    checks: list[tuple[str, Callable[[], str], Isolation]] = [
        ("docker", lambda: sandbox.check_docker(home, image), sandbox.ISOLATION),
        ("bubblewrap", lambda: bubblewrap.check_bubblewrap(home), bubblewrap.ISOLATION),
    ]
    for kind, check, isolation in checks:
        try:
            probes.append(Probe(kind, True, check(), "", isolation))
        except SandboxUnavailable as error:
            detail, _, advice = str(error).rpartition(": ")
            probes.append(Probe(kind, False, detail, advice, isolation))
    try:
        local.check_local(home)
        probes.append(Probe("local", True, "isolates nothing", "", local.ISOLATION))
    except SandboxUnavailable as error:
        probes.append(Probe("local", False, str(error), str(error), local.ISOLATION))
    return probes
