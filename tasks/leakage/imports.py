"""Which files of a solution its commands use: those they name, and what these import. Static, so it may miss some."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

_WORD = re.compile(r"[\w./-]+")


def used_files(commands: Sequence[str], sources: Mapping[str, str], others: Collection[str] = ()) -> set[str]:
    """The files that commands name, and those that named Python files import, among `sources` and `others`.

    `sources` are the texts of Python files by path, `others` the paths of the other files.
    """
    known = {*sources, *others}
    waiting = [path for command in commands for path in _named(command, known)]
    used: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path not in used:
            used.add(path)
            waiting += _imported(path, sources[path], known) if path in sources else []
    return used


def _named(text: str, known: Collection[str]) -> Iterator[str]:
    """Files whose path is a word of the text, as it is or as a module (`-m src.train`)."""
    for word in _WORD.findall(text):
        plain = word.removeprefix("./")
        yield from (path for path in (plain, *_of_module(plain)) if path in known)


def _of_module(name: str) -> tuple[str, str]:
    path = name.replace(".", "/")
    return f"{path}.py", f"{path}/__init__.py"


def _imported(path: str, source: str, known: Collection[str]) -> Iterator[str]:
    """Files that a Python file imports or names in a string, from its own folder or from the top."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError):
        return
    folder = PurePosixPath(path).parent
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 200:
            yield from _named(node.value, known)
        for name in _modules(node):
            for found in _of_module(name):
                yield from (place for place in (found, str(folder / found)) if place in known)


def _modules(node: ast.AST) -> Iterator[str]:
    """Names of modules that a statement imports."""
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names)
    elif isinstance(node, ast.ImportFrom):
        prefix = f"{node.module}." if node.module else ""
        yield from (name for alias in node.names for name in (prefix.rstrip("."), f"{prefix}{alias.name}") if name)
