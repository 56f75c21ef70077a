"""Judging: valid submissions are scored, invalid ones named, and nothing blocks or reveals an answer."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from small_tasks import Row, churn, read_table, truth, write_table

from tasks.holdout.blend import Blend, make_blend
from tasks.io.columns import Columns
from tasks.judging.compare import compare_predictions, run_compare
from tasks.judging.grade import grade
from tasks.judging.judge import UNKNOWN_LABELS, Judgement, format_gain, format_score, judge, run_judge
from tasks.judging.validate_submission import Format, SubmissionRefused, read_submission
from tasks.subprocesses import ChildFailed
from tasks.task import Task, TaskError, load_task
from tests.harness.judged_runs import two_numbers


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return churn(tmp_path / "task")


@pytest.fixture
def blend(task: Task, tmp_path: Path) -> Blend:
    return make_blend(task, 0, tmp_path / "blend")


def perfect(task: Task, blend: Blend) -> list[Row]:
    right = truth(task)
    shown = read_table(blend.public / "sample_submission.csv")
    return [["customer", "left"], *([row[0], right[row[0]]] for row in shown[1:])]


def test_a_perfect_submission_scores_perfectly_and_its_test_rows_are_written(
    task: Task, blend: Blend, tmp_path: Path
) -> None:
    header, *rows = [row[::-1] for row in perfect(task, blend)]
    random.Random(0).shuffle(rows)
    write_table(tmp_path / "submission.csv", [header, *rows])
    out = tmp_path / "out.csv"
    judgement = run_judge(blend.folder, tmp_path / "submission.csv", out, 60)
    assert (judgement.status, judgement.score, judgement.shown_score) == ("scored", 1.0, "1.00 ± 0.03")
    assert judgement.noise == pytest.approx(1.5 / 50), "the rule of three: no row went wrong, up to three in 50 may"
    assert judgement.sha256 == hashlib.sha256(out.read_bytes()).hexdigest()
    assert task.answers is not None
    assert read_table(out) == read_table(task.answers)


def test_only_held_out_rows_count(task: Task, blend: Blend, tmp_path: Path) -> None:
    held_out = {row[0] for row in read_table(blend.private_labels / "answers.csv")}
    rows = [[name, label if name in held_out else "unknown"] for name, label in perfect(task, blend)[1:]]
    write_table(tmp_path / "s.csv", [["customer", "left"], *rows])
    assert judge(blend, tmp_path / "s.csv", tmp_path / "out.csv").score == 1.0
    rows = [[name, "unknown" if name in held_out else label] for name, label in perfect(task, blend)[1:]]
    write_table(tmp_path / "s.csv", [["customer", "left"], *rows])
    assert judge(blend, tmp_path / "s.csv", tmp_path / "out.csv").score == 0.0


@pytest.mark.parametrize("answers", [("True", "False"), ("true", "false"), ("TRUE", "FALSE")])
@pytest.mark.parametrize(
    "written", [("True", "False"), ("true", "false"), ("TRUE", "FALSE"), ("1", "0"), ("1.0", "0.0"), (" 1", "00")]
)
@pytest.mark.parametrize("metric", ["accuracy", "f1_macro"])
def test_booleans_are_the_same_labels_however_they_are_written(
    metric: str, written: tuple[str, str], answers: tuple[str, str], tmp_path: Path
) -> None:
    task = churn(tmp_path / "task", metric, label=lambda draw: draw.choice(answers), sample=answers[0])
    blend = make_blend(task, 0, tmp_path / "blend")
    rows = [[name, written[answers.index(label)]] for name, label in perfect(task, blend)[1:]]
    write_table(tmp_path / "s.csv", [["customer", "left"], *rows])
    judged = judge(blend, tmp_path / "s.csv", tmp_path / "out.csv")
    assert (judged.status, judged.score, judged.message) == ("scored", 1.0, "")
    assert grade(task, tmp_path / "out.csv").score == 1.0


def test_words_that_are_not_booleans_are_wrong_labels(tmp_path: Path) -> None:
    task = churn(tmp_path / "task", label=lambda draw: draw.choice(["True", "False"]), sample="True")
    blend = make_blend(task, 0, tmp_path / "blend")
    rows = [[name, {"True": "yes", "False": "2"}[label]] for name, label in perfect(task, blend)[1:]]
    write_table(tmp_path / "s.csv", [["customer", "left"], *rows])
    judged = judge(blend, tmp_path / "s.csv", tmp_path / "out.csv")
    assert (judged.status, judged.score, judged.message) == ("scored", 0.0, UNKNOWN_LABELS)


def test_a_submission_without_any_known_label_is_scored_with_a_note(task: Task, blend: Blend, tmp_path: Path) -> None:
    rows = [[name, label.upper()] for name, label in perfect(task, blend)[1:]]
    write_table(tmp_path / "s.csv", [["customer", "left"], *rows])
    judged = judge(blend, tmp_path / "s.csv", tmp_path / "out.csv")
    assert (judged.score, judged.message) == (0.0, UNKNOWN_LABELS)
    rows[0][1] = "stays"
    write_table(tmp_path / "s.csv", [["customer", "left"], *([name, "stays"] for name, _ in rows)])
    assert judge(blend, tmp_path / "s.csv", tmp_path / "out.csv").message == ""


def test_judging_again_gives_the_same_judgement(blend: Blend, tmp_path: Path) -> None:
    sample, out = blend.public / "sample_submission.csv", tmp_path / "out.csv"
    first = judge(blend, sample, out)
    content = out.read_bytes()
    assert judge(blend, sample, out) == first
    assert out.read_bytes() == content
    assert 0 < (first.noise or 0) < 0.1
    assert first.shown_score.count("±") == 1


def test_a_task_without_labels_is_checked_and_not_scored(tmp_path: Path) -> None:
    blend = make_blend(churn(tmp_path / "task", labels=""), 0, tmp_path / "blend")
    judgement = judge(blend, blend.public / "sample_submission.csv", tmp_path / "out.csv")
    assert judgement == Judgement("unscored", sha256=hashlib.sha256((tmp_path / "out.csv").read_bytes()).hexdigest())
    (tmp_path / "bad.csv").write_text("customer,left\n1,stays\n")
    assert judge(blend, tmp_path / "bad.csv", tmp_path / "out2.csv").status == "invalid"
    assert not (tmp_path / "out2.csv").exists()


# ----------------------------------------------------------------------------------------------------- bad submissions


def table(rows: list[Row], separator: str = ",") -> str:
    return "".join(separator.join(row) + "\n" for row in rows)


Change = Callable[[list[Row]], bytes | str]
BAD: dict[str, tuple[Change, str]] = {
    "empty": (lambda rows: "", "is empty"),
    "header only": (lambda rows: "customer,left\n", "has 0 rows; 110 are expected"),
    "blank": (lambda rows: "\n\n", "Columns missing from the header: customer,left. Expected: customer,left"),
    "zip": (lambda rows: b"PK\x03\x04rest", "a zip archive"),
    "gzip": (lambda rows: gzip.compress(table(rows).encode()), "gzip-compressed"),
    "utf-16": (lambda rows: table(rows).encode("utf-16"), "text in UTF-16"),
    "utf-16 without mark": (lambda rows: table(rows).encode("utf-16-le"), "NUL bytes"),
    "latin-1": (lambda rows: table([*rows[:-1], [rows[-1][0], "ä"]]).encode("latin-1"), "not UTF-8"),
    "json": (lambda rows: json.dumps(rows), "is JSON"),
    "html": (lambda rows: "<table></table>", "HTML"),
    "semicolons": (lambda rows: table(rows, ";"), "separated by semicolons; commas are expected: customer,left"),
    "tabs": (lambda rows: table(rows, "\t"), "separated by tabs"),
    "other column": (lambda rows: table([["customer", "leaves"], *rows[1:]]), "Columns missing from the header: left"),
    "column twice": (lambda rows: table([[*row, row[1]] for row in rows]), "Columns repeated in the header: left"),
    "no header": (lambda rows: table(rows[1:]), "Columns missing"),
    "too few": (lambda rows: table(rows[:-3]), "has 107 rows; 110 are expected"),
    "too many": (lambda rows: table([*rows, rows[1]]), "has 111 rows; 110 are expected"),
    "twice": (lambda rows: table([*rows[:-1], rows[1]]), "1 missing, 0 unknown, 1 repeated"),
    "unknown": (lambda rows: table([*rows[:-2], ["x", "stays"], ["", "stays"]]), "2 missing, 2 unknown, 0 repeated"),
    "missing": (lambda rows: table([*rows[:-1], [rows[-1][0], " "]]), "'left' contains 1 missing values"),
    "ragged": (lambda rows: table([*rows[:-1], rows[-1][:1]]), "line 111 has 1 cells, the header has 2"),
    "sums": (lambda rows: table([*rows[:-1], [*rows[-1], "x"]]), "line 111 has 3 cells, the header has 2"),
}


@pytest.mark.parametrize("kind", BAD)
def test_an_invalid_submission_is_refused_with_the_reason(kind: str, task: Task, blend: Blend, tmp_path: Path) -> None:
    change, expected = BAD[kind]
    content = change(perfect(task, blend))
    (tmp_path / "s.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    judgement = judge(blend, tmp_path / "s.csv", tmp_path / "out.csv")
    assert judgement.status == "invalid"
    assert expected in judgement.message
    assert judgement.score is None
    assert not (tmp_path / "out.csv").exists()
    names = {row[0] for row in perfect(task, blend)[1:]}
    assert not any(name in judgement.message for name in names)


def plain(task: Task, blend: Blend, path: Path) -> None:
    write_table(path, perfect(task, blend))


def test_files_that_are_not_regular_are_refused_without_blocking(task: Task, blend: Blend, tmp_path: Path) -> None:
    plain(task, blend, tmp_path / "real.csv")
    (tmp_path / "link").symlink_to("real.csv")
    (tmp_path / "custody").symlink_to(blend.private_labels / "answers.csv")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    kinds = {"link": "a symbolic link", "custody": "a symbolic link", "device": "a symbolic link"}
    kinds |= {"folder": "a directory", "pipe": "a pipe", "nothing": "There is no nothing"}
    start = time.monotonic()
    for name, expected in kinds.items():
        judgement = judge(blend, tmp_path / name, tmp_path / "out.csv")
        assert (judgement.status, expected in judgement.message) == ("invalid", True)
    assert run_judge(blend.folder, tmp_path / "pipe", tmp_path / "out.csv", 30).status == "invalid"
    assert "device" in judge(blend, Path("/dev/zero"), tmp_path / "out.csv").message
    assert time.monotonic() - start < 20


def test_a_file_over_the_cap_is_not_read(task: Task, blend: Blend, tmp_path: Path) -> None:
    with (tmp_path / "s.csv").open("wb") as stream:
        stream.truncate(3_000_000_000)
    assert "3,000,000,000 bytes; at most 2,000,000,000" in judge(blend, tmp_path / "s.csv", tmp_path / "o.csv").message


def test_extra_columns_crlf_bom_and_blank_lines_are_accepted(task: Task, blend: Blend, tmp_path: Path) -> None:
    rows = [[str(at), *row] for at, row in enumerate(perfect(task, blend))]
    text = table([["", *rows[0][1:]], *rows[1:]]).replace("\n", "\r\n") + "\r\n\r\n"
    (tmp_path / "s.csv").write_bytes(text.encode("utf-8-sig"))
    assert judge(blend, tmp_path / "s.csv", tmp_path / "out.csv").score == 1.0


def numeric(cells: list[str], may_be_missing: bool = False) -> Callable[[Path], Columns]:
    def read(folder: Path) -> Columns:
        write_table(folder / "s.csv", [["id", "y"], *([str(at), cell] for at, cell in enumerate(cells))])
        ids = [str(at) for at in range(len(cells))]
        return read_submission(folder / "s.csv", Format(("id", "y"), "id", ("y",), ids, True, may_be_missing))

    return read


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "much"], "contains 1 values that are not numbers"),
        (["1_0", "0x1", "1,5"], "contains 3 values that are not numbers"),
        (["inf", "-Infinity", "1e999"], "contains 3 infinite values"),
        (["", "NaN", "NA", "1"], "contains 3 missing values"),
    ],
)
def test_numbers_must_be_numbers(cells: list[str], expected: str, tmp_path: Path) -> None:
    with pytest.raises(SubmissionRefused, match=expected):
        numeric(cells)(tmp_path)


def test_every_fault_of_a_file_is_listed_at_once(tmp_path: Path) -> None:
    form = Format(("id", "y", "z"), "id", ("y", "z"), [str(at) for at in range(10)], True)
    rows = [
        ["id", "y", "z"],
        *([str(at), "" if at % 2 else "1", "x" if at == 3 else "inf"] for at in range(7)),
        ["99", "", "2"],
    ]
    write_table(tmp_path / "s.csv", rows)
    with pytest.raises(SubmissionRefused) as caught:
        read_submission(tmp_path / "s.csv", form)
    for fault in (
        "has 8 rows; 10 are expected",
        "3 missing, 1 unknown, 0 repeated",
        "'y' contains 4 missing values",
        "'z' contains 1 values that are not numbers",
        "'z' contains 6 infinite values",
    ):
        assert fault in str(caught.value)
    write_table(tmp_path / "s.csv", [["id", "Y"], ["1", "2"]])
    with pytest.raises(SubmissionRefused, match=r"missing from the header: y,z.*has 1 rows"):
        read_submission(tmp_path / "s.csv", form)


def test_missing_values_are_accepted_if_the_task_allows_them(tmp_path: Path) -> None:
    cells = ["1", "", " 2.5 ", "True"]
    assert numeric(cells, may_be_missing=True)(tmp_path).column("y") == cells


# -------------------------------------------------------------------------------------------------- scores and noise


def test_a_shown_score_is_rounded_to_its_noise() -> None:
    assert format_score(0.937312, 0.01432) == "0.94 ± 0.01"
    assert format_score(84.1193, 5.5535) == "84 ± 6"
    assert format_score(123456.7, 4321.0) == "123000 ± 4000"
    assert format_score(0.123456, 0.0) == format_score(0.123456, None) == "0.1235"
    assert format_score(-0.5, 0.0999) == "-0.50 ± 0.10"


def test_a_shown_gain_has_two_digits_of_its_noise() -> None:
    assert format_gain(0.00334, 0.00131) == "+0.0033 ± 0.0013"
    assert format_gain(-12.34, 5.55) == "-12.3 ± 5.5"
    assert format_gain(-1234.5, 4321.0) == "-1234 ± 4321"
    assert format_gain(0.25, 0.0) == "+0.250000 ± 0.000000"
    assert format_gain(None, None) == format_gain(0.1, math.inf) == ""


def test_kept_predictions_give_the_same_comparison(task: Task, blend: Blend, tmp_path: Path) -> None:
    shown = perfect(task, blend)
    worse = [shown[0], *([name, "stays"] for name, _ in shown[1:])]
    for name, rows in (("good", shown), ("bad", worse)):
        (tmp_path / name).mkdir()
        write_table(tmp_path / name / "s.csv", rows)
        judge(blend, tmp_path / name / "s.csv", tmp_path / name / "out.csv", keep=True)
    kept = [tmp_path / name / "held_out.csv" for name in ("good", "bad")]
    judgement = judge(blend, tmp_path / "good/s.csv", tmp_path / "out.csv", against=kept[1])
    assert (judgement.score, judgement.share) == (1.0, 1.0)
    compared = run_compare([blend.folder], kept[:1], kept[1:], 60)
    assert (compared.score, compared.share, compared.parts) == (1.0, 1.0, [1.0])
    assert compared.gain == pytest.approx(judgement.gain)
    assert compare_predictions([blend.folder], kept[1:], kept[:1]).share == 0.0
    assert compare_predictions([blend.folder], kept[:1], kept[:1]).share == 0.5


def test_an_invalid_value_in_a_test_row_is_refused(tmp_path: Path) -> None:
    task = churn(tmp_path / "task", metric="log_loss", label=lambda draw: draw.choice("01"), sample="0.5")
    blend = make_blend(task, 0, tmp_path / "blend")
    held_out = {row[0] for row in read_table(blend.private_labels / "answers.csv")}
    shown = read_table(blend.public / "sample_submission.csv")
    write_table(tmp_path / "s.csv", [shown[0], *([name, "0.5" if name in held_out else "7"] for name, _ in shown[1:])])
    judgement = judge(blend, tmp_path / "s.csv", tmp_path / "out.csv")
    assert (judgement.status, judgement.message) == ("invalid", "A prediction is not a probability between 0 and 1.")


# -------------------------------------------------------------------------------------- metrics of the task's own


def own_metric(folder: Path, body: str) -> Blend:
    (folder / "task").mkdir()
    (folder / "task/metric.py").write_text(f"def score(answers, predictions, targets):\n    {body}\n")
    task = churn(folder / "task", metric='{function: "metric.py:score", direction: higher, needs: labels}')
    return make_blend(task, 0, folder / "blend")


def test_an_own_metric_is_used_and_may_print(tmp_path: Path) -> None:
    body = "print('chatter'); return float((answers[targets[0]] == predictions[targets[0]]).mean() * 2)"
    blend = own_metric(tmp_path, body)
    judgement = run_judge(blend.folder, blend.public / "sample_submission.csv", tmp_path / "out.csv", 60)
    assert judgement.status == "scored"
    assert 0.4 < (judgement.score or 0) < 1.1


@pytest.mark.parametrize(
    "body",
    [
        "raise ValueError(answers.to_csv())",
        "raise KeyError(answers.to_csv())",
        "raise SystemExit(answers.to_csv())",
        "return float('nan')",
        "return answers",
    ],
)
def test_an_error_of_a_metric_becomes_a_fixed_sentence(body: str, tmp_path: Path) -> None:
    blend = own_metric(tmp_path, body)
    judgement = judge(blend, blend.public / "sample_submission.csv", tmp_path / "out.csv")
    assert judgement.status == "invalid"
    assert len(judgement.message) < 80
    assert "\n" not in judgement.message


def test_a_metric_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    body = f"import subprocess; open({str(mark)!r}, 'w').write(str(subprocess.Popen(['sleep', '600']).pid)); " + (
        "import time; time.sleep(600)"
    )
    blend = own_metric(tmp_path, body)
    start = time.monotonic()
    judgement = run_judge(blend.folder, blend.public / "sample_submission.csv", tmp_path / "out.csv", 5)
    assert time.monotonic() - start < 15
    assert judgement.status == "invalid"
    assert "within 5 seconds" in judgement.message
    time.sleep(0.2)
    state = Path(f"/proc/{mark.read_text()}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


# ------------------------------------------------------------------------------------------------------- the child


def test_the_judge_imports_nothing_from_the_workspace(
    task: Task, blend: Blend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    for name in ("pandas", "numpy", "json", "csv", "tasks", "sitecustomize"):
        (workspace / f"{name}.py").write_text(f"open({str(tmp_path / 'caught')!r}, 'w').write({name!r})\n")
    plain(task, blend, workspace / "submission.csv")
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("PYTHONPATH", str(workspace))
    assert run_judge(blend.folder, Path("submission.csv"), Path("out.csv"), 60).score == 1.0
    assert not (tmp_path / "caught").exists()


def test_asking_for_a_judgement_imports_nothing_heavy() -> None:
    heavy = ("pandas", "numpy", "sklearn", "pydantic", "yaml")
    modules = "tasks.judging.judge, tasks.judging.grade"
    code = f"import sys, {modules}; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-I", "-c", code], text=True).strip() == "[]"


def test_a_missing_blend_and_an_unwritable_folder_are_errors_of_the_harness(blend: Blend, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="new run"):
        run_judge(tmp_path / "gone", tmp_path / "s.csv", tmp_path / "out.csv", 60)
    with pytest.raises(ChildFailed, match="No such file"):
        run_judge(blend.folder, blend.public / "sample_submission.csv", tmp_path / "no/where/out.csv", 60)


def test_test_rows_are_checked_against_answers_of_every_class(tmp_path: Path) -> None:
    """Few test rows would otherwise meet the first few answers, which may be of one class."""
    truth = {at: str(int(at % 40 == 39)) for at in range(400)}
    rows = iter(range(10_000))
    path = two_numbers(tmp_path / "rare", lambda draw, a, b: truth[next(rows) % 400], 400, 10, metric="roc_auc")
    blend = make_blend(load_task(path), 0, tmp_path / "blend")
    answers = read_table(blend.private_labels / "answers.csv")[1:]
    assert len({cell for _, cell in answers[:10]}) == 1 < len({cell for _, cell in answers})
    shown = read_table(blend.public / "sample_submission.csv")
    write_table(tmp_path / "s.csv", [shown[0], *([row[0], str(at % 7)] for at, row in enumerate(shown[1:]))])
    assert judge(blend, tmp_path / "s.csv", tmp_path / "out.csv").status == "scored"
