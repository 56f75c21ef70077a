"""Clipping: what the model sees of a long output, decided once, when the output is born.

The full text stays on disk. The clipped text keeps head and tail, rescues what matters from the middle (scores,
warnings, the last traceback), and says which lines were left out and where they are.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain

from context.tokens import bytes_for
from context.truncation.keep_lines import Line, Sieve, rescue

HEAD_SHARE = 0.4
RESCUE_SHARE = 0.35
"""How much of the room lines from the middle may take."""
LINE_BYTES = 2_000
"""A longer line is cut in its middle before anything else, so that one line cannot push out all others."""
HELD_BYTES = 1 << 16
"""Of a line that does not end, this much is held."""
BINARY_SHARE = 0.15
LOOKED_AT = 4096
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BAR = re.compile(r"^.{0,60}?\b\d{1,3}%\s?\|")


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines of a terminal's bytes, made readable, however long the whole is: one line is held at a time, and a
    very long one loses its middle."""
    held, cut = b"", 0
    for chunk in chunks:
        *whole, begun = chunk.split(b"\n")
        for line in whole:
            yield _readable(held + line, cut)
            held, cut = b"", 0
        held += begun
        if len(held) > HELD_BYTES:
            held, cut = _without_middle(held, cut)
    yield _readable(held, cut)


def file_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """`lines_of` a file: a line end at its end begins no further line."""
    held: str | None = None
    for line in lines_of(chunks):
        if held is not None:
            yield held
        held = line
    if held:
        yield held


def _without_middle(held: bytes, cut: int) -> tuple[bytes, int]:
    """The begun line, made short, and how many bytes of it are gone; what a redrawn line showed before just goes."""
    redrawn = held.rstrip(b"\r").rfind(b"\r")
    if redrawn >= 0:
        held, cut = held[redrawn + 1 :], 0
    if len(held) <= HELD_BYTES:
        return held, cut
    half = HELD_BYTES // 2
    return held[:half] + held[-half:], cut + len(held) - 2 * half


def _readable(raw: bytes, cut: int = 0) -> str:
    """One line made readable: broken UTF-8 replaced, colours and control characters gone, of a progress bar redrawn
    with carriage returns only its last state."""
    line = raw.decode("utf-8", errors="replace")
    if not line.isprintable():
        line = _CONTROL.sub("�", _ANSI.sub("", line).rstrip("\r").rsplit("\r", 1)[-1])
    return _shorten(line, LINE_BYTES, cut) if cut else line


