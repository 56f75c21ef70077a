"""Shell completion: commands, options, and names of runs and tasks. See docs/commands.md for how to switch it on."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import argcomplete

from harness.settings import SettingsError, load_settings


def complete(parser: argparse.ArgumentParser) -> None:
    """Print the words that may come next, and exit, where a shell asks for them."""
    for action in _actions(parser):
        if action.metavar == "RUN":
            action.completer = run_names  # type: ignore[attr-defined]
        if action.metavar == "TASK":
            action.completer = task_names  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser)


def run_names(**_: object) -> list[str]:
    """The ids of all runs, newest first, and `last`."""
    try:
        return ["last", *sorted((folder.name for folder in load_settings().runs.iterdir()), reverse=True)]
    except (OSError, SettingsError):
        return []


def task_names(prefix: str, **_: object) -> list[str]:
    """The names of the tasks that come with the harness, and paths."""
    from tasks.examples.prepare import EXAMPLES

    return [*EXAMPLES, *argcomplete.completers.FilesCompleter()(prefix)]


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
        else:
            yield action
