"""`harness doctor`: checks the installation, the sandboxes and the endpoint, and says how to fix what fails."""

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
from harness.config import Resolved
from harness.endpoint.extras import Extras
from harness.settings import Settings, SettingsError
from runs.run_settings import RunSettings
from sandboxes.isolation import table_as_text

PACKAGES = ("filelock", "json-repair", "openai", "pandas", "pydantic", "pyyaml", "rich", "scikit-learn")
ENDPOINT_SECONDS = 5.0
LOW_SPACE = 5_000_000_000
LEAST_SPACE = 200_000_000

Health = Literal["ok", "note", "bad"]


@dataclass(frozen=True)
class Finding:
    """Result of one check. `bad` prevents a run (exit code `code`), `note` does not; `advice` says what to do.

    `is_certain` is false if only a real request can tell whether the endpoint works.
    """

    name: str
    health: Health
    detail: str
    advice: str = ""
    code: int = errors.INPUT
    is_certain: bool = True


def examine(settings: Settings, resolved: Resolved) -> int:
    """Run all checks and print their findings. Returns 0 if a run could start, else the exit code of the problem."""
    codes = []
    for finding in findings(settings, resolved):
        mark = {"ok": "ok  ", "note": "note", "bad": "BAD "}[finding.health]
        print(f"{mark}  {finding.name}: {finding.detail}")
        if finding.advice:
            print(f"      -> {finding.advice}")
        if finding.health == "bad":
            codes.append(finding.code)
    print("What each sandbox enforces:")
    for line in table_as_text():
        print(f"  {line}")
    print("A run can start." if not codes else "A run cannot start yet. Fix the lines marked BAD.")
    return max(codes, default=errors.DONE)


def build_image(kind: str, settings: Settings) -> int:
    """Build the image of the docker sandbox unless it exists; 0 if it works. Raises `SandboxUnavailable`."""
    from sandboxes.docker.build_image import build
    from sandboxes.docker.sandbox import check_docker

    name = build(kind, settings.home)
    print(f"{name} works: {check_docker(settings.home, name)}")
    return errors.DONE


