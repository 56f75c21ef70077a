"""Solutions in steps, played in runs: what is run again and what is not, and attacks through steps."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

from harness.evaluation.steps.cache import StepRecord
from runs.events.registry import EvaluationStarted, FoldFinished, JobFinished, ToolFinished
from tests.harness.judged_runs import Step, evaluate_results, evaluations, played, script, side, two_numbers
from tests.playing import call, events_of, harness, only_run, start_harness, wait_until
from tests.servers.chat_server import ChatServer

TRAIN = """import csv, pickle, sys
rows = list(csv.DictReader(open("data/train.csv")))
weight = WEIGHT * sum(float(row[sys.argv[1]]) * (2 * int(row["y"]) - 1) for row in rows) / len(rows)
pickle.dump(weight, open(f"models/{sys.argv[1]}.pkl", "wb"))
open("MARKS" + sys.argv[1], "a").write("x")
print("cv accuracy: 0.61")
"""
BLEND = """import csv, pickle
a, b = (pickle.load(open(f"models/{name}.pkl", "rb")) for name in "ab")
rows = list(csv.DictReader(open("data/test.csv")))
with open("submission.csv", "w", newline="") as file:
    made = ([row["key"], int(a * float(row["a"]) + b * float(row["b"]) > 0)] for row in rows)
    csv.writer(file).writerows([["key", "y"], *made])
"""
SEEN = "cksum < data/train.csv > seen.txt"
SAME = "cksum < data/train.csv | diff - seen.txt && python blend.py"


def stack() -> list[dict[str, object]]:
    """Two models, a note of the rows they were trained on, and a blend that fails where these are others."""
    return [
        {"command": "python train.py a", "uses": ["train.py"], "makes": ["models/a.pkl"]},
        {"command": "python other.py b", "uses": ["other.py"], "makes": ["models/b.pkl"]},
        {"command": SEEN, "uses": [], "makes": ["seen.txt"]},
        {"command": f"{SAME}; echo poison > models/a.pkl", "uses": ["blend.py", "models", "seen.txt"]},
    ]


def written(home: Path, weight: float = 1.0) -> list[dict[str, object]]:
    """Calls that write the stack's files; `weight` is that of its second model."""
    source = TRAIN.replace("MARKS", f"{home}/marks-")
    return [
        call("write_file", path="train.py", content=source.replace("WEIGHT", "1.0")),
        call("write_file", path="other.py", content=source.replace("WEIGHT", str(weight))),
        call("write_file", path="blend.py", content=BLEND),
    ]


def test_only_the_changed_model_of_a_stack_is_trained_again_on_every_fold(tmp_path: Path) -> None:
    spoil = f"for file in {tmp_path}/runs/*/step_cache/fold0/files/*; do echo >> $file; done"
    events = played(
        tmp_path,
        two_numbers(tmp_path / "side", side, train=160),  # three folds
        [*written(tmp_path), call("evaluate", steps=stack())],
        [*written(tmp_path, 0.9), call("evaluate", steps=stack())],
        [*written(tmp_path, 0.9), call("evaluate", steps=stack())],
        [*written(tmp_path, 0.8), call("bash", command=spoil), call("evaluate", steps=stack())],
    )
    first, second, third = evaluations(events)
    assert (first.folds, second.folds, third.folds) == (3, 3, 3), "a fold with rows of another would fail"
    assert [step.cached_from for step in first.steps] == ["", "", "", ""]
    assert [step.cached_from for step in second.steps] == ["001-1", "", "001-1", ""]
    assert second.spent_seconds is not None and second.spent_seconds < second.seconds
    assert second.seconds == pytest.approx(sum(step.seconds for step in second.steps))
    assert second.steps[0].seconds == first.steps[0].seconds, "the uncached time is that of the last real run"
    assert [step.cached_from for step in third.steps] == ["", "", "", ""], "damaged results are not used"
    assert "damaged" in third.steps[0].notes[0]
    folds = {(e.evaluation, e.fold): e for e in events if isinstance(e, FoldFinished)}
    assert all([s.cached_from for s in folds["001-2", f"fold{n}"].steps] == ["001-1", "", "001-1", ""] for n in (1, 2))
    finals = [e for (_, fold), e in folds.items() if fold.startswith("fresh")]
    assert finals and all(not step.cached_from for e in finals for step in e.steps), "finalists run without the cache"
    # Model a: 3 folds, fold 0 again where the cache was damaged, and the final selection.
    assert len((tmp_path / "marks-a").read_text()) == 4 + len(finals)
    assert len((tmp_path / "marks-b").read_text()) == 9 + len(finals)
    texts = evaluate_results(events)
    assert "step 1 of 4: cached from 001-1" in texts[1] and "own score" in texts[1]
    assert texts[2].startswith("evaluation 001-2"), "the same files and steps are answered with the earlier result"
    started = [event for event in events if isinstance(event, EvaluationStarted)]
    assert len(started) == 3 and "train.py a && python other.py b" in started[0].command
    jobs = Counter(event.job for event in events if isinstance(event, JobFinished))
    assert jobs["e-001-1"] == jobs["e-001-2"] == 1
    log = (only_run(tmp_path) / "jobs" / ".logs" / "e-001-2" / "log").read_text()
    assert log.count("cv accuracy") == 2 and "[step 1, cached from 001-1: python train.py a]" in log


