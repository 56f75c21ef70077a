"""`harness report`: the benchmark's number over graded runs, with what it took and what to know before quoting it."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import errors
from harness.commands.show import find_run
from harness.settings import Settings
from runs.views.format import DEMO_MODEL, LABELS_UNPROTECTED

if TYPE_CHECKING:
    from tasks.mlebench.facts import Competition

COMPUTE_OF_REFERENCE = "the benchmark's own compute: 24 hours, 36 vCPUs, 440 GB of memory, one A10 GPU of 24 GB"


@dataclass(frozen=True)
class Entry:
    """One graded submission: its official report, and of a run of ours what it took."""

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
    """Print the benchmark's numbers of a split over graded runs or report files; write them into `output`.

    Of `seeds`, where that is said, the first are taken, and all the rest is left out of the report. Raises
    `UsageError` for a run that has not been graded, and where fewer seeds are whole than asked for.
    """
    from tasks.mlebench.facts import in_split

    groups, folders = _gather(names, settings)
    if seeds:
        groups = _first(groups, seeds)
        folders = [folder for folder in folders if folder.name in {one.name for group in groups for one in group}]
    found = _assemble(groups, in_split(split), split, pads, seeds)
    text = _markdown(found)
    print(json.dumps(found, indent=2) if as_json else text)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        for name, content in (("md", text), ("json", json.dumps(found, indent=2)), ("csv", _csv(found))):
            (output / f"report.{name}").write_text(content, encoding="utf-8")
        print(f"report.md, report.json and report.csv written into {output}", file=sys.stderr)
    if with_curve:
        from harness.commands.medal_curve import write_curve

        for path in write_curve(folders, settings, output or Path()):
            print(f"written: {path}", file=sys.stderr)
    return errors.DONE


# ------------------------------------------------------------------------------------------------------- gathering


def _gather(names: Sequence[str], settings: Settings) -> tuple[list[list[Entry]], list[Path]]:
    """Groups of entries in the order in which their k-th reports are seeds: files by path, then runs by seed."""
    # As text: officially "group-2/…" stands before "group/…", which paths compare the other way round.
    files = [Path(name) for name in sorted({name for name in names if name.endswith(".json")})]
    groups = [[Entry(one, path.name) for one in _read_reports(path)] for path in files]
    folders = sorted({find_run(name, settings) for name in names if not name.endswith(".json")})
    entries = sorted((_of_run(folder, settings) for folder in folders), key=lambda one: (one.seed or 0, one.name))
    return [*groups, *([one] for one in entries)], folders


def _first(groups: Sequence[Sequence[Entry]], seeds: int) -> list[list[Entry]]:
    """The first reports of every competition, as many as there are to be seeds."""
    taken: Counter[str] = Counter()

    def is_wanted(one: Entry) -> bool:
        taken[one.report["competition_id"]] += 1
        return taken[one.report["competition_id"]] <= seeds

    return [[one for one in group if is_wanted(one)] for group in groups]


def _read_reports(path: Path) -> list[dict[str, Any]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["competition_reports"]
    except (OSError, ValueError, KeyError, TypeError):
        errors.fail(f"{path} is no grading report: `harness score RUN... --output DIR` writes one")
    if not all(isinstance(one, dict) and {"competition_id", "score", "any_medal"} <= set(one) for one in found):
        errors.fail(f"{path} holds something that is no report: `harness score RUN... --output DIR` writes one")
    return list(found)


def _of_run(folder: Path, settings: Settings) -> Entry:
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
        errors.fail(f"{folder.name} has not been graded: harness score {folder.name}")
    remarks = [DEMO_MODEL] if created.is_demo else []
    remarks += [] if created.protects_labels else [LABELS_UNPROTECTED]
    if created.options.get("models"):
        remarks.append("pretrained weights were mounted")
    remarks += _of_data(created.task_id, settings)
    if grade.get("problem"):
        remarks.append(grade["problem"])
    return Entry(
        grade["report"],
        folder.name,
        created.seed,
        created.model,
        total.active_seconds / 3600,
        total.cost,
        total.prompt_tokens + total.completion_tokens,
        tuple(remarks),
    )


def _of_data(task: str, settings: Settings) -> list[str]:
    from tasks.mlebench.prepare import differences_of

    differing = differences_of(task, settings.home)
    return [f"not comparable: {len(differing)} files differ from the benchmark's"] if differing else []


# ------------------------------------------------------------------------------------------------------ assembling


def _assemble(
    groups: Sequence[Sequence[Entry]], wanted: Sequence[Competition], split: str, pads: bool, seeds: int | None
) -> dict[str, Any]:
    """Everything the report says, as one object; the texts are written from it. Raises `UsageError`."""
    from tasks.mlebench.aggregate import SeedsMissing, by_competition, official

    reports = by_competition([[one.report for one in group] for group in groups])
    names = [one.id for one in wanted]
    sound = [one.id for one in wanted if not one.is_known_broken]
    numbers: dict[str, Any] = {}
    for title, chosen in (("official", names), ("without_known_broken", sound)):
        try:
            numbers[title] = official(reports, chosen, pads, seeds)
        except SeedsMissing as missing:
            if seeds:
                errors.fail(f"{missing}. Add runs, ask for fewer seeds, or count what is missing with --pad-missing")
            numbers[title] = None
    most = max((len(reports.get(name, ())) for name in names), default=0)
    entries = [one for group in groups for one in group]
    return {
        "split": split,
        "competitions": len(names),
        "known_broken": [name for name in names if name not in sound],
        "missing": [name for name in names if name not in reports],
        "fewer": {name: len(reports[name]) for name in names if 0 < len(reports.get(name, ())) < most},
        "others": sorted(set(reports) - set(names)),
        "padded": pads,
        **numbers,
        "entries": [asdict(one) for one in entries if one.report["competition_id"] in names],
        "compute": _compute(entries),
    }


def _compute(entries: Sequence[Entry]) -> dict[str, Any]:
    known = [one for one in entries if one.hours is not None]
    return {
        "runs": len(known),
        "hours": sum(one.hours or 0 for one in known),
        "longest_run_hours": max((one.hours or 0 for one in known), default=0),
        "cost": sum(one.cost or 0 for one in known),
        "tokens": sum(one.tokens or 0 for one in known),
        "models": sorted({one.model for one in known}),
        "reference": COMPUTE_OF_REFERENCE,
    }


# --------------------------------------------------------------------------------------------------------- texts


def _markdown(found: dict[str, Any]) -> str:
    parts = [_head(found), _numbers(found), _entries(found), _took(found)]
    return "\n".join(line for part in parts for line in part)


def _head(found: dict[str, Any]) -> Iterator[str]:
    official = found["official"]
    yield f"# MLE-bench, split {found['split']}: {_result(official)}"
    yield ""
    if found["missing"]:
        how = "counted as no medal" if found["padded"] else "so there is no official number (--pad-missing counts them)"
        count = f"{len(found['missing'])} of {found['competitions']} competitions"
        yield f"No run of {count}, {how}: {_list(found['missing'])}"
        yield ""
    if found["fewer"]:
        how = (
            "the seeds they lack are counted as no medal" if found["padded"] else "seeds beyond theirs are not counted"
        )
        yield f"Fewer runs than of others, {how}: {_list([f'{name} ({n})' for name, n in found['fewer'].items()])}"
        yield ""
    if official and official["num_seeds_averaged"] < 3:
        yield "The benchmark asks for at least three seeds."
        yield ""
    if found["others"]:
        yield f"Not of this split, and not counted: {_list(found['others'])}"
        yield ""


def _result(official: dict[str, Any] | None) -> str:
    if official is None:
        return "no whole seed"
    medal = official["metrics"]["any_medal_percentage"]
    seeds = official["num_seeds_averaged"]
    told = f"{seeds} seed{'s' * (seeds > 1)}"
    return f"{medal['mean']:.1f} ± {medal['standard_error']:.1f} % any medal ({told})"


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


def _numbers(found: dict[str, Any]) -> Iterator[str]:
    columns = [(title, found[title]) for title in ("official", "without_known_broken") if found[title]]
    if not columns:
        return
    heads = {"official": f"all {found['competitions']}", "without_known_broken": "without those known to be broken"}
    yield "| % of competitions | " + " | ".join(heads[title] for title, _ in columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for measure in (name for name in columns[0][1]["metrics"] if name != "total_competitions"):
        cells = [numbers["metrics"][measure] for _, numbers in columns]
        told = [f"{one['mean']:.2f} ± {one['standard_error']:.2f}" for one in cells]
        yield f"| {measure.removesuffix('_percentage').replace('_', ' ')} | " + " | ".join(told) + " |"
    yield ""
    yield f"Mean and standard error over seeds. Known to be broken: {_list(found['known_broken']) or 'none'}."
    yield ""


def _entries(found: dict[str, Any]) -> Iterator[str]:
    yield "| competition | run | seed | score | medal | above median | hours | remarks |"
    yield "|---|---|---|---|---|---|---|---|"
    for one in found["entries"]:
        report = one["report"]
        hours = "" if one["hours"] is None else f"{one['hours']:.1f}"
        seed = "" if one["seed"] is None else str(one["seed"])
        score = "none" if report["score"] is None else f"{report['score']:.5f}"
        median = "yes" if report["above_median"] else "no"
        cells = (report["competition_id"], one["name"], seed, score, _medal(report), median, hours)
        yield "| " + " | ".join(cells) + f" | {'; '.join(one['remarks']).replace('|', '/')} |"
    yield ""


def _medal(report: dict[str, Any]) -> str:
    return next((name for name in ("gold", "silver", "bronze") if report[f"{name}_medal"]), "none")


def _took(found: dict[str, Any]) -> Iterator[str]:
    took = found["compute"]
    yield "## What it took"
    yield ""
    if took["runs"]:
        yield f"- models: {_list(took['models'])}"
        yield f"- {took['hours']:.1f} hours in {took['runs']} runs, the longest {took['longest_run_hours']:.1f} hours"
        yield f"- ${took['cost']:.2f}, {took['tokens']:,} tokens"
    else:
        yield "- not known: the reports come from files"
    yield f"- {took['reference']}; say beside the number which hardware these runs had"
    open_runs = sum(LABELS_UNPROTECTED in one["remarks"] for one in found["entries"])
    if open_runs:
        yield f"- **{LABELS_UNPROTECTED}** in {open_runs} runs: their sandbox could not keep the model from the answers"
    elif took["runs"]:
        yield "- the private answers were out of the model's reach, and were opened after each run, by `harness score`"
    yield ""


def _csv(found: dict[str, Any]) -> str:
    stream = io.StringIO(newline="")
    head = ("competition", "run", "seed", "score", "medal", "above_median", "valid_submission", "hours", "cost")
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(head)
    for one in found["entries"]:
        report = one["report"]
        facts = (report["competition_id"], one["name"], one["seed"], report["score"], _medal(report))
        rows.writerow((*facts, report["above_median"], report["valid_submission"], one["hours"], one["cost"]))
    return stream.getvalue()
