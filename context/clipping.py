"""Clipping: what the model sees of a long output, decided once, when the output is born.

The full text stays on disk. The clipped text keeps head and tail, rescues what matters from the middle (scores,
warnings, the last traceback), and says which lines were left out and where they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from context.rescue import rescue
from context.tokens import bytes_for

HEAD_SHARE = 0.4
RESCUE_SHARE = 0.35
"""How much of the room lines from the middle may take."""
LINE_BYTES = 2_000
"""A longer line is cut in its middle before anything else, so that one line cannot push out all others."""
BINARY_SHARE = 0.15
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BAR = re.compile(r"^.{0,60}?\b\d{1,3}%\s?\|")

Line = tuple[int, str]
"""A line and its number (from 1) in the whole text, before repeats were collapsed."""


def clean(raw: bytes) -> str:
    """Make bytes of a terminal readable: broken UTF-8 replaced, colours and control characters gone, of a progress
    bar redrawn with carriage returns only its last state."""
    text = _ANSI.sub("", raw.decode("utf-8", errors="replace")).replace("\r\n", "\n")
    if "\r" in text:
        text = "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))
    return _CONTROL.sub("�", text)


def is_binary(raw: bytes) -> bool:
    """Whether these bytes are no text: many control characters or broken UTF-8 in what comes first."""
    head = raw[:4096]
    if not head:
        return False
    text = _ANSI.sub("", head.decode("utf-8", errors="replace"))
    odd = sum(letter == "�" for letter in text[:-3]) + len(_CONTROL.findall(text))
    return odd > BINARY_SHARE * len(text)


def collapse_repeats(text: str) -> str:
    """Replace runs of more than three equal lines by one of them and a count; of lines of a progress bar, keep the
    last."""
    return "\n".join(line for _, line in _collapsed(text))


def _collapsed(text: str) -> list[Line]:
    lines: list[Line] = []
    run = 0
    for number, line in enumerate([*text.split("\n"), None], 1):
        last = lines[-1][1] if lines else None
        if line and line == last:
            run += 1
            continue
        if run > 2:
            lines.append((number - 1, f"[the line above {run} more times]"))
        elif run:
            lines += [(number - run + place, last or "") for place in range(run)]
        run = 0
        if line is not None and last and _BAR.match(line) and _BAR.match(last):
            lines[-1] = (number, line)
        elif line is not None:
            lines.append((number, line))
    return lines


def clip(text: str, tokens: int, rest: str, first: int = 1) -> str:
    """Keep head and tail of `text` within about `tokens`, and what matters of the middle; `rest` says where the whole
    of it is, `first` which line of that whole `text` begins with.

    A text that fits is returned as it is.
    """
    return _clip(list(enumerate(text.split("\n"), first)), bytes_for(tokens), rest)


def clip_output(raw: bytes, total: int, tokens: int, rest: str) -> str:
    """What the model sees of a command's output: `raw` are the bytes at hand, `total` how many it wrote."""
    limit = bytes_for(tokens)
    if is_binary(raw):
        shown = raw[: min(64, limit // 4)].hex(" ", 4)
        return f"[binary data, {total} bytes; {rest}; it begins with {shown}]"
    lines = _collapsed(clean(raw).rstrip("\n"))
    if total > len(raw):
        lines.append((lines[-1][0] + 1, f"[the output went on: {total} bytes in all]"))
    return _clip(lines, limit, rest)


def _clip(lines: Sequence[Line], limit: int, rest: str) -> str:
    whole = "\n".join(line for _, line in lines)
    size = len(whole.encode())
    if size <= limit:
        return whole
    longest = max(80, min(LINE_BYTES, limit // 3))
    lines = [(number, _shorten(line, longest)) for number, line in lines]
    if sum(_size(line) for _, line in lines) <= limit:
        return "\n".join(line for _, line in lines)
    # What is rescued is found first, since it decides how much room head and tail have.
    room = limit - int(limit * RESCUE_SHARE)
    begin, end = _middle(lines, room)
    kept = rescue(lines[begin:end], int(limit * RESCUE_SHARE))
    used = sum(_size(f"{number}: {line}") for number, line in kept)
    begin, end = _middle(lines, limit - used)
    kept = [(number, line) for number, line in kept if lines[begin][0] <= number <= lines[end - 1][0]]
    head, tail = lines[:begin], lines[end:]
    notice = _notice(lines, begin, end, kept, rest)
    return "\n".join([*(line for _, line in head), *notice, *(line for _, line in tail)])


def _middle(lines: Sequence[Line], room: int) -> tuple[int, int]:
    """Where the middle begins and ends that is left out when head and tail may take `room` bytes."""
    begin, left = 0, int(room * HEAD_SHARE)
    while begin < len(lines) - 1 and (left := left - _size(lines[begin][1])) >= 0:
        begin += 1
    end, left = len(lines), room - int(room * HEAD_SHARE)
    while end > begin + 1 and (left := left - _size(lines[end - 1][1])) >= 0:
        end -= 1
    return begin, end


def _notice(lines: Sequence[Line], begin: int, end: int, kept: Sequence[Line], rest: str) -> list[str]:
    left_out = sum(_size(line) for _, line in lines[begin:end])
    span = f"lines {lines[begin][0]} to {lines[end - 1][0]}"
    if not kept:
        return [f"[… {span}, {left_out} bytes left out; {rest} …]"]
    head = f"[… {span}, {left_out} bytes left out; {rest}; from them, with line numbers:"
    return [head, *(f"{number}: {line}" for number, line in kept), "…]"]


def _shorten(line: str, most: int) -> str:
    raw = line.encode()
    if len(raw) <= most:
        return line
    head, tail = raw[: most // 2].decode(errors="ignore"), raw[-(most // 3) :].decode(errors="ignore")
    return f"{head}[… {len(raw) - len(head.encode()) - len(tail.encode())} bytes …]{tail}"


def _size(line: str) -> int:
    return len(line.encode()) + 1
