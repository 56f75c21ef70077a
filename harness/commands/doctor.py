"""`harness doctor`: what is installed, which sandboxes work, whether the endpoint answers, and what to do where not."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from harness import errors
from harness.settings import Settings
from sandboxes.isolation import table_as_text

PACKAGES = ("filelock", "json-repair", "openai", "pandas", "pydantic", "pyyaml", "rich", "scikit-learn")
ENDPOINT_SECONDS = 5.0
LITTLE_SPACE = 5_000_000_000
NO_SPACE = 200_000_000

Health = Literal["ok", "note", "bad"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `bad` keeps a run from starting (exit code `code`), `note` does not; `advice` says what
    to do about it. `is_certain` is false where only a request for a reply can tell."""

    name: str
    health: Health
    detail: str
    advice: str = ""
    code: int = errors.INPUT
    is_certain: bool = True


def examine(settings: Settings, base_url: str | None = None, model: str | None = None) -> int:
    """Look at everything, print what was found, and return 0 if a run could start."""
    codes = []
    for finding in findings(settings, base_url, model):
        mark = {"ok": "ok  ", "note": "note", "bad": "BAD "}[finding.health]
        print(f"{mark}  {finding.name}: {finding.detail}")
        if finding.advice:
            print(f"      -> {finding.advice}")
        if finding.health == "bad":
            codes.append(finding.code)
    print("What each sandbox enforces:")
    for line in table_as_text():
        print(f"  {line}")
    print("A run can start." if not codes else "A run cannot start yet: see the lines marked BAD.")
    return max(codes, default=errors.DONE)


def build_image(kind: str, settings: Settings) -> int:
    """Make the image of the docker sandbox unless it is there; 0 if it can be used. Raises `SandboxUnavailable`."""
    from sandboxes.docker.build_image import build
    from sandboxes.docker.sandbox import check_docker

    name = build(kind, settings.home)
    print(f"{name} can be used: {check_docker(settings.home, name)}")
    return errors.DONE


