"""Names with fields in braces: ids such as `{sentence_id}_{token_id}`, files such as `train.zip!{label}.{k}.jpg`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property

Fields = Mapping[str, str]
_FIELD = re.compile(r"\{([^{}]+)\}")
_SUM = re.compile(r"^(\w+)\*(\d+)\+(\w+)$")


class Template:
    """A text made from fields. `{a*100+b}` is the only arithmetic; a single field may be written without braces."""

    def __init__(self, text: str) -> None:
        self.text = text if "{" in text else f"{{{text}}}"
        self._pieces = [(index % 2, piece) for index, piece in enumerate(_FIELD.split(self.text)) if piece]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of its fields."""
        names: list[str] = []
        for is_field, piece in self._pieces:
            if is_field:
                sum_match = _SUM.match(piece)
                names += [sum_match[1], sum_match[3]] if sum_match else [piece]
        return tuple(names)

    @property
    def single_field(self) -> str:
        """The field's name if the template is one field and nothing else; otherwise empty."""
        return self.names[0] if self.text == f"{{{self.names[0] if self.names else ''}}}" else ""

    def fill(self, fields: Fields) -> str:
        """The text for these fields. Raises KeyError for a missing field, ValueError for a sum of non-numbers."""
        return "".join(_value(piece, fields) if is_field else piece for is_field, piece in self._pieces)


def _value(field: str, fields: Fields) -> str:
    sum_match = _SUM.match(field)
    if sum_match and field not in fields:
        return str(int(fields[sum_match[1]]) * int(sum_match[2]) + int(fields[sum_match[3]]))
    return fields[field]


class PathPattern:
    """A file of the public folder, or of an archive in it (`archive!name`), whose name contains fields.

    `fixed` is the text after the `!`. An empty pattern is false and matches no file: such a file is not shown.
    """

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        before, bar, after = self.text.partition("!")
        self.archive = before if bar else ""
        self.fixed = after if bar else before
        self._template = Template(self.fixed) if "{" in self.text else None
        self._regex, self._groups = _compile(self.fixed)

    def __bool__(self) -> bool:
        return bool(self.text)

    def match(self, name: str) -> dict[str, str] | None:
        """The fields of a name that matches the pattern, else None."""
        match = self._regex.match(name)
        return {field: match[group] for field, group in self._groups.items()} if match else None

    def fill(self, fields: Fields) -> str:
        """The name for these fields."""
        return self._template.fill(fields) if self._template else self.fixed

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its fields, in order."""
        return tuple(self._groups)


def _compile(text: str) -> tuple[re.Pattern[str], dict[str, str]]:
    """A regular expression for the names, and its group for each field."""
    groups: dict[str, str] = {}
    pieces = []
    for index, piece in enumerate(_FIELD.split(text)):
        if index % 2 == 0:
            pieces.append(re.escape(piece))
        elif piece in groups:
            pieces.append(f"(?P={groups[piece]})")
        else:
            groups[piece] = f"f{len(groups)}"
            pieces.append(f"(?P<{groups[piece]}>[^/]+?)")
    return re.compile("".join(pieces) + r"\Z"), groups
