"""`harness sweep report`: the benchmark's number over seeds, factors compared, medals over time, how to repeat it."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import errors
from harness.commands.report import REFERENCE_COMPUTE
from harness.settings import Settings
from harness.sweep import reproduce
from harness.sweep.compare import Comparison, Result, compare
from harness.sweep.row_state import Reader, RowState
from harness.sweep.store import Store
from harness.sweep.types import Plan, distinct, levels_of, levels_text
from runs.files import replace_file
from runs.views.format import DEMO_MODEL, LABELS_UNPROTECTED, printable
from tasks.mlebench.aggregate import MEASURES, Report, official_summary
from tasks.mlebench.facts import competitions, with_notes

NO_MEDAL: Report = dict.fromkeys(MEASURES.values(), False)
"""The report of a run that is missing, where it counts as one without a submission."""
COLUMNS = (
    "task",
    "seed",
    "factors",
    "run",
    "state",
    "score",
    "medal",
    "above_median",
    "hours",
    "gpu_hours",
    "cost",
    "tries",
)


def report_sweep(
    store: Store,
    settings: Settings,
    *,
    output: Path | None = None,
    as_json: bool = False,
    pads: bool = False,
    with_curve: bool = True,
) -> int:
    """Grade the runs that have ended, print the report, and write it with its tables and curves into a folder."""
    plan = store.plan()
    _grade_ended(store, plan, settings)
    rows = Reader(store, plan).rows()
    report = make_report(store, plan, rows, pads)
    folder = output or store.folder / "report"
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(_markdown(report))
    for name, content in (("md", text), ("json", json.dumps(report, indent=1)), ("csv", _csv(rows))):
        replace_file(folder / f"report.{name}", content.encode())
    if with_curve:
        _write_curves(rows, settings, folder)
    print(json.dumps(report, indent=1) if as_json else text)
    print(
        f"wrote report.md, report.json, report.csv{' and medals over time' * with_curve} into {folder}", file=sys.stderr
    )
    return errors.DONE


def _grade_ended(store: Store, plan: Plan, settings: Settings) -> None:
    """Grade what has ended and is not graded yet; a run that cannot be graded is named and left out."""
    from harness.commands.score import score_runs

    ended = [one for one in Reader(store, plan).rows() if one.state == "done" and not one.grade]
    if ended:
        with contextlib.redirect_stdout(sys.stderr):
            score_runs([one.row.run_id for one in ended], settings)


def make_report(store: Store, plan: Plan, rows: Sequence[RowState], pads: bool) -> dict[str, Any]:
    """The whole report as plain values, from which the texts are rendered."""
    tasks = distinct([row.task_id for row in plan.rows])
    known = competitions()
    sound = [name for name in tasks if name not in known or not with_notes(name).is_known_broken]
    cells = [
        _cell(label, [one for one in rows if levels_text(one.row) == label], tasks, sound, pads)
        for label in _labels(plan)
    ]
    graded = [one for one in rows if one.grade]
    return {
        "sweep": plan.name,
        "split": plan.split,
        "version": plan.version,
        "created": plan.created,
        "tasks": len(tasks),
        "seeds": sorted({row.seed for row in plan.rows}),
        "runs": {state: sum(one.state == state for one in rows) for state in ("done", "running", "waiting", "failed")},
        "graded": len(graded),
        "settings": cells,
        "comparisons": [asdict(one) for one in compare([_result(one) for one in graded], levels_of(plan))],
        "failed": {one.row.key: one.history.reason for one in rows if one.state == "failed"},
        "compute": _compute(rows),
        "remarks": sorted({remark for one in graded for remark in _remarks(one)}),
        "models": sorted({str(one.grade.get("model")) for one in graded}),
        "ledger": dict(plan.ledger),
        "reproduce": reproduce.command(plan, store.folder),
        "entries": [_entry(one) for one in rows],
    }


def _labels(plan: Plan) -> list[str]:
    return distinct([levels_text(row) for row in plan.rows])


def _cell(
    label: str, rows: Sequence[RowState], tasks: Sequence[str], sound: Sequence[str], pads: bool
) -> dict[str, Any]:
    """The benchmark's metrics of one combination of levels."""
    reports = {(one.row.task_id, one.row.seed): one.grade["report"] for one in rows if one.grade}
    return {
        "settings": label,
        "graded": len(reports),
        "official": _official(reports, tasks, pads),
        "without_known_broken": _official(reports, sound, pads) if len(sound) < len(tasks) else None,
    }


