"""An attempt: a move applied to a parent commit, turn by turn, until `finish` or a limit."""

from __future__ import annotations

from typing import Literal

from context.first_message import render_first_message
from context.loop_detection import END, TEXT_REPLIES
from context.window import prompt
from harness import budget, compact, errors, request
from harness.evaluation import submission
from harness.run import Run
from harness.tools import registry
from harness.tools.notes import Finish
from runs.events.registry import AttemptEnded, AttemptStarted, EpochStarted, Reminded, Warned
from sandboxes import gpus

Why = Literal["finish", "turns", "window", "poisoned", "budget", "stopped", "unusable_replies", "loop"]


def play(run: Run) -> None:
    """Play one attempt to its end, or continue the open one."""
    begin(run)
    while run.state.attempt:
        why = over(run) or window_over(run)
        if why:
            end(run, why)
        else:
            turn(run)


def turn(run: Run) -> None:
    """One reply of the model and the calls in it."""
    if not run.state.pending:
        if run.state.needs_reminder:
            remind(run)
        request.ask(run)
    # `finish` ends the attempt, so the other calls of the same reply come first.
    for pending in sorted(run.state.pending.values(), key=lambda pending: pending.call.name == "finish"):
        run.stopping.check()
        finish = registry.perform(run, pending)
        if finish is not None:
            end(run, "finish", finish)
            return


def remind(run: Run) -> None:
    """Answer a reply without a call. The text is the result of a marked call: a user message would cost the prompt
    cache and all earlier reasoning."""
    loops = run.notebook.loops
    is_loop = loops.text_replies and loops.text_replies % TEXT_REPLIES == 0
    repeated = f"\n<harness>{loops.warning()}</harness>" if is_loop else ""
    run.record(Reminded(text=prompt("reminder") + repeated, call=f"harness_{run.state.turns}"))


def begin(run: Run) -> None:
    """Start an attempt unless one is open. An attempt without a turn is set up again: a crash may have come between
    its start and its workspace."""
    if run.state.attempt is None:
        best = run.state.best
        move, parents = ("improve", [best.commit]) if best else ("draft", [])
        run.record(AttemptStarted(move=move, parents=parents, attempt=len(run.state.attempts) + 1))
    attempt = run.state.attempt
    assert attempt is not None
    if attempt.turns == 0:
        for problem in gpus.problems_of(run.sandbox.paths.gpus):
            run.record(Warned(message=problem))
        run.versions.reset(run.sandbox.paths.workspace, attempt.parent)
    if run.state.epoch is None:
        open_epoch(run, "attempt", keeps_tail=False)


def open_epoch(run: Run, reason: Literal["attempt", "resume"], *, keeps_tail: bool) -> None:
    """Start a window epoch. What the model reads of the run is rendered here and nowhere else."""
    user = render_first_message(
        run.state, budget.stated_deadline(run.state), budget.describe(run.settings), run.notebook
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
    why = budget.spent(run.state, run.active_seconds())
    if why:
        return "unusable_replies" if why == "unusable_replies" else "budget"
    if attempt.turns >= run.settings.attempt_turns:
        return "turns"
    if run.state.given_up == "poisoned":
        return "poisoned"
    return "loop" if run.notebook.loops.level >= END else None


def window_over(run: Run) -> Why | None:
    """Compact the window if that is due, and say whether it is too large all the same."""
    if run.state.pending:
        return None
    is_refused = run.state.given_up == "too_large"
    if not is_refused:
        compact.consider(run)
    is_over = is_refused or run.window.tokens() > compact.limit(run)
    if is_over and run.state.attempt and run.state.attempt.turns == 0:
        # Another attempt would begin with the same first message: stop instead of looping.
        errors.fail(
            f"the task and the memory alone take about {run.window.tokens()} tokens, and this endpoint's window leaves "
            f"room for {compact.limit(run)}. Set context_tokens and output_tokens in its table in config.toml or in "
            "models.toml, then resume; if window_tokens of this run is the limit, start a new run with a larger one"
        )
    return "window" if is_over else None


def end(run: Run, why: Why, words: Finish | None = None) -> None:
    """End the open attempt: kill its jobs, keep its words and files."""
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
    submission.write_summaries(run)
