"""Competitions whose data are texts in tables."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import TYPE_CHECKING

from tasks.mlebench.builder import DataBuilder, split
from tasks.mlebench.graders import TOXIC

if TYPE_CHECKING:
    import pandas as pd


def one_hot(frame: pd.DataFrame, key: str, label: str, classes: list[str]) -> pd.DataFrame:
    """The id and one 0/1 column per class."""
    import pandas as pd

    columns = {name: (frame[label] == name).astype(int).to_numpy() for name in classes}
    return pd.DataFrame({key: frame[key].to_numpy(), **columns})


def authors(builder: DataBuilder) -> None:
    """Spooky authors."""
    train, test = split(builder.table("train.csv"), test_size=0.1)
    builder.write("public/train.csv", train)
    builder.write("public/test.csv", test.drop(columns="author"))
    builder.write("private/test.csv", one_hot(test, "id", "author", ["EAP", "HPL", "MWS"]))
    sample = test[["id"]].assign(EAP=0.403493538995863, HPL=0.287808366106543, MWS=0.308698094897594)
    builder.write("public/sample_submission.csv", sample)


def insults(builder: DataBuilder) -> None:
    """Insults in comments: Kaggle has released its test labels, so there is no random split."""
    builder.copy(builder.file("train.csv"), "public/train.csv")
    solutions = builder.file("test_with_solutions.csv")
    builder.copy(solutions, "private/test.csv")
    answers = builder.table("test_with_solutions.csv")
    builder.write("public/test.csv", answers[["Date", "Comment"]])
    gold = answers[["Insult", "Date", "Comment"]]
    builder.write("private/gold_submission.csv", gold)
    builder.write("public/sample_submission_null.csv", gold.assign(Insult=0))


def toxic(builder: DataBuilder) -> None:
    """Toxic comments: Kaggle has released its test labels, so there is no random split."""
    builder.write("public/train.csv", builder.table("train.csv"))
    builder.write("public/test.csv", builder.table("test.csv"))
    answers = builder.table("test_labels.csv")
    builder.write("private/test.csv", answers)
    builder.write("public/sample_submission.csv", answers[["id"]].assign(**dict.fromkeys(TOXIC, 0.5)))


def phrases(builder: DataBuilder) -> None:
    """Sentiment of phrases from film reviews, in tab-separated tables."""
    train, test = split(builder.table("train.tsv", sep="\t"), test_size=0.3)
    builder.archive_tables("public/train.tsv.zip", train, "train.tsv", sep="\t")
    builder.archive_tables("public/test.tsv.zip", test.drop(columns="Sentiment"), "test.tsv", sep="\t")
    builder.write("private/answers.csv", test)
    builder.write("public/sampleSubmission.csv", test[["PhraseId"]].assign(Sentiment=2))


def normalization(prefix: str) -> Callable[[DataBuilder], None]:
    """Text normalization in the language of `prefix`: split by sentence; all public files are zipped."""

    def prepare(builder: DataBuilder) -> None:
        tokens = builder.table(f"{prefix}_train.csv")
        train_ids, test_ids = split(tokens["sentence_id"].unique(), test_size=0.1)
        train = _renumber(tokens[tokens["sentence_id"].isin(train_ids)])
        test = _renumber(tokens[tokens["sentence_id"].isin(test_ids)])
        del tokens
        quoted = {"quoting": csv.QUOTE_NONNUMERIC}
        columns = ["sentence_id", "token_id", "class", "before", "after"]
        name = f"{prefix}_train.csv"
        builder.archive_tables(f"public/{name}.zip", train[columns], name, **quoted)
        name = f"{prefix}_test_2.csv"
        builder.archive_tables(f"public/{name}.zip", test[["sentence_id", "token_id", "before"]], name, **quoted)
        test = test.assign(id=test["sentence_id"].astype(str) + "_" + test["token_id"].astype(str))
        builder.write("private/answers.csv", test[["id", "after"]], **quoted)
        sample = test[["id"]].assign(after=test["before"])
        builder.write("private/sample_submission.csv", sample, **quoted)
        name = f"{prefix}_sample_submission_2.csv"
        builder.archive_tables(f"public/{name}.zip", sample, name, **quoted)

    return prepare


def _renumber(tokens: pd.DataFrame) -> pd.DataFrame:
    """Sentences numbered from 0 in the order of the table."""
    import pandas as pd

    numbers, _ = pd.factorize(tokens["sentence_id"])
    return tokens.assign(sentence_id=numbers)
