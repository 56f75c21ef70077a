"""Create a run: check everything that can be checked before its folder exists, then write event 0."""

from __future__ import annotations

import secrets
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from context.playbook.versions import load_playbook
from harness import config, errors
from harness.config import Resolved
from harness.demo import DEMO_MODEL
from harness.endpoint.errors import is_address, may_hold_secrets
from harness.search.load import absolute, keep_copy, load_policy
from harness.settings import Settings
from harness.startup import disclosure, environment, sandbox_setup
from harness.startup.check_endpoint import CheckedEndpoint, check_endpoint
from harness.startup.data_lock import data_lock
from runs.events.registry import RunCreated
from runs.journal import create_run
from runs.run_settings import RunSettings
from sandboxes.base import Sandbox
from tasks.catalog import find_task
from tasks.holdout.blend import FORMAT, Blend, make_blend
from tasks.holdout.private_labels import opaque_name
from tasks.io.hashing import hash_of_file
from tasks.judging.grade import metric_problem
from tasks.judging.judge import run_judge
from tasks.judging.validate_submission import why_no_submission
from tasks.progress import report
from tasks.task import Task

DEMO_ATTEMPTS = 6
PARALLEL = 2
"""Attempts that are played at once with a real endpoint: one thinks while the job of the other runs."""
TRUSTED = "trusted_tasks"
"""File in HARNESS_HOME: digests of task files that may set endpoint and sandbox."""


@dataclass(frozen=True)
class RunRequest:
    """What a user asked for. `flags` are settings given as command-line options, `assignments` the texts of `--set`.

    `run_id` is the id of the new run (empty: one is made).
    """

    task: str
    flags: Mapping[str, Any] = field(default_factory=dict)
    assignments: tuple[str, ...] = ()
    trusts_task: bool = False
    run_id: str = ""


def create(request: RunRequest, process: Settings) -> Path:
    """Create a run and return its folder. Whatever cannot be started is refused before any folder exists."""
    sandbox_setup.check_git()
    with data_lock(process.home):
        return _create(request, process)


def _create(request: RunRequest, process: Settings) -> Path:
    task = find_task(request.task, process.home)
    _check_sample(task)
    resolved = resolve_settings(request, task, process)
    settings = resolved.settings
    if settings.models:  # a resume may come from another directory
        models = str(Path(settings.models).expanduser().absolute())
        settings = settings.model_copy(update={"models": models})
    # A path in the task file is relative to that file, as are the paths of its data.
    is_of_task = resolved.sources.get("environment") == task.run_lines.get("environment")
    folder = task.folder if is_of_task else Path.cwd()
    settings = settings.model_copy(update={"environment": environment.absolute(settings.environment, folder)})
    load_policy(settings.search)
    settings = settings.model_copy(update={"search": absolute(settings.search)})
    for name in ("ledger", "ledger_snapshot"):
        if path := getattr(settings, name):
            settings = settings.model_copy(update={name: str(Path(path).expanduser().absolute())})
    is_demo = plays_demo(settings)
    report("preparing the data")
    blend = make_blend(task, settings.seed, _blend_folder(task, settings.seed, process.home))
    _check_private_labels(task, process.home)
    _check_metric(task, blend, settings.judge_seconds)
    report("opening the sandbox")
    sandbox_setup.check_settings(settings)
    sandbox = sandbox_setup.choose_sandbox(settings, task, process.home, blend, is_demo)
    settings = sandbox_setup.with_usable_gpus(settings, sandbox)
    report("checking the endpoint")
    checked = None if is_demo else check_endpoint(settings, resolved.endpoint, process)
    if is_demo:
        attempts = settings.attempts or DEMO_ATTEMPTS
        settings = settings.model_copy(update={"attempts": attempts, "model": DEMO_MODEL})
    parallel = settings.parallel or (1 if is_demo else PARALLEL)
    settings = settings.model_copy(update={"parallel": parallel})
    return _write(request.run_id, settings, task, process, blend, sandbox, checked)


def resolve_settings(request: RunRequest, task: Task | None, process: Settings) -> Resolved:
    """The effective settings of a run of this task. Raises `SettingsError`, `UsageError`."""
    layer = config.task_layer(task.run, task.run_lines) if task else None
    if task and layer:
        _check_trust(task, config.untrusted(layer), request.trusts_task, process.home)
    resolved = config.resolve(process, layer, request.flags, request.assignments)
    working = load_playbook(process.home, resolved.settings.playbook).settings
    if not working:
        return resolved
    return config.resolve(process, layer, request.flags, request.assignments, config.playbook_layer(working))


def _check_trust(task: Task, names: list[str], is_trusted: bool, home: Path) -> None:
    """A task file may come from the internet: whether it may set endpoint and sandbox is asked once per version."""
    if not names:
        return
    digest, record = hash_of_file(task.path), home / TRUSTED
    known = record.read_text().split() if record.exists() else []
    if digest in known:
        return
    if not is_trusted:
        errors.fail(
            f"{task.path} sets {', '.join(names)}, which decide where your key goes and what code runs. If you trust "
            "this file, add --trust-task (asked once for each version of the file); else remove these lines"
        )
    home.mkdir(parents=True, exist_ok=True)
    record.write_text("".join(f"{one}\n" for one in [*known, digest]))


