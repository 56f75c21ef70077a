"""What the model sees of long and untidy output."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from context.clipping import clean, clip, clip_output, collapse_repeats
from context.tokens import bytes_for


def test_a_short_output_is_shown_as_it_is() -> None:
    assert clip_output(b"accuracy 0.93\n", 14, 100, "all of it: log") == "accuracy 0.93"


def test_a_long_output_keeps_its_head_and_tail_and_says_where_the_rest_is() -> None:
    raw = "\n".join(f"line {number}" for number in range(10_000)).encode()
    seen = clip_output(raw, len(raw), 200, "all of it: .jobs/1/log")
    assert seen.startswith("line 0\n")
    assert seen.endswith("line 9999")
    assert "bytes left out; all of it: .jobs/1/log" in seen
    assert len(seen.encode()) < bytes_for(200) + 100


def test_of_a_progress_bar_only_the_last_state_is_seen() -> None:
    assert clean(b"10%\r50%\r100%\ndone\r\n") == "100%\ndone\n"


def test_colours_and_control_characters_are_gone_and_broken_text_is_safe() -> None:
    assert clean(b"\x1b[31mred\x1b[0m \xff\x00") == "red ��"


def test_equal_lines_are_counted_instead_of_repeated() -> None:
    assert collapse_repeats("a\n" + "warning\n" * 50 + "b") == "a\nwarning\n[the line above 49 more times]\nb"
    assert collapse_repeats("x\nx\nx\ny") == "x\nx\nx\ny"


def test_an_output_cut_on_disk_says_how_much_there_was() -> None:
    assert "1000000 bytes in all" in clip_output(b"abc", 1_000_000, 100, "")


@given(st.binary(max_size=5000), st.integers(10, 300))
def test_any_bytes_can_be_shown_within_the_limit(raw: bytes, tokens: int) -> None:
    seen = clip_output(raw, len(raw), tokens, "rest")
    seen.encode()
    assert len(seen.encode()) <= bytes_for(tokens) + 60


@given(st.text(max_size=2000), st.integers(5, 100))
def test_clipping_twice_changes_no_more_than_once_where_it_fits(text: str, tokens: int) -> None:
    if len(text.encode()) <= bytes_for(tokens):
        assert clip(text, tokens, "rest") == text
