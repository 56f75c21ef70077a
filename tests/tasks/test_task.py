"""A task.yaml and its files become a Task, or an error that names what does not fit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from churn_folder import WHOLE, make_folder, refusal

from tasks.task import Labels, Submission, TaskError, Thresholds, load_task


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "churn")


# ----------------------------------------------------------------------------------------------------------- valid


def test_complete_task_has_absolute_paths(folder: Path) -> None:
    task = load_task(folder)
    assert (task.id, task.title, task.description) == ("churn", "Predict which customers leave", "# Who leaves?\n")
    assert task.metric.name == "roc_auc" and not task.metric.lower_is_better and task.metric.needs == "scores"
    assert (task.public, task.private, task.folder) == (folder / "public", folder / "private", folder)
    assert task.answers == folder / "private/answers.csv" and task.path == folder / "task.yaml"
    assert task.submission == Submission(folder / "public/sample_submission.csv", "customer_id", ("left",))
    assert task.labels == Labels(
        folder / "public/train.csv", "customer_id", ("left",), True, "household", ("public/train.csv",)
    )
    assert task.thresholds == Thresholds(0.92, 0.90, 0.88, 0.80, None)
    assert task.run["model"] == "a/b" and task.run["hours"] == 24
    assert task.run_lines["hours"].startswith(f"{task.path}:")


def test_minimal_task_has_no_optional_values(folder: Path) -> None:
    (folder / "task.yaml").write_text(
        "id: t\ndescription: description.md\nmetric: rmse\ndata: {public: public}\n"
        "submission: {sample: public/sample_submission.csv, id: customer_id, target: [left]}\n"
    )
    task = load_task(folder)
    assert (task.private, task.answers, task.labels, task.thresholds, task.title) == (None, None, None, None, "t")
    assert task.run == {} and task.hidden == () and not task.submission.may_be_missing


def test_thresholds_come_from_a_leaderboard(folder: Path) -> None:
    (folder / "board.csv").write_text("team,score\n" + "".join(f"t{n},{n / 10}\n" for n in range(10, 0, -1)))
    lines = [line for line in WHOLE.splitlines() if not line.startswith("thresholds")]
    (folder / "task.yaml").write_text("\n".join([*lines, "leaderboard: board.csv"]))
    assert load_task(folder).thresholds == Thresholds(1.0, 0.9, 0.7, 0.55, 10)


def test_custom_metric_is_found_without_running_its_file(folder: Path) -> None:
    (folder / "my.py").write_text("raise SystemExit\ndef score(answers, predictions, targets): return 0.0\n")
    text = WHOLE.replace("roc_auc", "{function: my.py:score, direction: lower, needs: labels}")
    (folder / "task.yaml").write_text(text.replace("gold: 0.92", "gold: 0.7").replace("0.88", "0.95"))
    metric = load_task(folder).metric
    assert (metric.name, metric.lower_is_better, metric.needs) == ("score", True, "labels")
    assert (metric.file, metric.function) == (folder / "my.py", "score")


def test_digest_depends_on_task_sample_and_answers(folder: Path) -> None:
    digests = [load_task(folder).digest]
    for name in ("task.yaml", "public/sample_submission.csv", "private/answers.csv"):
        with (folder / name).open("a") as file:
            file.write("\n")
        digests.append(load_task(folder).digest)
    assert len(set(digests)) == 4
    (folder / "public/train.csv").write_text("customer_id,household,left\n")
    assert load_task(folder).digest == digests[-1]


def test_digest_does_not_depend_on_the_folder(folder: Path, tmp_path: Path) -> None:
    assert load_task(make_folder(tmp_path / "elsewhere")).digest == load_task(folder).digest


def test_byte_order_mark_and_relative_path_are_accepted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("task.yaml", "public/sample_submission.csv"):
        (folder / name).write_bytes(b"\xef\xbb\xbf" + (folder / name).read_bytes())
    monkeypatch.chdir(folder.parent)
    assert load_task(Path("churn")).public == folder / "public"


# ------------------------------------------------------------------------------------------------- what is on disk


def test_missing_task_file_is_reported(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="does not exist"):
        load_task(tmp_path / "nothing.yaml")
    with pytest.raises(TaskError, match=r"contains no task\.yaml"):
        load_task(folder / "public")
    with pytest.raises(TaskError, match="does not exist"):
        load_task(folder / "task.yaml" / "task.yaml")
    os.mkfifo(folder / "pipe")
    with pytest.raises(TaskError, match="not a regular file"):
        load_task(folder / "pipe")


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ("description.md", "task.yaml:3:14 file 'description.md' (the task description) does not exist. Put it at"),
        ("public/train.csv", "task.yaml:10:16 file 'public/train.csv' (the training labels) does not exist. Put it at"),
        ("public/sample_submission.csv", "task.yaml:7:11 file 'public/sample_submission.csv' (the sample submission)"),
        ("private/answers.csv", "task.yaml:5:34 file 'private/answers.csv' (the private answers) does not exist."),
    ],
)
def test_missing_data_file_is_reported_with_its_path(folder: Path, missing: str, expected: str) -> None:
    (folder / missing).unlink()
    assert expected in refusal(folder)
    (folder / missing).mkdir()
    assert expected in refusal(folder)


def test_missing_data_folder_is_reported(folder: Path) -> None:
    message = refusal(folder, WHOLE.replace("public: public/", "public: pubic/"))
    assert "task.yaml:5:16 folder 'pubic/' does not exist. Create it at" in message


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("public/sample_submission.csv", b"id,left\n", "task.yaml:8:7 sample_submission.csv has no column 'customer"),
        ("public/sample_submission.csv", b"customer_id;left\n", "Its columns are: customer_id;left."),
        ("public/sample_submission.csv", b"", "sample_submission.csv is empty. Its first line must name the columns."),
        ("public/sample_submission.csv", b"\xff\xfe\x00\x01", "cannot be read (not a CSV file in UTF-8)"),
        ("public/train.csv", b"customer_id,left\n", "task.yaml:10:72 train.csv has no column 'household'."),
        ("private/answers.csv", b"customer_id\n", "task.yaml:9:11 answers.csv has no column 'left'."),
        ("description.md", b" \n", "task.yaml:3:14 file 'description.md' is empty."),
        ("description.md", b"\xff\xff", "description.md cannot be read (not text in UTF-8)."),
    ],
)  # fmt: skip
def test_data_file_that_does_not_fit_is_reported(folder: Path, file: str, content: bytes, expected: str) -> None:
    (folder / file).write_bytes(content)
    assert expected in refusal(folder)


def test_leaderboard_that_kaggle_offers_is_read(folder: Path) -> None:
    head = "\ufeffRank,TeamId,TeamName,LastSubmissionDate,Score,SubmissionCount\n"
    row = '{0},{0},"Team ""{0}"", the\nbest",2024-01-02 00:00:00,{1},1\n'
    rows = [row.format(rank, 1 - rank / 100) for rank in range(1, 51)]
    lines = [line for line in WHOLE.splitlines() if not line.startswith("thresholds")]
    (folder / "task.yaml").write_text("\n".join([*lines, "leaderboard: board.csv"]))
    (folder / "board.csv").write_text(head + "".join(rows))
    thresholds = load_task(folder).thresholds
    assert thresholds and (thresholds.gold, thresholds.rows) == (0.95, 50)
    (folder / "board.csv").write_text(head + "".join([*rows[:19], row.format(20, ""), *rows[20:]]))
    assert "line 41 has no score" in refusal(folder, (folder / "task.yaml").read_text())


@pytest.mark.parametrize(
    ("board", "expected"),
    [
        ("team,score\n", "the leaderboard has no rows"),
        ("team,points\na,1\n", "no column 'score'"),
        ("team,score\na\n", "line 2 has no score"),
        ("team,score\na,high\n", "line 2 has no score, but 'high'"),
        ("team,score\na,nan\n", "is not a finite number"),
        ("team,score\na,0.1\nb,0.9\n", "is not sorted best first"),
    ],
)
def test_unusable_leaderboard_is_reported(folder: Path, board: str, expected: str) -> None:
    (folder / "board.csv").write_text(board)
    lines = [line for line in WHOLE.splitlines() if not line.startswith("thresholds")]
    message = refusal(folder, "\n".join([*lines, "leaderboard: board.csv"]))
    assert message.startswith("task.yaml:12:14 board.csv") and expected in message


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("{function: my.py:score}", "a function needs a direction."),
        ("{function: my.py, direction: lower}", "is not of the form `file.py:function`"),
        ("{function: my.py:other, direction: lower}", "my.py defines no function 'other'."),
        ("{function: bad.py:score, direction: lower}", "bad.py is not valid Python at line 2."),
        ("{function: none.py:score, direction: lower}", "file 'none.py' (the file of the metric) does not exist."),
        ("{function: my.py:score, direction: up}", "'metric.direction' is 'up'. Write one of:"),
        ("{direction: lower}", "names no metric. Write one of: accuracy,"),
        ("{name: rmse, function: my.py:score, direction: lower}", "both a name and a function"),
        ("{name: rmse, direction: lower}", "only a `function:` takes a direction. Write `metric: rmse`."),
    ],
)
def test_unusable_custom_metric_is_reported(folder: Path, metric: str, expected: str) -> None:
    (folder / "my.py").write_text("def score(answers, predictions, targets): return 0.0\n")
    (folder / "bad.py").write_text("x = 1\ndef score(:\n")
    assert expected in refusal(folder, WHOLE.replace("roc_auc", metric))


def test_answers_inside_the_public_folder_are_refused(folder: Path) -> None:
    (folder / "public/answers.csv").write_text("customer_id,left\n2,1\n")
    expected = "is inside the public folder, where the model could read it. Move it out."
    assert expected in refusal(folder, WHOLE.replace("private: private/", "private: public/"))
    assert expected in refusal(folder, WHOLE.replace("private/}", "private/, answers: public/answers.csv}"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file_is_reported(folder: Path) -> None:
    (folder / "private").chmod(0)
    try:
        assert "cannot be read (Permission denied)" in refusal(folder)
    finally:
        (folder / "private").chmod(0o700)
