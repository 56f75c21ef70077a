"""CPU seconds and peak memory of grading and preparing, compared with a plain pandas and scikit-learn script.

python tests/benchmarks/grading.py [--rows SHARE]

Denoising with 5 million rows and text normalization with 1 million, each graded by this package and by the plain
script in its own process; a taxi table of 500,000 rows prepared, in MB of raw table a second. SHARE scales
all of it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

PLAIN = {
    "denoising-dirty-documents": """
import sys, pandas as pd
from sklearn.metrics import mean_squared_error
given, truth = (pd.read_csv(path) for path in sys.argv[1:])
given, truth = given.sort_values("id"), truth.sort_values("id")
assert (given["id"].values == truth["id"].values).all()
print(mean_squared_error(truth["value"], given["value"]) ** 0.5)
""",
    "text-normalization-challenge-english-language": """
import sys, pandas as pd
from sklearn.metrics import accuracy_score
given, truth = (pd.read_csv(path, keep_default_na=False, dtype=str) for path in sys.argv[1:])
given, truth = given.sort_values("id"), truth.sort_values("id")
assert (given["id"].values == truth["id"].values).all()
print(accuracy_score(truth["after"], given["after"]))
""",
}
OURS = """
import sys
from pathlib import Path
from tasks.mlebench.graders import score_file
print(score_file(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
"""
PREPARE = """
import sys
from pathlib import Path
from tasks.mlebench.prepare import prepare
prepare(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), lambda *_: None, True)
"""
# The peak memory of a child includes that of its parent before exec; VmHWM does not.
PEAK = """
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
ROOT = Path(__file__).resolve().parent.parent.parent


def measured(program: str, *arguments: str) -> tuple[float, float, str]:
    """CPU seconds, peak memory in MB, and the output of a Python program in its own process."""
    with tempfile.TemporaryFile() as output:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        child = subprocess.Popen([sys.executable, "-c", program + PEAK, *arguments], stdout=output, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0, program
        output.seek(0)
        *printed, peak = output.read().decode().split()
        return usage.ru_utime + usage.ru_stime, int(peak) / 1024, "".join(printed)


def write(folder: Path, name: str, rows: int) -> tuple[Path, Path]:
    """A submission and answers, in different orders."""
    draw = random.Random(0)
    given, truth = folder / f"{name}.given.csv", folder / f"{name}.truth.csv"
    if name.startswith("denoising"):
        lines = [
            f"{at // 226_800}_{at // 540 % 420 + 1}_{at % 540 + 1},{draw.randrange(256) / 255}" for at in range(rows)
        ]
        head = "id,value"
    else:
        words = ["the", "nineteen ninety", "NA", "of", "five point two", ".", "say"]
        lines = [f'"{at // 13}_{at % 13}","{draw.choice(words)}"' for at in range(rows)]
        head = '"id","after"'
    truth.write_text("\n".join([head, *lines]) + "\n")
    draw.shuffle(lines)
    given.write_text("\n".join([head, *lines]) + "\n")
    return given, truth


def taxi(folder: Path, rows: int) -> Path:
    """A taxi table of Kaggle's columns."""
    draw = random.Random(0)
    folder.mkdir()
    head = "key,fare_amount,pickup_datetime,pickup_longitude,pickup_latitude,dropoff_longitude,dropoff_latitude"
    with (folder / "train.csv").open("w") as out:
        out.write(f"{head},passenger_count\n")
        for at in range(rows):
            places = ",".join(f"{draw.uniform(-74, 41):.6f}" for _ in range(4))
            when = f"2009-06-{at % 28 + 1:02d} 17:26:21"
            out.write(f"{when}.{at:07d},{draw.randrange(250, 9000) / 100},{when} UTC,{places},{at % 6}\n")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=float, default=1.0, help="share of the full size")
    share = parser.parse_args().rows
    print(json.dumps({"cores": os.cpu_count(), "load": os.getloadavg()[0]}))
    with tempfile.TemporaryDirectory() as place:
        for name, full in (("denoising-dirty-documents", 5e6), ("text-normalization-challenge-english-language", 1e6)):
            given, truth = write(Path(place), name, int(full * share))
            plain = measured(PLAIN[name], str(given), str(truth))
            ours = measured(OURS, name, str(given), str(truth))
            assert abs(float(plain[2]) - float(ours[2])) < 1e-9
            ratios = {"time": round(ours[0] / plain[0], 2), "memory": round(ours[1] / plain[1], 2)}
            seconds = {"seconds": round(ours[0], 2), "plain_seconds": round(plain[0], 2)}
            print(json.dumps({"grade": name, "rows": int(full * share), **seconds, "MB": round(ours[1]), **ratios}))
        raw = taxi(Path(place) / "raw", int(5e5 * share))
        size = (raw / "train.csv").stat().st_size / 1e6
        took = measured(PREPARE, "new-york-city-taxi-fare-prediction", place, str(raw))
        print(
            json.dumps(
                {
                    "prepare": "taxi",
                    "MB": round(size),
                    "MB_per_second": round(size / took[0], 2),
                    "peak_MB": round(took[1]),
                }
            )
        )


if __name__ == "__main__":
    main()
