"""Opening a run: a new one from a wish, or one that was stopped or crashed from its folder. Both are then the same."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from context.notebook import Notebook
from context.recall import Recall
from context.view import Window
from harness import attempt, budget, exits, finale, loop, placing
from harness.demo import DEMO_MODEL
from harness.endpoint_errors import EndpointRefused, is_address, may_hold_secrets
from harness.settings import Settings
from harness.stopping import Stopping, StopRequested
from harness.tools import specs, tools_bytes
from runs.events import EndpointProbed, Paused, Resumed, RunCreated, TaskDescribed, ThresholdsKnown, Warned
from runs.journal import Journal, JournalError, create_run
from runs.metering import Meter
from runs.state import State
from runs.versions import Versions
from sandboxes.base import Sandbox
from sandboxes.choosing import open_sandbox
from sandboxes.describing import describe_sandbox
from tasks.blending import Blend, make_blend
from tasks.card import data_files, render_card
from tasks.catalogue import find_task
from tasks.spec import Task, load_task

if TYPE_CHECKING:
    from harness.loop import Run, Screen
    from harness.model import Model
    from harness.probe import ProbeResult
    from harness.profiles import Profile


@dataclass(frozen=True)
class Wish:
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
    accept_lost_thinking: bool = False


def start(wish: Wish, settings: Settings, screen: Screen) -> int:
    """Create a run and play it; returns the exit code. Raises the errors of what cannot be started, before any
    folder of a run exists."""
    task = find_task(wish.task, settings.home)
    wish = _with_defaults(wish, task)
    is_demo = _is_demo(wish)
    blend = make_blend(task, wish.seed, _blend_folder(task, wish.seed, settings))
    placing.check_gpus(wish.gpus, wish.sandbox)
    kind = placing.choose_sandbox(wish.sandbox, wish.models, task, settings, blend, is_demo)
    probe = None if is_demo else _probed(wish, settings)
    folder = _create(wish, task, settings, blend, kind, probe)
    return _play(folder, settings, screen)


def resume(folder: Path, settings: Settings, screen: Screen) -> int:
    """Take a run up again where its journal ends; returns the exit code."""
    if (settings.grades / f"{folder.name}.json").exists():
        exits.fail(f"{folder.name} has been graded against the private answers and can no longer be resumed.")
    return _play(folder, settings, screen)


# --------------------------------------------------------------------------------------------------------- creating


def _with_defaults(wish: Wish, task: Task) -> Wish:
    """Fill in what the task's `run:` part says, then our own defaults; what was typed comes first."""
    names = ("model", "base_url", "hours", "cost", "attempts", "turns")
    filled = {name: getattr(wish, name) or getattr(task.run, name) for name in names}
    sandbox = wish.sandbox if wish.sandbox != "auto" else task.run.sandbox or "auto"
    return replace(wish, **filled, sandbox=sandbox)


def _is_demo(wish: Wish) -> bool:
    """Whether the built-in demo model plays: nothing said of a model. Half of what names one is a mistake."""
    if wish.model and not wish.base_url:
        exits.fail(f"--model {wish.model} needs the endpoint that serves it: add --base-url URL")
    if wish.base_url and not wish.model:
        exits.fail(f"--base-url {wish.base_url} needs the model to ask there: add --model NAME")
    if wish.base_url and not is_address(wish.base_url):
        exits.fail(f"--base-url {wish.base_url} is no address; write one like http://localhost:8000/v1")
    if wish.base_url and may_hold_secrets(wish.base_url):
        exits.fail("--base-url goes on record, so no user, password or query may stand in it: see HARNESS_API_KEY")
    return not wish.model


def _probed(wish: Wish, settings: Settings) -> ProbeResult:
    """What this endpoint really does, asked unless it is known. Raises `ModelError`."""
    from harness.probe import stored_probe
    from harness.probing import probe_and_store

    base_url = wish.base_url or ""
    profile = _profile(base_url, wish.model or "", False, settings)
    probe = stored_probe(settings.home, base_url, profile)
    if probe is None:
        exits.say(f"trying out {base_url} with about ten short calls")
        probe = probe_and_store(settings, base_url, profile)
    if probe.loses_thinking and not wish.accept_lost_thinking:
        raise EndpointRefused(
            f"{probe.address} throws away the thoughts of {probe.model} that are sent back (tried in "
            f"{', '.join(probe.not_counted)}), so it would work worse at every turn; serve it with a template that "
            "keeps them, or add --accept-lost-thinking"
        )
    return probe


def _blend_folder(task: Task, seed: int, settings: Settings) -> Path:
    return settings.home / "data" / task.id / "blends" / f"{seed}-{task.digest[:10]}"


def _create(
    wish: Wish, task: Task, settings: Settings, blend: Blend, sandbox: Sandbox, probe: ProbeResult | None
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
            "blend": str(blend.folder),
            "sample": str(task.submission.sample),
            **placing.options_of(sandbox),
            "gpus": wish.gpus,
            "probe": asdict(probe) if probe else None,
        },
    )
    create_run(folder, first)
    shutil.copyfile(task.path, folder / "task.yaml")
    return folder


# ---------------------------------------------------------------------------------------------------------- playing


