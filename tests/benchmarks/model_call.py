"""Prints what one call costs the client in CPU, at windows of 10k, 80k and 180k tokens, as ratios.

python -m tests.benchmarks.model_call [--calls 30]

Four clients ask the same server on loopback, in turn: ours (`Model.complete`, which reads, checks and repairs the
reply); the openai SDK posting ready bytes, its answer thrown away unread; the same with the stream read by the SDK; and
the SDK's `create()` with the messages as dicts. CPU is this process's own; the server is another process. The cost of
reading a reply of 32 kB is in `reply_parsing.py`. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SIZES = (10_000, 80_000, 180_000)
BYTES_PER_TOKEN = 4
TURN_BYTES = 1_600
"""Bytes of a turn of the history: a thought, a call and its result."""


def serve(chunks: int) -> None:
    """A server process that answers every request with the same stream: a thought and a call, in `chunks` pieces."""
    base = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    deltas: list[dict[str, Any]] = [{"reasoning_content": "think, "} for _ in range(chunks)]
    function = {"name": "bash", "arguments": '{"command":"ls"}'}
    deltas.append({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]})
    told = [{**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    told.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    told.append({**base, "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}})
    body = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in told) + b"data: [DONE]\n\n"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            left = int(self.headers["Content-Length"])
            while left:
                left -= len(self.rfile.read(min(left, 1 << 20)))
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


def history(tokens: int) -> list[dict[str, Any]]:
    """Messages of about so many tokens, as a run makes them."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "The task. " * 600}]
    for number in range((tokens * BYTES_PER_TOKEN - 6_000) // TURN_BYTES):
        function = {"name": "bash", "arguments": json.dumps({"command": f"python train.py --seed {number}"})}
        call = {"id": f"call_{number}", "type": "function", "function": function}
        thought = f"Seed {number} next; the last one was no better. " * 12
        said = {"role": "assistant", "content": "", "reasoning_content": thought, "tool_calls": [call]}
        lines = "".join(f"fold {fold}: {0.9 + number % 7 / 100 + fold / 1000:.4f}\n" for fold in range(40))
        messages += [said, {"role": "tool", "tool_call_id": f"call_{number}", "content": lines}]
    return messages


def cpu_of(clients: dict[str, Callable[[], Any]], calls: int) -> dict[str, float]:
    """Median CPU milliseconds of this process for one call of each, asked in turn, after two that warm up."""
    taken: dict[str, list[float]] = {name: [] for name in clients}
    for number in range(calls + 2):
        for name, work in clients.items():
            if name == "create()" and number > 6:
                continue  # it takes long, and differs little
            before = time.process_time()
            work()
            taken[name].append(time.process_time() - before)
    return {name: statistics.median(spent[2:]) * 1e3 for name, spent in taken.items()}


def measure(url: str, tokens: int, calls: int) -> dict[str, float]:
    """CPU milliseconds of one call of each client at one window size."""
    import httpx2
    from openai import OpenAI, Stream
    from openai.types.chat import ChatCompletionChunk

    from harness.endpoint.client import open_model
    from harness.endpoint.profiles import OPENAI
    from harness.tools.registry import specs, tools_bytes

    messages, tools = history(tokens), tools_bytes()
    pieces = [json.dumps(message, separators=(",", ":")).encode() for message in messages]
    system = b'{"role":"system","content":"You work."}'
    body = b'{"messages":[' + b",".join([system, *pieces]) + b'],"tools":' + tools + b',"model":"m","stream":true}'
    model = open_model(OPENAI, url, tools=specs())
    client = OpenAI(base_url=url, api_key="none", max_retries=0)
    everything: Any = [json.loads(system), *messages]
    tool_list: Any = json.loads(tools)

    def post() -> None:
        response = client.post("/chat/completions", cast_to=httpx2.Response, content=body, stream=True)
        b"".join(response.iter_bytes())
        response.close()

    def post_and_read() -> None:
        options = {"cast_to": ChatCompletionChunk, "stream_cls": Stream[ChatCompletionChunk]}
        for _ in client.post("/chat/completions", content=body, stream=True, **options):  # type: ignore[call-overload]
            pass

    def create() -> None:
        for _ in client.chat.completions.create(model="m", messages=everything, tools=tool_list, stream=True):
            pass

    def ours() -> None:
        model.complete(system, tools, pieces)

    return cpu_of({"ours": ours, "ready bytes": post, "read by the SDK": post_and_read, "create()": create}, calls)


def main() -> int:
    """Measure and print a table for a short and a long reply."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=30)
    parser.add_argument("--serve", type=int)
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.serve)
        return 0
    print("CPU milliseconds of the client for one call; aims: 1.5 x ready bytes, 0.1 x create() at 80k")
    for chunks in (20, 400):
        command = [sys.executable, "-m", "tests.benchmarks.model_call", "--serve", str(chunks)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
            for tokens in SIZES:
                cost = measure(url, tokens, options.calls)
                print(
                    f"reply of {chunks:3} chunks, window {tokens:7,} tokens: "
                    + ", ".join(f"{name} {spent:7.2f}" for name, spent in cost.items())
                    + f"; {cost['ours'] / cost['ready bytes']:.2f} x ready bytes, "
                    + f"{cost['ours'] / cost['read by the SDK']:.2f} x read by the SDK, "
                    + f"{cost['ours'] / cost['create()']:.3f} x create()"
                )
            server.terminate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
