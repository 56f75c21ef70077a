"""Creating a run: from what a user asked for to a run folder with its first event. All refusals come before it."""

from __future__ import annotations

import secrets
import shutil
import sys
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from harness import errors
from harness.demo import DEMO_MODEL
from harness.endpoint.errors import EndpointRefused, is_address, may_hold_secrets
from harness.settings import Settings
from harness.startup import sandbox_setup
from runs.events.registry import RunCreated
from runs.journal import create_run
from sandboxes.base import Sandbox
from tasks.catalog import find_task
from tasks.holdout.blend import Blend, make_blend
from tasks.holdout.private_labels import opaque_name
from tasks.judging.validate_submission import why_no_submission
from tasks.task import Task

if TYPE_CHECKING:
    from harness.endpoint.probe_result import ProbeResult
    from harness.endpoint.profiles import Profile


@dataclass(frozen=True)
class RunRequest:
    """What a user asked for; None where the task's `run:` part or a default decides."""

    task: str
    model: str | None = None
    base_url: str | None = None
    hours: float | None = None
    cost: float | None = None
    attempts: int | None = None
    turns: int | None = None
    seed: int = 0
    sandbox: str = "auto"
    models: Path | None = None
    gpus: int = 0
    runtime: str = ""
    accept_lost_thinking: bool = False


def create(wish: RunRequest, settings: Settings) -> Path:
    """Create a run and return its folder. Raises the errors of what cannot be started, before any folder exists."""
    task = find_task(wish.task, settings.home)
    _check_sample(task)
    wish = _with_defaults(wish, task)
    is_demo = _is_demo(wish)
    blend = make_blend(task, wish.seed, _blend_folder(task, wish.seed, settings))
    _check_custody(task, settings)
    sandbox_setup.check_gpus(wish.gpus, wish.sandbox)
    sandbox_setup.check_kind(wish.runtime, wish.sandbox)
    sandbox = sandbox_setup.choose_sandbox(wish.sandbox, wish.models, task, settings, blend, is_demo, wish.runtime)
    probe, is_new = (None, False) if is_demo else _probed(wish, settings)
    return _create(wish, task, settings, blend, sandbox, probe, is_new)


def _with_defaults(wish: RunRequest, task: Task) -> RunRequest:
    """Fill in what the task's `run:` part says, then our own defaults; what was typed comes first."""
    names = ("model", "base_url", "hours", "cost", "attempts", "turns")
    filled = {name: getattr(wish, name) or getattr(task.run, name) for name in names}
    sandbox = wish.sandbox if wish.sandbox != "auto" else task.run.sandbox or "auto"
    return replace(wish, **filled, sandbox=sandbox)


def _check_sample(task: Task) -> None:
    """A run holds a valid submission from its first minute on, and the sample is the first one."""
    if task.competition:  # its own rule decides, and not this one
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


def _check_custody(task: Task, settings: Settings) -> None:
    """Answers must not lie where every sandbox shows the machine's programs."""
    shown = [Path("/usr"), Path(sys.base_prefix).resolve()]
    for kept in (settings.home, task.private, task.folder):
        place = kept.resolve() if kept else None
        if place and any(place.is_relative_to(folder) for folder in shown):
            errors.fail(f"{place} lies among the programs that sandboxes show to the model's code. Move it elsewhere")


def _below(path: Path, home: Path) -> str:
    """A path as it is recorded: relative to the home where it lies there, so that a home can be moved."""
    return str(path.relative_to(home)) if path.is_relative_to(home) else str(path)


def _check_money(wish: RunRequest, profile: Profile) -> None:
    """A cap on money needs prices: without them nothing would ever be counted against it."""
    prices = profile.prices
    if wish.cost and not (prices.input or prices.output):
        errors.fail(
            f"--cost {wish.cost:g} cannot be kept, since the prices of {wish.model} are unknown. Write them into "
            f'models.toml below HARNESS_HOME, in dollars per million tokens:\n["{wish.model}"]\n'
            "prices = {input = 0.30, cached = 0.06, output = 1.20}\nor leave --cost out"
        )


