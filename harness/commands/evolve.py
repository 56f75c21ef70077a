"""`harness evolve`: try a changed playbook against the current one, and keep it only if it is shown to be better."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from context.playbook.proposals import Draft
from context.playbook.trial import (
    MEASURES,
    PAIRS_FOR_PROOF,
    Result,
    Standing,
    Trial,
    Wanted,
    next_run,
    standing,
)
from context.playbook.versions import (
    SHIPPED,
    Playbook,
    differences,
    keep_playbook,
    load_playbook,
    read_record,
    store_playbook,
)
from harness import errors
from harness.commands.evolve_drafts import ask, drafts, find_draft, from_lessons, show
from harness.commands.evolve_runs import Played, known_scores, play_wanted, ranges_of, typical_cost
from harness.settings import Settings
from harness.ui.table import table
from runs.views.format import one_line, printable

FOLDER = "evolve"
DEFAULT_SPREAD = 0.1
MIN_KNOWN = 4
"""Earlier scores from which spread and floor are taken."""
PlayRun = Callable[[Trial, Wanted, str, Settings], Played]


def evolve(options: argparse.Namespace, settings: Settings, play: PlayRun = play_wanted) -> int:
    """Run one subcommand and return the exit code."""
    if options.what == "run":
        return _run(options, settings, play)
    return _COMMANDS[options.what](options, settings)


def trials(home: Path) -> list[Trial]:
    """All trials, oldest first."""
    found = [read_record(Trial, path) for path in (home / FOLDER).glob("*/trial.json")]
    return sorted(found, key=lambda trial: trial.number)


def results_of(home: Path, name: str) -> list[Result]:
    """The recorded results of a trial. A torn last line, of a crash, is left out: its run is played again."""
    path = home / FOLDER / name / "results.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [read_record(Result, path, line) for line in lines if line]


def _propose(options: argparse.Namespace, settings: Settings) -> int:
    """Fix everything about a trial before its first run."""
    (name,) = _one(options, "propose FOLDER|DRAFT")
    draft = None if Path(name).is_dir() else find_draft(settings.home, name)
    measure = options.measure or (draft.measure if draft else None)
    if measure not in MEASURES:
        errors.fail(f"name the mechanism that should change, with --measure: {', '.join(MEASURES)}")
    if not options.task:
        errors.fail("say on which tasks, with --task NAME=LOW:HIGH (scores that count as 0 and as 1); can be repeated")
    trial, known = _new_trial(options, settings, name, draft, measure)
    path = settings.home / FOLDER / trial.name / "trial.json"
    path.parent.mkdir(parents=True)
    path.write_text(trial.model_dump_json(indent=1) + "\n")
    print(f"trial {trial.name}: {', '.join(trial.changed)} changed; {MEASURES[trial.measure]} should fall")
    origin = f"{known} earlier runs" if known >= MIN_KNOWN else "assumed: too few earlier runs"
    print(f"spread between runs {trial.spread:.3f}, floor {trial.floor:.3f} ({origin})")
    print(_price(trial, settings))
    print(f"Start it: harness evolve run {trial.name} --yes")
    return errors.DONE


def _new_trial(
    options: argparse.Namespace, settings: Settings, name: str, draft: Draft | None, measure: str
) -> tuple[Trial, int]:
    """Store both versions; returns the trial, and the number of earlier runs that its spread and floor come from."""
    old, new = _versions(name, draft, settings.home)
    tasks = ranges_of(options.task)
    store_playbook(settings.home, old)
    store_playbook(settings.home, new)
    scores = known_scores(tasks, old, settings)
    spread, floor = _spread(scores)
    number = len(trials(settings.home)) + 1
    trial = Trial(
        name=f"{number:03d}-{new.name}",
        number=number,
        old=old.name,
        new=new.name,
        changed=differences(old, new),
        why=options.why or (draft.why if draft else ""),
        origin=draft.origin if draft else "person",
        source=draft.source if draft else "",
        measure=measure,
        tasks=tasks,
        spread=spread,
        floor=floor,
        settings=[*(options.assignments or [])],
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return trial, len(scores)


def _versions(name: str, draft: Draft | None, home: Path) -> tuple[Playbook, Playbook]:
    """The version in use and the proposed one, which lies in a folder unless it is a draft."""
    old = load_playbook(home)
    if draft and draft.base != old.name:
        errors.fail(f"draft {draft.version} changes version {draft.base}, and new runs use {old.name}: draft it again")
    new = load_playbook(home, draft.version if draft else f"{Path(name).absolute()}/")
    if not differences(old, new):
        errors.fail(f"{name} changes nothing: its texts and settings are those of version {old.name}")
    return old, new


def _spread(scores: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Standard deviation between runs of a task, and the floor of scores: 1.5 of them below the median."""
    known = [score for one in scores for score in one]
    squares = [(score - sum(one) / len(one)) ** 2 for one in scores if len(one) > 1 for score in one]
    freedom = sum(len(one) - 1 for one in scores if len(one) > 1)
    if len(known) < MIN_KNOWN or not freedom or not sum(squares):
        return DEFAULT_SPREAD, 0.0
    spread = max(0.005, (sum(squares) / freedom) ** 0.5)
    return spread, max(0.0, sorted(known)[len(known) // 2] - 1.5 * spread)


def _price(trial: Trial, settings: Settings) -> str:
    dollars, hours = typical_cost(settings)
    full = 2 * PAIRS_FOR_PROOF
    most = 2 * trial.confirm_pairs
    each = f" at about {hours:.1f} h and ${dollars:.2f} each" if hours else ""
    total = f", together {full * hours:,.0f} h and ${full * dollars:,.0f}" if hours else ""
    return (
        f"cost: up to {2 * trial.mechanism_pairs} short runs of {trial.short_attempts} attempts, then about {full} "
        f"full runs{each}{total} for an effect of half a standard deviation, at most {most}. Fewer runs prove "
        "nothing, and smaller effects stay undecided."
    )


def _run(options: argparse.Namespace, settings: Settings, play: PlayRun) -> int:
    """Play the runs of a trial until it is decided; a stopped one continues where it was."""
    (name,) = _one(options, "run TRIAL")
    trial = _find(settings.home, name)
    results = results_of(settings.home, trial.name)
    if not results and not options.yes:
        print(_price(trial, settings))
        errors.fail(f"this starts these runs: add --yes to harness evolve run {trial.name}")
    left = options.runs or 10**9
    while left > 0 and (wanted := next_run(trial, results)):
        version = trial.old if wanted.arm == "old" else trial.new
        played = play(trial, wanted, version, settings)
        if played.result is None:
            print(f"run {played.run} stopped: continue with harness evolve run {trial.name}")
            return errors.STOPPED
        results.append(played.result)
        _append(settings.home, trial.name, played.result)
        print(_line(trial, standing(trial, results)))
        left -= 1
    return _conclude(trial, standing(trial, results), settings)


def _append(home: Path, name: str, result: Result) -> None:
    """Record a result on disk before anything follows from it."""
    path = home / FOLDER / name / "results.jsonl"
    text = path.read_text() if path.exists() else ""
    with path.open("w" if text and not text.endswith("\n") else "a") as file:
        if text and not text.endswith("\n"):
            file.write(text.rpartition("\n")[0] + ("\n" if "\n" in text else ""))
        file.write(result.model_dump_json() + "\n")
        file.flush()
        os.fsync(file.fileno())


def _conclude(trial: Trial, stands: Standing, settings: Settings) -> int:
    if stands.outcome in ("kept", "harmless"):
        # A result is kept at most once: a later version may have been kept since.
        mark = settings.home / FOLDER / trial.name / "concluded"
        if not mark.exists():
            if load_playbook(settings.home).name == trial.old:
                keep_playbook(settings.home, trial.new)
            else:
                print(f"another version was kept since the trial began: {trial.new} is stored, not used")
            mark.write_text(f"{stands.outcome}\n")
    print(f"{trial.name}: {stands.outcome}. {_explain(trial, stands)}")
    print(f"proposals tried so far: {len(trials(settings.home))}")
    return errors.DONE if stands.outcome != "open" else errors.STOPPED


def _explain(trial: Trial, stands: Standing) -> str:
    return {
        "open": f"Continue with harness evolve run {trial.name}",
        "kept": f"Version {trial.new} is better on full runs; new runs use it",
        "harmless": f"Only its mechanism is shown to be better, without a loss on full runs; new runs use {trial.new}",
        "reverted": f"Not as good as planned; new runs use {trial.old} as before",
        "not decided": f"The runs were used up; new runs use {trial.old} as before",
    }[stands.outcome]


def _line(trial: Trial, stands: Standing) -> str:
    bets = stands.mechanism if stands.stage == "mechanism" else stands.confirm
    return (
        f"{trial.name}: {stands.stage}, {bets.pairs} pairs, wealth {bets.wealth:.2f} of 20, against it "
        f"{bets.mirrored:.2f} of 5"
    )


def _list(_options: argparse.Namespace, settings: Settings) -> int:
    current = load_playbook(settings.home)
    print(f"new runs use version {current.name}")
    rows = [("trial", "changed", "mechanism", "pairs", "full pairs", "outcome")]
    for trial in trials(settings.home):
        stands = standing(trial, results_of(settings.home, trial.name))
        pairs = (str(stands.mechanism.pairs), str(stands.confirm.pairs))
        rows.append((trial.name, ", ".join(trial.changed)[:40], trial.measure, *pairs, stands.outcome))
    print(table(rows, right=(3, 4)) if len(rows) > 1 else "no trials yet: harness evolve propose FOLDER|DRAFT")
    tried = {trial.new for trial in trials(settings.home)}
    for draft in drafts(settings.home):
        if draft.version not in tried and draft.base == current.name:
            print(f"draft {draft.version} by a {draft.origin}: {draft.changed}; {one_line(printable(draft.why), 90)}")
    return errors.DONE


def _ask(options: argparse.Namespace, settings: Settings) -> int:
    tried = [(trial.new, _outcome_line(settings, trial)) for trial in trials(settings.home)]
    return ask(options.assignments or [], settings, tried)


def _outcome_line(settings: Settings, trial: Trial) -> str:
    """One trial for the model: what changed, why, and what came of it."""
    outcome = standing(trial, results_of(settings.home, trial.name)).outcome
    return f"{', '.join(trial.changed)}: {trial.why or 'no reason given'} ({trial.measure}; {outcome})"


def _show(options: argparse.Namespace, settings: Settings) -> int:
    """Print what a draft or a trial changes."""
    (name,) = _one(options, "show DRAFT|TRIAL")
    if draft := find_draft(settings.home, name):
        old, new = draft.base, draft.version
    else:
        trial = _find(settings.home, name)
        old, new = trial.old, trial.new
    show(load_playbook(settings.home, old), load_playbook(settings.home, new))
    return errors.DONE


def _use(options: argparse.Namespace, settings: Settings) -> int:
    """Use a stored version, or the shipped one, for new runs without a trial."""
    (version,) = _one(options, "use VERSION")
    playbook = load_playbook(settings.home, version)
    keep_playbook(settings.home, SHIPPED if version == SHIPPED else playbook.name)
    print(f"new runs use version {playbook.name}: chosen by hand, not by a trial")
    return errors.DONE


def _find(home: Path, name: str) -> Trial:
    found = [trial for trial in trials(home) if trial.name.startswith(name)]
    if len(found) != 1:
        errors.fail(f"{'more than one trial' if found else 'no trial'} {name!r}: `harness evolve` lists them")
    return found[0]


def _one(options: argparse.Namespace, usage: str) -> Sequence[str]:
    if len(options.arguments) != 1:
        errors.fail(f"usage: harness evolve {usage}")
    return list(options.arguments)


_COMMANDS: dict[str, Callable[[argparse.Namespace, Settings], int]] = {
    "list": _list,
    "ask": _ask,
    "lessons": lambda options, settings: from_lessons(settings),
    "show": _show,
    "propose": _propose,
    "use": _use,
}
