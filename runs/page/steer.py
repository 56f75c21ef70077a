"""Steering from the page: which forms a run has, and what a sent form asks of it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from runs.control.answer import refusal
from runs.control.requests import Continue, Extend, Pause, Request, Steer, Stop, parse_request
from runs.state import State

_NUMBERS = {"hours": float, "cost": float, "attempts": int}


def steering(state: State, *, is_live: bool, is_graded: bool) -> dict[str, Any]:
    """The actions that the run would take now, and a note where there are none or few."""
    if is_graded:
        return {"actions": [], "note": "This run has been graded and can no longer be changed."}
    tries: dict[str, Request] = {"steer": Steer(hint="?", evaluation="")}
    if is_live:
        tries |= {"pause": Pause(), "continue": Continue(), "stop": Stop()}
    limits = state.created.settings if state.created else None
    for name in _NUMBERS:
        if limits is not None and getattr(limits, name) is not None:
            tries[name] = Extend.model_validate({"action": "extend", name: 1})
    refused = {name: refusal(state, request, is_live=is_live) for name, request in tries.items()}
    actions = [name for name, why in refused.items() if not why]
    notes = [] if is_live else ["No process plays this run: what you ask counts after `harness resume`."]
    if "steer" not in actions:
        notes.append(f"{refused['steer'][:1].upper()}{refused['steer'][1:]}.")
    return {"actions": actions, "note": " ".join(notes)}


def request_of(body: bytes) -> tuple[Request | str, str]:
    """The request that a form asks for, or what is wrong with it; and the form's CSRF token."""
    fields = {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
    token = fields.pop("csrf", "")
    request: dict[str, Any] = {"action": fields.pop("action", "")}
    for name, value in fields.items():
        if not value.strip():
            continue
        try:
            request[name] = _NUMBERS[name](value) if name in _NUMBERS else value.replace("\r\n", "\n")
        except ValueError:
            return f"{name} is not a number: {value[:40]}", token
    return parse_request(json.dumps(request).encode()), token
