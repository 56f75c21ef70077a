"""The search in a run: all five moves with what the model reads of each, its own wishes, and policies that fail."""

from __future__ import annotations

import itertools
import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from harness import errors
from runs.events.registry import AttemptEnded, AttemptStarted, Event, MoveChosen, Warned
from runs.state import fold
from runs.versions.commits import Versions
from tests.harness.decisions import assert_decisions_repeat
from tests.playing import (
    call,
    events_of,
    harness_here,
    only_run,
    reply,
    start_harness,
    turns_asked,
    wait_until,
    with_digits,
)
from tests.servers.chat_server import ChatServer, Message

SHORT_STORY = """from harness.search.tree import Tree


class Short(Tree):
    def __init__(self):
        super().__init__(drafts=2, quiet=4, combine_from=0.2, last=0.2, short_run=0.0)
"""
SOLUTION = """import csv
PIXELS = 0  # the digit whose mean image is nearest, by the first pixels
def read(name):
    with open(f"data/{name}.csv", newline="") as file:
        return list(csv.reader(file))
train, test, sample = read("train"), read("test"), read("sample_submission")
names = [n for n in train[0] if n.startswith("pixel")][:PIXELS]
at, label = [train[0].index(n) for n in names], train[0].index(sample[0][1])
sums, counts = {}, {}
for row in train[1:]:
    total = sums.setdefault(row[label], [0.0] * len(at))
    counts[row[label]] = counts.get(row[label], 0) + 1
    for i, a in enumerate(at):
        total[i] += float(row[a])
means = {k: [v / counts[k] for v in s] for k, s in sums.items()}
at = [test[0].index(n) for n in names]
with open("submission.csv", "w", newline="") as file:
    out = csv.writer(file)
    out.writerow(sample[0])
    for row in test[1:]:
        x = [float(row[a]) for a in at]
        out.writerow([row[0], min(means, key=lambda k: sum((p - q) ** 2 for p, q in zip(means[k], x)))])
"""
PIXELS = {1: 50, 2: 10, 3: 25, 4: 0, 5: 49, 6: 64, 7: 63, 8: 62}
"""How many pixels the solution of each attempt uses; that of attempt 4 fails."""
WISHES = {2: "002-1", 3: "777-1"}


def solution(attempt: int) -> str:
    text = SOLUTION.replace("PIXELS = 0", f"PIXELS = {PIXELS[attempt]}")
    return f"raise ValueError('forgot the pixels')\n{text}" if attempt == 4 else text


def first_message(request: dict[str, Any]) -> str:
    return str(request["messages"][1]["content"]) if request["messages"][1:] else ""


def engineer(request: dict[str, Any]) -> Message:
    """Look at `parents/`, write the solution of the attempt, evaluate it, finish."""
    found = re.findall(r"^attempt: (\d+)$", first_message(request), re.MULTILINE)
    if not found:
        return {"content": "ok"}
    attempt = int(found[-1])
    step = sum(message["role"] == "assistant" for message in request["messages"])
    end = {"did": f"used {PIXELS[attempt]} pixels", "criticism": "a toy", "next": "more"}
    if attempt in WISHES:
        end["continue_from"] = WISHES[attempt]
    steps = [
        [call("bash", command=f"ls -R parents; echo step {attempt}")],
        [
            call("write_file", path="solution.py", content=solution(attempt)),
            call("evaluate", command="python solution.py"),
        ],
        [call("finish", **end)],
    ]
    return reply(f"step {step} of attempt {attempt}", *steps[min(step, 2)], tag=f"{attempt}_{step}")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A run of eight attempts under a user's own policy: its folder, and the requests of its model."""
    home = with_digits(tmp_path_factory.mktemp("story") / "home")
    policy = home / "short.py"
    policy.write_text(SHORT_STORY)
    options = [
        "--attempts",
        "8",
        "--parallel",
        "1",
        "--sandbox",
        "local",
        "--plain",
        "--search",
        f"{policy}:Short",
        "--set",
        "fold_share=0",
    ]
    with ChatServer(engineer, piece=100_000) as server:
        code, printed = harness_here(home, "run", "digits", "--model", "m", "--base-url", server.url, *options)
        assert code == 0, printed
        requests = [one.json for one in turns_asked(server)]
    policy.unlink()  # the run has its own copy
    return only_run(home), requests


