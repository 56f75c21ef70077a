"""Recall finds everything the model was shown or wrote, and nothing that is for people only."""

from __future__ import annotations

import json
import re
from pathlib import Path

from context.recall.index import Recall
from context.recall.snippets import Passage
from context.recall.store import NAME
from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    Call,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    ModelReplied,
    SubmissionChosen,
    TaskDescribed,
    ThresholdsKnown,
    ToolFinished,
    Warned,
)
from runs.journal import Journal
from tests.benchmarks import recall as recall_benchmark
from tests.runs.run_stories import new_run


def turn(number: int, command: str, result: str, name: str = "bash", **arguments: str) -> list[Event]:
    call = Call(id=f"c{number}", name=name, arguments=json.dumps({"command": command, **arguments}))
    message = {"role": "assistant", "content": f"Step {number}.", "reasoning_content": f"thought about {command}"}
    return [
        ModelReplied(request=number, message=json.dumps(message), calls=[call], attempt=1),
        ToolFinished(call=f"c{number}", name=name, content=result, attempt=1),
    ]


EVENTS: list[Event] = [
    TaskDescribed(card="Predict which penguins swim; metric accuracy."),
    ThresholdsKnown(gold=0.9871, silver=0.9762, bronze=0.9653, median=0.9544),
    AttemptStarted(attempt=1),
    *turn(1, "python train.py --lr 0.031", "exit 0\nfold 3 auc 0.8712\nsaved models/fold_3.pkl"),
    *turn(2, "cat notes", "exit 1\nValueError: could not convert string to float: 'Adelie'"),
    *turn(
        3, "", "wrote src/features.py: 12 bytes, sha256 ab", "write_file", path="src/features.py", content="BEAK = 1"
    ),
    EvaluationStarted(
        evaluation="001-1", call="c4", command="python s.py", commit="c" * 40, tree="t", job="e", attempt=1
    ),
    EvaluationFinished(
        evaluation="001-1",
        status="scored",
        commit="c" * 40,
        tree="t",
        score=0.912345,
        shown_score="0.91 ± 0.02",
        attempt=1,
    ),
    SubmissionChosen(evaluation="001-1", sha256="f00dfeed", why="secret why"),
    Warned(message="for people: the plover nests"),
    AttemptEnded(why="finish", did="a forest of small trees", lessons=["scale beaks"], attempt=1),
]


def record(folder: Path) -> tuple[Journal, Recall]:
    journal = new_run(folder)
    recall = Recall(folder)
    for event in EVENTS:
        recall.note(journal.append(event))
    return journal, recall


def test_search_returns_text_with_event_numbers(tmp_path: Path) -> None:
    journal, recall = record(tmp_path / "run")
    answer = recall.search("fold 3 auc", 500)
    assert "--- event 5 (attempt 1, result of bash python train.py --lr 0.031)" in answer
    assert "fold 3 auc 0.8712" in answer
    assert "ValueError" in recall.search("could not convert Adelie", 500)
    assert "--lr 0.031" in recall.search("0.031", 500)
    assert "penguins" in recall.search("penguins", 500)
    assert "small trees" in recall.search("forest", 500)
    journal.close()


def test_search_falls_back_to_any_of_the_words(tmp_path: Path) -> None:
    journal, recall = record(tmp_path / "run")
    assert "Adelie" in recall.search("where did the Adelie albatross fail", 500)
    assert "no match" in recall.search("albatross", 500)
    assert "no match" in recall.search('"*( AND', 500) or "event" in recall.search('"*( AND', 500)
    journal.close()


def test_event_and_path_return_all_their_text(tmp_path: Path) -> None:
    journal, recall = record(tmp_path / "run")
    assert "saved models/fold_3.pkl" in recall.event(5, 500)
    assert "BEAK = 1" in recall.path("src/features.py", 500)
    assert "BEAK = 1" in recall.path("features.py", 500)
    assert "fold_3.pkl" in recall.path("models/fold_3.pkl", 500)
    assert "has no text" in recall.event(999, 500)
    journal.close()


