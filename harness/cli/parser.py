"""An argument parser whose errors name the nearest command or option, with the usage of the command that was meant."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from harness.settings import Settings

RUN_HELP = "a run: its id or an unambiguous part of it, its folder, or `last`"
SubParsers = argparse._SubParsersAction  # the type argparse gives its sub-commands; it has no public name


class Parser(argparse.ArgumentParser):
    """The parser of the command line, and of each command."""

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse a command line; unknown options are an error of the command they were given to."""
        options, unknown = self.parse_known_args(words)
        if unknown:
            command = self._command(words)
            names = [name for action in command._actions for name in action.option_strings]
            hints = [hint for word in unknown if (hint := _hint(word.partition("=")[0], names))]
            command.error("; ".join([f"unrecognized arguments: {' '.join(unknown)}", *hints]))
        return options

    def error(self, message: str) -> NoReturn:
        """Print the usage and what is wrong, and exit with 2."""
        match = re.search(r"argument COMMAND: invalid choice: '(.*?)' ", message)
        if match:
            hint = _hint(match[1], self._commands())
            message = f"there is no command {match[1]!r}; {hint or '`harness --help` lists the commands'}"
        super().error(message)

    def _commands(self) -> dict[str, Parser]:
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                return dict(action.choices)
        return {}

    def _command(self, words: Sequence[str]) -> Parser:
        commands = self._commands()
        return next((commands[word] for word in words if word in commands), self)


def add_command(
    commands: SubParsers[Parser], name: str, call: Callable[[argparse.Namespace, Settings], int], text: str
) -> Parser:
    """Add a command that calls a function of `commands.py`; `text` is its line in `harness --help`."""
    command = commands.add_parser(name, allow_abbrev=False, help=text)
    command.set_defaults(command=call)
    return command


def add_run_command(
    commands: SubParsers[Parser], name: str, call: Callable[[argparse.Namespace, Settings], int], text: str
) -> Parser:
    """Add a command whose first argument is one run."""
    command = add_command(commands, name, call, text)
    command.add_argument("run", metavar="RUN", help=RUN_HELP)
    return command


def add_plain(command: Parser) -> None:
    """Add the option that replaces the live panel by plain lines."""
    command.add_argument("--plain", action="store_true", help="plain lines instead of the live panel")


def _hint(word: str, names: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(word, list(names), n=1, cutoff=0.6)
    return f"did you mean {nearest[0]}?" if nearest else ""
