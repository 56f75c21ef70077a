"""`harness report RUN --html`: one self-contained page per run, with its charts and the winning code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness import errors
from harness.commands.show import find_run
from harness.settings import Settings
from runs.files import replace_file
from runs.page.export import export_page
from runs.page.facts.all_runs import AllRuns
from runs.page.facts.run_view import RunView


def write_pages(names: Sequence[str], settings: Settings, output: Path | None) -> int:
    """Write `<run>.html` for each run into `output` (default: the current folder) and print the paths."""
    if any(name.endswith(".json") for name in names):
        errors.fail("--html takes runs, not grading reports")
    folders = [find_run(name, settings) for name in names]
    into = output or Path()
    into.mkdir(parents=True, exist_ok=True)
    grades = AllRuns(settings.runs, settings.grades)
    for folder in folders:
        view = RunView(folder)
        view.refresh()
        path = into / f"{folder.name}.html"
        replace_file(path, export_page(view, grades.grade(folder.name)))
        print(path)
    return errors.DONE
