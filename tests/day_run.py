"""Write the folder of a made-up run of 24 hours: its size is that of a real one, its texts are hostile on demand.

1,500 turns, 90 attempts, 3 lanes and 200 MB of output by default; `scale` multiplies turns and attempts.
"""

from __future__ import annotations

import heapq
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    Call,
    Decided,
    EndpointProbed,
    EpochStarted,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    FoldFinished,
    FoldStarted,
    JobFinished,
    LessonsChosen,
    ModelAsked,
    ModelFailed,
    ModelReplied,
    MoveChosen,
    NotesKept,
    PlanMade,
    RunCreated,
    RunEnded,
    StepResult,
    SubmissionChosen,
    TaskDescribed,
    ThresholdsKnown,
    ToolFinished,
    ToolStarted,
    Usage,
    Waited,
    Warned,
)
from runs.run_settings import RunSettings
from runs.serialization import link_of, to_line
from runs.state import State
from runs.versions.commits import Versions
from runs.views.summary import write_summary

ATTEMPTS, TURNS_EACH, LANES, HOURS = 90, 17, 3, 23.6
START = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)
FAMILIES = ("boosting", "linear model", "k nearest neighbours", "random forest", "support vectors", "small network")
HOSTILE = (
    "<script>document.title='pwned'</script>",
    "<img src=x onerror=\"document.title='pwned'\">",
    "\x1b[2J\x1b[31mred\x1b[0m",
    "\u202egnp.exe\u202c",
    "</script><svg onload=document.title='pwned'>",
    "javascript:document.title='pwned'",
    "'\"><iframe srcdoc='<script>parent.document.title=1</script>'></iframe>",
    "{{ 7 * 7 }} {% raw %}",
    "<!-- --!> <a href=\"javascript:document.title='pwned'\">x</a>",
    "\u2028]]>`${document.title='pwned'}`",
)


@dataclass
class World:
    """What the lanes of the made-up run share."""

    rng: random.Random
    folder: Path
    output_bytes: int
    is_hostile: bool
    has_code: bool
    attempts: int
    asked: int = 0
    started: int = 0
    level: dict[str, float] = field(default_factory=dict)
    """The true score of each evaluation."""
    commits: dict[str, str] = field(default_factory=dict)
    best: str = ""
    scores: dict[str, float] = field(default_factory=dict)

    def text(self, words: str) -> str:
        """A text of the agent, hostile where that was asked for."""
        return f"{words} {self.rng.choice(HOSTILE)}" if self.is_hostile else words