def moves(events: list[Event]) -> list[str]:
    return [event.move for event in events if isinstance(event, AttemptStarted)]


def chosen(events: list[Event]) -> list[MoveChosen]:
    return [event for event in events if isinstance(event, MoveChosen)]


def heads(requests: list[dict[str, Any]]) -> list[str]:
    """The first message of each attempt."""
    found: dict[str, str] = {}
    for request in requests:
        text = first_message(request)
        found.setdefault(re.findall(r"^attempt: (\d+)$", text, re.MULTILINE)[-1], text)
    return list(found.values())


def test_all_five_moves_occur_and_each_is_decided_before_it_starts(story: tuple[Path, list[dict[str, Any]]]) -> None:
    events = events_of(story[0])
    assert moves(events) == ["draft", "draft", "improve", "improve", "repair", "combine", "improve", "ensemble"]
    decisions, starts = chosen(events), [event for event in events if isinstance(event, AttemptStarted)]
    for decision, start in zip(decisions, starts, strict=True):
        assert (decision.next, decision.move, decision.parents) == (start.attempt, start.move, start.parents)
        assert decision.seq < start.seq and decision.reasons


def test_the_policy_run_again_over_the_journal_gives_every_recorded_decision(
    story: tuple[Path, list[dict[str, Any]]],
) -> None:
    events = events_of(story[0])
    assert len(chosen(events)) == 8
    assert_decisions_repeat(story[0], events)


def test_the_models_wish_is_granted_or_answered(story: tuple[Path, list[dict[str, Any]]]) -> None:
    events, state = events_of(story[0]), fold(events_of(story[0]))
    third, fourth = chosen(events)[2:4]
    assert third.policy == "model" and third.parents == [state.evaluations["002-1"].commit] and not third.refusal
    assert fourth.policy.endswith("short.py:Short") and fourth.wish == "777-1"
    assert fourth.refusal and f"not done: {fourth.refusal}" in heads(story[1])[3]


def test_the_model_reads_what_its_move_needs(story: tuple[Path, list[dict[str, Any]]]) -> None:
    state, texts = fold(events_of(story[0])), heads(story[1])
    for text, attempt in zip(texts, state.attempts, strict=True):
        assert f"# This attempt: {attempt.move}\n" in text
        assert text.index("# Memory") < text.index("# This attempt") < text.index("# State")
    assert "forgot the pixels" in texts[4] and "004-1: failed" in texts[4], "a repair reads the error"
    combined = texts[5]
    donor = next(e for e in state.evaluations.values() if e.commit == state.attempts[5].parents[1])
    assert f"evaluation {donor.id}" in combined and "-PIXELS = 10" in combined and "+PIXELS = 25" in combined
    members = state.attempts[7].parents
    assert len(members) == 2 and all(commit[:10] in texts[7] for commit in members)


def test_files_of_other_parents_are_readable_and_in_no_commit(story: tuple[Path, list[dict[str, Any]]]) -> None:
    state = fold(events_of(story[0]))
    for number in (6, 8):
        other = next(e for e in state.evaluations.values() if e.commit == state.attempts[number - 1].parents[1])
        listed = next(
            str(message["content"])
            for request in story[1]
            for message in request["messages"]
            if message["role"] == "tool" and f"step {number}" in str(message["content"])
        )
        assert f"parents/{other.id}" in listed and "solution.py" in listed
        commit = state.evaluations_in(number)[0].commit
        assert set(Versions(story[0] / "repo.git").files(commit)) == {"solution.py", "solution.json"}


def test_the_cached_prefix_of_the_first_message_survives_a_new_move(story: tuple[Path, list[dict[str, Any]]]) -> None:
    texts = heads(story[1])
    # The first score plans the time kept back, and so moves the deadline once.
    for before, after in itertools.pairwise(texts[1:]):
        assert after.startswith(before[: before.index("# Memory")]), "the move stands after the memory"


def test_show_tells_the_story(story: tuple[Path, list[dict[str, Any]]]) -> None:
    code, printed = harness_here(story[0].parents[1], "show", story[0].name)
    assert code == 0
    for decision in chosen(events_of(story[0])):
        assert f"move of attempt {decision.next}, chosen by {decision.policy}: {decision.move}" in printed
        assert all(reason in printed for reason in decision.reasons)
    assert "the model asked to continue from evaluation 777-1; refused" in printed


