"""What a run takes from earlier runs when it starts, and leaves to later ones when it ends.

Neither may stop a run: a ledger that is locked or damaged is a warning, and `harness lessons learn RUN` records the run
later, from its journal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from context.ledger import render
from context.ledger.database import NAME, LedgerError
from context.ledger.from_run import forbidden_words, record_of
from context.ledger.knowledge import VERSION, add_knowledge
from context.ledger.ledger import Ledger
from context.ledger.types import Learned
from context.ledger.vocabulary import NAME as VOCABULARY
from context.ledger.vocabulary import load_vocabulary
from harness import errors
from harness.run import Run
from harness.search.compare import compare_with_origins
from runs.events.registry import LessonsChosen, LessonsLearned, RunCreated, Warned
from runs.files import sha256_hex
from runs.journal import read_events
from runs.state import State, fold
from runs.versions.commits import Versions
from tasks.data_overview import facts_of
from tasks.modality import column_names, label_values, modality_of
from tasks.subprocesses import ChildFailed
from tasks.task import Task, load_task

FORKED = "a fork writes no lessons: what it was copied from would count twice"


def uses_ledger(created: RunCreated, task: Task | None = None) -> bool:
    """Whether a run reads and writes a ledger.

    The demo model is no LLM, and results on benchmark competitions must not depend on earlier runs: both use a ledger
    only where `--ledger` or `ledger_snapshot` names one.
    """
    settings = created.settings
    is_named = bool(settings.ledger or settings.ledger_snapshot)
    return not settings.no_ledger and (is_named or not is_apart(created.is_demo, task))


def is_apart(is_demo: bool, task: Task | None) -> bool:
    """Whether a run uses a ledger only where one is named."""
    return is_demo or bool(task and task.competition)


def is_held_out(created: RunCreated, family: str) -> bool:
    """Whether runs of a family read lessons and write none."""
    named = {name.strip() for name in created.settings.held_out_families.split(",")}
    return bool(named & {family, family.split("/")[0]})


def ledger_path(created: RunCreated, home: Path) -> Path:
    """The file of a run's ledger."""
    return Path(created.settings.ledger) if created.settings.ledger else home / NAME


def choose(run: Run, home: Path) -> None:
    """Choose the lessons of a run and record them, whatever there is to show."""
    task = load_task(Path(run.created.task_path))
    modality = modality_of(task, run.blend.public)
    family = f"{modality or 'unknown'}/{run.created.metric}"
    chosen = LessonsChosen(modality=modality, family=family, facts=_facts(run, task))
    if not modality:
        run.record(chosen.model_copy(update={"note": "the modality of the data is not known, so no lesson fits"}))
        return
    with ExitStack() as stack:
        ledger = None
        try:
            ledger = stack.enter_context(_ledger(run.created, task, home))
            run.record(select_lessons(run.created, ledger, chosen, uses_ledger(run.created, task)))
        except LedgerError as error:
            run.record(Warned(message=f"no lessons of earlier runs: {error}"))
            run.record(chosen.model_copy(update={"note": "the ledger cannot be used"}))


def _facts(run: Run, task: Task) -> list[str]:
    """What lessons may ask for. Where the data cannot be read, lessons that ask for something are not shown."""
    try:
        return facts_of(task, run.blend)
    except ChildFailed:
        return []


@contextmanager
def _ledger(created: RunCreated, task: Task, home: Path) -> Iterator[Ledger]:
    """The run's ledger, or an empty one that lasts as long as this block."""
    if created.settings.ledger_snapshot and uses_ledger(created, task):
        with Ledger(Path(created.settings.ledger_snapshot), read_only=True) as snapshot:
            yield snapshot
        return
    ledger = Ledger(ledger_path(created, home)) if uses_ledger(created, task) else Ledger.in_memory()
    with ledger:
        if not created.settings.no_knowledge:
            add_knowledge(ledger)
        yield ledger


