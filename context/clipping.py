"""Clipping: what the model sees of a long output, decided once, when the output is born.

The full text stays on disk; the clipped text says what was left out and where the rest is.
"""

from __future__ import annotations

import re

from context.tokens import bytes_for

HEAD_SHARE = 0.4
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def clean(raw: bytes) -> str:
    """Make bytes of a terminal readable: broken UTF-8 replaced, colours and control characters gone, of a progress
    bar redrawn with carriage returns only its last state."""
    text = _ANSI.sub("", raw.decode("utf-8", errors="replace")).replace("\r\n", "\n")
    if "\r" in text:
        text = "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))
    return _CONTROL.sub("�", text)


def collapse_repeats(text: str) -> str:
    """Replace runs of more than three equal lines by one of them and a count."""
    lines: list[str] = []
    run = 0
    for line in [*text.split("\n"), None]:
        if lines and line == lines[-1] and line:
            run += 1
            continue
        if run > 2:
            lines.append(f"[the line above {run} more times]")
        elif run:
            lines.extend([lines[-1]] * run)
        run = 0
        if line is not None:
            lines.append(line)
    return "\n".join(lines)


def clip(text: str, tokens: int, rest: str) -> str:
    """Keep head and tail of `text` within about `tokens`; `rest` says where the whole of it is.

    Cuts fall on line ends where there are any near; a text that fits is returned as it is.
    """
    limit = bytes_for(tokens)
    raw = text.encode()
    if len(raw) <= limit:
        return text
    head = raw[: int(limit * HEAD_SHARE)].decode(errors="ignore")
    tail = raw[-(limit - int(limit * HEAD_SHARE)) :].decode(errors="ignore")
    head = head[: head.rfind("\n") + 1] or head
    tail = tail[tail.find("\n") + 1 :] or tail
    left_out = len(raw) - len(head.encode()) - len(tail.encode())
    return f"{head.rstrip(chr(10))}\n[… {left_out} bytes left out; {rest} …]\n{tail}"


def clip_output(raw: bytes, total: int, tokens: int, rest: str) -> str:
    """What the model sees of a command's output: `raw` are the bytes at hand, `total` how many it wrote."""
    text = collapse_repeats(clean(raw)).rstrip("\n")
    if total > len(raw):
        text += f"\n[the output went on: {total} bytes in all]"
    return clip(text, tokens, rest)
