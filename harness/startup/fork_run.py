"""Fork a run: start a new one from what another had learned up to an event, with its own budget and perhaps another
model. An attempt that was open there is ended; the next one starts from a commit, as every attempt does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from context.notebook import Notebook
from harness import errors
from harness.config import read_flags
from harness.search.load import COPY, absolute, is_own, load_policy, split
from harness.settings import Settings
from harness.startup import sandbox_setup
from harness.startup.create_run import new_run_id
from harness.startup.disclosure import hardware
from harness.startup.open_endpoint import change_endpoint, change_to_table
from runs.control_state import extended
from runs.events.registry import AttemptEnded, EvaluationFinished, Event, RunCreated, RunForked
from runs.fork import read_until, write_fork
from runs.journal import is_driven, read_events
from runs.run_settings import RunSettings, group_of
from runs.state import State, fold

WHY = "forked"
OWN_GROUPS = ("search", "sampling", "context", "limits", "client", "notify")
"""Groups of settings that a fork may change."""
KEPT = ("seed",)
"""The splits of the data come from it."""
OTHER_WAYS = {
    **{name: f"give --{name}, the fork's own budget" for name in ("hours", "cost", "attempts", "turns")},
    **{name: f"give --{name.replace('_', '-')}" for name in ("parallel", "model", "base_url", "endpoint")},
}


@dataclass(frozen=True)
class ForkRequest:
    """Where to fork a run, and what differs from then on. `at` is the number of an event or the name of an evaluation;
    `limits` holds the fork's own budget (hours, cost, attempts, turns; None: as much as the run began with),
    `assignments` its own settings, `NAME=VALUE` each."""

    at: str
    limits: Mapping[str, Any] = field(default_factory=dict)
    endpoint: str = ""
    base_url: str = ""
    model: str = ""
    assignments: Sequence[str] = ()


def create_fork(source: Path, request: ForkRequest, process: Settings) -> Path:
    """Create the new run and return its folder; the old run stays as it is.

    Raises `UsageError` for a run that is graded or being played, `ModelError`, `SettingsError`, and the errors of an
    unreadable run.
    """
    settings = own_settings(request.assignments)
    sandbox_setup.check_git()
    if is_driven(source):
        errors.fail(f"{source.name} is being played: fork it when it has ended, or stop it first (harness stop --now)")
    last, start_from = _place(source, request.at)
    events = read_until(source, last)
    first = events[0]
    assert isinstance(first, RunCreated)
    if any((process.grades / f"{first.run_id}{kind}").exists() for kind in (".json", ".kaggle.json")):
        errors.fail(f"{first.run_id} has been graded against the private answers, so no run may go on from it")
    run_id, now = new_run_id(first.task_id, first.settings.seed), datetime.now(UTC)
    at = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    changes = {
        "run_id": run_id,
        "at": at,
        "harness_version": version("open-harness"),
        "hardware": hardware(first.settings),
    }
    created = first.model_copy(update=changes)
    state = fold(events)
    forked = _forked(first, state, last, start_from, request).model_copy(update={"settings": settings})
    mono = events[-1].mono
    ends = [end.model_copy(update={"at": events[-1].at, "mono": mono}) for end in _ended_attempts(events, state)]
    own = [
        one.model_copy(update={"at": at, "mono": mono}) for one in (forked, *_changes(state, forked, request, process))
    ]
    events = [created, *events[1:], *ends, *own]
    own_policy = split(settings["search"])[0] if is_own(settings.get("search", "")) else source / COPY
    others = {"task.yaml": source / "task.yaml", COPY: own_policy}
    write_fork(process.runs / run_id, source, events, fold(events), others)
    return process.runs / run_id


def own_settings(assignments: Sequence[str]) -> dict[str, Any]:
    """The settings that a fork may change; those that its earlier scores and files depend on stay.

    Raises `UsageError` for another setting or a search policy that cannot be used, `SettingsError` for a value that
    does not fit.
    """
    values = dict(read_flags({}, assignments).values)
    for name in values:
        if name in OTHER_WAYS:
            errors.fail(f"--set {name}: {OTHER_WAYS[name]}")
        if group_of(name) not in OWN_GROUPS or name in KEPT:
            errors.fail(
                f"--set {name}: a fork keeps it, since what it takes over was made with it. It may change the settings "
                f"of {', '.join(OWN_GROUPS)} in `harness config`"
            )
    if "search" in values:
        load_policy(values["search"])
        values["search"] = absolute(values["search"])
    return values


def _place(source: Path, at: str) -> tuple[int, str]:
    """The event up to which a run is copied, and the evaluation that the first attempt starts from."""
    if at.isascii() and at.isdecimal():
        return int(at), ""
    ends = (event for event in read_events(source) if isinstance(event, EvaluationFinished))
    found = next((event for event in ends if event.evaluation == at), None)
    if found is None:
        errors.fail(f"--at {at}: give the number of an event of {source.name}, or an evaluation that has a result")
    return found.seq, at


def _ended_attempts(events: Sequence[Event], state: State) -> list[Event]:
    """The ends of the attempts that were open, with what the memory keeps of them."""
    ends: list[Event] = []
    for number, lane in sorted(state.lanes.items()):
        if lane.attempt is None:
            continue
        notebook = Notebook()
        for event in events:
            if event.lane == number:
                notebook.apply(event)
        found = state.evaluations_in(lane.attempt.number)
        ends.append(
            AttemptEnded(
                why="stopped",
                killed_jobs=sorted(lane.open_jobs),
                done=[text for taken in notebook.checkpoints for text in taken.done],
                facts=notebook.facts.lines(),
                ideas={one.id: notebook.ideas.get(one.id, "") for one in found},
                lane=number,
                attempt=lane.attempt.number,
            )
        )
    return ends


def _forked(first: RunCreated, state: State, last: int, start_from: str, request: ForkRequest) -> RunForked:
    """The event of the fork. Its limits are what was spent so far and the budget of the fork."""
    spent: dict[str, float] = {
        "hours": state.active_seconds / 3600,
        "cost": state.cost,
        "attempts": len(state.attempts),
        "turns": state.turns,
    }
    limits = {name: _own(first.settings, request, name) for name in spent}
    if request.limits.get("cost") and not state.is_cost_known and not (request.endpoint or request.base_url):
        errors.fail("--cost cannot be enforced: the prices of this run's model are unknown")
    totals = {name: None if own is None else spent[name] + own for name, own in limits.items()}
    return RunForked.model_validate({"origin": first.run_id, "event": last, "start_from": start_from, **totals})


def _own(settings: RunSettings, request: ForkRequest, name: str) -> Any:
    given = request.limits.get(name)
    return getattr(settings, name) if given is None else given


def _changes(state: State, forked: RunForked, request: ForkRequest, process: Settings) -> list[Event]:
    """The change of the endpoint, probed, if one was asked for."""
    assert state.created is not None
    created = extended(state.created, forked)
    if request.endpoint and request.base_url:
        errors.fail("give --endpoint or --base-url, not both")
    if request.endpoint:
        return [change_to_table(created, request.endpoint, request.model, process, WHY)]
    if request.base_url or request.model:
        return [change_endpoint(created, request.base_url, request.model, process, WHY)]
    return []
