"""A window that is shortened repeatedly loses no fact, and recall finds what left it.

Whole runs in this process, at an engine that caches and renders as real ones do.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from context.notebook import Notebook
from context.window import Window
from harness.commands.usage_tables import show_cost, show_epochs
from harness.parsing.repair_history import check_history
from harness.startup import open_run
from harness.ui.live import open_screen
from runs.events.registry import (
    CheckpointTaken,
    CompactionConsidered,
    EpochStarted,
    Event,
    ModelAsked,
    ModelReplied,
    RunEnded,
    ToolFinished,
)
from runs.journal import read_events
from runs.serialization import link_of
from runs.state import fold
from runs.usage.cache import measure_cache
from tests.long_play import Calls, Played, Worker, engine_of, play, settings_of
from tests.playing import SOLUTION, call, only_run

SMALL = 20_000
"""Tokens of a window that fills within twenty turns."""


def reading(turn: int) -> Calls:
    return [call("read_file", path="data/train.csv", offset=2 + turn * 7 % 1_100, limit=14 + turn % 5)]


REPORT = 'echo "rows 40"; seq 1 40; case $2 in fail) echo "ValueError: column c_$1 is constant"; exit 1;; esac; \
echo "CV auc 0.8${1}1"'


def planted(number: int) -> str:
    """What the `number`-th program prints: its score, or of each fourth an error that nobody solves."""
    return f"CV auc 0.8{number}1" if number % 4 else f"ValueError: column c_{number} is constant"


def training(turn: int) -> Calls:
    """Each tenth of the first 160 turns runs a program, three of the first turns evaluate."""
    if turn in (3, 6, 9):
        return [
            call("write_file", path="solution.py", content=SOLUTION.replace("GUESS = 0", f"GUESS = {turn}")),
            call("evaluate", command="python solution.py"),
        ]
    if turn == 1:
        return [call("write_file", path=f"report_{number}.sh", content=REPORT) for number in range(10, 26)]
    if turn % 10 or turn > 160:
        return reading(turn)
    number = 9 + turn // 10
    return [call("bash", command=f"sh report_{number}.sh {number} {'' if number % 4 else 'fail'}")]


@pytest.fixture(scope="module")
def ten_epochs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Played, Worker]:
    home, worker = tmp_path_factory.mktemp("ten"), Worker(training, obeys=lambda turn: turn % 5 != 0)
    return play(home, worker, 260, settings_of(home, window_tokens=SMALL)), worker


def stages(events: list[Event]) -> list[str]:
    return [event.stage for event in events if isinstance(event, EpochStarted) and event.stage]


def test_ten_epochs_keep_scores_and_state_in_the_window(ten_epochs: tuple[Played, Worker]) -> None:
    played, worker = ten_epochs
    assert len(stages(played.events)) >= 10
    assert {"mask", "checkpoint"} <= set(stages(played.events))
    state, message = fold(played.events), worker.window[1]["content"]
    assert len(state.evaluations) == 3
    for evaluation in state.evaluations.values():
        assert (
            f"evaluation {evaluation.id}: scored{f' {evaluation.shown_score}' if evaluation.shown_score else ','}"
            in message
        )
        assert evaluation.commit[:10] in message
    assert (
        state.best
        and f"best: evaluation {state.best.id}, {state.best.shown_score}, commit {state.best.commit[:10]}" in message
    )
    assert f"submission of record: evaluation {state.best.id}" in message
    notebook = fold_window(played.events)[1]
    assert notebook.todos and notebook.decided
    before_last = [event for event in played.events if isinstance(event, CheckpointTaken)][:-1]
    for taken in before_last:
        assert all(text in message for text in taken.decided)


def test_ten_epochs_keep_facts_of_the_first_rank_in_the_window(ten_epochs: tuple[Played, Worker]) -> None:
    played, worker = ten_epochs
    window = json.dumps(worker.window, ensure_ascii=False)
    held = sum(planted(number) in window for number in range(10, 26))
    print(f"{held} of 16 results and errors after {len(stages(played.events))} epochs")
    assert held == 16


def test_nothing_is_repeated_after_a_checkpoint(ten_epochs: tuple[Played, Worker]) -> None:
    played, worker = ten_epochs
    window = json.dumps(worker.window, ensure_ascii=False)
    last = [event for event in played.events if isinstance(event, CheckpointTaken)][-1]
    for words in [*last.done, *last.decided, *(todo.partition(": ")[2] for todo in last.todo)]:
        assert window.count(words) == 1, words
    assert all("Your next call must be `checkpoint`" not in str(one["content"]) for one in worker.window[2:-1])


def test_small_window_has_no_flush_and_stays_within_its_limit(ten_epochs: tuple[Played, Worker]) -> None:
    played, _ = ten_epochs
    sums = measure_cache(played.events)
    assert sums.flushes == 0 and sums.alarms == 0
    assert all(one.extends or turn.opens for one, turn in zip(played.engine.served, sums.turns, strict=True))
    assert all(one.thoughts_kept == one.thoughts_sent for one in played.engine.served)
    assert max(one.prompt for one in played.engine.served) < SMALL


def test_show_prints_cost_and_epochs(ten_epochs: tuple[Played, Worker], capsys: pytest.CaptureFixture[str]) -> None:
    played, _ = ten_epochs
    show_cost(played.folder)
    show_epochs(played.folder)
    printed = capsys.readouterr().out
    assert printed.count("compaction mask") == 2 * stages(played.events).count("mask")
    assert "checkpoint requested: " in printed and "turns left: saves $0." in printed
    assert "0 undeclared flushes, 0 alarms" in printed
    assert "0 undeclared flushes" in (played.folder / "report.md").read_text()


def test_show_epochs_explains_unchanged_windows_in_few_events(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    played = play(tmp_path, Worker(reading), 20, settings_of(tmp_path, window_tokens=SMALL))
    left = [event for event in played.events if isinstance(event, CompactionConsidered) and event.stage == "none"]
    show_epochs(played.folder)
    printed = capsys.readouterr().out
    assert left and "unchanged  " in printed and left[-1].why[:120] in " ".join(printed.split())
    assert printed.count("unchanged  ") <= len(stages(played.events)) + 1
    reasons = [(event.why.partition(":")[0]) for event in left]
    assert len(reasons) == len(set(reasons)), "within 25 turns each reason is recorded once"
    assert sum(len(event.model_dump_json()) for event in left) < 1_500


def fold_window(events: list[Event]) -> tuple[Window, Notebook]:
    window, notebook = Window(), Notebook()
    for event in events:
        window.apply(event)
        notebook.apply(event)
    return window, notebook


def test_fold_from_scratch_rebuilds_every_request(ten_epochs: tuple[Played, Worker]) -> None:
    played, worker = ten_epochs
    window, asked = Window(), 0
    for event in played.events:
        if isinstance(event, ModelAsked):
            asked += 1
            assert window.digest(event.messages) == event.digest
            messages = [json.loads(message) for message in (window.system, *window.messages)]
            assert check_history(messages) == ()
            if asked == 260:
                assert messages == worker.window
        window.apply(event)
    assert window.breaches == 0 and asked == 260


# -------------------------------------------------------------------------------------------------------------- needles


def needles(turn: int) -> Calls:
    """Sixty outputs of the first 240 turns contain a fact each; sixty turns recall them, oldest first."""
    if 240 < turn <= 300:
        return [call("recall", query=f"passphrase heron {turn - 240}", max_tokens=300)]
    if turn % 4 or turn > 300:
        return reading(turn)
    return [call("bash", command=f"seq 1 30; echo pass''phrase of heron {turn // 4} is $(({turn // 4} * 7919 + 13))")]


def test_recall_finds_sixty_planted_facts_in_one_call_each(tmp_path: Path) -> None:
    worker = Worker(needles, obeys=lambda turn: turn <= 240 and turn % 4 != 0)
    played = play(tmp_path, worker, 340, settings_of(tmp_path, window_tokens=SMALL))
    answers = [event for event in played.events if isinstance(event, ToolFinished) and event.name == "recall"]
    recalled = sum(f"is {number * 7919 + 13}\n" in answers[number - 1].content + "\n" for number in range(1, 61))
    in_window = sum(f"is {number * 7919 + 13}" in json.dumps(worker.window[:-1]) for number in range(1, 61))
    print(
        f"{recalled} of 60 found by recall in one call, {in_window} in the window; {len(stages(played.events))} epochs"
    )
    assert recalled == 60


# ----------------------------------------------------------------------------------------------------- ignored requests


def test_two_ignored_checkpoint_requests_close_the_epoch(tmp_path: Path) -> None:
    worker = Worker(reading, obeys=lambda turn: False)
    played = play(tmp_path, worker, 40, settings_of(tmp_path, window_tokens=SMALL))
    asks = [event for event in played.events if isinstance(event, ToolFinished) and event.asks]
    assert stages(played.events)[:2] == ["mask", "automatic"]
    assert len(asks) >= 2
    assert "Your next call must be" not in json.dumps(worker.window[:-1])
    assert measure_cache(played.events).flushes == 0


def forgetful(turn: int, todos: list[str]) -> dict[str, Any]:
    return {"done": [f"work of turn {turn}"], "decided": [], "todo": [] if todos else [f"check turn {turn}"]}


def test_checkpoint_without_an_open_todo_is_taken_and_the_todo_stays_open(tmp_path: Path) -> None:
    played = play(tmp_path, Worker(reading, words=forgetful), 75, settings_of(tmp_path, window_tokens=SMALL))
    taken = [event for event in played.events if isinstance(event, CheckpointTaken)]
    results = [event for event in played.events if isinstance(event, ToolFinished) and event.name == "checkpoint"]
    assert not taken[0].completed and taken[0].todo[0].startswith("todo-1: check turn")
    assert not any(event.failed for event in results)
    assert "Kept open because you did not mention them: todo-1. Open to-dos: todo-1: check turn" in results[1].content
    assert taken[1].completed == taken[0].todo == taken[1].todo
    assert taken[1].todo[0].removeprefix("todo-1: ") == fold_window(played.events)[1].todos["todo-1"]


def test_refused_window_is_shortened_and_the_attempt_continues(tmp_path: Path) -> None:
    played = play(tmp_path, Worker(reading), 60, context_tokens=15_000)
    epochs = [event for event in played.events if isinstance(event, EpochStarted)]
    assert [event.reason for event in epochs][:2] == ["attempt", "overflow"]
    assert len(played.engine.served) == 60 and len(fold(played.events).attempts) == 1
    assert "refused" in epochs[1].why
    assert sum(event.reason == "overflow" for event in epochs) == 1, "the limit was learned"


def test_running_job_does_not_shorten_the_window(tmp_path: Path) -> None:
    def step(turn: int) -> Calls:
        return [call("bash", command="sleep 2", wait_seconds=0)] if turn == 9 else reading(turn)

    played = play(tmp_path, Worker(step), 40, settings_of(tmp_path, window_tokens=SMALL))
    first = next(event for event in played.events if isinstance(event, EpochStarted) and event.stage)
    assert "cache cold" not in first.why and first.fill > 13_000


def test_loop_gets_a_warning_then_an_epoch_then_ends_the_attempt(tmp_path: Path) -> None:
    played = play(tmp_path, Worker(lambda turn: [call("read_file", path="data/none.csv")]), 12)
    results = [event for event in played.events if isinstance(event, ToolFinished)]
    assert "loop: 3 times the same error" in results[2].content
    closed = next(event for event in played.events if isinstance(event, EpochStarted) and event.stage)
    assert closed.seq > results[5].seq and "rejected: 6 times the same error" in closed.rejected[0]
    state = fold(played.events)
    assert state.attempts[0].ended == "loop" and state.attempts[0].turns == 9
    assert len(state.attempts) == 2


# -------------------------------------------------------------------------------------------------- cut off at any step


@pytest.fixture(scope="module")
def short_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("short")
    play(home, Worker(reading), 45, settings_of(home, window_tokens=SMALL))
    return home


def instants(events: list[Event]) -> list[int]:
    """The events after which the run is cut off: around every step of a compaction."""
    near: set[int] = set()
    for event in events:
        asks = isinstance(event, ToolFinished) and (event.asks or event.name == "checkpoint")
        closes = isinstance(event, CheckpointTaken) or (isinstance(event, EpochStarted) and event.stage)
        if asks or closes or event.kind == "compaction_considered":  # type: ignore[attr-defined]
            near |= {event.seq - 1, event.seq, event.seq + 1}
    return sorted(index for index in near if index < len(events) - 4)


def test_resume_after_a_cut_at_any_compaction_step_loses_and_repeats_nothing(short_run: Path, tmp_path: Path) -> None:
    whole, folder = only_run(short_run), tmp_path / "runs" / only_run(short_run).name
    (tmp_path / "data").symlink_to(short_run / "data")
    events = list(read_events(whole))
    assert {"mask", "checkpoint"} <= set(stages(events))
    cuts = instants(events)
    print(f"cut off after {len(cuts)} of {len(events)} events")
    for cut in cuts:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder, ignore=shutil.ignore_patterns(".requests", ".done", "lock*"))
        lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
        (folder / "events.jsonl").write_bytes(b"".join(lines[: cut + 1]))
        worker = Worker(reading)
        with engine_of(tmp_path, worker) as (engine, url):
            serve_at(folder, url)
            open_run.resume(folder, settings_of(tmp_path, window_tokens=SMALL), open_screen(False, True))
        check_resumed(list(read_events(folder)), cut)
        assert all(one.thoughts_kept == one.thoughts_sent for one in engine.served)


def serve_at(folder: Path, url: str) -> None:
    """Point the journal to the engine's new port, and link its lines again."""
    lines, link = [], ""
    for line in (folder / "events.jsonl").read_text().splitlines(keepends=True):
        moved = re.sub(r"http://127\.0\.0\.1:\d+/v1", url, line)
        lines.append(re.sub(r'"prev":"\w*"', f'"prev":"{link}"', moved, count=1))
        link = link_of(lines[-1].encode())
    (folder / "events.jsonl").write_text("".join(lines))


