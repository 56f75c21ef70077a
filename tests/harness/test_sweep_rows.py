"""Where a run of a sweep stands, which one is next, how levels are compared: the parts without processes."""

from __future__ import annotations

import json
import random
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from harness.errors import UsageError
from harness.sweep.compare import Result, compare, interval_of_mean, sign_test
from harness.sweep.durations import known_hours
from harness.sweep.host import answers
from harness.sweep.progress import progress_of
from harness.sweep.queue import Queue, alike, in_order
from harness.sweep.ray_engine import why_never
from harness.sweep.row_state import History, RowState, history_of, same_reason
from harness.sweep.store import Store
from harness.sweep.table import as_json, as_page, as_rich, as_text
from harness.sweep.types import Plan, Row


def row(task: str = "t", seed: int = 0, hours: float | None = 24.0, **fields: Any) -> Row:
    levels = fields.pop("levels", {})
    key = ".".join([task, *levels.values(), f"s{seed}"])
    return Row(key, f"run-{key}", task, task, seed, levels, {}, hours, **fields)


def plan_of(*rows: Row) -> Plan:
    return Plan("p", "2026-12-01T00:00:00+00:00", "0", "", "local", 2, 0, 0, True, rows)


def started(events: int = 0, worker: str = "a") -> dict[str, Any]:
    return {"what": "started", "events": events, "worker": worker}


def ended(kind: str, reason: str = "") -> dict[str, Any]:
    return {"what": "ended", "kind": kind, "reason": reason}


# ------------------------------------------------------------------------------------------------ where a run stands


def test_a_run_that_fails_three_times_for_the_same_reason_is_not_tried_again() -> None:
    log = [
        line
        for number in range(3)
        for line in (started(), ended("failed", f"port {number} of /tmp/x{number} is taken"))
    ]
    assert history_of(log[:4], False).state == "waiting"
    found = history_of(log, False)
    assert (found.state, found.tries, found.failures) == ("failed", 3, 3)
    assert "port 2" in found.reason
    assert history_of([*log, {"what": "retry"}], False).state == "waiting"


def test_different_reasons_do_not_add_up_to_the_same_one() -> None:
    log = [line for reason in ("a", "b", "a", "b") for line in (started(), ended("failed", reason))]
    assert history_of(log, False).state == "waiting"
    assert same_reason("killed at 0x7f3a, run 12 in /a/b") == same_reason("killed at 0xff, run 3 in /c")
    assert same_reason("no GPU") != same_reason("no image")


def test_a_lost_worker_is_not_a_failure_while_the_run_makes_progress() -> None:
    log = [started(events) for events in (0, 100, 200, 300, 400)]
    found = history_of(log, False)
    assert (found.state, found.last_kind) == ("waiting", "lost")
    stuck = [started(100), started(100), started(100)]
    assert history_of(stuck, False).state == "failed"
    assert history_of(stuck, True).state == "running"


def test_waiting_for_an_endpoint_never_fails_a_run() -> None:
    log = [line for _ in range(50) for line in (started(), ended("later", "no reply from http://127.0.0.1:1/v1"))]
    assert history_of(log, False).state == "waiting"
    assert history_of([*log, started(), ended("done")], False).state == "done"


@given(st.lists(st.sampled_from(["started", "done", "failed", "later", "stopped", "refused", "retry", "waits"])))
def test_a_done_run_stays_done_whatever_is_recorded(kinds: list[str]) -> None:
    log: list[dict[str, Any]] = []
    for kind in kinds:
        log.append(
            started() if kind == "started" else {"what": kind} if kind in ("retry", "waits") else ended(kind, "x")
        )
        state = history_of(log, False).state
        assert (state == "done") == any(one.get("kind") == "done" for one in log)


def test_a_torn_line_is_left_out_and_the_next_one_is_whole(tmp_path: Path) -> None:
    store = Store(tmp_path, "s")
    (store.folder / "rows").mkdir(parents=True)
    store.append("k", "started", worker="a")
    with (store.folder / "rows" / "k.jsonl").open("ab") as file:
        file.write(b'{"what": "end')
    assert [line["what"] for line in store.log("k")] == ["started"]
    store.append("k", "ended", kind="done")
    assert [line["what"] for line in store.log("k")] == ["started", "ended"]


def test_one_worker_at_a_time_has_a_run(tmp_path: Path) -> None:
    store = Store(tmp_path, "s")
    (store.folder / "rows").mkdir(parents=True)
    with store.claim("k") as first, store.claim("k") as second:
        assert (first, second, store.is_claimed("k")) == (True, False, True)
    assert not store.is_claimed("k")


