"""pyproject.toml requires what the code imports, and nothing else."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("harness", "context", "sandboxes", "tasks", "runs")
FOR_USERS = ("archives", "notify", "ray", "slurm", "tables")
"""The extras of a user; the others are for tests."""
LOADED_BY_PANDAS = {"openpyxl", "pyarrow"}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _required(requirements: list[str]) -> set[str]:
    return {_plain(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]) for line in requirements}


def _imported_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@cache
def _imported() -> dict[str, Path]:
    """The distributions that the code imports, and a file that does; a name that is not installed stands for itself."""
    distributions = importlib.metadata.packages_distributions()
    found: dict[str, Path] = {}
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for name in _imported_names(ast.parse(path.read_text(encoding="utf-8"))):
            package = name.partition(".")[0]
            if package not in (*sys.stdlib_module_names, *ROOMS):
                found.setdefault(_plain(distributions.get(package, [package])[0]), path)
    return found


@cache
def _project() -> dict[str, list[str]]:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"": table["dependencies"], **table["optional-dependencies"]}


def test_what_is_imported_is_required() -> None:
    required = _required([line for name in ("", *FOR_USERS) for line in _project()[name]])
    missing = {name: str(path.relative_to(ROOT)) for name, path in _imported().items() if name not in required}
    assert not missing


def test_only_what_is_imported_is_required() -> None:
    required = _required([line for name in ("", *FOR_USERS) for line in _project()[name]])
    assert required - _imported().keys() - LOADED_BY_PANDAS == {"six"}, "six: kaggle imports it without requiring it"
    assert "six" not in _required(importlib.metadata.requires("kaggle") or []), "pyproject.toml no longer needs six"
