"""How fast the pages of a 24-hour run are, and of one ten times as large, in a real browser.

    .venv/bin/python -m tests.benchmarks.page [--scale 1 10] [--repeats 3]

Each repeat starts `harness view` twice. Printed are the browser's first contentful paint of the run page (cold: the
journal was never read; kept: its facts are in `page.json`, as after the end of a run), when its charts are drawn, the
paint of a turn and of an attempt, a search, the holes seen while scrolling through the list of turns, and the largest
resident memory of the server. `cold CPU`, `kept CPU` and `search CPU` are the seconds that the server computed until
the charts were drawn, and for one search. `load` is the number of processes that
wanted to run; `index` is the CPU time of reading the journal alone, by which the others can be scaled.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import sync_playwright

from runs.page.facts.kept import KEPT
from runs.page.facts.run_view import RunView
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.day_run import write_day_run

PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
SCROLL = """async () => {
  const list = document.getElementById("list"); let holes = 0;
  for (let y = 0; y < list.scrollHeight - list.clientHeight; y += Math.max(700, list.scrollHeight / 150)) {
    list.scrollTop = y;
    await new Promise(requestAnimationFrame);
    const box = list.getBoundingClientRect();
    for (let at = 5; at < list.clientHeight; at += 26)
      holes += !document.elementFromPoint(box.left + 60, box.top + at)?.closest("#list a");
  }
  return holes;
}"""


def measure(home: Path, run: str, browser: Any) -> dict[str, float]:
    """Two starts of the server, and what the browser sees of them."""
    (home / "runs" / run / KEPT).unlink(missing_ok=True)
    return measure_start(home, run, browser, "cold") | measure_start(home, run, browser, "kept")


def measure_start(home: Path, run: str, browser: Any, start: str) -> dict[str, float]:
    """One start of the server, `cold` or with what is `kept`."""
    environment = {**os.environ, "HARNESS_HOME": str(home)}
    harness = str(Path(sys.executable).parent / "harness")
    server = subprocess.Popen([harness, "view", "--port", "8799"], env=environment, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    entry = server.stdout.readline().split()[-1]
    base = entry.partition("/?")[0]
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(entry.replace("/?", "/static/icon.svg?"))
    figures = {}
    began, used = time.monotonic(), cpu_seconds(server.pid)
    page.goto(f"{base}/run/{run}", wait_until="domcontentloaded")
    page.wait_for_function("() => Number(document.body.dataset.drawn) > 10")
    figures[f"{start} charts"] = time.monotonic() - began
    figures[f"{start} paint"] = page.evaluate(PAINT) / 1000
    figures[f"{start} CPU"] = cpu_seconds(server.pid) - used
    for name, path in (("warm paint", ""), ("turn paint", "/turn/700"), ("attempt paint", "/attempt/60")):
        page.goto(f"{base}/run/{run}{path}", wait_until="load")
        page.wait_for_timeout(300)
        figures[name] = page.evaluate(PAINT) / 1000
    page.goto(f"{base}/run/{run}/turns")
    page.wait_for_function("() => Number(document.body.dataset.rows) > 100")
    figures["holes"] = page.evaluate(SCROLL)
    began, used = time.monotonic(), cpu_seconds(server.pid)
    page.fill("#find", "step_77 =")
    page.wait_for_selector("#hits[data-done]")
    figures["search"] = time.monotonic() - began - 0.25
    figures["search CPU"] = cpu_seconds(server.pid) - used
    figures["memory MB"] = peak_mb(server.pid)
    context.close()
    server.terminate()
    server.wait()
    return figures


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mb(pid: int) -> float:
    """The largest resident memory a process had."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+)", status)
    return int(found[1]) / 1024 if found else 0.0


def index_seconds(folder: Path) -> float:
    """CPU seconds of reading a journal into the folds of the page."""
    began = time.process_time()
    RunView(folder).refresh()
    return time.process_time() - began


def main() -> int:
    """Print a table, a row per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, nargs="+", default=[1.0, 10.0])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        for scale in options.scale:
            run = f"20261130-080000_digits_0_x{scale:g}"
            folder = write_day_run(Path(name) / "runs" / run, scale, output_mb=200 * scale, has_code=scale <= 1)
            found = [measure(Path(name), run, browser) for _ in range(options.repeats)]
            middle = {key: median(one[key] for one in found) for key in found[0]}
            texts = [f"{key} {value:.2f}" if key != "holes" else f"{key} {value:.0f}" for key, value in middle.items()]
            print(f"x{scale:g}: {', '.join(texts)}; index {index_seconds(folder):.2f} s, load {os.getloadavg()[0]:.1f}")
        browser.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
