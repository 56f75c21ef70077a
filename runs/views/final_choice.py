"""How the submission of record was chosen: the selection rules side by side, with their selection bias."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runs.events.registry import Decided
from runs.state import Evaluation, State
from runs.views.format import one_line, score_text

SELECTION_ROWS = {"select": "select rows", "fresh": "fresh folds", "halves": "halves of the search rows"}
"""The decision steps that compare finalists, and the rows they compare them on."""


def final_choice_section(state: State) -> Iterator[str]:
    """The section as Markdown lines; nothing if no evaluation was scored."""
    scored = [e for e in state.evaluations.values() if e.score is not None]
    if not scored:
        return
    yield "## Final choice"
    yield ""
    if state.plan:
        splits = f"{state.plan.folds} folds" if state.plan.folds else "one split"
        yield f"- scored on {splits}: {one_line(state.plan.why)}"
    yield from _memorizing_lines(state, scored)
    queries = holdout_queries(state)
    yield f"- holdout queries: {queries} of {len(scored)} scored evaluations told the model more than `unclear`"
    yield ""
    yield "| selection rule | evaluation | score |"
    yield "|---|---|---|"
    yield from _rule_rows(state, scored)
    yield from _self_reported_rows(state, scored)
    yield ""
    yield from _progress_table(state, scored)
    yield from _decision_lines(state)


def submitted_evaluation(state: State) -> Evaluation | None:
    """The evaluation whose submission is of record, or its first member; None for the sample submission.

    Its score and noise are those on rows that were not used to choose, if there are such rows; that of the first fold
    where other rows scored suspiciously better.
    """
    members = members_of_record(state)
    if not members:
        return None
    ensemble, first = state.decisions.get("ensemble"), state.evaluations[members[0]]
    reported = state.decisions.get("reported")
    is_of_record = reported is not None and reported.chosen.split() == members
    if reported is not None and is_of_record and reported.numbers.get("score") is not None:
        return first.with_score(reported.numbers["score"], reported.numbers.get("noise"))
    if len(members) > 1 and ensemble is not None and ensemble.numbers.get("accepted"):
        numbers = ensemble.numbers
        return first.with_score(numbers.get("estimate", numbers["score"]), numbers.get("noise"))
    selection = _selection(state)
    numbers = selection.numbers if selection else {}
    score, noise = score_of(numbers, "estimates" if "estimates" in numbers else "judged", first.id)
    return first if score is None or score == first.score else first.with_score(score, noise)


def score_of(numbers: Mapping[str, Any], kind: str, name: str) -> tuple[float | None, float | None]:
    """A finalist's score in the numbers of a decision, `judged` or `estimates`, and its noise."""
    return numbers.get(kind, {}).get(name), numbers.get(f"{kind}_noise", {}).get(name)


def result_evaluation(state: State) -> Evaluation | None:
    """The evaluation that stands for the run: the submitted one after the final choice, before it the best so far."""
    return (submitted_evaluation(state) if "record" in state.decisions else None) or state.best


def origin_of_score(state: State) -> str:
    """Which rows the score of the submission comes from; empty before the final choice."""
    reported = state.decisions.get("reported")
    return reported.why if reported is not None and "record" in state.decisions else ""


def members_of_record(state: State) -> list[str]:
    """The evaluations that the submission of record is made of; none for the sample submission."""
    if state.chosen is None:
        return []
    record = state.decisions.get("record")
    names = record.chosen.split() if state.chosen.evaluation == "final" and record else [state.chosen.evaluation]
    return [name for name in names if name in state.evaluations]


def why_best_not_submitted(state: State) -> str:
    """What the submission of record is, and why, if it is not that of the best evaluation; else empty."""
    chosen, best = state.chosen, state.best
    if chosen is None or best is None or chosen.evaluation == best.id:
        return ""
    instead = f"instead of the submission of evaluation {best.id}, the best of the search"
    if chosen.evaluation != "final":
        source = f"that of evaluation {chosen.evaluation}" if chosen.evaluation else "the sample submission"
        return f"{source} ({one_line(chosen.why)}) {instead}"
    members = state.decisions["record"].chosen if "record" in state.decisions else chosen.why
    selection = _selection(state)
    reason = one_line(chosen.why)
    if selection is not None and best.id not in members.split():
        reason += f"; {selection.chosen} was {one_line(selection.why)}"
    return f"built at the end of the run from {members} ({reason}) {instead}"


