"""The final choice in sentences that a person understands, with its table, and how far the score can be trusted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runs.events.registry import Decided
from runs.state import Evaluation, State
from runs.views.final_choice import (
    SELECTION_ROWS,
    holdout_queries,
    members_of_record,
    score_of,
    submitted_evaluation,
    why_best_not_submitted,
)
from runs.views.format import LABELS_UNPROTECTED, one_line, score_text


def choice_facts(state: State) -> dict[str, Any]:
    """Sentences and a table on the final choice, and sentences on trust."""
    return {
        "sentences": list(_sentences(state)),
        "table": _table(state),
        "trust": list(_trust(state)),
        "members": members_of_record(state),
    }


def _sentences(state: State) -> Iterator[str]:
    if not state.decisions:
        yield _before_the_end(state)
        return
    for step, tell in _STEPS.items():
        if step in state.decisions:
            yield tell(state.decisions[step], state)
    if why := why_best_not_submitted(state):
        yield f"The submission of record is {why}."


def _before_the_end(state: State) -> str:
    if state.best is None:
        return "Nothing has scored yet; the submission of record is the sample submission."
    return (
        f"The final choice has not been made. Until then the submission of record is that of {state.best.id}, "
        f"the best by verdict: {score_text(state.best.score, state.best.noise)}."
    )


def _finalists(decision: Decided, state: State) -> str:
    names = decision.chosen.split()
    finalists = (state.evaluations[name] for name in names if name in state.evaluations)
    listed = ", ".join(f"{one.id} ({score_text(one.score, one.noise)})" for one in finalists)
    scored = sum(evaluation.score is not None for evaluation in state.evaluations.values())
    return f"{len(names)} of {scored} scored evaluations became finalists: {listed}."


def _selection(decision: Decided, _: State) -> str:
    judged = decision.numbers.get("judged", {})
    listed = ", ".join(f"{name} {score_text(*score_of(decision.numbers, 'judged', name))}" for name in judged)
    rows = SELECTION_ROWS.get(decision.step, decision.step)
    return f"On {rows} they scored {listed}. {decision.chosen or 'None'} won: {one_line(decision.why)}."


def _reported(decision: Decided, _: State) -> str:
    score = score_text(decision.numbers.get("score"), decision.numbers.get("noise"))
    return f"The score to report is {score}. It comes from {one_line(decision.why)}."


def _ensemble(decision: Decided, _: State) -> str:
    members = [name for name, weight in decision.numbers.get("proposed", {}).items() if weight]
    status = "accepted" if decision.numbers.get("accepted") else "rejected"
    if len(members) < 2:
        return f"No ensemble was possible: {one_line(decision.why)}."
    score = score_text(decision.numbers.get("score"), decision.numbers.get("noise"))
    return f"An ensemble of {' + '.join(members)} scored {score} and was {status}: {one_line(decision.why)}."


def _refit(decision: Decided, _: State) -> str:
    if decision.chosen:
        return f"The winner was trained again on all labelled rows, and that file is used: {one_line(decision.why)}."
    return f"A new training on all labelled rows was not used: {one_line(decision.why)}."


def _record(decision: Decided, _: State) -> str:
    return f"Submitted: {decision.chosen or 'the sample submission'}, {one_line(decision.why)}."


_STEPS = {
    "finalists": _finalists,
    "reproduced": lambda decision, _: f"Check of their code: {one_line(decision.why)}.",
    "replicas": lambda decision, _: f"Fresh folds: {one_line(decision.why)}.",
    **dict.fromkeys(SELECTION_ROWS, _selection),
    "reported": _reported,
    "ensemble": _ensemble,
    "refit": _refit,
    "record": _record,
}


def _table(state: State) -> list[dict[str, str]]:
    """One row per finalist: its scores on search rows and fresh rows, own claim, and whether it was chosen."""
    finalists = state.decisions.get("finalists")
    if finalists is None:
        return []
    selection = next((state.decisions[step] for step in SELECTION_ROWS if step in state.decisions), None)
    numbers = selection.numbers if selection else {}
    record = set(members_of_record(state))
    return [_table_row(name, state, numbers, record) for name in finalists.chosen.split() if name in state.evaluations]


def _table_row(name: str, state: State, numbers: dict[str, Any], record: set[str]) -> dict[str, str]:
    evaluation = state.evaluations[name]
    claimed = evaluation.finished.claimed if evaluation.finished else None
    return {
        "name": name,
        "attempt": str(evaluation.attempt),
        "search": score_text(evaluation.score, evaluation.noise),
        "fresh": score_text(*score_of(numbers, "judged", name)),
        "estimate": score_text(*score_of(numbers, "estimates", name)),
        "claimed": score_text(claimed),
        "chosen": "submitted" if name in record else "",
    }


def _trust(state: State) -> Iterator[str]:
    created = state.created
    if created is not None and created.protects_labels:
        yield f"The sandbox ({created.sandbox}) keeps the held-out labels out of reach of the agent's code."
    else:
        yield f"{LABELS_UNPROTECTED.capitalize()}: the sandbox does not isolate: code could read the labels."
    scored = [one for one in state.evaluations.values() if one.score is not None]
    if state.plan is not None:
        splits = f"{state.plan.folds} folds" if state.plan.folds else "one split"
        yield f"Solutions are scored on {splits}: {one_line(state.plan.why)}."
    if scored:
        yield (
            f"The model was told the outcome of {holdout_queries(state)} of {len(scored)} scored evaluations; of the "
            "others only that they are within noise of the best."
        )
    yield from _distrusted(scored, state)
    yield from _claims(scored, state)


def _distrusted(scored: list[Evaluation], state: State) -> Iterator[str]:
    distrusted = [one for one in scored if one.result.distrust_reason]
    if distrusted:
        names = ", ".join(f"{one.id} ({one_line(one.result.distrust_reason, 90)})" for one in distrusted[:5])
        yield f"{len(distrusted)} of {len(scored)} evaluations are not trusted and cannot win: {names}."
    elif scored:
        on_others = {name for (name, _), result in state.folds.items() if result and result.score is not None}
        count = sum(one.id in on_others for one in scored)
        yield (
            f"No evaluation is distrusted. The code of {count} of {len(scored)} was also run on other rows, which "
            "exposes memorized labels."
        )


def _claims(scored: list[Evaluation], state: State) -> Iterator[str]:
    submitted = submitted_evaluation(state) or state.best
    claimed = submitted.finished.claimed if submitted is not None and submitted.finished else None
    if submitted is not None and claimed is not None and submitted.score is not None:
        difference = (submitted.score - claimed) * (1 if state.lower_is_better else -1)
        yield (
            f"The solution's own cross-validation printed {score_text(claimed)}; held-out rows gave "
            f"{score_text(submitted.score, submitted.noise)}, so its own number was {abs(difference):.2g} too "
            f"{'optimistic' if difference > 0 else 'pessimistic'}."
        )
