"""`harness lessons`: what earlier runs taught, on what evidence, and whether it helped."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from context.ledger import benefit, rules
from context.ledger.database import NAME
from context.ledger.exchange import export_lessons, import_lessons, read_lines
from context.ledger.ledger import Ledger
from context.ledger.maintain import merge, verify
from context.ledger.types import ANY, Choice, Lesson
from harness import errors
from harness.settings import Settings
from harness.ui.table import table
from runs.files import replace_file
from runs.views.format import one_line, printable

HEADER = ("lesson", "state", "modality", "tried", "gains", "rate", "from", "words")
MOST_EVIDENCE = 50


def lessons(options: argparse.Namespace, settings: Settings) -> int:
    """Run one subcommand and return the exit code."""
    path = Path(options.ledger).expanduser() if options.ledger else settings.home / NAME
    if options.what not in ("import", "learn") and not path.is_file():
        print(f"No lessons yet in {path}. Runs of a model write them when they end; the demo model's write none.")
        return errors.DONE
    if options.what == "learn":
        return _learn(options, settings)
    with Ledger(path, read_only=options.what in _READERS) as ledger:
        return _COMMANDS[options.what](ledger, options)


def _list(ledger: Ledger, options: argparse.Namespace) -> int:
    found = ledger.lessons("state <> 'retired' or ?", options.all)
    _print_table(ledger, [one for one in found if options.modality in (None, one.modality)])
    return errors.DONE


def _search(ledger: Ledger, options: argparse.Namespace) -> int:
    words = " ".join(options.arguments)
    if not words:
        errors.fail("say which words: harness lessons search WORD...")
    _print_table(ledger, ledger.search(words))
    return errors.DONE


def _print_table(ledger: Ledger, found: Sequence[Lesson]) -> None:
    records = {
        one.lesson.key: one
        for modality in {lesson.modality for lesson in found}
        for one in ledger.records(modality, "")
    }
    for task in {lesson.task for lesson in found if lesson.task}:
        records |= {one.lesson.key: one for one in ledger.of_task(task)}
    rows = [_row(lesson, records.get(lesson.key)) for lesson in found]
    print(table([HEADER, *rows], right=range(3, 6)) if rows else "no lesson fits")


def _row(lesson: Lesson, choice: Choice | None) -> tuple[str, ...]:
    record = choice.record if choice else None
    state = "promoted" if record and rules.is_promoted(record) else lesson.state
    counts = ("", "", "")
    if record and record.played[0] > 0:
        tried, gains, _ = record.played
        counts = (str(tried), str(gains), f"{record.rate:.2f}")
    words = one_line(printable(lesson.sentence), 90)
    modality = f"{lesson.modality}, one task" if lesson.task else lesson.modality
    return (lesson.key, state, modality, *counts, lesson.origin, words)


def _show(ledger: Ledger, options: argparse.Namespace) -> int:
    for name in _names(options):
        lesson = ledger.find(name)
        print(f"{lesson.key}: {printable(lesson.sentence)}")
        facts = (
            ("about", f"{lesson.action}, {lesson.modality} tasks"),
            ("only", f"the task with the digest {lesson.task[:12]}" if lesson.task else ""),
            ("when", lesson.situation),
            ("why", lesson.reason),
        )
        origin = f"{lesson.origin} ({lesson.source}), {lesson.created_at}"
        for label, text in (*facts, ("state", lesson.state), ("from", origin)):
            if text:
                print(f"  {label:<7}{printable(text)}")
        if not lesson.task:
            _show_records(ledger, lesson)
        _show_history(ledger, lesson)
    return errors.DONE


def _show_records(ledger: Ledger, lesson: Lesson) -> None:
    query = "select distinct family from evidence where action = ? and modality = ? order by family"
    rows = [("family", "tried", "gains", "failed", "rate", "90 % interval", "points", "")]
    for found in ledger.rows(query, lesson.action, lesson.modality):
        family = found["family"] or ANY
        for one in ledger.records(lesson.modality, found["family"]):
            record = one.record
            if one.lesson.key == lesson.key:
                low, high = rules.interval(record.family_gains, record.family_tried)
                counts = (
                    str(record.family_tried),
                    str(record.family_gains),
                    str(record.own_against),
                    f"{record.rate:.2f}",
                )
                mark = "in quarantine" if record.is_quarantined else ""
                rows.append((family, *counts, f"{low:.2f} to {high:.2f}", str(record.points), mark))
    print("\n" + table(rows, right=(1, 2, 3, 4, 6)))
    print("The interval is an association: good ideas come with good runs. To compare runs: harness lessons benefit")


def _show_history(ledger: Ledger, lesson: Lesson) -> None:
    query = "select * from evidence where action = ? and modality = ? order by id desc limit ?"
    rows = [("run", "outcome", "how", "gain", "attempt", "commits", "events")]
    for row in ledger.rows(query, lesson.action, lesson.modality, MOST_EVIDENCE):
        commits = f"{row['commit_before'][:10]}..{row['commit_after'][:10]}" if row["commit_after"] else ""
        gain = "" if row["gain"] is None else f"{row['gain']:+.4g}" + (f" ± {row['noise']:.2g}" if row["noise"] else "")
        events = "" if row["first_event"] is None else f"{row['first_event']} to {row['last_event']}"
        attempt = "" if row["attempt"] is None else str(row["attempt"])
        rows.append((row["run"], row["outcome"], row["reason"], gain, attempt, commits, events))
    print("\n" + table(rows))
    seen = "select kind, count(*) as runs from exposure where lesson = ? group by kind order by kind"
    counts = [
        f"{row['kind']} in {row['runs']} run{'s' if row['runs'] > 1 else ''}" for row in ledger.rows(seen, lesson.key)
    ]
    print("\n" + (", ".join(counts) or "never shown"))
    for row in ledger.rows("select * from operation where lesson = ? order by id", lesson.key):
        change = "" if row["kind"] == "add" else f": {one_line(printable(row['change']), 120)}"
        print(f"{row['at']}  {row['kind']} by {row['actor']}{change}")


def _set_state(ledger: Ledger, options: argparse.Namespace) -> int:
    names = _names(options)
    if options.what == "confirm" and names == ["all"]:
        names = [lesson.key for lesson in ledger.lessons("state = 'listed'")]
    before = {"confirm": "listed", "restore": "retired", "retire": ""}[options.what]
    found = [ledger.find(name) for name in names]
    for lesson in found:
        if before and lesson.state != before:
            errors.fail(f"{lesson.key} is {lesson.state}: only a lesson that is {before} can be {_DONE[options.what]}")
    for lesson in found:
        ledger.set_state(lesson, options.what)
        print(f"{options.what}: {lesson.key} {printable(lesson.sentence)}")
    return errors.DONE


def _names(options: argparse.Namespace) -> list[str]:
    if not options.arguments:
        errors.fail(f"say which: harness lessons {options.what} LESSON...")
    return list(options.arguments)


def _export(ledger: Ledger, options: argparse.Namespace) -> int:
    text = "".join(f"{line}\n" for line in export_lessons(ledger))
    if not options.arguments:
        sys.stdout.write(text)
        return errors.DONE
    replace_file(Path(options.arguments[0]), text.encode())
    print(f"wrote {len(text.splitlines())} lessons to {options.arguments[0]}")
    return errors.DONE


def _import(ledger: Ledger, options: argparse.Namespace) -> int:
    for name in _names(options):
        path = Path(name)
        if path.suffix == ".sqlite":
            with Ledger(path, read_only=True) as other:
                print(f"{merge(ledger, other)} runs of {path} added")
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            errors.fail(f"{path} cannot be read: {error}")
        _print_imported(ledger, path, text)
    return errors.DONE


def _print_imported(ledger: Ledger, path: Path, text: str) -> None:
    found = import_lessons(ledger, read_lines(text), path.name, kind="import")
    for key in found.added:
        print(f"  {key}  {printable(ledger.find(key).sentence)}")
    for why in found.refused:
        print(f"  refused, {printable(why)}")
    print(f"{path}: {len(found.added)} new lessons, {len(found.known)} known, {len(found.refused)} refused")
    if found.added:
        print("New lessons are not shown to runs until you confirm them: harness lessons confirm all")


def _learn(options: argparse.Namespace, settings: Settings) -> int:
    """Record runs that could not write to the ledger when they ended."""
    from harness.commands.show import find_run
    from harness.startup.lessons import learn_folder

    for name in _names(options):
        folder = find_run(name, settings)
        learned, evidence = learn_folder(folder, settings.home, options.ledger or "")
        what = (
            f"evidence about {evidence} actions, {len(learned.added)} new lessons"
            if learned.is_new
            else "known already"
        )
        print(f"{folder.name}: {what}")
        for why in learned.refused:
            print(f"  words of the model refused: {why}")
    return errors.DONE


def _verify(ledger: Ledger, options: argparse.Namespace) -> int:
    problems = verify(ledger)
    (count,) = ledger.rows("select (select count(*) from lesson) as lessons, (select count(*) from run) as runs")
    for problem in problems:
        print(f"BAD  {problem}")
    print(f"{ledger.path}: {count['lessons']} lessons from {count['runs']} runs, {len(problems) or 'no'} problems")
    return errors.INPUT if problems else errors.DONE


def _benefit(ledger: Ledger, options: argparse.Namespace) -> int:
    pairs, arms = benefit.paired(ledger), benefit.withheld(ledger)
    if options.json:
        difference, error = arms.difference
        pooled = {**vars(arms), "difference": difference, "error": error}
        print(json.dumps({"paired": [vars(one) for one in pairs], "withheld": pooled}, indent=2))
        return errors.DONE
    print("Runs with the ledger against runs of the same task, seed and model without it (--no-ledger):")
    rows = [("family", "pairs", "gain", "error", "")]
    rows += [(one.family, str(one.pairs), f"{one.gain:+.2f}", f"{one.error:.2f}", _verdict(one)) for one in pairs]
    print(table(rows, right=(1, 2, 3)) if pairs else "  none yet")
    print("gain: difference of the score averaged over attempts, in units of the spread between runs of a task\n")
    difference, error = arms.difference
    print(
        f"Lessons shown {arms.shown} times, a real gain of their action in {arms.shown_gains}; withheld by chance "
        f"{arms.withheld} times, a real gain in {arms.withheld_gains}. Difference over all: {difference:+.3f} ± "
        f"{error:.3f}. One lesson alone would need thousands of runs."
    )
    return errors.DONE


def _verdict(one: benefit.Paired) -> str:
    if one.p is None:
        return f"not decided: {benefit.PAIRS_NEEDED} pairs of a family are needed"
    return f"helps (one-sided p {one.p:.3f})" if one.p <= benefit.LEVEL else f"not shown to help (p {one.p:.2f})"


_COMMANDS: dict[str, Callable[[Ledger, argparse.Namespace], int]] = {
    "list": _list,
    "search": _search,
    "show": _show,
    "retire": _set_state,
    "restore": _set_state,
    "confirm": _set_state,
    "export": _export,
    "import": _import,
    "verify": _verify,
    "benefit": _benefit,
}
_DONE = {"confirm": "confirmed", "restore": "restored"}
_READERS = ("list", "search", "show", "export", "benefit")
