"""A blend holds labels out, hides which rows it took, changes no cell, and submissions are divided exactly."""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
import tempfile
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from churn_folder import make_folder
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tasks import Row, churn, read_table, truth, write_table

from tasks.examples.prepare import prepare_example
from tasks.holdout.blend import Blend, _fingerprint, load_blend, make_blend
from tasks.holdout.split import Split
from tasks.io.csv_text import as_number
from tasks.judging.judge import run_judge
from tasks.judging.partition_submission import format_of, partition_submission
from tasks.task import Task, TaskError, load_task
from tests.harness.judged_runs import coin, two_numbers


def tree(folder: Path) -> dict[str, tuple[bytes | None, int, float]]:
    return {
        path.relative_to(folder).as_posix(): (
            path.read_bytes() if path.is_file() else None,
            stat.S_IMODE(path.stat().st_mode),
            path.stat().st_mtime if "public" in path.parts else 0.0,
        )
        for path in sorted(folder.rglob("*"))
    }


def held_out_ids(blend: Blend) -> set[str]:
    return {row[0] for row in read_table(blend.private_labels / "answers.csv")[1:]}


def perfect_rows(task: Task, blend: Blend) -> list[Row]:
    right = truth(task)
    return [
        ["customer", "left"],
        *([row[0], right[row[0]]] for row in read_table(blend.public / "sample_submission.csv")[1:]),
    ]


