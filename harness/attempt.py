"""An attempt: from the best commit so far, turn by turn, to `finish` or a cap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from context.view import prompt, render_head
from harness import asking, budget, finale, tools
from runs.events import AttemptEnded, AttemptStarted, EpochStarted, Nudged

if TYPE_CHECKING:
    from harness.loop import Run

Why = Literal["finish", "turns", "window", "poisoned", "budget", "stopped", "unusable_replies"]


def play(run: Run) -> None:
    """Play one attempt to its end, or take the open one up where it stands."""
    begin(run)
    while run.state.attempt:
        why = over(run)
        if why:
            end(run, why)
        else:
            turn(run)


def turn(run: Run) -> None:
    """One reply of the model and the calls it asked for."""
    if not run.state.pending:
        if run.state.owes_nudge:
            run.record(Nudged(text=prompt("nudge")))
        asking.ask(run)
    for pending in list(run.state.pending.values()):
        run.stopping.check()
        words = tools.perform(run, pending)
        if words is not None:
            end(run, "finish", words)
            return


def begin(run: Run) -> None:
    """Start an attempt unless one is open. An attempt in which nothing was done yet is set up again: a crash may
    have come between its start and its workspace."""
    if run.state.attempt is None:
        best = run.state.best
        run.record(AttemptStarted(parent=best.commit if best else None, attempt=len(run.state.attempts) + 1))
    attempt = run.state.attempt
    assert attempt is not None
    if attempt.turns == 0:
        run.versions.reset(run.sandbox.place.workspace, attempt.parent)
    if run.state.epoch is None:
        open_epoch(run, "attempt", keeps_tail=False)


def open_epoch(run: Run, reason: Literal["attempt", "resume"], *, keeps_tail: bool) -> None:
    """Declare a new window head; what the model reads of the run is rendered here and nowhere else."""
    when = budget.deadline(run.created, run.active_seconds())
    user = render_head(
        run.state,
        when.strftime("%Y-%m-%d %H:%M UTC") if when else "(no time limit)",
        budget.describe(run.created),
    )
    run.record(
        EpochStarted(
            reason=reason,
            system=prompt("system"),
            tools=run.tools.decode(),
            user=user,
            keeps_tail=keeps_tail,
        )
    )


def over(run: Run) -> Why | None:
    """Why the open attempt must end now, if it must."""
    attempt = run.state.attempt
    assert attempt is not None
    if run.state.pending:
        return None
    why = budget.spent(run.state, run.active_seconds(), run.settings)
    if why:
        return "unusable_replies" if why == "unusable_replies" else "budget"
    if attempt.turns >= run.settings.attempt_turns:
        return "turns"
    if run.window.is_poisoned:
        return "poisoned"
    if run.window.is_too_large or run.window.tokens() > run.window_limit():
        return "window"
    return None


def end(run: Run, why: Why, words: tools.Finish | None = None) -> None:
    """End the open attempt: its jobs are killed, its words and files kept."""
    killed = sorted(run.state.open_jobs)
    for job in killed:
        run.sandbox.kill(job)
    said = words or tools.Finish()
    attempt = run.state.attempt
    assert attempt is not None
    run.record(
        AttemptEnded(
            why=why,
            did=said.did,
            criticism=said.criticism,
            next=said.next,
            lessons=said.lessons,
            killed_jobs=killed,
            attempt=attempt.number,
        )
    )
    finale.keep_attempt(run, attempt.number)
    finale.write_standing(run)
