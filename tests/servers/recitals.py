"""What the tiny models recite: a thought and a call in the syntax of each dialect, and plain words.

A recital is a chain of pieces of text, each a token of its own; the last token alone says which comes next. So no piece
stands in two places. The chat template ends a prompt with the selector of one recital: it finds `Recite NAME.` in the
messages, where NAME is a dialect, and takes the second call of that dialect after every other turn.
"""

from __future__ import annotations

from pathlib import Path

from tests.harness.dialect_texts import DIALECTS, THINKING

START, END = "<|begin|>", "<|stop|>"
WORDS = "<|s:words|>"
LOOK = ("bash", {"command": "cat notes.txt", "wait_seconds": 30})
WRITE = ("write_file", {"path": "notes.txt", "content": 'seen = {"a": [1, 2]}\nnext = "<b> & c"\n'})
_LEAKS = ("minimax_m3_outer_marks", "minimax_m3_no_marks", "deepseek_v4_ascii_bars", "deepseek_v4_double_bars")
PLAYED = tuple(name for name in DIALECTS if name not in _LEAKS)
"""The dialects whose recitals whole runs are made of; damaged forms are read in `test_dialects.py`."""
LONGEST_BYTES = 30
"""Longest piece; llama.cpp loses the text of longer tokens."""

_THOUGHTS = {
    "kimi_k3": "kimi_k3",
    "mistral": "bracket_think",
    "mistral_args": "bracket_think",
    "minimax_m3": "mm_think",
    "minimax_m2": "think_closed_only",
    "minimax_m3_outer_marks": "mm_think_closed_only",
}
"""The marks of thinking of a dialect; `<think>` for the others."""
_HARMONY = ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant")


def selector(name: str, call: int) -> str:
    """The token at the end of a prompt after which a recital follows."""
    return f"<|s:{name}:{call}|>"


def recitals(longest: int = LONGEST_BYTES) -> dict[str, list[str]]:
    """The pieces of each recital by its selector, of at most so many bytes; they end with `END`."""
    texts = {WORDS: "There is nothing new."}
    for name, write in DIALECTS.items():
        opened, closed = _HARMONY if name == "harmony" else THINKING[_THOUGHTS.get(name, "think")]
        for number, call in enumerate((LOOK, WRITE)):
            texts[selector(name, number)] = f"{opened}Call {number} of {name}.{closed}{write([call])}"
    taken: set[str] = set()
    return {name: [*_pieces(text, taken, longest), END] for name, text in texts.items()}


def _pieces(text: str, taken: set[str], longest: int) -> list[str]:
    """A text in pieces that are not `taken` yet; they are then."""
    split = _split(text, 0, taken, longest)
    assert split is not None, text
    taken.update(split)
    return split


def _split(text: str, at: int, taken: set[str], longest: int) -> list[str] | None:
    """The text from `at` on in pieces that are not taken; None if there is no such way."""
    if at == len(text):
        return []
    for size in (*range(longest // 2, longest + 1), *range(longest // 2 - 1, 0, -1)):
        piece = text[at : at + size]
        if len(piece) < size or piece in taken or len(piece.encode()) > longest:
            continue
        rest = _split(text, at + size, taken | {piece}, longest)
        if rest is not None:
            return [piece, *rest]
    return None


def template() -> str:
    """The chat template, with the names of the dialects."""
    text = Path(__file__).with_name("reciting_chat.jinja").read_text(encoding="utf-8")
    return text.replace("DIALECTS", repr(sorted(DIALECTS)))
