"""The gates of the window hold whatever its size: prefix, flushes, cost of twice as many turns, facts after ten epochs.

The same story is played at 32k, 120k and 400k tokens; its outputs are larger in a larger window, so that each run has
about as many epochs. The largest window is a million-token model's with cached input at a fiftieth of the price.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from runs.events.registry import CompactionConsidered
from runs.state import fold
from runs.usage.cache import measure_cache
from tests.context.test_long_window import REPORT, planted, stages
from tests.long_play import Calls, Played, Worker, play, settings_of
from tests.playing import call

pytestmark = pytest.mark.xdist_group("sizes")  # several tests of each run
CHEAP = """context_tokens = 1_000_000
quality_tokens = 400_000
[scripted.prices]
input = 0.30
cached = 0.006
output = 1.20
"""


@dataclass(frozen=True)
class Size:
    """A window and the rows that a turn reads; `grows_to`: tokens that it has at least before something leaves.
    A larger window needs more `turns` until a turn costs the same all the time."""

    window: int
    rows: int
    grows_to: int
    profile: str = ""
    cached: float = 0.06
    turns: int = 340


SIZES = {
    "32k": Size(32_000, 18, 20_000),
    "120k": Size(120_000, 70, 75_000, "context_tokens = 200_000\n"),
    "400k": Size(400_000, 2 * 130, 200_000, CHEAP, 0.006, turns=400),
}


def step_of(size: Size, turn: int) -> Calls:
    """Each tenth of the first 160 turns runs a program; the others read rows, never the same ones twice in a row."""
    if turn == 1:
        return [call("write_file", path=f"report_{number}.sh", content=REPORT) for number in range(10, 26)]
    if turn % 10 == 0 and turn <= 160:
        number = 9 + turn // 10
        return [call("bash", command=f"sh report_{number}.sh {number} {'' if number % 4 else 'fail'}")]
    reads = 2 if size.rows > 150 else 1
    rows, start = size.rows // reads, 2 + turn * 37 % 600
    return [
        call("read_file", path="data/train.csv", offset=start + part * rows, limit=rows - part) for part in range(reads)
    ]


@pytest.fixture(scope="module", params=SIZES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Played, Worker, Size]:
    size = SIZES[request.param]
    home = tmp_path_factory.mktemp("gates")
    worker = Worker(lambda turn: step_of(size, turn), obeys=lambda turn: turn % 5 != 0)
    settings = settings_of(home, **({} if "quality" in size.profile else {"window_tokens": size.window}))
    return play(home, worker, size.turns, settings, profile=size.profile), worker, size


@pytest.mark.slow
def test_window_uses_its_size_and_never_exceeds_it(run: tuple[Played, Worker, Size]) -> None:
    played, _, size = run
    fills = [e.fill for e in played.events if isinstance(e, CompactionConsidered) and e.stage == "mask"]
    print(f"{len(stages(played.events))} epochs, masked at {min(fills):,} to {max(fills):,} tokens")
    assert len(stages(played.events)) >= 10 and {"mask", "checkpoint"} <= set(stages(played.events))
    assert min(fills) > size.grows_to
    assert max(one.prompt for one in played.engine.served) < size.window


@pytest.mark.slow
def test_every_request_extends_the_one_before_within_an_epoch(run: tuple[Played, Worker, Size]) -> None:
    played, _, size = run
    sums = measure_cache(played.events)
    assert len(sums.turns) == len(played.engine.served) == size.turns
    assert all(one.extends or turn.opens for one, turn in zip(played.engine.served, sums.turns, strict=True))
    assert sums.flushes == 0 and sums.alarms == 0 and fold(played.events).breaches == 0
    assert all(one.thoughts_kept == one.thoughts_sent for one in played.engine.served)


@pytest.mark.slow
def test_twice_as_many_turns_cost_twice_as_much(run: tuple[Played, Worker, Size]) -> None:
    played, _, size = run
    prices = [one.dollars(cached=size.cached) for one in played.engine.served]
    ratio = sum(prices) / sum(prices[: size.turns // 2])
    print(f"cost(2N)/cost(N) {ratio:.3f}")
    assert ratio <= 2.1


@pytest.mark.slow
def test_facts_of_the_first_rank_are_in_the_window(run: tuple[Played, Worker, Size]) -> None:
    played, worker, _ = run
    window = json.dumps(worker.window, ensure_ascii=False)
    held = [number for number in range(10, 26) if planted(number) in window]
    print(f"{len(held)} of 16 after {len(stages(played.events))} epochs")
    assert len(held) == 16
    state, head = fold(played.events), worker.window[1]["content"]
    assert state.chosen and "submission of record: " in head