def _official(reports: Mapping[tuple[str, int], Report], tasks: Sequence[str], pads: bool) -> dict[str, Any]:
    """The benchmark's metrics over the seeds of which every task has a report; with `pads`, over all that have any."""
    gaps = {seed: [name for name in tasks if (name, seed) not in reports] for seed in sorted({s for _, s in reports})}
    if pads:
        counted = [seed for seed, missing in gaps.items() if len(missing) < len(tasks)]
    else:
        counted = [seed for seed, missing in gaps.items() if not missing]
    if not counted:
        nearest = min(gaps, key=lambda seed: len(gaps[seed]), default=None)
        return {"missing": "no run is graded" if nearest is None else _missing_text(nearest, gaps[nearest])}
    by_task = {name: [reports.get((name, seed), NO_MEDAL) for seed in counted] for name in tasks}
    return {"seeds": counted, **official_summary(by_task, tasks)}


def _missing_text(seed: int, tasks: Sequence[str]) -> str:
    more = f" and {len(tasks) - 3} more" if len(tasks) > 3 else ""
    return f"seed {seed} has no graded run of {', '.join(tasks[:3])}{more}"


def _result(one: RowState) -> Result:
    report = one.grade["report"]
    levels = dict(one.row.levels)
    return Result(
        one.row.task_id, one.row.seed, levels, float(report["any_medal"]), report["score"], one.row.lower_is_better
    )


def _remarks(one: RowState) -> Iterator[str]:
    if one.summary.get("is_demo"):
        yield DEMO_MODEL
    if not one.grade.get("protects_labels", True):
        yield LABELS_UNPROTECTED


def _compute(rows: Sequence[RowState]) -> dict[str, Any]:
    return {
        "hours": sum(one.hours for one in rows),
        "gpu_hours": sum(one.hours * one.row.gpus for one in rows),
        "cost": sum(one.cost for one in rows),
        "unpriced": sum(not one.summary.get("is_cost_known", True) for one in rows if one.summary),
        "tries": sum(one.history.tries for one in rows),
        "reference": REFERENCE_COMPUTE,
    }


def _entry(one: RowState) -> dict[str, Any]:
    report = one.grade.get("report") or {}
    values = (
        *(one.row.task_id, one.row.seed, levels_text(one.row), one.row.run_id, one.state),
        *(report.get("score"), one.medal, report.get("above_median"), round(one.hours, 4)),
        *(round(one.hours * one.row.gpus, 4), round(one.cost, 6), one.history.tries),
    )
    return dict(zip(COLUMNS, values, strict=True))


# ------------------------------------------------------------------------------------------------------------- texts


def _markdown(report: dict[str, Any]) -> Iterator[str]:
    what = f"MLE-bench, split {report['split']}" if report["split"] else f"{report['tasks']} tasks"
    yield f"# Sweep {report['sweep']}: {what}, {len(report['seeds'])} seeds"
    yield ""
    if report["remarks"]:
        yield f"**{'; '.join(report['remarks'])}**"
        yield ""
    runs = ", ".join(f"{count} {state}" for state, count in report["runs"].items() if count)
    yield f"{runs}; {report['graded']} graded. Models: {', '.join(report['models']) or 'none yet'}."
    yield ""
    for cell in report["settings"]:
        yield from _cell_lines(cell)
    yield from _comparison_lines([Comparison(**one) for one in report["comparisons"]])
    yield from _entry_lines(report["entries"])
    if report["failed"]:
        yield "## Failed"
        yield ""
        yield from (f"- {key}: {printable(why)}" for key, why in report["failed"].items())
        yield ""
    yield from _compute_lines(report)
    yield "## Reproduce"
    yield ""
    yield f"Made by version {report['version']} at {report['created']}. Medals over time: `medals_over_time.svg`."
    yield ""
    yield "```sh"
    yield from report["reproduce"]
    yield "```"


