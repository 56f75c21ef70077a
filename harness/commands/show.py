"""`harness runs`, `show` and `tasks`: lists of runs and tasks, one run, one task, and finding a run by name."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import errors
from harness.settings import Settings
from harness.ui.table import table
from runs.views.format import printable

if TYPE_CHECKING:
    from tasks.metrics.medals import Thresholds
    from tasks.metrics.registry import Metric

EVENTS = "events.jsonl"
SECOND = len("20260801-120000")
"""Run ids begin with the second in which the run was created."""


# ---------------------------------------------------------------------------------------------------- finding a run


def _creation_order(journal: Path) -> str:
    """The time in event 0, by which runs of the same second are ordered; empty if it cannot be read."""
    with journal.open("rb") as file:
        match = re.search(rb'"at":"([^"]*)"', file.readline())
    return match[1].decode() if match else ""


def run_folders(settings: Settings) -> list[Path]:
    """All run folders, oldest first. Names with a leading dot are unfinished drafts and left out."""
    try:
        names = sorted(entry.name for entry in os.scandir(settings.runs) if entry.is_dir())
    except FileNotFoundError:
        return []
    return [settings.runs / name for name in names if not name.startswith(".")]


def find_run(name: str, settings: Settings) -> Path:
    """The folder of the run that `name` refers to: an id, a unique part of one, a folder, or `last`.

    Raises `UsageError` if no run or several match, with the candidates.
    """
    folders = run_folders(settings)
    if name == "last":
        folders = [folder for folder in folders if (folder / EVENTS).is_file()]
        if not folders:
            errors.fail(f"there is no run yet in {settings.runs}. Start one: harness run digits")
        newest = [folder for folder in folders if folder.name[:SECOND] == folders[-1].name[:SECOND]]
        return max(newest, key=lambda folder: _creation_order(folder / EVENTS))
    path = Path(name).expanduser()
    if (path / EVENTS).is_file():
        return path.resolve()
    names = {folder.name for folder in folders}
    if name in names:
        return settings.runs / name
    matches = sorted(run_id for run_id in names if name in run_id) if name else []
    matches = [run_id for run_id in matches if run_id.startswith(name)] or matches
    if not matches:
        errors.fail(f"no run is called {name!r} in {settings.runs}. `harness runs` lists the runs")
    if len(matches) > 1:
        errors.fail(f"{name!r} matches {len(matches)} runs: {', '.join(matches[-5:])}. Write more of the id")
    return settings.runs / matches[0]


# ---------------------------------------------------------------------------------------------------------- the list


_MEDAL_COLUMNS = ("gold", "silver", "bronze", "median")
HEADER = (
    *("run", "task", "model", "state", "active", "attempts", "score (held-out)", "medal (estimate)", "spend", ""),
)


def show_runs(settings: Settings, task: str = "", sort: str = "started", as_json: bool = False) -> int:
    """List all runs (of one task), the first by `sort` first; JSON Lines with `as_json`.

    Scores are sorted by task, the best last. An unreadable folder is listed with the reason, before all others.
    """
    rows = [(facts, row) for facts, row in (row_of(folder, settings) for folder in run_folders(settings))]
    rows = [(facts, row) for facts, row in rows if not task or facts.get("task") == task]
    rows.sort(key=lambda pair: _sort_key(pair[0], sort))
    if as_json:
        for facts, row in rows:
            print(json.dumps({"id": row[0], "state": row[3], **facts} | ({} if facts else {"problem": row[-1]})))
    elif rows:
        print(table([HEADER, *(row for _, row in rows)]))
    else:
        which = f" of {task}" if task else ""
        print(f"No runs{which} yet in {settings.runs}. Start one: harness run {task or 'digits'}")
    return errors.DONE


def _sort_key(facts: dict[str, Any], sort: str) -> tuple[Any, ...]:
    if not facts:
        return (0,)
    if sort == "score":
        score = facts.get("score")
        sign = -1 if facts["lower_is_better"] else 1
        return (1, facts["task"], score is not None, sign * (score or 0.0))
    return (1, facts[{"active": "active_seconds"}.get(sort, sort)], facts["started"])


def row_of(folder: Path, settings: Settings) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The summary and the row of one run, from its summary file if that is as new as its journal, else from the
    journal. Of a run that cannot be read the summary is empty."""
    from runs.journal import JournalError, read_events
    from runs.state import fold
    from runs.views.summary import summary

    try:
        facts = _fresh_summary(folder) or {}
        return facts, _format_row(folder, facts, settings)
    except (AttributeError, KeyError, TypeError, ValueError):
        pass  # no summary, or an unreadable one: the journal has everything
    try:
        facts = summary(fold(read_events(folder)))
        return facts, _format_row(folder, facts, settings)
    except (JournalError, OSError) as error:
        return {}, _broken_row(folder, str(error))
    except KeyError:
        return {}, _broken_row(folder, "the journal is empty")


