"""Every preparer makes the files, names, columns and row counts of the benchmark from Kaggle's raw files."""

from __future__ import annotations

import csv
import json
import stat
import zipfile
from pathlib import Path

import pytest
from answers import BREEDS, CATHETERS, DISEASES, SPECIES, TOXIC
from raw_files import BUILDERS, DIGITS_KEPT, DIGITS_LOST, raw

from tasks.catalog import find_task
from tasks.mlebench.facts import competitions
from tasks.mlebench.graders import score_file
from tasks.mlebench.prepare import Prepared, prepare
from tasks.mlebench.preparers.melanoma import image_names
from tasks.mlebench.preparers.registry import PREPARERS
from tasks.task import Task

FIELDS = ["giver_username_if_known", "request_id", "request_text_edit_aware", "requester_username"]
MELANOMA = ["image_name", "patient_id", "sex", "age_approx", "anatom_site_general_challenge"]
ENERGIES = ["formation_energy_ev_natom", "bandgap_energy_ev"]
MORE = ["CVC - Normal", "Swan Ganz Catheter Present", "PatientID"]
TEXT = ["sentence_id", "token_id", "class", "before", "after"]

# File -> its columns and its rows (None where the split is by sentence).
TABLES: dict[str, dict[str, tuple[list[str], int | None]]] = {
    "aerial-cactus-identification": {
        "public/train.csv": (["id", "has_cactus"], 81),
        "private/test.csv": (["id", "has_cactus"], 19),
        "public/sample_submission.csv": (["id", "has_cactus"], 19),
    },
    "aptos2019-blindness-detection": {
        "public/train.csv": (["id_code", "diagnosis"], 74),
        "public/test.csv": (["id_code"], 9),
        "private/test.csv": (["id_code", "diagnosis"], 9),
        "public/sample_submission.csv": (["id_code", "diagnosis"], 9),
    },
    "denoising-dirty-documents": {
        "private/answers.csv": (["id", "value"], None),
        "public/sampleSubmission.csv": (["id", "value"], None),
    },
    "detecting-insults-in-social-commentary": {
        "public/train.csv": (["Insult", "Date", "Comment"], 40),
        "public/test.csv": (["Date", "Comment"], 25),
        "public/sample_submission_null.csv": (["Insult", "Date", "Comment"], 25),
        "private/test.csv": (["Insult", "Date", "Comment", "Usage"], 25),
        "private/gold_submission.csv": (["Insult", "Date", "Comment"], 25),
    },
    "dog-breed-identification": {
        "public/labels.csv": (["id", "breed"], 216),
        "private/test.csv": (["id", *BREEDS], 24),
        "public/sample_submission.csv": (["id", *BREEDS], 24),
    },
    "dogs-vs-cats-redux-kernels-edition": {
        "private/answers.csv": (["id", "label"], 12),
        "public/sample_submission.csv": (["id", "label"], 12),
    },
    "histopathologic-cancer-detection": {
        "public/train_labels.csv": (["id", "label"], 64),
        "private/answers.csv": (["id", "label"], 16),
        "public/sample_submission.csv": (["id", "label"], 16),
    },
    "jigsaw-toxic-comment-classification-challenge": {
        "public/train.csv": (["id", "comment_text", *TOXIC], 40),
        "public/test.csv": (["id", "comment_text"], 30),
        "private/test.csv": (["id", *TOXIC], 30),
        "public/sample_submission.csv": (["id", *TOXIC], 30),
    },
    "leaf-classification": {
        "private/test.csv": (["id", *SPECIES], 20),
        "public/sample_submission.csv": (["id", *SPECIES], 20),
    },
    "mlsp-2013-birds": {
        "private/answers.csv": (["Id", "Probability"], None),
        "public/sample_submission.csv": (["Id", "Probability"], None),
    },
    "new-york-city-taxi-fare-prediction": {
        "private/test.csv": (["key", "fare_amount", "pickup_datetime", "pickup_longitude", "pickup_latitude",
                              "dropoff_longitude", "dropoff_latitude", "passenger_count"], 9914),
        "public/sample_submission.csv": (["key", "fare_amount"], 9914),
    },
    "nomad2018-predict-transparent-conductors": {
        "public/train.csv": (["id", "spacegroup", "percent_atom_al", *ENERGIES], 84),
        "public/test.csv": (["id", "spacegroup", "percent_atom_al"], 10),
        "private/test.csv": (["id", "spacegroup", "percent_atom_al", *ENERGIES], 10),
        "public/sample_submission.csv": (["id", *ENERGIES], 10),
    },
    "plant-pathology-2020-fgvc7": {
        "public/train.csv": (["image_id", *DISEASES], 180),
        "public/test.csv": (["image_id"], 20),
        "private/test.csv": (["image_id", *DISEASES], 20),
        "public/sample_submission.csv": (["image_id", *DISEASES], 20),
    },
    "random-acts-of-pizza": {
        "private/test.csv": (["request_id", "requester_received_pizza"], 21),
        "public/sampleSubmission.csv": (["request_id", "requester_received_pizza"], 21),
    },
    "ranzcr-clip-catheter-line-classification": {
        "public/train.csv": (["StudyInstanceUID", *CATHETERS, *MORE], 59),
        "private/test.csv": (["StudyInstanceUID", *CATHETERS, *MORE], 7),
        "public/sample_submission.csv": (["StudyInstanceUID", *CATHETERS], 7),
    },
    "siim-isic-melanoma-classification": {
        "public/train.csv": ([*MELANOMA, "diagnosis", "benign_malignant", "target"], 48),
        "public/test.csv": (MELANOMA, 4142),
        "private/test.csv": (["image_name", "target"], 4142),
        "public/sample_submission.csv": (["image_name", "target"], 4142),
    },
    "spooky-author-identification": {
        "public/train.csv": (["id", "text", "author"], 85),
        "public/test.csv": (["id", "text"], 10),
        "private/test.csv": (["id", "EAP", "HPL", "MWS"], 10),
        "public/sample_submission.csv": (["id", "EAP", "HPL", "MWS"], 10),
    },
    "tabular-playground-series-dec-2021": {
        "public/train.csv": (["Id", "Elevation", "Wilderness_Area1", "Cover_Type"], 184),
        "public/test.csv": (["Id", "Elevation", "Wilderness_Area1"], 21),
        "private/test.csv": (["Id", "Elevation", "Wilderness_Area1", "Cover_Type"], 21),
        "public/sample_submission.csv": (["Id", "Cover_Type"], 21),
    },
    "tabular-playground-series-may-2022": {
        "public/train.csv": (["id", "f_00", "f_27", "target"], 50),
        "public/test.csv": (["id", "f_00", "f_27"], 100_000),
        "private/gold_submission.csv": (["id", "target"], 100_000),
        "public/sample_submission.csv": (["id", "target"], 100_000),
    },
    "text-normalization-challenge-english-language": {
        "private/answers.csv": (["id", "after"], None),
        "private/sample_submission.csv": (["id", "after"], None),
    },
    "text-normalization-challenge-russian-language": {
        "private/answers.csv": (["id", "after"], None),
        "private/sample_submission.csv": (["id", "after"], None),
    },
    "the-icml-2013-whale-challenge-right-whale-redux": {
        "private/test.csv": (["clip", "probability"], 40),
        "public/sampleSubmission.csv": (["clip", "probability"], 40),
    },
    "spaceship-titanic": {
        "public/train.csv": (["PassengerId", "HomePlanet", "RoomService", "Transported"], 78),
        "public/test.csv": (["PassengerId", "HomePlanet", "RoomService"], 9),
        "private/test.csv": (["PassengerId", "HomePlanet", "RoomService", "Transported"], 9),
        "public/sample_submission.csv": (["PassengerId", "Transported"], 9),
    },
    "playground-series-s3e18": {
        "public/train.csv": (["id", "BertzCT", "EC1", "EC2", "EC3", "EC4", "EC5", "EC6"], 83),
        "public/test.csv": (["id", "BertzCT"], 10),
        "private/test.csv": (["id", "BertzCT", "EC1", "EC2", "EC3", "EC4", "EC5", "EC6"], 10),
        "public/sample_submission.csv": (["id", "EC1", "EC2"], 10),
    },
    "paddy-disease-classification": {
        "public/train.csv": (["image_id", "label", "variety", "age"], 46),
        "private/test.csv": (["image_id", "label", "variety", "age"], 16),
        "public/sample_submission.csv": (["image_id", "label"], 16),
    },
    "plant-seedlings-classification": {
        "private/answers.csv": (["file", "species"], 9),
        "public/sample_submission.csv": (["file", "species"], 9),
    },
    "invasive-species-monitoring": {
        "private/answers.csv": (["name", "invasive"], 18),
        "private/sample_submission.csv": (["name", "invasive"], 18),
    },
    "movie-review-sentiment-analysis-kernels-only": {
        "private/answers.csv": (["PhraseId", "SentenceId", "Phrase", "Sentiment"], 27),
        "public/sampleSubmission.csv": (["PhraseId", "Sentiment"], 27),
    },
    "ml2021spring-hw2": {
        "private/answers.csv": (["Id", "ClassId"], 21),
        "public/sampleSubmission.csv": (["Id", "ClassId"], 21),
    },
}  # fmt: skip

