"""Upgrade the fields of a format-1 journal line to format 2. Files are never rewritten."""

from __future__ import annotations

from typing import Any

_KINDS = {"nudged": "reminded", "window_weighed": "compaction_considered"}
_SETTINGS = ("hours", "cost", "attempts", "turns", "seed", "model", "base_url")
_TYPED = ("blend", "sample", "hidden", "image", "packages", "notice", "probe", "probe_is_new")
_VALUES = {"alone": "automatic", "healed": "repaired"}
_RENAMED = {"told": "shown_score", "alarm": "distrust_reason"}


def upgrade(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of one line as format 2 has them."""
    fields["kind"] = kind = _KINDS.get(fields.get("kind", ""), fields.get("kind"))
    if kind == "run_created":
        return _upgrade_created(fields)
    if kind == "evaluation_finished":
        return {_RENAMED.get(name, name): value for name, value in fields.items()}
    if kind == "attempt_started":
        parent = fields.pop("parent", None)
        fields["parents"], fields["move"] = ([parent], "improve") if parent else ([], "draft")
    if kind in ("epoch_started", "compaction_considered"):
        fields |= {name: _VALUES.get(fields[name], fields[name]) for name in ("stage", "reason") if name in fields}
    if kind == "model_replied":
        for call in fields.get("calls", ()):
            if "rung" in call:
                call["repair_step"] = call.pop("rung")
    return fields


def _upgrade_created(fields: dict[str, Any]) -> dict[str, Any]:
    options = fields.pop("options", {})
    # In format 1 a missing field was its default: no bound.
    settings = {"hours": None, "gpus": 0} | {name: fields.pop(name) for name in _SETTINGS if name in fields}
    settings |= {name: options[name] for name in ("gpus", "runtime", "models", "image") if name in options}
    settings["sandbox"] = fields.get("sandbox", "auto")
    return {**fields, "settings": settings, **{name: options[name] for name in _TYPED if name in options}}
