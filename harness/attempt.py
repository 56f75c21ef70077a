"""An attempt: from the best commit so far, turn by turn, to `finish` or a cap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from context.first_message import render_first_message
from context.loop_detection import END, TEXT_REPLIES
from context.window import prompt
from harness import budget, compact, errors, request
from harness.evaluation import submission
from harness.startup.sandbox_setup import gpu_complaints
from harness.tools import registry
from harness.tools.arguments import Finish
from runs.events.registry import AttemptEnded, AttemptStarted, EpochStarted, Reminded, Warned

if TYPE_CHECKING:
    from harness.loop import Run

Why = Literal["finish", "turns", "window", "poisoned", "budget", "stopped", "unusable_replies", "loop"]


def play(run: Run) -> None:
    """Play one attempt to its end, or take the open one up where it stands."""
    begin(run)
    while run.state.attempt:
        why = over(run) or window_over(run)
        if why:
            end(run, why)
        else:
            turn(run)


def turn(run: Run) -> None:
    """One reply of the model and the calls it asked for."""
    if not run.state.pending:
        if run.state.needs_reminder:
            remind(run)
        request.ask(run)
    # `finish` ends the attempt, so whatever was asked for beside it comes first.
    for pending in sorted(run.state.pending.values(), key=lambda one: one.call.name == "finish"):
        run.stopping.check()
        words = registry.perform(run, pending)
        if words is not None:
            end(run, "finish", words)
            return


def remind(run: Run) -> None:
    """Answer a reply without a call, as the result of an added call: a user message would cost the cache and all
    thinking before it."""
    loops = run.notebook.loops
    is_loop = loops.text_replies and loops.text_replies % TEXT_REPLIES == 0
    warning = f"\n<harness>{loops.warning()}</harness>" if is_loop else ""
    run.record(Reminded(text=prompt("reminder") + warning, call=f"harness_{run.state.turns}"))


def begin(run: Run) -> None:
    """Start an attempt unless one is open. An attempt in which nothing was done yet is set up again: a crash may
    have come between its start and its workspace."""
    if run.state.attempt is None:
        best = run.state.best
        run.record(AttemptStarted(parent=best.commit if best else None, attempt=len(run.state.attempts) + 1))
    attempt = run.state.attempt
    assert attempt is not None
    if attempt.turns == 0:
        for words in gpu_complaints(run.sandbox.paths):
            run.record(Warned(message=words))
        run.versions.reset(run.sandbox.paths.workspace, attempt.parent)
    if run.state.epoch is None:
        open_epoch(run, "attempt", keeps_tail=False)


def open_epoch(run: Run, reason: Literal["attempt", "resume"], *, keeps_tail: bool) -> None:
    """Declare a new window head; what the model reads of the run is rendered here and nowhere else."""
    user = render_first_message(
        run.state, budget.stated_deadline(run.state, run.settings), budget.describe(run.created), run.notebook
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
    if run.state.given_up == "poisoned":
        return "poisoned"
    return "loop" if run.notebook.loops.level >= END else None


def window_over(run: Run) -> Why | None:
    """Make the window smaller if that is due; whether it is too large all the same."""
    if run.state.pending:
        return None
    is_refused = run.state.given_up == "too_large"
    if not is_refused:
        compact.consider(run)
    is_over = is_refused or run.window.tokens() > compact.limit(run)
    if is_over and run.state.attempt and run.state.attempt.turns == 0:
        # Another attempt would begin with the same head: stop instead of turning in circles.
        errors.fail(
            f"the task and the memory alone take about {run.window.tokens()} tokens, and this endpoint's window leaves "
            f"room for {compact.limit(run)}. Set context_tokens and output_tokens for it in models.toml, then resume"
        )
    return "window" if is_over else None


def end(run: Run, why: Why, words: Finish | None = None) -> None:
    """End the open attempt: its jobs are killed, its words and files kept."""
    killed = []
    for job in sorted(run.state.open_jobs):
        view = run.sandbox.kill(job)
        if view.ended == "exited":
            run.note_ended(view)
        else:
            killed.append(job)
    said = words or Finish()
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
    submission.keep_attempt(run, attempt.number)
    submission.write_standing(run)
