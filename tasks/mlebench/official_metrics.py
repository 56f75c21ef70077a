"""The rules of MLE-bench's graders: which submissions are invalid, and the scores of the others.

    Invalid     the submission breaks the rule; the message is a fixed sentence that reveals no answer

A rule takes the submission and the answers as pandas reads them and returns the unrounded score. Oddities of the
official graders are reproduced; `notes.yaml` lists them. Sorting is the official one, because the order of equal ids
decides which rows are compared.
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


def score_guarded(rule: Rule, submission: pd.DataFrame, answers: pd.DataFrame) -> float:
    """The score by a rule, in the type its metric returned: NumPy and Python round ties differently, and the official
    graders round either. Raises `Invalid` for any error, as they do."""
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an undefined metric is a NaN, which the report shows
            return rule(submission, answers)
    except (Invalid, MemoryError):
        raise
    except Exception:  # the message of a library may quote the answers
        raise Invalid(FAILED) from None


# --------------------------------------------------------------------------------------------------------- conditions


def _require_columns(frame: pd.DataFrame, *columns: str) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise Invalid(f"Columns missing from the header: {','.join(missing[:20])}.")


def _require_same_length(submission: pd.DataFrame, answers: pd.DataFrame) -> None:
    if len(submission) != len(answers):
        raise Invalid(ROW_COUNT)


def _align_by_id(submission: pd.DataFrame, answers: pd.DataFrame, key: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables sorted by id. Raises `Invalid` if their ids differ."""
    if _are_equal(submission[key], answers[key]) and answers[key].is_monotonic_increasing and answers[key].is_unique:
        return submission, answers  # already sorted: sorting five million ids takes longer than the metric
    submission, answers = submission.sort_values(by=key), answers.sort_values(by=key)
    if not _are_equal(submission[key], answers[key]):
        raise Invalid(WRONG_IDS)
    return submission, answers


def _are_equal(predicted: pd.Series[Any], expected: pd.Series[Any]) -> bool:
    return bool((predicted.to_numpy() == expected.to_numpy()).all())


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


def _converted(column: pd.Series[Any]) -> Any:
    """A column as floats, text by Python's rules (1_0 is ten), as scikit-learn converts the columns of pandas 2."""
    try:
        return column.to_numpy(dtype=object).astype(float)
    except (ValueError, TypeError):
        raise Invalid(NOT_NUMERIC) from None


# -------------------------------------------------------------------------------------------------------------- rules


def auc(key: str, *targets: str) -> Rule:
    """AUC of probabilities, paired by id; averaged over several columns."""

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        import numpy as np

        scores = [_auc(submission, answers, key, target) for target in targets]
        return scores[0] if len(scores) == 1 else np.average(scores)

    return rule


def _auc(submission: pd.DataFrame, answers: pd.DataFrame, key: str, target: str) -> float:
    import pandas as pd
    from sklearn.metrics import roc_auc_score

    _require_columns(submission, key, target)
    _require_same_length(submission, answers)
    try:
        values = pd.to_numeric(submission[target])
    except (ValueError, TypeError):
        raise Invalid(NOT_NUMERIC) from None
    if values.min() < 0 or values.max() > 1:
        raise Invalid(NOT_IN_RANGE)
    if values.isna().any():
        raise Invalid(MISSING)
    predicted, expected = _align_by_id(submission[[key]].assign(value=values), answers[[key, target]], key)
    score: float = roc_auc_score(expected[target].to_numpy(), predicted["value"].to_numpy())
    return score


def auc_per_column(key: str, targets: Sequence[str], exact: bool = False) -> Rule:
    """AUC averaged over columns; predictions need not be probabilities.

    `exact`: any other column is refused.
    """

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        import numpy as np
        from sklearn.metrics import roc_auc_score

        _require_columns(submission, key, *targets)
        _require_same_length(submission, answers)
        if exact and set(submission.columns) != {key, *targets}:
            raise Invalid(WRONG_COLUMNS)
        predicted, expected = _align_by_id(submission, answers, key)
        scores = [roc_auc_score(expected[name].to_numpy(), _converted(predicted[name])) for name in targets]
        mean: float = np.mean(scores)
        return mean

    return rule


def auc_of_labelled_rows(key: str, targets: Sequence[str]) -> Rule:
    """AUC averaged over columns on labelled rows (-1: no label), with columns in the order of the submission."""

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        from sklearn.metrics import roc_auc_score

        _require_columns(submission, key, *targets)
        _require_same_length(submission, answers)
        predicted, expected = submission.set_index(key).sort_index(), answers.set_index(key).sort_index()
        if not predicted.index.isin(expected.index).all():
            raise Invalid(WRONG_IDS)
        # Official: all other columns, in the submission's own order and whatever their names. Rows are selected by the
        # labels of their ids, so that an id may occur twice in place of another.
        labelled = expected[list(targets)].sum(axis=1) >= 0
        predictions, truth = predicted[labelled.loc[predicted.index].to_numpy()], expected[labelled]
        if predictions.shape[1] != len(targets):
            raise Invalid(WRONG_COLUMNS)
        if len(predictions) != len(truth):
            raise Invalid(WRONG_IDS)
        score: float = roc_auc_score(truth.to_numpy(), predictions.to_numpy(), average="macro")
        return score

    return rule


