"""The leak sentinel on a solution: its source, the tables it brings along, the score it prints of itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Sequence

from tasks.io.csv_text import Row
from tasks.leakage.fit_before_split import fitted_early
from tasks.leakage.statistics import Finding

CLAIM = 4.0
"""Standard errors by which a printed score must lie above the harness's to be told."""
LARGE, TIMES = 10.0, 100.0
"""A number so many times as far from 0 as another, and itself so large, is of another unit: prices and their logs."""
FEW_IDS, MANY_IDS = 20, 100
"""Ids that a literal may hold by chance: names, and whole numbers that follow each other as settings do."""
ENTRIES, LETTERS = 300, 4000
"""From so many numbers, or letters of one string, on a literal holds data rather than settings."""
_MAGIC = re.compile(r"^[ \t]*[%!].*$", re.MULTILINE)
_WORD = re.compile(r"[\w.-]+")


def check_code(
    source: str, sample_ids: Sequence[str] = (), train_ids: Collection[str] = (), targets: Sequence[str] = ()
) -> list[Finding]:
    """What the source of a solution gives away: something fitted before the rows are split, ids with labels in it.

    `sample_ids` are rows to predict, `train_ids` labelled rows: on other folds those are to be predicted too.
    """
    tree = _parsed(source)
    findings = [
        Finding(
            "fitted before the split",
            f"line {one.origin.line} fits {one.origin.what} on all rows, line {one.split} splits",
        )
        for one in fitted_early(tree, targets)
    ]
    return [*findings, *_literals(tree, set(sample_ids), set(train_ids))]


def _parsed(source: str) -> ast.Module:
    for text in (source, _MAGIC.sub("", source)):  # a notebook's `%matplotlib inline` is no Python
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            continue
    return ast.Module([], [])


# --------------------------------------------------------------------------------------------------- tables in the code


def _literals(tree: ast.Module, sample_ids: set[str], train_ids: set[str]) -> Iterator[Finding]:
    """Literals that name rows, or that hold so much that they are data."""
    for node, cells in _outermost(tree):
        words = {str(cell) for cell in cells if not isinstance(cell, (float, complex, bytes))}
        words |= {word for cell in cells if isinstance(cell, str) for word in _WORD.findall(cell)}
        asked, known = _named(words, sample_ids), _named(words, train_ids - sample_ids)
        if asked:
            yield Finding("answers in the code", f"{asked} ids of rows to predict stand in line {node.lineno}")
        if known:
            says = f"{known} ids of training rows stand in line {node.lineno}: other folds are to predict them"
            yield Finding("labels in the code", says)
        if not asked and not known and (says := _as_data(cells)):
            yield Finding("a table in the code", f"line {node.lineno} holds {says}")


def _outermost(tree: ast.Module) -> Iterator[tuple[ast.expr, list[object]]]:
    """Each literal that is in no other, with its constants; what is said of code (docstrings) is none."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Dict, ast.List, ast.Set, ast.Tuple, ast.Constant)):
            cells: list[object] = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant)]
            if len(cells) > FEW_IDS or any(isinstance(cell, (str, bytes)) and len(cell) > FEW_IDS for cell in cells):
                yield node, cells
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            waiting += ast.iter_child_nodes(node)


def _named(words: set[str], ids: set[str]) -> int:
    """How many ids stand there, if they are too many for chance."""
    found = len(words & ids)
    return found if found > (MANY_IDS if _are_settings(ids) else FEW_IDS) else 0


def _are_settings(ids: Collection[str]) -> bool:
    """Whether ids are small numbers one after the other: such stand in any code."""
    if not all(name.isascii() and name.isdigit() for name in ids):
        return False
    return bool(ids) and max(map(int, ids)) < max(1000, 20 * len(ids))


def _as_data(cells: Sequence[object]) -> str:
    """What a literal holds too much of; lists of words and of columns are none, nor are texts for people."""
    numbers = sum(isinstance(cell, (int, float)) and not isinstance(cell, bool) for cell in cells)
    if numbers > ENTRIES:
        return f"{numbers} numbers"
    for cell in cells:
        size = len(cell) if isinstance(cell, (str, bytes)) else 0
        if size > LETTERS and (isinstance(cell, bytes) or _is_dense(str(cell))):
            return f"a text of {size} letters that is no language"
    return ""


def _is_dense(text: str) -> bool:
    """Whether a text is packed (hardly a blank) or a table (mostly digits and what parts them)."""
    blanks = sum(sign.isspace() for sign in text) / len(text)
    figures = sum(sign.isdigit() or sign in ",;:.-+|\t\n\"'" for sign in text) / len(text)
    return blanks < 0.03 or figures > 0.6


def check_table(rows: Sequence[Row], sample_ids: Sequence[str], id_name: str = "") -> list[Finding]:
    """Whether a table a solution brought along already holds the rows to predict: many of their ids in one column,
    which is called as the ids are where ids are numbers that any table may have."""
    known = set(sample_ids)
    named = zip(rows[0] if rows else [], zip(*rows, strict=False), strict=False)
    is_any = not id_name or not _are_settings(known)
    columns = [set(column) for name, column in named if is_any or name == id_name]
    best = max((len(column & known) for column in columns), default=0)
    if best > max(FEW_IDS, 0.5 * len(known)):
        return [Finding("predictions brought along", f"a file of the solution holds {best} ids of rows to predict")]
    return []


# ------------------------------------------------------------------------------------------------------- what it claims


def may_be_score(claimed: float, score: float, lower_is_better: bool) -> bool:
    """Whether a printed number may be a score as the harness's is: shares end at 1, losses at 0. One beyond is a
    setting or a count."""
    return not ((claimed < 0 <= score) if lower_is_better else (claimed > 1 >= score))


def check_claim(claimed: float | None, score: float, noise: float, lower_is_better: bool) -> list[Finding]:
    """Whether the score that a solution printed of itself is far better than the harness's. For people only."""
    if claimed is None or noise <= 0 or not may_be_score(claimed, score, lower_is_better):
        return []
    ahead = (score - claimed if lower_is_better else claimed - score) / noise
    small, large = sorted((abs(claimed), abs(score)))
    if ahead <= CLAIM or (large > LARGE and large > TIMES * small):
        return []
    says = f"the solution printed {claimed:g} of itself, the held-out rows say {score:.4g} ± {noise:.2g}"
    return [Finding("self-reported too high", says, is_fair=False)]
