"""The structure of the code, checked by reading it: imports point down without circles, and files stay small."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOP_PACKAGES = ("harness", "context", "sandboxes", "tasks", "runs")
MAY_IMPORT = {
    "harness": {"context", "sandboxes", "tasks", "runs"},
    "context": {"runs"},
    "sandboxes": set(),
    "tasks": set(),
    "runs": set(),
}
MAX_LINES = 350
HEAVY = ("pydantic", "rich", "pandas", "numpy", "sklearn", "openai", "docker", "git", "yaml", "tenacity", "kaggle")
READS_THE_ENVIRONMENT = {
    "harness/settings.py",
    "tasks/subprocesses.py",  # it passes the environment on, without keys, and limits threads
}


def modules() -> dict[str, Path]:
    """Every module of the project by its dotted name."""
    found = {}
    for top in TOP_PACKAGES:
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def tree_of(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"), filename=str(MODULES[name]))


def imports_of(name: str) -> set[str]:
    """The modules of the project that a module imports: at its top, in functions, and for type checking."""
    imported = {target for node in ast.walk(tree_of(name)) for target in imported_by(name, node)}
    return {target for target in imported if target.partition(".")[0] in TOP_PACKAGES} - {name}


def imported_by(name: str, node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
        up = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*up, *([node.module] if node.module else [])])
        for alias in node.names:
            yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base


@pytest.mark.parametrize("top", TOP_PACKAGES)
def test_imports_point_down(top: str) -> None:
    broken = [
        f"{name} imports {target}"
        for name in MODULES
        if name.partition(".")[0] == top
        for target in sorted(imports_of(name))
        if target.partition(".")[0] not in MAY_IMPORT[top] | {top}
    ]
    assert not broken, f"{top} may import {sorted(MAY_IMPORT[top]) or 'no other package'}"


def assert_no_circle(arrows: dict[str, set[str]]) -> None:
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for target in sorted(arrows.get(name, ())):
                walk(target, [*path, name])
            done.add(name)

    for name in sorted(arrows):
        walk(name, [])


def test_no_circle_among_modules() -> None:
    assert_no_circle({name: imports_of(name) & set(MODULES) for name in MODULES})


def package_of(name: str) -> str:
    """The subpackage a module belongs to, or the module itself if it is directly in its top-level package."""
    parts = name.split(".")
    return ".".join(parts[:2])


@pytest.mark.parametrize("top", TOP_PACKAGES)
def test_imports_between_subpackages_point_in_one_direction(top: str) -> None:
    """A subpackage counts as one node, so no arrow can go up again from what it uses."""
    arrows: dict[str, set[str]] = {}
    for name in MODULES:
        if name.partition(".")[0] == top:
            targets = {package_of(target) for target in imports_of(name) if target.partition(".")[0] == top}
            arrows.setdefault(package_of(name), set()).update(targets - {package_of(name)})
    assert_no_circle(arrows)


def test_every_imported_module_exists() -> None:
    missing = [
        f"{name} imports {target}" for name in MODULES for target in sorted(imports_of(name)) if target not in MODULES
    ]
    assert not missing


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_is_small_and_has_a_docstring(name: str) -> None:
    text = MODULES[name].read_text(encoding="utf-8")
    lines = len(text.splitlines())
    assert lines <= MAX_LINES, "look for the second idea in it"
    assert not text.strip() or ast.get_docstring(tree_of(name)), "a module begins with a sentence that says what it is"


def test_only_settings_read_the_environment() -> None:
    readers = {
        path.relative_to(ROOT).as_posix()
        for name, path in MODULES.items()
        for node in ast.walk(tree_of(name))
        if (isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv", "os.environb"))
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and {"environ", "getenv"} & {a.name for a in node.names}
        )
    }
    assert readers <= READS_THE_ENVIRONMENT


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom harness.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', *[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert "usage: harness" in done.stdout
    assert done.stdout.splitlines()[-1] == "HEAVY"


def test_a_top_package_is_plain() -> None:
    """Importing a package runs nothing: its `__init__` holds at most its sentence."""
    for top in TOP_PACKAGES:
        body = tree_of(top).body
        assert all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body), top
