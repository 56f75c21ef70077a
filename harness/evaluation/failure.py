"""Names how a solution failed on other training rows, in one word that the model may read.

Its output there must not be shown: the command trains on labels that are held out from the agent. So only the name of a
common exception from a fixed list is shown: less than four bits, and only if the solution is not trusted because of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

NAMED = frozenset(
    (
        *("AssertionError", "AttributeError", "FileNotFoundError", "ImportError", "IndexError", "KeyError"),
        *("MemoryError", "ModuleNotFoundError", "NameError", "RuntimeError", "TypeError", "ValueError"),
    )
)
END_BYTES = 20_000
"""How much of the end of a log is searched."""
_RAISED = re.compile(rb"^([A-Za-z]\w{1,40})(?::|$)", re.MULTILINE)


def exception_type(logs: Sequence[Path]) -> str:
    """The exception that ended the last command that wrote one of these logs; empty for none or an unusual one."""
    try:
        with logs[-1].open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - END_BYTES))
            end = log.read()
    except (IndexError, OSError):
        return ""
    if b"Traceback (most recent call last)" not in end:
        return ""
    names = [name.decode() for name in _RAISED.findall(end.rpartition(b"Traceback (most recent call last)")[2])]
    return next((name for name in names if name in NAMED), "")
