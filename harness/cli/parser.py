"""An argument parser whose errors name the nearest command or option, with the usage of the command that was meant."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable, Sequence
from typing import NoReturn

RUN_HELP = "a run: its id or an unambiguous part of it, its folder, or `last`"


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


def _hint(word: str, names: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(word, list(names), n=1, cutoff=0.6)
    return f"did you mean {nearest[0]}?" if nearest else ""
