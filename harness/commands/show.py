"""`harness runs`, `show` and `tasks`: what there is to read, and which run a name means."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import errors
from harness.settings import Settings
from harness.ui.format import printable, table

if TYPE_CHECKING:
    from tasks.metrics.medals import Thresholds

EVENTS = "events.jsonl"


# ---------------------------------------------------------------------------------------------------- finding a run


def run_folders(settings: Settings) -> list[Path]:
    """Every run's folder, oldest first. Drafts that a crash left behind begin with a dot and are none."""
    try:
        names = sorted(entry.name for entry in os.scandir(settings.runs) if entry.is_dir())
    except FileNotFoundError:
        return []
    return [settings.runs / name for name in names if not name.startswith(".")]


def find_run(name: str, settings: Settings) -> Path:
    """The folder of the run that a name means: an id, a part of only one, a folder, or `last`.

    Raises `UsageError`, listing what was meant where more than one was.
    """
    folders = run_folders(settings)
    if name == "last":
        folders = [folder for folder in folders if (folder / EVENTS).is_file()]
        if not folders:
            errors.fail(f"there is no run yet in {settings.runs}. Start one: harness run digits")
        return folders[-1]
    path = Path(name).expanduser()
    if (path / EVENTS).is_file():
        return path.resolve()
    names = {folder.name for folder in folders}
    if name in names:
        return settings.runs / name
    found = sorted(one for one in names if name in one) if name else []
    found = [one for one in found if one.startswith(name)] or found
    if not found:
        errors.fail(f"no run is called {name!r} in {settings.runs}: `harness runs` lists them")
    if len(found) > 1:
        errors.fail(f"{name!r} names {len(found)} runs: write more of the id, such as one of {', '.join(found[-5:])}")
    return settings.runs / found[0]


def is_driven(folder: Path) -> bool:
    """Whether some process is playing the run at this moment."""
    from filelock import FileLock, Timeout

    path = folder / "lock"
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # another's run, which we may not lock
        return False


# ---------------------------------------------------------------------------------------------------------- the list


_MEDALS = ("gold", "silver", "bronze", "median")
HEAD = ("run", "task", "model", "state", "attempts", "score (held-out)", "would bring (estimate)", "spend", "")


def show_runs(settings: Settings) -> int:
    """List every run, oldest first. A folder that cannot be read is listed with the reason."""
    folders = run_folders(settings)
    if not folders:
        print(f"No runs yet in {settings.runs}. Start one: harness run digits")
        return errors.DONE
    print(table([HEAD, *(row_of(folder, settings) for folder in folders)]))
    return errors.DONE


def row_of(folder: Path, settings: Settings) -> tuple[str, ...]:
    """One run's row, from its summary where that is as new as its journal, else from the journal itself."""
    from runs.journal import JournalError, read_events
    from runs.state import fold
    from runs.views.summary import summary

    try:
        return _row(folder, _fresh_summary(folder) or {}, settings)
    except (AttributeError, KeyError, TypeError, ValueError):
        pass  # there is none, or none that can be understood: the journal knows all of it
    try:
        return _row(folder, summary(fold(read_events(folder))), settings)
    except (JournalError, OSError) as error:
        return _broken(folder, str(error))
    except KeyError:
        return _broken(folder, "its journal is empty")


def _fresh_summary(folder: Path) -> dict[str, Any] | None:
    from runs.views.summary import read_summary

    try:
        is_fresh = (folder / "summary.json").stat().st_mtime_ns >= (folder / EVENTS).stat().st_mtime_ns
    except OSError:
        return None
    return read_summary(folder) if is_fresh else None


def _row(folder: Path, fields: dict[str, Any], settings: Settings) -> tuple[str, ...]:
    from runs.views.format import DEMO_MODEL, LABELS_UNPROTECTED, money_text, score_text

    where = fields["status"].split(":")[0] if fields["status"].startswith("paused") else fields["status"]
    if not where.startswith("ended"):
        where = "running" if is_driven(folder) else "stopped" if where == "open" else where
    if (settings.grades / f"{fields['id']}.json").exists():
        where += ", graded"
    return (
        folder.name,
        fields["task"],
        DEMO_MODEL if fields["is_demo"] else fields["model"],
        where,
        str(fields["attempts"]),
        score_text(fields.get("score", fields["best_score"]), fields.get("noise", fields.get("best_noise"))),
        fields["medal_estimate"] or "-",
        money_text(fields["cost"], fields["is_cost_estimated"]),
        "" if fields["protects_labels"] else LABELS_UNPROTECTED,
    )


def _broken(folder: Path, why: str) -> tuple[str, ...]:
    # The reason stands last, so that its length does not push the columns of the other rows apart.
    return (folder.name, "", "", "broken", "", "", "", "", " ".join(printable(why).split()))


# ---------------------------------------------------------------------------------------------------------- one run


def show_run(name: str, settings: Settings, attempt: int | None = None, is_full: bool = False) -> int:
    """Print what happened in a run, or in one attempt of it."""
    folder = find_run(name, settings)
    from runs.events.registry import AttemptStarted
    from runs.journal import read_events
    from runs.views.transcript import transcript

    if attempt is not None:
        played = sum(isinstance(event, AttemptStarted) for event in read_events(folder))
        if attempt > played:
            errors.fail(f"{folder.name} has {played} attempts; there is no attempt {attempt}")
    for text in transcript(read_events(folder), attempt=attempt, full=is_full):
        sys.stdout.write(printable(text))
    return errors.DONE


