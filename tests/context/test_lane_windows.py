"""The gates of the window hold in every lane: its prefix, what its turns cost beside one lane alone, and its facts."""

from __future__ import annotations

from pathlib import Path

import pytest

from context.window import Window
from runs.events.registry import EpochStarted, Event, ModelReplied
from runs.usage.cache import measure_cache
from tests.context.test_long_window import REPORT, SMALL, planted, reading
from tests.long_play import Calls, Worker, play, settings_of
from tests.playing import call

TURNS, LANES = 100, 3


def step(turn: int) -> Calls:
    """Each fourth of the first 64 turns runs a program."""
    if turn == 1:
        return [call("write_file", path=f"report_{number}.sh", content=REPORT) for number in range(10, 26)]
    if turn % 4 or turn > 64:
        return reading(turn)
    number = 9 + turn // 4
    return [call("bash", command=f"sh report_{number}.sh {number} {'' if number % 4 else 'fail'}")]


def play_lanes(home: Path, lanes: int) -> list[list[Event]]:
    """The events of each lane of a run with so many turns a lane."""
    settings = settings_of(home, window_tokens=SMALL, parallel=lanes)
    events = play(home, Worker(step), TURNS * lanes, settings).events
    return [[event for event in events if event.lane == lane] for lane in range(lanes)]


def dollars(events: list[Event]) -> float:
    """The mean price of a lane's turns, from the tokens that the engine computed."""
    usages = [event.usage for event in events if isinstance(event, ModelReplied)]
    spent = sum((one.prompt - one.cached) * 0.30 + one.cached * 0.06 + one.completion * 1.20 for one in usages)
    return spent / 1e6 / len(usages)


@pytest.mark.slow
def test_gates_of_the_window_hold_in_every_lane(tmp_path: Path) -> None:
    (alone,) = play_lanes(tmp_path / "alone", 1)
    for lane, events in enumerate(play_lanes(tmp_path / "beside", LANES)):
        turns = sum(isinstance(event, ModelReplied) for event in events)
        stages = [event.stage for event in events if isinstance(event, EpochStarted) and event.stage]
        window = Window()
        for event in events:
            window.apply(event)
        text = b"\n".join(window.messages).decode()
        held = [number for number in range(10, 26) if planted(number) in text]
        ratio = dollars(events) / dollars(alone)
        print(f"lane {lane}: {turns} turns, {len(stages)} epochs, {ratio:.3f} of one lane's cost, {len(held)} facts")
        sums = measure_cache(events)
        assert turns > 0.9 * TURNS and len(stages) >= 4
        assert window.breaches == sums.flushes == sums.alarms == 0
        assert ratio <= 1.05
        assert len(held) == 16
