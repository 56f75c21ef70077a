"""The leak sentinel on a solution: its source, the tables it brings along, the score it prints of itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from tasks.cells import Row
from tasks.leak_signs import Finding

CLAIM = 4.0
"""Standard errors by which a printed score must lie above the harness's to be told."""


FITTED = {"fit", "fit_transform", "fit_resample"}
LEARNERS = ("Scaler", "Encoder", "Imputer", "PCA", "SelectKBest", "SelectPercentile", "Vectorizer", "SMOTE", "Selector")
SPLITTERS = {"train_test_split", "KFold", "StratifiedKFold", "GroupKFold", "TimeSeriesSplit", "cross_val_score"}


def look_at_code(source: str, sample_ids: Sequence[str] = ()) -> list[Finding]:
    """What the source of a solution gives away: something fitted before the rows are split, ids with labels in it."""
    findings = []
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        tree = ast.Module([], [])
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    split = min((node.lineno for node in calls if _calls(node) & SPLITTERS), default=0)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in FITTED:
            learner = _learner(node.func.value, tree)
            if split and node.lineno < split and learner:
                findings.append(
                    Finding(
                        "fitted before the split", f"line {node.lineno} fits {learner} on all rows, line {split} splits"
                    )
                )
    listed = len({name for name in sample_ids if name in set(_constants(tree))})
    if sample_ids and listed > max(20, 0.2 * len(sample_ids)):
        findings.append(Finding("answers in the code", f"{listed} ids of rows to predict stand in the source"))
    return findings


def _calls(node: ast.AST) -> set[str]:
    if not isinstance(node, ast.Call):
        return set()
    function = node.func
    return (
        {function.id}
        if isinstance(function, ast.Name)
        else {function.attr}
        if isinstance(function, ast.Attribute)
        else set()
    )


def _learner(value: ast.expr, tree: ast.Module) -> str:
    """The class that is fitted, where it is one that learns from all rows: named at the call, or assigned to a name."""
    if isinstance(value, ast.Call):
        return next((name for name in _calls(value) if name.endswith(LEARNERS)), "")
    if isinstance(value, ast.Name):
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == value.id for t in node.targets):
                return next((name for name in _calls(node.value) if name.endswith(LEARNERS)), "")
    return ""


def _constants(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, int)):
            yield str(node.value)


def look_at_table(rows: Sequence[Row], sample_ids: Sequence[str]) -> list[Finding]:
    """Whether a table a solution brought along already holds the rows to predict."""
    known = set(sample_ids)
    best = max((sum(cell in known for cell in column) for column in zip(*rows, strict=False)), default=0)
    if best > max(20, 0.5 * len(known)):
        return [Finding("predictions brought along", f"a file of the solution holds {best} ids of rows to predict")]
    return []


def may_be_score(claimed: float, score: float, lower_is_better: bool) -> bool:
    """Whether a printed number may be a score as the harness's is: shares end at 1, losses at 0. One beyond is a
    setting or a count."""
    return not ((claimed < 0 <= score) if lower_is_better else (claimed > 1 >= score))


def look_at_claim(claimed: float | None, score: float, noise: float, lower_is_better: bool) -> list[Finding]:
    """Whether the score that a solution printed of itself is far better than the harness's. For people only."""
    if claimed is None or noise <= 0 or not may_be_score(claimed, score, lower_is_better):
        return []
    ahead = (score - claimed if lower_is_better else claimed - score) / noise
    if not CLAIM < ahead < 1e3:  # what is a thousand errors away is another number, not a boast
        return []
    says = f"the solution printed {claimed:g} of itself, the held-out rows say {score:.4g} ± {noise:.2g}"
    return [Finding("self-reported too high", says, is_fair=False)]