FILES: dict[str, tuple[str, int]] = {
    "aptos2019-blindness-detection": ("public/test_images/*.png", 9),
    "denoising-dirty-documents": ("public/test/*.png", 12),
    "dog-breed-identification": ("public/test/*.jpg", 24),
    "dogs-vs-cats-redux-kernels-edition": ("public/test/*.jpg", 12),
    "histopathologic-cancer-detection": ("public/test/*.tif", 16),
    "leaf-classification": ("public/images/*.jpg", 198),
    "mlsp-2013-birds": ("public/supplemental_data/segmentation_examples/*.bmp", 1),
    "nomad2018-predict-transparent-conductors": ("public/test/*/geometry.xyz", 10),
    "plant-pathology-2020-fgvc7": ("public/images/Test_*.jpg", 20),
    "ranzcr-clip-catheter-line-classification": ("public/test/*.jpg", 7),
    "siim-isic-melanoma-classification": ("public/jpeg/test/*.jpg", 4142),
    "paddy-disease-classification": ("public/test_images/*.jpg", 16),
    "plant-seedlings-classification": ("public/test/*.png", 9),
    "invasive-species-monitoring": ("public/test/*.jpg", 18),
}


def silent(*_: object) -> None:
    """Progress that is not shown."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HARNESS_HOME in which each competition is prepared once, from small raw files."""
    return tmp_path_factory.mktemp("home")


