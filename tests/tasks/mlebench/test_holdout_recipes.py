"""Blends of all Lite and six development competitions: held-out rows cannot be distinguished from test rows."""

from __future__ import annotations

import csv
import io
import random
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from oracle import Oracle, book_of, contents, read, read_as_task, upset, write
from raw_files import raw

from tasks.catalog import find_task
from tasks.holdout.blend import Blend, make_blend
from tasks.holdout.private_labels import read_labels
from tasks.holdout.split import Split
from tasks.io.columns import write_columns
from tasks.io.csv_text import Row, as_number
from tasks.io.hashing import hash_of_file
from tasks.io.path_templates import PathPattern
from tasks.judging.judge import KEPT_FILES, check_test_rows, judge
from tasks.judging.partition_submission import partition_submission
from tasks.mlebench.facts import competitions
from tasks.mlebench.graders import RULES, read_table, score_file
from tasks.mlebench.official_metrics import Invalid, score_guarded
from tasks.mlebench.prepare import prepare
from tasks.mlebench.task_yaml import recipes

LITE = sorted(one.id for one in competitions().values() if one.split == "low")
SHIP = "spaceship-titanic"
MAY, TAXI, MELANOMA = (
    "tabular-playground-series-may-2022",
    "new-york-city-taxi-fare-prediction",
    "siim-isic-melanoma-classification",
)
SURE, MOST_SEEDS = 4.5, 8
"""Standard errors from which on an AUC is not chance, and the most seeds it is averaged over."""
KAGGLES_OWN = {"jigsaw-toxic-comment-classification-challenge"}
"""The test set is Kaggle's own, with other ids, which reveal held-out rows; this cannot be avoided."""
DATED = {"the-icml-2013-whale-challenge-right-whale-redux"}
"""File names are dates and whole days are held out, so they reveal held-out rows."""


