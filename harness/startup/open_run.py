"""Open a run and play it: a new one from a request, or one that was stopped or crashed from its folder."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

from context.recall.index import Recall
from context.window import use_prompts
from harness import attempt, budget, compact, errors, leasing, loop, request
from harness.config import notify_addresses
from harness.evaluation import fold_plan, leak_checks, submission
from harness.interrupt import Stopping, StopRequested
from harness.live_control import taking_requests
from harness.notify.screen import notifying
from harness.request_slots import SharedSlots
from harness.run import Lane, Run, Screen
from harness.settings import Settings
from harness.startup import environment, lessons, sandbox_setup
from harness.startup.create_run import RunRequest, create
from harness.startup.network_home import folder_for_sqlite
from harness.startup.open_endpoint import Endpoints, change_endpoint, open_model_of
from harness.tools.registry import specs, tools_bytes
from harness.ui.long_steps import announcing_long_steps
from runs.events.registry import (
    EndpointChanged,
    EndpointProbed,
    Event,
    LanesChanged,
    Paused,
    Resumed,
    RunCreated,
    TaskDescribed,
    ThresholdsKnown,
    Warned,
)
from runs.journal import EVENTS, Journal, JournalError, read_events
from runs.state import State, changed, fold
from runs.versions.commits import Versions
from sandboxes.isolation import describe_sandbox
from sandboxes.leases.leases import Leases
from sandboxes.select import open_sandbox
from tasks.catalog import find_task
from tasks.data_overview import overview_of
from tasks.holdout.blend import Blend, load_blend, make_blend
from tasks.progress import report
from tasks.prompt_card import data_files, render_card
from tasks.subprocesses import ChildFailed
from tasks.task import Task, load_task

SHARED_GPUS = (
    "\n- Other attempts of this run use the same GPUs at the same time: keep to a part of their memory. Evaluations "
    "take turns on them."
)


def start(request: RunRequest, process: Settings, screen: Screen) -> int:
    """Create a run and play it; returns the exit code. Raises the errors of what cannot be started."""
    with announcing_long_steps(screen.say):
        folder = create(request, process)
    return _play(folder, process, screen)


@dataclass(frozen=True)
class ResumeRequest:
    """What changes with a resume: how many lanes play, the address of the endpoint, the model's name there."""

    parallel: int | None = None
    base_url: str = ""
    model: str = ""


def resume(folder: Path, process: Settings, screen: Screen, request: ResumeRequest | None = None) -> int:
    """Continue a run where its journal ends; returns the exit code."""
    return _play(folder, process, screen, request or ResumeRequest())


def resume_or_start(request: RunRequest, process: Settings, screen: Screen) -> int:
    """Create the run with the id of the request, or continue it; nothing to do if it has ended. Returns the exit code.

    Of several processes that call this at once, one plays the run, and the others raise `JournalBusy`.
    """
    if not re.fullmatch(r"\w[\w.-]{0,149}", request.run_id, re.ASCII):
        errors.fail(f"--resume-or-start {request.run_id}: write an id of letters, digits and . _ -, at most 150")
    folder = process.runs / request.run_id
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.creating")) as lock:
        if not (folder / EVENTS).is_file():
            create(request, process)
            Path(lock.lock_file).unlink(missing_ok=True)  # whoever waits for it finds the run
    state = fold(read_events(folder))
    task, seed = find_task(request.task, process.home), request.flags.get("seed")
    created = state.created
    if created is None or task.id != created.task_id or seed not in (None, created.settings.seed):
        errors.fail(f"{folder.name} is a run of another task or seed: give this one another id")
    return errors.DONE if state.ended else _play(folder, process, screen)


