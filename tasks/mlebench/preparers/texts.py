"""Competitions whose data are texts in tables."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import TYPE_CHECKING

from tasks.mlebench.builder import Workshop, split
from tasks.mlebench.graders import TOXIC

if TYPE_CHECKING:
    import pandas as pd


def one_hot(frame: pd.DataFrame, key: str, label: str, classes: list[str]) -> pd.DataFrame:
    """The id and one 0/1 column a class."""
    import pandas as pd

    columns = {name: (frame[label] == name).astype(int).to_numpy() for name in classes}
    return pd.DataFrame({key: frame[key].to_numpy(), **columns})


def authors(shop: Workshop) -> None:
    """Spooky authors."""
    train, test = split(shop.table("train.csv"), test_size=0.1)
    shop.write("public/train.csv", train)
    shop.write("public/test.csv", test.drop(columns="author"))
    shop.write("private/test.csv", one_hot(test, "id", "author", ["EAP", "HPL", "MWS"]))
    sample = test[["id"]].assign(EAP=0.403493538995863, HPL=0.287808366106543, MWS=0.308698094897594)
    shop.write("public/sample_submission.csv", sample)


def insults(shop: Workshop) -> None:
    """Insults in comments: Kaggle has released its test labels, so nothing is drawn."""
    shop.copy(shop.file("train.csv"), "public/train.csv")
    solutions = shop.file("test_with_solutions.csv")
    shop.copy(solutions, "private/test.csv")
    answers = shop.table("test_with_solutions.csv")
    shop.write("public/test.csv", answers[["Date", "Comment"]])
    gold = answers[["Insult", "Date", "Comment"]]
    shop.write("private/gold_submission.csv", gold)
    shop.write("public/sample_submission_null.csv", gold.assign(Insult=0))


def toxic(shop: Workshop) -> None:
    """Toxic comments: Kaggle has released its test labels, so nothing is drawn."""
    shop.write("public/train.csv", shop.table("train.csv"))
    shop.write("public/test.csv", shop.table("test.csv"))
    answers = shop.table("test_labels.csv")
    shop.write("private/test.csv", answers)
    shop.write("public/sample_submission.csv", answers[["id"]].assign(**dict.fromkeys(TOXIC, 0.5)))


def phrases(shop: Workshop) -> None:
    """Sentiment of phrases from film reviews, in tables separated by tabs."""
    train, test = split(shop.table("train.tsv", sep="\t"), test_size=0.3)
    shop.archive_tables("public/train.tsv.zip", train, "train.tsv", sep="\t")
    shop.archive_tables("public/test.tsv.zip", test.drop(columns="Sentiment"), "test.tsv", sep="\t")
    shop.write("private/answers.csv", test[["PhraseId", "Sentiment"]])
    shop.write("public/sampleSubmission.csv", test[["PhraseId"]].assign(Sentiment=2))


def normalization(prefix: str) -> Callable[[Workshop], None]:
    """Text normalization in the language of `prefix`: whole sentences are drawn, everything public is zipped."""

    def prepare(shop: Workshop) -> None:
        tokens = shop.table(f"{prefix}_train.csv")
        train_ids, test_ids = split(tokens["sentence_id"].unique(), test_size=0.1)
        train = _renumbered(tokens[tokens["sentence_id"].isin(train_ids)])
        test = _renumbered(tokens[tokens["sentence_id"].isin(test_ids)])
        del tokens
        quoted = {"quoting": csv.QUOTE_NONNUMERIC}
        columns = ["sentence_id", "token_id", "class", "before", "after"]
        name = f"{prefix}_train.csv"
        shop.archive_tables(f"public/{name}.zip", train[columns], name, **quoted)
        name = f"{prefix}_test_2.csv"
        shop.archive_tables(f"public/{name}.zip", test[["sentence_id", "token_id", "before"]], name, **quoted)
        test = test.assign(id=test["sentence_id"].astype(str) + "_" + test["token_id"].astype(str))
        shop.write("private/answers.csv", test[["id", "after"]], **quoted)
        sample = test[["id"]].assign(after=test["before"])
        shop.write("private/sample_submission.csv", sample, **quoted)
        name = f"{prefix}_sample_submission_2.csv"
        shop.archive_tables(f"public/{name}.zip", sample, name, **quoted)

    return prepare


def _renumbered(tokens: pd.DataFrame) -> pd.DataFrame:
    """Sentences counted from 0 in the order in which they stand."""
    import pandas as pd

    numbers, _ = pd.factorize(tokens["sentence_id"])
    return tokens.assign(sentence_id=numbers)
