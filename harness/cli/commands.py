"""What each command of the command line calls. Imports happen when a command runs, so that `--help` is fast."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from harness import errors

if TYPE_CHECKING:
    from harness.settings import Settings
    from harness.startup.create_run import RunRequest

HINT_CHARACTERS = 4_000


def run(options: argparse.Namespace, settings: Settings) -> int:
    from harness.startup.open_run import resume_or_start, start
    from harness.ui.live import open_screen

    if options.detach:
        from harness.commands.detach import start_detached

        return start_detached(request(options), options.words, settings)
    screen = open_screen(sys.stdout.isatty(), options.plain)
    play = start if options.resume_or_start is None else resume_or_start
    try:
        code = play(request(options), settings, screen)
    finally:
        screen.close()
    if options.score and code == errors.DONE and screen.run_id:
        from harness.commands.score import score_runs

        return score_runs([screen.run_id], settings)
    return code


def request(options: argparse.Namespace) -> RunRequest:
    from harness.startup.create_run import RunRequest
    from runs.run_settings import RunSettings

    flags = {name: value for name, value in vars(options).items() if name in RunSettings.model_fields}
    run_id = getattr(options, "resume_or_start", None) or ""
    return RunRequest(options.task or "", flags, tuple(options.assignments), options.trust_task, run_id)


def config(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.config import show_config

    return show_config(request(options), settings)


def resume(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.show import find_run
    from harness.startup.open_run import ResumeRequest, resume
    from harness.ui.live import open_screen

    folder = find_run(options.run, settings)
    from harness.commands.control import continue_live

    if continue_live(folder, settings):
        return errors.DONE
    screen = open_screen(sys.stdout.isatty(), options.plain)
    try:
        request = ResumeRequest(options.parallel, options.base_url or "", options.model or "")
        return resume(folder, settings, screen, request)
    finally:
        screen.close()


def fork(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.show import find_run
    from harness.startup.fork_run import ForkRequest, create_fork
    from harness.startup.open_run import ResumeRequest, resume
    from harness.ui.live import open_screen

    limits = {name: getattr(options, name) for name in ("hours", "cost", "attempts", "turns")}
    endpoint = (options.endpoint or "", options.base_url or "", options.model or "")
    request = ForkRequest(options.at, limits, *endpoint, assignments=options.assignments)
    folder = create_fork(find_run(options.run, settings), request, settings)
    errors.say(f"forked into {folder.name}")
    screen = open_screen(sys.stdout.isatty(), options.plain)
    try:
        return resume(folder, settings, screen, ResumeRequest(options.parallel))
    finally:
        screen.close()


def attach(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.attach import attach
    from harness.ui.live import open_screen

    screen = open_screen(sys.stdout.isatty(), options.plain)
    try:
        return attach(options.run, settings, screen)
    finally:
        screen.close()


def steer(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.control import Steer, ask_run

    if not options.hint.strip() and not options.evaluation:
        errors.fail("give a hint, or --from EVALUATION, or both")
    if len(options.hint) > HINT_CHARACTERS:
        errors.fail(f"the hint has {len(options.hint):,} characters, and {HINT_CHARACTERS:,} are allowed")
    return ask_run(options.run, Steer(hint=options.hint, evaluation=options.evaluation), settings)


def pause(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.control import Pause, ask_run

    return ask_run(options.run, Pause(), settings)


def stop(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.control import Stop, ask_run

    return ask_run(options.run, Stop(now=options.now), settings)


def extend(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.control import Extend, ask_run

    added = {name: getattr(options, name) for name in ("hours", "cost", "attempts", "turns")}
    if not any(added.values()):
        errors.fail("say what to add: --hours, --cost, --attempts or --turns")
    return ask_run(options.run, Extend.model_validate(added), settings)


def runs(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.show import show_runs

    return show_runs(settings, options.task, options.sort, options.json)


def status(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.status import show_status

    return show_status(settings)


def du(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.storage import show_usage

    return show_usage(settings)


def rm(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.storage import remove_runs

    return remove_runs(options.run, settings, is_confirmed=options.yes)


def export(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.export import export_run

    return export_run(options.run, options.folder, settings)


def show(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.show import show_run

    if options.messages:
        from harness.commands.messages import show_messages
        from harness.commands.show import find_run

        return show_messages(find_run(options.run, settings), options.attempt)
    if options.cost or options.epochs:
        from harness.commands.show import find_run
        from harness.commands.usage_tables import show_cost, show_epochs

        folder = find_run(options.run, settings)
        if options.cost:
            show_cost(folder, options.attempt)
        if options.epochs:
            show_epochs(folder)
        return errors.DONE
    return show_run(options.run, settings, options.attempt, options.full)


def view(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.view import view_runs

    return view_runs(options.run, settings, options.port)


def check(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.check import check

    return check(options.run, settings, options.save)


def replay(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.replay import replay
    from harness.ui.live import open_screen

    screen = open_screen(sys.stdout.isatty(), options.plain)
    try:
        return replay(options.run, settings, screen, options.speed)
    finally:
        screen.close()


def tasks(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.show import show_competitions, show_task, show_tasks

    if options.metrics:
        from harness.commands.metrics import show_metrics

        return show_metrics()
    if options.split:
        return show_competitions(options.split, settings)
    return show_task(options.name, settings) if options.name else show_tasks(settings)


def prepare(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.prepare import prepare_competition

    return prepare_competition(options.competition, settings, options.raw, options.accept_differences)


def report(options: argparse.Namespace, settings: Settings) -> int:
    if options.html:
        from harness.commands.report_html import write_pages

        return write_pages(options.run, settings, options.output)
    from harness.commands.report import report_runs

    return report_runs(
        options.run,
        settings,
        split=options.split,
        pads=options.pad_missing,
        seeds=options.seeds,
        output=options.output,
        as_json=options.json,
        with_curve=options.curve,
    )


def submit(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.submit import submit_run

    return submit_run(options.run, settings, options.competition)


def score(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.score import score_runs

    return score_runs(options.run, settings, as_json=options.json, output=options.output, anyway=options.anyway)


def doctor(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.doctor import examine

    if options.build_image:
        from harness.commands.doctor import build_image

        return build_image(options.build_image, settings)
    from harness.config import resolve

    flags = {name: getattr(options, name) for name in ("endpoint", "base_url", "model")}
    return examine(settings, resolve(settings, None, flags))


def new_task(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.new_task import new_task

    return new_task(options, settings)


def lessons(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.lessons import lessons

    return lessons(options, settings)


def evolve(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.evolve import evolve

    return evolve(options, settings)


def sweep(options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.sweep import sweep

    return sweep(options, settings)
