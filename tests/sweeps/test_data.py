"""Runs that start at the same moment on one host: their data are made once, under a lock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tasks.holdout.blend import load_blend

MAKE = """
import sys
from pathlib import Path
from tasks.catalog import find_task
from tasks.holdout.blend import make_blend

home, folder, made = Path(sys.argv[1]), sys.argv[2], []
sys.addaudithook(lambda event, values: made.append(1) if event == "os.rename" and str(values[1]) == folder else None)
task = find_task("digits", home)
print("ready", flush=True)
sys.stdin.readline()
make_blend(task, 0, Path(folder))
print(len(made))
"""


def test_of_three_processes_at_once_one_makes_the_data_of_a_split(digits_home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "blends" / "digits-0"
    command = [sys.executable, "-c", MAKE, str(digits_home), str(folder)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    printed = [process.communicate(timeout=120)[0] for process in processes]
    assert sorted(printed) == ["0\n", "0\n", "1\n"]
    assert load_blend(folder).public.is_dir()
    assert [path.name for path in folder.parent.iterdir() if path.name != ".files"] == ["digits-0"]