def ready(name: str, home: Path) -> Path:
    folder = home / "data" / name
    if not (folder / "prepared").exists():
        prepare(name, home, raw(name, home / "kaggle" / name), silent, accepts_differences=True)
    return folder / "prepared"


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def inside(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_all_native_competitions_have_a_preparer() -> None:
    assert (
        set(PREPARERS) == set(BUILDERS) == set(TABLES) == {one.id for one in competitions().values() if one.is_native}
    )


@pytest.mark.parametrize("name", sorted(PREPARERS))
def test_files_columns_and_rows_are_those_of_the_benchmark(name: str, home: Path) -> None:
    prepared = ready(name, home)
    for file, (columns, rows) in TABLES[name].items():
        found = read(prepared / file)
        assert found[0] == columns, file
        assert rows is None or len(found) - 1 == rows, file
    for file in competitions()[name].md5:
        assert file == "zip" or (prepared / file).is_file(), file
    if name in FILES:
        pattern, count = FILES[name]
        assert len(list(prepared.glob(pattern))) == count


@pytest.mark.parametrize("name", sorted(PREPARERS))
def test_a_prepared_competition_is_a_task_and_its_answers_score_best(name: str, home: Path, tmp_path: Path) -> None:
    prepared = ready(name, home)
    task: Task = find_task(name, home)
    assert (task.id, task.competition) == (name, name)
    assert task.thresholds is not None and task.thresholds.gold == competitions()[name].thresholds.gold
    assert task.metric.lower_is_better == competitions()[name].lower_is_better
    answers = read(prepared / competitions()[name].answers)
    asked = [answers[0].index(column) for column in (task.submission.id, *task.submission.targets)]
    gold = [[row[at] for at in asked] for row in answers]
    if name.startswith("jigsaw"):
        gold = [[row[0], *(cell.replace("-1", "0") for cell in row[1:])] for row in gold]
    with (tmp_path / "gold.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(gold)
    assert task.answers is not None
    best = 0.0 if task.metric.lower_is_better else 1.0
    assert score_file(name, tmp_path / "gold.csv", task.answers) == pytest.approx(best, abs=1e-9)
    # The sample is valid and wins less.
    sample = score_file(name, task.submission.sample, task.answers)
    assert abs(sample - best) > 1e-3
    if competitions()[name].sample_score == 0.5:
        assert sample == 0.5


@pytest.mark.parametrize("name", sorted(PREPARERS))
def test_private_files_are_closed_and_public_ones_have_one_time(name: str, home: Path) -> None:
    prepared = ready(name, home)
    assert stat.S_IMODE((prepared / "private").stat().st_mode) == 0o700
    for path in (prepared / "private").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    public = [path for path in (prepared / "public").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in public} == {0o444}
    assert len({path.stat().st_mtime for path in public}) == 1
    assert not [path for path in prepared.rglob("*") if path.name.endswith(".part")]
    assert (prepared / "public" / "description.md").read_text(encoding="utf-8").startswith("# ")


# --------------------------------------------------------------------------------------------- single competitions


def test_images_are_linked_and_not_copied(home: Path) -> None:
    prepared = ready("aptos2019-blindness-detection", home)
    assert {path.stat().st_nlink for path in (prepared / "public" / "train_images").iterdir()} == {2}


def test_cats_and_dogs_are_numbered_separately_in_folders_and_archives(home: Path) -> None:
    prepared = ready("dogs-vs-cats-redux-kernels-edition", home)
    names = {path.name for path in (prepared / "public" / "train").iterdir()}
    cats = sum(name.startswith("cat") for name in names)
    assert names == {f"cat.{n}.jpg" for n in range(cats)} | {f"dog.{n}.jpg" for n in range(108 - cats)}
    assert set(inside(prepared / "public" / "train.zip")) == names
    content = inside(prepared / "public" / "test.zip")
    for number, label in read(prepared / "private" / "answers.csv")[1:]:
        assert content[f"{number}.jpg"].startswith(b"dog" if label == "1" else b"cat")


def test_cactus_archives_are_flat_and_contain_the_rows_of_their_tables(home: Path) -> None:
    prepared = ready("aerial-cactus-identification", home)
    assert set(inside(prepared / "public/test.zip")) == {row[0] for row in read(prepared / "private/test.csv")[1:]}
    assert not (prepared / "public" / "train").exists()


def test_pixels_are_grey_values_of_the_clean_pages_in_the_order_of_names(home: Path) -> None:
    from PIL import Image

    prepared = ready("denoising-dirty-documents", home)
    answers = read(prepared / "private" / "answers.csv")
    pages = sorted(path.name for path in (prepared / "public" / "test").iterdir())
    clean = home / "data/denoising-dirty-documents/raw/opened/train_cleaned.zip/train_cleaned"
    expected = [["id", "value"]]
    for page in pages:
        with Image.open(clean / page) as image:
            for row in range(image.height):
                for column in range(image.width):
                    value = image.getpixel((column, row))
                    assert isinstance(value, int)
                    expected.append([f"{page[:-4]}_{row + 1}_{column + 1}", repr(value / 255)])
    assert answers == expected
    assert {row[1] for row in read(prepared / "public" / "sampleSubmission.csv")[1:]} == {"1"}


def test_birds_are_renumbered_in_every_file(home: Path) -> None:
    essential = ready("mlsp-2013-birds", home) / "public" / "essential_data"
    folds = read(essential / "CVfolds_2.txt")
    count = len(folds) - 1
    tests = [int(row[0]) for row in folds[1:] if row[1] == "1"]
    assert [int(row[0]) for row in folds[1:]] == list(range(count))
    assert len(tests) == round(count * 0.2)
    lines = (essential / "rec_labels_test_hidden.txt").read_text().splitlines()[1:]
    assert [int(line.split(",")[0]) for line in lines if line.endswith(",?")] == tests
    assert all(not line.endswith(",") for line in lines)
    answers = read(essential.parent.parent / "private" / "answers.csv")
    assert [row[0] for row in answers[1:]] == [str(100 * new + kind) for new in tests for kind in range(19)]
    supplemental = essential.parent / "supplemental_data"
    for name in ("histogram_of_segments.txt", "segment_features.txt", "segment_rectangles.txt"):
        header, *rest = (supplemental / name).read_text().splitlines()
        assert header == "rec_id,[histogram of segment features]"
        assert {int(line.split(",")[0]) for line in rest} == set(range(count))
    names = [row[1] for row in read(essential / "rec_id2filename.txt")[1:]]
    assert {path.stem for path in (essential / "src_wavs").iterdir()} == set(names)


def test_the_taxi_table_is_shuffled_like_the_benchmark(home: Path) -> None:
    import pandas as pd
    from sklearn.model_selection import train_test_split

    from tasks.mlebench.read_raw import read_csv

    prepared = ready("new-york-city-taxi-fare-prediction", home)
    train, test = train_test_split(
        read_csv(home / "kaggle/new-york-city-taxi-fare-prediction/train.csv"), test_size=9914, random_state=0
    )
    assert (prepared / "public/labels.csv").read_text() == train.to_csv(index=False)
    assert (prepared / "private/test.csv").read_text() == test.to_csv(index=False)
    assert (prepared / "public/test.csv").read_text() == test.drop(columns="fare_amount").to_csv(index=False)
    assert (prepared / "public/GCP-Coupons-Instructions.rtf").exists()
    assert isinstance(train, pd.DataFrame)


@pytest.mark.parametrize(
    "name", ["new-york-city-taxi-fare-prediction", "tabular-playground-series-may-2022", "playground-series-s3e18"]
)
def test_numbers_are_written_as_the_nearest_float(name: str, home: Path) -> None:
    prepared = ready(name, home)
    train = "public/labels.csv" if name.startswith("new-york") else "public/train.csv"
    cells = {cell for path in (train, "private/test.csv") for row in read(prepared / path) for cell in row}
    assert "-73.89200592041016" in cells and DIGITS_LOST not in cells
    assert name.startswith("new-york") or DIGITS_KEPT in cells


def test_geometries_follow_the_new_ids(home: Path) -> None:
    prepared = ready("nomad2018-predict-transparent-conductors", home)
    folder = home / "data/nomad2018-predict-transparent-conductors/raw/opened/train.csv.zip"
    old = {tuple(row[2:]): row[0] for row in read(folder / "train.csv")[1:]}
    for row in read(prepared / "private" / "test.csv")[1:]:
        text = (prepared / "public/test" / row[0] / "geometry.xyz").read_text()
        assert text == f"atoms {old[tuple(row[2:])]}"
    assert [row[0] for row in read(prepared / "public/train.csv")[1:]] == [str(n) for n in range(1, 85)]


def test_pizza_publishes_only_the_fields_of_kaggles_test_set(home: Path) -> None:
    prepared = ready("random-acts-of-pizza", home)
    text = (prepared / "public/test.json").read_text()
    shown = json.loads(text)
    assert set(shown[0]) == set(FIELDS)
    assert text == json.dumps(shown, indent=4)
    assert inside(prepared / "public/test.zip") == {"test.json": text.encode()}
    assert "requester_received_pizza" in json.loads((prepared / "public/train.json").read_text())[0]


def test_annotations_of_test_studies_are_left_out(home: Path) -> None:
    prepared = ready("ranzcr-clip-catheter-line-classification", home)
    train = {row[0] for row in read(prepared / "public/train.csv")[1:]}
    marks = read(prepared / "public/train_annotations.csv")
    assert {row[0] for row in marks[1:]} <= train
    assert len(marks) > 20


def test_records_with_answers_are_withheld(home: Path) -> None:
    prepared = ready("siim-isic-melanoma-classification", home)
    assert not list((prepared / "public").rglob("*.tfrec"))
    withheld = sorted(path.name for path in (prepared / "withheld/tfrecords").iterdir())
    assert withheld == ["test00-2071.tfrec", "test01-2071.tfrec", "train00-29.tfrec", "train01-19.tfrec"]
    assert stat.S_IMODE((prepared / "withheld").stat().st_mode) == 0o700
    asked = {row[0] for row in read(prepared / "private/test.csv")[1:]}
    records = [prepared / f"withheld/tfrecords/test0{number}-2071.tfrec" for number in (0, 1)]
    assert asked == {name for record in records for name in image_names(record)}


def test_sentences_are_not_split_and_words_read_as_missing_become_empty(home: Path) -> None:
    name = "text-normalization-challenge-english-language"
    prepared = ready(name, home)
    (train,) = inside(prepared / "public/en_train.csv.zip").values()
    (test,) = inside(prepared / "public/en_test_2.csv.zip").values()
    header, *rows = list(csv.reader(train.decode().splitlines()))
    assert header == TEXT
    numbers = [int(row[0]) for row in rows]
    assert sorted(set(numbers)) == list(range(270)) and numbers == sorted(numbers)
    assert not {row[3] for row in rows} & {"NA", "null", "nan"} and "" in {row[3] for row in rows}
    assert train.decode().splitlines()[0] == '"sentence_id","token_id","class","before","after"'
    header, *rows = list(csv.reader(test.decode().splitlines()))
    assert header == ["sentence_id", "token_id", "before"]
    answers = read(prepared / "private/answers.csv")
    assert [row[0] for row in answers[1:]] == [f"{row[0]}_{row[1]}" for row in rows]
    sample = read(prepared / "private/sample_submission.csv")
    assert [row[1] for row in sample[1:]] == [row[2] for row in rows]
    assert (prepared / "private/sample_submission.csv").read_bytes() == inside(
        prepared / "public/en_sample_submission_2.csv.zip"
    )["en_sample_submission_2.csv"]


def test_whales_are_split_by_day_and_only_training_names_have_labels(home: Path) -> None:
    prepared = ready("the-icml-2013-whale-challenge-right-whale-redux", home)
    train, test = inside(prepared / "public/train2.zip"), inside(prepared / "public/test2.zip")
    assert next(iter(train)) == "train2/20090328_000000_000s2ms_TRAIN0_0.aif"
    assert next(iter(test)) == "test2/20090330_000000_000s2ms_Test0.aif"
    assert {name[7:15] for name in train} == {"20090328", "20090329"}
    answers = read(prepared / "private/test.csv")
    assert [f"test2/{row[0]}" for row in answers[1:]] == list(test)
    assert [row[1] for row in answers[1:3]] == ["0", "1"]


def test_ids_of_the_may_playground_continue_from_train_to_test(home: Path) -> None:
    prepared = ready("tabular-playground-series-may-2022", home)
    assert [row[0] for row in read(prepared / "public/train.csv")[1:]] == [str(n) for n in range(50)]
    assert read(prepared / "public/test.csv")[1][0] == "50"


def test_preparing_again_does_nothing_and_keeps_the_differences(home: Path) -> None:
    name = "spooky-author-identification"
    before = (ready(name, home) / "public/train.csv").stat().st_ino
    again: Prepared = prepare(name, home, None, silent)
    assert again.was_ready and len(again.differences) == 4
    assert (home / "data" / name / "prepared/public/train.csv").stat().st_ino == before
