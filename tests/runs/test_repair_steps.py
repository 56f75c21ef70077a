"""The report counts how many tool calls had to be repaired, by repair step."""

from __future__ import annotations

from run_stories import small_run

from runs.events.registry import Call, Event, ModelReplied
from runs.state import fold
from runs.usage.repair_steps import count_repair_steps, repair_line
from runs.views.report import report


def replies(*steps: str) -> list[Event]:
    calls = [Call(id=f"c{n}", name="bash", arguments="{}", repair_step=step) for n, step in enumerate(steps)]
    return [ModelReplied(request=n, message="{}", calls=[call]) for n, call in enumerate(calls)]


def test_calls_are_counted_by_repair_step() -> None:
    counts = count_repair_steps([*small_run()[:1], *replies("native", "trimmed", "trimmed", "error")])
    assert counts == {"native": 1, "trimmed": 2, "error": 1}


def test_line_names_the_most_frequent_step_first() -> None:
    line = repair_line({"native": 6, "strict": 1, "trimmed": 2, "error": 1})
    assert line == "3 of 10 repaired (trimmed 2, strict 1), 1 rejected"


def test_line_is_empty_if_no_call_needed_repair() -> None:
    assert repair_line({}) == repair_line({"native": 3}) == ""


def test_report_shows_the_line_only_if_a_call_needed_repair() -> None:
    events = small_run()
    assert "- tool calls:" not in report(fold(events), events)
    events += replies("native", "in_content")
    assert "- tool calls: 1 of" in report(fold(events), events)