def check_resumed(events: list[Event], cut: int) -> None:
    assert isinstance(events[-1], RunEnded), cut
    assert sum(isinstance(event, ModelReplied) for event in events) == 45, cut
    assert measure_cache(events).flushes == 0 and fold_window(events)[0].breaches == 0, cut
    calls = [event.call for event in events if isinstance(event, CheckpointTaken)]
    answered = [e.call for e in events if isinstance(e, ToolFinished) and e.name == "checkpoint" and not e.failed]
    assert calls == answered and len(set(calls)) == len(calls), cut
    closed = [event for event in events if isinstance(event, EpochStarted) and event.stage == "checkpoint"]
    assert len(closed) == len(calls), f"cut after {cut}: an epoch closed twice or not at all"
    done = [e.call for e in events if isinstance(e, ToolFinished)]
    assert len(done) == len(set(done)), cut


# ---------------------------------------------------------------------------------------------- unusual model behaviour


def test_checkpoint_refused_after_the_second_request_may_be_sent_again(tmp_path: Path) -> None:
    asks = iter([False, True, False, True, *[True] * 50])
    worker = Worker(reading, obeys=lambda turn: next(asks), words=lambda turn, todos: {"done": [], "decided": []})
    again: list[str] = []

    def answer(request: dict[str, Any]) -> Any:
        last = str(request["messages"][-1]["content"])
        if "`done` and `decided` are empty" in last:
            again.append(last)
            number = sum(one["role"] == "assistant" for one in request["messages"]) + 900
            return {
                "content": "",
                "tool_calls": [{"id": f"again_{number}", **call("checkpoint", **forgetful(1, ["T"]))}],
            }
        return worker(request)

    played = play(tmp_path, answer, 60, settings_of(tmp_path, window_tokens=SMALL))
    taken = [event for event in played.events if isinstance(event, CheckpointTaken)]
    assert again and any(event.closes for event in taken)
    assert "automatic" not in stages(played.events)[: len(again) + 3]


def test_exchange_larger_than_the_window_leaves_it(tmp_path: Path) -> None:
    def step(turn: int) -> Calls:
        if turn != 4:
            return reading(turn)
        return [call("read_file", path="data/train.csv", offset=2 + part * 200, limit=190) for part in range(5)]

    played = play(tmp_path, Worker(step), 10, settings_of(tmp_path, window_tokens=SMALL))
    assert set(stages(played.events)) == {"automatic"}
    state = fold(played.events)
    assert len(state.attempts) == 1 and state.attempts[0].turns == 10


def test_endless_checkpoints_do_not_fill_the_first_message(tmp_path: Path) -> None:
    def endless(turn: int, todos: list[str]) -> dict[str, Any]:
        return {"done": ["d " * 50], "decided": ["because " * 1_500], "todo": [*todos, "todo " * 1_500]}

    played = play(tmp_path, Worker(reading, words=endless), 90, settings_of(tmp_path, window_tokens=SMALL))
    heads = [event.user for event in played.events if isinstance(event, EpochStarted)]
    assert len(heads) < 15 and max(map(len, heads)) < 15_000
