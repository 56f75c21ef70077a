"""Every common target becomes a task whose perfect submission is perfect, with a metric and a reason for it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from small_tasks import read_table, write_table

from tasks.errors import TaskError
from tests.tasks.new_tasks import made, perfect_scores

ROWS = 300


def table(path: Path, **columns: Sequence[object]) -> Path:
    draw = random.Random(3)
    count = len(next(iter(columns.values())))
    cells = [[f"{draw.random():.3f}" for _ in range(count)], *columns.values()]
    write_table(path, [["x", *columns], *([str(cell) for cell in row] for row in zip(*cells, strict=True))])
    return path


def draws(*labels: object, weights: Sequence[float] | None = None, count: int = ROWS, seed: int = 1) -> list[object]:
    return random.Random(seed).choices(labels, weights, k=count)


def test_words_get_the_auc_of_the_word_people_ask_for(tmp_path: Path) -> None:
    task, created = made(table(tmp_path / "d.csv", left=draws("no", "yes")), "left")
    assert task.metric.name == "roc_auc" and "the probability that `left` is `yes`" in task.description
    assert any("probability that left is 'yes'" in guess for guess in created.findings.guesses)
    assert task.answers and {row[1] for row in read_table(task.answers)[1:]} == {"0", "1"}
    assert perfect_scores(task, tmp_path / "s")[1:] == (1.0, 1.0)
    task, _ = made(tmp_path / "d.csv", "left", metric="AUC", positive="no")
    assert "`left` is `no`" in task.description
    with pytest.raises(TaskError, match="whose labels are no and yes"):
        made(tmp_path / "d.csv", "left", positive="maybe")


@pytest.mark.parametrize("metric", ["log_loss", "brier", "f1", "average_precision", "auc"])
def test_metrics_of_zero_and_one_score_any_two_words(metric: str, tmp_path: Path) -> None:
    task, _ = made(table(tmp_path / "d.csv", y=draws("cat", "dog", weights=[2, 1])), "y", metric=metric)
    labels = {row[2] for row in read_table(task.public / "train.csv")[1:]}
    assert "`y` is `dog`" in task.description or labels == {"0", "1"}
    best = 0.0 if metric in ("log_loss", "brier") else 1.0
    assert perfect_scores(task, tmp_path / "s")[1:] == pytest.approx((best, best), abs=1e-9)


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc"])
def test_classes_get_a_column_of_probabilities_each(metric: str, tmp_path: Path) -> None:
    path = table(tmp_path / "d.csv", y=draws("10", "2", "yes", "no, thanks"))
    task, _ = made(path, "y", metric=metric)
    assert task.submission.targets == ("2", "10", "no, thanks", "yes")
    blend, *scores = perfect_scores(task, tmp_path / "s")
    assert scores == pytest.approx([0.0, 0.0] if metric == "log_loss" else [1.0, 1.0], abs=1e-9)
    assert read_table(blend.public / "train.csv")[0] == ["row_id", "x", "y"]


def test_several_targets_are_all_predicted(tmp_path: Path) -> None:
    draw = random.Random(4)
    numbers = [[f"{draw.gauss(0, 1):.3f}" for _ in range(ROWS)] for _ in range(2)]
    path = table(tmp_path / "d.csv", a=numbers[0], b=numbers[1], c=draws("y", "n"), d=draws("t", "f", seed=2))
    task, _ = made(path, "a", "b")
    assert task.metric.name == "mcrmse" and task.submission.targets == ("a", "b")
    assert perfect_scores(task, tmp_path / "numbers")[1:] == (0.0, 0.0)
    task, created = made(path, "c", "d", metric="auc")
    assert "c became 1 for 'y' and 0 for 'n'" in created.findings.facts
    assert perfect_scores(task, tmp_path / "words")[1:] == (1.0, 1.0)
    assert made(path, "c", "d")[0].metric.name == "accuracy"
    with pytest.raises(TaskError, match="a has numbers and c has labels"):
        made(path, "a", "c")
    with pytest.raises(TaskError, match="--target a is given twice"):
        made(path, "a", "a")


def test_rows_that_lack_one_of_several_targets_are_left_out(tmp_path: Path) -> None:
    numbers = [str(index * 0.37) for index in range(ROWS)]
    path = table(
        tmp_path / "d.csv", a=["NA" if index % 10 == 0 else one for index, one in enumerate(numbers)], b=numbers
    )
    _, created = made(path, "a", "b")
    assert "left out 30 rows whose a is empty or NA" in created.findings.facts


def test_several_labels_in_a_cell_become_columns(tmp_path: Path) -> None:
    draw = random.Random(5)
    cells = [";".join(draw.sample(["red", "green", "blue", "old"], draw.randrange(4))) or "none" for _ in range(ROWS)]
    path = table(tmp_path / "d.csv", tags=cells)
    _, created = made(path, "tags")
    assert any("--split-labels ';'" in advice for advice in created.findings.advice)
    task, _ = made(path, "tags", separator=";")
    assert task.submission.targets == ("tags_blue", "tags_green", "tags_none", "tags_old", "tags_red")
    assert task.metric.name == "f1_micro" and perfect_scores(task, tmp_path / "s")[1:] == (1.0, 1.0)


def test_grades_get_kappa_and_words_in_an_order_become_grades(tmp_path: Path) -> None:
    task, created = made(table(tmp_path / "d.csv", quality=draws(3, 4, 5, 6, 7)), "quality")
    assert task.metric.name == "quadratic_weighted_kappa"
    assert any("quality is a grade from 3 to 7" in guess for guess in created.findings.guesses)
    path = table(tmp_path / "words.csv", y=draws("low", "high", "middle"))
    task, created = made(path, "y", order=("low", "middle", "high"))
    assert task.metric.name == "quadratic_weighted_kappa"
    assert "y became whole numbers: low = 0, middle = 1, high = 2" in created.findings.facts
    assert perfect_scores(task, tmp_path / "s")[1:] == (1.0, 1.0)
    with pytest.raises(TaskError, match="y is 'middle' in some row"):
        made(path, "y", order=("low", "high"))


def exponential(low: float, spread: float) -> list[str]:
    draw = random.Random(6)
    return [f"{low + spread * draw.expovariate(1) ** 2:.2f}" for _ in range(ROWS)]


@pytest.mark.parametrize(
    ("name", "cells", "metric", "reason"),
    [
        ("visits", [str(int(float(cell))) for cell in exponential(0, 30)], "rmsle", "visits is a count"),
        ("sale_price", exponential(50, 100), "rmsle", "sale_price is a price"),
        ("price", [str(int(float(cell))) for cell in exponential(9e5, 9e5)], "rmsle", "price is a price"),
        ("height", [f"{160 + index % 97 / 3:.2f}" for index in range(ROWS)], "rmse", "height has 97 different numbers"),
        ("net", [f"{(-1) ** index * float(cell)}" for index, cell in enumerate(exponential(1, 9))], "rmse", "net"),
        ("kids", draws(*range(7), weights=[60, 30, 10, 4, 1, 1, 1]), "rmsle", "kids is a count"),
        ("digit", draws(*range(10)), "accuracy", "digit has 10 classes"),
        ("kind", draws("a", "b", "c", weights=[90, 5, 5]), "f1_macro", "of the rows are 'a'"),
    ],
)  # fmt: skip
def test_numbers_and_classes_get_the_metric_people_use(
    name: str, cells: list[str], metric: str, reason: str, tmp_path: Path
) -> None:
    task, created = made(table(tmp_path / "d.csv", **{name: cells}), name)
    assert task.metric.name == metric
    assert any(f"metric {metric}, because" in guess and reason in guess for guess in created.findings.guesses)


def test_very_imbalanced_binary_gets_average_precision_or_auc(tmp_path: Path) -> None:
    cells = draws(0, 1, weights=[97, 3], count=6000)
    assert made(table(tmp_path / "many.csv", y=cells), "y")[0].metric.name == "average_precision"
    assert made(table(tmp_path / "few.csv", y=cells[:1500]), "y")[0].metric.name == "roc_auc"


# ------------------------------------------------------------------------------------------------------- time and group


def test_latest_rows_become_private_and_are_held_out(tmp_path: Path) -> None:
    draw = random.Random(7)
    days = [f"2024-{1 + index // 28:02d}-{1 + index % 28:02d}" for index in range(ROWS)]
    path = table(tmp_path / "d.csv", day=draw.sample(days, ROWS), y=[f"{draw.random():.4f}" for _ in range(ROWS)])
    _, created = made(path, "y")
    assert any("--time day" in advice for advice in created.findings.advice)
    task, _ = made(path, "y", time="day")
    train, test = (read_table(task.public / name) for name in ("train.csv", "test.csv"))
    assert max(row[2] for row in train[1:]) < min(row[2] for row in test[1:])
    assert len(test) - 1 == ROWS // 4
    blend, judged, graded = perfect_scores(task, tmp_path / "s")
    assert judged == graded == 0
    left = read_table(blend.public / "train.csv")
    assert max(row[2] for row in left[1:]) < min(row[2] for row in read_table(blend.public / "test.csv")[1:])


def test_rows_of_one_time_stay_together_and_groups_may_be_named_too(tmp_path: Path) -> None:
    years = [2000 + index % 12 for index in range(ROWS)]
    path = table(tmp_path / "d.csv", year=years, site=[f"s{index % 23}" for index in range(ROWS)], y=draws("a", "b"))
    task, _ = made(path, "y", time="year", group="site")
    train, test = (read_table(task.public / name) for name in ("train.csv", "test.csv"))
    assert not {row[2] for row in train[1:]} & {row[2] for row in test[1:]}
    assert task.recipe.time == "year" and task.labels and task.labels.group == "site"
    assert perfect_scores(task, tmp_path / "s")[1:] == (1.0, 1.0)
    with pytest.raises(TaskError, match="most rows have the same time"):
        made(table(tmp_path / "flat.csv", year=[2000] * 250 + [1999] * 50, y=draws("a", "b")), "y", time="year")


# --------------------------------------------------------------------------------------------------- advice and yaml


def test_column_whose_first_cell_is_empty_gets_no_wrong_advice(tmp_path: Path) -> None:
    numbers = ["", *(str(index % 60) for index in range(ROWS - 1))]
    _, created = made(table(tmp_path / "d.csv", age=numbers, y=draws("a", "b")), "y")
    assert not any("age" in advice for advice in created.findings.advice)
    kinds = [line.partition(":")[0] for line in created.findings.lines()]
    assert set(kinds) <= {"fact", "guess", "advice"} and kinds == sorted(kinds, key=["fact", "guess", "advice"].index)


@pytest.mark.parametrize("name", ["007", "no", "true", "null", "0x1F", "12_000", "1e3", "2024-05-01"])
def test_id_that_yaml_reads_as_something_else_is_quoted(name: str, tmp_path: Path) -> None:
    task, _ = made(table(tmp_path / f"{name}.csv", y=draws("a", "b")), "y", into=tmp_path / name)
    assert task.id == name


@pytest.mark.parametrize("word", ["?", "$ 12.50"])
def test_numbers_with_marks_or_signs_are_refused_and_name_the_option_that_helps(word: str, tmp_path: Path) -> None:
    numbers = [f"{number}.5" for number in range(ROWS - 20)]
    path = table(tmp_path / "d.csv", y=[*numbers, *([word] * 20)])
    with pytest.raises(TaskError, match=r"--types y=(category|number)"):
        made(path, "y", into=tmp_path / "never")
    assert not (tmp_path / "never").exists()
    task, _ = made(path, "y", types={"y": "number" if "$" in word else "category"}, metric=None)
    assert task.metric.needs == ("numbers" if "$" in word else "labels")


def test_positive_label_of_zero_and_one_is_obeyed_or_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "d.csv", y=draws(0, 1, weights=[1, 2]))
    task, _ = made(path, "y", positive="0")
    assert "the probability that `y` is `0`" in task.description
    assert perfect_scores(task, tmp_path / "s")[1:] == (1.0, 1.0)
    task, created = made(path, "y", positive="0", metric="f1")
    assert "y became 1 for '0' and 0 for '1'" in created.findings.facts
    for options in ({"positive": "2"}, {"positive": "1", "metric": "accuracy"}):
        with pytest.raises(TaskError, match="--positive"):
            made(path, "y", **options)


def test_rare_word_gets_average_precision_though_nobody_knows_the_words(tmp_path: Path) -> None:
    path = table(tmp_path / "d.csv", y=["fault"] * 120 + ["fine"] * 3880, sign=draws(-1, 1, count=4000))
    task, _ = made(path, "y")
    assert task.metric.name == "average_precision" and "`y` is `fault`" in task.description
    assert "`sign` is `1`" in made(path, "sign")[0].description


def test_few_counts_of_a_column_called_so_are_numbers(tmp_path: Path) -> None:
    labels = draws(*range(9), weights=[5, 15, 22, 22, 17, 10, 5, 3, 1])
    task, _ = made(table(tmp_path / "d.csv", count=labels, code=labels), "count")
    assert task.metric.needs == "numbers"
    assert made(tmp_path / "d.csv", "code")[0].metric.needs == "labels"


@pytest.mark.parametrize(
    ("metric", "advice"), [("dice", "masks"), ("qwk", "--order"), ("auc", "such as rmse"), ("rmse", "")]
)
def test_metric_that_the_answers_do_not_fit_is_refused_before_the_run(metric: str, advice: str, tmp_path: Path) -> None:
    target = "number" if metric == "auc" else "word"
    path = table(tmp_path / "d.csv", word=draws("low", "high", "top"), number=[f"{n}.25" for n in range(ROWS)])
    with pytest.raises(TaskError, match=r"--metric.*(?i:choose another)") as caught:
        made(path, target, metric=metric, into=tmp_path / "never")
    assert advice in str(caught.value) and not (tmp_path / "never").exists()


def test_spaces_around_the_names_of_columns_are_left_out(tmp_path: Path) -> None:
    path = table(tmp_path / "d.csv", y=draws(0, 1))
    path.write_text(path.read_text().replace("x,y", " x, y ", 1))
    assert made(path, "y")[0].submission.targets == ("y",)