def holdout_queries(state: State) -> int:
    """How many evaluations told the model more than that their score is within noise of the best."""
    scored = (e for e in state.evaluations.values() if e.score is not None)
    return sum(e.result.verdict != "unclear" or e.became_best or bool(e.result.distrust_reason) for e in scored)


def _selection(state: State) -> Decided | None:
    """The decision that picked one finalist, if it was made."""
    return next((state.decisions[step] for step in SELECTION_ROWS if step in state.decisions), None)


def _memorizing_lines(state: State, scored: list[Evaluation]) -> Iterator[str]:
    """How scores were protected against memorized labels."""
    if state.plan is None:
        return
    if not state.plan.folds:
        yield (
            "- one split: solutions were scored on rows whose labels the agent does not know, so the protection of "
            "scores over folds against memorized labels does not apply"
        )
        return
    protected = [e for e in scored if e.result.mean_score is not None]
    if protected:
        names = ", ".join(
            f"{e.id} ({score_text(e.result.mean_score, e.result.mean_noise)} over all folds)" for e in protected
        )
        yield (
            f"- {len(protected)} of {len(scored)} evaluations show the score of the first fold, because the other "
            f"folds, whose labels the agent knows, scored better by more than noise: {names}"
        )
    for step, decision in state.decisions.items():
        judged, estimates = (decision.numbers.get(name, {}) for name in ("judged", "estimates"))
        changed = [name for name in estimates if estimates[name] != judged.get(name)]
        if changed:
            yield f"- estimates from the first fold for the same reason, in step {step}: {', '.join(changed)}"


def _rule_rows(state: State, scored: list[Evaluation]) -> Iterator[str]:
    top = _best(scored, state)
    yield f"| highest score of all evaluations (biased by selection) | {top.id} | {score_text(top.score, top.noise)} |"
    if state.best is not None and state.best.score is not None:
        yield f"| verdicts of the search | {state.best.id} | {score_text(state.best.score, state.best.noise)} |"
    for step, rows in SELECTION_ROWS.items():
        if (decision := state.decisions.get(step)) is not None:
            score = score_text(*score_of(decision.numbers, "judged", decision.chosen))
            yield f"| {rows} | {decision.chosen} | {score} |"
    if (decision := state.decisions.get("ensemble")) is not None:
        status = "accepted" if decision.numbers.get("accepted") else "rejected"
        members = [name for name, weight in decision.numbers.get("proposed", {}).items() if weight]
        if len(members) > 1:
            score = score_text(decision.numbers.get("score"), decision.numbers.get("noise"))
            yield f"| ensemble ({status}) | {' + '.join(members)} | {score} |"
    if (decision := state.decisions.get("refit")) is not None:
        status = "accepted" if decision.chosen else "rejected"
        yield f"| refit on all labelled rows | {status} | {one_line(decision.why)} |"


def _self_reported_rows(state: State, scored: list[Evaluation]) -> Iterator[str]:
    claims = [e for e in scored if e.result.claimed is not None]
    if claims:
        best = (min if state.lower_is_better else max)(claims, key=lambda e: e.result.claimed or 0.0)
        optimism = ((best.score or 0.0) - (best.result.claimed or 0.0)) * (1 if state.lower_is_better else -1)
        yield f"| best self-reported score (printed by the solution) | {best.id} | {score_text(best.result.claimed)} |"
        yield f"| optimism of that score | {best.id} | {optimism:+.4g} |"


def _best(scored: list[Evaluation], state: State) -> Evaluation:
    return (min if state.lower_is_better else max)(scored, key=lambda e: e.score or 0.0)


def _progress_table(state: State, scored: list[Evaluation]) -> Iterator[str]:
    yield "| after attempt | best of all | best by verdict | best self-reported |"
    yield "|---|---|---|---|"
    for number in sorted({e.attempt for e in scored}):
        so_far = [e for e in scored if e.attempt <= number]
        promoted = [e for e in so_far if e.became_best]
        claims = [e.result.claimed for e in so_far if e.result.claimed is not None]
        claim = score_text((min if state.lower_is_better else max)(claims)) if claims else "-"
        by_verdict = score_text(promoted[-1].score, promoted[-1].noise) if promoted else "-"
        top = _best(so_far, state)
        yield f"| {number} | {score_text(top.score, top.noise)} | {by_verdict} | {claim} |"
    yield ""


def _decision_lines(state: State) -> Iterator[str]:
    for step, decision in state.decisions.items():
        yield f"- {step}: {decision.chosen or 'none'} ({one_line(decision.why)})"
    if state.decisions:
        yield ""
