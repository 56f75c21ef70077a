"""A report with missing seeds, compared with a table computed by hand: Markdown, JSON and CSV."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from harness import cli, errors
from tasks.mlebench.facts import in_split

TABLE = {
    "aerial-cactus-identification": "GGG",
    "aptos2019-blindness-detection": "SB-",
    "denoising-dirty-documents": "Bm",
    "detecting-insults-in-social-commentary": "x",
    "jigsaw-toxic-comment-classification-challenge": "GSB",
    "random-acts-of-pizza": "mG",
    "spooky-author-identification": "-x",
}
"""One letter per seed: gold, silver, bronze, (above) median, valid, x invalid, - no submission; others have `vvv`."""
MEDALS = {"G": "gold", "S": "silver", "B": "bronze"}
COUNTED = {
    "submission_exists": ((21, 21, 17), (16, 16, 13)),
    "valid_submissions": ((20, 20, 17), (15, 15, 13)),
    "above_median": ((5, 5, 2), (3, 3, 1)),
    "gold_medal": ((2, 2, 1), (1, 1, 1)),
    "silver_medal": ((1, 1, 0), (1, 0, 0)),
    "bronze_medal": ((1, 1, 1), (1, 1, 0)),
    "any_medal": ((4, 4, 2), (3, 2, 1)),
}
"""Counted by hand, one number per seed: of all 22 competitions, and of the 17 not known to be broken."""
METRICS_TABLE = """\
| % of competitions | all 22 | without known broken ones |
|---|---|---|
| submission exists | 89.39 ± 6.06 | 88.24 ± 5.88 |
| valid submissions | 86.36 ± 4.55 | 84.31 ± 3.92 |
| above median | 18.18 ± 4.55 | 13.73 ± 3.92 |
| gold medal | 7.58 ± 1.52 | 5.88 ± 0.00 |
| silver medal | 3.03 ± 1.52 | 1.96 ± 1.96 |
| bronze medal | 4.55 ± 0.00 | 3.92 ± 1.96 |
| any medal | 15.15 ± 3.03 | 11.76 ± 3.40 |
"""
HEAD = "competition,run,seed,score,medal,above_median,valid_submission,hours,cost"


def report_cells() -> list[tuple[str, str, int, str]]:
    """Competition, file, seed and letter of every report, in file order."""
    names = [one.id for one in in_split("low")]
    return [
        (name, f"group{seed}.json", seed, letters[seed])
        for seed in range(3)
        for name in names
        if seed < len(letters := TABLE.get(name, "vvv"))
    ]


def report(name: str, seed: int, letter: str) -> dict[str, object]:
    flags = {f"{medal}_medal": letter == key for key, medal in MEDALS.items()}
    return {
        "competition_id": name,
        "score": None if letter in "x-" else 0.5 + seed / 8,
        "any_medal": letter in MEDALS,
        **flags,
        "above_median": letter in "GSBm",
        "submission_exists": letter != "-",
        "valid_submission": letter not in "x-",
    }


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    for seed in range(3):
        reports = [report(name, at, letter) for name, _, at, letter in report_cells() if at == seed]
        (tmp_path / f"group{seed}.json").write_text(json.dumps({"competition_reports": reports}))
    return [str(tmp_path / f"group{seed}.json") for seed in range(3)]


def rows(text: str, head: str) -> list[list[str]]:
    """The cells of the Markdown table with this header."""
    table = text[text.index(head) :].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_padded_report_matches_the_table_computed_by_hand(files: list[str], tmp_path: Path) -> None:
    assert cli.main(["report", *files, "--pad-missing", "--output", str(tmp_path / "out")]) == errors.DONE
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    for index, (key, count_of) in enumerate((("official", 22), ("without_known_broken", 17))):
        assert (found[key]["num_seeds_averaged"], found[key]["num_competitions_per_seed"]) == (3, count_of)
        metrics = found[key]["metrics"]
        assert metrics.pop("total_competitions") == {
            "mean": count_of,
            "ci_lower": count_of,
            "ci_upper": count_of,
            "standard_error": 0,
        }
        assert set(metrics) == {f"{name}_percentage" for name in COUNTED}
        for name, both in COUNTED.items():
            one, two, three = (100 * count / count_of for count in both[index])
            mean = (one + two + three) / 3
            error = math.sqrt(((one - mean) ** 2 + (two - mean) ** 2 + (three - mean) ** 2) / 6)
            expected = {"mean": mean, "ci_lower": mean - 1.96 * error, "ci_upper": mean + 1.96 * error}
            assert metrics[f"{name}_percentage"] == pytest.approx({**expected, "standard_error": error}, abs=1e-12)
    text = (tmp_path / "out" / "report.md").read_text()
    assert text.startswith("# MLE-bench, split low: 15.2 ± 3.0 % any medal (3 seeds)\n")
    assert METRICS_TABLE in text
    assert (
        "Fewer runs than for others, missing seeds counted as no medal: denoising-dirty-documents (2), "
        "detecting-insults-in-social-commentary (1), random-acts-of-pizza (2), spooky-author-identification (2)\n"
    ) in text
    table_rows, csv_rows = [], []
    for name, file, seed, letter in report_cells():
        medal, above, valid = MEDALS.get(letter, "none"), letter in "GSBm", letter not in "x-"
        score = ("0.50000", "0.62500", "0.75000")[seed] if valid else "none"
        table_rows.append([name, file, "", score, medal, "yes" if above else "no", "", ""])
        csv_rows.append(
            [name, file, "", ("0.5", "0.625", "0.75")[seed] if valid else "", medal, str(above), str(valid), "", ""]
        )
    assert rows(text, "| competition | run |") == table_rows
    head, *lines = csv.reader((tmp_path / "out" / "report.csv").open())
    assert head == HEAD.split(",") and lines == csv_rows


def test_unpadded_report_counts_only_complete_seeds(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", *files]) == errors.DONE
    printed = capsys.readouterr().out
    assert printed.startswith("# MLE-bench, split low: 18.2 ± 0.0 % any medal (1 seed)\n")
    assert "| any medal | 18.18 ± 0.00 | 17.65 ± 0.00 |" in printed
    assert "Fewer runs than for others, extra seeds of others not counted: denoising-dirty-documents (2)" in printed


def test_seeds_takes_the_first_and_refuses_too_many(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", *files, "--pad-missing", "--seeds", "2", "--json"]) == errors.DONE
    found = json.loads(capsys.readouterr().out)
    assert found["official"]["num_seeds_averaged"] == 2
    assert found["official"]["metrics"]["any_medal_percentage"]["mean"] == pytest.approx(400 / 22)
    assert found["without_known_broken"]["metrics"]["any_medal_percentage"]["mean"] == pytest.approx(250 / 17)
    assert {one["name"] for one in found["entries"]} == {"group0.json", "group1.json"}
    assert cli.main(["report", *files, "--seeds", "2"]) == errors.INPUT
    assert "--pad-missing" in capsys.readouterr().err
    assert cli.main(["report", *files, "--pad-missing", "--seeds", "4"]) == errors.INPUT
    assert "4 seeds" in capsys.readouterr().err