# ----------------------------------------------------------------------------------------------- policies that fail

BROKEN = """from harness.search.moves import Move


class Raises:
    def choose(self, state, seed):
        raise RuntimeError("no idea")


class Invents:
    def choose(self, state, seed):
        return Move("improve", ("f" * 40,))


class SaysNothing:
    def choose(self, state, seed):
        return Move("draft", reasons=None)


class Hangs:
    def choose(self, state, seed):
        if state.lane == 1:
            __import__("time").sleep(3600)
        return Move("draft", reasons=("first",))
"""


@pytest.mark.parametrize("name", ["Raises", "Invents", "SaysNothing"])
def test_a_run_goes_on_with_greedy_where_the_policy_fails(name: str, tmp_path: Path) -> None:
    home = with_digits(tmp_path / "home")
    (home / "broken.py").write_text(BROKEN)

    def script(request: dict[str, Any]) -> Message:
        step = sum(message["role"] == "assistant" for message in request["messages"])
        steps = [
            [call("evaluate", command="cp data/sample_submission.csv submission.csv")],
            [call("finish", did="copied")],
        ]
        return reply("step", *steps[min(step, 1)], tag=str(step))

    options = [
        "--attempts",
        "2",
        "--parallel",
        "1",
        "--sandbox",
        "local",
        "--plain",
        "--search",
        f"{home}/broken.py:{name}",
    ]
    options += ["--set", "fold_share=0"]
    with ChatServer(script, piece=100_000) as server:
        code, printed = harness_here(home, "run", "digits", "--model", "m", "--base-url", server.url, *options)
    assert code == 0, printed
    events = events_of(only_run(home))
    assert moves(events) == ["draft", "improve"]
    assert {decision.policy for decision in chosen(events)} == {"greedy"}
    warnings = [event.message for event in events if isinstance(event, Warned)]
    assert sum(f"{name} failed" in message for message in warnings) == 2


@pytest.mark.slow
def test_a_policy_that_hangs_holds_up_neither_the_other_lanes_nor_a_stop(tmp_path: Path) -> None:
    home = with_digits(tmp_path / "home")
    (home / "broken.py").write_text(BROKEN)
    with ChatServer(engineer, piece=100_000) as server:
        options = ["--model", "m", "--base-url", server.url, "--sandbox", "local", "--plain", "--attempts", "8"]
        options += ["--search", f"{home}/broken.py:Hangs", "--parallel", "2", "--set", "stop_seconds=1"]
        process = start_harness(home, "run", "digits", *options)
        wait_until(lambda: any(isinstance(event, AttemptEnded) for event in events_so_far(home)))
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == errors.STOPPED, printed
    assert time.monotonic() - begun < 10
    assert moves(events_of(only_run(home))) == ["draft"]


def events_so_far(home: Path) -> list[Event]:
    """The events of the run that is being started or played."""
    folders = [path for path in (home / "runs").glob("[!.]*") if (path / "events.jsonl").exists()]
    return events_of(folders[0]) if folders else []


@pytest.mark.parametrize("search", ["mcts", "nowhere.py:Policy"])
def test_an_unknown_policy_is_refused_before_there_is_a_run(search: str, tmp_path: Path) -> None:
    code, printed = harness_here(with_digits(tmp_path / "home"), "run", "digits", "--search", search)
    assert code == 2 and search.split(":")[0] in printed
    assert not (tmp_path / "home" / "runs").exists() or not list((tmp_path / "home" / "runs").iterdir())


def test_a_task_file_may_not_name_a_policy_of_its_own_without_trust(tmp_path: Path) -> None:
    home = with_digits(tmp_path / "home")
    harness_here(home, "tasks", "digits")
    task = next(path for path in home.rglob("task.yaml") if path.parent.name == "digits")
    (home / "policy.py").write_text(BROKEN)
    text = task.read_text()
    task.write_text(f"{text}\nrun:\n  search: {home}/policy.py:Raises\n")
    code, printed = harness_here(home, "config", str(task))
    assert code == 2 and "--trust-task" in printed
    task.write_text(f"{text}\nrun:\n  search: greedy\n")
    code, printed = harness_here(home, "config", str(task))
    assert code == 0, json.dumps(printed)