def _play(folder: Path, process: Settings, screen: Screen, request: ResumeRequest | None = None) -> int:
    request = request or ResumeRequest()
    sandbox_setup.check_git()
    with Journal.open(folder) as journal, ExitStack() as leases:
        # By the run's own id, under its lock: a folder can be moved or linked to.
        run_id = getattr(journal.past[0], "run_id", folder.name)
        if any((process.grades / f"{run_id}{kind}").exists() for kind in (".json", ".kaggle.json")):
            errors.fail(f"{run_id} has been graded against the private answers and can no longer be resumed.")
        with announcing_long_steps(screen.say):
            report(f"reading {len(journal.past):,} events")
            state = fold(journal.past)
        assert state.created is not None
        command = state.created.settings.on_event
        screen = leases.enter_context(notifying(screen, command, notify_addresses(process), folder))
        with announcing_long_steps(screen.say):
            run, change = _open(journal, state, process, screen, leases, request)
        if run.state.ended:
            submission.write_reports(run)
            errors.fail(f"{folder.name} has ended ({run.state.ended}); there is nothing left to resume.")
        try:
            with run.stopping.watching(), _recording_pauses(run):
                with announcing_long_steps(screen.say):
                    _begin(run, process, request.parallel, change)
                with taking_requests(run):
                    loop.play(run, lambda: lessons.learn(run, process.home))
        finally:
            for lane in run.lanes:
                lane.lease.close()
                lane.sandbox.close()
        return _exit_code(run)


def _exit_code(run: Run) -> int:
    if run.state.ended == "unusable_replies" or (run.state.ended and budget.is_without_calls(run.state)):
        return errors.ENDPOINT
    return errors.DONE if run.state.ended else errors.STOPPED


def _open(
    journal: Journal, state: State, process: Settings, screen: Screen, leases: ExitStack, request: ResumeRequest
) -> tuple[Run, EndpointChanged | None]:
    """Open the parts that act on a run in this `state`; `leases` returns what the run leases.

    The second value is the change of the endpoint that was asked for, to be recorded.
    """
    past, journal.past = journal.past, []
    folder, created = journal.folder, state.created
    assert created is not None
    _use_playbook(created)
    blend = _load_blend(created, process.home)
    gpus = leases.enter_context(sandbox_setup.leased_gpus(created.settings.gpus, process.home))
    run = Run(
        folder=folder,
        journal=journal,
        state=state,
        recall=Recall(folder, leases.enter_context(folder_for_sqlite(folder))),
        blend=blend,
        versions=Versions(folder / "repo.git"),
        screen=screen,
        stopping=Stopping(created.settings.stop_seconds),
        tools=tools_bytes(),
        leases=Leases(process.home),
        endpoints=Endpoints(process),
        gpus=gpus.gpus if gpus else (),
        shared_slots=SharedSlots(process.home),
    )
    change = None
    if (request.base_url or request.model) and not run.state.ended:
        change = change_endpoint(created, request.base_url, request.model, process)
        created = changed(created, change)
    parallel = request.parallel or run.lane_limit + run.lanes_refused  # those may come back
    environment.restore(created, process.home)
    _open_lanes(run, created, past, process, parallel)
    leasing.rejoin(run)
    return run, change


def _use_playbook(created: RunCreated) -> None:
    """Read prompts as they were when the run began."""
    use_prompts(created.prompts)
    specs.cache_clear()
    tools_bytes.cache_clear()


def _open_lanes(run: Run, created: RunCreated, past: Sequence[Event], process: Settings, parallel: int) -> None:
    """Open as many lanes as may play, and those with an open attempt, which they play to its end."""
    open_attempts = {number for number, lane in run.state.lanes.items() if lane.attempt}
    numbers = sorted({*range(parallel), *open_attempts})
    for number in numbers:
        paths = sandbox_setup.sandbox_paths(run.folder, created, run.blend, process.home)
        memory = run.leases.machine.memory
        paths = sandbox_setup.for_lane(paths, number, numbers.index(number), len(numbers), run.gpus, memory)
        paths.workspace.mkdir(parents=True, exist_ok=True)
        lane = Lane(run, number, open_model_of(created, process), open_sandbox(created.sandbox, paths))
        for event in past:
            lane.apply(event)
        run.lanes.append(lane)


def _load_blend(created: RunCreated, home: Path) -> Blend:
    """The run's data with its held-out labels; made again from the task where somebody removed it."""
    folder = home / created.blend
    if (folder / "custody").is_dir():
        return load_blend(folder)
    task = load_task(Path(created.task_path))
    if task.digest != created.task_digest:
        errors.fail(f"{created.task_path} has changed since {created.run_id} began; restore it, or start a new run.")
    return make_blend(task, created.settings.seed, folder)


