"""What the model sees of long, binary or untidy output."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from context.tokens import bytes_for
from context.truncation.truncate import collapse_repeats, file_lines, first_lines, lines_of, truncate, truncate_output

LINES = [
    *(b"", b"row", b"row of a table, and a longer one", b"fold 1 auc 0.91", b"loss: 0.3", b"  indented"),
    *(b"Traceback (most recent call last):", b'  File "a.py"', b"ValueError: x", b"UserWarning: y", b" 10%| | 1/9"),
    b"\x1b[31mred\x1b[0m" * 20,
]


def collapse(text: str) -> str:
    return "\n".join(line for _, line in collapse_repeats(enumerate(text.split("\n"), 1)))


def test_short_output_is_unchanged() -> None:
    assert truncate_output(b"accuracy 0.93\n", 14, 100, "all of it: log") == "accuracy 0.93"


def test_long_output_keeps_head_tail_and_a_notice() -> None:
    raw = "\n".join(f"line {number}" for number in range(10_000)).encode()
    shown = truncate_output(raw, len(raw), 200, "all of it: .jobs/1/log")
    assert shown.startswith("line 0\n")
    assert shown.endswith("line 9999")
    assert "bytes left out; all of it: .jobs/1/log" in shown
    assert len(shown.encode()) < bytes_for(200) + 100


def test_redrawn_line_shows_its_last_state() -> None:
    assert list(lines_of([b"10%\r50%\r100%\ndone\r\n"])) == ["100%", "done", ""]
    assert list(file_lines([b"10%\r50%", b"\r100%\ndo", b"ne\r\n"])) == ["100%", "done"]


def test_colours_and_control_characters_are_removed() -> None:
    assert list(lines_of([b"\x1b[31mred\x1b[0m \xff\x00"])) == ["red ��"]


def test_equal_lines_are_collapsed_with_a_count() -> None:
    assert collapse("a\n" + "warning\n" * 50 + "b") == "a\nwarning\n[the line above 49 more times]\nb"
    assert collapse("x\nx\nx\ny") == "x\nx\nx\ny"


def test_output_cut_on_disk_names_its_full_size() -> None:
    assert "1000000 bytes in all" in truncate_output(b"abc", 1_000_000, 100, "")


def log_pieces(total: int) -> Iterator[bytes]:
    """A long log in pieces: rows, some scores, and lines split between pieces."""
    row = 0
    while total > 0:
        rows = range(row, row := row + 4_000)
        text = "\n".join(f"epoch {n} loss 0.{n}" if n % 997 == 0 else f"{n} of many rows of a table" for n in rows)
        yield text.encode()
        yield b" and so on\n"
        total -= len(text)


def test_memory_use_does_not_grow_with_the_output() -> None:
    tracemalloc.start()
    try:
        shown = truncate_output(log_pieces(4_000_000), 4_000_000, 2_000, "all of it: .jobs/1/log")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_500_000
    assert "epoch 0 loss 0.0" in shown
    assert "epoch 128613 loss 0.128613" in shown
    assert "bytes left out; all of it: .jobs/1/log" in shown


def test_memory_use_does_not_grow_with_one_line() -> None:
    tracemalloc.start()
    try:
        shown = truncate_output((b"x" * 250_000 for _ in range(80)), 20_000_000, 2_000, "rest")
        bar = truncate_output((b"\r%d of 80" % n * 20_000 for n in range(81)), 20_000_000, 2_000, "rest")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_500_000
    assert "[… 19998334 bytes …]" in shown
    assert bar.startswith("80 of 80")


@given(st.lists(st.sampled_from(LINES), max_size=400), st.integers(1, 200), st.integers(20, 400))
def test_result_does_not_depend_on_chunk_sizes(lines: list[bytes], size: int, tokens: int) -> None:
    raw = b"\n".join(lines)
    chunks = [raw[start : start + size] for start in range(0, len(raw), size)]
    assert truncate_output(iter(chunks), len(raw), tokens, "rest") == truncate_output(raw, len(raw), tokens, "rest")


@given(st.binary(max_size=5000), st.integers(10, 300))
def test_any_bytes_fit_the_limit(raw: bytes, tokens: int) -> None:
    shown = truncate_output(raw, len(raw), tokens, "rest")
    shown.encode()
    assert len(shown.encode()) <= bytes_for(tokens) + 60


@given(st.text(max_size=2000), st.integers(5, 100))
def test_text_that_fits_is_unchanged(text: str, tokens: int) -> None:
    if len(text.encode()) <= bytes_for(tokens):
        assert truncate(text, tokens, "rest") == text


def truncate_middle(*lines: str) -> str:
    """An output with these lines in the middle of thousands, truncated."""
    around = [f"row {number} of the table" for number in range(3_000)]
    raw = "\n".join([*around, *lines, *around]).encode()
    return truncate_output(raw, len(raw), 400, "all of it: .jobs/1/log")


def test_scores_and_warnings_in_the_middle_are_kept_with_line_numbers() -> None:
    shown = truncate_middle("fold 3 auc 0.9123", "UserWarning: column 7 is constant", "validation loss: 0.31")
    assert "3001: fold 3 auc 0.9123" in shown
    assert "3002: UserWarning: column 7 is constant" in shown
    assert "3003: validation loss: 0.31" in shown
    assert len(shown.encode()) <= bytes_for(400) + 200


def test_last_traceback_is_kept_with_its_exception() -> None:
    earlier = ["Traceback (most recent call last):", '  File "a.py", line 1', "KeyError: 'old'", "went on"]
    last = [
        "Traceback (most recent call last):",
        '  File "b.py", line 2, in fit',
        "    x = f()",
        "ValueError: bad shape",
    ]
    shown = truncate_middle(*earlier, *last)
    assert "3008: ValueError: bad shape" in shown
    assert '3006:   File "b.py", line 2, in fit' in shown


def test_of_many_scores_the_first_and_the_last_are_kept() -> None:
    shown = truncate_middle(*(f"epoch {number} val loss {1 / (number + 1):.4f}" for number in range(1_000)))
    assert "epoch 999 val loss 0.0010" in shown
    assert "epoch 0 val loss 1.0000" in shown


def test_very_long_line_does_not_displace_others() -> None:
    raw = b"before\n" + b"x" * 1_000_000 + b"\nafter auc 0.5"
    shown = truncate_output(raw, len(raw), 300, "rest")
    assert shown.startswith("before\n") and shown.endswith("after auc 0.5")


def test_binary_data_is_described_not_shown() -> None:
    shown = truncate_output(bytes(range(256)) * 100, 25_600, 300, "all of it: .jobs/1/log")
    assert shown.startswith("[binary data, 25600 bytes; all of it: .jobs/1/log; it begins with 00010203")


def test_progress_bar_on_many_lines_shows_its_last_line() -> None:
    bars = "\n".join(f" {n}%|{'#' * (n // 10)} | {n}/100 [00:01]" for n in range(101))
    assert collapse(f"start\n{bars}\ndone") == f"start\n 100%|{'#' * 10} | 100/100 [00:01]\ndone"


def test_line_numbers_are_those_of_the_whole_file() -> None:
    text = "\n".join(f"line {number}" for number in range(500, 3_000))
    shown = truncate(text, 200, "read on", first=500)
    number = int(shown.split("[… lines ")[1].split(" ")[0])
    assert f"line {number - 1}\n[…" in shown


def test_no_line_of_a_table_is_taken_for_a_score() -> None:
    rows = [f"{number},the best score {number / 7:.3f},WARNING" for number in range(3_000)]
    raw = "\n".join(["id,text,flag", *rows]).encode()
    assert "kept lines" not in truncate_output(raw, len(raw), 300, "rest")
    assert "kept lines" in truncate_output(raw.replace(b"\n", b"\nstep\n"), 2 * len(raw), 300, "rest")


def test_the_first_lines_are_those_of_head() -> None:
    lines = [(number, f"{number},x") for number in range(1, 5_000)]
    shown = first_lines(iter(lines), 300)
    assert shown == lines[: len(shown)] and 50 < len(shown) < 500
    ((_, line),) = first_lines([(1, "x" * 100_000)], 300)
    assert len(line) < 3_000
