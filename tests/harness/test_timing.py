"""Time of an attempt, what the model is told of it, and progress lines of jobs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.timing.attempt_time import attempt_seconds
from harness.timing.progress import read_progress
from runs.events.registry import AttemptEnded, EvaluationFinished, EvaluationStarted, ToolFinished
from runs.run_settings import RunSettings
from runs.state import State, fold
from runs.versions.changes import describe_settings, fingerprint, is_settings_only
from tests.playing import call, events_of, harness_here, only_run, reply, with_digits
from tests.servers.chat_server import ChatServer, Message


def evaluated(seconds: float) -> State:
    base: dict[str, Any] = {"commit": "a" * 40, "tree": "b" * 40, "evaluation": "001-1", "attempt": 1}
    started = EvaluationStarted(call="c", command="python s.py", job="e-001-1", **base)
    return fold([started, EvaluationFinished(status="scored", score=0.8, seconds=seconds, **base)])


@pytest.mark.parametrize(
    ("hours", "seconds", "expected"),
    [
        (24.0, 60.0, 24 * 3600 / 20),
        (2.0, 60.0, 20 * 60.0),  # at least 20 minutes
        (24.0, 3000.0, 4 * 3000.0),  # and 4 evaluations
        (24.0, 9000.0, 24 * 3600 / 6),  # at most a sixth of the run
        (0.5, 60.0, 5 * 60.0),
    ],
)
def test_time_of_an_attempt(hours: float, seconds: float, expected: float) -> None:
    assert attempt_seconds(RunSettings(hours=hours), evaluated(seconds)) == pytest.approx(expected)


def test_time_of_an_attempt_can_be_set_and_is_unlimited_without_hours() -> None:
    assert attempt_seconds(RunSettings(attempt_hours=0.5), State()) == 1800
    assert attempt_seconds(RunSettings(hours=None), State()) == float("inf")


@pytest.mark.parametrize(
    ("output", "share"),
    [
        ("Epoch 3/50 loss 0.4\nEpoch 4/50 loss 0.3\n", 4 / 50),
        ("epoch: 7 of 10\n", 0.7),
        ("fold 2/5\n", 0.4),
        ("Fold 2/5\nepoch 10/20\n", 1.5 / 5),
        ("fold 1/5\nEpoch 1/10\n 50%|#####     | 30/60 [00:30<00:30,  1.00it/s]", 0.05 / 5),
        ("\r  0%|  | 0/100 [00:00<?]\r 12%|#1 | 12/100 [00:30<03:40, 2.5s/it]", 0.12),
        ("[LightGBM] iteration 300/1000", 0.3),
        ("Epoch 3/50\n  6%|#  | 3/50 [00:30<03:40]", 3 / 50),  # the same loop twice
        ("score 0.97, saved 3/4 of it to a/b", None),
        ("nothing to see", None),
        ("epoch 9/3", None),
    ],
)
def test_progress_is_read_from_a_jobs_output(output: str, share: float | None) -> None:
    progress = read_progress(output)
    assert (progress.share if progress else None) == (None if share is None else pytest.approx(share))


@given(st.text(max_size=300))
def test_any_output_gives_a_share_or_nothing(output: str) -> None:
    progress = read_progress(output)
    assert progress is None or 0 <= progress.share <= 1


def test_the_time_left_needs_some_progress() -> None:
    progress = read_progress("epoch 5/50")
    assert progress is not None and progress.seconds_left(120) == pytest.approx(1080)
    assert progress.seconds_left(30) is None
    early = read_progress("epoch 1/1000")
    assert early is not None and early.seconds_left(600) is None


# ------------------------------------------------------------------------------------------------------------- in a run


def test_the_model_reads_each_share_once_and_an_attempt_over_its_time_ends(tmp_path: Path) -> None:
    """A run of an hour whose attempts have 5 seconds: 50, 70, 85 and 100 % are shown once each, then it is ended."""
    home = with_digits(tmp_path / "home")

    def script(request: dict[str, Any]) -> Message:
        step = sum(message["role"] == "assistant" for message in request["messages"])
        if step == 0:
            return reply("first", call("evaluate", command="cp data/sample_submission.csv submission.csv"), tag="0")
        return reply(f"{step}", call("bash", command=f"sleep 0.4; echo {step}"), tag=str(step))

    options = ["--attempts", "1", "--parallel", "1", "--sandbox", "local", "--plain", "--hours", "1"]
    options += ["--set", f"attempt_hours={5 / 3600}", "--set", "fold_share=0"]
    with ChatServer(script, piece=100_000) as server:
        code, printed = harness_here(home, "run", "digits", "--model", "m", "--base-url", server.url, *options)
    assert code == 0, printed
    events = events_of(only_run(home))
    assert [event.why for event in events if isinstance(event, AttemptEnded)] == ["time"]
    told = [(name, event.content) for event in events if isinstance(event, ToolFinished) for name in event.told]
    names = [name for name, _ in told]
    assert names == sorted(set(names), key=names.index) and names[-1] == "attempt 100"
    assert {"attempt 70", "attempt 85"} & set(names)
    for name, content in told:
        notes = content.partition("<harness>")[2]
        assert (
            "used up" in notes if name == "attempt 100" else re.search(r"\d+ % of this attempt's time is gone", notes)
        )
    assert any("1 evaluation took" in content and "would fit" in content for _, content in told)


def test_a_job_that_cannot_end_in_time_is_offered_for_a_kill(tmp_path: Path) -> None:
    home = with_digits(tmp_path / "home")
    jobs: list[str] = []

    def script(request: dict[str, Any]) -> Message:
        step = sum(message["role"] == "assistant" for message in request["messages"])
        result = str(request["messages"][-1]["content"])
        if found := re.search(r"job ([\w-]+)", result):
            jobs.append(found[1])
        steps = [
            call("bash", command="echo epoch 3/100; sleep 60", wait_seconds=0),
            call("bash", command="sleep 1; echo looking"),
            call("kill", job=jobs[0] if jobs else "none"),
            call("finish", did="killed it"),
        ]
        return reply(f"{step}", steps[min(step, 3)], tag=str(step))

    options = ["--attempts", "1", "--parallel", "1", "--sandbox", "local", "--plain", "--hours", "1"]
    options += ["--set", f"attempt_hours={12 / 3600}"]
    with pytest.MonkeyPatch.context() as patch, ChatServer(script, piece=100_000) as server:
        patch.setattr("harness.timing.progress.LEAST_SECONDS", 0.5)
        code, printed = harness_here(home, "run", "digits", "--model", "m", "--base-url", server.url, *options)
    assert code == 0, printed
    finished = [event for event in events_of(only_run(home)) if isinstance(event, ToolFinished)]
    offers = [event for event in finished if any(name.startswith("job ") for name in event.told)]
    assert len(offers) == 1 and "`epoch 3/100`" in offers[0].content and "cannot end in time" in offers[0].content


# ------------------------------------------------------------------------------------------------ what a patch changes

TUNED = """diff --git a/solution.py b/solution.py
index 111..222 100644
--- a/solution.py
+++ b/solution.py
@@ -1,2 +1,2 @@
-model = Forest(n_estimators=100, bootstrap=True)
-rate = 1e-3
+model = Forest(n_estimators=300, bootstrap=False)
+rate = 5e-4
"""


def test_changes_of_settings_only_are_recognised_and_described() -> None:
    assert is_settings_only(TUNED)
    assert "`rate = 1e-3` -> `rate = 5e-4`" in describe_settings(TUNED)
    assert not is_settings_only(TUNED.replace("+rate = 5e-4", "+rate = schedule(5e-4)"))
    assert not is_settings_only(TUNED + "+import numpy\n")
    assert not is_settings_only("")
    assert not is_settings_only(TUNED.replace("+model = Forest", "+model = Boosting"))


def test_equal_changes_have_equal_fingerprints_wherever_they_stand() -> None:
    moved = TUNED.replace("index 111..222", "index 333..444").replace("@@ -1,2 +1,2 @@", "@@ -9,2 +9,2 @@\n context")
    assert fingerprint(TUNED) == fingerprint(moved) != ""
    assert fingerprint(TUNED) != fingerprint(TUNED.replace("5e-4", "6e-4"))
    assert fingerprint("") == ""
