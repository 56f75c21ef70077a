"""The demo model plays whole attempts through the real SDK client and real subprocesses."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pandas as pd
import pytest

from context.ledger.knowledge import add_knowledge
from context.ledger.ledger import Ledger
from context.ledger.render import render_lessons
from context.ledger.types import Evidence, Outcome, RunRecord
from context.ledger.vocabulary import shipped_vocabulary
from harness.demo.agent import next_message
from harness.demo.moves import HANDLERS, choose
from harness.demo.read_request import Card, Tried, read_card, read_outcome
from harness.demo.solutions import default_ideas, solution
from harness.demo.transport import DEMO_LABEL, DEMO_MODEL, DemoTransport
from tasks.catalog import find_task
from tasks.prompt_card import render_card
from tests.harness.demo_play import TOOLS, Play, ask, card, client, tables
from tests.harness.quick_ideas import QUICK_IDEAS

IDEAS = default_ideas()
OPENING: list[Any] = [{"role": "system", "content": "s"}, {"role": "user", "content": card("accuracy", False)}]


def called(messages: list[Any]) -> list[str]:
    return [call["function"]["name"] for m in messages if m["role"] == "assistant" for call in m.get("tool_calls", [])]


def tags(play: Play) -> list[str]:
    return [report["did"].split("]")[0].removeprefix("[idea: ") for report in play.reports]


def mixed_table(rows: int = 240) -> pd.DataFrame:
    """Numeric and text columns with missing values, a constant column, an empty one, and a target of each kind."""
    draw = np.random.default_rng(3)
    size, town = draw.normal(size=rows), draw.choice(["north", "south", "west"], rows)
    signal = size + (town == "south") + 0.3 * draw.normal(size=rows)
    frame = pd.DataFrame({"size": size, "town": town, "age": draw.integers(1, 90, rows), "same": 1, "empty": np.nan})
    frame.loc[::7, "size"] = np.nan
    frame.loc[::11, "town"] = None
    frame["leaves"] = np.where(signal > 0.3, "yes", "no")
    frame["price"] = np.exp(signal)
    return frame


# ------------------------------------------------------------------------------------------------------------- reading


def test_lessons_that_runs_bear_out_decide_what_is_tried_first() -> None:
    def first(*outcomes: tuple[str, Outcome]) -> str:
        vocabulary = shipped_vocabulary()
        with Ledger.in_memory() as ledger:
            add_knowledge(ledger)
            for number in range(2):
                evidence = tuple(Evidence(action, outcome) for action, outcome in outcomes)
                actions = vocabulary.named(action for action, _ in outcomes)
                run = RunRecord(f"r{number}", "t", "tabular", "tabular/accuracy", evidence=evidence, actions=actions)
                ledger.record(run)
            text = render_lessons(ledger.select("r", "tabular", "tabular/accuracy", withholds=False), "tabular")
        request = read_card(
            [{"role": "user", "content": f"{card('accuracy', False)}\n\n{text}\n\n# Memory\n\n# State"}]
        )
        return choose(IDEAS, request).tag

    assert first() == "linear", "general practices alone are no reason to change the order"
    assert first(("model.forest", "gain"), ("model.linear", "dry")) == "trees"
    assert first(("model.linear", "against")) == "kernel"


def test_attempts_of_the_table_count_as_tried() -> None:
    rows = "| attempt | idea | score | verdict | criticism |\n|---|---|---|---|---|\n"
    rows += "| 1 | [idea: linear] a linear model: scored 0.9. | 0.9 ± 0.01 | first score | c |\n"
    rows += "| 2 | [failed: kernel] failed: out of memory. | failed | failed | c |\n"
    table = f"## All attempts so far, one row each\n\n{rows}"
    text = f"{card('accuracy', False)}\n\n{table}\n## Attempt 2\ndid: [failed: kernel]"
    found = read_card([{"role": "user", "content": f"{text}\n\n# State\nattempt: 3"}])
    assert [entry.tags for entry in found.memory] == [("linear",), ()]
    assert (found.memory[0].score, found.memory[1].failed, found.attempt) == (0.9, ("kernel",), 3)
    assert choose(IDEAS, found).tag == "trees"


# ------------------------------------------------------------------------------------------------------ whole attempts


def test_first_attempts_draft_families_and_improve_the_one_that_gained(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    truth = tables(tmp_path, load_digits(as_frame=True).frame, "target", seed=1)
    play = Play(tmp_path, card("accuracy", False), False, lambda s: float((s.target == truth.target).mean()))
    conversations = [play.attempt() for _ in range(4)]
    assert tags(play) == ["linear", "kernel", "kernel tuned", "trees"]
    assert [len(report["scores"]) for report in play.reports] == [1, 1, 1, 1]
    assert play.best is not None and play.best > 0.97
    assert called(conversations[0]) == ["bash", "write_file", "write_file", "evaluate", "finish"]
    assert called(conversations[2]) == ["write_file", "evaluate", "finish"]
    assert f"{play.reports[1]['scores'][0]:g}" in play.reports[1]["did"]


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc", "log_loss", "rmse", "rmsle"])
def test_blend_of_mixed_columns_fits_the_metric(tmp_path: Path, metric: str) -> None:
    target = "price" if metric.startswith("rm") else "leaves"
    truth = tables(tmp_path, mixed_table().drop(columns="leaves" if target == "price" else "price"), target)
    play = Play(tmp_path, card(metric, False), False, lambda s: judge(metric, truth[target], s[target]))
    play.workspace, play.evaluations = tmp_path, []
    play.write("tabular.py", (Path(__file__).parents[2] / "harness/demo/tabular.py.txt").read_text())
    play.write("solution.py", solution("blend of linear + kernel", IDEAS, metric))
    result = play.evaluate("python solution.py")
    assert "scored" in result, result
    assert play.best is not None and play.best > 0.75


def judge(metric: str, truth: pd.Series[Any], answer: pd.Series[Any]) -> float:
    """A rough quality from 0 to 1; NaN if the predictions are of the wrong kind."""
    if metric == "accuracy":
        return float((truth == answer).mean())
    if metric in ("roc_auc", "log_loss"):
        ahead = answer[truth == "yes"].to_numpy()[:, None] > answer[truth == "no"].to_numpy()[None, :]
        return float(ahead.mean()) if answer.between(0, 1).all() else np.nan
    return float(np.corrcoef(np.log(truth), answer.rank())[0, 1])


def test_probability_columns_are_matched_to_classes_by_name(tmp_path: Path) -> None:
    tables(tmp_path, mixed_table().drop(columns=["price", "leaves"]), "town")
    sample_path = tmp_path / "data/sample_submission.csv"
    sample = pd.read_csv(sample_path)[["id"]].assign(town_west=0.3, town_north=0.3, town_south=0.4)
    sample.to_csv(sample_path, index=False)
    play = Play(tmp_path, card("log_loss", True), True, lambda s: float(s.iloc[:, 1:].sum(axis=1).sub(1).abs().max()))
    play.attempt()
    written = pd.read_csv(tmp_path / "attempt-1/submission.csv")
    assert list(written.columns) == ["id", "town_west", "town_north", "town_south"]
    assert play.best == 0.0


def test_failed_solution_is_repaired_once_and_reported(tmp_path: Path) -> None:
    truth = tables(tmp_path, mixed_table().drop(columns="leaves"), "price")
    play = Play(tmp_path, card("rmse", True), True, lambda s: float((s.price - truth.price).pow(2).mean() ** 0.5))
    play.ideas = QUICK_IDEAS[3:]
    messages = play.attempt()
    assert called(messages) == ["bash", "write_file", "evaluate", "write_file", "evaluate", "finish"]
    assert [status for status, _ in play.evaluations] == ["failed", "scored"]
    assert play.reports[0]["did"].startswith("[failed: broken] failed: IndexError: list index out of range")
    assert "[idea: safe]" in play.reports[0]["did"]


def test_exhausted_ideas_are_tried_again(tmp_path: Path) -> None:
    truth = tables(tmp_path, mixed_table().drop(columns="price"), "leaves")
    play = Play(tmp_path, card("accuracy", False), False, lambda s: float((s.leaves == truth.leaves).mean()))
    play.ideas = QUICK_IDEAS[:3]
    for _ in range(5):
        play.attempt()
    assert tags(play) == ["first", "most-common", "last", "first", "most-common"]
    assert max(report["seconds"] for report in play.reports) < 5


# --------------------------------------------------------------------------------------------------- choosing the move


def after(*scored: tuple[str, float], lower: bool = False) -> str:
    """The tag chosen after these attempts."""
    memory = tuple(Tried((tag,), (), score) for tag, score in scored)
    return choose(IDEAS, Card("accuracy", lower, len(memory) + 1, memory)).tag


def test_empty_memory_starts_with_the_simplest_family() -> None:
    assert after() == "linear"


def test_gain_is_improved_and_loss_is_left() -> None:
    assert after(("linear", 0.90), ("kernel", 0.95)) == "kernel tuned"
    assert after(("linear", 0.90), ("kernel", 0.85)) == "trees"
    assert after(("linear", 0.90), ("kernel", 0.85), lower=True) == "kernel tuned"


def test_two_best_of_three_families_are_combined() -> None:
    assert after(("linear", 0.95), ("kernel", 0.80), ("trees", 0.94)) == "blend of linear + trees"
    assert after(("linear", 0.95), ("kernel", 0.80), ("trees", 0.94), lower=True) == "blend of kernel + trees"


def test_many_attempts_differ_and_use_every_move() -> None:
    memory: tuple[Tried, ...] = ()
    choices = []
    for number in range(12):
        choices.append(choose(IDEAS, Card("accuracy", False, number + 1, memory)))
        memory += (Tried((choices[-1].tag,), (), 0.9 + 0.001 * (number % 7)),)
    assert len({choice.tag for choice in choices}) == 12
    assert {choice.move for choice in choices} | {"repair"} == set(HANDLERS)


def test_attempt_without_report_does_not_repeat_its_idea() -> None:
    memory = (Tried(("linear",), (), 0.9), Tried(), Tried())
    assert choose(IDEAS, Card("accuracy", False, 4, memory)).tag == "splines"


@pytest.mark.parametrize("tag", ["kernel", "trees tuned", "blend of kernel tuned + linear"])
def test_solution_of_a_tag_compiles(tag: str) -> None:
    compile(solution(tag, IDEAS, "accuracy"), "solution.py", "exec")


# ------------------------------------------------------------------------------------------------- reading the request


MEMORY = """# Task\n## How you are scored\n\n`rmse`: The error. Lower is better.\n\n# Memory\n## Attempt 1
parent: none; turns: 5; minutes: 0.3; ended by finish
evaluation 001-1: scored 57.25 ± 3.5, commit 1a2b3c4d, `python solution.py`
evaluation 001-2: scored 56 ± 3, commit 1a2b3c4d, `python solution.py`, best at the time
did: [idea: linear] a line: scored 57.25
next: [idea: not this one]
## Attempt 2
parent: 1a2b3c4d; turns: 20; minutes: 3; ended by turns
no evaluation
# State
attempt: 3
best: evaluation 001-2, 56 ± 3"""


def test_memory_is_read_as_the_harness_writes_it() -> None:
    read = read_card([{"role": "system", "content": "s"}, {"role": "user", "content": MEMORY}])
    assert read == Card("rmse", True, 3, (Tried(("linear",), (), 56.0), Tried()))


@pytest.mark.parametrize(("name", "metric", "lower"), [("diabetes", "rmse", True), ("breast-cancer", "roc_auc", False)])
def test_task_card_is_read_as_tasks_renders_it(tmp_path: Path, name: str, metric: str, lower: bool) -> None:
    task = find_task(name, tmp_path)
    text = render_card(task, task.public) + "\n# State\n\nattempt: 1\nbest: none"
    assert read_card([{"role": "user", "content": text}]) == Card(metric, lower, 1, ())


def test_evaluation_results_are_read() -> None:
    scored = read_outcome("evaluation 002-1: scored\nscore -0.5 ± 1e-05 (r2, higher is better) on held-out rows")
    assert (scored.status, scored.score, scored.noise) == ("scored", -0.5, 1e-05)
    failed = read_outcome("evaluation 002-1: failed\nexit 1\nTraceback …\nValueError: no")
    assert (failed.status, failed.reason) == ("failed", "ValueError: no")
    invalid = read_outcome("evaluation 002-2: invalid\nThe ids differ.\nbest so far 0.9\ncommit 1a2b\nwrote it")
    assert (invalid.status, invalid.reason) == ("invalid", "The ids differ.")
    assert not read_outcome(None).is_valid


# --------------------------------------------------------------------------------------------------------- the replies


def conversation() -> list[Any]:
    """The first attempt of a run with a memory, up to its `finish`."""
    messages: list[Any] = [OPENING[0], {"role": "user", "content": MEMORY}]
    while "finish" not in called(messages):
        messages.append(next_message(messages, TOOLS, IDEAS))
        result = "evaluation 003-1: scored\nscore 55 ± 3 (rmse, lower is better) on held-out rows"
        messages += [{"role": "tool", "tool_call_id": c["id"], "content": result} for c in messages[-1]["tool_calls"]]
    return messages


def test_reply_depends_on_the_request_alone() -> None:
    messages = conversation()
    requests = [messages[:end] for end, message in enumerate(messages) if message["role"] == "assistant"]
    expected = [messages[len(request)] for request in requests]
    order = list(range(len(requests)))
    random.Random(5).shuffle(order)
    transport = DemoTransport()
    shared = client(transport=transport)
    for index in [*order, *order]:
        request = copy.deepcopy(requests[index])
        assert ask(shared, request) == ask(client(), request) == expected[index]
        assert request == requests[index]
    assert vars(transport) == vars(DemoTransport()), "the transport keeps no state"


def test_stream_has_few_chunks_and_ends_with_usage() -> None:
    chunks = list(client().chat.completions.create(model=DEMO_MODEL, messages=OPENING, tools=TOOLS, stream=True))
    assert 5 < len(chunks) < 25
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].usage and chunks[-1].usage.prompt_tokens > 100


def test_every_reply_names_the_demo_model() -> None:
    assert DEMO_LABEL in ask(client(), OPENING)["reasoning_content"]


def test_invalid_requests_get_api_errors() -> None:
    with pytest.raises(openai.BadRequestError, match=DEMO_LABEL):
        client().chat.completions.create(model=DEMO_MODEL, messages="rubbish")  # type: ignore[call-overload]
    with pytest.raises(openai.NotFoundError, match=DEMO_LABEL):
        client().embeddings.create(model="x", input="y")


def test_missing_tools_end_the_attempt() -> None:
    assert "tool_calls" not in ask(client(), OPENING, [])
    assert called([ask(client(), OPENING, TOOLS[-1:])]) == ["finish"]
    assert "tool_calls" not in ask(client(), OPENING, TOOLS[:1])


def test_reminder_changes_nothing_and_replies_without_calls_end_the_attempt() -> None:
    messages = [*OPENING, ask(client(), OPENING), {"role": "user", "content": "Call a tool."}]
    assert called([next_message(messages, TOOLS, IDEAS)]) == ["write_file", "write_file"]
    silent = list(OPENING)
    for _ in range(12):
        silent += [{"role": "assistant", "content": "…"}, {"role": "user", "content": "Call a tool."}]
    assert called([next_message(silent, TOOLS, IDEAS)]) == ["finish"]


@pytest.mark.parametrize(
    "result", ["", "error: no such tool", "still running as job 00001-0 after 120 s; use wait", None]
)
def test_every_attempt_ends_whatever_tools_return(result: str | None) -> None:
    messages = list(OPENING)
    for _ in range(30):
        messages.append(next_message(messages, TOOLS, IDEAS))
        if called(messages[-1:]) == ["finish"]:
            break
        messages += [{"role": "tool", "tool_call_id": c["id"], "content": result} for c in messages[-1]["tool_calls"]]
    assert called(messages)[-1] == "finish" and len(called(messages)) < 20
    assert "[failed: linear]" in json.loads(messages[-1]["tool_calls"][0]["function"]["arguments"])["did"]
