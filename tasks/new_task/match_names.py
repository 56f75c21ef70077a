"""Match names that mean the same: other spellings (`Class 1`, `class_1`), or with words that all names share."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import takewhile

_NUMBER = re.compile(r"[-+]?\d{1,30}(\.\d{0,30})?")
_BETWEEN_WORDS = re.compile(r"""[\s_:;,/\\()\[\]{}'"`]|\.(?!\d)|(?<!\d)\.|-(?!\d)|(?<=[^\W_])-""")
_IN_NUMBER = re.compile(r"[\d.+-]\d|\d\.")


def plain(name: str) -> str:
    """A name without case, spaces and signs between words; a number as it is counted (`1.0` and `01` are `1`).

    Signs that may tell two names apart stay: `A+`, `<5`, `1.5`, `class -1`.
    """
    if _NUMBER.fullmatch(name.strip()):
        number = Decimal(name.strip())
        return str(int(number)) if number == int(number) else str(number.normalize())
    return _BETWEEN_WORDS.sub("", name.casefold())


def same_name(name: str, names: Sequence[str]) -> str | None:
    """The one of `names` that is this name, or the only one in another spelling; None without one."""
    if name in names:
        return name
    wanted = plain(name)
    same = [one for one in names if plain(one) == wanted]
    return same[0] if len(same) == 1 else None


def match_names(wanted: Sequence[str], names: Sequence[str], affixes: bool = True) -> dict[str, str]:
    """A different name for each wanted one; empty if one of them has none.

    `affixes`: all names may have the same words before or behind the wanted ones, as `Status_C` and `Status_D` have.
    """
    spellings: tuple[Callable[[str], str], ...] = (str, plain)
    for spell in spellings:
        keys = [spell(name) for name in names]
        texts = {one: spell(one) for one in wanted}
        if len(set(keys)) < len(keys) or len(set(texts.values())) < len(texts):
            continue
        before = _count_shared(keys) if affixes else 0
        behind = _count_shared([key[::-1] for key in keys]) if affixes else 0
        for start in range(before + 1):
            for end in range(behind + 1):
                if any(_cuts_number(key, start) or _cuts_number(key, len(key) - end) for key in keys):
                    continue
                found = {key[start : len(key) - end]: name for key, name in zip(keys, names, strict=True)}
                if all(text in found for text in texts.values()):
                    return {one: found[text] for one, text in texts.items()}
    return {}


def _cuts_number(text: str, place: int) -> bool:
    """Whether a cut there divides a number, as `class_1|0`."""
    return 0 < place < len(text) and _IN_NUMBER.fullmatch(text[place - 1 : place + 1]) is not None


def _count_shared(texts: Sequence[str]) -> int:
    """How many characters at their start are the same in all texts."""
    return len(list(takewhile(lambda letters: len(set(letters)) == 1, zip(*texts, strict=False))))
