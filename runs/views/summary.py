"""`results.tsv`, one line per evaluation, for `tail -f`, and `summary.json`, which `harness runs` reads.

Both are derived from the journal, can be deleted, and are replaced atomically.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runs.files import replace_file
from runs.serialization import with_finite_numbers
from runs.state import Evaluation, State
from runs.views.final_choice import result_evaluation
from runs.views.format import (
    DEMO_MODEL,
    LABELS_UNPROTECTED,
    evaluation_medal,
    is_protected,
    one_line,
    printable,
    status_text,
)

COLUMNS = ("commit", "score", "status", "minutes", "description")


def results_tsv(state: State) -> str:
    """A header line, then one line per finished evaluation, oldest first."""
    finished = [evaluation for evaluation in state.evaluations.values() if evaluation.status]
    rows = [COLUMNS, *(_row(evaluation, state) for evaluation in finished)]
    return "".join("\t".join(one_line(printable(cell)) for cell in row) + "\n" for row in rows)


def _row(evaluation: Evaluation, state: State) -> tuple[str, ...]:
    score = "" if evaluation.score is None else f"{evaluation.score:.6g}"
    attempt = next((item for item in state.attempts if item.number == evaluation.attempt), None)
    text = (attempt.did if attempt else "") or evaluation.result.message or evaluation.command
    description = f"attempt {evaluation.attempt}: {one_line(text, 160)}"
    if score and not is_protected(state):
        description += f" ({LABELS_UNPROTECTED})"
    status = "best" if evaluation.became_best and evaluation.status == "scored" else evaluation.status
    status = "not trusted" if evaluation.result.distrust_reason else status
    return evaluation.commit[:12], score, status, f"{evaluation.result.seconds / 60:.1f}", description


def summary(state: State) -> dict[str, Any]:
    """The main facts of a run. `status` comes from the journal alone: a run that crashed is `open`."""
    created = state.created
    if created is None:
        return {}
    best, result = state.best, result_evaluation(state)
    return {
        "id": created.run_id,
        "task": created.task_id,
        "metric": created.metric,
        "lower_is_better": created.lower_is_better,
        "model": created.settings.model,
        "is_demo": created.is_demo,
        "model_note": DEMO_MODEL if created.is_demo else "",
        "seed": created.settings.seed,
        "sandbox": created.sandbox,
        "protects_labels": created.protects_labels,
        "started": created.at,
        "last": state.last_at,
        "status": status_text(state),
        "attempts": len(state.attempts),
        "turns": state.turns,
        "best_score": best.score if best else None,
        "best_noise": best.noise if best else None,
        "score": result.score if result else None,
        "noise": result.noise if result else None,
        "medal_estimate": evaluation_medal(result, state) if result else "",
        "progress": progress(state),
        "prompt_tokens": state.prompt_tokens,
        "cached_tokens": state.cached_tokens,
        "cost": round(state.cost, 6),
        "is_cost_estimated": state.is_cost_estimated,
        "is_cost_known": state.is_cost_known,
        "active_seconds": round(state.active_seconds, 1),
        "resumes": state.resumes,
        "steered": len(state.control.steered),
        "forked_from": state.control.forked.origin if state.control.forked else "",
        "events": state.events,
    }


def progress(state: State) -> list[tuple[float, float]]:
    """The best score over time: active hours and score at each new best, and at the end of the run."""
    bests = [one for one in state.evaluations.values() if one.became_best and one.score is not None]
    points = [(round(one.ended_active / 3600, 4), one.score or 0.0) for one in bests]
    return [*points, (round(state.active_seconds / 3600, 4), points[-1][1])] if points else []


def write_results(folder: Path, state: State) -> None:
    """Write `results.tsv` of a run folder. Raises OSError."""
    replace_file(folder / "results.tsv", results_tsv(state).encode(errors="replace"))


def write_summary(folder: Path, state: State) -> None:
    """Write `summary.json` of a run folder. Raises OSError."""
    text = json.dumps(with_finite_numbers(summary(state)), ensure_ascii=False, indent=1) + "\n"
    replace_file(folder / "summary.json", text.encode(errors="replace"))


def read_summary(folder: Path) -> dict[str, Any] | None:
    """The summary of a run as last written; None if it is missing or unreadable."""
    try:
        fields = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return fields if isinstance(fields, dict) else None
