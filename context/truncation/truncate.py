"""Truncation: what the model sees of a long output, decided once, when the output is recorded.

The full text stays on disk. The model sees head, tail, and the lines of the middle that matter (scores, warnings, the
last traceback). A notice has the line numbers left out, and where the whole text is.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain

from context.tokens import bytes_for
from context.truncation.keep_lines import KeptLines, Line, SkippedLines, choose_lines, is_table, size_of

HEAD_SHARE = 0.4
MIDDLE_SHARE = 0.35
"""The most of the room that lines from the middle may take."""
LINE_BYTES = 2_000
"""Longer lines lose their middle first, so that one line cannot displace all others."""
HELD_BYTES = 1 << 16
"""Bytes held of a line that does not end."""
BINARY_SHARE = 0.15
PEEK_BYTES = 4096
READ_LINES = 200_000
"""Lines that are read one by one. Of a longer output only the end is read as well, so that time stays bounded."""
END_BYTES = 1 << 18
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_PROGRESS_BAR = re.compile(r"^.{0,60}?\b\d{1,3}%\s?\|")


def truncate(text: str, tokens: int, rest: str, first: int = 1) -> str:
    """Shorten `text` to about `tokens`; a text that fits is returned unchanged.

    `rest` says where the whole text is, `first` is the line number of the first line of `text`.
    """
    return _truncate(enumerate(text.split("\n"), first), bytes_for(tokens), rest)


def truncate_lines(lines: Iterable[Line], tokens: int, rest: str, is_log: bool = True) -> str:
    """`truncate` for a stream of numbered lines, of which only those that may be shown are held. Lines of the middle
    are kept of a log only."""
    return _truncate(lines, bytes_for(tokens), rest, is_log)


def first_lines(lines: Iterable[Line], tokens: int) -> list[Line]:
    """The first lines that fit into `tokens`, as `head` would show them; at least one, shortened where it is long."""
    limit = bytes_for(tokens)
    shown: list[Line] = []
    for number, line in lines:
        line = _shorten(line, min(LINE_BYTES, limit))
        limit -= size_of(line)
        if limit < 0 and shown:
            break
        shown.append((number, line))
    return shown


def truncate_output(raw: bytes | Iterable[bytes], total: int, tokens: int, rest: str) -> str:
    """What the model sees of a command's output.

    `raw` is the recorded output, whole or in pieces; `total` is the number of bytes the command wrote.
    """
    limit = bytes_for(tokens)
    first, chunks = peek([raw] if isinstance(raw, bytes) else raw)
    if is_binary(first):
        shown = first[: min(64, limit // 4)].hex(" ", 4)
        return f"[binary data, {total} bytes; {rest}; it begins with {shown}]"
    return _truncate(_output_lines(chunks, total), limit, rest)


# ------------------------------------------------------------------------------------------------ from bytes to lines


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """The readable lines of a terminal's bytes. One line is held at a time; a very long one loses its middle."""
    held, dropped = b"", 0
    for chunk in chunks:
        *complete, rest = chunk.split(b"\n")
        for line in complete:
            yield _make_readable(held + line, dropped)
            held, dropped = b"", 0
        held += rest
        if len(held) > HELD_BYTES:
            held, dropped = _drop_middle(held, dropped)
    yield _make_readable(held, dropped)


def numbered_lines(chunks: Iterable[bytes]) -> Iterator[Line]:
    """`lines_of` with their numbers; of a long output the lines between `READ_LINES` and the end are only counted."""
    pieces, after = _pieces(chunks), deque[bytes]()
    number = 0
    for number, line in enumerate(lines_of(_first_lines(pieces, after)), 1):
        yield number, line
    if not after:
        return
    count = size = 0
    held = sum(map(len, after))
    for piece in pieces:
        after.append(piece)
        held += len(piece)
        while held - len(after[0]) >= END_BYTES:
            oldest = after.popleft()
            held -= len(oldest)
            size += len(oldest)
            count += oldest.count(b"\n")
    end = b"".join(after)
    if size:
        start = end.find(b"\n") + 1
        end, size, count = end[start:], size + start, count + (start > 0)
        if count:
            skipped = SkippedLines(f"[{count} lines not searched]")
            skipped.lines, skipped.size = count, size
            number += count
            yield number, skipped
    yield from enumerate(lines_of([end]), number + 1)


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield from (chunk[start : start + HELD_BYTES] for start in range(0, len(chunk), HELD_BYTES))


