"""The rules by which MLE-bench's graders judge: what makes a submission invalid, and what it scores otherwise.

    Invalid     the submission breaks the rule; the message is a fixed sentence that says nothing of the answers

A rule takes the submission and the answers as pandas reads them and returns the score, unrounded. Where the official
graders do something odd, so do these; `notes.yaml` tells people which. Sorting is the official one throughout, for
the order of equal ids decides which rows meet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

Rule = Callable[["pd.DataFrame", "pd.DataFrame"], float]

ROW_COUNT = "The submission does not have one row for each row that is asked for."
WRONG_IDS = "The ids of the submission are not those that are asked for, each once."
NOT_NUMERIC = "A prediction is not a number."
NOT_IN_RANGE = "A prediction is not a probability between 0 and 1."
ROW_SUM = "The probabilities of a row do not add up to 1."
MISSING = "A prediction is missing, or is infinite."
WRONG_COLUMNS = "The columns of the submission are not exactly those that are asked for."
FAILED = "The metric could not be computed for these predictions."


class Invalid(Exception):
    """The submission breaks the grader's rule; the message is a fixed sentence."""


def guarded(rule: Rule, submission: pd.DataFrame, answers: pd.DataFrame) -> float:
    """The score by a rule, in the type its metric gave: NumPy rounds ties otherwise than Python does, and the
    official graders round whichever it is. Raises `Invalid` whatever goes wrong, as they do."""
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an undefined metric is a NaN, which the report shows
            return rule(submission, answers)
    except (Invalid, MemoryError):
        raise
    except Exception:  # what a library says of the data may quote the answers
        raise Invalid(FAILED) from None


# --------------------------------------------------------------------------------------------------------- conditions


def _need(frame: pd.DataFrame, *columns: str) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise Invalid(f"Columns missing from the header: {','.join(missing[:20])}.")


def _same_length(submission: pd.DataFrame, answers: pd.DataFrame) -> None:
    if len(submission) != len(answers):
        raise Invalid(ROW_COUNT)