def _cell_lines(cell: dict[str, Any]) -> Iterator[str]:
    official = cell["official"]
    title = f"## {cell['settings']}" if cell["settings"] else "## Result"
    if "missing" in official:
        yield f"{title}: no complete seed"
        yield ""
        yield f"{official['missing']}. `--pad-missing` counts a missing run as no medal."
        yield ""
        return
    medal, seeds = official["metrics"]["any_medal_percentage"], official["num_seeds_averaged"]
    count = f"seed{'s' * (seeds > 1)} {', '.join(map(str, official['seeds']))}"
    yield f"{title}: {_with_error(medal, 1, seeds)} % any medal ({count})"
    yield ""
    if seeds < 3:
        yield "The benchmark requires at least three seeds."
        yield ""
    columns = {"all": official, "without known broken ones": cell["without_known_broken"]}
    shown = {name: one["metrics"] for name, one in columns.items() if one and "metrics" in one}
    yield "| % of tasks | " + " | ".join(shown) + " |"
    yield "|---" * (len(shown) + 1) + "|"
    for measure in (name for name in official["metrics"] if name != "total_competitions"):
        values = [_with_error(one[measure], 2, seeds) for one in shown.values()]
        yield f"| {measure.removesuffix('_percentage').replace('_', ' ')} | " + " | ".join(values) + " |"
    yield ""
    yield "Mean and standard error over seeds." if seeds > 1 else "One seed shows no standard error."
    yield ""


def _with_error(measure: dict[str, float], digits: int, seeds: int) -> str:
    """A mean with its standard error; one seed has none, though the official script writes 0."""
    noise = f" ± {measure['standard_error']:.{digits}f}" if seeds > 1 else ""
    return f"{measure['mean']:.{digits}f}{noise}"


def _comparison_lines(comparisons: Sequence[Comparison]) -> Iterator[str]:
    if not comparisons:
        return
    yield "## Factors, paired by task and seed"
    yield ""
    yield "| factor | level | against | pairs | medals (points of %) | 95 % interval | better / equal / worse | p |"
    yield "|---|---|---|---|---|---|---|---|"
    for one in comparisons:
        interval = f"{one.interval[0]:+.1f} to {one.interval[1]:+.1f}" if one.interval else "one task: none"
        counts = f"{one.wins} / {one.ties} / {one.losses}"
        cells = (one.factor, one.level, one.reference, str(one.pairs), f"{one.difference:+.1f}", interval, counts)
        yield "| " + " | ".join(cells) + f" | {one.p:.3f} |"
    yield ""
    yield "The interval is that of the mean over tasks. Better and worse are by score; p is that of a sign test."
    yield "With several levels or factors, some p is small by chance."
    yield ""


def _entry_lines(entries: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "## Runs"
    yield ""
    yield "| " + " | ".join(COLUMNS).replace("_", " ") + " |"
    yield "|---" * len(COLUMNS) + "|"
    for entry in entries:
        yield "| " + " | ".join(_cell_text(entry[name]) for name in COLUMNS) + " |"
    yield ""


def _cell_text(value: Any) -> str:
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


def _compute_lines(report: dict[str, Any]) -> Iterator[str]:
    compute = report["compute"]
    unknown = f" (the cost of {compute['unpriced']} runs is unknown)" if compute["unpriced"] else ""
    yield "## Compute and lessons"
    yield ""
    yield f"- {compute['hours']:.1f} hours, {compute['gpu_hours']:.1f} GPU hours, ${compute['cost']:.2f}{unknown}"
    yield f"- {compute['tries']} starts of runs; a started run continues, and its budget counts over all its starts"
    yield f"- {compute['reference']}. State the hardware of these runs beside the number"
    for path, facts in report["ledger"].items():
        counts = f"{facts['lessons']} lessons from {facts['runs']} runs"
        yield (
            f"- all runs read {path} as it was at {facts['at']} ({counts}, sha256 {facts['digest'][:16]}), each "
            "without the lessons of its own task family"
        )
    if not report["ledger"]:
        yield "- no run read lessons of other runs"
    yield ""


def _csv(rows: Sequence[RowState]) -> str:
    stream = io.StringIO(newline="")
    lines = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    lines.writeheader()
    lines.writerows(_entry(one) for one in rows)
    return stream.getvalue()


def _write_curves(rows: Sequence[RowState], settings: Settings, folder: Path) -> None:
    """Medals over time: of all runs, and of each combination of levels in its own folder."""
    from harness.commands.medal_curve import write_curve

    graded = [one for one in rows if one.medal]
    labels = distinct([levels_text(one.row) for one in graded])
    for number, label in enumerate(["", *(labels if len(labels) > 1 else [])]):
        chosen = [settings.runs / one.row.run_id for one in graded if not label or levels_text(one.row) == label]
        if chosen:
            write_curve(chosen, settings, folder / f"{number}-{label.replace('/', '-')}"[:80] if label else folder)
