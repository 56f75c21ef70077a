"""Draw the pictures of the README: play a run with the demo model and save its live panel and its report as SVG, and
its page as PNG.

    .venv/bin/python docs/pictures/make_pictures.py

The run takes about two minutes and lives in a temporary HARNESS_HOME. Only the pictures are kept. The page needs the
extra `browser` and chromium.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.markdown import Markdown
from rich.theme import Theme

from harness.settings import load_settings
from harness.startup.create_run import RunRequest
from harness.startup.open_run import start
from harness.ui.event_lines import introduction, line_of
from harness.ui.panel import PanelContent
from runs.events.registry import Event
from runs.state import State

FOLDER = Path(__file__).parent
PANEL_WIDTH, PANEL_HEIGHT, REPORT_WIDTH = 112, 40, 132
PAGE_WIDTH, PAGE_HEIGHT = 1240, 1060
SHOWN_ATTEMPT = 5
"""The picture of the panel is taken while the solution of this attempt is evaluated."""
FONTS = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
SVG_FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*|<!--.*?-->\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
SVG_FORMAT = SVG_FORMAT.replace("Fira Code, monospace", FONTS)
"""Rich's format without its web font: a picture loads nothing."""


class Recorder:
    """A screen that takes a picture of the live panel once, and prints event lines meanwhile."""

    def __init__(self) -> None:
        self.console = recording_console(PANEL_WIDTH)
        self.run_id = ""
        self.is_taken = False

    def show(self, state: State, event: Event) -> None:
        """Print the lines that scroll above the panel."""
        if self.is_taken:
            return
        lines = [line_of(state, event)]
        if state.created is not None and not self.run_id:
            self.run_id = state.created.run_id
            lines = introduction(state.created) + lines
        for line in filter(None, lines):
            self.console.print(line, markup=False, highlight=False, no_wrap=True, overflow="ellipsis")

    def alive(self, state: State, doing: str, tail: str, lane: int = 0) -> None:
        """Draw the panel when the evaluation of the chosen attempt has printed something."""
        if self.is_taken or len(state.attempts) != SHOWN_ATTEMPT or not tail.strip():
            return
        self.console.print(PanelContent(state, tail=tail).render(PANEL_WIDTH, PANEL_HEIGHT))
        self.is_taken = True

    def say(self, line: str) -> None:
        """Steps of the start are no part of the picture."""

    def close(self) -> None:
        """There is no terminal to give back."""


def recording_console(width: int) -> Console:
    """A console that keeps what is printed and writes it nowhere."""
    theme = Theme({"markdown.code": "cyan", "markdown.h2": "bold"})
    return Console(
        record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor", theme=theme
    )


def save(console: Console, name: str, title: str) -> None:
    """Write what a console recorded as an SVG file."""
    path = FOLDER / name
    path.write_text(console.export_svg(title=title, code_format=SVG_FORMAT, unique_id=path.stem), encoding="utf-8")
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def draw_report(report: str) -> Console:
    """The first page of a report: result, attempts, and how the final choice was made."""
    first_page = report.split("\n| after attempt |")[0]
    console = recording_console(REPORT_WIDTH)
    console.print(Markdown(first_page))
    return console


def save_page(home: str, run_id: str) -> None:
    """Take a picture of the page of a run, as a browser shows it."""
    from playwright.sync_api import sync_playwright

    command = [str(Path(sys.executable).parent / "harness"), "view", run_id]
    server = subprocess.Popen(command, env={**os.environ, "HARNESS_HOME": home}, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().split()[-1]
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": PAGE_WIDTH, "height": PAGE_HEIGHT})
            page.goto(address, wait_until="domcontentloaded")
            page.wait_for_function("() => Number(document.body.dataset.drawn) > 0")
            page.screenshot(path=FOLDER / "page.png")
            browser.close()
    finally:
        server.terminate()
        server.wait()
    print(f"{FOLDER / 'page.png'}: {(FOLDER / 'page.png').stat().st_size / 1000:.0f} kB")


def main() -> int:
    """Play a run and save the pictures; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="harness-pictures-") as home:
        process = load_settings({"HARNESS_HOME": home})
        recorder = Recorder()
        code = start(RunRequest("digits"), process, recorder)
        if code == 0:
            save(recorder.console, "panel.svg", "harness run digits")
            report = (process.runs / recorder.run_id / "report.md").read_text(encoding="utf-8")
            save(draw_report(report), "report.svg", "report.md")
            save_page(home, recorder.run_id)
    return code


if __name__ == "__main__":
    sys.exit(main())
