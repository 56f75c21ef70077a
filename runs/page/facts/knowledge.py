"""What a run knew when it began, and what a reader must be told about how it was made."""

from __future__ import annotations

from typing import Any

from runs.events.registry import RunCreated, RunForked
from runs.page.facts.run_view import RunView
from runs.state import State
from runs.views.control import forked_text, own_settings_text
from runs.views.format import LABELS_UNPROTECTED, one_line, sandbox_text


def known(view: RunView) -> dict[str, Any]:
    """Lessons with their keys and sources, the playbook's version, and the memory of ended attempts."""
    state = view.state
    created, lessons, learned = state.created, state.lessons, state.learned
    assert created is not None
    text = view.whole(lessons).text if lessons else ""
    return {
        "lessons": text,
        "shown": list(lessons.shown) if lessons else [],
        "withheld": list(lessons.withheld) if lessons else [],
        "sources": list(lessons.sources) if lessons else [],
        "snapshot": lessons.snapshot[:12] if lessons else "",
        "note": lessons.note if lessons else "no lessons were asked for",
        "learned": _learned(learned),
        "playbook": created.playbook[:12],
        "prompts": sorted(created.prompts),
        "memory": [
            (attempt.number, one_line(attempt.did, 240), [one_line(lesson, 240) for lesson in attempt.lessons])
            for attempt in state.ended_attempts
            if attempt.did or attempt.lessons
        ],
    }


def _learned(learned: Any) -> str:
    if learned is None:
        return ""
    if learned.problem:
        return f"Nothing was written to the ledger: {one_line(learned.problem)}."
    return f"Written to the ledger: evidence about {learned.evidence} actions, {len(learned.added)} new lessons."


def disclosure(view: RunView, grade: dict[str, Any] | None = None) -> list[tuple[str, str]]:
    """What must be stated beside a published number: name and value."""
    state = view.state
    created = state.created
    assert created is not None
    settings = created.settings
    most = f"{settings.hours:.4g}" if settings.hours else "unlimited"
    facts = [
        ("model", f"{settings.model}{' (a script, not an LLM)' if created.is_demo else ''}"),
        ("endpoint", settings.base_url or "built in"),
        ("profile", _profile(created)),
        ("models used", ", ".join(f"{name}: {turns} turns" for name, turns in state.turns_by_model.items()) or "none"),
        ("hardware", _hardware(created)),
        ("hours", f"{view.times.position / 3600:.2f} h of at most {most} h"),
        ("seed", str(settings.seed)),
        ("sandbox", sandbox_text(created)),
        ("isolation and network", created.notice or ("" if created.protects_labels else LABELS_UNPROTECTED)),
        ("access to labels", _label_access(view, grade)),
        ("task", f"{created.task_id} (digest {created.task_digest[:12]})"),
        ("known defects of the task", "; ".join(_defects(view)) or "none on record"),
        ("packages", ", ".join(created.packages) or "not recorded"),
        ("pretrained weights", settings.models or "none mounted"),
        ("lessons shown", ", ".join(state.lessons.shown) if state.lessons and state.lessons.shown else "none"),
        ("playbook", created.playbook[:12] or "shipped"),
        ("steered by a person", _steered(state)),
        ("budget extended by a person", f"{len(state.control.extended)} times" if state.control.extended else "no"),
        ("forked", _forked(state.control.forked)),
        ("resumed", f"{state.resumes} times"),
        ("harness", created.harness_version),
    ]
    return [(name, one_line(value, 2000)) for name, value in facts if value]


def _profile(created: RunCreated) -> str:
    """The kind of the endpoint, and the table of config.toml that it comes from."""
    if created.is_demo:
        return "built in"
    table = f", [endpoints.{created.settings.endpoint}] of config.toml" if created.settings.endpoint else ""
    return f"{created.profile or 'not recorded'}{table}"


def _hardware(created: RunCreated) -> str:
    return "; ".join(created.hardware) or "not recorded"


def _label_access(view: RunView, grade: dict[str, Any] | None) -> str:
    scored = sum(one.score is not None for one in view.state.evaluations.values())
    graded = "graded once on the private answers after the run" if grade else "not graded on the private answers"
    return f"{scored} evaluations were scored on held-out rows by the harness; {graded}"


def _defects(view: RunView) -> list[str]:
    """What MLE-bench's facts say of the task, then what the run warned of."""
    created = view.state.created
    known = created.defects if created else []
    return [*known, *sorted({text for text in view.warnings if "defect" in text or "leak" in text})]


def _steered(state: State) -> str:
    control = state.control
    if not control.steered:
        return "no"
    hints = "; ".join(f"“{one_line(hint, 300)}”" for hint in control.hints)
    return f"yes, {len(control.steered)} times{f': {hints}' if hints else ''}"


def _forked(event: RunForked | None) -> str:
    return "; ".join(filter(None, (forked_text(event), own_settings_text(event)))) if event else "no"