def silent(*_: object) -> None:
    """Progress that is not shown."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@cache
def ready(name: str, home: Path) -> Oracle:
    """A competition prepared from small raw files, with all its answers."""
    prepare(name, home, raw(name, home / "kaggle" / name, is_large=True), silent, accepts_differences=True)
    if name in (MAY, TAXI, MELANOMA):
        _thin(home / "data" / name / "prepared", 300)
    return Oracle(find_task(name, home))


@dataclass(frozen=True)
class FirstBlend:
    """The blend of seed 0 and fold 0, which the tests share: they only read it."""

    blend: Blend
    files: dict[Path, str]
    perfect: list[Row]
    removed: list[tuple[str, ...]]


@cache
def first_blend(name: str, home: Path) -> FirstBlend:
    """The blend, the hashes of its files when it was made, a perfect submission, and the labelled rows it hides."""
    oracle, folder = ready(name, home), home / "first" / name
    folder.mkdir(parents=True)
    blend = blended(oracle, folder / "b")
    files = hash_files(blend.folder)
    return FirstBlend(blend, files, oracle.perfect(blend, folder / "mirror"), _left(oracle, blend, folder / "mirror"))


def hash_files(folder: Path) -> dict[Path, str]:
    return {path.relative_to(folder): hash_of_file(path) for path in folder.rglob("*") if path.is_file()}


def _thin(prepared: Path, keep: int) -> None:
    """Keep only some rows, and their files, of a test set whose size the benchmark fixes."""
    dropped: set[str] = set()
    for name in ("public/test.csv", "public/sample_submission.csv", "private/test.csv"):
        header, *rows = read(prepared / name)
        kept = rows[:: -(-len(rows) // keep)]
        dropped |= {row[0] for row in rows} - {row[0] for row in kept}
        mode = (prepared / name).stat().st_mode
        (prepared / name).unlink()
        write(prepared / name, [header, *kept]).chmod(mode)
    for folder in ("test", "jpeg/test"):
        for path in sorted((prepared / "public" / folder).glob("*")):
            if path.stem in dropped:
                path.unlink()


def blended(oracle: Oracle, folder: Path, split: Split = Split(), seed: int = 0) -> Blend:  # noqa: B008
    return make_blend(oracle.task, seed, folder, split)


def answers_file(blend: Blend, path: Path) -> Path:
    return write(path, read_labels(blend.private_labels / "answers.csv", "a test").rows())


@pytest.fixture(params=sorted(recipes()))
def oracle(request: pytest.FixtureRequest, home: Path) -> Oracle:
    return ready(request.param, home)


@pytest.fixture
def first(oracle: Oracle, home: Path) -> FirstBlend:
    return first_blend(oracle.task.id, home)


def test_every_lite_competition_has_a_recipe() -> None:
    assert len(LITE) == 22 and set(LITE) <= set(recipes())
    native = {one.id for one in competitions().values() if one.is_native}
    assert native - set(recipes()) == {"ml2021spring-hw2"}  # arrays of NumPy, whose rows cannot be moved


def test_a_perfect_submission_scores_perfectly_on_held_out_and_test_rows(
    oracle: Oracle, first: FirstBlend, tmp_path: Path
) -> None:
    task, blend = oracle.task, first.blend
    assert blend.held_out_rows > 0 and blend.test_rows == len(oracle.book.sample.ids)
    submission = write(tmp_path / "s.csv", upset(first.perfect))
    judged = judge(blend, submission, tmp_path / "out.csv", keep=True)
    best = 0.0 if task.metric.lower_is_better else 1.0
    assert (judged.status, judged.message) == ("scored", "")
    assert judged.score == pytest.approx(best, abs=1e-9)
    # The official rule agrees, on the held-out rows and on the submission of the test rows.
    official = score_guarded(
        RULES[task.id], read_table(tmp_path / "held_out.csv"), read_table(answers_file(blend, tmp_path / "a.csv"))
    )
    assert official == pytest.approx(best, abs=1e-9)
    assert task.answers is not None
    assert score_file(task.id, tmp_path / "out.csv", task.answers) == pytest.approx(best, abs=1e-9)
    assert read(tmp_path / "out.csv")[0] == oracle.book.sample.header


def test_a_submission_that_the_official_rule_refuses_is_invalid(
    oracle: Oracle, first: FirstBlend, tmp_path: Path
) -> None:
    task, out = oracle.task, tmp_path / "out.csv"
    assert task.answers is not None
    refused = 0
    for value in ("1.5", "-0.5", "2.5", "-2", "0.33", "inf"):
        header, *rows = first.perfect
        submission = write(tmp_path / "s.csv", [header, *([*row[:-1], value] for row in rows)])
        judged = judge(first.blend, submission, out, keep=True)
        if value == "inf" and task.metric.needs != "labels":
            assert judged.status == "invalid"
            continue
        write_columns(tmp_path / "test.csv", partition_submission(first.blend, submission).test)
        try:
            score_file(task.id, tmp_path / "test.csv", task.answers)
        except Invalid as error:
            refused += 1
            assert (judged.status, judged.message) == ("invalid", str(error)), value
            assert not [name for name in ("out.csv", *KEPT_FILES) if (tmp_path / name).exists()]
            assert check_test_rows(first.blend, tmp_path / "test.csv") == str(error)
    assert refused or task.metric.name not in ("log_loss", "quadratic_weighted_kappa")


def test_a_competition_without_held_out_rows_is_checked_too(home: Path, tmp_path: Path) -> None:
    name = "ml2021spring-hw2"
    prepare(name, home, raw(name, home / "kaggle" / name), silent, accepts_differences=True)
    blend = make_blend(find_task(name, home), 0, tmp_path / "blend")
    header, *rows = read(blend.public / "sampleSubmission.csv")
    for value, status in (("7", "unscored"), ("2.0", "unscored"), ("2.5", "invalid"), ("silence", "invalid")):
        submission = write(tmp_path / "s.csv", [header, *([row[0], value] for row in rows)])
        assert judge(blend, submission, tmp_path / "out.csv").status == status
        assert (tmp_path / "out.csv").exists() == (status == "unscored")


@pytest.mark.parametrize(
    ("true", "false"), [("True", "False"), ("true", "false"), ("TRUE", "FALSE"), ("1", "0"), ("1.0", "0.0")]
)
def test_booleans_mean_the_same_in_the_held_out_score_and_the_grade(
    true: str, false: str, home: Path, tmp_path: Path
) -> None:
    task, first = ready(SHIP, home).task, first_blend(SHIP, home)
    header, *rows = first.perfect
    words = {"True": true, "False": false}
    submission = write(tmp_path / "s.csv", [header, *([row[0], words[row[1]]] for row in rows)])
    assert judge(first.blend, submission, tmp_path / "out.csv").score == 1.0
    assert task.answers is not None
    assert score_file(SHIP, tmp_path / "out.csv", task.answers) == 1.0
    mixed = [[row[0], true if row[1] == "True" else "FALSE"] for row in rows]
    judged = judge(first.blend, write(tmp_path / "s.csv", [header, *mixed]), tmp_path / "out.csv")
    # pandas reads a column of words and numbers as text, which is no answer at all.
    assert judged.status == ("invalid" if true.startswith("1") else "scored")


def test_the_score_of_a_run_is_that_of_the_official_rule_on_the_held_out_rows(
    oracle: Oracle, first: FirstBlend, tmp_path: Path
) -> None:
    """With predictions that are neither perfect nor constant."""
    task, blend = oracle.task, first.blend
    header, *rows = first.perfect
    draw = random.Random(3)
    if task.metric.needs == "labels":
        given = [[row[0], *(row if draw.random() < 0.7 else draw.choice(rows))[1:]] for row in rows]
    else:
        given = [[row[0], *_blurred([float(cell) for cell in row[1:]], draw)] for row in rows]
    judged = judge(blend, write(tmp_path / "s.csv", [header, *given]), tmp_path / "out.csv", keep=True)
    assert judged.status == "scored", judged.message
    right = answers_file(blend, tmp_path / "a.csv")
    official = score_guarded(RULES[task.id], read_table(tmp_path / "held_out.csv"), read_table(right))
    assert judged.score == pytest.approx(official, abs=1e-6)
    assert judged.noise is not None and judged.noise > 0
    assert abs(official - (0.0 if task.metric.lower_is_better else 1.0)) > 1e-4


def _blurred(values: list[float], draw: random.Random) -> list[str]:
    """Values of a row moved towards random ones, with the same sum if they are class probabilities."""
    weights = [draw.random() for _ in values]
    total = sum(weights) if len(values) > 1 and sum(values) == 1 else 1.0
    return [repr(0.1 * value + 0.9 * weight / total) for value, weight in zip(values, weights, strict=True)]


def test_folds_hold_out_each_unit_once_and_all_have_the_same_test_rows(
    oracle: Oracle, first: FirstBlend, tmp_path: Path
) -> None:
    removed: list[tuple[str, ...]] = []
    test_rows = set()
    for fold in [*range(first.blend.folds or 2), -1]:
        blend = blended(oracle, tmp_path / f"b{fold}", Split(0, fold)) if fold else first.blend
        perfect = oracle.perfect(blend, tmp_path / "mirror") if fold else first.perfect
        parts = partition_submission(blend, write(tmp_path / "s.csv", upset(perfect, fold)))
        assert parts.held_out.column(oracle.task.submission.id) == parts.answers.column(oracle.task.submission.id)
        test_rows.add(tuple(map(tuple, parts.test.rows())))
        removed += _left(oracle, blend, tmp_path / "mirror") if fold else first.removed
        assert blend.has_labels == (fold >= 0)
    assert len(test_rows) == 1
    assert len(removed) == len(set(removed))
    if first.blend.folds:
        assert len(removed) == len(oracle.book.train.labels)


def _left(oracle: Oracle, blend: Blend, folder: Path) -> list[tuple[str, ...]]:
    """The labelled rows that the blend does not show as such."""
    shown = set(map(tuple, book_of(read_as_task(oracle.task, blend, folder)).train.source.rows()))
    return [row for row in map(tuple, oracle.book.train.source.rows()) if row not in shown]


def test_making_a_blend_again_gives_the_same_bytes(oracle: Oracle, first: FirstBlend, tmp_path: Path) -> None:
    assert hash_files(blended(oracle, tmp_path / "blend").folder) == first.files


# ----------------------------------------------------------------------------------------------- nothing reveals labels


WORD = re.compile(rb"[\w.-]+")


def test_held_out_rows_and_their_labels_are_nowhere_else(oracle: Oracle, first: FirstBlend) -> None:
    """All bytes are scanned, archives unpacked, for cells of only one labelled row and for its files."""
    task, blend, gone = oracle.task, first.blend, first.removed
    found = dict(contents(blend.public))
    words = {name: set(WORD.findall(content)) for name, content in found.items()}
    sample = task.submission.shown or task.submission.sample.name
    lines = {line for name, content in found.items() if sample not in name for line in content.splitlines()}
    before = dict(contents(task.public))
    held = list(found.values())
    source = oracle.book.train.source
    labels = {source.header.index(name) for name in oracle.task.labels.targets if name in source.header}  # type: ignore[union-attr]
    to_predict = [name for name in found if _is_to_predict(oracle, name)]
    unique, columns = _only_once(oracle), {name.encode() for name in oracle.book.sample.header}
    other_stems = {_stem(one) for one in found if one not in to_predict}
    assert gone
    for cells in gone:
        assert _line(cells) not in lines or len(cells) < 2
        row = [source.plain(cell) for cell in cells]
        marks = {cell.encode() for at, cell in enumerate(row) if cell in unique and at not in labels}
        answers = {cell.encode() for at, cell in enumerate(row) if cell in unique and at in labels} - columns
        for name in found:
            assert not answers & words[name], name
            assert name in to_predict or not marks & words[name], name
        fields = dict(zip(source.header, row, strict=True))
        for old, new in task.recipe.files:
            spot, after = PathPattern(old), PathPattern(new)
            name = f"{spot.archive}!{spot.fill(fields)}" if spot.archive else spot.fill(fields)
            assert name not in found or spot.text == after.text
            assert task.recipe.renumber or _stem(name) not in other_stems
            assert held.count(before[name]) == list(before.values()).count(before[name]) - (not after)


def _stem(name: str) -> str:
    """The name of a file without its folder and suffix: no other file of a moved row may be called the same."""
    return Path(name.rpartition("!")[2]).stem


def _line(row: Row | tuple[str, ...]) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="").writerow(row)
    return stream.getvalue().encode()


def _is_to_predict(oracle: Oracle, name: str) -> bool:
    task, asked = oracle.task, oracle.book.test.source
    tables = [path.relative_to(task.public).as_posix() for path in asked.paths] if asked else []
    whole, bar, member = name.partition("!")
    if whole in (*tables, task.submission.shown or task.submission.sample.name):
        return True
    for _, line in task.recipe.files:
        spot = PathPattern(line)
        if spot and (spot.archive == whole if spot.archive else not bar and spot.match(name)):
            return not bar or spot.match(member) is not None
    return False


def _only_once(oracle: Oracle) -> set[str]:
    """Longer words that are in one labelled row and nowhere else."""
    source = oracle.book.train.source
    rows = [*source.rows(), *oracle.book.test.rows]
    counts = Counter(source.plain(cell) for row in rows for cell in row)
    return {cell for cell, count in counts.items() if count == 1 and len(cell) > 3 and WORD.fullmatch(cell.encode())}


def test_birds_to_predict_are_marked_in_both_tables(home: Path) -> None:
    blend = first_blend("mlsp-2013-birds", home).blend
    essential = blend.public / "essential_data"
    asked = {
        line.split(",")[0] for line in (essential / "rec_labels_test_hidden.txt").read_text().split() if "?" in line
    }
    assert {row[0] for row in read(essential / "CVfolds_2.txt") if row[1] == "1"} == asked
    assert len(asked) == (blend.test_rows + blend.held_out_rows) / 19


def test_nothing_separates_held_out_rows_from_test_rows(oracle: Oracle, first: FirstBlend, tmp_path: Path) -> None:
    """Neither id nor position, nor time, size, inode, links, mode or kind of files: each alone, and together.

    Averaged over as many seeds as an AUC of three quarters needs to be significant. Held-out rows differ by seed, test
    rows do not.
    """
    areas: dict[str, list[float]] = defaultdict(list)
    rows_held, chance = 0, 1.0
    while chance > 0.25:
        seed = len(areas["together"])
        assert seed < MOST_SEEDS, "too few rows for a significant result"
        blend = blended(oracle, tmp_path / f"b{seed}", seed=seed) if seed else first.blend
        if oracle.task.id in KAGGLES_OWN | DATED:
            assert "ids distinguish held-out rows" in " ".join(blend.notes)
        seen, held = _seen(oracle, blend, tmp_path / f"mirror{seed}")
        if oracle.task.id in DATED:
            return
        if oracle.task.id in KAGGLES_OWN:
            del seen["id"]
        for name, values in seen.items():
            areas[name].append(area(values, held))
        areas["together"].append(_classifier_auc(seen, held))
        rows_held = min(rows_held + sum(held), len(oracle.book.train.labels))
        chance = SURE * ((1 / rows_held + 1 / (len(held) - sum(held))) / 12) ** 0.5
    excess = {name: sum(values) / len(values) - 0.5 for name, values in areas.items()}
    assert {name: by for name, by in excess.items() if (by if name == "together" else abs(by)) >= chance} == {}


def _seen(oracle: Oracle, blend: Blend, folder: Path) -> tuple[dict[str, list[float]], list[bool]]:
    """Everything visible of each row to predict, and whether it is held out."""
    task = oracle.task
    names, roles = ([row[0] for row in read(blend.private_labels / name)[1:]] for name in ("ids.csv", "key.csv"))
    mirror = read_as_task(task, blend, folder)
    book = book_of(mirror)
    seen: dict[str, list[float]] = defaultdict(list)
    held, unit = [], ""
    ids = sorted(set(names), key=lambda one: (as_number(one) or 0, one))
    rank = {name: float(at) for at, name in enumerate(ids)}
    for at, (row, places) in enumerate(zip(book.test.rows, book.test.sample_rows, strict=True)):
        fields = dict(zip(book.test.header, row, strict=True))
        if task.recipe.unit:  # rows that move together count once
            unit, before = fields[task.recipe.unit], unit
            if unit == before:
                continue
        if book.test.source is not None:
            fields = {name: book.test.source.plain(cell) for name, cell in fields.items()}
        held.append(roles[places[0]] != "test")
        seen["id"].append(rank[names[places[0]]])
        seen["place in the sample"].append(places[0])
        seen["place in the table"].append(at)
        for _, line in task.recipe.files:
            if spot := PathPattern(line):
                for name, value in _file_attributes(blend.public, spot, spot.fill(fields)).items():
                    seen[f"{name} of {line}"].append(value)
    return seen, held


def _file_attributes(public: Path, spot: PathPattern, name: str) -> dict[str, float]:
    if spot.archive:
        with zipfile.ZipFile(public / spot.archive) as archive:
            info = archive.getinfo(name)
            kind = {"kind": info.compress_type, "mode": info.external_attr, "version": info.create_version}
            return {"date": hash(info.date_time), "size": info.file_size, "place": info.header_offset, **kind}
    found = (public / name).stat()
    attributes = {"date": found.st_mtime_ns, "change": found.st_ctime_ns, "size": found.st_size, "number": found.st_ino}
    return {**attributes, "links": found.st_nlink, "mode": found.st_mode, "owner": found.st_uid}


def area(values: Sequence[float], held: Sequence[bool]) -> float:
    """The area under the ROC curve, ties shared."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(held, values))


def _classifier_auc(seen: Mapping[str, Sequence[float]], held: Sequence[bool]) -> float:
    """The AUC of a classifier that separates them, on rows it was not trained on."""
    import numpy as np
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    table = np.column_stack([np.asarray(values, float) for values in seen.values()])
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    model = DecisionTreeClassifier(max_depth=3, random_state=0)
    chances = cross_val_predict(model, table, np.array(held), cv=folds, method="predict_proba")
    return area(chances[:, 1].tolist(), held)