def _begin(run: Run, process: Settings, parallel: int | None, change: EndpointChanged | None) -> None:
    """Record what turns need: the task of a new run, the resumption of an old one."""
    report("preparing the first attempt")
    run.screen.show(run.state, run.created)
    if run.state.events > 1:
        _record_resume(run, parallel, change)
    if not run.state.card:
        _describe_task(run)
    if run.state.lessons is None and not run.state.attempts:
        lessons.choose(run, process.home)
    if run.state.chosen is None:
        submission.begin_with_sample(run, Path(run.created.sample))
    submission.restore_submission(run)


def _describe_task(run: Run) -> None:
    task = load_task(Path(run.created.task_path))
    _record_probe(run)
    for warning in [*(Warned(message=note) for note in run.blend.notes), *environment.notes(run.sandbox)]:
        run.record(warning)
    if task.thresholds:
        run.record(ThresholdsKnown(**asdict(task.thresholds)))
    report("describing the data")
    card = render_card(task, run.blend.public).rstrip("\n") + "\n"
    overview = _data_overview(run, task)
    card += f"\n{overview}\n" if overview else ""
    card += describe_sandbox(run.sandbox, run.settings.workspace_bytes, run.leases.machine).rstrip("\n")
    card += SHARED_GPUS if leasing.shares_gpus(run) else ""
    report("looking for leaks in the task")
    card += leak_checks.notes_on_task(run, task) + "\n"
    # Last, since this event says that all of the above was done.
    run.record(TaskDescribed(card=card, data_files=data_files(run.blend.public)))


def _data_overview(run: Run, task: Task) -> str:
    """The overview of the data; a run is played without one where it cannot be made."""
    try:
        return overview_of(task, run.blend).strip()
    except ChildFailed as error:
        run.record(Warned(message=f"the window has no data overview: {str(error).strip().splitlines()[-1][:300]}"))
        return ""


def _record_probe(run: Run) -> None:
    from harness.endpoint.probe_result import parse_probe, probe_lines

    probe = parse_probe(run.created.probe)
    if probe is None or run.state.is_probed:
        return
    # An older probe was paid by another run.
    calls, cost = (probe.calls, probe.cost) if run.created.probe_is_new else (0, 0.0)
    run.record(EndpointProbed(when=probe.when, findings=probe_lines(probe), calls=calls, cost=cost))
    if probe.loses_thinking:
        run.record(Warned(message=f"{probe.address} drops earlier reasoning; --accept-lost-thinking was given"))


def _record_resume(run: Run, parallel: int | None, change: EndpointChanged | None) -> None:
    when = budget.deadline(run.settings, run.active_seconds())
    run.record(
        Resumed(
            harness_version=version("open-harness"),
            torn=run.journal.torn is not None,
            deadline=when.isoformat(timespec="seconds") if when else None,
        )
    )
    if run.state.control.extended or run.state.control.forked:
        fold_plan.plan_again(run)
    for warning in environment.changes(run.created, run.sandbox):
        run.record(warning)
    if change:
        run.record(change)
    if parallel and parallel != run.lane_limit:
        run.record(LanesChanged(parallel=parallel, why=f"resumed with --parallel {parallel}"))
    for lane in run.lanes:
        request.settle(lane)
        if lane.window.breaches:
            lane.record(Warned(message=f"{lane.window.breaches} requests are rebuilt differently from what was sent"))
        if lane.state.epoch is not None:
            attempt.open_epoch(lane, "resume", keeps_tail=True)
            if lane.state.has_refused_window and not lane.state.pending:
                compact.after_refusal(lane)


@contextmanager
def _recording_pauses(run: Run) -> Iterator[None]:
    """Record why a run stopped before its end, and how to resume it."""
    try:
        yield
    except StopRequested as stop:
        run.stopping.calm()
        _pause(run, f"stopped by {stop}")
    except JournalError:
        raise
    except Exception as error:
        run.stopping.calm()
        # The reason matters more than the event about it: a full disk may refuse that as well.
        why = " ".join(str(error).split()) or type(error).__name__
        with contextlib.suppress(JournalError, OSError):
            _pause(run, why)
        raise


def _pause(run: Run, why: str) -> None:
    for lane in run.lanes:
        request.settle(lane)
    run.record(Paused(why=why))
    submission.write_reports(run)
