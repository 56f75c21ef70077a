"""Opening a run: a new one from a wish, or one that was stopped or crashed from its folder. Both are then the same."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from context.notebook import Notebook
from context.recall.index import Recall
from context.window import Window
from harness import attempt, budget, errors, loop, request
from harness.evaluation import leak_checks, submission
from harness.interrupt import Stopping, StopRequested
from harness.settings import Settings
from harness.startup import sandbox_setup
from harness.startup.create_run import RunRequest, create, profile_of
from harness.tools.registry import specs, tools_bytes
from runs.events.registry import (
    EndpointProbed,
    Paused,
    Resumed,
    RunCreated,
    TaskDescribed,
    ThresholdsKnown,
    Warned,
)
from runs.journal import Journal, JournalError
from runs.state import State
from runs.usage.cache import CacheMeter
from runs.versions.commits import Versions
from sandboxes.isolation import describe_sandbox
from sandboxes.select import open_sandbox
from tasks.holdout.blend import Blend, load_blend, make_blend
from tasks.prompt_card import data_files, render_card
from tasks.task import load_task

if TYPE_CHECKING:
    from harness.endpoint.client import Model
    from harness.loop import Run, Screen


def start(wish: RunRequest, settings: Settings, screen: Screen) -> int:
    """Create a run and play it; returns the exit code. Raises the errors of what cannot be started."""
    return _play(create(wish, settings), settings, screen)


def resume(folder: Path, settings: Settings, screen: Screen) -> int:
    """Take a run up again where its journal ends; returns the exit code."""
    return _play(folder, settings, screen)


def _play(folder: Path, settings: Settings, screen: Screen) -> int:
    with Journal.open(folder) as journal, ExitStack() as held:
        # By the run's own id, under its lock: a folder can be moved or linked to.
        run_id = getattr(journal.past[0], "run_id", folder.name)
        if any((settings.grades / f"{run_id}{kind}").exists() for kind in (".json", ".kaggle.json")):
            errors.fail(f"{run_id} has been graded against the private answers and can no longer be resumed.")
        run = _open(folder, journal, settings, screen, held)
        if run.state.ended:
            submission.write_reports(run)
            errors.fail(f"{folder.name} has ended ({run.state.ended}); there is nothing left to resume.")
        try:
            with run.stopping.watching(), _pausing(run):
                _begin(run)
                loop.play(run)
        finally:
            run.sandbox.close()
        return _exit_code(run)


def _exit_code(run: Run) -> int:
    if run.state.ended == "unusable_replies":
        return errors.ENDPOINT
    return errors.DONE if run.state.ended else errors.STOPPED


def _open(folder: Path, journal: Journal, settings: Settings, screen: Screen, held: ExitStack) -> Run:
    """Fold the journal and open the parts that act on it; what is lent to the run is given back with `held`."""
    state, window, notebook, meter = State(), Window(), Notebook(), CacheMeter()
    for event in journal.past:
        state.apply(event)
        window.apply(event)
        notebook.apply(event)
        meter.apply(event)
    journal.past.clear()
    created = state.created
    assert created is not None
    blend = _load_blend(created, settings)
    gpus = held.enter_context(sandbox_setup.gpus_of(created, settings))
    place = sandbox_setup.sandbox_paths(folder, created, blend, settings, gpus)
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


def _load_blend(created: RunCreated, settings: Settings) -> Blend:
    """The run's blend, which is all a run needs of its task; made again from the task where somebody removed it."""
    folder = settings.home / created.options["blend"]
    if (folder / "custody").is_dir():
        return load_blend(folder)
    task = load_task(Path(created.task_path))
    if task.digest != created.task_digest:
        errors.fail(f"{created.task_path} has changed since {created.run_id} began; put it back, or start a new run.")
    return make_blend(task, created.seed, folder)


def _open_model(created: RunCreated, settings: Settings) -> Model:
    from harness.endpoint.client import Patience, open_model
    from harness.endpoint.probe_result import as_result, informed

    profile = profile_of(created.base_url, created.model, created.is_demo, settings)
    probe = as_result(created.options.get("probe"))
    profile = informed(profile, probe) if probe else profile
    patience = Patience(
        stall=settings.model_stall_seconds,
        first_wait=settings.model_first_wait_seconds,
        longest_wait=settings.model_longest_wait_seconds,
    )
    if created.is_demo:
        from harness.demo.transport import DEMO_BASE_URL, DemoTransport

        return open_model(profile, DEMO_BASE_URL, transport=DemoTransport(), tools=specs())
    return open_model(profile, created.base_url, settings.api_key, tools=specs(), patience=patience)


def _begin(run: Run) -> None:
    """Bring the record to where turns can be played: what a new run needs first, what a resumed one must declare."""
    run.screen.show(run.state, run.created)
    if run.state.events > 1:
        _declare_resume(run)
    if not run.state.card:
        task = load_task(Path(run.created.task_path))
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
        # Last, since it says that all of this was done.
        card = (
            render_card(task, run.blend.public).rstrip("\n")
            + "\n"
            + describe_sandbox(run.sandbox, run.settings.workspace_bytes)
        )
        card = card.rstrip("\n") + leak_checks.notes_on_task(run, task) + "\n"
        run.record(TaskDescribed(card=card, data_files=data_files(run.blend.public)))
    if run.state.chosen is None:
        submission.begin_with_sample(run, Path(run.created.options["sample"]))
    submission.restore_submission(run)


def _tell_probe(run: Run) -> None:
    from harness.endpoint.probe_result import as_result, probe_lines

    probe = as_result(run.created.options.get("probe"))
    if probe is None or run.state.is_probed:
        return
    is_new = bool(run.created.options.get("probe_is_new"))  # else it is in the spend of another run
    calls, cost = (probe.calls, probe.cost) if is_new else (0, 0.0)
    run.record(EndpointProbed(when=probe.when, findings=probe_lines(probe), calls=calls, cost=cost))
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
    request.settle(run)
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
        run.stopping.calm()
        _pause(run, f"stopped by {stop}")
    except JournalError:
        raise
    except Exception as error:
        run.stopping.calm()
        # The reason matters more than the line about it: a full disk may refuse that line too.
        why = " ".join(str(error).split()) or type(error).__name__
        with contextlib.suppress(JournalError, OSError):
            _pause(run, why)
        raise


def _pause(run: Run, why: str) -> None:
    request.settle(run)
    run.record(Paused(why=why))
    submission.write_reports(run)
