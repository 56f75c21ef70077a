"""What the live panel and the plain lines show for a series of events."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from rich.console import Console

from harness.ui.chart import chart
from harness.ui.event_lines import line_of
from harness.ui.lane_status import fold_text, lane_text
from harness.ui.live import LivePanel, PlainLines, open_screen
from harness.ui.panel import PanelContent, rows_of
from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    Decided,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    FoldStarted,
    ModelAsked,
    ModelFailed,
    Paused,
    PlanMade,
    RunCreated,
    RunEnded,
    ThresholdsKnown,
    Warned,
)
from runs.run_settings import RunSettings
from runs.state import State, fold
from runs.views.format import printable


def created(**changes: object) -> RunCreated:
    fields = {
        "harness_version": "0.1.0",
        "run_id": "20260801-120000_digits_0_ab12",
        "task_id": "digits",
        "task_path": "task.yaml",
        "task_digest": "",
        "metric": "accuracy",
        "lower_is_better": False,
        "is_demo": True,
        "sandbox": "bubblewrap",
        "protects_labels": True,
    }
    names = set(changes) & set(RunSettings.model_fields) - {"sandbox"}
    settings = {"model": "demo", "attempts": 6, **{name: changes.pop(name) for name in names}}
    return RunCreated.model_validate(fields | {"settings": settings} | changes)


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


def show_events(screen: PlainLines | LivePanel, events: Iterable[Event]) -> State:
    state = State()
    for event in events:
        state.apply(event)
        screen.show(state, event)
    return state


def plain_lines(*events: Event) -> str:
    out = io.StringIO()
    show_events(PlainLines(out), events)
    return out.getvalue()


def test_plain_lines_cover_a_run_from_start_to_pause() -> None:
    text = plain_lines(
        created(),
        THRESHOLDS,
        AttemptStarted(move="draft"),
        *evaluated(),
        AttemptEnded(why="finish", did="a forest"),
        Paused(why="Ctrl-C"),
    )
    lines = [line.split("  ", 1)[1] for line in text.splitlines()]
    assert lines[0].startswith(
        "run 20260801-120000_digits_0_ab12: task digits, model demo (demo model, not an LLM), sandbox bubblewrap"
    )
    assert lines[0].endswith("budget 24 h, 6 attempts")
    assert lines[1] == "attempt 1 of 6 (draft) starts from an empty workspace"
    assert lines[2].endswith("0.9722 ± 0.0061, silver or bronze (estimate from held-out rows), best so far")
    assert lines[3] == "attempt 1 ended (finish): a forest"
    assert lines[4].startswith("paused: Ctrl-C.") and lines[4].endswith("harness resume 20260801-120000_digits_0_ab12")


def test_every_score_of_an_unprotected_run_is_marked() -> None:
    unprotected = created(sandbox="local", protects_labels=False, notice="this sandbox isolates nothing")
    text = plain_lines(unprotected, THRESHOLDS, AttemptStarted(), *evaluated(), RunEnded(why="attempts"))
    assert "this sandbox isolates nothing" in text.splitlines()[1]
    assert all("labels unprotected" in line for line in text.splitlines() if "0.9722" in line or "digits," in line)
    assert text.count("labels unprotected") == 3


def test_resumed_run_is_introduced_once_at_its_first_event() -> None:
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


def test_failures_say_what_happens_next() -> None:
    text = plain_lines(
        created(),
        AttemptStarted(),
        *evaluated(None, "invalid", message="row 3: id missing"),
        ModelFailed(request=4, error="connection refused", again_in=90.0),
    )
    assert "evaluation 001-1: invalid: row 3: id missing" in text
    assert "connection refused" in text and "in 1 min 30 s" in text


def test_no_medal_is_claimed_without_thresholds_or_labels() -> None:
    assert "0.9722 ± 0.0061, estimate from held-out rows, best" in plain_lines(
        created(), AttemptStarted(), *evaluated()
    )
    text = plain_lines(created(), THRESHOLDS, AttemptStarted(), *evaluated(None, "unscored"), RunEnded(why="attempts"))
    assert "no labels to hold out" in text
    assert "silver" not in text and "gold" not in text


def test_control_sequences_are_removed() -> None:
    assert printable("a\x1b[2Jb\x1b]0;title\x07c\rfinal\x00\u202e!") == "final!"
    assert printable("10%\r50%\r100%\r\ndone\t.") == "100%\ndone\t."
    state = State()
    state.apply(created())
    assert line_of(state, Warned(message="x\x1b[31m\ny")) == "warning: x y"


class ClosedStream(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError


def test_closed_output_does_not_stop_the_run() -> None:
    show_events(PlainLines(ClosedStream()), [created(), AttemptStarted()])
    panel = open_screen(is_terminal=True, plain=False, out=ClosedStream())
    show_events(panel, [created(), AttemptStarted()])
    panel.close()


def panel_after(*events: Event, tail: str = "", width: int = 110) -> str:
    out = io.StringIO()
    panel = LivePanel(Console(file=out, force_terminal=True, width=width, color_system=None))
    state = show_events(panel, events)
    time.sleep(0.26)
    panel.alive(state, "job j-7", tail)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    panel.close()
    return shown


def test_panel_shows_time_attempt_score_medal_spend_and_job() -> None:
    shown = panel_after(
        created(cost=20.0), THRESHOLDS, AttemptStarted(), *evaluated(), tail="epoch 1\nepoch 2 [bold]loss[/] 0.1\n"
    )
    for expected in (
        "digits · model demo (demo model, not an LLM) · sandbox bubblewrap",
        "24 h 00 min left",
        "1 of 6",
        "0.9722 ± 0.0061, silver or bronze (estimate from held-out rows)",
        "$0.00 of $20.00",
        "job j-7",
        "epoch 2 [bold]loss[/] 0.1",
    ):
        assert expected in shown


def test_panel_marks_unprotected_labels_in_a_narrow_terminal() -> None:
    shown = panel_after(created(sandbox="local", protects_labels=False), AttemptStarted(), *evaluated(), width=50)
    assert "labels unprotected" in " ".join(shown.replace("│", " ").split())


def test_redraws_are_limited() -> None:
    out = io.StringIO()
    panel = LivePanel(Console(file=out, force_terminal=True, width=100))
    state = show_events(panel, [created(), AttemptStarted()])
    before = len(out.getvalue())
    for _ in range(1000):
        panel.alive(state, "job j-1", "x" * 2000)
    assert len(out.getvalue()) - before < 10_000
    panel.close()
    panel.close()


def test_clock_advances_without_events() -> None:
    out = io.StringIO()
    panel = LivePanel(Console(file=out, force_terminal=True, width=100))
    show_events(panel, [created(), AttemptStarted()])
    before = len(out.getvalue())
    time.sleep(1.6)
    assert len(out.getvalue()) > before
    panel.close()


def test_panel_shows_while_waiting_for_the_model() -> None:
    assert "no score yet" in panel_after(created(), AttemptStarted(), ModelAsked(request=1, messages=2, size=10))


def test_plain_lines_without_a_terminal_or_on_request() -> None:
    assert isinstance(open_screen(is_terminal=False, plain=False), PlainLines)
    assert isinstance(open_screen(is_terminal=True, plain=True), PlainLines)
    assert isinstance(open_screen(is_terminal=True, plain=False, out=io.StringIO()), LivePanel)


def test_run_without_hours_shows_the_time_used() -> None:
    state = State()
    state.apply(created(hours=None, attempts=None, turns=50))
    rows = dict(rows_of(state, waited=75))
    assert rows["time"] == "1 min 15 s so far"
    assert rows["run"].startswith("attempt 0, turn 0 of 50 of ")


def story(lanes: int) -> list[Event]:
    """A run in which every lane waits for something, with three scored evaluations."""
    events: list[Event] = [created(cost=20.0, hours=8.0), THRESHOLDS, PLAN]
    for lane in range(lanes):
        events.append(AttemptStarted(move="improve" if lane else "draft", lane=lane, attempt=lane + 1))
    for number, score in enumerate((0.94, 0.962, 0.9744), 1):
        started, finished = evaluated(score, name=f"001-{number}")
        verdict = {"verdict": "real", "gain": 0.0124, "gain_noise": 0.0051, "promoted": True} if number > 1 else {}
        events += [started, finished.model_copy(update={"mono": 600.0 * number, **verdict})]
    now = datetime.now(UTC).isoformat()
    running = EvaluationStarted(
        evaluation="001-4", call="c", command="python s.py", commit="d", tree="t", job="e-001-4", attempt=1, at=now
    )
    events += [running, FoldStarted(evaluation="001-4", fold="fold3", job="e-001-4-fold3")]
    events.append(ModelAsked(request=1, messages=2, size=10, at=now))
    return [*events[:-2], *(event.model_copy(update={"mono": 2400.0}) for event in events[-2:])]


PLAN = PlanMade(folds=5, labelled_rows=800, seconds=10.0, allowance=600.0, kept_back=300.0, why="few rows")


def lines_of_panel(state: State, width: int, height: int, tail: str = "") -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    console.print(PanelContent(state, 0.0, {0: "the model is answering, 3 kB so far"}, tail).render(width, height))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_panel_fits_a_small_terminal_with_a_row_for_each_lane(lanes: int) -> None:
    state = fold(story(lanes))
    shown = lines_of_panel(state, 80, 24, tail="\n".join(f"epoch {number}" for number in range(99)))
    assert len(shown) <= 24 - 2 and all(len(line) <= 80 for line in shown)
    assert [f"lane {number + 1}" in "\n".join(shown) for number in range(4)] == [number < lanes for number in range(4)]
    text = " ".join("\n".join(shown).replace("│", " ").split())
    assert "1 draft, turn 0: thinking" in text
    for expected in ("001-3 0.9744 ± 0.0061 gain +0.0124 ± 0.0051 real new best", "gold 0.98", "▁"):
        assert expected in text


def test_what_a_lane_does_is_said_in_words() -> None:
    state = fold(story(1))
    assert re.fullmatch(r"thinking \d+ s; evaluating 001-4 on fold 4 of 5 \d+ s", lane_text(state, 0))
    assert fold_text("fresh1-fold2", state) == "fresh fold 3"
    assert fold_text("", state) == "fold 1 of 5"
    assert fold_text("refit", state) == "all labelled rows"


def test_chart_is_higher_where_the_score_is_better() -> None:
    rows = chart([(10.0, 0.9), (50.0, 0.97)], 100.0, {"gold": 0.98, "bronze": 0.95}, False, 20)
    assert len(rows) == 3
    assert rows[0].endswith("gold 0.98") and "┄" in rows[0]
    assert rows[-1].lstrip()[0] == "▁" and rows[-1].count("█") >= 9
    falling = chart([(10.0, 0.9), (50.0, 0.2)], 100.0, {}, True, 20)
    assert falling[0].rstrip().endswith("█")
    assert chart([], 10.0, {"gold": 1.0}, False, 20) == []
    assert len(chart([(0.0, 0.5)], 0.0, {}, False, 20)) == 3


def test_plain_lines_name_each_step_of_the_final_selection_once(monkeypatch: pytest.MonkeyPatch) -> None:
    out, clock = io.StringIO(), [0.0]
    monkeypatch.setattr("harness.ui.live.time.monotonic", lambda: clock[0])
    screen = PlainLines(out)
    state = show_events(screen, [created(), AttemptStarted(), *evaluated(), AttemptEnded(why="finish")])
    for event in (
        Decided(step="finalists", chosen="001-1", why="of 1"),
        FoldStarted(evaluation="001-1", fold="fresh1-fold0", job="j"),
    ):
        state.apply(event)
        screen.show(state, event)
        for _ in range(8):
            clock[0] += 0.5
            screen.alive(state, "", "")
    lines = [line.split("  ", 1)[1] for line in out.getvalue().splitlines()][-2:]
    assert lines[0] == "final selection: after the step 'finalists'"
    assert lines[1] == "final selection: running 001-1 on fresh fold 1 again"