def _fresh_summary(folder: Path) -> dict[str, Any] | None:
    from runs.views.summary import read_summary

    try:
        is_fresh = (folder / "summary.json").stat().st_mtime_ns >= (folder / EVENTS).stat().st_mtime_ns
    except OSError:
        return None
    return read_summary(folder) if is_fresh else None


def _format_row(folder: Path, fields: dict[str, Any], settings: Settings) -> tuple[str, ...]:
    from runs.journal import is_driven
    from runs.views.format import DEMO_MODEL, LABELS_UNPROTECTED, duration_text, money_text, score_text

    status = fields["status"].split(":")[0] if fields["status"].startswith("paused") else fields["status"]
    if not status.startswith("ended"):
        status = "running" if is_driven(folder) else "stopped" if status == "open" else status
    if (settings.grades / f"{fields['id']}.json").exists():
        status += ", graded"
    notes = [] if fields["protects_labels"] else [LABELS_UNPROTECTED]
    notes += ["steered"] if fields.get("steered") else []
    notes += ["forked"] if fields.get("forked_from") else []
    return (
        folder.name,
        fields["task"],
        DEMO_MODEL if fields["is_demo"] else fields["model"],
        status,
        duration_text(fields["active_seconds"]),
        str(fields["attempts"]),
        score_text(fields.get("score", fields["best_score"]), fields.get("noise", fields.get("best_noise"))),
        fields["medal_estimate"] or "-",
        money_text(fields["cost"], fields["is_cost_estimated"], fields.get("is_cost_known", True)),
        ", ".join(notes),
    )


def _broken_row(folder: Path, why: str) -> tuple[str, ...]:
    # The reason goes last: its length must not widen the columns of the other rows.
    return (folder.name, "", "", "broken", "", "", "", "", "", " ".join(printable(why).split()))


# ---------------------------------------------------------------------------------------------------------- one run


def show_run(name: str, settings: Settings, attempt: int | None = None, is_full: bool = False) -> int:
    """Print the transcript of a run, or of one attempt."""
    folder = find_run(name, settings)
    from runs.events.registry import AttemptStarted
    from runs.journal import read_events
    from runs.views.transcript import transcript

    if attempt is not None:
        count = sum(isinstance(event, AttemptStarted) for event in read_events(folder))
        if attempt > count:
            errors.fail(f"{folder.name} has {count} attempts; there is no attempt {attempt}")
    for text in transcript(read_events(folder), attempt=attempt, full=is_full):
        sys.stdout.write(printable(text))
    return errors.DONE


# ------------------------------------------------------------------------------------------------------------- tasks


def show_tasks(settings: Settings) -> int:
    """List the tasks that can be run by name."""
    from tasks.catalog import list_tasks

    rows: list[tuple[str, ...]] = [("task", "metric", "better", "train rows", "test rows", *_MEDAL_COLUMNS, "title")]
    for row in list_tasks(settings.home):
        counts = (_count(row.train_rows), _count(row.test_rows))
        rows.append((row.name, row.metric, row.direction, *counts, *_format_thresholds(row.thresholds), row.title))
    print(table(rows, right=range(3, 9)))
    print(
        "\nShow one: harness tasks NAME. Run one: harness run NAME. Your own task: a folder with a task.yaml. "
        "MLE-bench competitions: harness tasks --split low."
    )
    return errors.DONE


