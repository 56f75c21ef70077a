"""Decode the bytes of a text file: UTF-8, wide characters with a mark, or Windows-1252 as a guess that is told."""

from __future__ import annotations

import codecs
import re

from tasks.errors import TaskError
from tasks.io.csv_text import BOM
from tasks.new_task.request import Findings

WIDE = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Encodings of wide characters by their byte order mark, the longer ones first. Excel calls UTF-16 Unicode text."""
_CLOSING = rb"\x85\x92-\x97\xa0\xb0\xbb"
"""Quotation marks, dashes, a fixed space and ° of Windows-1252, which may follow a letter such as É or ß."""
_MULTIBYTE = re.compile(
    rb"\xc3[\x80-\xbf]|[\xc4-\xdf](?![%b])[\x80-\xbf]|[\xe1-\xef](?![%b])[\x80-\xbf]{2}" % (_CLOSING, _CLOSING)
)
"""What letters outside of ASCII look like in UTF-8."""
_LETTERS, _RUN = re.compile(rb"[\xc0-\xff]+"), 3
"""Western texts have letters such as é one by one; runs of as many bytes belong to another alphabet."""


def decode_text(data: bytes, shown: str, findings: Findings) -> str:
    """The text of a file without a mark; `shown` names it in messages. Raises TaskError for an unknown encoding."""
    if wide := next((encoding for mark, encoding in WIDE.items() if data.startswith(mark)), ""):
        try:
            return data.decode(wide)
        except UnicodeDecodeError:
            raise TaskError(f"{shown}: begins as {wide.upper()} text, and is damaged. Save it again as CSV.") from None
    try:
        return data.decode("utf-8").removeprefix(BOM)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    if data.startswith(codecs.BOM_UTF8) or _MULTIBYTE.search(data):
        raise TaskError(
            f"{shown}: line {line} is not UTF-8 text, though other lines are: the file mixes encodings, and converting "
            "all of it would damage the rest. Save the sources in UTF-8 before they are joined, or fix these lines."
        )
    return _decode_western(data, shown, line, findings)


def _decode_western(data: bytes, shown: str, line: int, findings: Findings) -> str:
    runs = [len(run) for run in _LETTERS.findall(data)]
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    if not text or sum(length for length in runs if length >= _RUN) > sum(runs) / 2:
        raise TaskError(
            f"{shown}: line {line} is neither UTF-8 nor Western text. Convert the file with its encoding, for example "
            "`iconv -f CP1251 -t UTF-8`, or save it as UTF-8."
        )
    word = re.search(r"\w*[^\x00-\x7f]\w*", text)
    example = f", as in {word[0][:40]!r}" if word else ""
    findings.guesses.append(
        f"{shown} is Windows-1252 (Latin-1) text{example} (if letters are wrong, convert it to UTF-8 from its encoding)"
    )
    return text
