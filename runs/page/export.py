"""One run as one self-contained file: the sections and charts of its page, and the winning code. It needs no server
and loads nothing; its policy lets only its own script run."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from markupsafe import Markup

from runs.page.facts.overview import overview
from runs.page.facts.run_view import RunView
from runs.page.facts.winning_code import winning_code
from runs.page.render import STATIC, make_environment

SCRIPTS = ("theme.js", "uplot/uplot.js", "charts.js", "common.js", "replay.js")
STYLES = ("uplot/uplot.css", "page.css")


def export_page(view: RunView, grade: dict[str, Any] | None = None) -> bytes:
    """The file. `view` is up to date; `grade` is what `harness score` wrote, if it did."""
    script, style = (_joined(names) for names in (SCRIPTS, STYLES))
    policy = f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; base-uri 'none'"
    text = (
        make_environment()
        .get_template("file.html")
        .render(
            run_id=view.folder.name,
            facts=overview(view, grade=grade),
            is_file=True,
            policy=f"{policy}; form-action 'none'",
            script=Markup(script),
            style=Markup(style),
            members=winning_code(view),
        )
    )
    return text.encode("utf-8", "replace")


def _joined(names: tuple[str, ...]) -> str:
    # What ends a script element early stands in none of these files; a test checks it.
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
