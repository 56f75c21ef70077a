"""The panel of the report on how the submission of record came about: ways to choose, side by side, and their luck."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from runs.state import Evaluation, State
from runs.views.format import one_line, score_text

NAMES = {"select": "select rows", "fresh": "fresh folds", "halves": "halves of the rows searched on"}


def final_choice_section(state: State) -> Iterator[str]:
    """The section as Markdown lines; nothing where no evaluation was scored."""
    scored = [e for e in state.evaluations.values() if e.score is not None]
    if not scored:
        return
    yield "## How it was chosen"
    yield ""
    if state.plan:
        how = f"{state.plan.folds} folds" if state.plan.folds else "one blend"
        yield f"- judged over {how}: {one_line(state.plan.why)}"
    looks = holdout_queries(state)
    yield f"- looks: {looks} of {len(scored)} scored evaluations told more than that they are within the noise"
    yield ""
    yield "| chosen by | evaluation | score there |"
    yield "|---|---|---|"
    yield from _rows(state, scored)
    yield ""
    yield from _over_time(state, scored)
    yield from _decisions(state)


def submitted_evaluation(state: State) -> Evaluation | None:
    """The evaluation whose submission is of record, with the score that rows which did not choose it gave what was
    handed in, if any did; of several made one, or of one refitted, the first. None for the sample."""
    names = members_of_record(state)
    if not names:
        return None
    ensemble, first = state.decisions.get("ensemble"), state.evaluations[names[0]]
    if len(names) > 1 and ensemble is not None and ensemble.numbers.get("accepted"):
        return replace(first, score=ensemble.numbers["score"], noise=None)
    judged = next((state.decisions[step] for step in NAMES if step in state.decisions), None)
    found = judged.numbers["judged"].get(first.id) if judged else None
    return first if found is None or found == first.score else replace(first, score=found, noise=None)


def result_evaluation(state: State) -> Evaluation | None:
    """What a run is worth: what it handed in once it has chosen that, and the best so far before."""
    return (submitted_evaluation(state) if "record" in state.decisions else None) or state.best


def members_of_record(state: State) -> list[str]:
    """The evaluations that the submission of record is made of; none for the sample."""
    if state.chosen is None:
        return []
    made = state.decisions.get("record")
    names = made.chosen.split() if state.chosen.evaluation == "final" and made else [state.chosen.evaluation]
    return [name for name in names if name in state.evaluations]


def why_best_not_submitted(state: State) -> str:
    """What is of record instead, and why, where it is not the submission of the best evaluation; else empty."""
    chosen, best = state.chosen, state.best
    if chosen is None or best is None or chosen.evaluation == best.id:
        return ""
    made = next((state.decisions[step] for step in NAMES if step in state.decisions), None)
    if chosen.evaluation != "final":
        origin = f"that of evaluation {chosen.evaluation}" if chosen.evaluation else "the sample"
        return f"not that of evaluation {best.id}, the best so far, but {origin} ({one_line(chosen.why)})"
    members = state.decisions["record"].chosen if "record" in state.decisions else chosen.why
    judged = f"; {made.chosen} was {one_line(made.why)}" if made is not None and best.id not in members.split() else ""
    made_of = f"made at the end of {members} ({one_line(chosen.why)}{judged})"
    return f"not that of evaluation {best.id}, the best so far, as it stood, but {made_of}"


def holdout_queries(state: State) -> int:
    """How many evaluations told more than that they are within the noise of the best so far."""
    told = (e for e in state.evaluations.values() if e.score is not None)
    return sum(e.verdict != "unclear" or e.was_best or bool(e.alarm) for e in told)


def _rows(state: State, scored: list[Evaluation]) -> Iterator[str]:
    top = _best(scored, state)
    yield f"| any attempt (a lucky maximum) | {top.id} | {score_text(top.score, top.noise)} |"
    if state.best is not None and state.best.score is not None:
        yield f"| verdicts during the search | {state.best.id} | {score_text(state.best.score, state.best.noise)} |"
    for step, name in NAMES.items():
        if (made := state.decisions.get(step)) is not None:
            yield f"| {name} | {made.chosen} | {score_text(made.numbers.get('judged', {}).get(made.chosen))} |"
    if (made := state.decisions.get("ensemble")) is not None:
        taken = "taken" if made.numbers.get("accepted") else "proposed, not taken"
        members = [name for name, weight in made.numbers.get("proposed", {}).items() if weight]
        if len(members) > 1:
            yield f"| ensemble ({taken}) | {' + '.join(members)} | {score_text(made.numbers.get('score'))} |"
    if (made := state.decisions.get("refit")) is not None:
        yield f"| refit on all labelled rows | {'taken' if made.chosen else 'not taken'} | {one_line(made.why)} |"
    claims = [e for e in scored if e.claimed is not None]
    if claims:
        pick = (min if state.lower_is_better else max)(claims, key=lambda e: e.claimed or 0.0)
        yield f"| self-reported (what solutions printed) | {pick.id} | {score_text(pick.claimed)} |"
        gap = ((pick.score or 0.0) - (pick.claimed or 0.0)) * (1 if state.lower_is_better else -1)
        yield f"| optimism of the self-reported number | {pick.id} | {gap:+.4g} |"


def _best(scored: list[Evaluation], state: State) -> Evaluation:
    return (min if state.lower_is_better else max)(scored, key=lambda e: e.score or 0.0)


def _over_time(state: State, scored: list[Evaluation]) -> Iterator[str]:
    """After each attempt: the best of any evaluation so far, and the one the verdicts had chosen by then."""
    yield "| after attempt | any so far | chosen so far | best self-reported so far |"
    yield "|---|---|---|---|"
    for number in sorted({e.attempt for e in scored}):
        so_far = [e for e in scored if e.attempt <= number]
        chosen = [e for e in so_far if e.was_best]
        claims = [e.claimed for e in so_far if e.claimed is not None]
        claim = score_text((min if state.lower_is_better else max)(claims)) if claims else "-"
        held = score_text(chosen[-1].score) if chosen else "-"
        yield f"| {number} | {score_text(_best(so_far, state).score)} | {held} | {claim} |"
    yield ""


def _decisions(state: State) -> Iterator[str]:
    for step, made in state.decisions.items():
        yield f"- {step}: {made.chosen or 'none'} ({one_line(made.why)})"
    if state.decisions:
        yield ""
