"""The named faults of an endpoint, each with what a client must make of it.

`outcome` is `in place` (the reply is read, with one request), `again` (the same request once more brings it), or the
name of the error the client ends with. Habits of servers that were really seen are among them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.servers.chat_server import Exchange, Fault


def _refusal(status: int, message: str, **fields: Any) -> Callable[[Exchange], None]:
    error = {"message": message, "type": fields.pop("type", "error"), **fields}
    return lambda exchange: exchange.answer(status, {"error": error})


def _text(status: int, body: str, **headers: str) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.answer(status, body, **headers)


def _json(status: int, body: dict[str, Any]) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.answer(status, body)


def _half(exchange: Exchange) -> None:
    """The first half of the reply, as a stream that has begun well."""
    exchange.start()
    chunks = exchange.chunks()
    for chunk in chunks[: len(chunks) // 2]:
        exchange.event(chunk)


def _let_read(exchange: Exchange) -> None:
    """A reset throws away what the client has not read yet."""
    exchange.pause(0.5)


def _all_but_usage(exchange: Exchange) -> None:
    for chunk in exchange.chunks()[:-1]:
        exchange.event(chunk)


def _endless_comments(exchange: Exchange) -> None:
    while exchange.pause(0.05):
        exchange.send(b": \n")


def _then(*steps: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
    def play(exchange: Exchange) -> None:
        for step in steps:
            step(exchange)

    return play


def _raw(data: bytes) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.send(data)


def _stream(change: Callable[[list[dict[str, Any]]], list[Any]]) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.play(change(exchange.chunks()))


def _bytes(change: Callable[[bytes], bytes], size: int = 1 << 20) -> Callable[[Exchange], None]:
    """The whole stream as bytes, changed, sent `size` at a time."""

    def play(exchange: Exchange) -> None:
        events = [f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode() for chunk in exchange.chunks()]
        data = change(b"".join([*events, b"data: [DONE]\n\n"]))
        exchange.start()
        for start in range(0, len(data), size):
            exchange.send(data[start : start + size])
        exchange.end()

    return play


def _drip(exchange: Exchange) -> None:
    exchange.start()
    for letter in json.dumps(exchange.chunks()[3]):
        exchange.send(letter.encode() if letter != "{" else b"data: {")
        if not exchange.pause(0.05):
            return


def _drip_headers(exchange: Exchange) -> None:
    for letter in b"HTTP/1.1 200 OK\r\nx-slow: " + b"z" * 400:
        exchange.handler.wfile.write(bytes([letter]))
        exchange.handler.wfile.flush()
        if not exchange.pause(0.05):
            return


def _endless_error(exchange: Exchange) -> None:
    exchange.handler.send_response(500)
    exchange.handler.send_header("content-length", "9000000000")
    exchange.handler.end_headers()
    for _ in range(2000):
        exchange.handler.wfile.write(b"overloaded " * 1000)


def _short_document(exchange: Exchange) -> None:
    data = json.dumps(exchange.document()).encode()
    exchange.handler.send_response(200)
    exchange.handler.send_header("content-length", str(len(data)))
    exchange.handler.end_headers()
    exchange.handler.wfile.write(data[: len(data) // 2])
    exchange.hang_up()


def _cut_document(exchange: Exchange) -> None:
    exchange.answer(200, json.dumps(exchange.document()).encode()[:-40])


def _document_as_stream(exchange: Exchange) -> None:
    exchange.start("text/event-stream")
    exchange.send(json.dumps(exchange.document()).encode())
    exchange.end()


def _stream_as_text(exchange: Exchange) -> None:
    exchange.start("text/plain")
    for chunk in exchange.chunks():
        exchange.event(chunk)
    exchange.done()


def _cumulative(chunks: list[dict[str, Any]]) -> list[Any]:
    """Every text whole, as far as it has come, in every chunk."""
    so_far: dict[str, str] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            for name in ("content", "reasoning_content"):
                if choice["delta"].get(name):
                    so_far[name] = choice["delta"][name] = so_far.get(name, "") + choice["delta"][name]
            for detail in choice["delta"].get("reasoning_details") or []:
                so_far["detail"] = detail["text"] = so_far.get("detail", "") + detail["text"]
            for call in choice["delta"].get("tool_calls") or []:
                told, place = call["function"]["arguments"], f"call {call['index']}"
                so_far[place] = call["function"]["arguments"] = so_far.get(place, "") + told
    return chunks


def _with_empties(chunks: list[dict[str, Any]]) -> list[Any]:
    empty = {**chunks[0], "choices": []}
    repeats = [empty, {**empty, "choices": None}, {**empty, "choices": [{"index": 0, "delta": None}]}]
    return [one for chunk in chunks for one in (*repeats, chunk)]


def _with_nulls(chunks: list[dict[str, Any]]) -> list[Any]:
    blank = {"role": None, "content": None, "reasoning_content": None, "tool_calls": None, "function_call": None}
    for chunk in chunks:
        for choice in chunk["choices"]:
            choice["delta"] = {**blank, **choice["delta"]}
            for call in choice["delta"]["tool_calls"] or []:
                call["id"] = call.get("id")
                call["function"]["name"] = call["function"].get("name")
        chunk["choices"] = [None, *chunk["choices"]]
        chunk["usage"] = chunk.get("usage")
    return [None, *chunks, None]


def _whole_at_end(exchange: Exchange) -> None:
    """The last chunk says the whole message once more."""
    chunks = exchange.chunks()
    chunks[-2]["choices"][0] |= {"message": exchange.document()["choices"][0]["message"], "delta": {}}
    exchange.play(chunks)


def _without_usage(chunks: list[dict[str, Any]]) -> list[Any]:
    return chunks[:-1]


def _odd_usage(chunks: list[dict[str, Any]]) -> list[Any]:
    chunks[-1]["usage"] = {"prompt_tokens": None, "completion_tokens": -5, "prompt_tokens_details": "none"}
    return chunks


def _usage_on_last_choice(chunks: list[dict[str, Any]]) -> list[Any]:
    return [*chunks[:-2], {**chunks[-2], "usage": chunks[-1]["usage"]}]


def _ids_once(chunks: list[dict[str, Any]]) -> list[Any]:
    """No index on the pieces of a call."""
    for chunk in chunks:
        for choice in chunk["choices"]:
            for call in choice["delta"].get("tool_calls") or []:
                del call["index"]
    return chunks


def _new_id_each_time(chunks: list[dict[str, Any]]) -> list[Any]:
    number = 0
    for chunk in chunks:
        for choice in chunk["choices"]:
            for call in choice["delta"].get("tool_calls") or []:
                call["id"] = call.get("id") or f"random-{(number := number + 1)}"
    return chunks


def _two_thinking_fields(chunks: list[dict[str, Any]]) -> list[Any]:
    for chunk in chunks:
        for choice in chunk["choices"]:
            if choice["delta"].get("reasoning_content"):
                choice["delta"]["reasoning"] = choice["delta"]["reasoning_content"]
    return chunks


def _multi_line(data: bytes) -> bytes:
    return data.replace(b'"choices":', b'\ndata: "choices":')


def _refuse_field(name: str, status: int, text: str) -> Callable[[Exchange], None]:
    """Refuse a request for one of its fields, which a client can leave out."""

    def play(exchange: Exchange) -> None:
        if name in exchange.request:
            exchange.answer(status, {"detail": [{"loc": ["body", name], "msg": text}]})
        else:
            exchange.play(exchange.chunks())

    return play


def _error_event(exchange: Exchange) -> None:
    exchange.event({"error": {"message": "backend died", "type": "None", "code": "500"}})
    exchange.end()


def _refuse_null_content(exchange: Exchange) -> None:
    """A template that adds texts together, and so falls over a message without one."""
    if any(message.get("content") is None for message in exchange.request["messages"]):
        exchange.answer(500, {"error": {"message": 'can only concatenate str (not "NoneType") to str', "code": None}})
    else:
        exchange.play(exchange.chunks())


FAULTS: dict[str, Fault] = {
    # Temporary refusals.
    "429_retry_after": Fault(_text(429, "slow down", retry_after="0"), "again"),
    "429_retry_after_ms": Fault(_text(429, "slow down", retry_after_ms="20"), "again"),
    "429_retry_after_date": Fault(_text(429, "x", retry_after="Wed, 21 Oct 2015 07:28:00 GMT"), "again"),
    "429_odd_retry_after": Fault(_text(429, "slow down", retry_after="soon"), "again"),
    "429_json": Fault(_refusal(429, "Rate limit reached for tokens per minute", type="tokens"), "again"),
    "500_text": Fault(_text(500, "Internal Server Error"), "again"),
    "500_json": Fault(_refusal(500, "EngineCore encountered an issue"), "again"),
    "502_html": Fault(_text(502, "<html><head><title>502 Bad Gateway</title></head></html>"), "again"),
    "503_retry_after": Fault(_text(503, "loading the model", retry_after="0"), "again"),
    "504_empty": Fault(_text(504, ""), "again"),
    "529_overloaded": Fault(_refusal(529, "overloaded"), "again"),
    "408_text": Fault(_text(408, "too slow"), "again"),
    "500_endless_body": Fault(_endless_error, "again"),
    # Answers with status 200 that are not replies.
    "200_html": Fault(_text(200, "<html><title>Maintenance</title></html>"), "again"),
    "200_empty": Fault(_text(200, ""), "again", is_paid=True),
    "200_no_events": Fault(_then(Exchange.start, Exchange.end), "again", is_paid=True),
    "200_comments_only": Fault(_then(Exchange.start, _raw(b": ping\n\n" * 5), Exchange.end), "again", is_paid=True),
    "200_done_only": Fault(_then(Exchange.start, Exchange.done), "again", is_paid=True),
    "200_error_json": Fault(_json(200, {"error": {"message": "upstream failed", "code": 502}}), "again"),
    "200_error_text": Fault(_json(200, {"error": "upstream failed"}), "again"),
    "200_minimax_busy": Fault(_json(200, {"base_resp": {"status_code": 1002, "status_msg": "rate limit"}}), "again"),
    "200_odd_json": Fault(_text(200, "[]"), "again"),
    "200_garbage": Fault(_then(Exchange.start, _raw(b"data: {not json\n\n"), Exchange.end), "again", is_paid=True),
    # Connections that break.
    "closed_unanswered": Fault(Exchange.hang_up, "again"),
    "reset_unanswered": Fault(Exchange.reset, "again"),
    "stall_unanswered": Fault(Exchange.stall, "again"),
    "drip_headers": Fault(_drip_headers, "again"),
    "reset_mid_stream": Fault(_then(_half, Exchange.reset), "again", is_paid=True),
    "closed_mid_stream": Fault(_then(_half, Exchange.hang_up), "again", is_paid=True),
    "stall_mid_stream": Fault(_then(_half, Exchange.stall), "again", is_paid=True),
    "drip_mid_stream": Fault(_then(_half, _endless_comments),
                             "again", is_paid=True),
    "stall_after_200": Fault(_then(Exchange.start, Exchange.stall), "again", is_paid=True),
    "reset_after_200": Fault(_then(Exchange.start, Exchange.reset), "again", is_paid=True),
    "slow_drip": Fault(_drip, "again", is_paid=True),
    "ended_without_finish": Fault(_then(_half, Exchange.end), "again", is_paid=True),
    "done_without_finish": Fault(_then(_half, Exchange.done), "again", is_paid=True),
    "error_event_first": Fault(_then(Exchange.start, _error_event), "again"),
    "error_event_mid_stream": Fault(_then(_half, _error_event), "again", is_paid=True),
    "garbage_mid_stream": Fault(_then(_half, _raw(b"data: <html>\n\n"), Exchange.done), "again", is_paid=True),
    "cut_inside_event": Fault(_then(_half, _raw(b'data: {"choices":[{"del'), Exchange.end), "again", is_paid=True),
    "finish_error": Fault(
        _stream(lambda c: [*c[:-2], {**c[-2], "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}]),
        "again", is_paid=True,
    ),
    "document_cut": Fault(_cut_document, "again", is_paid=True),
    "document_short": Fault(_short_document, "again", is_paid=True),
    # Complete replies in unusual forms.
    "cumulative": Fault(_stream(_cumulative), "in place"),
    "empty_choices": Fault(_stream(_with_empties), "in place"),
    "null_entries": Fault(_stream(_with_nulls), "in place"),
    "every_chunk_twice": Fault(_stream(lambda c: [one for chunk in c for one in (chunk, chunk)]), "in place"),
    "lost_usage": Fault(_stream(_without_usage), "in place"),
    "odd_usage": Fault(_stream(_odd_usage), "in place"),
    "usage_on_last_choice": Fault(_stream(_usage_on_last_choice), "in place"),
    "whole_message_at_end": Fault(_whole_at_end, "in place"),
    "calls_without_index": Fault(_stream(_ids_once), "in place"),
    "new_call_id_each_time": Fault(_stream(_new_id_each_time), "in place"),
    "two_thinking_fields": Fault(_stream(_two_thinking_fields), "in place"),
    "no_done": Fault(_bytes(lambda data: data.replace(b"data: [DONE]\n\n", b"")), "in place"),
    "no_last_line_end": Fault(_bytes(lambda data: data.replace(b"data: [DONE]\n\n", b"").rstrip()), "in place"),
    "reset_after_finish": Fault(
        _then(Exchange.start, _all_but_usage, _let_read, Exchange.reset), "in place"
    ),
    "hangs_after_done": Fault(
        _then(Exchange.start, _all_but_usage, _raw(b"data: [DONE]\n\n"),
              Exchange.stall), "in place"
    ),
    "garbage_after_done": Fault(_bytes(lambda data: data + b"data: <html>\n\n"), "in place"),
    "crlf": Fault(_bytes(lambda data: data.replace(b"\n", b"\r\n"), 3), "in place"),
    "cr_only": Fault(_bytes(lambda data: data.replace(b"\n", b"\r"), 7), "in place"),
    "byte_by_byte": Fault(_bytes(lambda data: data, 1), "in place"),
    "byte_order_mark": Fault(_bytes(lambda data: b"\xef\xbb\xbf" + data, 2), "in place"),
    "comments_between": Fault(_bytes(lambda data: b": hi\n\n" + data.replace(b"\n\n", b"\n\n: ping\n\n")), "in place"),
    "many_data_lines": Fault(_bytes(_multi_line), "in place"),
    "single_line_ends": Fault(_bytes(lambda data: data.replace(b"\n\n", b"\n")), "in place"),
    "no_space_after_colon": Fault(_bytes(lambda data: data.replace(b"data: ", b"data:")), "in place"),
    "event_names_and_ids": Fault(_bytes(lambda data: data.replace(b"data: ", b"event: message\ndata: ")), "in place"),
    "500_null_content": Fault(_refuse_null_content, "in place"),
    "document_instead": Fault(lambda exchange: exchange.answer(200, exchange.document()), "in place"),
    "document_as_stream": Fault(_document_as_stream, "in place"),
    "stream_as_text": Fault(_stream_as_text, "in place"),
    # Fields that a client can do without.
    "422_extra_field": Fault(_refuse_field("stream_options", 422, "Extra inputs are not permitted"), "without it"),
    "400_top_k": Fault(_refuse_field("top_k", 400, "Unknown parameter: top_k"), "without it"),
    # Permanent refusals.
    "401": Fault(_refusal(401, "Incorrect API key provided"), "EndpointRefused"),
    "403_html": Fault(_text(403, "<html><title>Forbidden</title></html>"), "EndpointRefused"),
    "402": Fault(_refusal(402, "Insufficient balance"), "EndpointRefused"),
    "429_no_quota": Fault(_refusal(429, "You exceeded your current quota", code="insufficient_quota"),
                          "EndpointRefused"),
    "404_model": Fault(_refusal(404, "The model `x` does not exist.", code="model_not_found"), "EndpointRefused"),
    "404_html": Fault(_text(404, "<html><title>Not Found</title></html>"), "EndpointRefused"),
    "400_model_pinned": Fault(_json(400, {"detail": "Server is pinned to /models/tiny"}), "EndpointRefused"),
    "400_litellm_key": Fault(_refusal(400, "No connected db."), "EndpointRefused"),
    "400_other": Fault(_refusal(400, "Unterminated string at line 1"), "EndpointRefused"),
    "422_other": Fault(_json(422, {"detail": [{"loc": ["body"], "msg": "no"}]}), "EndpointRefused"),
    "308_moved": Fault(_text(308, "", location="https://elsewhere.example/v1"), "EndpointRefused"),
    "200_minimax_key": Fault(_json(200, {"base_resp": {"status_code": 1004, "status_msg": "login fail"}}),
                             "EndpointRefused"),
    # Requests that are too long.
    "400_overflow": Fault(
        _refusal(400, "This model's maximum context length is 8192 tokens. Please reduce the length.", code=400),
        "ContextOverflow",
    ),
    "400_overflow_code": Fault(_refusal(400, "too many", code="context_length_exceeded"), "ContextOverflow"),
    "400_overflow_minimax": Fault(_refusal(400, "invalid params, context window exceeds limit (2013)"),
                                  "ContextOverflow"),
    "200_overflow_minimax": Fault(
        _json(200, {"base_resp": {"status_code": 2013, "status_msg": "invalid params, context window exceeds limit"}}),
        "ContextOverflow",
    ),
    "413_html": Fault(_text(413, "<html><title>Request Entity Too Large</title></html>"), "ContextOverflow"),
    # Refused histories.
    "400_poisoned": Fault(_refusal(400, "invalid params, tool call result does not follow tool call (2013)"),
                          "HistoryRejected"),
    "400_poisoned_arguments": Fault(_refusal(400, "invalid params, invalid function arguments json string"),
                                    "HistoryRejected"),
    "200_poisoned": Fault(_json(200, {"base_resp": {"status_code": 2013, "status_msg": "invalid params"}}),
                          "HistoryRejected"),
    "400_orphan": Fault(_refusal(400, "Message has tool role, but no previous assistant message has a tool call!"),
                        "HistoryRejected"),
}  # fmt: skip

PASSING = tuple(name for name, fault in FAULTS.items() if fault.outcome in ("again", "in place"))
"""The faults that a client gets over without its user noticing."""
