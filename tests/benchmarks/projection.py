"""What the projection costs per turn beyond serialising the new messages, and how quickly the past is found again.

    python -m tests.benchmarks.projection [--events 100000]

Window: microseconds of CPU to take a turn's events into account at 10k, 80k and 180k tokens, against `json.dumps` of
the new messages alone; memory beside the messages themselves. Recall: milliseconds for a search over so many events.
Prints tables; nothing here passes or fails.
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
from context.recall.index import NAME, Recall
from context.window import Window
from runs.events.registry import Call, EpochStarted, Event, ModelAsked, ModelReplied, ToolFinished, Usage
from runs.usage.cache import CacheMeter

BYTES_A_TOKEN = 4
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
    usage = Usage(prompt=window.size // BYTES_A_TOKEN, cached=0, completion=500)
    return [
        ModelAsked(request=number, messages=len(window.messages), size=window.size, digest=window.digest()),
        ModelReplied(request=number, message=json.dumps(message), calls=calls, usage=usage, attempt=1),
        ToolFinished(call=f"c{number}", name="bash", content=f"exit 0\n{number}\n" + ROW * 100, attempt=1),
    ]


def projection(tokens: int, turns: int = 200) -> tuple[float, float, float, float]:
    """Median microseconds a turn: projecting, serialising alone, weighing the groups; and MB beside the messages."""
    tracemalloc.start()
    window, notebook, meter = Window(), Notebook(), CacheMeter()
    window.apply(EpochStarted(reason="attempt", system="s" * 8_000, tools="[]", user="u" * 16_000))
    number = 0
    while window.size < tokens * BYTES_A_TOKEN:
        number += 1
        for event in turn(number, window):
            window.apply(event)
            notebook.apply(event)
    beside = (tracemalloc.get_traced_memory()[0] - window.size) / 1e6
    tracemalloc.stop()
    spent, plain, weighed = [], [], []
    for _ in range(turns):
        number += 1
        events = turn(number, window)
        begun = time.process_time_ns()
        for event in events:
            window.apply(event)
            notebook.apply(event)
            meter.apply(event)
        window.breaks_prefix(None), window.reused(), window.tokens()
        spent.append(time.process_time_ns() - begun)
        begun = time.process_time_ns()
        json.dumps({"role": "tool", "content": events[2].content}, ensure_ascii=False).encode()  # type: ignore[attr-defined]
        plain.append(time.process_time_ns() - begun)
        begun = time.process_time_ns()
        window.groups()
        weighed.append(time.process_time_ns() - begun)
    return statistics.median(spent) / 1e3, statistics.median(plain) / 1e3, statistics.median(weighed) / 1e3, beside


def recall(events: int, folder: Path) -> list[tuple[str, float]]:
    """Milliseconds: median and worst search, one event, building the index; and its size."""
    chance, index = random.Random(7), Recall(folder)
    words = [f"{a}{b}" for a in ("fold", "lr", "auc", "leaf", "beak", "row") for b in range(400)]
    index._is_behind = False
    begun = time.perf_counter()
    for number in range(events):
        text = " ".join(chance.choices(words, k=60)) + f" needle{number}\nscore 0.{number}"
        index.note(ToolFinished(call="c", name="bash", content=text, seq=number, attempt=1))
    index.search("needle1", 100)
    built = time.perf_counter() - begun
    asked = [f"needle{chance.randrange(events)}" for _ in range(50)]
    asked += [" ".join(chance.choices(words, k=3)) for _ in range(50)] + ["score exit bash", "score"]
    asked += ["fold1 OR lr2", "0 1 2 3 4 5 6 7 8 9", " ".join(words[:24])]
    spent, worked = [], []
    for query in asked:
        begun, cpu = time.perf_counter(), time.process_time()
        index.search(query, 2_000)
        spent.append((time.perf_counter() - begun) * 1e3)
        worked.append((time.process_time() - cpu) * 1e3)
    begun = time.perf_counter()
    index.event(events // 2, 2_000)
    one = (time.perf_counter() - begun) * 1e3
    size = (folder / NAME).stat().st_size / 1e6
    return [
        ("median search, ms", statistics.median(spent)),
        ("worst search, ms", max(spent)),
        ("worst search, CPU ms", max(worked)),
        ("one event, ms", one),
        ("building, s", built),
        ("index, MB", size),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    print("tokens   project us   serialise us   groups us   MB beside the messages")
    for tokens in (10_000, 80_000, 180_000):
        spent, plain, weighed, beside = projection(tokens)
        print(f"{tokens:>7,} {spent:>11.0f} {plain:>14.0f} {weighed:>11.0f} {beside:>8.2f}")
    with tempfile.TemporaryDirectory() as folder:
        for name, value in recall(options.events, Path(folder)):
            print(f"{name:<20} {value:8.1f}")


if __name__ == "__main__":
    main()