def accuracy(key: str, target: str) -> Rule:
    """The share of rows that are right, paired by id."""

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        from sklearn.metrics import accuracy_score

        _require_same_length(submission, answers)
        _require_columns(submission, key, target)
        predicted, expected = _align_by_id(submission, answers, key)
        score: float = accuracy_score(expected[target].to_numpy(), predicted[target].to_numpy())
        return score

    return rule


def accuracy_of_words(key: str, target: str, missing: str | None = None) -> Rule:
    """The share of rows with the right class name; a missing one is wrong, or counts as the name `missing`."""

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        from sklearn.metrics import accuracy_score, f1_score

        _require_columns(submission, key, target)
        _require_same_length(submission, answers)
        predicted, expected = _align_by_id(submission, answers, key)
        # The two differ for missing classes and for classes that are not text; each is used where the official one is.
        score: float
        if missing is None:
            score = f1_score(expected[target].tolist(), predicted[target].tolist(), average="micro")
        else:
            score = accuracy_score(expected[target], predicted[target].fillna(missing).tolist())
        return score

    return rule


def accuracy_of_texts(key: str, target: str) -> Rule:
    """The share of rows with exactly the right text; ids are text too. A missing value is the text "nan"."""

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        _require_same_length(submission, answers)
        _require_columns(submission, key, target)
        predicted, expected = _align_by_id(submission, answers, key)
        return float((_texts(predicted[target]) == _texts(expected[target])).mean())

    return rule


def _texts(column: pd.Series[Any]) -> Any:
    """A column as text. Official: `astype(str)`, which in pandas 2 turns missing values into "nan"."""
    from pandas.api.types import infer_dtype

    texts = column.astype(object).where(column.notna(), "nan")
    # pandas reads a long table in chunks, and a chunk with only numbers comes as numbers.
    is_text = infer_dtype(texts, skipna=False) in ("string", "empty")
    return (texts if is_text else texts.map(str)).to_numpy(dtype=object)


def kappa(key: str, target: str) -> Rule:
    """Quadratic weighted kappa over the labels of both sides."""

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        from sklearn.metrics import cohen_kappa_score

        _require_columns(submission, key, target)
        if submission.empty or set(submission[key]) != set(answers[key]):
            raise Invalid(WRONG_IDS)
        _require_same_length(submission, answers)
        if submission[target].isna().any():
            raise Invalid(MISSING)
        predicted, expected = submission.sort_values(by=key), answers.sort_values(by=key)
        score: float = cohen_kappa_score(predicted[target].to_numpy(), expected[target].to_numpy(), weights="quadratic")
        return score

    return rule


def one_hot_loss(key: str, exact: bool = False, first: bool = False) -> Rule:
    """Log loss of class probabilities against answers with one column per class, clipped at the float epsilon.

    `exact`: any other column is refused. `first`: sums and ranges are checked on all columns but the first.
    """

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        classes = [name for name in answers.columns if name != key]
        _require_columns(submission, key, *classes)
        _require_same_length(submission, answers)
        if exact and (set(submission.columns) != {key, *classes} or len(submission.columns) != len(classes) + 1):
            raise Invalid(WRONG_COLUMNS)
        checked = list(submission.columns[1:]) if first else classes
        values = _floats(submission, checked)
        _check_sums(values)
        _check_range(values)
        predicted, expected = _align_by_id(submission, answers, key)
        return _log_loss(expected[classes].to_numpy(dtype=float), predicted[classes].to_numpy(dtype=float))

    return rule


def _log_loss(truth: Any, predictions: Any) -> float:
    import numpy as np
    from sklearn.metrics import log_loss

    # One-hot rows: scikit-learn may refuse probabilities whose sum is not 1; the rule does not.
    if truth.ndim == 1:
        return float(log_loss(truth, predictions))
    epsilon = np.finfo(float).eps
    logs = np.log(np.clip(predictions, epsilon, 1 - epsilon))
    return float(-(truth * logs).sum(axis=1).mean())


def binary_loss(key: str, target: str) -> Rule:
    """Log loss of the probability of class 1, paired by id."""

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        _require_columns(submission, key, target)
        _require_same_length(submission, answers)
        if set(submission[key]) != set(answers[key]):
            raise Invalid(WRONG_IDS)
        values = _floats(submission, [target])
        _check_range(values)
        predicted, expected = _align_by_id(submission, answers, key)
        return _log_loss(expected[target].to_numpy(), predicted[target].to_numpy(dtype=float))

    return rule


def root_mean_square(key: str, target: str, compares_ids: bool) -> Rule:
    """RMSE over all rows, paired after sorting by id as text."""

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        import numpy as np

        _require_columns(submission, key, target)
        _require_same_length(submission, answers)
        if compares_ids:
            predicted, expected = _align_by_id(submission, answers, key)
        else:
            predicted, expected = submission.sort_values(by=key), answers.sort_values(by=key)
        predictions = predicted[target].astype(float).to_numpy()
        if not np.isfinite(predictions).all():
            raise Invalid(MISSING)
        return float(np.sqrt(np.mean((predictions - expected[target].to_numpy(dtype=float)) ** 2)))

    return rule


def log_errors_by_position(*targets: str) -> Rule:
    """RMSLE averaged over columns; rows are compared by position, not by id."""

    def rule(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        from sklearn.metrics import root_mean_squared_log_error

        _require_columns(submission, *targets)
        _require_same_length(submission, answers)
        losses: list[float] = [root_mean_squared_log_error(answers[name], submission[name]) for name in targets]
        return sum(losses) / len(losses)

    return rule