def _is_demo(wish: RunRequest) -> bool:
    """Whether the built-in demo model plays: nothing said of a model. Half of what names one is a mistake."""
    if wish.model and not wish.base_url:
        errors.fail(f"--model {wish.model} needs the endpoint that serves it: add --base-url URL")
    if wish.base_url and not wish.model:
        errors.fail(f"--base-url {wish.base_url} needs the model to ask there: add --model NAME")
    if wish.base_url and not is_address(wish.base_url):
        errors.fail(f"--base-url {wish.base_url} is no address; write one like http://localhost:8000/v1")
    if wish.base_url and may_hold_secrets(wish.base_url):
        errors.fail("--base-url goes on record, so no user, password or query may stand in it: see HARNESS_API_KEY")
    return not wish.model


def _probed(wish: RunRequest, settings: Settings) -> tuple[ProbeResult, bool]:
    """What this endpoint really does, and whether it had to be asked for this run. Raises `ModelError`."""
    from harness.endpoint.probe import probe_and_store
    from harness.endpoint.probe_result import stored_probe

    base_url = wish.base_url or ""
    profile = profile_of(base_url, wish.model or "", False, settings)
    _check_money(wish, profile)
    probe = stored_probe(settings.home, base_url, profile)
    is_new = probe is None
    if probe is None:
        errors.say(f"trying out {base_url} with about ten short calls")
        probe = probe_and_store(settings.home, profile, base_url, settings.api_key)
    if probe.loses_thinking and not wish.accept_lost_thinking:
        raise EndpointRefused(
            f"{probe.address} throws away the thoughts of {probe.model} that are sent back (tried in "
            f"{', '.join(probe.not_counted)}), so it would work worse at every turn; serve it with a template that "
            "keeps them, or add --accept-lost-thinking"
        )
    return probe, is_new


def _blend_folder(task: Task, seed: int, settings: Settings) -> Path:
    """Where the run's data and held-out labels lie, under names that say nothing: a mount table shows them to the
    model. Two tasks with one id, an example's and a user's own, have a folder each."""
    whose = f"{task.id}\n{_below(task.folder, settings.home)}"
    return settings.home / "data" / ".blends" / opaque_name(whose) / opaque_name(f"{whose}\n{seed}\n{task.digest}")


def _create(
    wish: RunRequest,
    task: Task,
    settings: Settings,
    blend: Blend,
    sandbox: Sandbox,
    probe: ProbeResult | None,
    probe_is_new: bool,
) -> Path:
    is_demo = probe is None
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    run_id = f"{moment}_{task.id}_{wish.seed}_{secrets.token_hex(2)}"
    folder = settings.runs / run_id
    attempts = wish.attempts or (settings.demo_attempts if is_demo else None)
    first = RunCreated(
        harness_version=version("open-harness"),
        run_id=run_id,
        task_id=task.id,
        task_path=str(task.path),
        task_digest=task.digest,
        metric=task.metric.name,
        lower_is_better=task.metric.lower_is_better,
        seed=wish.seed,
        model=wish.model or DEMO_MODEL,
        base_url=wish.base_url or "",
        is_demo=is_demo,
        sandbox=sandbox.kind,
        protects_labels=sandbox.isolation.protects_labels,
        hours=wish.hours or settings.hours,
        cost=wish.cost,
        attempts=attempts,
        turns=wish.turns,
        options={
            "blend": _below(blend.folder, settings.home),
            "sample": str(task.submission.sample),
            **sandbox_setup.options_of(sandbox),
            "gpus": wish.gpus,
            "probe": asdict(probe) if probe else None,
            "probe_is_new": probe_is_new,
        },
    )
    create_run(folder, first)
    shutil.copyfile(task.path, folder / "task.yaml")
    return folder


def profile_of(base_url: str, model: str, is_demo: bool, settings: Settings) -> Profile:
    from harness.endpoint.profiles import DEMO, profile_for

    return DEMO if is_demo else profile_for(base_url, model, settings.home / "models.toml")