def show_competitions(split: str, settings: Settings) -> int:
    """List the competitions of an MLE-bench split: thresholds, how well they are confirmed, known defects."""
    from tasks.catalog import list_competitions

    competitions = list_competitions(split, settings.home)
    header = ("competition", "split", "category", "metric", "better", *_MEDAL_COLUMNS, "confirmed", "ready", "")
    rows: list[tuple[str, ...]] = [header]
    for row, facts in competitions:
        known = ", ".join(sorted({note.kind for note in facts.notes if note.kind != "quirk"}))
        names = (row.name, row.split or "", row.category or "", " ".join(row.metric.split("(")[0].split()))
        ready = "yes" if row.prepared else "no" if facts.is_native else "no, needs mlebench"
        rows.append((*names, row.direction, *_format_thresholds(row.thresholds), facts.confirmed, ready, known))
    print(table(rows, right=range(5, 9)))
    print(
        f"\n{len(competitions)} competitions. `confirmed`: the source of the thresholds, or how far others confirm it."
        "\nDefects, leaks and sources: harness tasks NAME. Prepare the data: harness prepare NAME."
    )
    return errors.DONE


def _show_unprepared(name: str, settings: Settings) -> int:
    from tasks.mlebench.facts import with_notes

    competition = with_notes(name)
    size = f", {competition.size_gb:g} GB" if competition.size_gb else ""
    direction = "lower" if competition.lower_is_better else "higher"
    _print_facts(
        name,
        [
            ("title", competition.title),
            ("split", ", ".join(filter(None, (competition.split, competition.category)))),
            ("metric", f"{competition.metric}, {direction} is better"),
            ("medals", _describe_thresholds(competition.thresholds)),
            *_provenance(name),
            ("data", f"not prepared{size}: harness prepare {name}"),
            ("graded", "here, by the official rule" if competition.is_native else "by the official package mlebench"),
        ],
    )
    return errors.DONE


def _provenance(name: str) -> list[tuple[str, str]]:
    """Sources of a competition's thresholds, and its known defects."""
    from tasks.mlebench.facts import format_notes, with_notes

    competition = with_notes(name)
    sources = {
        "leaderboard": "from the official leaderboard file",
        "full": "all four confirmed by",
        "partial": "from one table, partly confirmed by",
        "none": "from one table only",
    }
    has_table = competition.confirmed != "leaderboard"
    by = f" {'; '.join(competition.confirmed_by)}" if has_table and competition.confirmed_by else ""
    notes = [("note", line) for line in format_notes(competition.notes)]
    return [("thresholds", sources[competition.confirmed] + by), *notes]


def _noise_note(metric: Metric) -> str:
    return "" if metric.row_statistics else f"; noise is estimated by {metric.noise_method}"


def show_task(name: str, settings: Settings) -> int:
    """Show one task: description, metric, thresholds, files. Prepares an example if necessary."""
    from tasks.catalog import find_task, task_row
    from tasks.mlebench.prepare import is_competition, is_prepared

    if is_competition(name) and not is_prepared(name, settings.home):
        return _show_unprepared(name, settings)
    task = find_task(name, settings.home)
    row = task_row(task)
    has_board = task.thresholds and task.thresholds.rows
    board = f", from a leaderboard of {task.thresholds.rows}" if task.thresholds and has_board else ""
    medals = f"{_describe_thresholds(task.thresholds)}{board}" if task.thresholds else "no thresholds, so no medals"
    _print_facts(
        task.id,
        [
            ("title", task.title),
            ("metric", f"{row.metric}, {row.direction} is better{_noise_note(task.metric)}"),
            ("rows", f"{_count(row.train_rows)} for training, {_count(row.test_rows)} to predict"),
            ("medals", medals),
            ("submission", f"{task.submission.id}, {', '.join(task.submission.targets)} (as {task.submission.sample})"),
            ("held out", "labelled rows, by the harness" if task.labels else "nothing: the task names no labels"),
            ("answers", "private answers exist" if task.answers else "none, so it cannot be graded"),
            ("file", str(task.path)),
            *(_provenance(task.competition) if task.competition else ()),
        ],
    )
    print(f"\n{printable(task.description).strip()}")
    return errors.DONE


def _print_facts(title: str, facts: Sequence[tuple[str, str]]) -> None:
    print(f"{title}\n" + "\n".join(f"  {key:<11}{value}" for key, value in facts))


def _describe_thresholds(thresholds: Thresholds | None) -> str:
    return ", ".join(map(" ".join, zip(_MEDAL_COLUMNS, _format_thresholds(thresholds), strict=True)))


def _format_thresholds(thresholds: Thresholds | None) -> tuple[str, ...]:
    return tuple("-" if thresholds is None else f"{getattr(thresholds, name):.10g}" for name in _MEDAL_COLUMNS)


def _count(rows: int | None) -> str:
    return "?" if rows is None else f"{rows}"
