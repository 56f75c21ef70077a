"""The demo model's solutions play every kind of new task: words, classes, grades, several targets, images, text."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from small_tasks import write_table

from harness.demo.read_request import read_card
from harness.demo.solutions import SHARED, SOLUTION, default_ideas, solution, template
from tasks.holdout.blend import make_blend
from tasks.judging.judge import judge
from tasks.prompt_card import render_card
from tests.tasks.image_folders import write_digits
from tests.tasks.new_tasks import made

pytestmark = pytest.mark.slow

ROWS = 240


def write_rows(path: Path) -> Path:
    """Rows whose three numbers tell every target, with some noise."""
    draw, rows = random.Random(1), []
    for _ in range(ROWS):
        x, y, z = (draw.gauss(0, 1) for _ in range(3))
        noise = [draw.gauss(0, 0.3) for _ in range(5)]
        tags = ";".join(name for name, value in zip("abc", (x, y, z), strict=True) if value + noise[0] > 0) or "none"
        grade = ("low", "middle", "high")[min(2, max(0, int(x + y + noise[1] + 1.5)))]
        words = ["bad soup", "fine bread", "old oven", "good game", "long match", "tall goal"]
        text = " ".join(draw.choice(words[:3] if x + noise[4] > 0 else words[3:]) for _ in range(6))
        answers = ["yes" if x + noise[2] > 0 else "no", "t" if y + noise[3] > 0 else "f", str(max(1, int(9 * x + 40)))]
        rows.append([f"{x:.3f}", f"{y:.3f}", f"{z:.3f}", text, tags, grade, *answers])
    write_table(path, [["x", "y", "z", "text", "tags", "grade", "p", "q", "n"], *rows])
    return path


KINDS: dict[str, tuple[Sequence[str], dict[str, Any], float]] = {
    "words with AUC": (["p"], {"metric": "auc", "positive": "no"}, 0.9),
    "words with F1": (["p"], {"metric": "f1"}, 0.8),
    "classes with log loss": (["grade"], {"metric": "log_loss"}, 0.9),
    "classes with AUC": (["grade"], {"metric": "auc"}, 0.8),
    "grades": (["grade"], {"order": ("low", "middle", "high")}, 0.5),
    "several labels": (["tags"], {"separator": ";"}, 0.7),
    "two targets": (["p", "q"], {"metric": "auc"}, 0.9),
    "ranked labels": (["grade"], {"metric": "map@2"}, 0.7),
    "quantile": (["n"], {"metric": "pinball@0.5", "types": {"n": "number"}}, 4.0),
    "order of times": (["n"], {"metric": "c_index", "types": {"n": "number"}}, 0.8),
}
"""Targets, options, and the score that even a simple solution reaches."""


def play(data: Path, *targets: str, **options: Any) -> tuple[float, bool]:
    """The score of the first family's solution on held-out rows, and whether lower is better."""
    task, _ = made(data, *targets, into=data.parent / "task", **options)
    blend = make_blend(task, 0, data.parent / "blend")
    card = read_card([{"role": "user", "content": render_card(task, blend.public)}])
    work = data.parent / "work"
    work.mkdir()
    (work / "data").symlink_to(blend.public)
    (work / SHARED).write_text(template("tabular"))
    (work / SOLUTION).write_text(solution("linear", default_ideas(), card.metric, card.positive))
    done = subprocess.run([sys.executable, SOLUTION], cwd=work, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    judgement = judge(blend, work / "submission.csv", data.parent / "out.csv")
    assert judgement.score is not None, judgement.message
    return judgement.score, task.metric.lower_is_better


@pytest.mark.parametrize("kind", KINDS)
def test_solution_fits_the_target(kind: str, tmp_path: Path) -> None:
    targets, options, bound = KINDS[kind]
    score, lower = play(write_rows(tmp_path / "d.csv"), *targets, **options)
    assert score < bound if lower else score > bound


def test_solution_reads_images_and_text(tmp_path: Path) -> None:
    write_digits(tmp_path / "images" / "digits", each=40)
    assert play(tmp_path / "images" / "digits", metric="log_loss")[0] < 0.3
    (tmp_path / "texts").mkdir()
    draw = random.Random(2)
    words = {"sport": "ball goal team match", "food": "salt oven soup bread"}
    rows = [
        [" ".join(draw.choices(f"{words[kind]} the and with".split(), k=9)), kind] for kind in words for _ in range(60)
    ]
    write_table(tmp_path / "texts" / "d.csv", [["text", "kind"], *rows])
    assert play(tmp_path / "texts" / "d.csv", "kind")[0] > 0.9
