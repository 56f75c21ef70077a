"""The command line of commands that play a run: `run`, `resume`, and `config`, which shows what `run` would use."""

from __future__ import annotations

import argparse

from harness.amounts import count, dollars, gpu_count, hours, natural
from harness.cli import commands as call
from harness.cli.parser import Parser, SubParsers, add_command, add_plain, add_run_command


def add_run(commands: SubParsers[Parser], with_settings: bool) -> None:
    run = add_command(commands, "run", call.run, "start a run and play it until its budget ends")
    run.add_argument("task", metavar="TASK", help="a name from `harness tasks`, a task.yaml, or a folder with one")
    if with_settings:
        _add_settings(run)
    add_plain(run)
    run.add_argument("--detach", action="store_true", help="play in a separate session, print the run's id and return")
    run.add_argument("--resume-or-start", metavar="ID", help="continue the run of this id, or start it under this id")
    run.add_argument("--score", action="store_true", help="grade at the end; a graded run cannot be resumed")


def add_config(commands: SubParsers[Parser], with_settings: bool) -> None:
    config = add_command(commands, "config", call.config, "show the effective settings and their sources")
    config.add_argument("task", metavar="TASK", nargs="?", help="include the `run:` part of this task")
    if with_settings:
        _add_settings(config)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """An option for each setting that has a flag, and `--set` for all of them."""
    from runs.run_settings import RunSettings, choices_of, flag_of, unit_of

    for name, field in RunSettings.model_fields.items():
        flag = flag_of(name)
        if not flag:
            continue
        text = (field.description or "").replace("%", "%%")
        if field.annotation is bool:
            parser.add_argument(flag, dest=name, action="store_const", const=True, help=text)
        elif choices := choices_of(name):
            parser.add_argument(flag, dest=name, choices=choices, help=text)
        else:
            kind = _TYPES.get(name) or (natural if field.annotation is int else str)
            metavar = unit_of(name).upper() or name.upper()
            parser.add_argument(flag, dest=name, metavar=metavar, type=kind, help=text)
    parser.add_argument("--set", dest="assignments", metavar="NAME=VALUE", action="append", default=[], help=SET_HELP)
    parser.add_argument(
        "--trust-task", action="store_true", help="let the task file set endpoint and sandbox (remembered)"
    )


_TYPES = {"hours": hours, "cost": dollars, "attempts": count, "turns": count, "parallel": count, "gpus": gpu_count}
SET_HELP = "set any setting; `harness config` lists them"


def add_resume(commands: SubParsers[Parser]) -> None:
    resume = add_run_command(commands, "resume", call.resume, "continue a run that was stopped or crashed")
    resume.add_argument("--parallel", metavar="N", type=count, help="number of attempts played at once from now on")
    resume.add_argument("--base-url", metavar="URL", help="address of the endpoint from now on")
    resume.add_argument("--model", metavar="NAME", help="the model's name at that address, if it differs")
    add_plain(resume)