def _play(folder: Path, settings: Settings, screen: Screen) -> int:
    with Journal.open(folder) as journal, ExitStack() as held:
        run = _open(folder, journal, settings, screen, held)
        if run.state.ended:
            finale.write_reports(run)
            exits.fail(f"{folder.name} has ended ({run.state.ended}); there is nothing left to resume.")
        with run.stopping.watching(), _pausing(run):
            _begin(run)
            loop.play(run)
        run.sandbox.close()
        return _exit_code(run)


def _exit_code(run: Run) -> int:
    if run.state.ended == "unusable_replies":
        return exits.ENDPOINT
    return exits.DONE if run.state.ended else exits.STOPPED


def _open(folder: Path, journal: Journal, settings: Settings, screen: Screen, held: ExitStack) -> Run:
    """Fold the journal and open the parts that act on it; what is lent to the run is given back with `held`."""
    state, window, notebook, meter = State(), Window(), Notebook(), Meter()
    for event in journal.past:
        state.apply(event)
        window.apply(event)
        notebook.apply(event)
        meter.apply(event)
    journal.past.clear()
    created = state.created
    assert created is not None
    blend = _load_blend(created)
    gpus = held.enter_context(placing.gpus_of(created, settings))
    place = placing.place_of(folder, created, blend, settings, gpus)
    place.workspace.mkdir(exist_ok=True)
    return loop.Run(
        folder=folder,
        journal=journal,
        state=state,
        window=window,
        notebook=notebook,
        meter=meter,
        recall=Recall(folder),
        model=_open_model(created, settings),
        sandbox=open_sandbox(created.sandbox, place),
        blend=blend,
        versions=Versions(folder / "repo.git"),
        screen=screen,
        settings=settings,
        stopping=Stopping(settings.stop_seconds),
        tools=tools_bytes(),
    )


def _load_blend(created: RunCreated) -> Blend:
    """The run's blend; made again from the task where somebody removed it."""
    task = load_task(Path(created.task_path))
    if task.digest != created.task_digest:
        exits.fail(f"{created.task_path} has changed since the run began; put it back, or start a new run.")
    return make_blend(task, created.seed, Path(created.options["blend"]))


def _open_model(created: RunCreated, settings: Settings) -> Model:
    from harness.model import Patience, open_model
    from harness.probe import as_result, informed

    profile = _profile(created.base_url, created.model, created.is_demo, settings)
    probe = as_result(created.options.get("probe"))
    profile = informed(profile, probe) if probe else profile
    patience = Patience(
        stall=settings.model_stall_seconds,
        first_wait=settings.model_first_wait_seconds,
        longest_wait=settings.model_longest_wait_seconds,
    )
    if created.is_demo:
        from harness.demo_model import DEMO_BASE_URL, DemoTransport

        return open_model(profile, DEMO_BASE_URL, transport=DemoTransport(), tools=specs())
    return open_model(profile, created.base_url, settings.api_key, tools=specs(), patience=patience)


def _profile(base_url: str, model: str, is_demo: bool, settings: Settings) -> Profile:
    from harness.profiles import DEMO, profile_for

    return DEMO if is_demo else profile_for(base_url, model, settings.home / "models.toml")


def _begin(run: Run) -> None:
    """Bring the record to where turns can be played: what a new run needs first, what a resumed one must declare."""
    run.screen.show(run.state, run.created)
    if run.state.events > 1:
        _declare_resume(run)
    if not run.state.card:
        task = load_task(Path(run.created.task_path))
        card = render_card(task, run.blend.public).rstrip("\n") + "\n" + describe_sandbox(run.sandbox)
        run.record(TaskDescribed(card=card, data_files=data_files(run.blend.public)))
        _tell_probe(run)
        for note in run.blend.notes:
            run.record(Warned(message=note))
        if task.thresholds:
            lines = task.thresholds
            run.record(
                ThresholdsKnown(
                    gold=lines.gold, silver=lines.silver, bronze=lines.bronze, median=lines.median, rows=lines.rows
                )
            )
    if run.state.chosen is None:
        finale.begin_with_sample(run, Path(run.created.options["sample"]))
    finale.restore_submission(run)


def _tell_probe(run: Run) -> None:
    from harness.probe import as_result, probe_lines

    probe = as_result(run.created.options.get("probe"))
    if probe is None:
        return
    run.record(EndpointProbed(when=probe.when, findings=probe_lines(probe)))
    if probe.loses_thinking:
        run.record(Warned(message=f"{probe.address} throws away the thoughts sent back to it, which was accepted"))


def _declare_resume(run: Run) -> None:
    when = budget.deadline(run.created, run.active_seconds())
    run.record(
        Resumed(
            harness_version=version("open-harness"),
            torn=run.journal.torn is not None,
            deadline=when.isoformat(timespec="seconds") if when else None,
        )
    )
    if run.window.breaches:
        run.record(Warned(message=f"{run.window.breaches} requests are rebuilt differently from what was sent"))
    if run.state.epoch is not None:
        attempt.open_epoch(run, "resume", keeps_tail=True)


@contextmanager
def _pausing(run: Run) -> Iterator[None]:
    """Whatever stops a run short of its end leaves a line that says so and how to go on."""
    try:
        yield
    except StopRequested as stop:
        _pause(run, f"stopped by {stop}")
    except JournalError:
        raise
    except Exception as error:
        # The reason matters more than the line about it: a full disk may refuse that line too.
        with contextlib.suppress(JournalError, OSError):
            _pause(run, " ".join(str(error).split()) or type(error).__name__)
        raise


def _pause(run: Run, why: str) -> None:
    run.record(Paused(why=why))
    finale.write_reports(run)
