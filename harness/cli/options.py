"""What may be typed: every command, its options, and which function of `commands` it calls.

Parsing imports nothing heavy, so that `harness --help` is quick; each command imports what it needs when it is called.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from harness import errors
from harness.amounts import count, seed_count, speed
from harness.cli import commands as call
from harness.cli.control_options import add_control
from harness.cli.parser import RUN_HELP, Parser, SubParsers, add_command, add_plain, add_run_command
from harness.cli.run_options import SET_HELP, add_config, add_resume, add_run

_SPLITS = ["low", "medium", "high", "all", "dev"]
_SORT_KEYS = ["started", "task", "score", "cost", "active"]


def make_parser(commands: Sequence[str] = ("run", "config")) -> Parser:
    """The parser of the command line. Options for run settings are added to the named commands only, because reading
    their definitions imports pydantic."""
    parser = Parser(
        prog="harness",
        allow_abbrev=False,
        description="Let an open-weights model work alone on a Kaggle-style task, judged on labels it never sees.",
        epilog="exit codes: 0 done, 1 our bug, 2 your input, 3 stopped and resumable, 4 endpoint, 5 sandbox",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    add_run(subparsers, with_settings="run" in commands)
    add_resume(subparsers)
    add_control(subparsers)
    _add_listing(subparsers)
    _add_storage(subparsers)
    _add_score(subparsers)
    _add_doctor(subparsers)
    add_config(subparsers, with_settings="config" in commands)
    _add_new_task(subparsers)
    _add_competitions(subparsers)
    _add_lessons(subparsers)
    _add_evolve(subparsers)
    _add_sweep(subparsers)
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"harness {version('open-harness')}")
        parser.exit(errors.DONE)


def _add_listing(commands: SubParsers[Parser]) -> None:
    runs = add_command(commands, "runs", call.runs, "list all runs")
    runs.add_argument("--task", metavar="TASK", default="", help="only runs of this task")
    runs.add_argument("--sort", choices=_SORT_KEYS, default="started", help="what to sort by (default started)")
    runs.add_argument("--json", action="store_true", help="one JSON object per line instead of a table")
    add_command(commands, "status", call.status, "list the runs that are being played, one line each")
    show = add_run_command(commands, "show", call.show, "print the transcript of a run")
    show.add_argument("--attempt", metavar="N", type=count, help="only this attempt")
    show.add_argument("--full", action="store_true", help="do not shorten texts")
    show.add_argument("--cost", action="store_true", help="cost and cache hits of each turn instead")
    show.add_argument("--messages", action="store_true", help="chat messages as JSON Lines, one line per epoch")
    show.add_argument("--epochs", action="store_true", help="compactions of the window and their reasons instead")
    view = add_command(commands, "view", call.view, "show runs in a browser, live ones as they are played")
    view.add_argument("run", metavar="RUN", nargs="?", help=f"{RUN_HELP} (default: the list of all runs)")
    view.add_argument("--port", metavar="N", type=count, help="the port on 127.0.0.1 (default 8765, or a free one)")
    check = add_run_command(commands, "check", call.check, "check that a run folder holds what was recorded")
    check.add_argument("--save", metavar="DIR", type=Path, help="copy what is intact into a new folder")
    replay = add_run_command(commands, "replay", call.replay, "replay a recorded run on the screen")
    replay.add_argument(
        "--speed", metavar="X", type=speed, default=60.0, help="speed, as a multiple of the recorded one (default 60)"
    )
    add_plain(replay)
    tasks = add_command(commands, "tasks", call.tasks, "list all tasks, or show one")
    tasks.add_argument("name", metavar="NAME", nargs="?", help="a task's name, its task.yaml, or its folder")
    tasks.add_argument("--metrics", action="store_true", help="list the metrics that a task may name instead")
    tasks.add_argument("--split", choices=_SPLITS, help="the competitions of this part of MLE-bench (low is Lite)")


def _add_storage(commands: SubParsers[Parser]) -> None:
    add_command(commands, "du", call.du, "show the disk space that runs and their data take")
    rm = add_command(commands, "rm", call.rm, "remove runs, and data that no other run needs")
    rm.add_argument("run", metavar="RUN", nargs="+", help=RUN_HELP)
    rm.add_argument("--yes", action="store_true", help="remove; without it only the sizes are shown")
    export = add_run_command(commands, "export", call.export, "write a run's winning code to a folder, to run it")
    export.add_argument("folder", metavar="DIR", type=Path, help="a folder that does not exist yet, or is empty")


def _add_competitions(commands: SubParsers[Parser]) -> None:
    prepare = add_command(commands, "prepare", call.prepare, "prepare the data of an MLE-bench competition")
    prepare.add_argument("competition", metavar="COMPETITION", help="a name from `harness tasks --split all`")
    prepare.add_argument("--raw", metavar="DIR", type=Path, help="Kaggle's files or zip, if already downloaded")
    prepare.add_argument("--accept-differences", action="store_true", help="accept data whose checksums differ")
    report = add_command(commands, "report", call.report, "compute benchmark results over graded runs")
    report.add_argument("run", metavar="RUN", nargs="+", help=f"{RUN_HELP}; or a grading report file")
    report.add_argument("--split", choices=_SPLITS, default="low", help="which competitions count (default low)")
    report.add_argument("--pad-missing", action="store_true", help="count a competition without a run as no medal")
    report.add_argument(
        "--seeds", metavar="N", type=seed_count, help="average over the first N seeds (default, -1: all)"
    )
    report.add_argument("--output", metavar="DIR", type=Path, help="write report.md, .json, .csv and the curve there")
    report.add_argument("--json", action="store_true", help="JSON instead of Markdown")
    report.add_argument("--html", action="store_true", help="write one page per run, graded or not, to mail or archive")
    report.add_argument("--curve", action="store_true", help="also grade every attempt: medals over time")
    submit = add_run_command(commands, "submit", call.submit, "submit a run's submission to Kaggle")
    submit.add_argument("--competition", metavar="NAME", help="Kaggle's name of the competition, if different")


def _add_score(commands: SubParsers[Parser]) -> None:
    score = add_command(commands, "score", call.score, "grade finished runs against the private answers")
    score.add_argument("run", metavar="RUN", nargs="+", help=RUN_HELP)
    score.add_argument("--json", action="store_true", help="MLE-bench's report as JSON instead of a table")
    score.add_argument("--output", metavar="DIR", type=Path, help="write MLE-bench's report file into this folder")
    score.add_argument(
        "--anyway", action="store_true", help="also grade a run that has not ended; it cannot be resumed"
    )


def _add_doctor(commands: SubParsers[Parser]) -> None:
    doctor = add_command(commands, "doctor", call.doctor, "check this machine, its sandboxes and the endpoint")
    doctor.add_argument("--endpoint", metavar="NAME", help="endpoint of config.toml to check")
    doctor.add_argument("--base-url", metavar="URL", help="endpoint to check")
    doctor.add_argument("--model", metavar="NAME", help="model the endpoint should serve")
    doctor.add_argument("--build-image", choices=["small", "ml"], help="build the Docker sandbox's image, and stop")


def _add_new_task(commands: SubParsers[Parser]) -> None:
    new = add_command(commands, "new-task", call.new_task, "create a task from a table or a folder")
    data = "a table (CSV, TSV, JSON, Parquet, Excel, also packed), or a folder"
    new.add_argument("data", metavar="DATA", type=Path, nargs="?", help=data)
    new.add_argument("--target", metavar="COLUMN", action="append", default=[], help="column to predict (repeatable)")
    new.add_argument("--id", metavar="COLUMN", help="a column of ids to keep (default: new ids)")
    new.add_argument("--group", metavar="COLUMN", help="rows with the same value are held out together")
    new.add_argument("--time", metavar="COLUMN", help="the latest rows are held out")
    new.add_argument("--metric", metavar="NAME", help="metric (default: inferred from the target)")
    types = "correct what columns hold: number, category, text or time"
    new.add_argument("--types", metavar="COLUMN=KIND", action="append", default=[], help=types)
    new.add_argument("--positive", metavar="LABEL", help="the label whose probability is predicted")
    new.add_argument("--order", metavar="LABELS", help="labels from low to high, separated by commas")
    new.add_argument("--split-labels", metavar="TEXT", help="what separates several labels in a cell")
    for name, what in (
        ("train", "table or folder of labelled rows"),
        ("test", "rows to predict"),
        ("sample", "sample submission"),
    ):
        new.add_argument(f"--{name}", metavar="FILE", type=Path, help=f"{what} (instead of DATA)")
    new.add_argument("--kaggle", metavar="NAME", help="download this live competition of Kaggle (instead of DATA)")
    new.add_argument("--into", metavar="DIR", type=Path, help="the folder to create (default: named like the file)")


def _add_lessons(commands: SubParsers[Parser]) -> None:
    lessons = add_command(commands, "lessons", call.lessons, "list and manage lessons of earlier runs, with evidence")
    lessons.add_argument("what", choices=_LESSONS, nargs="?", default="list", help="what to do (default list)")
    lessons.add_argument("arguments", metavar="ARGUMENT", nargs="*", help="lessons, words, files or runs")
    lessons.add_argument("--ledger", metavar="FILE", help="the ledger file (default: ledger.sqlite in HARNESS_HOME)")
    lessons.add_argument("--modality", metavar="NAME", help="list only lessons of this modality")
    lessons.add_argument("--all", action="store_true", help="also list retired lessons")
    lessons.add_argument("--json", action="store_true", help="JSON instead of a table (benefit)")


_LESSONS = ["list", "search", "show", "retire", "restore", "confirm", "export", "import", "learn", "verify", "benefit"]


def _add_evolve(commands: SubParsers[Parser]) -> None:
    evolve = add_command(commands, "evolve", call.evolve, "try a changed playbook and keep it if it is better")
    what = ["list", "ask", "lessons", "show", "propose", "run", "use"]
    evolve.add_argument("what", choices=what, nargs="?", default="list", help="what to do (default list)")
    evolve.add_argument(
        "arguments", metavar="ARGUMENT", nargs="*", help="a folder of prompts, a draft, a trial, or a version"
    )
    evolve.add_argument("--measure", metavar="NAME", help="the mechanism that the change should improve")
    evolve.add_argument("--task", metavar="NAME=LOW:HIGH", action="append", help="a task, scores that count as 0 and 1")
    evolve.add_argument("--why", metavar="TEXT", help="why the change should help, for the record")
    evolve.add_argument("--set", dest="assignments", metavar="NAME=VALUE", action="append", help=SET_HELP)
    evolve.add_argument("--runs", metavar="N", type=count, help="play at most N runs now")
    evolve.add_argument("--yes", action="store_true", help="start the runs whose cost was stated")


def _add_sweep(commands: SubParsers[Parser]) -> None:
    sweep = add_command(commands, "sweep", call.sweep, "play many runs: tasks x seeds x settings")
    what = "a sweep file, or tasks; or status, stop, resume, report, work or merge, and a sweep's name"
    sweep.add_argument("arguments", metavar="ARGUMENT", nargs="*", help=what)
    sweep.add_argument("--name", metavar="NAME", help="name of a new sweep (default: that of its file)")
    sweep.add_argument("--seeds", metavar="N", type=count, help="play every task with the first N seeds (default 1)")
    sweep.add_argument("--set", dest="assignments", metavar="NAME=VALUE", action="append", default=[], help=SET_HELP)
    sweep.add_argument("--trust-task", action="store_true", help="let task files set endpoint and sandbox (remembered)")
    sweep.add_argument("--jobs", metavar="N", type=count, help="number of runs played at once")
    sweep.add_argument("--engine", choices=["local", "ray", "slurm"], help="what distributes the runs (default local)")
    sweep.add_argument(
        "--address", metavar="ADDRESS", help="a Ray cluster: HOST:PORT, auto, or http:// to submit a job"
    )
    sweep.add_argument("--dry-run", action="store_true", help="show the table of runs and start nothing")
    sweep.add_argument("--create-only", action="store_true", help="create the sweep for workers, and play nothing")
    sweep.add_argument("--plain", action="store_true", help="plain lines instead of the live table")
    sweep.add_argument("--retry-failed", action="store_true", help="also try failed runs again (resume)")
    sweep.add_argument("--watch", action="store_true", help="keep the table up to date (status)")
    sweep.add_argument("--all", action="store_true", help="show all runs in the table (status)")
    sweep.add_argument("--json", action="store_true", help="JSON instead of a table (status, report)")
    sweep.add_argument("--output", metavar="DIR", type=Path, help="write the report there (report)")
    sweep.add_argument("--pad-missing", action="store_true", help="count a missing run as no medal (report)")
    sweep.add_argument("--no-curve", action="store_true", help="do not grade every evaluation for the curve (report)")