def peek(chunks: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """What comes first, enough to tell whether it is text, and all pieces with it."""
    rest, first = iter(chunks), b""
    while len(first) < LOOKED_AT and (chunk := next(rest, b"")):
        first += chunk
    return first, chain([first], rest)


def is_binary(raw: bytes) -> bool:
    """Whether these bytes are no text: many control characters or broken UTF-8 in what comes first."""
    head = raw[:LOOKED_AT]
    if not head:
        return False
    text = _ANSI.sub("", head.decode("utf-8", errors="replace"))
    odd = sum(letter == "�" for letter in text[:-3]) + len(_CONTROL.findall(text))
    return odd > BINARY_SHARE * len(text)


def collapse_repeats(lines: Iterable[Line]) -> Iterator[Line]:
    """Runs of more than three equal lines become one of them and a count; of lines of a progress bar, the last stays.

    The numbers stay those of the whole text.
    """
    held: Line | None = None
    run = 0
    for number, line in lines:
        if held and line and line == held[1]:
            run += 1
            continue
        if held and (run or not (_is_bar(line) and _is_bar(held[1]))):
            yield held
            yield from _repeats(held, run)
        held, run = (number, line), 0
    if held:
        yield held
        yield from _repeats(held, run)


def _is_bar(line: str) -> bool:
    return "%" in line and _BAR.match(line) is not None


def _repeats(line: Line, run: int) -> Iterator[Line]:
    number, text = line
    if run > 2:
        yield number + run, f"[the line above {run} more times]"
    else:
        yield from ((number + place, text) for place in range(1, run + 1))


def truncate(text: str, tokens: int, rest: str, first: int = 1) -> str:
    """Keep head and tail of `text` within about `tokens`, and what matters of the middle; `rest` says where the whole
    of it is, `first` which line of that whole `text` begins with.

    A text that fits is returned as it is.
    """
    return _clip(enumerate(text.split("\n"), first), bytes_for(tokens), rest)


def truncate_lines(lines: Iterable[Line], tokens: int, rest: str) -> str:
    """`clip` for lines that need not all be held; each comes with its number."""
    return _clip(lines, bytes_for(tokens), rest)


def truncate_output(raw: bytes | Iterable[bytes], total: int, tokens: int, rest: str) -> str:
    """What the model sees of a command's output: `raw` are the bytes at hand, whole or piece by piece, of which only
    what may be shown is held; `total` is how many it wrote."""
    limit = bytes_for(tokens)
    first, chunks = peek([raw] if isinstance(raw, bytes) else raw)
    if is_binary(first):
        shown = first[: min(64, limit // 4)].hex(" ", 4)
        return f"[binary data, {total} bytes; {rest}; it begins with {shown}]"
    return _clip(_output_lines(chunks, total), limit, rest)


def _output_lines(chunks: Iterable[bytes], total: int) -> Iterator[Line]:
    """The lines of an output, empty ones at its end left out; the last says so where more was written than is there."""
    seen = 0

    def counted() -> Iterator[bytes]:
        nonlocal seen
        for chunk in chunks:
            seen += len(chunk)
            yield chunk

    last = 0
    for number, line in collapse_repeats(_without_empty_end(enumerate(lines_of(counted()), 1))):
        last = number
        yield number, line
    if total > seen:
        yield last + 1, f"[the output went on: {total} bytes in all]"


def _without_empty_end(lines: Iterable[Line]) -> Iterator[Line]:
    last = 0
    for number, line in lines:
        if line:
            yield from ((at, "") for at in range(last + 1, number))
            yield number, line
            last = number
    if not last:
        yield 1, ""


# --------------------------------------------------------------------------------------------------- head, middle, tail


class _Parts:
    """A text too long to be shown, taken line by line: as much of its head and its tail as could be shown, and of the
    lines between them those that may be rescued."""

    def __init__(self, lines: Iterator[Line], limit: int) -> None:
        self._limit = limit
        self._head: list[Line] = []
        self._tail: deque[Line] = deque()
        self._between = Sieve()
        room = int(limit * HEAD_SHARE)
        self._take_tail(self._take_head(lines, room), limit - room)

    def _take_head(self, lines: Iterator[Line], room: int) -> Iterator[Line]:
        for line in lines:
            if (room := room - _size(line[1])) < 0:
                return chain([line], lines)
            self._head.append(line)
            self._between.follow(line)
        return lines

    def _take_tail(self, lines: Iterator[Line], room: int) -> None:
        for line in lines:
            self._tail.append(line)
            room -= _size(line[1])
            while room < 0:
                gone = self._tail.popleft()
                self._between.add(gone)
                room += _size(gone[1])

    def text(self, rest: str) -> str:
        """The text as it is shown."""
        most = int(self._limit * RESCUE_SHARE)
        # What is rescued is found first, since it decides how much room head and tail have.
        kept = rescue(self._left_out(*self._shown(self._limit - most)), most)
        used = sum(_size(f"{number}: {line}") for number, line in kept)
        begin, end = self._shown(self._limit - used)
        first = self._head[begin][0] if begin < len(self._head) else self._between.first
        last = self._tail[end - 1][0] if end > 0 else self._between.last
        size = self._between.size + sum(_size(line) for _, line in [*self._head[begin:], *list(self._tail)[:end]])
        kept = [(number, line) for number, line in kept if first <= number <= last]
        shown = [line for _, line in self._head[:begin]]
        shown += _notice(first, last, size, kept, rest)
        return "\n".join([*shown, *(line for _, line in list(self._tail)[end:])])

    def _left_out(self, begin: int, end: int) -> list[Line]:
        return [*self._head[begin:], *self._between.lines(), *list(self._tail)[:end]]

    def _shown(self, room: int) -> tuple[int, int]:
        """Before which line of the head, and after which of the tail, the middle lies when both may take `room`."""
        begin, left = 0, int(room * HEAD_SHARE)
        while begin < len(self._head) and (left := left - _size(self._head[begin][1])) >= 0:
            begin += 1
        end, left = len(self._tail), room - int(room * HEAD_SHARE)
        while end > 0 and (left := left - _size(self._tail[end - 1][1])) >= 0:
            end -= 1
        return begin, end


def _clip(lines: Iterable[Line], limit: int, rest: str) -> str:
    lines = iter(lines)
    taken, is_all = _take(lines, limit)
    if is_all:
        return "\n".join(line for _, line in taken)
    longest = max(80, min(LINE_BYTES, limit // 3))
    short = ((number, _shorten(line, longest)) for number, line in chain(taken, lines))
    taken, is_all = _take(short, limit)
    if is_all:
        return "\n".join(line for _, line in taken)
    return _Parts(chain(taken, short), limit).text(rest)


def _take(lines: Iterator[Line], limit: int) -> tuple[list[Line], bool]:
    """Lines until they are more than `limit` bytes, and whether these are all."""
    taken, size = [], -1
    for line in lines:
        taken.append(line)
        size += _size(line[1])
        if size > limit:
            return taken, False
    return taken, True


def _notice(first: int, last: int, size: int, kept: list[Line], rest: str) -> list[str]:
    span = f"lines {first} to {last}"
    if not kept:
        return [f"[… {span}, {size} bytes left out; {rest} …]"]
    head = f"[… {span}, {size} bytes left out; {rest}; from them, with line numbers:"
    return [head, *(f"{number}: {line}" for number, line in kept), "…]"]


def _shorten(line: str, most: int, cut: int = 0) -> str:
    """A line without its middle where it is longer than `most`, or where `cut` bytes of its middle are gone already."""
    raw = line.encode()
    if len(raw) <= most and not cut:
        return line
    head, tail = raw[: most // 2].decode(errors="ignore"), raw[-(most // 3) :].decode(errors="ignore")
    return f"{head}[… {len(raw) + cut - len(head.encode()) - len(tail.encode())} bytes …]{tail}"


def _size(line: str) -> int:
    return (len(line) if line.isascii() else len(line.encode())) + 1