def _check_sample(task: Task) -> None:
    """The sample must be a valid submission: it is the first submission of every run."""
    if task.competition:  # its own rule decides
        return
    form = task.submission
    numbers = task.metric.needs != "labels"
    why = why_no_submission(form.sample, form.id, form.targets, numbers, form.may_be_missing)
    if why:
        errors.fail(
            f"{form.sample} cannot be the first submission of a run: {why} Write a value for every row into it, such "
            f"as the most common one or the mean of {', '.join(form.targets)}, or set `submission: "
            "{may_be_missing: true}` in task.yaml where cells may be empty"
        )


def _check_metric(task: Task, blend: Blend, seconds: float) -> None:
    """A task's own metric must run: it scores the sample before there is a run."""
    if task.metric.file is None or task.competition:
        return
    sample = next(blend.public.rglob(task.submission.sample.name), None)
    if sample is None:
        return
    if not blend.has_labels:
        problem = metric_problem(task, task.submission.sample, seconds) if task.answers else ""
    else:
        with tempfile.TemporaryDirectory(prefix="harness-") as folder:
            problem = run_judge(blend.folder, sample, Path(folder) / "submission.csv", seconds).problem
    if problem:
        errors.fail(
            f"the metric of {task.path} cannot score the sample submission: {problem}. It runs in its own "
            "folder, with the Python of the harness: fix it, or install what it needs"
        )


def _check_private_labels(task: Task, home: Path) -> None:
    """Answers must not lie where every sandbox shows the machine's programs."""
    shown = [Path("/usr"), Path(sys.base_prefix).resolve()]
    for kept in (home, task.private, task.folder):
        path = kept.resolve() if kept else None
        if path and any(path.is_relative_to(folder) for folder in shown):
            errors.fail(f"{path} lies among the programs that sandboxes show to the model's code. Move it elsewhere")


def plays_demo(settings: RunSettings) -> bool:
    """Whether the demo model plays: neither model nor address is given. Raises `UsageError` for one without the
    other."""
    model, base_url = settings.model, settings.base_url
    if settings.endpoint and not (model and base_url):
        errors.fail(f"[endpoints.{settings.endpoint}] in config.toml needs base_url and model")
    if model and not base_url:
        errors.fail(f"model {model} needs the endpoint that serves it: add --base-url URL")
    if base_url and not model:
        errors.fail(f"base URL {base_url} needs the model to ask there: add --model NAME")
    if base_url and not is_address(base_url):
        errors.fail(f"base URL {base_url} is not an address; write one like http://localhost:8000/v1")
    if base_url and may_hold_secrets(base_url):
        errors.fail("the base URL is recorded, so it must not contain a user, password or query: see HARNESS_API_KEY")
    return not model


def _blend_folder(task: Task, seed: int, home: Path) -> Path:
    """Where the run's data and held-out labels are. The names say nothing, since a mount table shows them to the
    model. Two tasks with one id, an example's and a user's own, have a folder each."""
    identity = f"{task.id}\n{_below(task.folder, home)}"
    version = f"{identity}\n{seed}\n{task.digest}\n{FORMAT}"
    return home / "data" / ".blends" / opaque_name(identity) / opaque_name(version)


def _below(path: Path, home: Path) -> str:
    """A path as it is recorded: relative to the home if it is inside, so that a home can be moved."""
    return str(path.relative_to(home)) if path.is_relative_to(home) else str(path)


def new_run_id(task: str, seed: int) -> str:
    """The id of a run that begins now."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}_{task}_{seed}_{secrets.token_hex(2)}"


def _write(
    run_id: str,
    settings: RunSettings,
    task: Task,
    process: Settings,
    blend: Blend,
    sandbox: Sandbox,
    checked: CheckedEndpoint | None,
) -> Path:
    run_id = run_id or new_run_id(task.id, settings.seed)
    folder = process.runs / run_id
    playbook = load_playbook(process.home, settings.playbook)
    first = RunCreated(
        harness_version=version("open-harness"),
        run_id=run_id,
        task_id=task.id,
        task_path=str(task.path),
        task_digest=task.digest,
        metric=task.metric.name,
        lower_is_better=task.metric.lower_is_better,
        is_demo=checked is None,
        sandbox=sandbox.kind,
        protects_labels=sandbox.isolation.protects_labels,
        settings=settings,
        blend=_below(blend.folder, process.home),
        sample=str(task.submission.sample),
        hidden=list(sandbox.paths.hidden),
        image=sandbox.paths.image,
        environment=_below(sandbox.paths.environment, process.home) if sandbox.paths.environment else "",
        python=sandbox.python(),
        packages=list(sandbox.packages()),
        notice=sandbox.isolation.notice,
        probe=asdict(checked.probe) if checked else None,
        probe_is_new=checked is not None and checked.is_new,
        prices=asdict(checked.prices) if checked else {},
        playbook=playbook.digest,
        prompts=dict(playbook.texts),
        has_answers=task.answers is not None,
        kaggle=task.kaggle,
        profile=checked.kind if checked else "",
        hardware=disclosure.hardware(settings),
        defects=disclosure.defects(task),
    )
    create_run(folder, first)
    keep_copy(settings.search, folder)
    shutil.copyfile(task.path, folder / "task.yaml")
    return folder
