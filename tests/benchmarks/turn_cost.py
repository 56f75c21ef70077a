"""What a turn costs beyond the model and the job: this harness against a bare loop, in one run on one machine.

    python -m tests.benchmarks.turn_cost [--turns 5000] [--parallel 1]

The bare loop is the openai SDK's `create()` with a growing list of messages, plus `subprocess.run`; it keeps no
record. Both talk to the same scripted server on loopback and run the same command. Each runs in a process of its own,
so that memory can be compared; the bare loop is measured at histories of a given length, because playing it that far
would take hours. With several lanes the turns are shared by them. Prints tables; nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMAND = "echo step; seq 1 200"
MARKS = (10, 100, 500, 1000, 2000, 5000)
WIDTH = 50
"""Turns averaged up to a mark, so that closing an epoch is paid by the turns it serves; the clock of other processes is
coarse, so theirs is averaged over all turns so far."""
BARE_TURNS = 10


# ------------------------------------------------------------------------------------------------------ the endpoint


def serve() -> None:
    """A server process: every reply is one short thought and one bash call; requests are counted, not parsed."""
    count = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or a kept-alive client waits 40 ms for an answer in two writes

        def do_POST(self) -> None:
            nonlocal count
            count += 1
            size = left = int(self.headers["Content-Length"])
            while left:
                left -= len(self.rfile.read(min(left, 1 << 20)))
            told = (b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks(count, size))
            body = b"".join(told) + b"data: [DONE]\n\n"
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def chunks(number: int, size: int) -> list[dict[str, Any]]:
    """One streamed reply of five chunks to a request of so many bytes."""
    call = {"index": 0, "id": f"call_{number}", "type": "function"}
    # Never the same command twice: the harness would take it for a model that goes round in circles.
    arguments = json.dumps({"command": COMMAND.replace("step", f"step {number}")})
    deltas = [
        {"role": "assistant", "content": f"I run step {number} and look at what it prints before the next one."},
        {"tool_calls": [{**call, "function": {"name": "bash", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]},
    ]
    usage = {"prompt_tokens": size // 3, "completion_tokens": 40, "total_tokens": 0}
    base = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    told = [{**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    told.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    return [*told, {**base, "choices": [], "usage": usage}]


# --------------------------------------------------------------------------------------------------------- measuring


def own_cpu() -> float:
    """CPU seconds of this process alone."""
    return time.process_time()


def children_cpu() -> float:
    """CPU seconds of children this process has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def resident_mb() -> float:
    """Resident memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def tree_cpu(pid: int) -> float:
    """CPU seconds of a process and of the children it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def folder_bytes(folder: Path) -> int:
    """Apparent bytes of all files below a folder, a file with two names counted once."""
    found = (path.lstat() for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum({one.st_ino: one.st_size for one in found}.values())


# ---------------------------------------------------------------------------------------------------------- the bare


def bare(url: str, lengths: list[int]) -> None:
    """Prints, for each history length, what one turn of the bare loop costs."""
    from openai import OpenAI

    client = OpenAI(base_url=url, api_key="none", max_retries=0)
    tools: Any = [{"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}}]
    for length in lengths:
        messages: list[Any] = [{"role": "system", "content": "s" * 2500}, {"role": "user", "content": "u" * 3000}]
        while len(messages) < 2 * length:
            bare_result(messages, f"call_{len(messages)}", "".join(f"{n}\n" for n in range(1, 201)))
        rounds = 3 if length > 500 else BARE_TURNS
        own, children, wall = own_cpu(), children_cpu(), time.perf_counter()
        for _ in range(rounds):
            bare_turn(client, messages, tools)
        cost = {
            "own": (own_cpu() - own) / rounds,
            "children": (children_cpu() - children) / rounds,
            "wall": (time.perf_counter() - wall) / rounds,
            "resident": resident_mb(),
        }
        print(json.dumps({"length": length, **cost}), flush=True)


def bare_turn(client: Any, messages: list[Any], tools: Any) -> None:
    """Ask, run what is asked for, remember both."""
    name, arguments = "", ""
    for chunk in client.chat.completions.create(model="m", messages=messages, tools=tools, stream=True):
        for choice in chunk.choices:
            for part in choice.delta.tool_calls or []:
                name, arguments = part.id or name, arguments + (part.function.arguments or "")
    command = json.loads(arguments)["command"]
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    bare_result(messages, name, done.stdout)


def bare_result(messages: list[Any], name: str, output: str) -> None:
    """Add one call and its result to a history."""
    function = {"name": "bash", "arguments": json.dumps({"command": COMMAND})}
    calls = [{"id": name, "type": "function", "function": function}]
    messages.append({"role": "assistant", "content": "I run a step and look.", "tool_calls": calls})
    messages.append({"role": "tool", "tool_call_id": name, "content": output})


# ------------------------------------------------------------------------------------------------------- the harness


class Meter:
    """A screen that shows nothing and measures at every reply."""

    def __init__(self) -> None:
        self.points: list[tuple[float, float, float, float]] = []
        self.supervisor = 0

    def show(self, state: Any, event: Any) -> None:
        """Note the clocks when a reply is on record."""
        if event.kind == "model_replied":
            self.points.append((own_cpu(), self._jobs_cpu(), time.perf_counter(), resident_mb()))

    def _jobs_cpu(self) -> float:
        return tree_cpu(self.supervisor) if self.supervisor else 0.0

    def say(self, *_: object) -> None:
        pass

    def alive(self, *_: object) -> None:
        """Nothing to show."""

    def close(self) -> None:
        """Nothing to give back."""


def play(url: str, turns: int, home: Path, lanes: int) -> None:
    """Prints what turns of a real run cost, and what the run left on disk."""
    from harness.settings import Settings
    from harness.startup import open_run
    from harness.startup.create_run import RunRequest

    # Attempts end after as many turns as by default; set attempt_turns to 10**9 to see one attempt that never does.
    settings = Settings(home=home, variables={"HARNESS_WINDOW_TOKENS": str(10**9)})
    (home / "models.toml").write_text("[m]\ncontext_tokens = 1000000000\n")
    meter = Meter()
    request = RunRequest(
        "digits", {"model": "m", "base_url": url, "turns": turns, "sandbox": "local", "parallel": lanes}
    )
    show = meter.show

    def find_supervisor(state: Any, event: Any) -> None:
        if not meter.supervisor and event.kind == "job_finished":
            (folder,) = (home / "runs").iterdir()
            meter.supervisor = int((folder / "jobs" / ".supervisor.lock").read_text())
        show(state, event)

    meter.show = find_supervisor  # type: ignore[method-assign]
    open_run.start(request, settings, meter)
    (folder,) = (home / "runs").iterdir()
    events = (folder / "events.jsonl").stat().st_size
    from context.window import message_bytes
    from runs.events.registry import ModelReplied, ToolFinished
    from runs.journal import read_events

    # What is new in the window: each reply and each result, as the messages they became.
    new = 0
    for event in read_events(folder):
        if isinstance(event, ModelReplied):
            new += len(event.message.encode())
        elif isinstance(event, ToolFinished):
            new += len(message_bytes("tool", event.content, tool_call_id=event.call))
    sizes = {"events": events, "all": folder_bytes(folder), "new": new}
    print(json.dumps({"points": meter.points, "bytes": sizes, "folder": str(folder)}), flush=True)


def fold(folder: Path) -> None:
    """Prints how long it takes to open a journal and fold it."""
    from context.window import Window
    from runs.journal import Journal
    from runs.state import State

    begun = time.process_time()
    with Journal.open(folder) as journal:
        opened = time.process_time() - begun
        state, window = State(), Window()
        for event in journal.past:
            state.apply(event)
            window.apply(event)
    total = time.process_time() - begun
    print(json.dumps({"events": state.events, "open": opened, "fold": total - opened}), flush=True)


# ------------------------------------------------------------------------------------------------------- the report


def child(*arguments: str) -> list[dict[str, Any]]:
    """Run one part of this benchmark in a process of its own; the JSON lines it printed."""
    command = [sys.executable, "-m", "tests.benchmarks.turn_cost", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def mean_step(points: list[list[float]], index: int, end: int) -> float:
    """Mean growth per turn of one clock over the turns up to `end`."""
    start = max(1, end - WIDTH)
    return (points[end - 1][index] - points[start][index]) / max(1, end - 1 - start)


def report(turns: int, lanes: int) -> None:
    """Measure everything and print it."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.turn_cost", "serve"], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
    marks = [mark for mark in MARKS if mark <= turns]
    try:
        with tempfile.TemporaryDirectory() as home:
            (played,) = child("play", url, str(turns), home, str(lanes))
            bares = {line["length"]: line for line in child("bare", url, *map(str, marks))}
            (folded,) = child("fold", played["folder"])
    finally:
        server.kill()
        server.wait()
    print_turns(played["points"], bares, marks)
    print_rest(played, folded, turns)


def print_turns(points: list[list[float]], bares: dict[int, dict[str, float]], marks: list[int]) -> None:
    """The table of one turn's cost at each mark."""
    print("milliseconds a turn; `beyond` is CPU of harness and supervisor less the command's own (bare children)")
    print(
        "turn   harness-cpu  jobs-cpu  beyond  wall | bare-cpu  children  wall | cpu ratio | MB harness  MB bare  more"
    )
    for mark in marks:
        own, wall = (1e3 * mean_step(points, index, mark) for index in (0, 2))
        jobs = 1e3 * points[mark - 1][1] / mark
        other = bares[mark]
        command, plain = 1e3 * other["children"], 1e3 * other["own"]
        beyond, more = own + jobs - command, points[mark - 1][3] - other["resident"]
        print(
            f"{mark:5d} {own:11.1f} {jobs:9.1f} {beyond:8.1f} {wall:6.1f} | {plain:8.1f} {command:9.1f} "
            f"{1e3 * other['wall']:6.1f} | {beyond / plain:9.3f} | {points[mark - 1][3]:10.1f} "
            f"{other['resident']:8.1f} {more:6.1f}"
        )


def print_rest(played: dict[str, Any], folded: dict[str, float], turns: int) -> None:
    """Growth, bytes, fold and start-up."""
    points = played["points"]
    steps = [later[0] - earlier[0] for earlier, later in itertools.pairwise(points[1:])]
    thousand = steps[: min(1000, len(steps))]
    tenth = max(1, len(thousand) // 10)
    first, last = statistics.mean(thousand[:tenth]), statistics.mean(thousand[-tenth:])
    print(f"last tenth of {len(thousand)} turns / first tenth, harness CPU: {last / first:.2f}")
    sizes = played["bytes"]
    all_bytes, events = sizes["all"] / sizes["new"], sizes["events"] / sizes["new"]
    print(f"bytes on disk / bytes new in the window: {all_bytes:.2f} (journal alone {events:.2f})")
    print(f"bytes on disk a turn: {sizes['all'] / turns:.0f}")
    print(
        f"opening and folding {folded['events']} events: {folded['open'] + folded['fold']:.2f} s CPU "
        f"({1e4 * (folded['open'] + folded['fold']) / folded['events']:.2f} s per 10,000)"
    )
    helps = [timed_help() for _ in range(7)]
    print(f"harness --help: {1e3 * statistics.median(helps):.0f} ms CPU (median of 7)")


def timed_help() -> float:
    """CPU seconds of `harness --help`."""
    before = children_cpu()
    subprocess.run([str(Path(sys.executable).parent / "harness"), "--help"], stdout=subprocess.DEVNULL, check=True)
    return children_cpu() - before


def main() -> None:
    """Run the whole benchmark, or one part of it in a child."""
    part, *rest = sys.argv[1:] or ["report"]
    if part == "serve":
        serve()
    elif part == "bare":
        bare(rest[0], [int(length) for length in rest[1:]])
    elif part == "play":
        play(rest[0], int(rest[1]), Path(rest[2]), int(rest[3]))
    elif part == "fold":
        fold(Path(rest[0]))
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--turns", type=int, default=5000)
        parser.add_argument("--parallel", type=int, default=1)
        options = parser.parse_args()
        report(options.turns, options.parallel)


if __name__ == "__main__":
    main()
