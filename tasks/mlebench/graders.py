"""The grading rule of each competition, and grading a file against the private answers."""

from __future__ import annotations

import csv
import io
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tasks.mlebench import official_metrics
from tasks.mlebench.facts import competitions
from tasks.mlebench.official_metrics import Invalid, Rule, score_guarded
from tasks.mlebench.read_raw import read_csv

if TYPE_CHECKING:
    import pandas as pd

SIZE_CAP = 2_000_000_000
"""Largest submission in bytes. One of 5 million pixels has 200 MB."""

TOXIC = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
DISEASES = ("healthy", "multiple_diseases", "rust", "scab")
# Two of the eleven labels are neither graded nor in the sample submission.
CATHETERS = (
    *("ETT - Abnormal", "ETT - Borderline", "ETT - Normal"),
    *("NGT - Abnormal", "NGT - Borderline", "NGT - Incompletely Imaged", "NGT - Normal"),
    *("CVC - Abnormal", "CVC - Borderline"),
)

RULES: dict[str, Rule] = {
    "aerial-cactus-identification": official_metrics.auc("id", "has_cactus"),
    "aptos2019-blindness-detection": official_metrics.kappa("id_code", "diagnosis"),
    "denoising-dirty-documents": official_metrics.root_mean_square("id", "value", compares_ids=True),
    "detecting-insults-in-social-commentary": official_metrics.auc("Comment", "Insult"),
    "dog-breed-identification": official_metrics.one_hot_loss("id"),
    "dogs-vs-cats-redux-kernels-edition": official_metrics.binary_loss("id", "label"),
    "histopathologic-cancer-detection": official_metrics.auc("id", "label"),
    "jigsaw-toxic-comment-classification-challenge": official_metrics.auc_of_labelled_rows("id", TOXIC),
    "leaf-classification": official_metrics.one_hot_loss("id", exact=True),
    "mlsp-2013-birds": official_metrics.auc("Id", "Probability"),
    "new-york-city-taxi-fare-prediction": official_metrics.root_mean_square("key", "fare_amount", compares_ids=False),
    "nomad2018-predict-transparent-conductors": official_metrics.log_errors_by_position(
        "formation_energy_ev_natom", "bandgap_energy_ev"
    ),
    "plant-pathology-2020-fgvc7": official_metrics.auc_per_column("image_id", DISEASES, exact=True),
    "random-acts-of-pizza": official_metrics.auc("request_id", "requester_received_pizza"),
    "ranzcr-clip-catheter-line-classification": official_metrics.auc("StudyInstanceUID", *CATHETERS),
    "siim-isic-melanoma-classification": official_metrics.auc("image_name", "target"),
    "spooky-author-identification": official_metrics.one_hot_loss("id", exact=True, first=True),
    "tabular-playground-series-dec-2021": official_metrics.accuracy("Id", "Cover_Type"),
    "tabular-playground-series-may-2022": official_metrics.auc("id", "target"),
    "text-normalization-challenge-english-language": official_metrics.accuracy_of_texts("id", "after"),
    "text-normalization-challenge-russian-language": official_metrics.accuracy_of_texts("id", "after"),
    "the-icml-2013-whale-challenge-right-whale-redux": official_metrics.auc("clip", "probability"),
    "spaceship-titanic": official_metrics.accuracy("PassengerId", "Transported"),
    "playground-series-s3e18": official_metrics.auc_per_column("id", ("EC1", "EC2")),
    "paddy-disease-classification": official_metrics.accuracy_of_words("image_id", "label", missing=""),
    "plant-seedlings-classification": official_metrics.accuracy_of_words("file", "species"),
    "invasive-species-monitoring": official_metrics.auc("name", "invasive"),
    "movie-review-sentiment-analysis-kernels-only": official_metrics.accuracy("PhraseId", "Sentiment"),
    "ml2021spring-hw2": official_metrics.accuracy("Id", "ClassId"),
}
"""The competitions that are graded here: the 22 of Lite and the 7 for development."""


class AnswersUnreadable(Exception):
    """The private answers cannot be read; the message says what to do."""


def score_file(name: str, submission: Path, answers: Path) -> float:
    """The score of a CSV file, unrounded; it may be NaN. Raises `Invalid`, `AnswersUnreadable`."""
    try:
        truth = read_table(answers)
    except OSError as error:
        raise AnswersUnreadable(f"{answers} cannot be read ({error.strerror}): prepare {name} again") from None
    except ValueError:
        raise AnswersUnreadable(f"{answers} is damaged: delete it and prepare {name} again") from None
    return score_guarded(RULES[name], read_submission(submission), truth)


def read_table(source: Path | IO[str]) -> pd.DataFrame:
    """A table as the official graders read it: exact numbers, the default words for missing values."""
    import warnings

    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)
        return read_csv(source)


def read_submission(path: Path) -> pd.DataFrame:
    """A submission as the official graders read it. Raises `Invalid` for a file that is no CSV in UTF-8."""
    if path.stat().st_size > SIZE_CAP:
        raise Invalid(f"The submission has {path.stat().st_size:,} bytes; at most {SIZE_CAP:,} are read.")
    with path.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":
            raise Invalid("The submission is a zip archive; a CSV file is expected.")
    import pandas as pd

    try:
        return _read_cut_at_nul(path) if _has_nul(path) else read_table(path)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except (ValueError, OSError, csv.Error):  # not a CSV file, or not UTF-8
        raise Invalid("The submission cannot be read as CSV in UTF-8.") from None


def _has_nul(path: Path) -> bool:
    with path.open("rb") as file:
        return any(b"\0" in piece for piece in iter(partial(file.read, 1 << 20), b""))


def _read_cut_at_nul(path: Path) -> pd.DataFrame:
    """A table in which every cell ends at its first NUL, as the parser of pandas 2 reads it."""
    csv.field_size_limit(SIZE_CAP)
    stream = io.StringIO(newline="")
    with path.open(encoding="utf-8", newline="") as file:
        csv.writer(stream).writerows([cell.split("\0")[0] for cell in row] for row in csv.reader(file))
    stream.seek(0)
    return read_table(stream)


def is_graded_here(name: str) -> bool:
    """Whether this package grades a competition itself."""
    return name in RULES and name in competitions()