def one(command: str, *makes: str, then: str = "true", uses: tuple[str, ...] = ()) -> list[dict[str, object]]:
    """A call that evaluates two steps."""
    return [
        call(
            "evaluate",
            steps=[{"command": command, "uses": [], "makes": list(makes)}, {"command": then, "uses": list(uses)}],
        )
    ]


ATTACKS: dict[str, tuple[Step, tuple[str, ...]]] = {
    "reads code that it did not declare": (
        one("cat sec*.py > m.txt", "m.txt"),
        ("step 1 of 2 did not succeed", "`uses` leaves out secret.py"),
    ),
    "reads what another step made": (
        one("echo 1 > m.txt", "m.txt", then="cat m.* > submission.csv"),
        ("step 2 of 2 did not succeed", "No such file"),
    ),
    "hands something on that it did not declare": (
        one("echo 1 | tee m.txt extra.txt .hidden", "m.txt", then="cat ext* .hid*", uses=("m.txt",)),
        ("step 2 of 2 did not succeed", "not in `makes`: .hidden, extra.txt"),
    ),
    "makes a link to /proc": (one("ln -s /proc/self/environ m.txt", "m.txt"), ("m.txt as a symbolic link",)),
    "makes a link to the data": (one("ln -s data/train.csv m.csv", "m.csv"), ("m.csv as a symbolic link",)),
    "makes its folder a link": (
        one("rmdir models; ln -s data models", "models/train.csv"),
        ("step 1 of 2 failed", "it made no models/train.csv"),
    ),
    "leaves a hard link": (one("echo 1 > x; ln x m.txt", "m.txt"), ("m.txt as a hard link",)),
    "leaves a pipe": (one("mkfifo m.txt", "m.txt"), ("m.txt, which is not a regular file",)),
    "makes too much": (one("head -c 30000000 /dev/zero > m.bin", "m.bin"), ("m.bin has 30,000,000 bytes",)),
    "makes a sparse file": (one("truncate -s 18G m.bin", "m.bin"), ("m.bin has 19,327,352,832 bytes",)),
    "makes many files": (one("mkdir m; cd m; seq 21000 | xargs touch", "m/"), ("more than 20,000 files",)),
    "uses what is not made": (
        one("touch a.npy", "*.npy", then="cat b.npy", uses=("b.npy",)),
        ("step 2 of 2 uses b.npy, which no earlier step made",),
    ),
    "takes too long": ([call("evaluate", steps=[{"command": "sleep 60"}], minutes=0.02)], ("its time was over",)),
    "has a trained file": (
        [call("bash", command="echo 1 > model.pkl"), call("evaluate", command="cp model.pkl submission.csv")],
        ("model.pkl (no code or settings)", '"makes"', "cannot stat 'model.pkl'"),
    ),
}


@pytest.mark.parametrize("sandbox", [pytest.param("local", marks=pytest.mark.slow), "bubblewrap"])
def test_every_attack_through_steps_fails_with_a_sentence(sandbox: str, tmp_path: Path) -> None:
    secret = [call("write_file", path="secret.py", content="x = 1\n")]
    flags = ("--sandbox", sandbox, "--set", "workspace_bytes=20000000")
    task = two_numbers(tmp_path / "side", side)
    events = played(tmp_path, task, secret, *(steps for steps, _ in ATTACKS.values()), flags=flags)
    texts = [event.content for event in events if isinstance(event, ToolFinished) and event.name == "evaluate"]
    for (name, (_, facts)), text in zip(ATTACKS.items(), texts, strict=True):
        assert all(fact in text for fact in facts), f"{name}:\n{text}"
    assert all(event.status in ("failed", "timeout") for event in evaluations(events))
    kept = [StepRecord.model_validate_json(path.read_bytes()) for path in only_run(tmp_path).rglob("results/*.json")]
    assert {tuple(record.files) for record in kept} == {("m.txt",), ("a.npy",)}, "nothing else was cached"


@pytest.mark.slow
def test_a_finished_step_is_not_run_again_after_a_kill(tmp_path: Path) -> None:
    slow = {"command": "sleep 4; python blend.py", "uses": ["blend.py", "models"]}
    steps = [*written(tmp_path), call("evaluate", steps=[*stack()[:2], slow])]
    with ChatServer(script(steps), piece=1000) as server:
        flags = ["--model", "scripted", "--base-url", server.url, "--sandbox", "local", "--plain", "--attempts", "1"]
        options = [*flags, "--set", "fold_share=0", "--hours", "0.02"]
        process = start_harness(tmp_path, "run", str(two_numbers(tmp_path / "side", side)), *options)
        wait_until(lambda: bool(list(tmp_path.glob("runs/*/evaluations/001-1/fold0/workspace/step-3"))))
        process.send_signal(signal.SIGKILL)
        process.wait()
        code, printed = harness(tmp_path, "resume", "last", "--plain")
    assert code == 0, printed
    (result,) = evaluations(events_of(only_run(tmp_path)))
    assert result.status == "scored" and [step.cached_from for step in result.steps] == ["", "", ""]
    assert result.spent_seconds == pytest.approx(result.seconds)
    assert not (only_run(tmp_path) / "evaluations" / "001-1" / "fold0" / "workspace").exists()
    fresh = [e for e in events_of(only_run(tmp_path)) if isinstance(e, FoldFinished)]
    assert len((tmp_path / "marks-a").read_text()) == 1 + len(fresh)
