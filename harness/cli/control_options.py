"""The command line of commands that act on a run that exists: live control, and `fork`."""

from __future__ import annotations

import argparse

from harness.amounts import count, dollars, hours
from harness.cli import commands as call
from harness.cli.parser import RUN_HELP, Parser


def add_control(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `fork`, `attach`, `steer`, `pause`, `stop` and `extend`."""
    _add_fork(commands)
    attach = commands.add_parser("attach", allow_abbrev=False, help="watch a run that is being played")
    attach.set_defaults(command=call.attach)
    attach.add_argument("run", metavar="RUN", help=RUN_HELP)
    attach.add_argument("--plain", action="store_true", help="plain lines instead of the live panel")
    steer = commands.add_parser("steer", allow_abbrev=False, help="give the model of a run a hint")
    steer.set_defaults(command=call.steer)
    steer.add_argument("run", metavar="RUN", help=RUN_HELP)
    steer.add_argument("hint", metavar="HINT", nargs="?", default="", help="what the model should know, in your words")
    steer.add_argument(
        "--from", dest="evaluation", metavar="EVALUATION", default="", help="start the next attempt from this one"
    )
    pause = commands.add_parser("pause", allow_abbrev=False, help="pause a run; `resume` continues it")
    pause.set_defaults(command=call.pause)
    pause.add_argument("run", metavar="RUN", help=RUN_HELP)
    stop = commands.add_parser("stop", allow_abbrev=False, help="end a run with its final selection")
    stop.set_defaults(command=call.stop)
    stop.add_argument("run", metavar="RUN", help=RUN_HELP)
    stop.add_argument("--now", action="store_true", help="stop its process within seconds instead; it can be resumed")
    extend = commands.add_parser("extend", allow_abbrev=False, help="add to the budget of a run")
    extend.set_defaults(command=call.extend)
    extend.add_argument("run", metavar="RUN", help=RUN_HELP)
    extend.add_argument("--hours", metavar="H", type=hours, help="active time to add")
    extend.add_argument("--cost", metavar="DOLLARS", type=dollars, help="dollars to add")
    extend.add_argument("--attempts", metavar="N", type=count, help="attempts to add")
    extend.add_argument("--turns", metavar="N", type=count, help="model replies to add")


def _add_fork(commands: argparse._SubParsersAction[Parser]) -> None:
    fork = commands.add_parser("fork", allow_abbrev=False, help="start a new run from a point of another one")
    fork.set_defaults(command=call.fork)
    fork.add_argument("run", metavar="RUN", help=RUN_HELP)
    where = "number of an event, or name of an evaluation to start from"
    fork.add_argument("--at", metavar="EVENT", required=True, help=where)
    fork.add_argument("--model", metavar="NAME", help="the model from now on")
    fork.add_argument("--base-url", metavar="URL", help="the address of the endpoint from now on")
    fork.add_argument("--endpoint", metavar="NAME", help="the endpoint of config.toml from now on")
    fork.add_argument("--hours", metavar="H", type=hours, help="active time of the fork (default: as the run had)")
    fork.add_argument("--cost", metavar="DOLLARS", type=dollars, help="dollars for the fork (default: as the run had)")
    fork.add_argument("--attempts", metavar="N", type=count, help="attempts of the fork (default: as the run had)")
    fork.add_argument("--turns", metavar="N", type=count, help="replies of the fork (default: as the run had)")
    own = "change a setting of the fork (search, sampling, context, limits, client, notify)"
    fork.add_argument("--set", dest="assignments", metavar="NAME=VALUE", action="append", default=[], help=own)
    fork.add_argument("--parallel", metavar="N", type=count, help="play so many attempts at once")
    fork.add_argument("--plain", action="store_true", help="plain lines instead of the live panel")
