"""Names with fields in braces: ids such as `{sentence_id}_{token_id}`, files such as `train.zip!{label}.{k}.jpg`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property

Fields = Mapping[str, str]
_FIELD = re.compile(r"\{([^{}]+)\}")
_SUM = re.compile(r"^(\w+)\*(\d+)\+(\w+)$")


class Template:
    """A text made from fields. `{a*100+b}` is the one sum it knows; the braces may be left out around a lone field."""

    def __init__(self, text: str) -> None:
        self.text = text if "{" in text else f"{{{text}}}"
        self._parts = [(at % 2, part) for at, part in enumerate(_FIELD.split(self.text)) if part]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The fields it is made of."""
        found: list[str] = []
        for is_field, part in self._parts:
            if is_field:
                sum_of = _SUM.match(part)
                found += [sum_of[1], sum_of[3]] if sum_of else [part]
        return tuple(found)

    @property
    def single_field(self) -> str:
        """The field that it is, where it is nothing else; else empty."""
        return self.names[0] if self.text == f"{{{self.names[0] if self.names else ''}}}" else ""

    def fill(self, fields: Fields) -> str:
        """The text. Raises KeyError for a field that is not there, ValueError for a sum of no numbers."""
        return "".join(_value(part, fields) if is_field else part for is_field, part in self._parts)


def _value(part: str, fields: Fields) -> str:
    sum_of = _SUM.match(part)
    if sum_of and part not in fields:
        return str(int(fields[sum_of[1]]) * int(sum_of[2]) + int(fields[sum_of[3]]))
    return fields[part]


class PathPattern:
    """A file of public, or of an archive there (`archive!name`), named by fields; `name` is what stands after the `!`.

    An empty text is nowhere: the file is shown to nobody.
    """

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        before, bar, after = self.text.partition("!")
        self.archive = before if bar else ""
        self.name = Template(after if bar else before) if "{" in self.text else None
        self.fixed = after if bar else before
        self._regex, self._groups = _compiled(self.fixed)

    def __bool__(self) -> bool:
        return bool(self.text)

    def match(self, name: str) -> dict[str, str] | None:
        """The fields of a name that has this form, else None."""
        found = self._regex.match(name)
        return {field: found[group] for field, group in self._groups.items()} if found else None

    def fill(self, fields: Fields) -> str:
        """The name for these fields."""
        return self.name.fill(fields) if self.name else self.fixed

    @property
    def names(self) -> tuple[str, ...]:
        """The fields it is made of, in their order."""
        return tuple(self._groups)


def _compiled(text: str) -> tuple[re.Pattern[str], dict[str, str]]:
    groups: dict[str, str] = {}
    parts = []
    for at, part in enumerate(_FIELD.split(text)):
        if at % 2 == 0:
            parts.append(re.escape(part))
        elif part in groups:
            parts.append(f"(?P={groups[part]})")
        else:
            groups[part] = f"f{len(groups)}"
            parts.append(f"(?P<{groups[part]}>[^/]+?)")
    return re.compile("".join(parts) + r"\Z"), groups
