"""Every grader agrees with a plain computation of its metric, and refuses what the official one refuses."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from answers import BREEDS, SCHEMAS, Table, column, draw_tables, write

from tasks.mlebench.facts import competitions
from tasks.mlebench.graders import RULES, AnswersUnreadable, score_file
from tasks.mlebench.official_metrics import (
    FAILED,
    MISSING,
    NOT_IN_RANGE,
    NOT_NUMERIC,
    ROW_COUNT,
    ROW_SUM,
    WRONG_COLUMNS,
    WRONG_IDS,
    Invalid,
)

APTOS, BIRDS, BREED = "aptos2019-blindness-detection", "mlsp-2013-birds", "dog-breed-identification"
CACTUS, CATS = "aerial-cactus-identification", "dogs-vs-cats-redux-kernels-edition"
ENGLISH, FOREST = "text-normalization-challenge-english-language", "tabular-playground-series-dec-2021"
LEAF, MAY, NOMAD = (
    "leaf-classification",
    "tabular-playground-series-may-2022",
    "nomad2018-predict-transparent-conductors",
)
PATHOLOGY, PIXELS, SHIP = "plant-pathology-2020-fgvc7", "denoising-dirty-documents", "spaceship-titanic"
PADDY, SEEDLINGS = "paddy-disease-classification", "plant-seedlings-classification"
SPOOKY, TAXI = "spooky-author-identification", "new-york-city-taxi-fare-prediction"
TOXIC = "jigsaw-toxic-comment-classification-challenge"
BY_POSITION = {NOMAD}
PAIRED_BY_NAME = sorted(set(RULES) - BY_POSITION - {TAXI})


def score(name: str, folder: Path, answers: Table, guess: Table) -> float:
    return score_file(name, write(folder / "submission.csv", guess), write(folder / "answers.csv", answers))


def refusal(name: str, folder: Path, answers: Table, guess: Table) -> str:
    with pytest.raises(Invalid) as refused:
        score(name, folder, answers, guess)
    return str(refused.value)


def shuffled(table: Table) -> Table:
    rows = table[1:]
    random.Random(9).shuffle(rows)
    return [table[0], *rows]


def edited(table: Table, name: str, change: Callable[[object], object], row: int = 5) -> Table:
    at = table[0].index(name)
    copy = [list(line) for line in table]
    copy[row][at] = change(copy[row][at])  # type: ignore[assignment]
    return copy


def target_of(name: str, guess: Table) -> str:
    return str(guess[0][-1])


def test_all_lite_and_development_competitions_are_graded() -> None:
    assert set(RULES) == set(SCHEMAS) == {one.id for one in competitions().values() if one.is_native}
    assert len(RULES) == 29


@pytest.mark.parametrize("name", sorted(RULES))
@pytest.mark.parametrize("seed", [1, 2])
def test_a_grader_agrees_with_the_plain_computation(name: str, seed: int, tmp_path: Path) -> None:
    answers, guess = draw_tables(name, seed)
    expected = SCHEMAS[name][1](answers, guess)
    assert score(name, tmp_path, answers, guess) == pytest.approx(expected, abs=1e-12)
    if name not in BY_POSITION:
        assert score(name, tmp_path, answers, shuffled(guess)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", sorted(RULES))
def test_the_answers_score_best(name: str, tmp_path: Path) -> None:
    answers, guess = draw_tables(name)
    asked_for = [answers[0].index(title) for title in guess[0]]
    perfect: Table = [[row[at] for at in asked_for] for row in answers]
    if name == TOXIC:
        perfect = [row if row[1] != -1 else [row[0], *[0] * 6] for row in perfect]
    best = 0.0 if competitions()[name].lower_is_better else 1.0
    assert score(name, tmp_path, answers, perfect) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("name", sorted(RULES))
def test_missing_and_repeated_rows_and_missing_columns_are_refused(name: str, tmp_path: Path) -> None:
    answers, guess = draw_tables(name)
    refusal(name, tmp_path, answers, guess[:-1])
    refusal(name, tmp_path, answers, [*guess, guess[5]])
    refusal(name, tmp_path, answers, [row[:-1] for row in guess])
    refusal(name, tmp_path, answers, guess[:1])


@pytest.mark.parametrize("name", PAIRED_BY_NAME)
def test_wrong_and_repeated_ids_are_refused(name: str, tmp_path: Path) -> None:
    answers, guess = draw_tables(name)
    key = next(one for one in competitions()[name].ids)
    assert refusal(name, tmp_path, answers, edited(guess, key, lambda _: "nobody")) in (WRONG_IDS, FAILED)
    if name != TOXIC:  # where it may be scored: see below
        refusal(name, tmp_path, answers, [*guess[:-1], guess[5]])
    refusal(name, tmp_path, answers, [["other" if cell == key else cell for cell in guess[0]], *guess[1:]])


@pytest.mark.parametrize("name", sorted(set(RULES) - {ENGLISH, ENGLISH.replace("english", "russian")}))
def test_a_missing_prediction_is_refused(name: str, tmp_path: Path) -> None:
    answers, guess = draw_tables(name)
    empty = edited(guess, target_of(name, guess), lambda _: "")
    if name in (PADDY, SEEDLINGS):
        assert score(name, tmp_path, answers, empty) < 1
        return
    refusal(name, tmp_path, answers, empty)


def test_refusals_are_fixed_sentences(tmp_path: Path) -> None:
    answers, guess = draw_tables(CACTUS)
    assert refusal(CACTUS, tmp_path, answers, guess[:-1]) == ROW_COUNT
    assert refusal(CACTUS, tmp_path, answers, edited(guess, "has_cactus", lambda _: 1.01)) == NOT_IN_RANGE
    assert refusal(CACTUS, tmp_path, answers, edited(guess, "has_cactus", lambda _: -0.01)) == NOT_IN_RANGE
    assert refusal(CACTUS, tmp_path, answers, edited(guess, "has_cactus", lambda _: "inf")) == NOT_IN_RANGE
    assert refusal(CACTUS, tmp_path, answers, edited(guess, "has_cactus", lambda _: "")) == MISSING
    assert refusal(CACTUS, tmp_path, answers, edited(guess, "has_cactus", lambda _: "likely")) == NOT_NUMERIC
    assert refusal(CACTUS, tmp_path, answers, edited(guess, "id", lambda _: "x.jpg")) == WRONG_IDS
    assert "has_cactus" in refusal(CACTUS, tmp_path, answers, [["id", "cactus"], *guess[1:]])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        "id,has_cactus\n0.jpg,1\n".encode("utf-16"),
        b"PK\x03\x04 and the rest of an archive",
        b'id,has_cactus\n"0.jpg,1\n',
        b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe",
        b"id;has_cactus\n0.jpg;1\n",
    ],
)
def test_a_file_that_is_not_a_csv_is_invalid(content: bytes, tmp_path: Path) -> None:
    answers, _ = draw_tables(CACTUS)
    (tmp_path / "submission.csv").write_bytes(content)
    with pytest.raises(Invalid):
        score_file(CACTUS, tmp_path / "submission.csv", write(tmp_path / "answers.csv", answers))


def test_a_bom_an_index_column_and_float_ids_are_accepted(tmp_path: Path) -> None:
    answers, guess = draw_tables(MAY)
    expected = score(MAY, tmp_path, answers, guess)
    indexed: Table = [["" if at == 0 else at, *row] for at, row in enumerate(guess)]
    assert score(MAY, tmp_path, answers, indexed) == expected
    floats: Table = [guess[0], *([float(row[0]), *row[1:]] for row in guess[1:])]
    assert score(MAY, tmp_path, answers, floats) == expected
    path = write(tmp_path / "marked.csv", guess)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert score_file(MAY, path, tmp_path / "answers.csv") == expected


def test_a_submission_over_two_gigabytes_is_not_read(tmp_path: Path) -> None:
    answers, _ = draw_tables(CACTUS)
    with (tmp_path / "submission.csv").open("wb") as file:
        file.truncate(2_000_000_001)
    with pytest.raises(Invalid, match="2,000,000,001 bytes"):
        score_file(CACTUS, tmp_path / "submission.csv", write(tmp_path / "answers.csv", answers))


def test_unreadable_answers_raise_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    _, guess = draw_tables(CACTUS)
    with pytest.raises(AnswersUnreadable, match="prepare aerial-cactus-identification again"):
        score_file(CACTUS, write(tmp_path / "submission.csv", guess), tmp_path / "nowhere.csv")


# ------------------------------------------------------------------------------------------ oddities of single rules


def test_booleans_are_probabilities_and_labels(tmp_path: Path) -> None:
    answers, guess = draw_tables(CACTUS)
    said: Table = [
        guess[0],
        *([row[0], str(label == 1)] for row, label in zip(guess[1:], column(answers, "has_cactus"), strict=True)),
    ]
    assert score(CACTUS, tmp_path, answers, said) == 1.0
    answers, guess = draw_tables(SHIP)
    for yes, no in ((1, 0), (1.0, 0.0)):
        numbers: Table = [guess[0], *([row[0], yes if row[1] == "True" else no] for row in answers[1:])]
        assert score(SHIP, tmp_path, answers, numbers) == 1.0
    refusal(SHIP, tmp_path, answers, [guess[0], *([row[0], 0.7] for row in answers[1:])])


def test_whole_floats_are_classes_and_other_floats_are_refused(tmp_path: Path) -> None:
    for name, target in ((FOREST, "Cover_Type"), (APTOS, "diagnosis")):
        answers, guess = draw_tables(name)
        expected = score(name, tmp_path, answers, guess)
        floats: Table = [guess[0], *([row[0], float(row[1])] for row in guess[1:])]
        assert score(name, tmp_path, answers, floats) == expected
        refusal(name, tmp_path, answers, edited(floats, target, lambda value: float(str(value)) + 0.5))


def test_kappa_ranks_an_unknown_grade_after_the_known_ones(tmp_path: Path) -> None:
    answers, guess = draw_tables(APTOS)
    nine = [[9 if cell == 4 and at else cell for at, cell in enumerate(row)] for row in guess]
    expected = SCHEMAS[APTOS][1](answers, nine)
    assert score(APTOS, tmp_path, answers, nine) == pytest.approx(expected)
    constant: Table = [guess[0], *([row[0], 0] for row in guess[1:])]
    assert score(APTOS, tmp_path, answers, constant) == 0.0


def test_a_confident_wrong_row_costs_36(tmp_path: Path) -> None:
    answers, _ = draw_tables(SPOOKY)
    wrong: Table = [answers[0], *([row[0], row[3], row[1], row[2]] for row in answers[1:])]
    assert score(SPOOKY, tmp_path, answers, wrong) == pytest.approx(-math.log(2**-52), abs=1e-9)
    answers, _ = draw_tables(CATS)
    wrong = [answers[0], *([row[0], 1 - int(row[1])] for row in answers[1:])]
    assert score(CATS, tmp_path, answers, wrong) == pytest.approx(36.04365, abs=1e-4)


@pytest.mark.parametrize("name", [BREED, LEAF, SPOOKY])
def test_row_sums_must_be_one_within_the_tolerance(name: str, tmp_path: Path) -> None:
    answers, guess = draw_tables(name)
    first = str(guess[0][1])
    score(name, tmp_path, answers, edited(guess, first, lambda value: float(str(value)) + 9e-6))
    assert refusal(name, tmp_path, answers, edited(guess, first, lambda value: float(str(value)) + 2e-5)) == ROW_SUM
    off = edited(guess, first, lambda value: float(str(value)) - 2)
    off = edited(off, str(guess[0][2]), lambda value: float(str(value)) + 2)
    assert refusal(name, tmp_path, answers, off) == NOT_IN_RANGE


def test_the_order_of_class_columns_is_free(tmp_path: Path) -> None:
    for name in (BREED, LEAF, SPOOKY):
        answers, guess = draw_tables(name)
        turned = [[row[0], *row[:0:-1]] for row in guess]
        assert score(name, tmp_path, answers, turned) == pytest.approx(score(name, tmp_path, answers, guess))
    answers, guess = draw_tables(SPOOKY)
    refusal(SPOOKY, tmp_path, answers, [row[::-1] for row in guess])  # the id must come first


def test_extra_columns_are_accepted_by_some_rules_only(tmp_path: Path) -> None:
    for name in (BREED, FOREST, APTOS, PIXELS, BIRDS):
        answers, guess = draw_tables(name)
        more: Table = [[*row, "remark" if at == 0 else 3] for at, row in enumerate(guess)]
        assert score(name, tmp_path, answers, more) == score(name, tmp_path, answers, guess)
    for name in (LEAF, SPOOKY, PATHOLOGY, TOXIC):
        answers, guess = draw_tables(name)
        more = [[*row, "remark" if at == 0 else 3] for at, row in enumerate(guess)]
        assert refusal(name, tmp_path, answers, more) in (WRONG_COLUMNS, ROW_SUM)


def test_toxic_columns_are_read_in_the_order_of_the_submission(tmp_path: Path) -> None:
    answers, guess = draw_tables(TOXIC)
    turned = [[row[0], *row[:0:-1]] for row in guess]
    misread = [guess[0], *turned[1:]]
    assert score(TOXIC, tmp_path, answers, turned) == score(TOXIC, tmp_path, answers, misread)
    assert score(TOXIC, tmp_path, answers, turned) != score(TOXIC, tmp_path, answers, guess)
    beyond: Table = [guess[0], *([row[0], *(float(str(cell)) * 5 - 2 for cell in row[1:])] for row in guess[1:])]
    assert score(TOXIC, tmp_path, answers, beyond) == pytest.approx(score(TOXIC, tmp_path, answers, guess))


def test_a_repeated_toxic_comment_is_scored_if_both_are_labelled_or_neither(tmp_path: Path) -> None:
    answers, guess = draw_tables(TOXIC)  # rows 10 to 29 have no labels
    score(TOXIC, tmp_path, answers, [*guess[:-1], guess[5]])
    score(TOXIC, tmp_path, answers, [*guess[:20], guess[10], *guess[21:]])
    assert refusal(TOXIC, tmp_path, answers, [*guess[:-1], guess[10]]) == WRONG_IDS


def test_numbers_as_class_names_are_refused_and_a_missing_name_is_wrong(tmp_path: Path) -> None:
    for name in (PADDY, SEEDLINGS):
        answers, guess = draw_tables(name)
        refusal(name, tmp_path, answers, [guess[0], *([row[0], 0.5] for row in guess[1:])])
        right = sum(a == b for a, b in zip(answers[1:], guess[1:], strict=True))
        at = next(at for at in range(1, len(guess)) if guess[at] == answers[at])
        lacking = edited(guess, str(guess[0][1]), lambda _: "", row=at)
        assert score(name, tmp_path, answers, lacking) == pytest.approx((right - 1) / (len(guess) - 1))


def test_a_mean_over_columns_is_a_numpy_number(tmp_path: Path) -> None:
    """Officially the value is rounded as the metric returns it, and NumPy and Python round ties differently."""
    import numpy as np

    for name in (PATHOLOGY, "ranzcr-clip-catheter-line-classification"):
        answers, guess = draw_tables(name)
        assert isinstance(score(name, tmp_path, answers, guess), np.float64)
    assert round(np.float64(2.5e-05), 5) != round(2.5e-05, 5)
    answers, guess = draw_tables(FOREST)
    assert type(score(FOREST, tmp_path, answers, guess)) is float


def test_a_chunk_of_numbers_in_a_long_text_column_is_text(tmp_path: Path) -> None:
    """pandas reads a long table in chunks, and one in which every word is a number comes as numbers."""
    piece = 2**20 // 2  # rows, of two columns
    lines = [f"{at}_0,{'two' if at < piece else '2'}" for at in range(piece + 60_000)]
    for name, order in (("answers.csv", lines), ("submission.csv", lines[::-1])):
        (tmp_path / name).write_text("\n".join(["id,after", *order]) + "\n")
    assert score_file(ENGLISH, tmp_path / "submission.csv", tmp_path / "answers.csv") == 1.0


def test_wrong_keys_still_score_in_the_taxi_task(tmp_path: Path) -> None:
    answers, guess = draw_tables(TAXI)
    for table in (answers, guess):
        table[1:] = sorted(table[1:], key=lambda row: str(row[0]))
    renamed: Table = [guess[0], *([f"k{at:03d}", *row[1:]] for at, row in enumerate(guess[1:]))]
    assert score(TAXI, tmp_path, answers, renamed) == score(TAXI, tmp_path, answers, guess)


def test_conductors_are_compared_by_position_without_ids(tmp_path: Path) -> None:
    answers, guess = draw_tables(NOMAD)
    expected = score(NOMAD, tmp_path, answers, guess)
    assert score(NOMAD, tmp_path, answers, [row[1:] for row in guess]) == expected
    assert score(NOMAD, tmp_path, answers, [guess[0], *guess[:0:-1]]) != expected
    refusal(NOMAD, tmp_path, answers, edited(guess, "bandgap_energy_ev", lambda _: -1.5))


def test_words_read_as_missing_are_equal(tmp_path: Path) -> None:
    answers, guess = draw_tables(ENGLISH)
    answers, guess = edited(answers, "after", lambda _: ""), edited(guess, "after", lambda _: "null")
    guess[1][1] = "nan"
    answers[1][1] = ""
    expected = SCHEMAS[ENGLISH][1]([*answers[:1], *answers[2:5], *answers[6:]], [*guess[:1], *guess[2:5], *guess[6:]])
    rows = len(answers) - 1
    assert score(ENGLISH, tmp_path, answers, guess) == pytest.approx((expected * (rows - 2) + 2) / rows)


def test_predictions_out_of_range_are_accepted_by_rank_based_rules(tmp_path: Path) -> None:
    for name in (PATHOLOGY, "playground-series-s3e18"):
        answers, guess = draw_tables(name)
        beyond: Table = [guess[0], *([row[0], *(float(str(cell)) * 7 - 3 for cell in row[1:])] for row in guess[1:])]
        assert score(name, tmp_path, answers, beyond) == pytest.approx(score(name, tmp_path, answers, guess))


def test_sample_submissions_have_the_official_scores(tmp_path: Path) -> None:
    """For samples whose score does not depend on the answers: constants and uniform probabilities."""
    constants = {one.id: one.sample_score for one in competitions().values() if one.is_native}
    for name in sorted(RULES):
        answers, guess = draw_tables(name)
        if constants[name] == 0.5:
            constant: Table = [guess[0], *([row[0], *(0.5 for _ in row[1:])] for row in guess[1:])]
            assert score(name, tmp_path, answers, constant) == 0.5, name
    for name, classes in ((BREED, 120), (LEAF, 99)):
        answers, guess = draw_tables(name)
        uniform: Table = [guess[0], *([row[0], *[1 / classes] * classes] for row in guess[1:])]
        assert round(score(name, tmp_path, answers, uniform), 5) == constants[name]
    answers, guess = draw_tables(CATS)
    even: Table = [guess[0], *([row[0], 0.5] for row in guess[1:])]
    assert round(score(CATS, tmp_path, answers, even), 5) == constants[CATS]
    assert constants[APTOS] == 0.0
    assert len(BREEDS) == 120


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_cell_ends_at_its_first_nul(name: str, tmp_path: Path) -> None:
    answers, guess = draw_tables(name)
    expected = score(name, tmp_path, answers, guess)
    header, *rows = guess
    for place in (0, len(header) - 1):
        titles = [f"{title}\0x" if at == place else title for at, title in enumerate(header)]
        assert score(name, tmp_path, answers, [titles, *rows]) == expected
    assert score(name, tmp_path, answers, [header, [f"{rows[0][0]}\0", *rows[0][1:]], *rows[1:]]) == expected
    assert score(name, tmp_path, answers, [header, [*rows[0][:-1], f"{rows[0][-1]}\x00y"], *rows[1:]]) == expected
    titles = [f"\0{title}" for title in header]
    if name != NOMAD:
        refusal(name, tmp_path, answers, [titles, *rows])


@pytest.mark.parametrize(
    ("text", "number"), [("1_0", 10), ("\u0661", 1), ("\uff11", 1), ("1_000.5", 1000.5), ("0.1_2", 0.12)]
)
@pytest.mark.parametrize("name", sorted(RULES))
def test_other_writings_of_numbers_are_read_as_by_the_official_grader(
    name: str, text: str, number: float, tmp_path: Path
) -> None:
    """Six graders convert text by Python's rules; for all others such a cell is text."""
    if competitions()[name].metric.startswith(("token", "micro")) or name == PADDY:
        return  # text is a valid label
    answers, guess = draw_tables(name)
    target = target_of(name, guess)
    table = edited(guess, target, lambda _: text)
    if name in (PATHOLOGY, "playground-series-s3e18", PIXELS, TAXI, TOXIC, NOMAD):
        assert score(name, tmp_path, answers, table) == score(
            name, tmp_path, answers, edited(guess, target, lambda _: number)
        )
    else:
        refusal(name, tmp_path, answers, table)