def findings(settings: Settings, resolved: Resolved) -> Iterator[Finding]:
    """The findings of all checks, in the order in which they are printed."""
    yield python()
    yield packages()
    yield git()
    yield home(settings.home)
    run = resolved.settings
    yield space(settings.home, run.workspace_bytes)
    yield Finding("machine", "ok", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores{_memory()}")
    yield from sandboxes(settings.home, run)
    yield mlebench(settings.home)
    yield key(settings, run)
    yield from served(settings, resolved)


def python() -> Finding:
    """The Python that runs the harness."""
    return Finding("python", "ok", f"{platform.python_version()} ({sys.executable})")


def packages() -> Finding:
    """The versions of the packages that the harness needs."""
    from importlib.metadata import PackageNotFoundError, version

    installed, missing = [], []
    for name in PACKAGES:
        try:
            installed.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding(
            "packages", "bad", f"missing: {', '.join(missing)}", "install the harness again, as the README describes"
        )
    return Finding("packages", "ok", ", ".join(installed))


def mlebench(folder: Path) -> Finding:
    """Whether the official package is installed; only competitions that the harness cannot prepare itself need it."""
    from tasks.mlebench.official_package import how_to_install, interpreter

    python = interpreter(folder)
    if python is None:
        return Finding(
            "mlebench", "note", "not installed; 29 of 82 competitions work without it", how_to_install(folder)
        )
    return Finding("mlebench", "ok", f"official package in {python}")


def git() -> Finding:
    """Whether git works: every evaluated solution is a commit."""
    advice = "install git: every evaluated solution is stored as a commit"
    if shutil.which("git") is None:
        return Finding("git", "bad", "not found", advice)
    try:
        done = subprocess.run(["git", "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("git", "bad", f"does not work ({type(error).__name__})", advice)
    return Finding("git", "ok", done.stdout.strip().removeprefix("git version "))


def home(folder: Path) -> Finding:
    """Whether run folders can be written."""
    advice = "set HARNESS_HOME to a folder that you can write to"
    existing = _nearest_folder(folder)
    blocked = next((path for path in (folder, *folder.parents) if os.path.lexists(path) and not path.is_dir()), None)
    if blocked is not None:
        return Finding("home", "bad", f"{folder}: {blocked} is not a folder", advice)
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".doctor-"):
            pass
    except OSError as error:
        return Finding("home", "bad", f"{folder}: {error.strerror}", advice)
    return Finding("home", "ok", f"{folder}" if existing == folder else f"{folder} (created by the first run)")


def space(folder: Path, workspace: int = RunSettings().workspace_bytes) -> Finding:
    """Whether the disk of the run folders has room."""
    try:
        free = shutil.disk_usage(_nearest_folder(folder)).free
    except OSError as error:
        return Finding("disk", "bad", f"cannot be checked: {error.strerror}", "set HARNESS_HOME to another disk")
    detail = f"{free / 1e9:.1f} GB free; a run's workspace may grow to {workspace / 1e9:g} GB"
    if free < LEAST_SPACE:
        return Finding("disk", "bad", detail, "free some space or set HARNESS_HOME to another disk")
    if free < LOW_SPACE:
        return Finding(
            "disk", "note", detail, "a long run may need more: free some or set HARNESS_HOME to another disk"
        )
    return Finding("disk", "ok", detail)


def sandboxes(folder: Path, run: RunSettings) -> Iterator[Finding]:
    """Which sandboxes work here, and whether a run with these settings would have one.

    `auto` never gives a model other than the demo model a sandbox that does not protect labels.
    """
    from sandboxes.select import probe_sandboxes

    working = set()
    for probe in probe_sandboxes(folder, run.image):
        working |= {probe.kind} if probe.works else set()
        safe = probe.works and probe.isolation.protects_labels
        notice = f". {probe.isolation.notice}" if probe.works and probe.isolation.notice else ""
        yield Finding(f"sandbox {probe.kind}", "ok" if safe else "note", f"{probe.detail}{notice}", probe.advice)
    if not working:
        yield Finding("sandbox", "bad", "no sandbox works", "follow the advice above", errors.SANDBOX)
    elif run.sandbox != "auto" and run.sandbox not in working:
        advice = f"follow the advice above, or choose --sandbox {sorted(working)[0]}"
        yield Finding("sandbox", "bad", f"{run.sandbox} is set, and does not work", advice, errors.SANDBOX)
    elif run.sandbox == "auto" and run.base_url and working == {"local"}:
        advice = "install bubblewrap or Docker, or accept unprotected labels with --sandbox local"
        yield Finding("sandbox", "bad", "no sandbox that works protects the labels", advice, errors.SANDBOX)


def key(settings: Settings, run: RunSettings) -> Finding:
    """Whether an API key is set; it is never shown."""
    try:
        if settings.key_of(run.key_variable):
            return Finding("key", "ok", "set (not shown)")
    except SettingsError as error:
        return Finding("key", "bad", str(error), "", errors.INPUT)
    advice = "if your endpoint needs one, set HARNESS_API_KEY" if run.base_url else ""
    return Finding("key", "note", "not set; the demo model needs none", advice)


def served(settings: Settings, resolved: Resolved) -> Iterator[Finding]:
    """What the endpoint lists and, if a model is named, how it answers; the answer decides."""
    base_url, model = resolved.settings.base_url, resolved.settings.model
    listed = endpoint(settings, resolved)
    if not (base_url and model) or (listed.health == "bad" and listed.is_certain):
        yield listed
        return
    probed = probe(settings, resolved)
    yield listed if probed.health == "bad" or listed.health == "ok" else replace(listed, health="note", advice="")
    yield probed
    yield prices(settings, resolved)


def prices(settings: Settings, resolved: Resolved) -> Finding:
    """What a token is counted at, and whether a limit on cost can be kept."""
    from harness.endpoint.probe_result import apply_probe, load_probe
    from harness.startup.check_endpoint import check_cost, price_line, profile_of

    run = resolved.settings
    try:
        profile = profile_of(run, resolved.endpoint, False, settings.home)
        if stored := load_probe(settings.home, run.base_url, profile):
            profile = apply_probe(profile, stored)
        check_cost(run, profile)
    except (errors.UsageError, SettingsError) as error:
        return Finding("prices", "bad", str(error))
    is_told = profile.prices.is_known or profile.kind == "openrouter"
    return Finding("prices", "ok" if is_told else "note", price_line(profile, run.base_url))


def endpoint(settings: Settings, resolved: Resolved) -> Finding:
    """Whether the endpoint answers and lists the model."""
    from harness.endpoint.errors import is_address, shown_address
    from harness.endpoint.proxies import require_usable_proxy

    base_url, model = resolved.settings.base_url, resolved.settings.model
    if not base_url:
        detail = "none given; the demo model (not an LLM) needs none"
        return Finding("endpoint", "ok", detail, "to check one: harness doctor --base-url URL --model NAME")
    if not is_address(base_url):
        detail = "the base URL is not an http(s) address"
        return Finding("endpoint", "bad", detail, "write it as http://HOST:PORT/v1", errors.INPUT)
    shown = shown_address(base_url)
    try:
        require_usable_proxy(base_url)
    except SettingsError as error:
        return Finding("endpoint", "bad", str(error), "", errors.INPUT)
    status, body = _get(shown.rstrip("/") + "/models", _key(settings, resolved), resolved.endpoint.extras)
    return _judge_endpoint(shown, status, body, model)


def _key(settings: Settings, resolved: Resolved) -> str:
    try:
        return settings.key_of(resolved.settings.key_variable)
    except SettingsError:  # reported by `key`
        return ""


def probe(settings: Settings, resolved: Resolved) -> Finding:
    """Probe the endpoint with a few cheap calls; a run that starts within a week uses the stored result."""
    from harness.endpoint.errors import ModelError
    from harness.endpoint.probe import probe_and_store
    from harness.endpoint.probe_result import probe_lines
    from harness.startup.check_endpoint import profile_of, why_unusable

    run, key = resolved.settings, _key(settings, resolved)
    profile = profile_of(run, resolved.endpoint, False, settings.home)
    try:
        result = probe_and_store(settings.home, profile, run.base_url, key, resolved.endpoint.extras)
    except (ModelError, SettingsError) as error:
        return Finding("probe", "bad", str(error), "", errors.code_of(error))
    detail = "\n      ".join(probe_lines(result))
    if why := why_unusable(result):
        return Finding("probe", "bad", detail, why, errors.ENDPOINT)
    if result.loses_thinking:
        advice = "serve the model with a template that keeps thinking, or run with --accept-lost-thinking"
        return Finding("probe", "note", detail, advice)
    return Finding("probe", "ok", detail)


def _judge_endpoint(shown: str, status: int | str, body: bytes, model: str | None) -> Finding:
    def bad(detail: str, advice: str) -> Finding:
        is_certain = isinstance(status, str) or status in (401, 403) or 300 <= status < 400
        return Finding("endpoint", "bad", detail, advice, errors.ENDPOINT, is_certain)

    if isinstance(status, str):
        return bad(f"{shown} does not answer ({status})", "start the server, or check address and network")
    if status in (401, 403):
        return bad(f"{shown} rejects the key (status {status})", "set HARNESS_API_KEY to a valid key")
    if 300 <= status < 400:
        return bad(f"{shown} redirects to another address (status {status})", "use that address")
    if status == 404:
        return bad(f"{shown} has no /models (status 404)", "check the path: it usually ends in /v1")
    if status >= 400:
        return bad(f"{shown} answers with status {status}", "read the server's log, then try again")
    names = _model_names(body)
    if names is None:
        return bad(f"{shown} is not an OpenAI-compatible endpoint", "check the path: it usually ends in /v1")
    if model and names and model not in names:
        listed = ", ".join(names[:8])
        return bad(f"{shown} does not list {model!r}", f"use a listed model: {listed}")
    return Finding("endpoint", "ok", f"{shown} answers" + (f" and lists {model}" if model in names else ""))


def _get(url: str, api_key: str, extras: Extras) -> tuple[int | str, bytes]:
    """Status and body of a GET, or the reason why there is no answer. Follows no redirect, which would leak the key."""
    from http.client import HTTPException
    from urllib import error, request
    from urllib.parse import urlencode

    from harness.endpoint.proxies import is_direct

    class NoRedirect(request.HTTPRedirectHandler):
        def redirect_request(self, *_: object, **__: object) -> None:
            return None

    without_proxy = [request.ProxyHandler({})] if is_direct(url) else []
    headers = extras.headers_with(api_key)
    url += f"?{urlencode(extras.query)}" if extras.query else ""
    try:
        get = request.Request(url, headers=headers)
        with request.build_opener(NoRedirect, *without_proxy).open(get, timeout=ENDPOINT_SECONDS) as answer:
            return int(answer.status), answer.read(4_000_000)
    except error.HTTPError as failure:
        return failure.code, b""
    except error.URLError as failure:
        return str(getattr(failure.reason, "strerror", None) or failure.reason), b""
    except (OSError, HTTPException, ValueError) as failure:
        return type(failure).__name__, b""


def _model_names(body: bytes) -> list[str] | None:
    try:
        return [str(entry["id"]) for entry in json.loads(body)["data"]]
    except (ValueError, KeyError, TypeError):
        return None


def _nearest_folder(folder: Path) -> Path:
    return next((path for path in (folder, *folder.parents) if path.is_dir()), folder)


def _memory() -> str:
    try:
        return f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB memory"
    except (ValueError, OSError):
        return ""
