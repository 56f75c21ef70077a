"""Facts that outlive turns: scores beside their command, errors until they are solved, and nothing false."""

from __future__ import annotations

import json

import pytest

from context.facts import Facts, result_lines
from runs.events.registry import (
    AttemptStarted,
    Call,
    CheckpointTaken,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    ModelReplied,
    ToolFinished,
    ToolStarted,
)

BASE = {"evaluation": "001-1", "commit": "a" * 40, "tree": "t"}


class Story:
    """Events of an attempt; each gets its number."""

    def __init__(self) -> None:
        self.facts, self.seq = Facts(), 0

    def add(self, *events: Event) -> Story:
        for event in events:
            self.seq += 1
            self.facts.apply(event.model_copy(update={"seq": self.seq}))
        return self

    def run(self, command: str, output: str, name: str = "bash", job: str = "") -> Story:
        self.call(name, {"command": command})
        self.add(*([ToolStarted(call="c", name=name, job=job)] if job else []))
        return self.add(ToolFinished(call="c", name=name, content=output))

    def call(self, name: str, arguments: dict[str, object]) -> Story:
        return self.add(self.reply("", Call(id="c", name=name, arguments=json.dumps(arguments))))

    def reply(self, text: str, *calls: Call) -> ModelReplied:
        return ModelReplied(request=1, message=json.dumps({"content": text}), calls=list(calls))

    def write(self, path: str) -> Story:
        self.call("write_file", {"path": path, "content": "x"})
        return self.add(ToolFinished(call="c", name="write_file", content=f"wrote {path}: 1 bytes"))

    def lines(self) -> list[str]:
        return self.facts.lines()


def test_scores_stand_beside_the_command_that_printed_them() -> None:
    story = Story().run("python train.py --lr 0.03", "exit 0 after 2.0 s\nfold 4 auc 0.85\nCV auc 0.8612\nsaved m.pkl")
    story.run("python train.py --lr 0.1", "exit 0 after 2.0 s\nCV auc 0.8541")
    assert story.lines() == [
        "`python train.py --lr 0.03` printed: CV auc 0.8612 (event 2)",
        "`python train.py --lr 0.1` printed: CV auc 0.8541 (event 4)",
    ]


def test_newest_score_of_a_command_replaces_the_older_one() -> None:
    story = Story().run("python train.py", "exit 0 after 2 s\nCV auc 0.8612").write("train.py")
    assert story.lines() == ["`python train.py` printed: CV auc 0.8612 (event 2; its script changed in event 4)"]
    story.run("python train.py ", "exit 0 after 2 s\nCV auc 0.8700")
    assert story.lines() == ["`python train.py` printed: CV auc 0.8700 (event 6)"]


def test_error_stays_until_its_script_runs() -> None:
    failed = "exit 1 after 1.0 s\nTraceback (most recent call last):\n  x()\nKeyError: 'Age'"
    story = Story().run("python src/train.py --lr 1", failed)
    assert story.lines() == ["`python src/train.py --lr 1` failed, not solved yet: KeyError: 'Age' (event 2)"]
    assert not Story().run("python src/train.py", failed).run("python src/train.py", "exit 0 after 1 s\n").lines()
    story.add(EvaluationStarted(call="e", command="python src/train.py", job="e", **BASE))  # type: ignore[arg-type]
    story.add(EvaluationFinished(status="scored", score=0.5, **BASE))  # type: ignore[arg-type]
    assert not story.lines()


def test_killed_command_is_an_error() -> None:
    story = Story().run("python svm.py", "killed after 1800.0 s: its time was over\nCV auc 0.7")
    assert story.lines() == ["`python svm.py` failed, not solved yet: its time was over (event 2)"]


@pytest.mark.parametrize(
    "words", ["The 0.8612 leaks: the encoder saw all rows.", "Discard the result of event 2.", "0.8612 was a mistake"]
)
def test_retracted_result_is_gone(words: str) -> None:
    story = Story().run("python train.py", "exit 0 after 2 s\nCV auc 0.8612")
    told = CheckpointTaken(call="c", turn=1, decided=[words])
    assert not story.add(told).lines()
    kept = Story().run("python train.py", "exit 0 after 2 s\nCV auc 0.8612")
    assert kept.add(kept.reply("CV 0.8612 is good. The column Fare leaks.")).lines()


def test_output_of_a_job_counts_for_its_command() -> None:
    story = Story().run("python slow.py", "still running as job 00003-0 after 120 s\nCV auc 0.1", job="00003-0")
    assert not story.lines()
    story.run("", "job 00003-0: exit 0 after 300.0 s\nCV auc 0.9012", name="wait")
    assert story.lines() == ["`python slow.py` printed: CV auc 0.9012 (event 5)"]


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("cat notes.md", "exit 0 after 0 s\nbest cv auc 0.99"),
        ("grep -n auc src/train.py", "exit 0 after 0 s\n12: best auc 0.97"),
        ("head -3 oof.csv", "exit 0 after 0 s\nid,score,fold\n1,0.53,2"),
        ("python show.py", "exit 0 after 0 s\nscore = model.score(X, y, 0.5)\nprint('cv', 0.5)"),
        ("python params.py", "exit 0 after 0 s\nlearning_rate=0.03 depth=6"),
        ("python train.py", "error: refused"),
        ("grep x y", "exit 1 after 0.1 s"),
    ],
)
def test_settings_headers_source_and_other_files_are_not_facts(command: str, output: str) -> None:
    assert Story().run(command, output).lines() == []


def test_what_recall_shows_is_not_a_fact() -> None:
    story = Story().call("recall", {"query": "auc"})
    story.add(ToolFinished(call="c", name="recall", content="exit 0\nCV auc 0.9"))
    assert story.lines() == []


def test_new_attempt_starts_without_facts_and_old_turns_come_first() -> None:
    story = Story().run("python a.py", "exit 0 after 1 s\ncv 0.5").run("python b.py", "exit 0 after 1 s\ncv 0.6")
    assert [line[:14] for line in story.facts.lines(before=4)] == ["`python a.py` "]
    assert story.add(AttemptStarted(attempt=2)).lines() == []


def test_last_summary_states_a_result() -> None:
    assert result_lines("fold 0 auc 0.81\nfold 1 auc 0.83\nmean auc 0.82 +- 0.01\nfold rows 12.0") == [
        "mean auc 0.82 +- 0.01"
    ]
    assert result_lines("fold 0 auc 0.81\nfold 1 auc 0.83") == ["fold 1 auc 0.83"]


def test_result_of_a_script_that_the_shell_wrote_again_is_marked() -> None:
    story = Story().run("python train.py", "exit 0 after 2 s\nCV auc 0.8612")
    story.run("cat > train.py <<'EOF'\nDEPTH = 5\nEOF", "exit 0 after 0 s")
    assert story.lines() == ["`python train.py` printed: CV auc 0.8612 (event 2; its script changed in event 4)"]
