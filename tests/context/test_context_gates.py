"""Gates on the cost of the window over a long run, measured at an engine that caches as real ones do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runs.events.registry import EpochStarted, ModelReplied, ToolFinished
from runs.state import fold
from runs.usage.cache import measure_cache
from tests.long_play import Calls, Played, Worker, play
from tests.playing import call
from tests.servers.engine import BLOCK_TOKENS, Served, render, tokens_of

pytestmark = pytest.mark.xdist_group("long run")  # all of one run
TURNS = 1_000
SLIDING = 100_000


def reading(turn: int) -> Calls:
    """A turn of about 1,500 tokens, 600 of them written; no two turns in a row read the same rows."""
    return [call("read_file", path="data/train.csv", offset=2 + turn * 7 % 1_100, limit=18 + turn % 7)]


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return play(tmp_path_factory.mktemp("long"), Worker(reading, thinks=2_000), 2 * TURNS)


def dollars(served: list[Served]) -> float:
    return sum(request.dollars() for request in served)


def exchanges(played: Played) -> list[tuple[int, int]]:
    """Per turn: tokens of the exchange in a prompt, and tokens written."""
    sizes: list[tuple[int, int]] = []
    for event in played.events:
        if isinstance(event, ModelReplied):
            sizes.append((tokens_of(render([json.loads(event.message)]).text), event.usage.completion))
        elif isinstance(event, ToolFinished):
            size, written = sizes[-1]
            sizes[-1] = (size + len(event.content.encode()) // 4, written)
    return sizes


def price_sliding(fixed: int, turns: list[tuple[int, int]], most: float) -> float:
    """Dollars for the same turns with a sliding window of at most `most` tokens."""
    total, first, size, before = 0.0, 0, fixed, 0
    for index, (exchange, written) in enumerate(turns):
        moved = False
        while size > most:
            size, first, moved = size - turns[first][0], first + 1, True
        cached = fixed if moved else before
        total += Served(size, cached // BLOCK_TOKENS * BLOCK_TOKENS, written, 0, 0, True).dollars()
        size, before = size + exchange, size
        assert index >= first
    return total


@pytest.mark.slow
def test_every_request_extends_the_one_before_within_an_epoch(long_run: Played) -> None:
    turns = measure_cache(long_run.events).turns
    assert len(turns) == len(long_run.engine.served) == 2 * TURNS
    undeclared = [
        turn.request
        for turn, request in zip(turns, long_run.engine.served, strict=True)
        if not request.extends and not turn.opens
    ]
    assert undeclared == []
    assert measure_cache(long_run.events).flushes == 0
    assert fold(long_run.events).breaches == 0


@pytest.mark.slow
def test_all_thinking_in_the_window_is_rendered(long_run: Played) -> None:
    assert sum(request.thoughts_sent for request in long_run.engine.served) > 20 * TURNS
    assert all(request.thoughts_kept == request.thoughts_sent for request in long_run.engine.served)


@pytest.mark.slow
def test_cost_grows_linearly_with_turns(long_run: Played) -> None:
    half = dollars(long_run.engine.served[:TURNS])
    print(f"cost({TURNS}) ${half:.3f}, cost(2N)/cost(N) {dollars(long_run.engine.served) / half:.3f}")
    assert dollars(long_run.engine.served) / half <= 2.1


@pytest.mark.slow
def test_cost_is_a_fraction_of_simpler_windows(long_run: Played) -> None:
    ours = dollars(long_run.engine.served[:TURNS])
    turns, fixed = exchanges(long_run)[:TURNS], long_run.engine.served[0].prompt
    sliding, everything = price_sliding(fixed, turns, SLIDING), price_sliding(fixed, turns, float("inf"))
    epochs = sum(isinstance(event, EpochStarted) for event in long_run.events)
    reuse = sum(request.cached for request in long_run.engine.served) / sum(
        request.prompt for request in long_run.engine.served
    )
    print(
        f"ours ${ours:.2f}, sliding ${sliding:.2f}, everything ${everything:.2f}; {epochs} epochs, {reuse:.1%} reused"
    )
    assert ours <= 0.25 * sliding
    assert ours <= 0.15 * everything


@pytest.mark.slow
def test_endpoint_and_local_cache_counts_agree(long_run: Played) -> None:
    sums = measure_cache(long_run.events)
    assert sums.alarms == 0 and sums.alarm is None
    differences = [abs(turn.provider - turn.local) for turn in sums.turns if turn.local is not None]
    mean = sum(differences) / len(differences)
    print(f"endpoint and local count differ by {max(differences):.2%} at most, {mean:.2%} on average")
    assert mean < 0.02


@pytest.mark.slow
def test_token_estimates_converge_to_the_endpoint_counts(long_run: Played) -> None:
    from context.window import Window

    window, wrong = Window(), []
    for event in long_run.events:
        if isinstance(event, ModelReplied):
            wrong.append(abs(window.tokens() - event.usage.prompt) / event.usage.prompt)
        window.apply(event)
    later = sorted(wrong[50:])
    middle, worst = later[len(later) // 2], later[int(0.99 * len(later))]
    print(f"estimates are off by {middle:.2%} in the median, {worst:.2%} at the 99th percentile")
    assert worst < 0.10


def test_short_run_extends_every_request(tmp_path: Path) -> None:
    played = play(tmp_path / "home", Worker(reading, thinks=2_000), 12)
    assert [request.extends for request in played.engine.served] == [False, *[True] * 11]
