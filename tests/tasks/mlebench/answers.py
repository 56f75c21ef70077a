"""Private answers and submissions with each competition's columns, and plain computations of its metric."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from tasks.mlebench.graders import CATHETERS, DISEASES, TOXIC

Cell = str | int | float
Table = list[list[Cell]]
Metric = Callable[[Table, Table], float]

ROWS = 60
BREEDS = sorted(f"breed_{number:03d}" for number in range(120))
SPECIES = sorted(f"Species_{number:02d}" for number in range(99))


def write(path: Path, table: Sequence[Sequence[Cell]]) -> Path:
    import csv

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(table)
    return path


def column(table: Table, name: str) -> list[Cell]:
    at = table[0].index(name)
    return [row[at] for row in table[1:]]


def auc(truth: Sequence[Cell], guess: Sequence[Cell]) -> float:
    """How often a positive is ranked above a negative; a tie counts half."""
    positive = [float(p) for t, p in zip(truth, guess, strict=True) if t == 1]
    negative = [float(p) for t, p in zip(truth, guess, strict=True) if t == 0]
    wins = sum((p > n) + (p == n) / 2 for p in positive for n in negative)
    return wins / (len(positive) * len(negative))


def mean_auc(*targets: str) -> Metric:
    def metric(answers: Table, guess: Table) -> float:
        return sum(auc(column(answers, name), column(guess, name)) for name in targets) / len(targets)

    return metric


def labelled_auc(answers: Table, guess: Table) -> float:
    keep = [at for at, row in enumerate(answers) if at == 0 or row[1] != -1]
    return mean_auc(*TOXIC)([answers[at] for at in keep], [guess[at] for at in keep])


def accuracy_of(target: str) -> Metric:
    def metric(answers: Table, guess: Table) -> float:
        pairs = list(zip(column(answers, target), column(guess, target), strict=True))
        return sum(a == b for a, b in pairs) / len(pairs)

    return metric


def loss(answers: Table, guess: Table) -> float:
    total = 0.0
    for truth, row in zip(answers[1:], guess[1:], strict=True):
        total -= math.log(min(max(float(row[truth.index(1, 1)]), 2**-52), 1 - 2**-52))
    return total / (len(answers) - 1)


def two_sided_loss(answers: Table, guess: Table) -> float:
    total = 0.0
    for truth, p in zip(column(answers, "label"), column(guess, "label"), strict=True):
        given_truth = float(p) if truth == 1 else 1 - float(p)
        total -= math.log(min(max(given_truth, 2**-52), 1 - 2**-52))
    return total / (len(answers) - 1)


def kappa(answers: Table, guess: Table) -> float:
    pairs = list(zip(column(answers, "diagnosis"), column(guess, "diagnosis"), strict=True))
    ranks = {label: rank for rank, label in enumerate(sorted({label for pair in pairs for label in pair}))}
    seen = sum((ranks[a] - ranks[b]) ** 2 for a, b in pairs)
    chance = sum((ranks[a] - ranks[b]) ** 2 for a, _ in pairs for _, b in pairs) / len(pairs)
    return 1 - seen / chance


def root_mean_square(target: str) -> Metric:
    def metric(answers: Table, guess: Table) -> float:
        pairs = list(zip(column(answers, target), column(guess, target), strict=True))
        return math.sqrt(sum((float(a) - float(b)) ** 2 for a, b in pairs) / len(pairs))

    return metric


def logarithms(answers: Table, guess: Table) -> float:
    total = 0.0
    for target in ("formation_energy_ev_natom", "bandgap_energy_ev"):
        pairs = list(zip(column(answers, target), column(guess, target), strict=True))
        squares = [(math.log1p(float(a)) - math.log1p(float(b))) ** 2 for a, b in pairs]
        total += math.sqrt(sum(squares) / len(squares)) / 2
    return total


# ------------------------------------------------------------------------------------------------- tables by schema

Maker = Callable[[random.Random], tuple[Table, Table]]


def _chances(key: str, targets: Sequence[str], name: Callable[[int], Cell], extra: Sequence[str] = ()) -> Maker:
    """0/1 answers with further columns, and probabilities with ties."""

    def make(draw: random.Random) -> tuple[Table, Table]:
        answers: Table = [[*extra, key, *targets]]
        guess: Table = [[key, *targets]]
        for number in range(ROWS):
            labels: list[Cell] = [(number + at) % 2 if number < 4 else draw.randrange(2) for at in range(len(targets))]
            answers.append([*("x" for _ in extra), name(number), *labels])
            guess.append([name(number), *(draw.randrange(0, 11) / 10 for _ in targets)])
        return answers, guess

    return make


def _classes(key: str, classes: Sequence[str], name: Callable[[int], Cell]) -> Maker:
    def make(draw: random.Random) -> tuple[Table, Table]:
        answers: Table = [[key, *classes]]
        guess: Table = [[key, *classes]]
        for number in range(ROWS):
            truth = draw.randrange(len(classes))
            weights = [draw.random() + 0.01 for _ in classes]
            if number == 0:
                weights = [float(at == (truth + 1) % len(classes)) for at in range(len(classes))]  # sure and wrong
            answers.append([name(number), *(int(at == truth) for at in range(len(classes)))])
            guess.append([name(number), *(weight / sum(weights) for weight in weights)])
        return answers, guess

    return make


def _labels(key: str, target: str, labels: Sequence[Cell], name: Callable[[int], Cell]) -> Maker:
    def make(draw: random.Random) -> tuple[Table, Table]:
        answers: Table = [[key, target]]
        guess: Table = [[key, target]]
        for number in range(ROWS):
            truth = draw.choice(labels)
            answers.append([name(number), truth])
            guess.append([name(number), truth if draw.random() < 0.7 else draw.choice(labels)])
        return answers, guess

    return make


def _numbers(key: str, targets: Sequence[str], name: Callable[[int], Cell]) -> Maker:
    def make(draw: random.Random) -> tuple[Table, Table]:
        answers: Table = [[key, *targets]]
        guess: Table = [[key, *targets]]
        for number in range(ROWS):
            answers.append([name(number), *(draw.random() * 9 for _ in targets)])
            guess.append([name(number), *(draw.random() * 9 for _ in targets)])
        return answers, guess

    return make


def _toxic(draw: random.Random) -> tuple[Table, Table]:
    answers, guess = _chances("id", TOXIC, _hexadecimal)(draw)
    for row in answers[10:30]:
        row[1:] = [-1] * 6
    return answers, guess


def _hexadecimal(number: int) -> str:
    return f"{number * 7919 % 65536:04x}x"


def _number(number: int) -> int:
    return number * 37 % 61  # a permutation of 0 to 60, not sorted


def _file(number: int) -> str:
    return f"{_number(number)}.jpg"


def _token(number: int) -> str:
    return f"{_number(number) // 7}_{_number(number) % 7}"


PHONEMES: Sequence[Cell] = list(range(39))
WORDS: Sequence[Cell] = ["third", "nineteen", "five point two", ".", "A", 'quote " and, comma', "Тридцать"]

SCHEMAS: dict[str, tuple[Maker, Metric]] = {
    "aerial-cactus-identification": (_chances("id", ["has_cactus"], _file), mean_auc("has_cactus")),
    "aptos2019-blindness-detection": (_labels("id_code", "diagnosis", [0, 1, 2, 3, 4], _hexadecimal), kappa),
    "denoising-dirty-documents": (_numbers("id", ["value"], _token), root_mean_square("value")),
    "detecting-insults-in-social-commentary": (
        _chances("Comment", ["Insult"], lambda n: f'"You\\xa0fuddled {_number(n)}, ""you"""', extra=["Date", "Usage"]),
        mean_auc("Insult"),
    ),
    "dog-breed-identification": (_classes("id", BREEDS, _hexadecimal), loss),
    "dogs-vs-cats-redux-kernels-edition": (_chances("id", ["label"], _number), two_sided_loss),
    "histopathologic-cancer-detection": (_chances("id", ["label"], _hexadecimal), mean_auc("label")),
    "jigsaw-toxic-comment-classification-challenge": (_toxic, labelled_auc),
    "leaf-classification": (_classes("id", SPECIES, _number), loss),
    "mlsp-2013-birds": (_chances("Id", ["Probability"], _number), mean_auc("Probability")),
    "new-york-city-taxi-fare-prediction": (
        _numbers("key", ["fare_amount"], lambda n: f"2010-01-{_number(n) % 28 + 1:02d} 10:00:{n:02d}.0000001"),
        root_mean_square("fare_amount"),
    ),
    "nomad2018-predict-transparent-conductors": (
        _numbers("id", ["formation_energy_ev_natom", "bandgap_energy_ev"], _number),
        logarithms,
    ),
    "plant-pathology-2020-fgvc7": (_chances("image_id", DISEASES, lambda n: f"Test_{_number(n)}"), mean_auc(*DISEASES)),
    "random-acts-of-pizza": (
        _chances("request_id", ["requester_received_pizza"], lambda n: f"t3_{_hexadecimal(n)}"),
        mean_auc("requester_received_pizza"),
    ),
    "ranzcr-clip-catheter-line-classification": (
        _chances("StudyInstanceUID", CATHETERS, lambda n: f"1.2.826.{_number(n)}", extra=["CVC - Normal", "PatientID"]),
        mean_auc(*CATHETERS),
    ),
    "siim-isic-melanoma-classification": (
        _chances("image_name", ["target"], lambda n: f"ISIC_{_number(n):07d}"),
        mean_auc("target"),
    ),
    "spooky-author-identification": (_classes("id", ["EAP", "HPL", "MWS"], lambda n: f"id{_number(n):05d}"), loss),
    "tabular-playground-series-dec-2021": (
        _labels("Id", "Cover_Type", [1, 2, 3, 4, 6, 7], _number),
        accuracy_of("Cover_Type"),
    ),
    "tabular-playground-series-may-2022": (_chances("id", ["target"], _number), mean_auc("target")),
    "text-normalization-challenge-english-language": (_labels("id", "after", WORDS, _token), accuracy_of("after")),
    "text-normalization-challenge-russian-language": (_labels("id", "after", WORDS, _token), accuracy_of("after")),
    "the-icml-2013-whale-challenge-right-whale-redux": (
        _chances("clip", ["probability"], lambda n: f"20090330_{_number(n):06d}_Test{n}.aif"),
        mean_auc("probability"),
    ),
    "spaceship-titanic": (
        _labels("PassengerId", "Transported", ["True", "False"], lambda n: f"{_number(n):04d}_01"),
        accuracy_of("Transported"),
    ),
    "playground-series-s3e18": (_chances("id", ["EC1", "EC2"], _number), mean_auc("EC1", "EC2")),
    "paddy-disease-classification": (_labels("image_id", "label", ["normal", "blast"], _file), accuracy_of("label")),
    "plant-seedlings-classification": (
        _labels("file", "species", ["Sugar beet", "Maize", "Charlock"], _file),
        accuracy_of("species"),
    ),
    "invasive-species-monitoring": (_chances("name", ["invasive"], _number), mean_auc("invasive")),
    "movie-review-sentiment-analysis-kernels-only": (
        _labels("PhraseId", "Sentiment", [0, 1, 2, 3, 4], _number),
        accuracy_of("Sentiment"),
    ),
    "ml2021spring-hw2": (_labels("Id", "ClassId", PHONEMES, _number), accuracy_of("ClassId")),
}
"""Every competition graded here: how its answers and a submission look, and its metric on rows in the same order."""


def draw_tables(name: str, seed: int = 1) -> tuple[Table, Table]:
    """Answers and a submission of a competition, rows in the same order."""
    maker, _ = SCHEMAS[name]
    return maker(random.Random(seed))
