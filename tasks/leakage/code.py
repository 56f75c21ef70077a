"""Leak checks on the files of a solution: its source, the tables and texts it ships."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Sequence

from tasks.leakage.fit_before_split import find_early_fits
from tasks.leakage.statistics import Finding

FEW_IDS, MANY_IDS = 20, 100
"""Ids a literal may contain by chance: if they are names, and if they are consecutive whole numbers."""
MOST_NUMBERS, MOST_LETTERS = 300, 4000
"""A literal with more numbers, or a string with more letters, is data and not settings."""
_MAGIC = re.compile(r"^[ \t]*[%!].*$", re.MULTILINE)
_WORD = re.compile(r"[\w.-]+")


def check_code(
    source: str,
    sample_ids: Sequence[str] = (),
    train_ids: Collection[str] = (),
    targets: Sequence[str] = (),
    name: str = "solution.py",
) -> list[Finding]:
    """Leaks in the source of a solution: something fitted before the split, or literals with ids and labels.

    `sample_ids` are rows to predict, `train_ids` labelled rows, which other folds hold out. `name` is the file's.
    """
    tree = _parse(source)
    findings = [
        Finding(
            "fitted before the split",
            f"{name}:{fit.origin.line} fits {fit.origin.what} on all rows, line {fit.split} splits",
        )
        for fit in find_early_fits(tree, targets)
    ]
    return [*findings, *_check_literals(tree, set(sample_ids), set(train_ids), name)]


def _parse(source: str) -> ast.Module:
    for text in (source, _MAGIC.sub("", source)):  # a notebook's `%matplotlib inline` is not Python
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            continue
    return ast.Module([], [])


# --------------------------------------------------------------------------------------------------- tables in the code


def _check_literals(tree: ast.Module, sample_ids: set[str], train_ids: set[str], name: str) -> Iterator[Finding]:
    """Literals that contain ids of rows, or so much that they are data."""
    for node, cells in _outermost_literals(tree):
        words = {str(cell) for cell in cells if not isinstance(cell, (float, complex, bytes))}
        words |= {word for cell in cells if isinstance(cell, str) for word in _WORD.findall(cell)}
        test, train = _count_ids(words, sample_ids), _count_ids(words, train_ids - sample_ids)
        if test:
            yield Finding("answers in the code", f"{name}:{node.lineno} contains {test} ids of rows to predict")
        if train:
            message = f"{name}:{node.lineno} contains {train} ids of training rows, which other folds hold out"
            yield Finding("labels in the code", message)
        if not test and not train and (content := _describe_data(cells)):
            yield Finding("a table in the code", f"{name}:{node.lineno} contains {content}")


def _outermost_literals(tree: ast.Module) -> Iterator[tuple[ast.expr, list[object]]]:
    """Each large literal that is inside no other, with its constants. Docstrings are left out."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Dict, ast.List, ast.Set, ast.Tuple, ast.Constant)):
            cells: list[object] = [child.value for child in ast.walk(node) if isinstance(child, ast.Constant)]
            if len(cells) > FEW_IDS or any(isinstance(cell, (str, bytes)) and len(cell) > FEW_IDS for cell in cells):
                yield node, cells
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            waiting += ast.iter_child_nodes(node)


def _count_ids(words: set[str], ids: set[str]) -> int:
    """How many of the ids are among the words; 0 if it may be chance."""
    count = len(words & ids)
    return count if count > (MANY_IDS if _are_small_integers(ids) else FEW_IDS) else 0


def _are_small_integers(ids: Collection[str]) -> bool:
    """Whether ids are small, nearly consecutive whole numbers, which any code contains."""
    if not all(name.isascii() and name.isdigit() for name in ids):
        return False
    return bool(ids) and max(map(int, ids)) < max(1000, 20 * len(ids))


def _describe_data(cells: Sequence[object]) -> str:
    """What makes a literal data, in words; empty for lists of words or columns, and for prose."""
    numbers = sum(isinstance(cell, (int, float)) and not isinstance(cell, bool) for cell in cells)
    if numbers > MOST_NUMBERS:
        return f"{numbers} numbers"
    for cell in cells:
        size = len(cell) if isinstance(cell, (str, bytes)) else 0
        if size > MOST_LETTERS and (isinstance(cell, bytes) or _is_dense(str(cell))):
            return f"a string of {size} letters that is not prose"
    return ""


def _is_dense(text: str) -> bool:
    """Whether a string is encoded data (hardly any blanks) or a table (mostly digits and separators)."""
    blanks = sum(sign.isspace() for sign in text) / len(text)
    figures = sum(sign.isdigit() or sign in ",;:.-+|\t\n\"'" for sign in text) / len(text)
    return blanks < 0.03 or figures > 0.6


def check_text(text: str, name: str, sample_ids: Collection[str], train_ids: Collection[str]) -> list[Finding]:
    """Leaks in a file that is neither source nor CSV (JSON, YAML, text): ids of many rows."""
    words = set(_WORD.findall(text))
    test, train = _count_ids(words, set(sample_ids)), _count_ids(words, set(train_ids) - set(sample_ids))
    findings = []
    if test:
        findings.append(Finding("answers in the code", f"{name} contains {test} ids of rows to predict"))
    if train:
        message = f"{name} contains {train} ids of training rows, which other folds hold out"
        findings.append(Finding("labels in the code", message))
    return findings
