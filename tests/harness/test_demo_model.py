"""The demo model plays whole attempts through the real SDK client and real subprocesses, and its memory decides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pandas as pd
import pytest

from harness.demo.agent import next_message
from harness.demo.ideas import Tag, default_ideas, solution
from harness.demo.read_request import Card, Tried, read_card, read_verdict
from harness.demo.search import choose
from harness.demo.transport import DEMO_LABEL, DEMO_MODEL
from tasks.catalog import find_task
from tasks.prompt_card import render_card
from tests.harness.demo_play import TOOLS, Play, ask, card, client, tables
from tests.harness.quick_ideas import QUICK_IDEAS

IDEAS = default_ideas()


def called(messages: list[Any]) -> list[str]:
    return [call["function"]["name"] for m in messages if m["role"] == "assistant" for call in m.get("tool_calls", [])]


def mixed_table(rows: int = 240) -> pd.DataFrame:
    """Numbers and texts with holes in both, a constant column, an empty one, and a target of each kind."""
    draw = np.random.default_rng(3)
    size, town = draw.normal(size=rows), draw.choice(["north", "south", "west"], rows)
    signal = size + (town == "south") + 0.3 * draw.normal(size=rows)
    frame = pd.DataFrame({"size": size, "town": town, "age": draw.integers(1, 90, rows), "same": 1, "empty": np.nan})
    frame.loc[::7, "size"] = np.nan
    frame.loc[::11, "town"] = None
    frame["leaves"] = np.where(signal > 0.3, "yes", "no")
    frame["price"] = np.exp(signal)
    return frame


# ---------------------------------------------------------------------------------------------------- whole attempts


def test_it_plays_digits_one_idea_an_attempt_and_extends_what_gained(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    truth = tables(tmp_path, load_digits(as_frame=True).frame, "target", seed=1)
    play = Play(tmp_path, card("accuracy", False), False, lambda s: float((s.target == truth.target).mean()))
    conversations = [play.attempt() for _ in range(4)]

    tags = [told["words"]["did"].split("]")[0] for told in play.told]
    assert tags == ["[idea: linear", "[idea: kernel", "[idea: kernel tuned", "[idea: trees"]
    assert [len(told["scores"]) for told in play.told] == [1, 1, 1, 1]
    assert play.best is not None and play.best > 0.97
    assert called(conversations[0]) == ["bash", "write_file", "write_file", "evaluate", "finish"]
    assert called(conversations[2]) == ["read_file", "edit_file", "edit_file", "evaluate", "finish"]
    assert f"{play.told[1]['scores'][0]:g}" in play.told[1]["words"]["did"]
    assert "train.csv has 1258 rows" in conversations[0][4]["reasoning_content"]


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc", "log_loss", "rmse", "rmsle"])
def test_every_metric_gets_what_it_wants_from_mixed_columns(tmp_path: Path, metric: str) -> None:
    frame = mixed_table()
    target = "price" if metric.startswith("rm") else "leaves"
    truth = tables(tmp_path, frame.drop(columns="leaves" if target == "price" else "price"), target)
    blend = solution(Tag(("linear", "kernel")), IDEAS, metric)
    play = Play(tmp_path, card(metric, False), False, lambda s: float(judge(metric, truth[target], s[target])))
    play.workspace = tmp_path
    play.evaluations = []
    play.write("tabular.py", (Path(__file__).parents[2] / "harness/demo/tabular.py.txt").read_text())
    play.write("solution.py", blend)
    answer = play.evaluate("python solution.py")
    assert "scored" in answer, answer
    assert play.best is not None and play.best > 0.75


def judge(metric: str, truth: pd.Series[Any], answer: pd.Series[Any]) -> float:
    """A rough share of what could be right, 0 to 1, NaN where the answers are of the wrong kind."""
    if metric == "accuracy":
        return float((truth == answer).mean())
    if metric in ("roc_auc", "log_loss"):
        ahead = answer[truth == "yes"].to_numpy()[:, None] > answer[truth == "no"].to_numpy()[None, :]
        return float(ahead.mean()) if answer.between(0, 1).all() else np.nan
    return float(np.corrcoef(np.log(truth), answer.rank())[0, 1])


def test_one_column_of_probability_for_each_class_is_filled_by_name(tmp_path: Path) -> None:
    frame = mixed_table().drop(columns=["price", "leaves"])
    tables(tmp_path, frame, "town")
    sample = pd.read_csv(tmp_path / "data/sample_submission.csv")
    sample[["id"]].assign(town_west=0.3, town_north=0.3, town_south=0.4).to_csv(
        tmp_path / "data/sample_submission.csv", index=False
    )
    play = Play(tmp_path, card("log_loss", True), True, lambda s: float(s.iloc[:, 1:].sum(axis=1).sub(1).abs().max()))
    play.attempt()
    written = pd.read_csv(tmp_path / "attempt-1/submission.csv")
    assert list(written.columns) == ["id", "town_west", "town_north", "town_south"]
    assert play.best == 0.0


def test_a_failed_solution_is_repaired_once_and_the_failure_is_told(tmp_path: Path) -> None:
    truth = tables(tmp_path, mixed_table().drop(columns="leaves"), "price")
    play = Play(tmp_path, card("rmse", True), True, lambda s: float((s.price - truth.price).pow(2).mean() ** 0.5))
    play.ideas = QUICK_IDEAS[3:]
    messages = play.attempt()
    assert called(messages) == ["bash", "write_file", "evaluate", "write_file", "evaluate", "finish"]
    assert [status for status, _ in play.evaluations] == ["failed", "scored"]
    assert play.told[0]["words"]["did"].startswith("[failed: broken] was failed: IndexError: list index out of range")
    assert "[idea: safe]" in play.told[0]["words"]["did"]


def test_quick_ideas_play_many_attempts_in_no_time_and_come_round_again(tmp_path: Path) -> None:
    truth = tables(tmp_path, mixed_table().drop(columns="price"), "leaves")
    play = Play(tmp_path, card("accuracy", False), False, lambda s: float((s.leaves == truth.leaves).mean()))
    play.ideas = QUICK_IDEAS[:3]
    for _ in range(5):
        play.attempt()
    tags = [told["words"]["did"].split("]")[0][7:] for told in play.told]
    assert tags == ["first", "most-common", "last", "first", "most-common"]
    assert max(told["seconds"] for told in play.told) < 5


# --------------------------------------------------------------------------------------------------- memory decides


def after(*tried: tuple[str, float], lower: bool = False) -> str:
    """What is chosen after these attempts, each a tag with its score, all with a noise of 0.01."""
    memory = tuple(Tried(n, (tag,), (), score, 0.01) for n, (tag, score) in enumerate(tried, 1))
    return str(choose(IDEAS, Card("accuracy", lower, len(memory) + 1, memory)).tag)


def test_an_empty_memory_starts_simple() -> None:
    assert after() == "linear"


def test_a_gain_is_refined_and_a_loss_is_left() -> None:
    assert after(("linear", 0.90), ("kernel", 0.95)) == "kernel tuned"
    assert after(("linear", 0.90), ("kernel", 0.85)) == "trees"
    assert after(("linear", 0.90), ("kernel", 0.85), lower=True) == "kernel tuned"


def test_the_two_best_families_are_blended_and_a_bad_one_never() -> None:
    assert after(("linear", 0.95), ("kernel", 0.80), ("trees", 0.94)) == "blend of linear + trees"
    assert after(("linear", 0.95), ("kernel", 0.80), ("trees", 0.81)) == "splines"


def test_a_perfect_score_without_noise_does_not_make_all_others_bad() -> None:
    scored = (("linear", 0.98, 0.009), ("kernel", 1.0, 0.0), ("kernel tuned", 0.996, 0.004), ("trees", 0.996, 0.004))
    memory = tuple(Tried(n, (tag,), (), score, noise) for n, (tag, score, noise) in enumerate(scored, 1))
    assert str(choose(IDEAS, Card("accuracy", False, 5, memory)).tag) == "blend of kernel + trees"


def test_a_blend_that_gains_is_widened() -> None:
    three = (("linear", 0.95), ("kernel", 0.94), ("trees", 0.945))
    assert after(*three, ("blend of linear + trees", 0.96)) == "blend of linear + trees + kernel"
    assert after(*three, ("blend of linear + trees", 0.94)) == "splines"


def test_there_is_always_something_new_to_try() -> None:
    tried: list[tuple[str, float]] = []
    for number in range(40):
        tried.append((after(*tried), 0.9 + 0.001 * (number % 7)))
    assert len({tag for tag, _ in tried}) == 40
    assert tried[-1][0].startswith("bag ")


def test_attempts_that_never_finished_do_not_repeat_their_idea() -> None:
    card = Card("accuracy", False, 4, (Tried(1, ("linear",), (), 0.9, 0.01), Tried(2), Tried(3)))
    assert str(choose(IDEAS, card).tag) == "splines"


def test_the_memory_is_read_as_the_harness_writes_it() -> None:
    text = """# Task\n- metric: rmse (lower is better)\n\n# Memory\n## Attempt 1
