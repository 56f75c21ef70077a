"""`harness show RUN --cost` and `--epochs`: cost and cache use per turn, and why the window was shortened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.ui.table import table
from runs.events.registry import (
    CompactionConsidered,
    EndpointProbed,
    EpochStarted,
    Event,
    ModelFailed,
    ModelReplied,
)
from runs.journal import read_events
from runs.state import fold
from runs.usage.cache import CacheMeter, Turn, measure_cache
from runs.views.format import money_text, one_line

COST_HEADER = ("turn", "attempt", "epoch", "in", "cached", "reuse", "our count", "out", "dollars", "total", "")
SUM_HEADER = ("attempt", "turns", "epochs", "in", "uncached", "reuse", "our count", "out", "dollars", "flushes")


def show_cost(folder: Path, attempt: int | None = None) -> None:
    """Print cost and cache use: every turn (of one attempt if given), then the sum of each attempt."""
    events = list(read_events(folder))
    sums, is_known = measure_cache(events), fold(events).is_cost_known
    probes = [event for event in events if isinstance(event, EndpointProbed) and event.calls]
    turns = [turn for turn in sums.turns if attempt is None or turn.attempt == attempt]
    rows: list[tuple[str, ...]] = [COST_HEADER]
    losses = [event for event in events if isinstance(event, ModelFailed) and event.cost]
    spent = sum(event.cost for event in probes)
    for number, turn in enumerate(sums.turns, 1):
        spent += turn.cost
        if attempt is None or turn.attempt == attempt:
            lost = sum(event.cost for event in losses if event.seq < turn.seq)
            rows.append(_turn_row(number, turn, spent + lost, is_known))
    print(table(rows, right=range(10)))
    print()
    print(table([SUM_HEADER, *_sum_rows(turns, is_known)], right=range(10)))
    print(f"\n{reuse_line(sums)}")
    if losses:
        lost = sum(event.cost for event in losses)
        print(f"{len(losses)} requests without a complete reply may be billed too: {money_text(lost, True, is_known)}")
    for probe in probes:
        took = f"{probe.calls} short calls before the first turn: {money_text(probe.cost, is_known=is_known)}"
        print(f"probing the endpoint took {took}")


def show_epochs(folder: Path) -> None:
    """Print every epoch of a run: its reason, the window's size before and after, and the decision behind it."""
    events = list(read_events(folder))
    print(
        table(
            [("event", "attempt", "why", "before", "after", "turns", ""), *_epoch_rows(events)], right=(0, 1, 3, 4, 5)
        )
    )


def reuse_line(sums: CacheMeter) -> str:
    """Cache use of a run in one line."""
    prompt, cached = sum(turn.prompt for turn in sums.turns), sum(turn.cached for turn in sums.turns)
    share = f"{cached / prompt:.1%}" if prompt else "nothing"
    return (
        f"{share} of {prompt:,} prompt tokens came from the endpoint's cache ({_local(sums.turns)} by our count); "
        f"{sums.epochs} epochs, {sums.flushes} undeclared flushes, {sums.alarms} alarms"
    )


def _turn_row(number: int, turn: Turn, spent: float, is_known: bool) -> tuple[str, ...]:
    marks = [turn.opens, "undeclared flush" if turn.breach else ""]
    return (
        str(number),
        str(turn.attempt),
        str(turn.epoch),
        f"{turn.prompt:,}",
        f"{turn.cached:,}",
        f"{turn.provider:.1%}",
        "?" if turn.local is None else f"{turn.local:.1%}",
        f"{turn.completion:,}",
        f"{turn.cost:.4f}" if is_known or turn.cost else "unknown",
        money_text(spent, is_known=is_known),
        ", ".join(filter(None, marks)),
    )


def _sum_rows(turns: Sequence[Turn], is_known: bool) -> Iterable[tuple[str, ...]]:
    groups: dict[str, list[Turn]] = {}
    for turn in turns:
        groups.setdefault(str(turn.attempt), []).append(turn)
    for name, group in [*groups.items(), ("all", list(turns))]:
        prompt, cached = sum(turn.prompt for turn in group), sum(turn.cached for turn in group)
        yield (
            name,
            str(len(group)),
            str(len({turn.epoch for turn in group})),
            f"{prompt:,}",
            f"{prompt - cached:,}",
            f"{cached / prompt:.1%}" if prompt else "-",
            _local(group),
            f"{sum(turn.completion for turn in group):,}",
            money_text(sum(turn.cost for turn in group), is_known=is_known),
            str(sum(turn.breach for turn in group)),
        )


def _local(turns: Sequence[Turn]) -> str:
    known = [turn for turn in turns if turn.local is not None]
    prompt = sum(turn.prompt for turn in known)
    return f"{sum(turn.prompt * (turn.local or 0.0) for turn in known) / prompt:.1%}" if prompt else "?"


def _epoch_rows(events: Sequence[Event]) -> Iterable[tuple[str, ...]]:
    """Epochs and decisions in order. Of several decisions in a row that changed nothing, only the last is shown.

    `after` is the endpoint's count for the first request of the epoch.
    """
    refused: list[tuple[str, ...]] = []
    for index, event in enumerate(events):
        if isinstance(event, CompactionConsidered) and event.stage == "none":
            refused = [_considered_row(event)]
        elif isinstance(event, CompactionConsidered):
            yield from [*refused, _considered_row(event)]
            refused = []
        elif isinstance(event, EpochStarted):
            replies = _replies_of_epoch(events[index + 1 :])
            after = f"{replies[0].usage.prompt:,}" if replies else "-"
            before = f"{event.fill:,}" if event.fill else ""
            why = f"{event.reason} {event.stage}".strip()
            row = (str(event.seq), str(event.attempt), why, before, after, str(len(replies)), one_line(event.why))
            yield from [*refused, row]
            refused = []
    yield from refused


def _considered_row(event: CompactionConsidered) -> tuple[str, ...]:
    request = "checkpoint requested: " if event.stage == "checkpoint" else ""
    after = f"{event.target:,} expected" if event.target else ""
    decision = "unchanged" if event.stage == "none" else "weighed"
    return (str(event.seq), str(event.attempt), decision, f"{event.fill:,}", after, "", request + one_line(event.why))


def _replies_of_epoch(events: Sequence[Event]) -> list[ModelReplied]:
    replies = []
    for event in events:
        if isinstance(event, EpochStarted):
            break
        if isinstance(event, ModelReplied):
            replies.append(event)
    return replies
