"""What the model sees of long and untidy output."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from context.tokens import bytes_for
from context.truncation.truncate import collapse_repeats, file_lines, lines_of, truncate, truncate_output

LINES = [
    *(b"", b"row", b"row of a table, and a longer one", b"fold 1 auc 0.91", b"loss: 0.3", b"  indented"),
    *(b"Traceback (most recent call last):", b'  File "a.py"', b"ValueError: x", b"UserWarning: y", b" 10%| | 1/9"),
    b"\x1b[31mred\x1b[0m" * 20,
]


def collapsed(text: str) -> str:
    return "\n".join(line for _, line in collapse_repeats(enumerate(text.split("\n"), 1)))


def test_a_short_output_is_shown_as_it_is() -> None:
    assert truncate_output(b"accuracy 0.93\n", 14, 100, "all of it: log") == "accuracy 0.93"


def test_a_long_output_keeps_its_head_and_tail_and_says_where_the_rest_is() -> None:
    raw = "\n".join(f"line {number}" for number in range(10_000)).encode()
    seen = truncate_output(raw, len(raw), 200, "all of it: .jobs/1/log")
    assert seen.startswith("line 0\n")
    assert seen.endswith("line 9999")
    assert "bytes left out; all of it: .jobs/1/log" in seen
    assert len(seen.encode()) < bytes_for(200) + 100


def test_of_a_progress_bar_only_the_last_state_is_seen() -> None:
    assert list(lines_of([b"10%\r50%\r100%\ndone\r\n"])) == ["100%", "done", ""]
    assert list(file_lines([b"10%\r50%", b"\r100%\ndo", b"ne\r\n"])) == ["100%", "done"]


def test_colours_and_control_characters_are_gone_and_broken_text_is_safe() -> None:
    assert list(lines_of([b"\x1b[31mred\x1b[0m \xff\x00"])) == ["red ��"]


def test_equal_lines_are_counted_instead_of_repeated() -> None:
    assert collapsed("a\n" + "warning\n" * 50 + "b") == "a\nwarning\n[the line above 49 more times]\nb"
    assert collapsed("x\nx\nx\ny") == "x\nx\nx\ny"


def test_an_output_cut_on_disk_says_how_much_there_was() -> None:
    assert "1000000 bytes in all" in truncate_output(b"abc", 1_000_000, 100, "")


def pieces(total: int) -> Iterator[bytes]:
    """A long log as it is read from disk: rows, scores between them, and lines that break in two."""
    row = 0
    while total > 0:
        rows = range(row, row := row + 4_000)
        text = "\n".join(f"epoch {n} loss 0.{n}" if n % 997 == 0 else f"{n} of many rows of a table" for n in rows)
        yield text.encode()
        yield b" and so on\n"
        total -= len(text)


def test_of_megabytes_only_what_may_be_shown_is_ever_held() -> None:
    tracemalloc.start()
    try:
        seen = truncate_output(pieces(4_000_000), 4_000_000, 2_000, "all of it: .jobs/1/log")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_500_000
    assert "epoch 0 loss 0.0" in seen
    assert "epoch 128613 loss 0.128613" in seen
    assert "bytes left out; all of it: .jobs/1/log" in seen


def test_one_line_of_twenty_megabytes_is_not_held_either() -> None:
    tracemalloc.start()
    try:
        seen = truncate_output((b"x" * 250_000 for _ in range(80)), 20_000_000, 2_000, "rest")
        bar = truncate_output((b"\r%d of 80" % n * 20_000 for n in range(81)), 20_000_000, 2_000, "rest")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_500_000
    assert "[… 19998334 bytes …]" in seen
    assert bar.startswith("80 of 80")


@given(st.lists(st.sampled_from(LINES), max_size=400), st.integers(1, 200), st.integers(20, 400))
def test_an_output_reads_the_same_in_whatever_pieces_it_comes(lines: list[bytes], size: int, tokens: int) -> None:
    raw = b"\n".join(lines)
    cut = [raw[at : at + size] for at in range(0, len(raw), size)]
    assert truncate_output(iter(cut), len(raw), tokens, "rest") == truncate_output(raw, len(raw), tokens, "rest")


@given(st.binary(max_size=5000), st.integers(10, 300))
def test_any_bytes_can_be_shown_within_the_limit(raw: bytes, tokens: int) -> None:
    seen = truncate_output(raw, len(raw), tokens, "rest")
    seen.encode()
    assert len(seen.encode()) <= bytes_for(tokens) + 60


@given(st.text(max_size=2000), st.integers(5, 100))
def test_clipping_twice_changes_no_more_than_once_where_it_fits(text: str, tokens: int) -> None:
    if len(text.encode()) <= bytes_for(tokens):
        assert truncate(text, tokens, "rest") == text


def middle(*lines: str) -> str:
    """What is seen of an output that has these lines in the middle of thousands."""
    around = [f"row {number} of the table" for number in range(3_000)]
    raw = "\n".join([*around, *lines, *around]).encode()
    return truncate_output(raw, len(raw), 400, "all of it: .jobs/1/log")


def test_scores_and_warnings_are_rescued_from_the_middle_with_their_line_numbers() -> None:
    seen = middle("fold 3 auc 0.9123", "UserWarning: column 7 is constant", "validation loss: 0.31")
    assert "3001: fold 3 auc 0.9123" in seen
    assert "3002: UserWarning: column 7 is constant" in seen
    assert "3003: validation loss: 0.31" in seen
    assert len(seen.encode()) <= bytes_for(400) + 200


def test_the_last_traceback_is_rescued_with_what_was_raised() -> None:
    first = ["Traceback (most recent call last):", '  File "a.py", line 1', "KeyError: 'old'", "went on"]
    last = [
        "Traceback (most recent call last):",
        '  File "b.py", line 2, in fit',
        "    x = f()",
        "ValueError: bad shape",
    ]
    seen = middle(*first, *last)
    assert "3008: ValueError: bad shape" in seen
    assert '3006:   File "b.py", line 2, in fit' in seen


def test_of_a_thousand_scores_the_first_form_and_the_last_ones_stay() -> None:
    seen = middle(*(f"epoch {number} val loss {1 / (number + 1):.4f}" for number in range(1_000)))
    assert "epoch 999 val loss 0.0010" in seen
    assert "epoch 0 val loss 1.0000" in seen


def test_a_line_of_a_million_letters_does_not_push_out_the_others() -> None:
    raw = b"before\n" + b"x" * 1_000_000 + b"\nafter auc 0.5"
    seen = truncate_output(raw, len(raw), 300, "rest")
    assert seen.startswith("before\n") and seen.endswith("after auc 0.5")


def test_binary_data_is_named_not_shown() -> None:
    seen = truncate_output(bytes(range(256)) * 100, 25_600, 300, "all of it: .jobs/1/log")
    assert seen.startswith("[binary data, 25600 bytes; all of it: .jobs/1/log; it begins with 00010203")


def test_of_a_progress_bar_on_many_lines_the_last_state_is_seen() -> None:
    bars = "\n".join(f" {n}%|{'#' * (n // 10)} | {n}/100 [00:01]" for n in range(101))
    assert collapsed(f"start\n{bars}\ndone") == f"start\n 100%|{'#' * 10} | 100/100 [00:01]\ndone"


def test_line_numbers_are_those_of_the_file_that_is_read() -> None:
    text = "\n".join(f"line {number}" for number in range(500, 3_000))
    seen = truncate(text, 200, "read on", first=500)
    number = int(seen.split("[… lines ")[1].split(" ")[0])
    assert f"line {number - 1}\n[…" in seen
