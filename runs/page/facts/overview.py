"""The facts of the run page: one plain dictionary, from which the live page and the exported file are rendered."""

from __future__ import annotations

from typing import Any

from runs.page.facts.all_runs import graded_medal
from runs.page.facts.charts import chart_data, hours_strip
from runs.page.facts.final_choice import choice_facts
from runs.page.facts.graph import Graph, graph_of, path_of
from runs.page.facts.knowledge import disclosure, known
from runs.page.facts.run_view import RunView
from runs.state import Attempt, Evaluation, State
from runs.usage.job_use import use_texts
from runs.usage.lane_time import NAMES, PARTS, largest_losses
from runs.usage.money import MONEY_NAMES, MONEY_PARTS
from runs.usage.repair_steps import repair_line
from runs.views.control import forked_text
from runs.views.final_choice import members_of_record, result_evaluation
from runs.views.format import (
    DEMO_MODEL,
    ESTIMATE,
    LABELS_UNPROTECTED,
    duration_text,
    evaluation_medal,
    gain_text,
    model_text,
    money_text,
    one_line,
    score_text,
    status_text,
)

ROW, COLUMN = 30, 14
"""Height of a row and width of a column of the search tree, in pixels."""


def overview(view: RunView, is_live: bool = False, grade: dict[str, Any] | None = None) -> dict[str, Any]:
    """All facts of the run page. `is_live`: a process plays the run; `grade`: the report of `harness score`."""
    with view.lock:
        state = view.state
        if state.created is None:
            return {"is_empty": True, "run_id": view.folder.name, "damage": view.journal.damage}
        return {
            "is_empty": False,
            "run_id": view.folder.name,
            "damage": view.journal.damage,
            "head": _head(view, is_live, grade),
            "figures": _figures(view),
            "chart": chart_data(view),
            "attempts": attempt_rows(view),
            "graph": _graph(graph_of(state)),
            "strip": hours_strip(view.times),
            "hours": _hours(view),
            "money": _money(view),
            "choice": choice_facts(state),
            "known": known(view),
            "warnings": _warnings(view),
            "disclosure": disclosure(view, grade),
        }


def _head(view: RunView, is_live: bool, grade: dict[str, Any] | None) -> dict[str, Any]:
    state = view.state
    created = state.created
    assert created is not None
    marks = [DEMO_MODEL] if created.is_demo else []
    marks += [] if created.protects_labels else [LABELS_UNPROTECTED]
    marks += ["steered by a person"] if state.control.steered else []
    marks += [forked_text(state.control.forked)] if state.control.forked else []
    marks += ["graded"] if grade else []
    status = status_text(state)
    if not state.ended:
        status = ("paused" if state.control.is_paused else "running") if is_live else "stopped"
    return {
        "task": created.task_id,
        "model": model_text(created),
        "metric": f"{created.metric}, {'lower' if created.lower_is_better else 'higher'} is better",
        "status": status,
        "is_live": is_live and not state.ended,
        "marks": marks,
        "started": created.at,
        "last": state.last_at,
        "result": _result_sentence(state),
        "grade": _grade_sentence(grade),
    }


def _result_sentence(state: State) -> str:
    result = result_evaluation(state)
    if result is None:
        return "No evaluation has a score yet."
    medal = evaluation_medal(result, state)
    text = f"{'Submitted' if 'record' in state.decisions else 'Best so far'}: {score_text(result.score, result.noise)}"
    if result.score is None:
        text = f"Latest valid submission: {result.id}, not scored"
    return f"{text} from attempt {result.attempt}" + (f", {medal} ({ESTIMATE})." if medal else ".")


def _grade_sentence(grade: dict[str, Any] | None) -> str:
    report = (grade or {}).get("report", {})
    if report.get("score") is None:
        return ""
    return f"Graded on the private answers: {report['score']:.5g}, {graded_medal(grade)}."


def _figures(view: RunView) -> list[tuple[str, str, str]]:
    """The key figures: name, value, and a note."""
    state = view.state
    result = result_evaluation(state)
    medal = evaluation_medal(result, state) if result else ""
    spend = money_text(state.cost, state.is_cost_estimated, state.is_cost_known)
    hours, lanes = view.times.position / 3600, len(view.times.lanes)
    rate = f"${state.cost / hours:.2f} an hour" if state.cost and hours > 0.01 else ""
    hit = state.cached_tokens / state.prompt_tokens if state.prompt_tokens else 0.0
    scored = sum(evaluation.score is not None for evaluation in state.evaluations.values())
    resumed = f"resumed {state.resumes} time{'s' * (state.resumes != 1)}" if state.resumes else "never resumed"
    return [
        ("score", score_text(result.score, result.noise) if result else "none", "± one standard error"),
        ("medal", medal or "none", "an estimate" if medal else "no medal lines are known"),
        ("attempts", f"{len(state.attempts)}", f"{len(state.evaluations)} evaluations, {scored} scored"),
        ("turns", f"{state.turns:,}", f"{view.failures} failed request{'s' * (view.failures != 1)}"),
        ("time", duration_text(view.times.position), f"{lanes} lane{'s' * (lanes != 1)}, {resumed}"),
        ("cost", spend, rate),
        ("tokens", f"{_short(state.prompt_tokens)} in", f"{_short(state.completion_tokens)} out"),
        ("cache", f"{hit:.0%}", "of the input tokens, by the endpoint's count"),
    ]


