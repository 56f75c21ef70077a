"""Thirty ideas for the demo model, each described in an engineer's own words and written as code: `lesson_ideas.txt`.

`action` is the entry of the vocabulary that an idea really is: the measure of wrong credit, which nothing else reads.
"""

from __future__ import annotations

from pathlib import Path

from harness.demo.solutions import Idea

_TEXT = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")
TABLE = [tuple(part.strip() for part in line.split(" | ")) for line in _TEXT.splitlines()]
ACTION_OF = {name: action for name, action, *_ in TABLE}


def idea(name: str, what: str, head: str, line: str) -> Idea:
    """A family of the demo model, so that it can be tuned and blended as any other."""
    body = f'{head}\n\n\ndef {name}(data):\n    """{what.capitalize()}."""\n    {line}\n    return model\n'
    return Idea(name, what, member=body, grid='{"strength": [1, 3]}')


IDEAS = {name: idea(name, what, head, line) for name, _, what, head, line in TABLE}