# ------------------------------------------------------------------------------------------------------------- tasks


def show_tasks(settings: Settings) -> int:
    """List the tasks known by name."""
    from tasks.catalog import list_tasks

    rows = [("task", "metric", "better", "train rows", "test rows", *_MEDALS, "title")]
    for row in list_tasks(settings.home):
        counts = (_count(row.train_rows), _count(row.test_rows))
        rows.append((row.name, row.metric, row.direction, *counts, *_lines(row.thresholds), row.title))
    print(table(rows, right=range(3, 9)))
    print(
        "\nOne of them: harness tasks NAME. Play it: harness run NAME. A task of your own: a folder with a task.yaml. "
        "The competitions of MLE-bench: harness tasks --split low."
    )
    return errors.DONE


def show_competitions(split: str, settings: Settings) -> int:
    """List the competitions of a part of MLE-bench: thresholds, how far they are confirmed, and what is wrong."""
    from tasks.catalog import list_competitions

    found = list_competitions(split, settings.home)
    rows = [("competition", "split", "category", "metric", "better", *_MEDALS, "confirmed", "ready", "")]
    for row, one in found:
        known = ", ".join(sorted({note.kind for note in one.notes if note.kind != "quirk"}))
        facts = (row.name, row.split or "", row.category or "", " ".join(row.metric.split("(")[0].split()))
        ready = "yes" if row.prepared else "no" if one.is_native else "no, needs mlebench"
        rows.append((*facts, row.direction, *_lines(row.thresholds), one.confirmed, ready, known))
    print(table(rows, right=range(5, 9)))
    print(
        f"\n{len(found)} competitions. `confirmed`: how far independent sources agree with the one table of thresholds."
        "\nDefects, leaks and where the numbers come from: harness tasks NAME. Make its data: harness prepare NAME."
    )
    return errors.DONE


def _show_unprepared(name: str, settings: Settings) -> int:
    from tasks.mlebench.facts import with_notes

    one = with_notes(name)
    gold, silver, bronze, median = _lines(one.thresholds)
    facts = [
        ("title", one.title),
        ("split", f"{one.split}{f', {one.category}' if one.category else ''}"),
        ("metric", f"{one.metric}, {'lower' if one.lower_is_better else 'higher'} is better"),
        ("medals", f"gold {gold}, silver {silver}, bronze {bronze}, median {median}"),
        *_provenance(name),
        ("data", f"not prepared{f', {one.size_gb:g} GB' if one.size_gb else ''}: harness prepare {name}"),
        ("graded", "here, by the official rule" if one.is_native else "by the official package mlebench only"),
    ]
    print(f"{name}\n" + "\n".join(f"  {key:<11}{value}" for key, value in facts))
    return errors.DONE


def _provenance(name: str) -> list[tuple[str, str]]:
    """Where a competition's thresholds come from, and what is known to be wrong with it."""
    from tasks.mlebench.facts import told, with_notes

    one = with_notes(name)
    sources = {"full": "all four confirmed by", "partial": "partly confirmed by", "none": "rest on one table only"}
    by = f" {'; '.join(one.confirmed_by)}" if one.confirmed_by else ""
    return [("thresholds", sources[one.confirmed] + by), *(("note", line) for line in told(one.notes))]


def show_task(name: str, settings: Settings) -> int:
    """Show one task: what is asked, how it is judged, where it lies. Prepares an example that was never used."""
    from tasks.catalog import find_task, task_row
    from tasks.mlebench.prepare import is_prepared, known

    if known(name) and not is_prepared(name, settings.home):
        return _show_unprepared(name, settings)
    task = find_task(name, settings.home)
    row = task_row(task)
    gold, silver, bronze, median = _lines(task.thresholds)
    board = f", from a leaderboard of {task.thresholds.rows}" if task.thresholds and task.thresholds.rows else ""
    lines = f"gold {gold}, silver {silver}, bronze {bronze}, median {median}{board}"
    facts = [
        ("title", task.title),
        ("metric", f"{row.metric}, {row.direction} is better"),
        ("rows", f"{_count(row.train_rows)} to train on, {_count(row.test_rows)} to predict"),
        ("medals", lines if task.thresholds else "no thresholds: no medal can be told"),
        ("submission", f"{task.submission.id}, {', '.join(task.submission.targets)} (as {task.submission.sample})"),
        ("held out", "labelled rows, by the harness" if task.labels else "nothing: no labels are named"),
        ("answers", "private answers are there" if task.answers else "none: it cannot be graded"),
        ("file", str(task.path)),
        *(_provenance(task.competition) if task.competition else ()),
    ]
    print(f"{task.id}\n" + "\n".join(f"  {key:<11}{value}" for key, value in facts))
    print(f"\n{printable(task.description).strip()}")
    return errors.DONE


def _lines(lines: Thresholds | None) -> tuple[str, str, str, str]:
    if lines is None:
        return ("-", "-", "-", "-")
    return (f"{lines.gold:.5g}", f"{lines.silver:.5g}", f"{lines.bronze:.5g}", f"{lines.median:.5g}")


def _count(rows: int | None) -> str:
    return "?" if rows is None else f"{rows}"
