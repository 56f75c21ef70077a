"""CPU and memory cost of the projection per turn, and the latency of `recall`.

    python -m tests.benchmarks.projection [--events 100000]

Window: microseconds of CPU to apply the events of a turn at 10k, 80k and 180k tokens, compared with `json.dumps` of the
new messages alone; memory beyond the messages themselves. Recall: milliseconds per search over `--events` events.
Prints tables and asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
import tracemalloc
from pathlib import Path

from context.notebook import Notebook
from context.recall.index import Recall
from context.recall.store import NAME
from context.window import Window
from runs.events.registry import Call, EpochStarted, Event, ModelAsked, ModelReplied, ToolFinished, Usage
from runs.usage.cache import CacheMeter

BYTES_PER_TOKEN = 4
ROW = "0,1,4,12,9,16,3,0,7,11,2,15,8,13,6,10,"


def turn(number: int, window: Window) -> list[Event]:
    """The events of one turn of about 1,500 tokens."""
    message = {
        "role": "assistant",
        "content": "",
        "reasoning_content": f"In turn {number} I weigh what the numbers say. " * 40,
        "tool_calls": [{"id": f"c{number}", "type": "function", "function": {"name": "bash", "arguments": "{}"}}],
    }
    calls = [Call(id=f"c{number}", name="bash", arguments='{"command":"head"}')]
    usage = Usage(prompt=window.size // BYTES_PER_TOKEN, cached=0, completion=500)
    return [
        ModelAsked(request=number, messages=len(window.messages), size=window.size, digest=window.digest()),
        ModelReplied(request=number, message=json.dumps(message), calls=calls, usage=usage, attempt=1),
        ToolFinished(call=f"c{number}", name="bash", content=f"exit 0\n{number}\n" + ROW * 100, attempt=1),
    ]


def projection(tokens: int, turns: int = 200) -> tuple[float, float, float, float]:
    """Median microseconds per turn for applying events, for serialising alone, for `groups`; MB beyond the messages."""
    tracemalloc.start()
    window, notebook, meter = Window(), Notebook(), CacheMeter()
    window.apply(EpochStarted(reason="attempt", system="s" * 8_000, tools="[]", user="u" * 16_000))
    number = 0
    while window.size < tokens * BYTES_PER_TOKEN:
        number += 1
        for event in turn(number, window):
            window.apply(event)
            notebook.apply(event)
    overhead = (tracemalloc.get_traced_memory()[0] - window.size) / 1e6
    tracemalloc.stop()
    applied, plain, weighed = [], [], []
    for _ in range(turns):
        number += 1
        events = turn(number, window)
        started = time.process_time_ns()
        for event in events:
            window.apply(event)
            notebook.apply(event)
            meter.apply(event)
        window.breaks_prefix(None), window.reused(), window.tokens()
        applied.append(time.process_time_ns() - started)
        started = time.process_time_ns()
        json.dumps({"role": "tool", "content": events[2].content}, ensure_ascii=False).encode()  # type: ignore[attr-defined]
        plain.append(time.process_time_ns() - started)
        started = time.process_time_ns()
        window.groups()
        weighed.append(time.process_time_ns() - started)
    return statistics.median(applied) / 1e3, statistics.median(plain) / 1e3, statistics.median(weighed) / 1e3, overhead


def recall(events: int, folder: Path) -> list[tuple[str, float]]:
    """Milliseconds of the median and worst search and of one event; seconds to build the index, and its size."""
    random_source, index = random.Random(7), Recall(folder)
    words = [f"{a}{b}" for a in ("fold", "lr", "auc", "leaf", "beak", "row") for b in range(400)]
    index._is_behind = False
    started = time.perf_counter()
    for number in range(events):
        text = " ".join(random_source.choices(words, k=60)) + f" needle{number}\nscore 0.{number}"
        index.note(ToolFinished(call="c", name="bash", content=text, seq=number, attempt=1))
    index.search("needle1", 100)
    built = time.perf_counter() - started
    queries = [f"needle{random_source.randrange(events)}" for _ in range(50)]
    queries += [" ".join(random_source.choices(words, k=3)) for _ in range(50)] + ["score exit bash", "score"]
    queries += ["fold1 OR lr2", "0 1 2 3 4 5 6 7 8 9", " ".join(words[:24])]
    wall, cpu_times = [], []
    for query in queries:
        started, cpu = time.perf_counter(), time.process_time()
        index.search(query, 2_000)
        wall.append((time.perf_counter() - started) * 1e3)
        cpu_times.append((time.process_time() - cpu) * 1e3)
    started = time.perf_counter()
    index.event(events // 2, 2_000)
    one_event = (time.perf_counter() - started) * 1e3
    size = (folder / NAME).stat().st_size / 1e6
    return [
        ("median search, ms", statistics.median(wall)),
        ("worst search, ms", max(wall)),
        ("worst search, CPU ms", max(cpu_times)),
        ("one event, ms", one_event),
        ("building, s", built),
        ("index, MB", size),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    print("tokens   project us   serialise us   groups us   MB beyond the messages")
    for tokens in (10_000, 80_000, 180_000):
        applied, plain, weighed, overhead = projection(tokens)
        print(f"{tokens:>7,} {applied:>11.0f} {plain:>14.0f} {weighed:>11.0f} {overhead:>8.2f}")
    with tempfile.TemporaryDirectory() as folder:
        for name, value in recall(options.events, Path(folder)):
            print(f"{name:<20} {value:8.1f}")


if __name__ == "__main__":
    main()