def _first_lines(pieces: Iterator[bytes], after: deque[bytes]) -> Iterator[bytes]:
    """The pieces up to about `READ_LINES` line ends, without the last line end; what follows it goes into `after`."""
    count = 0
    for piece in pieces:
        count += piece.count(b"\n")
        if count >= READ_LINES:
            end = piece.rfind(b"\n")
            after.append(piece[end + 1 :])
            yield piece[:end]
            return
        yield piece


def file_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """`lines_of` a file: a line end at its end starts no further line."""
    held: str | None = None
    for line in lines_of(chunks):
        if held is not None:
            yield held
        held = line
    if held:
        yield held


def peek(chunks: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes, enough for `is_binary`, and an iterator over everything."""
    rest, first = iter(chunks), b""
    while len(first) < PEEK_BYTES and (chunk := next(rest, b"")):
        first += chunk
    return first, chain([first], rest)


def is_binary(raw: bytes) -> bool:
    """Whether the first bytes are not text: many control characters or much broken UTF-8."""
    head = raw[:PEEK_BYTES]
    if not head:
        return False
    text = _ANSI.sub("", head.decode("utf-8", errors="replace"))
    odd = sum(character == "�" for character in text[:-3]) + len(_CONTROL.findall(text))
    return odd > BINARY_SHARE * len(text)


def collapse_repeats(lines: Iterable[Line]) -> Iterator[Line]:
    """Replace runs of more than three equal lines by one and a count, and a progress bar by its last line.

    Line numbers stay those of the whole text.
    """
    held: Line | None = None
    run = 0
    for number, line in lines:
        if held and line and line == held[1]:
            run += 1
            continue
        if held and (run or not (_is_progress(line) and _is_progress(held[1]))):
            yield held
            yield from _repeats(held, run)
        held, run = (number, line), 0
    if held:
        yield held
        yield from _repeats(held, run)


def _repeats(line: Line, run: int) -> Iterator[Line]:
    number, text = line
    if run > 2:
        yield number + run, f"[the line above {run} more times]"
    else:
        yield from ((number + offset, text) for offset in range(1, run + 1))


def _is_progress(line: str) -> bool:
    return "%" in line and _PROGRESS_BAR.match(line) is not None


def _drop_middle(held: bytes, dropped: int) -> tuple[bytes, int]:
    """Shorten an unfinished line; returns it with the bytes dropped so far. Overwritten text is not counted."""
    redrawn = held.rstrip(b"\r").rfind(b"\r")
    if redrawn >= 0:
        held, dropped = held[redrawn + 1 :], 0
    if len(held) <= HELD_BYTES:
        return held, dropped
    half = HELD_BYTES // 2
    return held[:half] + held[-half:], dropped + len(held) - 2 * half


def _make_readable(raw: bytes, dropped: int = 0) -> str:
    """One line without colours and control characters; of a line redrawn with carriage returns the last state."""
    line = raw.decode("utf-8", errors="replace")
    if not line.isprintable():
        line = _CONTROL.sub("�", _ANSI.sub("", line).rstrip("\r").rsplit("\r", 1)[-1])
    return _shorten(line, LINE_BYTES, dropped) if dropped else line


def _output_lines(chunks: Iterable[bytes], total: int) -> Iterator[Line]:
    """The lines of an output without empty ones at its end; a last line says if more was written than recorded."""
    seen = 0

    def count_bytes() -> Iterator[bytes]:
        nonlocal seen
        for chunk in chunks:
            seen += len(chunk)
            yield chunk

    last = 0
    for number, line in collapse_repeats(_strip_empty_end(numbered_lines(count_bytes()))):
        last = number
        yield number, line
    if total > seen:
        yield last + 1, f"[the rest of the output was not recorded: {total} bytes in all]"


def _strip_empty_end(lines: Iterable[Line]) -> Iterator[Line]:
    empty, is_empty = 0, True
    for number, line in lines:
        if not line:
            empty += 1
            continue
        yield from ((number - back, "") for back in range(empty, 0, -1))
        yield number, line
        empty, is_empty = 0, False
    if is_empty:
        yield 1, ""


# --------------------------------------------------------------------------------------------------- head, middle, tail


class _LongText:
    """A text too long to show, taken line by line. Holds the largest head and tail that could be shown, and the lines
    between them that might be kept."""

    def __init__(self, lines: Iterator[Line], limit: int, is_log: bool = True) -> None:
        self._limit, self._is_log = limit, is_log
        self._head: list[Line] = []
        self._tail: deque[Line] = deque()
        self._between = KeptLines()
        room = int(limit * HEAD_SHARE)
        self._take_tail(self._take_head(lines, room), limit - room)

    def _take_head(self, lines: Iterator[Line], room: int) -> Iterator[Line]:
        for line in lines:
            if (room := room - size_of(line[1])) < 0:
                return chain([line], lines)
            self._head.append(line)
            self._between.follow(line)
        return lines

    def _take_tail(self, lines: Iterator[Line], room: int) -> None:
        for line in lines:
            self._tail.append(line)
            room -= size_of(line[1])
            while room < 0:
                oldest = self._tail.popleft()
                self._between.add(oldest)
                room += size_of(oldest[1])

    def render(self, rest: str) -> str:
        """The text as it is shown."""
        most = int(self._limit * MIDDLE_SHARE) if self._is_log and not is_table(self._head) else 0
        # Lines of the middle are chosen first: they decide how much room head and tail have.
        kept = choose_lines(self._left_out(*self._cut_at(self._limit - most)), most)
        used = sum(size_of(f"{number}: {line}") for number, line in kept)
        begin, end = self._cut_at(self._limit - used)
        first = self._head[begin][0] if begin < len(self._head) else self._between.first
        last = self._tail[end - 1][0] if end > 0 else self._between.last
        size = self._between.size + sum(size_of(line) for _, line in [*self._head[begin:], *list(self._tail)[:end]])
        kept = [(number, line) for number, line in kept if first <= number <= last]
        shown = [line for _, line in self._head[:begin]]
        shown += _render_middle(first, last, size, kept, rest)
        return "\n".join([*shown, *(line for _, line in list(self._tail)[end:])])

    def _left_out(self, begin: int, end: int) -> list[Line]:
        return [*self._head[begin:], *self._between.lines(), *list(self._tail)[:end]]

    def _cut_at(self, room: int) -> tuple[int, int]:
        """How many lines of the head, and from which line of the tail on, are shown within `room` bytes."""
        begin, left = 0, int(room * HEAD_SHARE)
        while begin < len(self._head) and (left := left - size_of(self._head[begin][1])) >= 0:
            begin += 1
        end, left = len(self._tail), room - int(room * HEAD_SHARE)
        while end > 0 and (left := left - size_of(self._tail[end - 1][1])) >= 0:
            end -= 1
        return begin, end


def _truncate(lines: Iterable[Line], limit: int, rest: str, is_log: bool = True) -> str:
    lines = iter(lines)
    taken, is_all = _take(lines, limit)
    if is_all:
        return "\n".join(line for _, line in taken)
    longest = max(80, min(LINE_BYTES, limit // 3))
    short = ((number, _shorten(line, longest)) for number, line in chain(taken, lines))
    taken, is_all = _take(short, limit)
    if is_all:
        return "\n".join(line for _, line in taken)
    return _LongText(chain(taken, short), limit, is_log).render(rest)


def _take(lines: Iterator[Line], limit: int) -> tuple[list[Line], bool]:
    """Lines until they exceed `limit` bytes, and whether these are all."""
    taken, size = [], -1
    for line in lines:
        taken.append(line)
        size += size_of(line[1])
        if size > limit:
            return taken, False
    return taken, True


def _render_middle(first: int, last: int, size: int, kept: list[Line], rest: str) -> list[str]:
    notice = f"[… lines {first} to {last}, {size} bytes left out; {rest}"
    if not kept:
        return [f"{notice} …]"]
    return [f"{notice}; kept lines, numbered:", *(f"{number}: {line}" for number, line in kept), "…]"]


def _shorten(line: str, most: int, dropped: int = 0) -> str:
    """A line without its middle if it is longer than `most` bytes or `dropped` bytes of its middle are gone already."""
    raw = line.encode()
    if len(raw) <= most and not dropped:
        return line
    head, tail = raw[: most // 2].decode(errors="ignore"), raw[-(most // 3) :].decode(errors="ignore")
    return f"{head}[… {len(raw) + dropped - len(head.encode()) - len(tail.encode())} bytes …]{tail}"
