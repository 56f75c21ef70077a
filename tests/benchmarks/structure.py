"""How much of the code a reader meets: sizes, import circles, and the files one turn and one evaluation run through.

    python -m tests.benchmarks.structure

A scripted model plays a short run in this process (local sandbox, real client, real judge). A profile
function counts the files and functions of the five packages that execute during one turn with a `bash` call, and during
one turn with an `evaluate` call. Prints a table; nothing here passes or fails.
"""

from __future__ import annotations

import ast
import io
import sys
import tempfile
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from harness.startup import open_run
from harness.ui.live import open_screen
from tests.long_play import Calls, Worker, engine_of, settings_of
from tests.playing import SOLUTION, call
from tests.test_architecture import MODULES, ROOT, TOP_PACKAGES, imports_of, package_of

TURN, EVALUATION = 3, 5
"""The turns that are counted: a later `bash` call, and an evaluation that is compared with an earlier one."""


@dataclass
class Trace:
    """Files, and functions as (file, name), that executed in one turn."""

    files: set[str] = field(default_factory=set)
    functions: set[tuple[str, str]] = field(default_factory=set)


@dataclass
class Tracer:
    """A profile function that keeps one `Trace` for each call of `harness.attempt.turn`."""

    turns: list[Trace] = field(default_factory=list)
    _open: Trace | None = None

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        code = frame.f_code
        if not code.co_filename.startswith(f"{ROOT}/"):
            return
        path = code.co_filename[len(str(ROOT)) + 1 :]
        is_turn = (path, code.co_name) == ("harness/attempt.py", "turn")
        if event == "call" and path.partition("/")[0] in TOP_PACKAGES:
            if is_turn:
                self._open = Trace()
            if self._open is not None:
                self._open.files.add(path)
                self._open.functions.add((path, code.co_qualname if sys.version_info >= (3, 11) else code.co_name))
        elif event == "return" and is_turn and self._open is not None:
            self.turns.append(self._open)
            self._open = None


def steps(turn: int) -> Calls:
    """The calls of the scripted model."""
    script = [
        call("bash", command="ls"),
        call("write_file", path="solution.py", content=SOLUTION),
        call("bash", command="ls; echo hello"),
        call("evaluate", command="python solution.py"),
        call("evaluate", command="python solution.py; true"),
        call("bash", command="ls"),
    ]
    return [script[min(turn, len(script)) - 1]]


def traced_turns() -> list[Trace]:
    """Play a short run and return what each of its turns executed."""
    tracer = Tracer()
    with tempfile.TemporaryDirectory() as home, redirect_stdout(io.StringIO()):
        sys.setprofile(tracer)
        try:
            _play(Path(home))
        finally:
            sys.setprofile(None)
    return tracer.turns


def _play(home: Path) -> None:
    with engine_of(home, Worker(steps)) as (_, url):
        flags = {"model": "scripted", "base_url": url, "turns": 6, "sandbox": "local", "parallel": 1}
        open_run.start(open_run.RunRequest("digits", flags), settings_of(home), open_screen(False, True))


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """The sets of nodes that reach each other."""
    reached = {name: _reached(arrows, name) for name in arrows}
    groups = {frozenset(other for other in reached[name] if name in reached[other]) for name in arrows}
    return [sorted(group) for group in groups if len(group) > 1]


def _reached(arrows: dict[str, set[str]], start: str) -> set[str]:
    seen, waiting = set[str](), [start]
    while waiting:
        for target in arrows.get(waiting.pop(), ()):
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen


def function_lengths() -> list[int]:
    """Lines of every function of the five packages."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in MODULES.values())
    functions = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return sorted((node.end_lineno or 0) - node.lineno + 1 for node in functions)


def main() -> None:
    """Print the measures."""
    sizes = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    lengths = function_lengths()
    arrows = {name: imports_of(name) & set(MODULES) for name in MODULES}
    packages: dict[str, set[str]] = {}
    for name, targets in arrows.items():
        own = package_of(name)
        packages.setdefault(own, set()).update({package_of(target) for target in targets} - {own})
    tasks = {name: {one for one in targets if one.startswith("tasks")} for name, targets in packages.items()}
    turns = traced_turns()
    turn, evaluation = turns[TURN - 1], turns[EVALUATION - 1]
    rows = [
        ("modules", len(MODULES)),
        ("lines", sum(sizes.values())),
        ("longest file", max(sizes.values())),
        ("median function, lines", lengths[len(lengths) // 2]),
        ("functions over 30 lines", sum(length > 30 for length in lengths)),
        ("import circles of files, type imports included", len(circles(arrows))),
        ("import circles of subpackages", len(circles(packages))),
        ("nodes in tasks/", sum(name.startswith("tasks") for name in packages)),
        ("arrows in tasks/", sum(len(targets) for name, targets in tasks.items() if name.startswith("tasks"))),
        ("files a turn", len(turn.files)),
        ("functions a turn", len(turn.functions)),
        ("files an evaluation", len(evaluation.files)),
        ("functions an evaluation", len(evaluation.functions)),
    ]
    for label, count in rows:
        print(f"{label:48} {count:6}")
    print("\nfiles a turn:", *sorted(turn.files), sep="\n  ")
    print("\nfiles an evaluation runs beyond these:", *sorted(evaluation.files - turn.files), sep="\n  ")


if __name__ == "__main__":
    main()