def test_what_the_harness_said_with_a_result_is_not_shown_again(tmp_path: Path) -> None:
    journal, recall = record(tmp_path / "run")
    asked = "wrote heron.py: 12 bytes\n<harness>Your next call must be `checkpoint`.</harness>"
    for event in turn(4, "", asked, "write_file", path="heron.py", content="HERON = 1"):
        last = journal.append(event)
        recall.note(last)
    answers = [recall.event(last.seq, 500), recall.path("heron.py", 500), recall.search("heron", 500)]
    journal.close()
    assert all("heron.py" in answer and "next call must" not in answer for answer in answers)


def test_events_for_people_are_never_found(tmp_path: Path) -> None:
    journal, recall = record(tmp_path / "run")
    for secret in ("0.9871", "0.9762", "0.912345", "f00dfeed", "plover", "gold silver bronze median", "secret why"):
        assert "no match" in recall.search(secret, 2000), secret
    for event in journal.folder.joinpath("events.jsonl").read_text().splitlines():
        fields = json.loads(event)
        if fields.get("kind") in (
            "thresholds_known",
            "evaluation_finished",
            "submission_chosen",
            "warned",
            "run_created",
        ):
            assert "has no text" in recall.event(fields["seq"], 2000) or fields["kind"] == "run_created"
    raw = (journal.folder / NAME).read_bytes()
    assert b"0.9871" not in raw and b"0.912345" not in raw and b"plover" not in raw
    journal.close()


def test_answers_stay_within_max_tokens(tmp_path: Path) -> None:
    journal = new_run(tmp_path / "run")
    recall = Recall(tmp_path / "run")
    for number in range(50):
        for event in turn(number, "train", "exit 0\n" + "the same heron line again\n" * 200):
            recall.note(journal.append(event))
    for tokens in (50, 200, 2000):
        assert len(recall.search("heron", tokens).encode()) <= 3 * tokens
        assert len(recall.search("heron " * 400 + "plover", tokens).encode()) <= 3 * tokens
        assert len(recall.event(2, tokens).encode()) <= 3 * tokens
    assert len(recall.search("w" * 9_000, 50).encode()) <= 150
    assert "more left out" in recall.search("heron", 200)
    journal.close()


def test_deleted_or_damaged_index_is_rebuilt(tmp_path: Path) -> None:
    journal, recall = record(tmp_path / "run")
    before = recall.search("auc", 500)
    recall.close()
    (tmp_path / "run" / NAME).unlink()
    assert Recall(tmp_path / "run").search("auc", 500) == before
    (tmp_path / "run" / NAME).write_bytes(b"not a database " * 1000)
    assert Recall(tmp_path / "run").search("auc", 500) == before
    journal.close()


def test_resumed_run_finds_earlier_events(tmp_path: Path) -> None:
    journal, recall = record(tmp_path / "run")
    recall.search("auc", 100)
    later = journal.append(turn(9, "x", "exit 0\na kestrel")[1])
    journal.close()  # killed before the index got the event
    again = Recall(tmp_path / "run")
    assert f"event {later.seq} " in again.search("kestrel", 500)
    assert "fold 3 auc" in again.search("auc", 500)


def test_any_query_gets_an_answer(tmp_path: Path) -> None:
    journal, recall = record(tmp_path / "run")
    for query in ('"', "*", "auc*", "NEAR(a b)", "title:bash", "-auc", "OR NOT", "\x00auc", "\ud800", "_", "(auc"):
        assert recall.search(query, 200), query
    for path in ("%", "_", "", "\ud800", "\x00", "../events.jsonl", "a" * 100_000, "."):
        assert "0.9871" not in recall.path(path, 200), path
    assert "has no text" in recall.event(10**30, 200)
    assert "no match" in recall.path("%", 200), "wildcards match literally"
    journal.close()


def drop_table(recall: Recall, name: str) -> None:
    assert recall._store is not None
    recall._store._database.executescript(f"drop table {name}")


def test_index_damaged_during_a_run_is_rebuilt(tmp_path: Path) -> None:
    journal, recall = record(tmp_path / "run")
    before = recall.search("auc", 500)
    drop_table(recall, "events")
    assert recall.search("auc", 500) == before
    drop_table(recall, "files")
    assert "BEAK = 1" in recall.path("features.py", 500)
    drop_table(recall, "events")
    for number in range(40):
        for event in turn(number + 20, "x", f"exit 0\na kestrel {number}"):
            recall.note(journal.append(event))
    assert "a kestrel 39" in recall.search("kestrel 39", 500)
    journal.close()


