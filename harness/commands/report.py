"""`harness report`: the benchmark's metrics over graded runs, with the compute used and remarks on validity."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import errors
from harness.commands.show import find_run
from harness.settings import Settings
from runs.views.control import forked_text, steered_text
from runs.views.format import DEMO_MODEL, LABELS_UNPROTECTED

if TYPE_CHECKING:
    from runs.events.registry import RunCreated
    from runs.state import State
    from tasks.mlebench.facts import Competition

REFERENCE_COMPUTE = "the benchmark's own compute: 24 hours, 36 vCPUs, 440 GB of memory, one A10 GPU of 24 GB"


@dataclass(frozen=True)
class Entry:
    """One graded submission: its official report, and for a run its model, cost and remarks."""

    report: dict[str, Any]
    name: str
    seed: int | None = None
    model: str = ""
    hours: float | None = None
    cost: float | None = None
    tokens: int | None = None
    remarks: tuple[str, ...] = ()


def report_runs(
    names: Sequence[str],
    settings: Settings,
    *,
    split: str = "low",
    pads: bool = False,
    seeds: int | None = None,
    output: Path | None = None,
    as_json: bool = False,
    with_curve: bool = False,
) -> int:
    """Print the benchmark's metrics of a split over graded runs or report files; write them into `output`.

    With `seeds`, only the first that many reports per competition count. Raises `UsageError` for a run that was not
    graded, and if fewer seeds are complete than requested.
    """
    from tasks.mlebench.facts import in_split

    groups, folders = _gather(names, settings)
    if seeds:
        groups = _first_seeds(groups, seeds)
        chosen = {entry.name for group in groups for entry in group}
        folders = [folder for folder in folders if folder.name in chosen]
    report = _assemble(groups, in_split(split), split, pads, seeds)
    print(json.dumps(report, indent=2) if as_json else _markdown(report))
    if output is not None:
        _write_files(report, output)
    if with_curve:
        from harness.commands.medal_curve import write_curve

        for path in write_curve(folders, settings, output or Path()):
            print(f"wrote {path}", file=sys.stderr)
    return errors.DONE


def _write_files(report: dict[str, Any], output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    contents = {"md": _markdown(report), "json": json.dumps(report, indent=2), "csv": _csv(report)}
    for suffix, content in contents.items():
        (output / f"report.{suffix}").write_text(content, encoding="utf-8")
    print(f"wrote report.md, report.json and report.csv into {output}", file=sys.stderr)


# ------------------------------------------------------------------------------------------------------- gathering


def _gather(names: Sequence[str], settings: Settings) -> tuple[list[list[Entry]], list[Path]]:
    """Groups of entries in seed order: the k-th report of a competition is seed k. Files by path, then runs by seed."""
    # Sorted as text, as the official grader does: "group-2/…" before "group/…". Paths compare the other way round.
    files = [Path(name) for name in sorted({name for name in names if name.endswith(".json")})]
    groups = [[Entry(report, path.name) for report in _read_reports(path)] for path in files]
    folders = sorted({find_run(name, settings) for name in names if not name.endswith(".json")})
    entries = sorted(
        (_read_run(folder, settings) for folder in folders), key=lambda entry: (entry.seed or 0, entry.name)
    )
    return [*groups, *([entry] for entry in entries)], folders


def _first_seeds(groups: Sequence[Sequence[Entry]], seeds: int) -> list[list[Entry]]:
    """The first `seeds` reports of every competition."""
    counts: Counter[str] = Counter()

    def is_wanted(entry: Entry) -> bool:
        counts[entry.report["competition_id"]] += 1
        return counts[entry.report["competition_id"]] <= seeds

    return [[entry for entry in group if is_wanted(entry)] for group in groups]


def _read_reports(path: Path) -> list[dict[str, Any]]:
    try:
        reports = json.loads(path.read_text(encoding="utf-8"))["competition_reports"]
    except (OSError, ValueError, KeyError, TypeError):
        errors.fail(f"{path} is not a grading report. `harness score RUN... --output DIR` writes one")
    required = {"competition_id", "score", "any_medal"}
    if not all(isinstance(report, dict) and required <= set(report) for report in reports):
        errors.fail(f"{path} contains an invalid report. `harness score RUN... --output DIR` writes valid ones")
    return list(reports)


def _read_run(folder: Path, settings: Settings) -> Entry:
    from runs.journal import read_events
    from runs.state import fold
    from runs.usage.cost import sum_usage

    events = list(read_events(folder))
    state, total = fold(events), sum_usage(events).total
    created = state.created
    assert created is not None
    try:
        grade = json.loads((settings.grades / f"{created.run_id}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        errors.fail(f"{folder.name} has not been graded yet. Grade it: harness score {folder.name}")
    return Entry(
        grade["report"],
        folder.name,
        created.settings.seed,
        created.settings.model,
        total.active_seconds / 3600,
        total.cost if state.is_cost_known else None,
        total.prompt_tokens + total.completion_tokens,
        (*_remarks(created, grade, settings), *_by_people(state)),
    )


def _by_people(state: State) -> Iterator[str]:
    if steered := steered_text(state):
        yield steered
    if state.control.forked:
        yield forked_text(state.control.forked)


def _remarks(created: RunCreated, grade: dict[str, Any], settings: Settings) -> Iterator[str]:
    from tasks.mlebench.prepare import differences_of

    if created.is_demo:
        yield DEMO_MODEL
    if not created.protects_labels:
        yield LABELS_UNPROTECTED
    if created.settings.models:
        yield "pretrained weights were mounted"
    if differing := differences_of(created.task_id, settings.home):
        yield f"not comparable: {len(differing)} files differ from the benchmark's"
    if grade.get("problem"):
        yield grade["problem"]


# ------------------------------------------------------------------------------------------------------ assembling


def _assemble(
    groups: Sequence[Sequence[Entry]], wanted: Sequence[Competition], split: str, pads: bool, seeds: int | None
) -> dict[str, Any]:
    """The whole report as one object, from which the texts are rendered. Raises `UsageError`."""
    from tasks.mlebench.aggregate import group_by_competition

    reports = group_by_competition([[entry.report for entry in group] for group in groups])
    names = [competition.id for competition in wanted]
    sound = [competition.id for competition in wanted if not competition.is_known_broken]
    most = max((len(reports.get(name, ())) for name in names), default=0)
    entries = [entry for group in groups for entry in group]
    return {
        "split": split,
        "competitions": len(names),
        "known_broken": [name for name in names if name not in sound],
        "missing": [name for name in names if name not in reports],
        "fewer": {name: len(reports[name]) for name in names if 0 < len(reports.get(name, ())) < most},
        "others": sorted(set(reports) - set(names)),
        "padded": pads,
        "official": _metrics(reports, names, pads, seeds),
        "without_known_broken": _metrics(reports, sound, pads, seeds),
        "entries": [asdict(entry) for entry in entries if entry.report["competition_id"] in names],
        "compute": _compute(entries),
    }


def _metrics(
    reports: Mapping[str, Sequence[Mapping[str, Any]]], names: Sequence[str], pads: bool, seeds: int | None
) -> dict[str, Any] | None:
    """The official metrics over these competitions; None if no seed is complete."""
    from tasks.mlebench.aggregate import SeedsMissing, official_summary

    try:
        return official_summary(reports, names, pads, seeds)
    except SeedsMissing as missing:
        if seeds:
            errors.fail(f"{missing}. Add runs, ask for fewer seeds, or count missing ones as no medal: --pad-missing")
        return None


def _compute(entries: Sequence[Entry]) -> dict[str, Any]:
    runs = [entry for entry in entries if entry.hours is not None]
    return {
        "runs": len(runs),
        "hours": sum(run.hours or 0 for run in runs),
        "longest_run_hours": max((run.hours or 0 for run in runs), default=0),
        "cost": sum(run.cost or 0 for run in runs),
        "unpriced": sum(run.cost is None for run in runs),
        "tokens": sum(run.tokens or 0 for run in runs),
        "models": sorted({run.model for run in runs}),
        "reference": REFERENCE_COMPUTE,
    }


# --------------------------------------------------------------------------------------------------------- texts


def _markdown(report: dict[str, Any]) -> str:
    parts = [_headline(report), _metrics_table(report), _entries_table(report), _compute_section(report)]
    return "\n".join(line for part in parts for line in part)


def _headline(report: dict[str, Any]) -> Iterator[str]:
    official = report["official"]
    yield f"# MLE-bench, split {report['split']}: {_result(official)}"
    yield ""
    if report["missing"]:
        how = "counted as no medal" if report["padded"] else "so no official number (count them with --pad-missing)"
        count = f"{len(report['missing'])} of {report['competitions']} competitions"
        yield f"No run of {count}, {how}: {_list(report['missing'])}"
        yield ""
    if report["fewer"]:
        how = "missing seeds counted as no medal" if report["padded"] else "extra seeds of others not counted"
        yield f"Fewer runs than for others, {how}: {_list([f'{name} ({n})' for name, n in report['fewer'].items()])}"
        yield ""
    if official and official["num_seeds_averaged"] < 3:
        yield "The benchmark requires at least three seeds."
        yield ""
    if report["others"]:
        yield f"Not in this split and not counted: {_list(report['others'])}"
        yield ""


def _result(official: dict[str, Any] | None) -> str:
    if official is None:
        return "no complete seed"
    medal = official["metrics"]["any_medal_percentage"]
    seeds = official["num_seeds_averaged"]
    count = f"{seeds} seed{'s' * (seeds > 1)}"
    return f"{medal['mean']:.1f} ± {medal['standard_error']:.1f} % any medal ({count})"


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


def _metrics_table(report: dict[str, Any]) -> Iterator[str]:
    columns = [(title, report[title]) for title in ("official", "without_known_broken") if report[title]]
    if not columns:
        return
    titles = {"official": f"all {report['competitions']}", "without_known_broken": "without known broken ones"}
    yield "| % of competitions | " + " | ".join(titles[title] for title, _ in columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for measure in (name for name in columns[0][1]["metrics"] if name != "total_competitions"):
        cells = [numbers["metrics"][measure] for _, numbers in columns]
        values = [f"{cell['mean']:.2f} ± {cell['standard_error']:.2f}" for cell in cells]
        yield f"| {measure.removesuffix('_percentage').replace('_', ' ')} | " + " | ".join(values) + " |"
    yield ""
    yield f"Mean and standard error over seeds. Known broken: {_list(report['known_broken']) or 'none'}."
    yield ""


def _entries_table(report: dict[str, Any]) -> Iterator[str]:
    yield "| competition | run | seed | score | medal | above median | hours | remarks |"
    yield "|---|---|---|---|---|---|---|---|"
    for entry in report["entries"]:
        grade = entry["report"]
        hours = "" if entry["hours"] is None else f"{entry['hours']:.1f}"
        seed = "" if entry["seed"] is None else str(entry["seed"])
        score = "none" if grade["score"] is None else f"{grade['score']:.5f}"
        median = "yes" if grade["above_median"] else "no"
        cells = (grade["competition_id"], entry["name"], seed, score, _medal(grade), median, hours)
        yield "| " + " | ".join(cells) + f" | {'; '.join(entry['remarks']).replace('|', '/')} |"
    yield ""


def _medal(grade: dict[str, Any]) -> str:
    return next((name for name in ("gold", "silver", "bronze") if grade[f"{name}_medal"]), "none")


def _compute_section(report: dict[str, Any]) -> Iterator[str]:
    compute = report["compute"]
    yield "## Compute"
    yield ""
    if compute["runs"]:
        yield f"- models: {_list(compute['models'])}"
        longest = f"the longest {compute['longest_run_hours']:.1f} hours"
        runs = f"{compute['runs']} run{'' if compute['runs'] == 1 else 's'}"
        yield f"- {compute['hours']:.1f} hours in {runs}, {longest}"
        unknown = f" (the cost of {compute['unpriced']} runs is unknown)" if compute["unpriced"] else ""
        cost = "unknown cost" if compute["unpriced"] == compute["runs"] else f"${compute['cost']:.2f}"
        yield f"- {cost}{unknown}, {compute['tokens']:,} tokens"
    else:
        yield "- unknown: the reports come from files"
    yield f"- {compute['reference']}. State the hardware of these runs beside the number"
    unprotected = sum(LABELS_UNPROTECTED in entry["remarks"] for entry in report["entries"])
    if unprotected:
        yield f"- **{LABELS_UNPROTECTED}** in {unprotected} runs: the sandbox did not keep the answers from the model"
    elif compute["runs"]:
        yield "- the model could not reach the private answers; `harness score` opened them after each run"
    yield ""


def _csv(report: dict[str, Any]) -> str:
    stream = io.StringIO(newline="")
    header = ("competition", "run", "seed", "score", "medal", "above_median", "valid_submission", "hours", "cost")
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(header)
    for entry in report["entries"]:
        grade = entry["report"]
        facts = (grade["competition_id"], entry["name"], entry["seed"], grade["score"], _medal(grade))
        rows.writerow((*facts, grade["above_median"], grade["valid_submission"], entry["hours"], entry["cost"]))
    return stream.getvalue()
