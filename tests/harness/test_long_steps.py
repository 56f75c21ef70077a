"""What a person reads while a run is being prepared."""

from __future__ import annotations

import time

import pytest

from harness.ui import long_steps
from harness.ui.long_steps import announcing_long_steps
from tasks.progress import report


def test_a_step_is_named_once_it_has_lasted_two_seconds_and_then_ever_more_rarely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(long_steps, "FIRST_SECONDS", 0.1)
    monkeypatch.setattr(long_steps, "_TICK_SECONDS", 0.01)
    said: list[str] = []
    with announcing_long_steps(said.append):
        report("reading the data")
        report("copying files")
        for done in range(40):
            report(f"copying files, {done} of 40")
            time.sleep(0.02)
    assert said[0].startswith("copying files, ")
    assert not [line for line in said if line.startswith("reading")]
    assert 2 <= len(said) <= 5  # after .1, .2, .4 and .8 seconds
    count = len(said)
    time.sleep(0.1)
    assert len(said) == count


def test_a_quick_start_says_nothing() -> None:
    said: list[str] = []
    with announcing_long_steps(said.append):
        report("reading the data")
    assert said == []


def test_many_short_steps_are_no_silence_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_steps, "FIRST_SECONDS", 0.1)
    monkeypatch.setattr(long_steps, "_TICK_SECONDS", 0.01)
    said: list[str] = []
    with announcing_long_steps(said.append):
        for number in range(30):
            report(f"reading table {number}")
            time.sleep(0.02)
    assert len(said) >= 3