def test_excerpts_are_centred_on_the_match_and_exact_matches_come_first(tmp_path: Path) -> None:
    journal, recall = new_run(tmp_path / "run"), Recall(tmp_path / "run")
    noise = "\n".join(f"row {n} of the table" for n in range(40))
    for number, middle in enumerate(("the heron score is 0.7", "scores: a heron has 0.5", "heron score 0.9"), 1):
        for event in turn(number, f"python step_{number}.py", f"exit 0\n{noise}\n{middle}\n{noise}"):
            journal.append(event)
    answer = recall.search("heron score", 800)
    assert answer.index("the heron score is 0.7") < answer.index("a heron has 0.5")
    assert answer.index("heron score 0.9") < answer.index("a heron has 0.5")
    assert "…\nrow 39 of the table\nheron score 0.9\nrow 0 of the table" in answer
    journal.close()


def asking(number: int, query: str) -> list[Event]:
    """A turn that asks `recall`, with a thought in the words of the question."""
    call = Call(id=f"c{number}", name="recall", arguments=json.dumps({"query": query}))
    message = json.dumps({"role": "assistant", "content": "", "reasoning_content": f"I look for {query}"})
    return [ModelReplied(request=number, message=message, calls=[call], attempt=1)]


def test_asking_turn_refused_calls_and_duplicates_never_appear(tmp_path: Path) -> None:
    journal, recall = new_run(tmp_path / "run"), Recall(tmp_path / "run")
    first, second, refused = (turn(n, "cat notes", "exit 0\na plover nests") for n in (1, 2, 3))
    refused[1] = refused[1].model_copy(update={"failed": True, "content": "error: the plover is not there"})
    for event in [*first, *second, *refused, *asking(4, "plover nests"), *asking(5, "plover nests")]:
        journal.append(event)
    answer = recall.search("plover nests", 800, attempt=1)
    assert answer.count("plover") == 1 and "event 4" in answer
    assert "not there" not in answer and "I look for" not in answer
    journal.close()


def test_only_ended_and_own_attempts_are_found(tmp_path: Path) -> None:
    journal, recall = new_run(tmp_path / "run"), Recall(tmp_path / "run")
    for attempt in (1, 2, 3):
        for event in turn(attempt, "look", f"exit 0\na kestrel of attempt {attempt}"):
            journal.append(event.model_copy(update={"attempt": attempt}))
    journal.append(AttemptEnded(why="finish", attempt=1))
    for event in asking(9, "x"):
        journal.append(event.model_copy(update={"attempt": 3}))
    answer = recall.search("kestrel", 800, attempt=3)
    assert "kestrel of attempt 1" in answer and "kestrel of attempt 3" in answer
    assert "kestrel of attempt 2" not in answer
    journal.close()


def test_path_returns_the_last_content(tmp_path: Path) -> None:
    journal, recall = new_run(tmp_path / "run"), Recall(tmp_path / "run")
    writes = turn(1, "", "wrote a.py", "write_file", path="src/a.py", content="BEAK = 1\nWING = 2\n")
    edits = turn(2, "", "wrote a.py", "edit_file", path="src/a.py", old="BEAK = 1", new="BEAK = 5")
    refused = turn(3, "", "error: no", "edit_file", path="src/a.py", old="WING = 2", new="WING = 9")
    refused[1] = refused[1].model_copy(update={"failed": True})
    for event in [*writes, *edits, *refused]:
        journal.append(event)
    assert "src/a.py as edit_file left it, attempt 1)\nBEAK = 5\nWING = 2" in recall.path("a.py", 800)
    commit = Passage(10**6, "src/a.py in the commit of evaluation 002-1", "BEAK = 7")
    assert recall.path("a.py", 800, content=commit).index("BEAK = 7") < 120
    journal.close()


def test_nothing_found_says_what_was_searched(tmp_path: Path) -> None:
    journal, recall = record(tmp_path / "run")
    answer = recall.search("where is the albatross?", 200)
    assert re.match(r"no match in \d+ events of 1 attempts for any of: albatross\.", answer)
    journal.close()


def test_plain_questions_are_answered_in_800_tokens(tmp_path: Path) -> None:
    answered, missed = recall_benchmark.measure(tmp_path, 800)
    assert answered >= 0.95 * len(recall_benchmark.FACTS), missed