def write_day_run(
    folder: Path,
    scale: float = 1.0,
    *,
    output_mb: float = 200.0,
    is_hostile: bool = False,
    has_code: bool = True,
    seed: int = 1,
    is_open: bool = False,
) -> Path:
    """Write the run folder; the same arguments give the same journal. With `is_open` its end is left out."""
    folder.mkdir(parents=True)
    attempts = max(LANES, round(ATTEMPTS * scale))
    outputs = int(output_mb * 1e6 / (attempts * TURNS_EACH))
    world = World(random.Random(seed), folder, outputs, is_hostile, has_code, attempts)
    state, link = State(), ""
    with (folder / "events.jsonl").open("wb") as file:
        for seq, (seconds, event) in enumerate(_story(world, HOURS * 3600, is_open)):
            moment = (START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            filled = {"seq": seq, "at": moment, "mono": round(seconds, 3), "prev": link}
            event = event.model_copy(update=filled)
            state.apply(event)
            line = to_line(event, folder / "blobs")
            link = link_of(line)
            file.write(line)
    write_summary(folder, state)
    return folder


def _story(world: World, hours: float, is_open: bool) -> Iterator[tuple[float, Event]]:
    yield from ((float(place), event) for place, event in enumerate(_beginning(world)))
    pace = hours * 1.22 / (world.attempts / LANES * TURNS_EACH)
    heap: list[tuple[float, int, Event, Iterator[tuple[float, Event]]]] = []
    for lane in range(LANES):
        lines = _lane(world, lane, 12.0 + lane, pace)
        seconds, event = next(lines)
        heapq.heappush(heap, (seconds, lane, event, lines))
    last = 0.0
    while heap:
        seconds, lane, event, lines = heapq.heappop(heap)
        last = max(last, seconds)
        yield last, event.model_copy(update={"lane": lane})
        if (following := next(lines, None)) is not None:
            heapq.heappush(heap, (following[0], lane, following[1], lines))
    if not is_open:
        for place, event in enumerate(_ending(world)):
            yield last + 60 + place * 90, event


def _beginning(world: World) -> Iterator[Event]:
    prices = {"input": 0.30, "cached": 0.06, "output": 1.20, "source": "config.toml"}
    yield RunCreated(
        harness_version="0.2.0",
        run_id=world.folder.name,
        task_id="digits",
        task_path="digits",
        task_digest="0" * 64,
        metric="accuracy",
        lower_is_better=False,
        is_demo=False,
        sandbox="docker",
        protects_labels=True,
        settings=RunSettings(hours=24.0, model="MiniMax-M2.7", base_url="http://gpu-box:8000/v1", parallel=LANES),
        image="harness-ml:3",
        packages=["numpy==2.3.1", "scikit-learn==1.7.0", "lightgbm==4.6.0"],
        notice="no network in the sandbox; labels are outside it",
        prices=prices,
        playbook="5f3a" * 16,
        prompts={"system": "You are a careful engineer."},
    )
    yield ThresholdsKnown(gold=0.985, silver=0.981, bronze=0.968, median=0.962, rows=1204)
    yield TaskDescribed(card=world.text("Classify the images of digits."), data_files=["train.csv", "test.csv"])
    yield LessonsChosen(
        modality="table",
        text="- [L12] Tune the regularisation first: 4 of 6 runs gained.\n- [L31] Stack two families late.",
        shown=["L12", "L31"],
        withheld=["L7"],
        sources=["ledger", "knowledge"],
        snapshot="ab" * 32,
    )
    yield EndpointProbed(when="2026-11-30T08:00:03Z", findings=["tools: native", "cache: yes"], calls=6, cost=0.004)
    yield SubmissionChosen(evaluation="", sha256="1" * 64, why="the sample submission, until something scores")


def _lane(world: World, lane: int, start: float, pace: float) -> Iterator[tuple[float, Event]]:
    clock = start
    while world.started < world.attempts:
        world.started += 1
        number = world.started
        for seconds, event in _attempt(world, number, pace):
            clock += seconds
            yield clock, event.model_copy(update={"attempt": number if event.kind != "move_chosen" else 0})  # type: ignore[attr-defined]


def _attempt(world: World, number: int, pace: float) -> Iterator[tuple[float, Event]]:
    move, parents = _move(world, number)
    family = FAMILIES[(number * 7) % len(FAMILIES)]
    reasons = [f"branch of {parents[0]} is one of the best 2 of 5 open branches" if parents else "no branch is open"]
    commits = [world.commits[name] for name in parents]
    yield (
        3.0,
        MoveChosen(next=number, move=move, parents=commits, focus=family, reasons=reasons, policy="tree", lanes=LANES),
    )
    yield 0.2, AttemptStarted(move=move, parents=commits, brief=f"{move}: try {family}")
    tools = json.dumps([{"type": "function", "function": {"name": "bash", "parameters": {}}}])
    yield (
        0.5,
        EpochStarted(reason="attempt", system="You work alone.", tools=tools, user=f"The task.\nattempt: {number}"),
    )
    for turn in range(TURNS_EACH):
        if turn == 11 and number % 3 == 0:
            why = "the window holds 61,000 of 64,000 tokens; 9 outputs leave it"
            head = {"system": "You work alone.", "tools": tools, "user": "The task.", "kept": 6}
            yield 0.1, EpochStarted(reason="compaction", stage="mask", fill=61_000, why=why, stubs=["bash 14"], **head)
        yield from _turn(world, number, turn, pace, family, parents)
    if number % 8 == 0:
        yield 0.1, Warned(message="a job was idle for 20 minutes and was ended")
    yield 0.1, NotesKept(text=world.text(f"# Notes\n- {family} is worth another look"), size=60)
    ended = AttemptEnded(
        why="finish" if number % 9 else "time",
        did=world.text(f"Tried {family} with other settings and compared it on all folds."),
        criticism="The gain may be noise; the folds differ by more.",
        next=f"combine {family} with the best",
        lessons=[world.text(f"{family} needs scaled columns")],
    )
    yield 0.3, ended


def _move(world: World, number: int) -> tuple[str, list[str]]:
    known = [name for name in world.scores if name in world.commits]
    if len(known) < 3 or number % 11 == 1:
        return "draft", []
    ranked = sorted(known, key=lambda name: -world.scores[name])
    if number % 13 == 0:
        return "combine", ranked[:2]
    if number % 17 == 0:
        return "repair", [world.rng.choice(known[-6:])]
    return "improve", [world.rng.choice(ranked[:4])]


def _turn(
    world: World, number: int, turn: int, pace: float, family: str, parents: list[str]
) -> Iterator[tuple[float, Event]]:
    rng = world.rng
    world.asked += 1
    request = world.asked
    thinking = pace * rng.uniform(0.2, 0.7)
    yield 0.05, ModelAsked(request=request, messages=2 * turn + 2, size=20_000 + 3_000 * turn, reused=19_000)
    if rng.random() < 0.01:
        yield 5.0, ModelFailed(request=request, error="503 overloaded", again_in=40.0, cost=0.001)
        yield 40.0, Waited(on="the endpoint, asked again", request=request)
    is_evaluation = turn in (8, TURNS_EACH - 2)
    prompt = 6_000 + 1_100 * turn
    call = _call(world, number, turn, family, is_evaluation)
    message = {
        "role": "assistant",
        "content": world.text(f"Step {turn} of attempt {number}: I look at {family}."),
        "reasoning_content": world.text(f"The last score was within noise. {'Let me think. ' * rng.randint(5, 60)}"),
        "tool_calls": [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        ],
    }
    usage = Usage(prompt=prompt, cached=int(prompt * 0.85), completion=400 + rng.randint(0, 900))
    cost = ((prompt - usage.cached) * 0.30 + usage.cached * 0.06 + usage.completion * 1.20) / 1e6
    reply = ModelReplied(
        request=request, message=json.dumps(message), calls=[call], finish_reason="tool_calls", usage=usage, cost=cost,
        seconds=thinking,
    )  # fmt: skip
    yield thinking, reply
    if is_evaluation:
        yield from _evaluation(world, number, turn, pace, call, parents)
    else:
        yield from _job(world, number, turn, pace, call)


def _call(world: World, number: int, turn: int, family: str, is_evaluation: bool) -> Call:
    name = f"call_{number}_{turn}"
    if is_evaluation:
        return Call(id=name, name="evaluate", arguments=json.dumps({"command": "python solution.py"}))
    if turn % 5 == 1:
        code = f"# {family}\n" + "".join(
            f"step_{line} = {line} * {turn}\n" for line in range(world.rng.randint(20, 90))
        )
        return Call(id=name, name="write_file", arguments=json.dumps({"path": "solution.py", "text": code}))
    command = world.text(f"python explore.py --family '{family}' --turn {turn}")
    return Call(id=name, name="bash", arguments=json.dumps({"command": command}))


def _job(world: World, number: int, turn: int, pace: float, call: Call) -> Iterator[tuple[float, Event]]:
    rng = world.rng
    if call.name == "write_file":
        yield 0.05, ToolStarted(call=call.id, name=call.name)
        yield 0.05, ToolFinished(call=call.id, name=call.name, content="wrote solution.py (60 lines)")
        return
    job = f"{number:03d}{turn:02d}-0"
    yield 0.05, ToolStarted(call=call.id, name="bash", job=job)
    seconds = pace * rng.uniform(0.1, 0.5)
    output = "".join(f"epoch {line:04d} loss {1 / (line + 1):.5f} acc {rng.random():.4f}\n" for line in range(60))
    log = world.folder / "jobs" / job / "log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes((output * (world.output_bytes // len(output) + 1))[: world.output_bytes].encode())
    used = {"cpu_seconds": round(seconds * rng.uniform(0.5, 7.0), 1), "peak_bytes": rng.randint(2, 40) * 10**8}
    gpu = {"gpu_percent": round(rng.uniform(5, 95), 1), "gpu_bytes": rng.randint(10, 800) * 10**8}
    size = world.output_bytes
    yield seconds, JobFinished(
        job=job, ended="exited", exit_code=0, seconds=seconds, output_bytes=size, **used, **gpu
    )  # fmt: skip
    content = world.text(output + f"\n[job {job}: exit code 0, {seconds:.0f} s]")
    yield 0.1, ToolFinished(call=call.id, name="bash", content=content)


def _evaluation(
    world: World, number: int, turn: int, pace: float, call: Call, parents: list[str]
) -> Iterator[tuple[float, Event]]:
    rng = world.rng
    name = f"{number:03d}-{1 if turn == 8 else 2}"
    job = f"e-{name}"
    commit = _commit(world, number, turn, parents)
    yield 0.05, ToolStarted(call=call.id, name="evaluate")
    yield (
        1.0,
        EvaluationStarted(
            evaluation=name, call=call.id, command="python solution.py", commit=commit, tree=commit, job=job
        ),
    )
    if rng.random() < 0.3:
        wait = pace * rng.uniform(0.05, 0.3)
        yield wait, Waited(on=f"a lease for job {job}", seconds=round(wait, 1))
    seconds = pace * rng.uniform(0.3, 1.1)
    failed = rng.random() < 0.08
    cpu = round(seconds * rng.uniform(0.5, 7.0), 1)
    yield (
        seconds,
        JobFinished(job=job, ended="exited", exit_code=int(failed), seconds=seconds, output_bytes=900, cpu_seconds=cpu),
    )
    log = world.folder / "jobs" / job / "log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(world.text("fold 0: 0.97\nsaved submission.csv\n"))
    if not world.scores and not failed:
        yield (
            0.1,
            PlanMade(
                folds=5, labelled_rows=1438, seconds=seconds, allowance=9000, kept_back=3000, why="540 rows: 5 folds"
            ),
        )
    if not failed:
        for fold in range(1, 5):
            yield 0.2, FoldStarted(evaluation=name, fold=f"fold{fold}", job=f"{job}-fold{fold}")
            each = seconds * 0.2
            score = round(0.95 + rng.random() * 0.04, 4)
            finished = {"status": "scored", "score": score, "noise": 0.006, "seconds": each}
            yield each, FoldFinished(evaluation=name, fold=f"fold{fold}", **finished)
    yield 2.0, _finished(world, name, commit, seconds, failed, parents)
    if world.best == name:
        yield 0.1, SubmissionChosen(evaluation=name, sha256=name.replace("-", "") * 10, why="best score so far")
    shown = "failed: exit code 1" if failed else f"scored {world.scores[name]:.3f} ± 0.004"
    yield 0.2, ToolFinished(call=call.id, name="evaluate", content=shown, results=[name])


def _finished(
    world: World, name: str, commit: str, seconds: float, failed: bool, parents: list[str]
) -> EvaluationFinished:
    rng = world.rng
    common: dict[str, Any] = {
        "evaluation": name, "commit": commit, "tree": commit, "seconds": seconds, "spent_seconds": seconds,
        "steps": [StepResult(job=f"e-{name}", seconds=seconds, peak_bytes=rng.randint(2, 30) * 10**8)],
    }  # fmt: skip
    if failed:
        return EvaluationFinished(status="failed", message=world.text("ValueError: input contains NaN"), **common)
    base = max((world.level.get(parent, 0.90) for parent in parents), default=0.90 + rng.random() * 0.05)
    level = min(0.987, base + rng.gauss(0.0015, 0.004))
    score = round(min(1.0, level + rng.gauss(0, 0.002)), 5)
    world.level[name], world.scores[name] = level, score
    common |= {"status": "scored", "score": score, "noise": 0.0042, "shown_score": f"{score:.3f} ± 0.004", "folds": 5}
    if rng.random() < 0.6:
        common["claimed"] = round(score + abs(rng.gauss(0.004, 0.004)), 4)
    if not world.best:
        world.best = name
        return EvaluationFinished(verdict="first", promoted=True, **common)
    gain = score - world.scores[world.best]
    verdict = "real" if gain > 0.003 else "worse" if gain < -0.006 else "unclear"
    share = min(0.999, max(0.001, 0.5 + gain * 80))
    paired = {
        "verdict": verdict,
        "against": world.best,
        "gain": gain,
        "gain_noise": 0.0017,
        "gain_folds": 5,
        "share": share,
    }
    if rng.random() < 0.02:
        common["distrust_reason"] = "the other folds do not reproduce the score"
    elif verdict == "real":
        world.best = name
        paired |= {"promoted": True, "shown_gain": f"{gain:+.4f} ± 0.0017"}
    return EvaluationFinished(**{"promoted": False, **paired, **common})


def _commit(world: World, number: int, turn: int, parents: list[str]) -> str:
    name = f"{number:03d}-{1 if turn == 8 else 2}"
    if world.has_code:
        workspace = world.folder / "workspace"
        workspace.mkdir(exist_ok=True)
        lines = [f"depth = {number % 9 + turn}", f"rate = 0.{number:02d}", "", "def fit(rows):"]
        lines += [f"    rows = step_{line}(rows, {line * number % 17})" for line in range(24)]
        (workspace / "solution.py").write_text(world.text('"""A solution."""') + "\n" + "\n".join(lines) + "\n")
        parent = world.commits[parents[0]] if parents else None
        versions = Versions(world.folder / "repo.git")
        world.commits[name] = versions.commit(workspace, "python solution.py", parent, when=1_790_000_000).hash
    else:
        world.commits[name] = f"{number:036x}{turn:04x}"
    return world.commits[name]


def _ending(world: World) -> Iterator[Event]:
    names = sorted(world.scores, key=lambda name: -world.scores[name])[:3]
    chosen = " ".join(names)
    scores = {name: world.scores[name] for name in names}
    fresh = {name: round(score - 0.003, 5) for name, score in scores.items()}
    yield Decided(step="finalists", chosen=chosen, why=f"of {len(world.scores)}", numbers={"scores": scores})
    for name in names:
        yield FoldStarted(evaluation=name, fold="fresh1-fold0", job=f"e-{name}-fresh1-fold0")
        finished = {"status": "scored", "score": fresh[name], "noise": 0.005, "seconds": 80.0}
        yield FoldFinished(evaluation=name, fold="fresh1-fold0", **finished)
    yield Decided(step="reproduced", chosen=chosen, why="run again on other rows: 3 of 3 scored about the same")
    noise = dict.fromkeys(names, 0.005)
    numbers = {"searched": scores, "judged": fresh, "judged_noise": noise, "estimates": fresh, "estimates_noise": noise}
    why = "best of 3 by the mean of search rows and fresh folds"
    yield Decided(step="fresh", chosen=names[0], why=why, numbers=numbers)
    yield Decided(step="reported", chosen=names[0], why="halves of the fresh folds, each with the choice of the other",
                  numbers={"score": fresh[names[0]], "noise": 0.0048})  # fmt: skip
    weights = dict.fromkeys(names, 0.33)
    accepted = {
        "proposed": weights,
        "accepted": False,
        "score": 0.981,
        "noise": 0.004,
        "gain": 0.0002,
        "gain_noise": 0.001,
    }
    yield Decided(step="ensemble", chosen=names[0], why="its gain is within noise", numbers=accepted)
    yield Decided(step="refit", chosen="refit", why="it differs no more than two splits do", numbers={"moved": 0.004})
    yield SubmissionChosen(evaluation="final", sha256="f" * 64, why="refitted on all labelled rows")
    yield Decided(step="record", chosen=names[0], why="refitted on all labelled rows")
    yield RunEnded(why="hours")
