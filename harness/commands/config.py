"""`harness config`: the effective settings, and where each value comes from."""

from __future__ import annotations

from harness import errors
from harness.config import DEFAULT, read_config, unknown_variables
from harness.settings import Settings
from harness.startup.create_run import RunRequest, resolve_settings
from harness.ui.table import table
from runs.run_settings import RunSettings, group_of, unit_of
from tasks.catalog import find_task


def show_config(request: RunRequest, process: Settings) -> int:
    """Print every setting with its value, unit, source and meaning; returns the exit code."""
    task = find_task(request.task, process.home) if request.task else None
    resolved = resolve_settings(request, task, process)
    rows = [("setting", "value", "unit", "from", "meaning")]
    group = ""
    for name, field in RunSettings.model_fields.items():
        if group_of(name) != group:
            group = group_of(name)
            rows.append((f"[{group}]", "", "", "", ""))
        value = getattr(resolved.settings, name)
        rows.append((name, _text(value), unit_of(name), resolved.sources[name] or DEFAULT, field.description or ""))
    print(table(rows))
    endpoints = ", ".join(read_config(process.config).endpoints) or "none"
    missing = "" if process.config.exists() else " (does not exist)"
    print(f"\nconfig file: {process.config}{missing}; endpoints in it: {endpoints}")
    for name, nearest in unknown_variables(process.variables).items():
        hint = f"; did you mean {nearest}?" if nearest else ""
        errors.say(f"{name} sets nothing{hint}")
    return errors.DONE


def _text(value: object) -> str:
    if value is None or value == "":
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)