def select_lessons(created: RunCreated, ledger: Ledger, chosen: LessonsChosen, has_ledger: bool) -> LessonsChosen:
    """What a run is shown of a ledger. `has_ledger`: the run also writes to it."""
    has_knowledge = not created.settings.no_knowledge
    found = ledger.select(
        created.run_id,
        chosen.modality,
        chosen.family,
        fits=render.fits(chosen.modality),
        facts=chosen.facts,
        task=created.task_digest,
        # Where nothing is written, nothing is learned from what is withheld.
        withholds=has_ledger and not is_held_out(created, chosen.family),
        without_pack=not has_knowledge,
        without_family=bool(created.settings.ledger_snapshot),
    )
    text = render.render_lessons(found, chosen.modality)
    more = [render.render_choice(choice) for choice in found.more]
    return chosen.model_copy(
        update={
            "text": text,
            "more": more,
            "shown": [choice.lesson.key for choice in found.shown],
            "withheld": [choice.lesson.key for choice in found.withheld],
            "sources": [*(["ledger"] if has_ledger else []), *(["knowledge"] if has_knowledge else [])],
            "knowledge": VERSION if has_knowledge else "",
            "snapshot": sha256_hex("\n".join([text, *more]).encode()),
            "note": "" if text else "no lesson fits yet" if has_ledger or has_knowledge else "lessons are switched off",
        }
    )


def learn(run: Run, home: Path) -> None:
    """Write what the run showed to its ledger. A resumed run that did it before does it again without effect."""
    task = load_task(Path(run.created.task_path))
    if run.state.learned is not None or not uses_ledger(run.created, task):
        return
    compare_with_origins(run)  # also for whoever records the run from its folder
    if run.settings.ledger_snapshot:
        return
    if run.state.control.forked:
        run.record(LessonsLearned(problem=FORKED))
        return
    if run.state.lessons and is_held_out(run.created, run.state.lessons.family):
        run.record(LessonsLearned(problem=f"the family {run.state.lessons.family} is held out"))
        return
    try:
        path = ledger_path(run.created, home)
        learned, count = learn_from(run.state, run.versions, path, task, run.blend.public, home, run.folder)
    except (LedgerError, OSError) as error:
        later = f"Record it later: harness lessons learn {run.created.run_id}"
        run.record(Warned(message=f"the ledger learned nothing from this run: {error}. {later}"))
        run.record(LessonsLearned(problem=str(error)))
        return
    run.record(
        LessonsLearned(
            evidence=count, added=list(learned.added), retired=list(learned.retired), refused=list(learned.refused)
        )
    )


def learn_folder(folder: Path, home: Path, ledger: str = "") -> tuple[Learned, int]:
    """Record an ended run from its folder. Raises `LedgerError`, `UsageError`, and what an unreadable run raises."""
    state = fold(read_events(folder))
    created = state.created
    if created is None or not state.ended or state.lessons is None:
        errors.fail(f"{folder.name} has not ended, or an older version played it: there is nothing to learn from it")
    if state.control.forked:
        errors.fail(f"{folder.name}: {FORKED}")
    if is_held_out(created, state.lessons.family):
        errors.fail(f"{folder.name}: the family {state.lessons.family} is held out; its runs write no lessons")
    task = load_task(Path(created.task_path))
    path = Path(ledger).expanduser() if ledger else ledger_path(created, home)
    return learn_from(state, Versions(folder / "repo.git"), path, task, home / created.blend / "public", home, folder)


def learn_from(
    state: State, versions: Versions, path: Path, task: Task, public: Path, home: Path, folder: Path
) -> tuple[Learned, int]:
    """Record a run in a ledger; returns what changed and the number of actions with evidence. Raises `LedgerError`."""
    record = record_of(state, versions.diff, load_vocabulary(home / VOCABULARY), last_lines(folder))
    with Ledger(path) as ledger:
        return ledger.record(record, forbidden_words(_terms(task, public))), len(record.evidence)


def last_lines(folder: Path) -> Callable[[str], str]:
    """What the jobs of a run printed last: where a program fails, the error."""

    def read(job: str) -> str:
        try:
            with (folder / "jobs" / job / "log").open("rb") as log:
                log.seek(max(0, log.seek(0, 2) - 2_000))
                lines = log.read().decode("utf-8", "replace").strip().splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-2:])

    return read


def _terms(task: Task, public: Path) -> Iterator[str]:
    """Names of the task and its data: title, files, columns, labels."""
    for name in (task.id, task.title, task.competition, *(path.name for path in public.iterdir())):
        yield name
        yield from re.split(r"[\W_]+", name)
    yield from column_names(public)
    yield from label_values(task)