def _short(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count / 1e3:.0f} k" if count >= 1e4 else f"{count:,}"


def attempt_rows(view: RunView) -> list[dict[str, Any]]:
    """A row per attempt: what it did, what it scored, and whether that was a gain."""
    record = {view.state.evaluations[name].attempt for name in members_of_record(view.state)}
    by_attempt: dict[int, list[Evaluation]] = {}
    for evaluation in view.state.evaluations.values():
        by_attempt.setdefault(evaluation.attempt, []).append(evaluation)
    return [_attempt_row(view, attempt, by_attempt.get(attempt.number, []), record) for attempt in view.state.attempts]


def _attempt_row(view: RunView, attempt: Attempt, found: list[Evaluation], record: set[int]) -> dict[str, Any]:
    state = view.state
    scored = [one for one in found if one.score is not None]
    pick = min if state.lower_is_better else max
    best = pick(scored, key=lambda one: one.score or 0.0) if scored else (found[-1] if found else None)
    return {
        "number": attempt.number,
        "move": attempt.move,
        "lane": attempt.lane,
        "score": score_text(best.score, best.noise) if best and best.score is not None else "",
        "status": best.status or "open" if best else "no evaluation",
        "verdict": verdict_of(best),
        "gain": gain_of(best),
        "is_record": attempt.number in record,
        "time": duration_text(attempt.active_seconds) if attempt.ended else "open",
        "cost": money_text(attempt.cost, is_known=state.is_cost_known),
        "did": one_line(attempt.did or (f"ended: {attempt.ended}" if attempt.ended else "open"), 200),
        "parents": list(attempt.parents),
        "span": [round(place / 3600, 4) for place in view.spans.get(attempt.number, ()) if place is not None],
    }


def verdict_of(evaluation: Evaluation | None) -> str:
    """The verdict in one word, by which marks are chosen: first, real, unclear, worse, distrusted, failed or none."""
    if evaluation is None or evaluation.finished is None:
        return "none"
    if evaluation.finished.distrust_reason:
        return "distrusted"
    if evaluation.score is None:
        return "failed" if evaluation.status in ("failed", "timeout", "invalid") else "none"
    return evaluation.finished.verdict or ("first" if evaluation.became_best else "unclear")


def gain_of(evaluation: Evaluation | None) -> str:
    """The exact paired gain, for people; empty if there is none."""
    finished = evaluation.finished if evaluation else None
    if finished is None or finished.gain is None:
        return ""
    return gain_text(finished.gain, finished.gain_noise)


def _graph(graph: Graph) -> dict[str, Any]:
    return {
        "width": graph.width * COLUMN,
        "height": len(graph.columns) * ROW,
        "row": ROW,
        "dots": [((column + 0.5) * COLUMN, (place + 0.5) * ROW) for place, column in enumerate(graph.columns)],
        "edges": [(path_of(edge, ROW, COLUMN), edge.joins, edge.to_row) for edge in graph.edges],
    }


def _hours(view: RunView) -> dict[str, Any]:
    times = view.times
    by_lane = {lane: times.totals(lane) for lane in sorted(times.lanes)}
    totals, whole = {part: sum(each[part] for each in by_lane.values()) for part in PARTS}, times.whole or 1.0
    return {
        "whole": duration_text(times.whole),
        "jobs": view.job_use.jobs,
        "use": use_texts(view.job_use),
        "lanes": list(by_lane),
        "parts": [
            {
                "part": part,
                "name": NAMES[part],
                "total": duration_text(totals[part]),
                "share": f"{totals[part] / whole:.1%}",
                "lanes": [duration_text(each[part]) for each in by_lane.values()],
            }
            for part in PARTS
            if totals[part] > 0
        ],
        "losses": [
            (NAMES[part], duration_text(seconds), f"{seconds / whole:.1%}") for part, seconds in largest_losses(totals)
        ],
    }


def _money(view: RunView) -> dict[str, Any]:
    money, state = view.money, view.state
    whole = money.total or 1.0
    costly = sorted(((dollars, number) for number, dollars in money.attempts.items() if number), reverse=True)[:3]
    return {
        "total": money_text(money.total, state.is_cost_estimated, state.is_cost_known),
        "parts": [
            (MONEY_NAMES[part], money_text(money.parts[part]), f"{money.parts[part] / whole:.1%}")
            for part in MONEY_PARTS
            if money.parts[part] > 0
        ],
        "costly": [(number, money_text(dollars)) for dollars, number in costly if dollars > 0],
        "flushes": view.cache.flushes,
        "epochs": view.cache.epochs,
        "alarms": view.cache.alarms,
        "repairs": repair_line(view.repairs),
    }


def _warnings(view: RunView) -> list[dict[str, Any]]:
    """Warnings grouped by their text, the most frequent first."""
    grouped = [
        {"text": one_line(text, 600), "count": count, "turn": view.first_warned.get(text, 0)}
        for text, count in view.warnings.most_common()
    ]
    grouped += [
        {"text": f"{name}: written by a newer version and not shown", "count": count, "turn": 0}
        for name, count in view.newer.most_common()
    ]
    return grouped
