"""The environment of a run's solutions: what `--environment` names, built where it has to be built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import errors
from runs.events.registry import RunCreated, Warned
from runs.run_settings import RunSettings
from sandboxes.base import Sandbox, SandboxUnavailable
from sandboxes.environments.build import build_here
from sandboxes.environments.environment import BUILT, changed_packages, missing_packages
from sandboxes.environments.requirements import ML_REQUIREMENTS, read_requirements

ML = "ml"
"""The name of the usual machine learning stack: the image of it, or an environment built from the same file."""


@dataclass(frozen=True)
class Named:
    """What `--environment` names: the prefix of an environment, a requirements file, a Docker image, or nothing."""

    prefix: Path | None = None
    requirements: Path | None = None
    image: str = ""


def absolute(name: str, folder: Path) -> str:
    """The setting as it is recorded: the path of a file or folder, from `folder` where it is relative; else the name
    of an image. Raises `UsageError` for a path without a file."""
    if not name or name == ML:
        return name
    path = folder / Path(name).expanduser()
    if path.exists():
        return str(path.absolute())
    if name.startswith((".", "/", "~")) or name.endswith(".txt"):
        errors.fail(
            f"environment {name}: there is no such file or folder. Name a venv or conda folder, a requirements file, "
            "or a Docker image"
        )
    return name


def named(settings: RunSettings) -> Named:
    """What the setting names. Raises `UsageError` for an image that the chosen sandbox cannot run."""
    name = settings.environment
    if not name:
        return Named()
    if name == ML:
        return Named(requirements=ML_REQUIREMENTS)
    path = Path(name)
    if path.is_dir():
        return Named(prefix=path)
    if path.exists():
        return Named(requirements=path)
    if settings.sandbox not in ("auto", "docker"):
        errors.fail(
            f"environment {name} is not a file or folder here, and as a Docker image it needs --sandbox docker instead "
            f"of {settings.sandbox}"
        )
    if settings.image and settings.image != name:
        errors.fail(f"environment {name} and image {settings.image} are different images: give one of them")
    return Named(image=name)


@dataclass(frozen=True)
class Place:
    """Where an environment is to work: a kind of sandbox and, for Docker, an image."""

    kind: str
    image: str
    home: Path


def build(requirements: Path, settings: RunSettings, place: Place, pins: Sequence[str] = ()) -> Path:
    """The prefix with these requirements, built if it is missing: for Docker in a container of the image.

    Raises `SandboxUnavailable`.
    """
    read = read_requirements(requirements, settings.allow_builds)
    if place.kind != "docker":
        return build_here(read, place.home, pins, errors.say)
    from sandboxes.docker.build_environment import build_in_image

    return build_in_image(read, place.image, place.home, pins, errors.say)


def restore(created: RunCreated, home: Path) -> None:
    """Build the environment of a recorded run again if it was removed, with the same versions. Raises `UsageError`."""
    prefix = home / created.environment
    if not created.environment or prefix.exists():
        return
    rebuilt, why = None, "restore it, then resume"
    if prefix.parent == home.absolute() / BUILT:
        why = f"restore {created.settings.environment} as it was, and the same Python, then resume"
        try:
            requirements = named(created.settings).requirements
            if requirements and requirements.exists():
                place = Place(created.sandbox, created.image, home)
                rebuilt = build(requirements, created.settings, place, created.packages)
        except SandboxUnavailable as error:
            why = f"{error}; {why}"
    if rebuilt != prefix:
        errors.fail(f"the environment {prefix} of {created.run_id} is gone: {why}")


def notes(sandbox: Sandbox) -> list[Warned]:
    """What a person should know about the environment of a new run."""
    missing = missing_packages(sandbox.packages())
    return [Warned(message=f"the environment of solutions has no {', '.join(missing)}")] if missing else []


def changes(created: RunCreated, sandbox: Sandbox) -> list[Warned]:
    """What has changed in the environment since the run began."""
    what = changed_packages(created.packages, sandbox.packages())
    return [Warned(message=f"the environment of solutions has changed since the run began: {what}")] if what else []