def _by_id(submission: pd.DataFrame, answers: pd.DataFrame, key: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables in the order of their ids, which must be the same."""
    if _are_equal(submission[key], answers[key]) and answers[key].is_monotonic_increasing and answers[key].is_unique:
        return submission, answers  # already in order: sorting five million ids takes longer than the metric
    submission, answers = submission.sort_values(by=key), answers.sort_values(by=key)
    if not _are_equal(submission[key], answers[key]):
        raise Invalid(WRONG_IDS)
    return submission, answers


def _are_equal(ours: pd.Series[Any], theirs: pd.Series[Any]) -> bool:
    return bool((ours.to_numpy() == theirs.to_numpy()).all())


def _check_range(values: Any) -> None:
    """Every value must lie in [0, 1]; NaN does not."""
    if not ((values >= 0) & (values <= 1)).all():
        raise Invalid(NOT_IN_RANGE)


def _check_sums(values: Any) -> None:
    import numpy as np

    if not np.isclose(values.sum(axis=1), 1.0, atol=1e-6).all():
        raise Invalid(ROW_SUM)


def _floats(frame: pd.DataFrame, columns: Sequence[str]) -> Any:
    import pandas as pd

    if not all(pd.api.types.is_numeric_dtype(frame[name]) for name in columns):
        raise Invalid(NOT_NUMERIC)
    return frame[list(columns)].to_numpy(dtype=float)


# -------------------------------------------------------------------------------------------------------------- rules


def area(key: str, *targets: str) -> Rule:
    """Area under the ROC curve of probabilities, paired by id; the mean over several columns."""

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        import numpy as np

        scores = [_area(submission, answers, key, target) for target in targets]
        return scores[0] if len(scores) == 1 else np.average(scores)

    return rule


def _area(submission: pd.DataFrame, answers: pd.DataFrame, key: str, target: str) -> float:
    import pandas as pd
    from sklearn.metrics import roc_auc_score

    _need(submission, key, target)
    _same_length(submission, answers)
    try:
        values = pd.to_numeric(submission[target])
    except (ValueError, TypeError):
        raise Invalid(NOT_NUMERIC) from None
    if values.min() < 0 or values.max() > 1:
        raise Invalid(NOT_IN_RANGE)
    if values.isna().any():
        raise Invalid(MISSING)
    ours, theirs = _by_id(submission[[key]].assign(value=values), answers[[key, target]], key)
    score: float = roc_auc_score(theirs[target].to_numpy(), ours["value"].to_numpy())
    return score


def area_per_column(key: str, targets: Sequence[str], exact: bool = False) -> Rule:
    """The mean over columns of the area under the ROC curve; predictions need not be probabilities.

    `exact`: other columns than these are refused.
    """

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        import numpy as np
        from sklearn.metrics import roc_auc_score

        _need(submission, key, *targets)
        _same_length(submission, answers)
        if exact and set(submission.columns) != {key, *targets}:
            raise Invalid(WRONG_COLUMNS)
        ours, theirs = _by_id(submission, answers, key)
        scores = [roc_auc_score(theirs[name].to_numpy(), _floats(ours, [name])[:, 0]) for name in targets]
        mean: float = np.mean(scores)
        return mean

    return rule


def area_of_labelled_rows(key: str, targets: Sequence[str]) -> Rule:
    """The mean column area over the rows that have labels (those of -1 have none), columns in the order handed in."""

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        from sklearn.metrics import roc_auc_score

        _need(submission, key, *targets)
        _same_length(submission, answers)
        ours, theirs = submission.set_index(key).sort_index(), answers.set_index(key).sort_index()
        if not ours.index.isin(theirs.index).all():
            raise Invalid(WRONG_IDS)
        # Official: the matrix of all other columns in the submission's own order, whatever they are called; and rows
        # are chosen by the label of their id, so that one that stands twice in place of another is scored.
        labelled = theirs[list(targets)].sum(axis=1) >= 0
        given, wanted = ours[labelled.loc[ours.index].to_numpy()], theirs[labelled]
        if given.shape[1] != len(targets):
            raise Invalid(WRONG_COLUMNS)
        if len(given) != len(wanted):
            raise Invalid(WRONG_IDS)
        score: float = roc_auc_score(wanted.to_numpy(), given.to_numpy(), average="macro")
        return score

    return rule


def accuracy(key: str, target: str) -> Rule:
    """The share of rows that are exactly right, paired by id."""

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        from sklearn.metrics import accuracy_score

        _same_length(submission, answers)
        _need(submission, key, target)
        ours, theirs = _by_id(submission, answers, key)
        score: float = accuracy_score(theirs[target].to_numpy(), ours[target].to_numpy())
        return score

    return rule


def accuracy_of_words(key: str, target: str, missing: str | None = None) -> Rule:
    """The share of rows whose class, a word, is right; a missing one is wrong, or counts as the word `missing`."""

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        from sklearn.metrics import accuracy_score, f1_score

        _need(submission, key, target)
        _same_length(submission, answers)
        ours, theirs = _by_id(submission, answers, key)
        # What the two say differs where a class is missing or is no word; which is asked is the official choice.
        score: float
        if missing is None:
            score = f1_score(theirs[target].tolist(), ours[target].tolist(), average="micro")
        else:
            score = accuracy_score(theirs[target], ours[target].fillna(missing).tolist())
        return score

    return rule


def accuracy_of_texts(key: str, target: str) -> Rule:
    """The share of rows whose text is exactly right; ids are texts, too. What is read as missing is the text "nan"."""

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        _same_length(submission, answers)
        _need(submission, key, target)
        ours, theirs = _by_id(submission, answers, key)
        return float((_texts(ours[target]) == _texts(theirs[target])).mean())

    return rule


def _texts(column: pd.Series[Any]) -> Any:
    """A column as text. Official: `astype(str)`, which under pandas 2 turns what is missing into "nan"."""
    from pandas.api.types import infer_dtype

    texts = column.astype(object).where(column.notna(), "nan")
    # A long table is read in pieces, and a piece of numbers alone comes as numbers.
    is_text = infer_dtype(texts, skipna=False) in ("string", "empty")
    return (texts if is_text else texts.map(str)).to_numpy(dtype=object)


def kappa(key: str, target: str) -> Rule:
    """Quadratic weighted kappa, the labels being those that either side has."""

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        from sklearn.metrics import cohen_kappa_score

        _need(submission, key, target)
        if submission.empty or set(submission[key]) != set(answers[key]):
            raise Invalid(WRONG_IDS)
        _same_length(submission, answers)
        if submission[target].isna().any():
            raise Invalid(MISSING)
        ours, theirs = submission.sort_values(by=key), answers.sort_values(by=key)
        score: float = cohen_kappa_score(ours[target].to_numpy(), theirs[target].to_numpy(), weights="quadratic")
        return score

    return rule


def one_hot_loss(key: str, exact: bool = False, first: bool = False) -> Rule:
    """Log loss of class probabilities against answers with one column a class, clipped at the float's epsilon.

    `exact`: no other columns are allowed. `first`: sums and ranges are those of all columns but the first one.
    """

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        classes = [name for name in answers.columns if name != key]
        _need(submission, key, *classes)
        _same_length(submission, answers)
        if exact and (set(submission.columns) != {key, *classes} or len(submission.columns) != len(classes) + 1):
            raise Invalid(WRONG_COLUMNS)
        checked = list(submission.columns[1:]) if first else classes
        values = _floats(submission, checked)
        _check_sums(values)
        _check_range(values)
        ours, theirs = _by_id(submission, answers, key)
        return _log_loss(theirs[classes].to_numpy(dtype=float), ours[classes].to_numpy(dtype=float))

    return rule


def _log_loss(wanted: Any, given: Any) -> float:
    import numpy as np
    from sklearn.metrics import log_loss

    # One-hot rows: scikit-learn may refuse probabilities that it finds not to add up; the rule does not.
    if wanted.ndim == 1:
        return float(log_loss(wanted, given))
    epsilon = np.finfo(float).eps
    logs = np.log(np.clip(given, epsilon, 1 - epsilon))
    return float(-(wanted * logs).sum(axis=1).mean())


def binary_loss(key: str, target: str) -> Rule:
    """Log loss of the probability of the one class, paired by id."""

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        _need(submission, key, target)
        _same_length(submission, answers)
        if set(submission[key]) != set(answers[key]):
            raise Invalid(WRONG_IDS)
        values = _floats(submission, [target])
        _check_range(values)
        ours, theirs = _by_id(submission, answers, key)
        return _log_loss(theirs[target].to_numpy(), ours[target].to_numpy(dtype=float))

    return rule


def root_mean_square(key: str, target: str, compares_ids: bool) -> Rule:
    """Root of the mean squared error over all rows, which are paired after sorting by id as text."""

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        import numpy as np

        _need(submission, key, target)
        _same_length(submission, answers)
        if compares_ids:
            ours, theirs = _by_id(submission, answers, key)
        else:
            ours, theirs = submission.sort_values(by=key), answers.sort_values(by=key)
        given = ours[target].astype(float).to_numpy()
        if not np.isfinite(given).all():
            raise Invalid(MISSING)
        return float(np.sqrt(np.mean((given - theirs[target].to_numpy(dtype=float)) ** 2)))

    return rule


def log_errors_by_position(*targets: str) -> Rule:
    """The mean over columns of the root mean squared error of logarithms; rows are compared by their position."""

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        from sklearn.metrics import root_mean_squared_log_error

        _need(submission, *targets)
        _same_length(submission, answers)
        losses: list[float] = [root_mean_squared_log_error(answers[name], submission[name]) for name in targets]
        return sum(losses) / len(losses)

    return rule
