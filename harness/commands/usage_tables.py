"""`harness show RUN --cost` and `--epochs`: what the window cost, turn by turn, and why it was made smaller."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.ui.format import table
from runs.events.registry import (
    EndpointProbed,
    EpochStarted,
    Event,
    ModelFailed,
    ModelReplied,
    WindowWeighed,
)
from runs.journal import read_events
from runs.usage.cache import CacheMeter, Turn, measure_cache
from runs.views.format import money_text, one_line

COST_HEAD = ("turn", "attempt", "epoch", "in", "cached", "reuse", "our count", "out", "dollars", "in all", "")
SUM_HEAD = ("attempt", "turns", "epochs", "in", "billed anew", "reuse", "our count", "out", "dollars", "flushes")


def show_cost(folder: Path, attempt: int | None = None) -> None:
    """Print the cache meter of a run: every turn (or those of one attempt), then a line for each attempt."""
    events = list(read_events(folder))
    sums = measure_cache(events)
    probes = [event for event in events if isinstance(event, EndpointProbed) and event.calls]
    turns = [turn for turn in sums.turns if attempt is None or turn.attempt == attempt]
    rows: list[tuple[str, ...]] = [COST_HEAD]
    losses = [event for event in events if isinstance(event, ModelFailed) and event.cost]
    spent = sum(event.cost for event in probes)
    for place, turn in enumerate(sums.turns, 1):
        spent += turn.cost
        if attempt is None or turn.attempt == attempt:
            lost = sum(event.cost for event in losses if event.seq < turn.seq)
            rows.append(_turn_row(place, turn, spent + lost))
    print(table(rows, right=range(10)))
    print()
    print(table([SUM_HEAD, *_sum_rows(turns)], right=range(10)))
    print(f"\n{reuse_line(sums)}")
    if losses:
        lost = sum(event.cost for event in losses)
        print(f"{len(losses)} requests without a whole reply may have to be paid: {money_text(lost, True)}")
    for probe in probes:
        print(f"before the first turn, {probe.calls} short calls tried the endpoint out: {money_text(probe.cost)}")


def show_epochs(folder: Path) -> None:
    """Print every epoch of a run: why it began, how large the window was before and after, and what decided."""
    events = list(read_events(folder))
    print(
        table(
            [("event", "attempt", "why", "before", "after", "turns", ""), *_epoch_rows(events)], right=(0, 1, 3, 4, 5)
        )
    )


def reuse_line(sums: CacheMeter) -> str:
    """The meter in one line."""
    prompt, cached = sum(turn.prompt for turn in sums.turns), sum(turn.cached for turn in sums.turns)
    share = f"{cached / prompt:.1%}" if prompt else "nothing"
    return (
        f"{share} of {prompt:,} prompt tokens came from the endpoint's cache ({_local(sums.turns)} by our count); "
        f"{sums.epochs} epochs, {sums.flushes} undeclared flushes, {sums.alarms} alarms"
    )


def _turn_row(place: int, turn: Turn, spent: float) -> tuple[str, ...]:
    marks = [turn.opens, "undeclared flush" if turn.breach else ""]
    return (
        str(place),
        str(turn.attempt),
        str(turn.epoch),
        f"{turn.prompt:,}",
        f"{turn.cached:,}",
        f"{turn.provider:.1%}",
        "?" if turn.local is None else f"{turn.local:.1%}",
        f"{turn.completion:,}",
        f"{turn.cost:.4f}",
        money_text(spent),
        ", ".join(filter(None, marks)),
    )


def _sum_rows(turns: Sequence[Turn]) -> Iterable[tuple[str, ...]]:
    groups: dict[str, list[Turn]] = {}
    for turn in turns:
        groups.setdefault(str(turn.attempt), []).append(turn)
    for name, group in [*groups.items(), ("all", list(turns))]:
        prompt, cached = sum(one.prompt for one in group), sum(one.cached for one in group)
        yield (
            name,
            str(len(group)),
            str(len({one.epoch for one in group})),
            f"{prompt:,}",
            f"{prompt - cached:,}",
            f"{cached / prompt:.1%}" if prompt else "-",
            _local(group),
            f"{sum(one.completion for one in group):,}",
            money_text(sum(one.cost for one in group)),
            str(sum(one.breach for one in group)),
        )


def _local(turns: Sequence[Turn]) -> str:
    known = [turn for turn in turns if turn.local is not None]
    prompt = sum(turn.prompt for turn in known)
    return f"{sum(turn.prompt * (turn.local or 0.0) for turn in known) / prompt:.1%}" if prompt else "?"


def _epoch_rows(events: Sequence[Event]) -> Iterable[tuple[str, ...]]:
    """Epochs and what was weighed before them, in order: all that decided, and the last that changed nothing. `after`
    is the endpoint's count of the first request."""
    refused: list[tuple[str, ...]] = []
    for place, event in enumerate(events):
        if isinstance(event, WindowWeighed) and event.stage == "none":
            refused = [_weighed_row(event)]
        elif isinstance(event, WindowWeighed):
            yield from [*refused, _weighed_row(event)]
            refused = []
        elif isinstance(event, EpochStarted):
            replies = _replies_of_epoch(events[place + 1 :])
            after = f"{replies[0].usage.prompt:,}" if replies else "-"
            before = f"{event.fill:,}" if event.fill else ""
            why = f"{event.reason} {event.stage}".strip()
            row = (str(event.seq), str(event.attempt), why, before, after, str(len(replies)), one_line(event.why))
            yield from [*refused, row]
            refused = []
    yield from refused


def _weighed_row(event: WindowWeighed) -> tuple[str, ...]:
    asked = "a checkpoint is asked for: " if event.stage == "checkpoint" else ""
    after = f"{event.target:,} expected" if event.target else ""
    weighed = "left as it is" if event.stage == "none" else "weighed"
    return (str(event.seq), str(event.attempt), weighed, f"{event.fill:,}", after, "", asked + one_line(event.why))


def _replies_of_epoch(events: Sequence[Event]) -> list[ModelReplied]:
    replies = []
    for event in events:
        if isinstance(event, EpochStarted):
            break
        if isinstance(event, ModelReplied):
            replies.append(event)
    return replies