def test_a_quarter_of_the_labelled_rows_moves_to_the_test_rows(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    blend = make_blend(task, 0, tmp_path / "blend")
    assert (blend.held_out_rows, blend.test_rows, blend.has_labels) == (50, 60, True)
    train, test, sample = (read_table(blend.public / f"{name}.csv") for name in ("train", "test", "sample_submission"))
    assert len(train) == 1 + 150
    assert len(test) == len(sample) == 1 + 110
    assert [row[0] for row in test] == [row[0] for row in sample]
    assert {row[1] for row in sample[1:]} == {"stays"}
    assert not blend.notes


def test_same_seed_gives_same_bytes(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    first, again, other = (make_blend(task, seed, tmp_path / name) for name, seed in (("a", 3), ("b", 3), ("c", 4)))
    assert tree(first.folder) == tree(again.folder)
    assert held_out_ids(first) != held_out_ids(other)


def test_making_a_blend_twice_changes_nothing(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    blend = make_blend(task, 0, tmp_path / "blend")
    before = tree(blend.folder), blend.folder.stat().st_ino
    assert make_blend(task, 0, tmp_path / "blend") == blend == load_blend(tmp_path / "blend")
    assert (tree(blend.folder), blend.folder.stat().st_ino) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".files", "blend", "task"]


def test_no_cell_changes(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    blend = make_blend(task, 0, tmp_path / "blend")
    before = {row[0]: row for row in read_table(task.public / "train.csv") + read_table(task.public / "test.csv")[1:]}
    train, test = read_table(blend.public / "train.csv"), read_table(blend.public / "test.csv")
    assert all(row == before[row[0]] for row in train)
    assert all(row == before[row[0]][:3] for row in test)
    assert {row[0] for row in train} | {row[0] for row in test} == set(before)
    kept = [row[0] for row in read_table(task.public / "train.csv") if row[0] not in held_out_ids(blend)]
    assert sorted(row[0] for row in train) == sorted(kept) and [row[0] for row in train] != kept


def test_bytes_that_are_not_utf8_are_kept(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    for name in ("train", "test"):
        path = task.public / f"{name}.csv"
        path.write_bytes(path.read_bytes().replace("äöü".encode(), b"\xe4\xf6\xfc"))
    blend = make_blend(task, 0, tmp_path / "blend")
    counts = [
        sum((folder / f"{name}.csv").read_bytes().count(b"\xe4\xf6\xfc") for name in ("train", "test"))
        for folder in (task.public, blend.public)
    ]
    assert counts[0] == counts[1] > 0


def test_no_public_file_contains_a_held_out_label(tmp_path: Path) -> None:
    """Labels that occur once each: any copy of one would be found as bytes."""
    task = churn(tmp_path / "task", metric="rmse", label=lambda draw: f"{draw.random():.12f}", sample="0.5")
    blend = make_blend(task, 0, tmp_path / "blend")
    public = b"".join(path.read_bytes() for path in blend.public.rglob("*") if path.is_file())
    *answers, canary = read_table(blend.private_labels / "answers.csv")[1:]
    assert len(answers) == 50
    assert canary[0].encode() not in public
    for name, label in answers:
        assert label.encode() not in public
        assert name.encode() not in (blend.public / "train.csv").read_bytes()


def rank_auc(values: list[float], positive: list[bool]) -> float:
    ranks = [rank for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)) if positive[place]]
    count, others = len(ranks), len(values) - len(ranks)
    return (sum(ranks) - count * (count - 1) / 2) / (count * others)


@pytest.mark.parametrize("name", ["digits", "breast-cancer", "diabetes"])
def test_ids_and_order_do_not_reveal_held_out_rows_of_the_examples(name: str, tmp_path: Path) -> None:
    task = load_task(prepare_example(name, tmp_path))
    blend = make_blend(task, 0, tmp_path / "blend")
    shown = [row[0] for row in read_table(blend.public / "sample_submission.csv")[1:]]
    positive = [row in held_out_ids(blend) for row in shown]
    assert sum(positive) == blend.held_out_rows > 40
    four_errors = 4 * ((len(shown) + 1) / 12 / blend.held_out_rows / blend.test_rows) ** 0.5
    ids = sorted(shown, key=lambda name: as_number(name) if as_number(name) is not None else name)
    for values in ([float(ids.index(name)) for name in shown], [float(index) for index in range(len(shown))]):
        assert abs(rank_auc(values, positive) - 0.5) < four_errors
    assert not blend.notes


@pytest.mark.parametrize("name", ["digits", "breast-cancer", "diabetes"])
def test_held_out_rows_of_the_examples_are_shown_once_without_label(name: str, tmp_path: Path) -> None:
    task = load_task(prepare_example(name, tmp_path))
    blend = make_blend(task, 0, tmp_path / "blend")
    assert task.labels is not None
    (target,) = task.labels.targets
    hidden, shown = held_out_ids(blend), blend.public / "train.csv"
    header, *original = read_table(task.labels.file)
    train_header, *train = read_table(shown)
    test_header, *test = read_table(blend.public / "test.csv")
    assert target in train_header and target not in test_header
    features = [place for place, column in enumerate(header) if column not in (target, header[0])]
    cells = {tuple(row[place] for place in features) for row in original if row[0] in hidden}
    assert not {tuple(row[place] for place in features) for row in train} & cells
    assert not {row[0] for row in train} & hidden
    assert len({row[0] for row in test} & hidden) == blend.held_out_rows
    tables = {path.name for path in blend.public.rglob("*.csv")}
    assert tables == {"train.csv", "test.csv", "sample_submission.csv"}


def test_revealing_ids_are_noted(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    for name in ("train", "test", "sample_submission"):
        rows = read_table(task.public / f"{name}.csv")
        start = 0 if name == "train" else 1000
        write_table(
            task.public / f"{name}.csv",
            [rows[0], *([str(start + index), *row[1:]] for index, row in enumerate(rows[1:]))],
        )
    (note,) = make_blend(task, 0, tmp_path / "blend").notes
    assert "ids distinguish held-out rows" in note


def test_varying_sample_is_shown_constant(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    path = task.submission.sample
    rows = read_table(path)
    write_table(path, [rows[0], ["".join(rows[1][0]), "leaves"], *rows[2:]])
    blend = make_blend(task, 0, tmp_path / "blend")
    assert {row[1] for row in read_table(blend.public / "sample_submission.csv")[1:]} == {"stays"}
    assert "varies in left" in blend.notes[0]


def test_public_files_are_readable_and_private_labels_are_not(tmp_path: Path) -> None:
    os.umask(0o077)
    try:
        blend = make_blend(churn(tmp_path / "task"), 0, tmp_path / "blend")
    finally:
        os.umask(0o022)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [blend.public, *blend.public.rglob("*")]}
    assert {modes[path] for path in modes if path.is_dir()} == {0o755}
    assert {modes[path] for path in modes if path.is_file()} == {0o444}
    assert stat.S_IMODE(blend.private_labels.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in blend.private_labels.iterdir()} == {0o600}
    assert stat.S_IMODE(blend.folder.stat().st_mode) == 0o711
    assert len({path.stat().st_mtime for path in modes}) == 1


def test_user_files_keep_mode_and_date(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    before = tree(tmp_path / "task")
    make_blend(task, 0, tmp_path / "blend")
    assert tree(tmp_path / "task") == before


def test_task_without_labels_is_shown_unchanged(tmp_path: Path) -> None:
    task = churn(tmp_path / "task", labels="")
    blend = make_blend(task, 0, tmp_path / "blend")
    assert (blend.held_out_rows, blend.test_rows, blend.has_labels) == (0, 60, False)
    for path in task.public.rglob("*"):
        if path.is_file():
            assert (blend.public / path.relative_to(task.public)).read_bytes() == path.read_bytes()
    parts = partition_submission(blend, task.submission.sample)
    assert parts.test.rows() == read_table(task.submission.sample)
    assert len(parts.held_out) == 0


def test_unfinished_folder_of_a_dead_process_is_removed(tmp_path: Path) -> None:
    abandoned = tmp_path / ".blend.building-999999999"
    abandoned.mkdir()
    task = churn(tmp_path / "task")
    make_blend(task, 0, tmp_path / "blend")
    assert not abandoned.exists()


def test_strata_keep_their_share_and_groups_stay_whole(tmp_path: Path) -> None:
    blend = make_blend(churn(tmp_path / "a"), 0, tmp_path / "strata")
    taken = [row[1] for row in read_table(blend.private_labels / "answers.csv")[1:]]
    rest = [row[3] for row in read_table(blend.public / "train.csv")[1:]]
    for label in ("stays", "leaves", "unsure"):
        share = taken.count(label) / (taken.count(label) + rest.count(label))
        assert abs(share - 0.25) < 0.02
    blend = make_blend(churn(tmp_path / "b", labels="group: household"), 0, tmp_path / "groups")
    train = {row[2] for row in read_table(blend.public / "train.csv")[1:]}
    moved = {row[2] for row in read_table(blend.public / "test.csv")[1:] if row[0] in held_out_ids(blend)}
    assert moved and not train & moved
    assert 25 <= blend.held_out_rows <= 75
    assert {unit for role, _, unit, _ in read_table(blend.private_labels / "key.csv") if role == "held_out"} == moved


# ---------------------------------------------------------------------------------------------------- what is refused


def refused(task: Task, tmp_path: Path) -> str:
    with pytest.raises(TaskError) as caught:
        make_blend(task, 0, tmp_path / "blend")
    assert not [path for path in tmp_path.iterdir() if "blend" in path.name]
    return str(caught.value)


def test_repeated_ids_are_refused(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    rows = read_table(task.public / "train.csv")
    write_table(task.public / "train.csv", [*rows, rows[1]])
    assert "must be unique over train.csv and test.csv together" in refused(task, tmp_path)


def test_missing_or_ambiguous_test_file_is_refused(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    shutil.copy(task.public / "test.csv", task.public / "test2.csv")
    assert "found: test.csv, test2.csv" in refused(task, tmp_path)
    for name in ("test.csv", "test2.csv"):
        (task.public / name).unlink()
    message = refused(task, tmp_path)
    assert "(customer, note, household)" in message and "found: none" in message and "leave `labels` out" in message


def test_sample_with_other_ids_is_refused(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    rows = read_table(task.submission.sample)
    write_table(task.submission.sample, rows[:-1])
    assert "must have the same ids" in refused(task, tmp_path)


def test_second_copy_of_the_labels_is_refused(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    copy = task.public / "notes" / "annotations.csv"
    write_table(copy, [[row[0], row[3]] for row in read_table(task.public / "train.csv")])
    assert "annotations.csv also contains labels" in refused(task, tmp_path)
    copy.unlink()
    with zipfile.ZipFile(task.public / "all.zip", "w") as archive:
        archive.write(task.public / "train.csv", "data/train.csv")
    assert "all.zip contains a copy of train.csv" in refused(task, tmp_path)


def test_too_few_rows_and_too_few_groups_are_refused(tmp_path: Path) -> None:
    assert "30 labelled rows" in refused(churn(tmp_path / "few", train_rows=30), tmp_path)
    assert "groups are too few" in refused(churn(tmp_path / "one", labels="group: household", households=1), tmp_path)


def test_text_labels_for_a_numeric_metric_are_refused(tmp_path: Path) -> None:
    task = churn(tmp_path / "task", metric="rmse", sample="0")
    assert "is not a number, and the metric needs numbers" in refused(task, tmp_path)


def test_row_of_wrong_width_is_refused(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    with (task.public / "train.csv").open("a") as stream:
        stream.write("1,2\n")
    assert "has 2 cells, the header has 4" in refused(task, tmp_path)


def test_blend_of_changed_data_is_refused(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    make_blend(task, 0, tmp_path / "blend")
    with (task.public / "train.csv").open("a") as stream:
        stream.write("99999999,x,h1,stays\n")
    with pytest.raises(TaskError, match="changed since"):
        make_blend(task, 0, tmp_path / "blend")


def test_fingerprint_of_existing_folders_does_not_change(tmp_path: Path) -> None:
    """A home holds data folders of earlier versions; another fingerprint would make every new run refuse them."""
    task = load_task(make_folder(tmp_path / "churn"))
    assert _fingerprint(task, 3, Split(1, 2), 1) == "ec0929301f64d8a972022c819806f7ab4d4c968d1ccd896bfabb8f80735db1d4"


def test_folder_of_the_first_format_is_read(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    blend = make_blend(task, 0, tmp_path / "blend")
    path = blend.private_labels / "blend.json"
    meta = json.loads(path.read_text())
    del meta["format"]
    path.write_text(json.dumps(meta | {"fingerprint": _fingerprint(task, 0, Split(), 1)}))
    assert make_blend(task, 0, tmp_path / "blend") == blend


def _places(blend: Blend, name: str) -> dict[tuple[str, ...], int]:
    """The place of each row of a table by its cells without the id."""
    return {tuple(row[1:3]): place for place, row in enumerate(read_table(blend.public / f"{name}.csv")[1:])}


def test_every_fold_has_its_own_order_and_ids(tmp_path: Path) -> None:
    """Neither a row's place nor its id tells on another fold which row it is."""
    task = load_task(two_numbers(tmp_path / "coin", coin))
    blends = [make_blend(task, 0, tmp_path / f"b{fold}", Split(0, fold)) for fold in range(2)]
    for name in ("train", "test"):
        first, second = (_places(blend, name) for blend in blends)
        shared = first.keys() & second.keys()
        assert len(shared) >= 200 and sum(first[cells] == second[cells] for cells in shared) < 10
        firsts, seconds = (
            {tuple(row[1:3]): row[0] for row in read_table(blend.public / f"{name}.csv")[1:]} for blend in blends
        )
        assert sum(firsts[cells] == seconds[cells] for cells in shared) < 10
    before = read_table(task.public / "train.csv") + read_table(task.public / "test.csv")[1:]
    after = read_table(blends[0].public / "train.csv") + read_table(blends[0].public / "test.csv")[1:]
    assert {row[0] for row in before} == {row[0] for row in after}, "the new ids are the old ones, dealt anew"


def test_renamed_rows_are_judged_and_submitted_under_their_own_ids(tmp_path: Path) -> None:
    task = load_task(two_numbers(tmp_path / "side", lambda draw, a, b: f"{a + b:.4f}", metric="rmse"))
    blend = make_blend(task, 0, tmp_path / "blend", Split(0, 2))
    rows = [[row[0], f"{float(row[1]) + float(row[2]):.4f}"] for row in read_table(blend.public / "test.csv")[1:]]
    write_table(tmp_path / "submission.csv", [["key", "y"], *rows])
    judgement = run_judge(blend.folder, tmp_path / "submission.csv", tmp_path / "out.csv", 60)
    assert judgement.score is not None and judgement.score < 1e-3
    submitted = dict(map(tuple, read_table(tmp_path / "out.csv")[1:]))
    for key, a, b in read_table(task.public / "test.csv")[1:]:
        assert abs(float(submitted[key]) - float(a) - float(b)) < 1e-3


@pytest.mark.parametrize("kept", ["ordered by label", "other file", "no integers"])
def test_ids_that_may_mean_something_are_kept(kept: str, tmp_path: Path) -> None:
    task = load_task(two_numbers(tmp_path / "coin", coin))
    tables = {name: read_table(task.public / f"{name}.csv") for name in ("train", "test", "sample_submission")}
    if kept == "other file":
        (task.public / "notes.txt").write_text(tables["train"][1][0])
    if kept == "ordered by label":
        ordered = sorted(tables["train"][1:], key=lambda row: row[-1])
        keys = sorted(row[0] for row in ordered)
        tables["train"][1:] = [[key, *row[1:]] for key, row in zip(keys, ordered, strict=True)]
    if kept == "no integers":
        tables = {name: [rows[0], *([f"k{row[0]}", *row[1:]] for row in rows[1:])] for name, rows in tables.items()}
    for name, rows in tables.items():
        write_table(task.public / f"{name}.csv", rows)
    blend = make_blend(task, 0, tmp_path / "blend")
    assert set(map(tuple, read_table(blend.public / "train.csv"))) <= set(map(tuple, tables["train"]))


def test_rewording_a_metric_keeps_the_blend(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    blend = make_blend(task, 0, tmp_path / "blend")
    reworded = replace(task, metric=replace(task.metric, doc="Other words."))
    assert make_blend(reworded, 0, tmp_path / "blend").folder == blend.folder
    with pytest.raises(TaskError, match="changed since"):
        make_blend(replace(task, metric=replace(task.metric, needs="numbers")), 0, tmp_path / "blend")


def test_folder_without_a_blend_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="is not a readable blend"):
        load_blend(tmp_path)


# ------------------------------------------------------------------------------------------- dividing submissions


def test_shuffled_submission_is_divided_exactly(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    blend = make_blend(task, 0, tmp_path / "blend")
    header, *rows = [row[::-1] for row in perfect_rows(task, blend)]
    random.Random(1).shuffle(rows)
    write_table(tmp_path / "submission.csv", [header, *rows])
    parts = partition_submission(blend, tmp_path / "submission.csv")
    assert parts.held_out.rows() == parts.answers.rows()
    assert task.answers is not None
    assert parts.test.rows() == read_table(task.answers)


SHARED = tempfile.TemporaryDirectory(prefix="blend-test-")


@cache
def shared_blend() -> tuple[Task, Blend]:
    folder = Path(SHARED.name)
    task = churn(folder / "task")
    return task, make_blend(task, 0, folder / "blend")


@settings(max_examples=25, deadline=None)
@given(draw=st.randoms(use_true_random=False), text=st.sampled_from(["{}", "{}.0", "0{}", "{}.00", " {}"]))
def test_division_does_not_depend_on_order_columns_or_id_format(draw: random.Random, text: str) -> None:
    task, blend = shared_blend()
    header, *rows = [["extra", *row] for row in perfect_rows(task, blend)]
    places = list(range(3))
    draw.shuffle(rows)
    draw.shuffle(places)
    rows = [[row[0], text.format(row[1]) if draw.random() < 0.5 else row[1], row[2]] for row in rows]
    path = blend.folder.parent / "submission.csv"
    write_table(path, [[row[index] for index in places] for row in [header, *rows]])
    parts = partition_submission(blend, path)
    assert parts.held_out.rows() == parts.answers.rows()
    assert task.answers is not None
    assert parts.test.rows() == read_table(task.answers)


def test_shown_sample_is_a_valid_submission(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    blend = make_blend(task, 0, tmp_path / "blend")
    assert partition_submission(blend, blend.public / "sample_submission.csv").test.rows() == read_table(
        task.submission.sample
    )
    assert len(format_of(blend).ids) == 110


def test_blend_with_ids_in_its_key_still_works(tmp_path: Path) -> None:
    """Blends of earlier versions have no ids.csv; their runs continue."""
    task = churn(tmp_path / "task", labels="group: household")
    current = make_blend(task, 0, tmp_path / "current")
    earlier = load_blend(Path(shutil.copytree(current.folder, tmp_path / "earlier")))
    pairs = zip(
        read_table(current.private_labels / "ids.csv"), read_table(current.private_labels / "key.csv"), strict=True
    )
    write_table(earlier.private_labels / "key.csv", [[*name, *rest] for name, rest in pairs])
    (earlier.private_labels / "ids.csv").unlink()
    submission = current.public / "sample_submission.csv"
    first, second = partition_submission(current, submission), partition_submission(earlier, submission)
    for part in ("held_out", "answers", "select", "test"):
        assert getattr(first, part).rows() == getattr(second, part).rows()
    assert first.units == second.units and any(first.units)
