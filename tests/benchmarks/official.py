"""Compare with the official package mlebench where it is installed, and print how many comparisons agree.

python tests/benchmarks/official.py [--home DIR] [--seeds N] [--only NAME ...]

The package is expected as `harness doctor` says: in DIR/mlebench (default: HARNESS_HOME), or beside this package.

    facts       paths of answers and sample, and md5, of all 82 competitions
    thresholds  medal lines and teams, where the leaderboard file is there and no pointer of git-lfs
    grades      submissions of the 29 native competitions, valid ones and ones with a changed cell, column or header
    prepared    md5 of prepared tables, made of small raw files by both preparers
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests/tasks/mlebench")]

import answers as tables  # noqa: E402
import raw_files  # noqa: E402

from tasks.mlebench.facts import competitions  # noqa: E402
from tasks.mlebench.graders import RULES, score_file  # noqa: E402
from tasks.mlebench.official_metrics import Invalid  # noqa: E402
from tasks.mlebench.official_package import how_to_install, interpreter  # noqa: E402
from tasks.mlebench.prepare import prepare  # noqa: E402

VALUES: list[tables.Cell] = [
    *("", "NA", "x", "inf", "True", "tRue", "1_0", "\u0661", "1\0", " 1", "+1", "1e0", "0x1", "-0.1", "1.5", "2.5"),
    *("0", "1", "1.0", "7"),
]
CLASSES = {
    "dog-breed-identification": ("BREEDS", "dogs", "DOGS_LIST"),
    "leaf-classification": ("SPECIES", "classes", "CLASSES"),
}
"""Competitions whose official code lists the classes: the list of `raw_files`, and the official module and list."""
CHILD = """
import importlib, json, logging, sys, warnings
from pathlib import Path
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
from mlebench.grade_helpers import Grader
from mlebench.registry import registry
from mlebench.utils import load_yaml, read_csv

def facts(name):
    folder = registry.get_competitions_dir() / name
    data = load_yaml(folder / "config.yaml")["dataset"]
    paths = {key: data[source].partition("prepared/")[2] for key, source in
             (("answers", "answers"), ("sample", "sample_submission"))}
    result = {**paths, "md5": load_yaml(folder / "checksums.yaml")}
    if (folder / "leaderboard.csv").read_bytes()[:7] != b"version":
        import pandas
        grader = Grader("any", "mlebench.utils:read_csv")  # which function grades makes no difference to the ranks
        board = pandas.read_csv(folder / "leaderboard.csv")
        ranks = grader.rank_score(None, board)
        result["thresholds"] = {key: ranks[key + "_threshold"] for key in ("gold", "silver", "bronze", "median")}
        result["teams"], result["lower"] = len(board), grader.is_lower_better(board)
    return result

def grades(name, pairs):
    grader, scores = registry.get_competition(name).grader, []
    for submission, answers in pairs:
        try:
            frame = read_csv(submission)
        except Exception:
            scores.append(None)
            continue
        score = grader(frame, read_csv(answers))
        scores.append(None if score is None else float(score))
    return scores

def classes(name, module, title):
    return list(getattr(importlib.import_module(f"mlebench.competitions.{name}.{module}"), title))

def prepared(name, source, target):
    public, private = Path(target) / "public", Path(target) / "private"
    for folder in (public, private):
        folder.mkdir(parents=True)
    registry.get_competition(name).prepare_fn(Path(source), public, private)