def test_of_two_sweeps_that_take_a_name_at_the_same_moment_one_is_refused(tmp_path: Path) -> None:
    store, plan = Store(tmp_path, "s"), plan_of(row("a"))

    def fill(draft: Path) -> tuple[Plan, str]:
        Store(tmp_path, "s").create(lambda other: (plan_of(row("b")), ""))
        return plan, ""

    with pytest.raises(UsageError, match="harness sweep resume s"):
        store.create(fill)
    assert store.plan().rows == (row("b"),)
    assert [path.name for path in store.folder.parent.iterdir()] == ["s"], "no draft is left"


# --------------------------------------------------------------------------------------------------- which is next


def test_long_runs_are_first_and_seeds_are_completed_one_after_the_other() -> None:
    rows = [row(task, seed) for task in ("short", "long", "unknown") for seed in (0, 1)]
    known = {alike(row("short")): 2.0, alike(row("long")): 23.0}
    order = [one.key for one in in_order(rows, known, {"unknown.s1": 23.5})]
    assert order == ["unknown.s0", "long.s0", "long.s1", "short.s0", "short.s1", "unknown.s1"]
    equal = [one.key for one in in_order([row(task, seed) for task in "ab" for seed in (0, 1)], {}, {})]
    assert equal == ["a.s0", "b.s0", "a.s1", "b.s1"]


def test_runs_with_another_budget_or_model_say_nothing_about_the_length() -> None:
    short = row("a", hours=2.0, levels={"hours": "2"})
    queue = Queue([short, row("a", hours=24.0), row("b", hours=12.0)])
    queue.finish(short, 2.0)
    following = queue.take(0.0)
    assert following is not None and (following.task, following.hours) == ("a", 24.0), "not two hours"
    assert len({alike(row("a", base_url=url)) for url in ("", "http://x/v1")}) == 2


def test_earlier_sweeps_of_a_home_show_how_long_runs_take(tmp_path: Path) -> None:
    table = [row("a", 0), row("a", 1), row("b", 0), row("c", 0)]
    for name in ("earlier", "now"):
        Store(tmp_path, name).create(lambda draft: (plan_of(*table), ""))
    ends = {"a.s0": ("ended: cost", 5), "a.s1": ("ended: cost", 7), "b.s0": ("ended: stopped", 1), "c.s0": ("open", 3)}
    for one in table:
        status, hours = ends[one.key]
        folder = tmp_path / "runs" / one.run_id
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text(json.dumps({"status": status, "active_seconds": hours * 3600}))
        kind = "done" if status.startswith("ended") else "stopped"
        for line in (started(), ended(kind)):
            Store(tmp_path, "earlier").append(one.key, **line)
    (tmp_path / "sweeps" / "earlier" / "plan.json").rename(tmp_path / "plan.json")
    assert known_hours(tmp_path) == {}, "the sweep of the same runs has no log yet"
    (tmp_path / "plan.json").rename(tmp_path / "sweeps" / "earlier" / "plan.json")
    assert known_hours(tmp_path) == {alike(row("a")): 7.0}
    (tmp_path / "sweeps" / "earlier" / "plan.json").write_text("{")
    assert known_hours(tmp_path) == {}, "a damaged plan of another sweep stops nothing"


def test_a_run_that_waits_lets_others_go_first() -> None:
    queue = Queue([row("a"), row("b")])
    first = queue.take(0.0)
    assert first is not None and first.key == "a.s0"
    queue.put_back(first, not_before=10.0)
    second = queue.take(1.0)
    assert second is not None and second.key == "b.s0"
    queue.finish(second, 1.0)
    assert queue.take(9.0) is None and not queue.is_empty
    assert queue.take(10.0) == first


def test_ray_is_told_what_could_never_start() -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8.0, "memory": 1e9}},
        {"Alive": True, "Resources": {"CPU": 1.0, "GPU": 2.0, "memory": 1e9}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0, "memory": 1e12}},
    ]
    assert why_never({"CPU": 8.0, "GPU": 0.0, "memory": 0.0}, nodes) == ""
    assert "16 CPU" in why_never({"CPU": 16.0}, nodes)
    assert "no single node" in why_never({"CPU": 4.0, "GPU": 1.0}, nodes)


# ------------------------------------------------------------------------------------------------- sums, comparisons


