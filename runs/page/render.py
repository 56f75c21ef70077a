"""Templates and their filters. Everything is escaped unless it was made here; JSON cannot end its script element."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from runs.serialization import with_finite_numbers
from runs.views.format import printable_lines

HERE = Path(__file__).parent
STATIC = HERE / "static"
_IN_SCRIPT = {ord(one): f"\\u{ord(one):04x}" for one in "<>&\u2028\u2029"}


def script_json(value: Any) -> Markup:
    """A value as JSON that can stand in a script element."""
    text = json.dumps(with_finite_numbers(value), ensure_ascii=False, separators=(",", ":"))
    return Markup(text.translate(_IN_SCRIPT))


def moment(text: str) -> str:
    """A time of the journal for people: `2026-12-01 04:07 UTC`."""
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return text


def size(count: int) -> str:
    """A number of bytes: `180 kB`, `2.4 MB`."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB" if count >= 1e3 else f"{count} bytes"


def _plain(value: Any) -> Any:
    """What the templates print: an agent's texts lose control sequences and marks of direction."""
    return printable_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def make_environment() -> Environment:
    """The environment of all templates."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_plain,
    )
    environment.filters |= {"script_json": script_json, "moment": moment, "size": size}
    return environment