request = json.load(sys.stdin)
print("REPLY " + json.dumps(globals()[request[0]](*request[1:])))
"""


class Official:
    """The official package, asked in a process of its own."""

    def __init__(self, python: Path, folder: Path) -> None:
        self._python, self._folder = python, folder

    def ask(self, *request: Any) -> Any:
        """The reply of a function of CHILD. Raises RuntimeError with the last line of its error."""
        done = subprocess.run(
            [self._python, "-c", CHILD], input=json.dumps(request), capture_output=True, text=True, cwd=self._folder
        )
        replies = [line[6:] for line in done.stdout.splitlines() if line.startswith("REPLY ")]
        if not replies:
            raise RuntimeError((done.stderr.strip().splitlines() or ["no reply"])[-1])
        return json.loads(replies[-1])


class Tally:
    """Counts of comparisons by kind; differences are printed."""

    def __init__(self) -> None:
        self.same: Counter[str] = Counter()
        self.all: Counter[str] = Counter()

    def compare(self, kind: str, label: str, ours: object, official: object) -> None:
        """Count one comparison."""
        self.all[kind] += 1
        is_nan = isinstance(ours, float) and isinstance(official, float) and math.isnan(ours) and math.isnan(official)
        if ours == official or is_nan:
            self.same[kind] += 1
        else:
            print(f"{kind}: {label}: here {ours}, official {official}")


def compare_facts(name: str, official: Official, tally: Tally) -> None:
    """Facts and thresholds of one competition."""
    one, other = competitions()[name], official.ask("facts", name)
    sums = {"zip": other["md5"]["zip"]}
    for side in ("private", "public"):
        sums |= {f"{side}/{file}": value for file, value in (other["md5"].get(side) or {}).items()}
    tally.compare("facts", f"{name} answers", one.answers, other["answers"])
    tally.compare("facts", f"{name} sample", one.sample, other["sample"])
    for file in one.md5:
        tally.compare("facts", f"{name} md5 of {file}", one.md5[file], sums.get(file))
    if "thresholds" in other:
        for line, value in other["thresholds"].items():
            tally.compare("thresholds", f"{name} {line}", getattr(one.thresholds, line), value)
        tally.compare("thresholds", f"{name} teams", one.thresholds.rows, other["teams"])
        tally.compare("thresholds", f"{name} direction", one.lower_is_better, other["lower"])


def compare_grades(name: str, official: Official, tally: Tally, seeds: int, folder: Path) -> None:
    """Grades of submissions with small changes."""
    labels, pairs, ours = [], [], []
    for seed in range(seeds):
        truth, guess = tables.draw_tables(name, seed)
        if name in CLASSES:
            truth[0][1:] = guess[0][1:] = official.ask("classes", name, *CLASSES[name][1:])
        answers = tables.write(folder / f"{name}-{seed}-answers.csv", truth)
        for label, table in _variants(guess):
            path = tables.write(folder / f"{name}-{seed}-{len(pairs)}.csv", table)
            labels.append(f"{name} seed {seed} {label}")
            pairs.append([str(path), str(answers)])
            ours.append(_score(name, path, answers))
    for label, mine, other in zip(labels, ours, official.ask("grades", name, pairs), strict=True):
        tally.compare("grades", label, mine, other)


def _score(name: str, path: Path, answers: Path) -> float | None:
    try:
        return float(round(score_file(name, path, answers), 5))
    except Invalid:
        return None


def _variants(table: tables.Table) -> Iterator[tuple[str, tables.Table]]:
    header, *rows = table
    yield "as drawn", table
    yield "rows reversed", [header, *rows[::-1]]
    yield "columns reversed", [row[::-1] for row in table]
    yield "another column", [[*header, "more"], *([*row, 1] for row in rows)]
    yield "a row missing", table[:-1]
    yield "a row twice", [*table, rows[0]]
    yield "an id twice", [header, *rows[:-1], [rows[0][0], *rows[-1][1:]]]
    yield "no rows", [header]
    for column in {0, len(header) - 1}:
        for suffix in ("\0", "\0x", " ", "x"):
            changed = [f"{title}{suffix}" if at == column else title for at, title in enumerate(header)]
            yield f"header {changed[column]!r}", [changed, *rows]
    for value in VALUES:
        yield f"one {value!r}", [header, [*rows[0][:-1], value], *rows[1:]]
        yield f"all {value!r}", [header, *([*row[:-1], value] for row in rows)]


def compare_prepared(name: str, official: Official, tally: Tally, folder: Path) -> None:
    """Files that both preparers make of the same small raw files."""
    if name in CLASSES:
        setattr(raw_files, CLASSES[name][0], official.ask("classes", name, *CLASSES[name][1:]))
    source = raw_files.raw(name, folder / "raw" / name)
    home = folder / "home"
    prepare(name, home, source, lambda *_: None, accepts_differences=True)
    try:
        official.ask("prepared", name, str(source), str(folder / "official" / name))
    except RuntimeError as error:
        print(f"prepared: {name}: the official preparer does not take the small raw files: {error}")
        return
    for file in competitions()[name].md5:
        if file != "zip":
            one, other = home / "data" / name / "prepared" / file, folder / "official" / name / file
            is_same = one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()
            tally.compare("prepared", f"{name} {file}", is_same, True)


def main() -> None:
    """Compare and print the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = Path(os.environ.get("HARNESS_HOME", Path.home() / ".harness"))
    parser.add_argument("--home", type=Path, default=default, help="the folder that has mlebench/bin/python")
    parser.add_argument("--seeds", type=int, default=3, help="random tables of each competition")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=sorted(competitions()), help="competitions")
    options = parser.parse_args()
    python = interpreter(options.home)
    if python is None:
        print(f"nothing was compared: {how_to_install(options.home)}")
        return
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        official = Official(python, folder)
        for competition in options.only:
            try:
                compare_facts(competition, official, tally)
                if competition in RULES:
                    compare_grades(competition, official, tally, options.seeds, folder)
                    compare_prepared(competition, official, tally, folder)
            except RuntimeError as error:
                print(f"{competition}: the official package failed: {error}")
    for kind in ("facts", "thresholds", "grades", "prepared"):
        print(f"{kind}: {tally.same[kind]:,} of {tally.all[kind]:,} agree")


if __name__ == "__main__":
    main()