def state(one: Row, kind: str, hours: float = 0.0, medal: str = "") -> RowState:
    report = {"gold_threshold": 1.0, f"{medal or 'none'}_medal": True} if medal else {}
    summary = {"active_seconds": hours * 3600, "cost": 1.5, "is_cost_known": True} if hours else {}
    return RowState(one, History(kind, tries=1), summary, {"report": report} if medal else {})  # type: ignore[arg-type]


def test_the_sums_of_a_sweep() -> None:
    rows = [
        state(row("a", 0, gpus=2), "done", 20, "gold"),
        state(row("a", 1, gpus=2), "done", 22, "none"),
        state(row("b", 0), "running", 5),
        state(row("b", 1), "waiting"),
        state(row("c", 0), "failed"),
    ]
    progress = progress_of(rows, workers=1)
    assert dict(progress.counts) == {"done": 2, "running": 1, "waiting": 1, "failed": 1}
    assert progress.medal_rate == (50.0, 50.0)
    assert (progress.dollars, progress.hours, progress.gpu_hours) == (4.5, 47.0, 84.0)
    assert progress.hours_left == pytest.approx(16 + 21), "runs took 21 hours so far"
    assert progress_of(rows, workers=2).hours_left == pytest.approx(21)


def test_the_table_shows_failures_as_escaped_text(tmp_path: Path) -> None:
    store = Store(tmp_path, "s")
    (store.folder / "workers").mkdir(parents=True)
    bad = RowState(row("a"), History("failed", "<script>alert(1)</script> \x1b[31m", "host", 3, 3))
    rows = [state(row("b"), "done", 1, "gold"), bad, *(state(row("c", seed), "waiting") for seed in range(50))]
    page = as_page(plan_of(*(one.row for one in rows)), rows, store, 1)
    assert "<script" not in page and "&lt;script&gt;" in page and "default-src 'none'" in page
    text = as_text(plan_of(*(one.row for one in rows)), rows, store, 1, most=10)
    assert "\x1b" not in text and "and 42 more" in text
    assert text.index("alert") < text.index("waiting  ", text.index("worker")), "failed runs come first"
    console = Console(file=StringIO(), width=200)
    console.print(as_rich(plan_of(*(one.row for one in rows)), rows, store, 1, most=10))
    assert "1 of 1 graded runs" in console.file.getvalue()  # type: ignore[attr-defined]
    found = json.loads(as_json(plan_of(*(one.row for one in rows)), rows, store, 1))
    assert (found["failed"], found["waiting"], len(found["rows"])) == (1, 50, 52)


LEVELS = {"search": ["old", "new"]}


def results(effect: float, tasks: int, seeds: int = 3) -> list[Result]:
    chance = random.Random(7)
    found = []
    for task in range(tasks):
        for seed in range(seeds):
            luck = chance.gauss(0, 0.05)
            for level, gain in (("old", 0.0), ("new", effect)):
                score = 0.5 + luck + gain + chance.gauss(0, 0.01)
                found.append(Result(f"t{task}", seed, {"search": level}, float(score > 0.55), score, False))
    return found


def test_levels_are_compared_by_pairs_of_task_and_seed() -> None:
    (one,) = compare(results(effect=0.1, tasks=10), LEVELS)
    assert (one.factor, one.level, one.reference, one.pairs, one.tasks) == ("search", "new", "old", 30, 10)
    assert one.interval is not None and one.interval[0] > 0, "pairing takes the luck of task and seed away"
    assert one.wins == 30 and one.p < 1e-6
    (none,) = compare(results(effect=0.0, tasks=10), LEVELS)
    assert none.interval is not None and none.interval[0] < 0 < none.interval[1] and none.p > 0.05
    assert compare(results(0.1, tasks=1), LEVELS)[0].interval is None
    assert compare([], LEVELS) == []


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    chance = random.Random(3)
    covered = 0
    for _ in range(1000):
        interval = interval_of_mean([chance.gauss(1.0, 2.0) for _ in range(8)])
        assert interval is not None
        covered += interval[0] <= 1.0 <= interval[1]
    assert 930 <= covered <= 968
    assert sign_test(10, 0) == pytest.approx(2 / 1024)
    assert sign_test(0, 0) == 1.0


# ------------------------------------------------------------------------------------------------------------ the host


def test_an_endpoint_that_nobody_serves_does_not_answer() -> None:
    from tests.servers.chat_server import ChatServer

    with ChatServer() as server:
        assert answers(server.url)
        address = server.url
    assert not answers(address)
    assert answers("")