parent: none; turns: 5; minutes: 0.3; ended by finish
evaluation 001-1: scored 57.25 ± 3.5, commit 1a2b3c4d, `python solution.py`
evaluation 001-2: scored 56 ± 3, commit 1a2b3c4d, `python solution.py`, best of the run then
did: [idea: linear] a line: scored 57.25
next: [idea: not this one]
## Attempt 2
parent: 1a2b3c4d; turns: 20; minutes: 3; ended by turns
no evaluation
# State
attempt: 3
best: evaluation 001-2, 56 ± 3"""
    read = read_card(
        [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": text}]}]
    )
    assert read == Card("rmse", True, 3, (Tried(1, ("linear",), (), 56.0, 3.0), Tried(2)))


@pytest.mark.parametrize(("name", "metric", "lower"), [("diabetes", "rmse", True), ("breast-cancer", "roc_auc", False)])
def test_the_card_of_a_task_is_read_as_the_tasks_room_writes_it(
    tmp_path: Path, name: str, metric: str, lower: bool
) -> None:
    task = find_task(name, tmp_path)
    read = read_card(
        [{"role": "user", "content": render_card(task, task.public) + "\n# State\n\nattempt: 1\nbest: none"}]
    )
    assert read == Card(metric, lower, 1, ())


def test_verdicts_are_read_whatever_surrounds_them() -> None:
    scored = read_verdict("evaluation 002-1: scored\nscore -0.5 ± 1e-05 (r2, higher is better) on held-out rows")
    assert (scored.status, scored.score, scored.noise) == ("scored", -0.5, 1e-05)
    failed = read_verdict("evaluation 002-1: failed\nexit 1\nTraceback …\nValueError: no")
    assert (failed.status, failed.reason) == ("failed", "ValueError: no")
    refused = read_verdict("evaluation 002-2: invalid\nThe ids differ.\nbest so far 0.9\ncommit 1a2b\nwrote it")
    assert (refused.status, refused.reason) == ("invalid", "The ids differ.")
    assert not read_verdict(None).is_valid


@pytest.mark.parametrize(
    "tag", ["kernel", "trees tuned", "blend of kernel tuned + linear", "bag 3 of blend of linear + trees"]
)
def test_a_tag_is_enough_to_write_its_solution_again(tag: str) -> None:
    assert str(Tag.parse(tag)) == tag
    compile(solution(Tag.parse(tag), IDEAS, "accuracy"), "solution.py", "exec")


# ---------------------------------------------------------------------------------------- the wire and the unexpected


OPENING: list[Any] = [{"role": "system", "content": "s"}, {"role": "user", "content": card("accuracy", False)}]


def test_the_same_request_gets_the_same_reply_streamed_or_whole() -> None:
    ai = client()
    first, second = ask(ai, OPENING), ask(client(), OPENING)
    whole = ai.chat.completions.create(model=DEMO_MODEL, messages=OPENING, tools=TOOLS)
    message = whole.choices[0].message.model_dump(exclude_none=True)
    assert first == second == message
    assert whole.usage and whole.usage.prompt_tokens > 100
    assert DEMO_LABEL in first["reasoning_content"]


def test_the_stream_comes_in_few_pieces_and_ends_with_the_usage() -> None:
    chunks = list(client().chat.completions.create(model=DEMO_MODEL, messages=OPENING, tools=TOOLS, stream=True))
    assert 5 < len(chunks) < 25
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


def test_it_lists_itself_and_refuses_rubbish_as_a_server_would() -> None:
    ai = client()
    assert [model.id for model in ai.models.list()] == [DEMO_MODEL]
    with pytest.raises(openai.BadRequestError, match=DEMO_LABEL):
        ai.chat.completions.create(model=DEMO_MODEL, messages="rubbish")  # type: ignore[call-overload]
    with pytest.raises(openai.NotFoundError, match=DEMO_LABEL):
        ai.embeddings.create(model="x", input="y")


def test_without_the_tools_it_needs_it_speaks_or_finishes() -> None:
    assert "tool_calls" not in ask(client(), OPENING, [])
    assert called([ask(client(), OPENING, TOOLS[-1:])]) == ["finish"]
    assert "tool_calls" not in ask(client(), OPENING, TOOLS[:1])


def test_a_nudge_in_words_changes_nothing_and_a_conversation_in_circles_ends() -> None:
    messages = [*OPENING, ask(client(), OPENING), {"role": "user", "content": "Call a tool."}]
    assert called([next_message(messages, TOOLS, IDEAS)]) == ["write_file", "write_file"]
    deaf = list(OPENING)
    for _ in range(12):
        deaf += [{"role": "assistant", "content": "…"}, {"role": "user", "content": "Call a tool."}]
    assert called([next_message(deaf, TOOLS, IDEAS)]) == ["finish"]


@pytest.mark.parametrize(
    "answer", ["", "error: no such tool", "still running as job 00001-0 after 120 s; use wait", None]
)
def test_whatever_tools_answer_every_attempt_comes_to_its_end(answer: str | None) -> None:
    messages = list(OPENING)
    for _ in range(30):
        reply = next_message(messages, TOOLS, IDEAS)
        messages.append(reply)
        if called([reply]) == ["finish"]:
            break
        for call in reply["tool_calls"]:
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": answer})
    assert called(messages)[-1] == "finish" and len(called(messages)) < 20
    assert "[failed: linear]" in json.loads(messages[-1]["tool_calls"][0]["function"]["arguments"])["did"]


def test_a_job_in_the_background_is_waited_for_then_killed() -> None:
    messages = [*OPENING]
    seen = []
    for _ in range(5):
        reply = next_message(messages, TOOLS, IDEAS)
        seen += called([reply])
        messages.append(reply)
        text = (
            "still running as job 00001-0 after 120 s; use wait"
            if seen == ["bash"]
            else "job 00001-0: running for 180 s"
        )
        messages += [{"role": "tool", "tool_call_id": call["id"], "content": text} for call in reply["tool_calls"]]
    assert seen == ["bash", "wait", "wait", "wait", "kill"]
    assert json.loads(messages[-2]["tool_calls"][0]["function"]["arguments"]) == {"job": "00001-0"}
