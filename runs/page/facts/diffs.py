"""Diffs between commits of a run, coloured by syntax, as HTML that holds none of the agent's markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import PythonLexer, TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound

from runs.versions.commits import Versions
from runs.versions.errors import VersionsError
from runs.views.format import printable

MAX_LINES = 4_000
LONG_LINE = 2_000
_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@(.*)")
_FORMATTER = HtmlFormatter(nowrap=True)


def diff_facts(folder: Path, before: str | None, after: str, against: str) -> dict[str, Any]:
    """The diff between two commits of a run (`before` None: everything is new), or why there is none. `against` names
    the first one for people."""
    try:
        patch = Versions(folder / "repo.git").diff(before, after)
    except VersionsError as error:
        return {"against": against, "html": "", "summary": "", "problem": f"The code cannot be read: {error}"}
    lines = patch.split("\n")
    added = sum(line.startswith("+") and not line.startswith("+++") for line in lines)
    removed = sum(line.startswith("-") and not line.startswith("---") for line in lines)
    files = sum(line.startswith("diff --git") for line in lines)
    summary = f"{files} file{'s' * (files != 1)}, {added} lines added, {removed} removed" if files else "no difference"
    if len(lines) > MAX_LINES:
        summary += f"; the first {MAX_LINES:,} of {len(lines):,} lines are shown"
    return {"against": against, "html": diff_html(lines[:MAX_LINES]), "summary": summary, "problem": ""}


def diff_html(lines: list[str]) -> Markup:
    """The lines of a unified diff as a table."""
    rows = Markup("").join(_rows(lines))
    return Markup("<table><tbody>{}</tbody></table>").format(rows) if rows else Markup("")


def _rows(lines: list[str]) -> Iterator[Markup]:
    lexer: Lexer = TextLexer()
    old = new = 0
    in_hunk = False
    for line in lines:
        if line.startswith("diff --git"):
            in_hunk = False
            name = line.rpartition(" b/")[2]
            lexer = _lexer(name)
            yield _row("f", "", "", escape(printable(name)))
        elif match := _HUNK.match(line):
            in_hunk = True
            old, new = int(match[1]), int(match[2])
            yield _row("h", "", "", escape(printable(line)))
        elif in_hunk and line[:1] in ("+", "-", " "):
            kind = {"+": "a", "-": "r", " ": "s"}[line[0]]
            left, right = ("" if kind == "a" else str(old)), ("" if kind == "r" else str(new))
            old, new = old + (kind != "a"), new + (kind != "r")
            yield _row(kind, left, right, Markup("{}{}").format(line[0], colour(line[1:], lexer)))


def _row(kind: str, left: str, right: str, code: Markup) -> Markup:
    return Markup('<tr class="d-{}"><td class="l">{}</td><td class="l">{}</td><td>{}</td></tr>').format(
        kind, left, right, code
    )


def colour(text: str, lexer: Lexer) -> Markup:
    """A text coloured by its syntax; a very long line stays plain."""
    shown = printable(text)
    if len(shown) > LONG_LINE and "\n" not in shown:
        return escape(shown[: 10 * LONG_LINE])
    from pygments import highlight

    return Markup(highlight(shown, lexer, _FORMATTER).rstrip("\n"))


def colour_file(name: str, content: bytes) -> Markup:
    """A whole file, coloured."""
    return colour(content.decode("utf-8", "replace"), _lexer(name))


@lru_cache(64)
def _lexer(name: str) -> Lexer:
    options: dict[str, Any] = {"stripnl": False, "ensurenl": False}
    lexer: Lexer
    try:
        lexer = PythonLexer(**options) if name.endswith(".py") else get_lexer_for_filename(name, **options)
    except ClassNotFound:
        lexer = TextLexer(**options)
    return lexer
