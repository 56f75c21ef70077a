"""The command line of commands that act on a run that exists: live control, and `fork`."""

from __future__ import annotations

from harness.amounts import count, dollars, hours
from harness.cli import commands as call
from harness.cli.parser import Parser, SubParsers, add_plain, add_run_command


def add_control(commands: SubParsers[Parser]) -> None:
    """Add `fork`, `attach`, `steer`, `pause`, `stop` and `extend`."""
    _add_fork(commands)
    add_plain(add_run_command(commands, "attach", call.attach, "watch a run that is being played"))
    steer = add_run_command(commands, "steer", call.steer, "give the model of a run a hint")
    steer.add_argument("hint", metavar="HINT", nargs="?", default="", help="what the model should know, in your words")
    steer.add_argument(
        "--from", dest="evaluation", metavar="EVALUATION", default="", help="start the next attempt from this one"
    )
    add_run_command(commands, "pause", call.pause, "pause a run; `resume` continues it")
    stop = add_run_command(commands, "stop", call.stop, "end a run with its final selection")
    stop.add_argument("--now", action="store_true", help="stop its process within seconds instead; it can be resumed")
    extend = add_run_command(commands, "extend", call.extend, "add to the budget of a run")
    _add_budget(extend, "to add")


def _add_fork(commands: SubParsers[Parser]) -> None:
    fork = add_run_command(commands, "fork", call.fork, "start a new run from a point of another one")
    where = "number of an event, or name of an evaluation to start from"
    fork.add_argument("--at", metavar="EVENT", required=True, help=where)
    fork.add_argument("--model", metavar="NAME", help="the model from now on")
    fork.add_argument("--base-url", metavar="URL", help="the address of the endpoint from now on")
    fork.add_argument("--endpoint", metavar="NAME", help="the endpoint of config.toml from now on")
    _add_budget(fork, "of the fork (default: as the run had)")
    own = "change a setting of the fork (search, sampling, context, limits, client, notify)"
    fork.add_argument("--set", dest="assignments", metavar="NAME=VALUE", action="append", default=[], help=own)
    fork.add_argument("--parallel", metavar="N", type=count, help="number of attempts played at once")
    add_plain(fork)


def _add_budget(command: Parser, text: str) -> None:
    command.add_argument("--hours", metavar="H", type=hours, help=f"active time {text}")
    command.add_argument("--cost", metavar="DOLLARS", type=dollars, help=f"dollars {text}")
    command.add_argument("--attempts", metavar="N", type=count, help=f"attempts {text}")
    command.add_argument("--turns", metavar="N", type=count, help=f"model replies {text}")