def findings(settings: Settings, base_url: str | None, model: str | None) -> Iterator[Finding]:
    """Everything the doctor looks at, one after the other."""
    yield python()
    yield packages()
    yield git()
    yield home(settings.home)
    yield space(settings.home, settings.workspace_bytes)
    yield Finding("machine", "ok", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores{_memory()}")
    yield from kinds(settings.home, settings.image)
    yield mlebench(settings.home)
    yield key(settings, base_url)
    yield from served(settings, base_url, model)


def python() -> Finding:
    """The interpreter the harness runs on."""
    return Finding("python", "ok", f"{platform.python_version()} ({sys.executable})")


def packages() -> Finding:
    """The versions of the packages that the harness itself needs."""
    from importlib.metadata import PackageNotFoundError, version

    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("packages", "bad", f"missing: {', '.join(missing)}", "install the harness again: see the README")
    return Finding("packages", "ok", ", ".join(found))


def mlebench(folder: Path) -> Finding:
    """Whether the official package is there: only the competitions that are not prepared and graded here need it."""
    from tasks.mlebench.official_package import how_to_install, interpreter

    python = interpreter(folder)
    if python is None:
        return Finding(
            "mlebench", "note", "not installed; 29 of 82 competitions work without it", how_to_install(folder)
        )
    return Finding("mlebench", "ok", f"the official package, in {python}")


def git() -> Finding:
    """Whether git is there: every evaluated solution is a commit."""
    advice = "install git from your distribution: every evaluated solution is kept as a commit"
    if shutil.which("git") is None:
        return Finding("git", "bad", "not found", advice)
    try:
        done = subprocess.run(["git", "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("git", "bad", f"does not work ({type(error).__name__})", advice)
    return Finding("git", "ok", done.stdout.strip().removeprefix("git version "))


def home(folder: Path) -> Finding:
    """Whether runs can be written."""
    advice = "set HARNESS_HOME to a folder that you may write to"
    place = _nearest(folder)
    blocked = next((one for one in (folder, *folder.parents) if os.path.lexists(one) and not one.is_dir()), None)
    if blocked is not None:
        return Finding("home", "bad", f"{folder}: {blocked} is no folder", advice)
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".doctor-"):
            pass
    except OSError as error:
        return Finding("home", "bad", f"{folder}: {error.strerror}", advice)
    return Finding("home", "ok", f"{folder}" if place == folder else f"{folder} (made by the first run)")


def space(folder: Path, workspace: int = Settings.workspace_bytes) -> Finding:
    """Whether the disk under the runs has room."""
    try:
        free = shutil.disk_usage(_nearest(folder)).free
    except OSError as error:
        return Finding("disk", "bad", f"cannot be looked at: {error.strerror}", "set HARNESS_HOME to another disk")
    detail = f"{free / 1e9:.1f} GB free; the workspace of a run may hold {workspace / 1e9:g} GB"
    if free < NO_SPACE:
        return Finding("disk", "bad", detail, "free some space, or set HARNESS_HOME to another disk")
    if free < LITTLE_SPACE:
        return Finding("disk", "note", detail, "a long run may need more: free some, or set HARNESS_HOME elsewhere")
    return Finding("disk", "ok", detail)


def kinds(folder: Path, image: str = "") -> Iterator[Finding]:
    """Which sandboxes work here; one that isolates is wanted, one that works is enough."""
    from sandboxes.select import probe_sandboxes

    works = False
    for probe in probe_sandboxes(folder, image):
        works = works or probe.works
        safe = probe.works and probe.isolation.protects_labels
        notice = f"; {probe.isolation.notice}" if probe.works and probe.isolation.notice else ""
        yield Finding(f"sandbox {probe.kind}", "ok" if safe else "note", f"{probe.detail}{notice}", probe.advice)
    if not works:
        yield Finding("sandbox", "bad", "none works here", "see the advice above", errors.SANDBOX)


def key(settings: Settings, base_url: str | None) -> Finding:
    """Whether a key for the endpoint is set; it is never shown."""
    if settings.api_key:
        return Finding("key", "ok", "set (not shown)")
    advice = "if your endpoint wants one, set HARNESS_API_KEY" if base_url else ""
    return Finding("key", "note", "none is set; the demo model needs none", advice)


def served(settings: Settings, base_url: str | None, model: str | None) -> Iterator[Finding]:
    """What the endpoint lists, and where a model is named, what it really does. The latter counts."""
    listed = endpoint(settings, base_url, model)
    if not (base_url and model) or (listed.health == "bad" and listed.is_certain):
        yield listed
        return
    tried = probe(settings, base_url, model)
    yield listed if tried.health == "bad" or listed.health == "ok" else replace(listed, health="note", advice="")
    yield tried


def endpoint(settings: Settings, base_url: str | None, model: str | None) -> Finding:
    """Whether the model's endpoint answers, and lists the model."""
    from harness.endpoint.errors import is_address, shown_address

    if not base_url:
        told = "none asked for: the demo model (not an LLM) needs none"
        return Finding("endpoint", "ok", told, "to try one: harness doctor --base-url URL --model NAME")
    if not is_address(base_url):
        told = "what was given is no http(s) address"
        return Finding("endpoint", "bad", told, "write it as http://HOST:PORT/v1", errors.INPUT)
    shown = shown_address(base_url)
    status, body = _get(shown.rstrip("/") + "/models", settings.api_key)
    return _judge_endpoint(shown, status, body, model)


def probe(settings: Settings, base_url: str, model: str) -> Finding:
    """What a few cheap calls find out about the endpoint; a run that starts within a week relies on it."""
    from harness.endpoint.errors import ModelError
    from harness.endpoint.probe import probe_and_store
    from harness.endpoint.probe_result import probe_lines
    from harness.endpoint.profiles import profile_for

    profile = profile_for(base_url, model, settings.home / "models.toml")
    try:
        found = probe_and_store(settings.home, profile, base_url, settings.api_key)
    except ModelError as error:
        return Finding("probe", "bad", str(error), "", errors.ENDPOINT)
    detail = "\n      ".join(probe_lines(found))
    if found.loses_thinking:
        advice = "serve it with a template that keeps thoughts, or run with --accept-lost-thinking"
        return Finding("probe", "note", detail, advice)
    return Finding("probe", "ok", detail)


def _judge_endpoint(shown: str, status: int | str, body: bytes, model: str | None) -> Finding:
    def bad(detail: str, advice: str) -> Finding:
        is_certain = isinstance(status, str) or status in (401, 403) or 300 <= status < 400
        return Finding("endpoint", "bad", detail, advice, errors.ENDPOINT, is_certain)

    if isinstance(status, str):
        return bad(f"{shown} does not answer ({status})", "start the server, or check the address and the network")
    if status in (401, 403):
        return bad(f"{shown} refuses the key (status {status})", "set HARNESS_API_KEY to a key that it accepts")
    if 300 <= status < 400:
        return bad(f"{shown} points elsewhere (status {status})", "give the address it points to")
    if status == 404:
        return bad(f"{shown} knows no /models (status 404)", "check the path: it usually ends in /v1")
    if status >= 400:
        return bad(f"{shown} answers with status {status}", "look into the server's own log, then try again")
    names = _names(body)
    if names is None:
        return bad(f"{shown} answers, but not as an OpenAI-compatible endpoint", "check the path: it ends in /v1")
    if model and names and model not in names:
        listed = ", ".join(names[:8])
        return bad(f"{shown} answers, but does not list {model!r}", f"use one it lists: {listed}")
    return Finding("endpoint", "ok", f"{shown} answers" + (f" and lists {model}" if model in names else ""))


def _get(url: str, api_key: str) -> tuple[int | str, bytes]:
    """Status and body of a GET, or the reason why there is none. No redirect is followed: the key stays here."""
    from http.client import HTTPException
    from urllib import error, request

    class Stay(request.HTTPRedirectHandler):
        def redirect_request(self, *_: object, **__: object) -> None:
            return None

    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        asked = request.Request(url, headers=headers)
        with request.build_opener(Stay).open(asked, timeout=ENDPOINT_SECONDS) as answer:
            return int(answer.status), answer.read(4_000_000)
    except error.HTTPError as refused:
        return refused.code, b""
    except error.URLError as failed:
        return str(getattr(failed.reason, "strerror", None) or failed.reason), b""
    except (OSError, HTTPException, ValueError) as failed:
        return type(failed).__name__, b""


def _names(body: bytes) -> list[str] | None:
    try:
        return [str(entry["id"]) for entry in json.loads(body)["data"]]
    except (ValueError, KeyError, TypeError):
        return None


def _nearest(folder: Path) -> Path:
    return next((place for place in (folder, *folder.parents) if place.is_dir()), folder)


def _memory() -> str:
    try:
        return f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB memory"
    except (ValueError, OSError):
        return ""
