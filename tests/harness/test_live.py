"""What a person sees of a run, told as events that arrive one by one."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterable

from rich.console import Console

from harness.ui.format import printable
from harness.ui.live import LivePanel, PlainLines, line_of, open_screen, rows_of
from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    ModelAsked,
    ModelFailed,
    Paused,
    RunCreated,
    RunEnded,
    ThresholdsKnown,
    Warned,
)
from runs.state import State


def created(**changes: object) -> RunCreated:
    fields = {
        "harness_version": "0.1.0",
        "run_id": "20260801-120000_digits_0_ab12",
        "task_id": "digits",
        "task_path": "task.yaml",
        "task_digest": "",
        "metric": "accuracy",
        "lower_is_better": False,
        "seed": 0,
        "model": "demo",
        "base_url": "",
        "is_demo": True,
        "sandbox": "bubblewrap",
        "protects_labels": True,
        "hours": 24.0,
        "attempts": 6,
    }
    return RunCreated.model_validate(fields | changes)


THRESHOLDS = ThresholdsKnown(gold=0.98, silver=0.97, bronze=0.95, median=0.9, rows=40)


def evaluated(
    score: float | None = 0.9722, status: str = "scored", name: str = "001-1", message: str = ""
) -> list[Event]:
    started = EvaluationStarted(
        evaluation=name, call="c", command="python solve.py", commit="c0ffee", tree="t", job="e", attempt=1
    )
    finished = EvaluationFinished.model_validate(
        {
            "evaluation": name,
            "status": status,
            "commit": "c0ffee",
            "tree": "t",
            "score": score,
            "noise": 0.0061 if score is not None else None,
            "message": message,
            "attempt": 1,
        }
    )
    return [started, finished]


def tell(screen: PlainLines | LivePanel, events: Iterable[Event]) -> State:
    state = State()
    for event in events:
        state.apply(event)
        screen.show(state, event)
    return state


def plain_story(*events: Event) -> str:
    out = io.StringIO()
    tell(PlainLines(out), events)
    return out.getvalue()


def test_plain_lines_tell_a_run_from_its_start_to_how_to_go_on() -> None:
    told = plain_story(
        created(),
        THRESHOLDS,
        AttemptStarted(),
        *evaluated(),
        AttemptEnded(why="finish", did="a forest"),
        Paused(why="Ctrl-C"),
    )
    lines = [line.split("  ", 1)[1] for line in told.splitlines()]
    assert lines[0].startswith(
        "run 20260801-120000_digits_0_ab12: task digits, model demo (demo model, not an LLM), sandbox bubblewrap"
    )
    assert lines[0].endswith("budget 24 h, 6 attempts")
    assert lines[1] == "attempt 1 of 6 starts from an empty workspace"
    assert lines[2].endswith("0.9722 ± 0.0061, silver (estimate from held-out rows), best so far")
    assert lines[3] == "attempt 1 ended (finish): a forest"
    assert lines[4] == "paused: Ctrl-C. Go on with: harness resume 20260801-120000_digits_0_ab12"


def test_every_score_of_a_run_without_isolation_carries_the_mark() -> None:
    open_house = created(sandbox="local", protects_labels=False, options={"notice": "this sandbox isolates nothing"})
    told = plain_story(open_house, THRESHOLDS, AttemptStarted(), *evaluated(), RunEnded(why="attempts"))
    assert "this sandbox isolates nothing" in told.splitlines()[1]
    assert all("labels unprotected" in line for line in told.splitlines() if "0.9722" in line or "digits," in line)
    assert told.count("labels unprotected") == 3


def test_a_run_taken_up_again_is_introduced_by_its_first_event_whatever_that_is() -> None:
    out, state = io.StringIO(), State()
    state.apply(created())
    screen = PlainLines(out)
    screen.show(state, Warned(message="careful"))
    screen.show(state, Warned(message="again"))
    assert screen.run_id == "20260801-120000_digits_0_ab12"
    assert [line.split("  ", 1)[1][:9] for line in out.getvalue().splitlines()] == [
        "run 20260",
        "warning: ",
        "warning: ",
    ]


def test_failures_say_what_comes_next() -> None:
    told = plain_story(
        created(),
        AttemptStarted(),
        *evaluated(None, "invalid", message="row 3: id missing"),
        ModelFailed(request=4, error="connection refused", again_in=90.0),
    )
    assert "evaluation 001-1: invalid: row 3: id missing" in told
    assert "the endpoint failed: connection refused; asking again in 1 min 30 s" in told


def test_a_task_without_medal_lines_or_without_labels_claims_no_medal() -> None:
    assert "0.9722 ± 0.0061, estimate from held-out rows, best" in plain_story(
        created(), AttemptStarted(), *evaluated()
    )
    told = plain_story(created(), THRESHOLDS, AttemptStarted(), *evaluated(None, "unscored"), RunEnded(why="attempts"))
    assert "no labels to hold out" in told
    assert "silver" not in told and "gold" not in told


def test_what_an_agent_prints_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[2Jb\x1b]0;title\x07c\rfinal\x00\u202e!") == "final!"
    assert printable("10%\r50%\r100%\r\ndone\t.") == "100%\ndone\t."
    state = State()
    state.apply(created())
    assert line_of(state, Warned(message="x\x1b[31m\ny")) == "warning: x y"


class Gone(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError


def test_a_reader_that_goes_away_does_not_stop_the_run() -> None:
    tell(PlainLines(Gone()), [created(), AttemptStarted()])
    panel = open_screen(is_terminal=True, plain=False, out=Gone())
    tell(panel, [created(), AttemptStarted()])
    panel.close()


def panel_after(*events: Event, tail: str = "", width: int = 110) -> str:
    out = io.StringIO()
    panel = LivePanel(Console(file=out, force_terminal=True, width=width, color_system=None))
    state = tell(panel, events)
    time.sleep(0.26)
    panel.alive(state, "job j-7", tail)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    panel.close()
    return shown


def test_the_panel_shows_time_attempt_score_medal_spend_and_the_running_job() -> None:
    shown = panel_after(
        created(cost=20.0), THRESHOLDS, AttemptStarted(), *evaluated(), tail="epoch 1\nepoch 2 [bold]loss[/] 0.1\n"
    )
    for expected in (
        "digits · model demo (demo model, not an LLM) · sandbox bubblewrap",
        "24 h 00 min left",
        "1 of 6",
        "0.9722 ± 0.0061, silver (estimate from held-out rows)",
        "$0.00 of $20.00",
        "job j-7",
        "epoch 2 [bold]loss[/] 0.1",
    ):
        assert expected in shown


def test_the_panel_marks_unprotected_labels_even_in_a_narrow_window() -> None:
    shown = panel_after(created(sandbox="local", protects_labels=False), AttemptStarted(), *evaluated(), width=50)
    assert "labels unprotected" in " ".join(shown.replace("│", " ").split())


def test_a_thousand_signs_of_life_redraw_the_panel_a_few_times_only() -> None:
    out = io.StringIO()
    panel = LivePanel(Console(file=out, force_terminal=True, width=100))
    state = tell(panel, [created(), AttemptStarted()])
    before = len(out.getvalue())
    for _ in range(1000):
        panel.alive(state, "job j-1", "x" * 2000)
    assert len(out.getvalue()) - before < 10_000
    panel.close()
    panel.close()


def test_the_clock_moves_on_while_nobody_draws() -> None:
    out = io.StringIO()
    panel = LivePanel(Console(file=out, force_terminal=True, width=100))
    tell(panel, [created(), AttemptStarted()])
    before = len(out.getvalue())
    time.sleep(1.6)
    assert len(out.getvalue()) > before
    panel.close()


def test_waiting_for_the_model_shows_as_such() -> None:
    assert "no score yet" in panel_after(created(), AttemptStarted(), ModelAsked(request=1, messages=2, size=10))


def test_lines_are_plain_where_nobody_can_watch_or_where_they_were_asked_for() -> None:
    assert isinstance(open_screen(is_terminal=False, plain=False), PlainLines)
    assert isinstance(open_screen(is_terminal=True, plain=True), PlainLines)
    assert isinstance(open_screen(is_terminal=True, plain=False, out=io.StringIO()), LivePanel)


def test_a_run_without_hours_shows_the_time_used() -> None:
    state = State()
    state.apply(created(hours=None, attempts=None, turns=50))
    rows = dict(rows_of(state, waited=75))
    assert rows["time"] == "1 min 15 s so far"
    assert rows["attempt"] == "0, turn 0 (of the run: 0 of 50)"
