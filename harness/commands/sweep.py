"""`harness sweep`: start a sweep, follow it, stop it, resume it, and play its runs as a worker."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness import errors
from harness.settings import Settings
from harness.sweep import table
from harness.sweep.progress import progress_of
from harness.sweep.row_state import Reader
from harness.sweep.store import Store, list_sweeps
from harness.sweep.types import Plan, levels_text
from harness.ui.table import table as text_table
from runs.files import replace_file

WATCH_SECONDS = 5.0
MOST_ROWS = 40
"""Rows that a table shows unless all are asked for."""


def sweep(options: argparse.Namespace, settings: Settings) -> int:
    """Run one subcommand, or start the sweep of a file or of tasks; returns the exit code."""
    words: list[str] = list(options.arguments)
    if not words:
        return _list(settings)
    if words[0] not in COMMANDS:
        return _start(options, settings)
    if len(words) != 2:
        errors.fail(f"say which sweep: harness sweep {words[0]} NAME (sweeps: {_known(settings)})")
    if options.name or options.seeds or options.assignments or options.dry_run or options.create_only:
        errors.fail(
            "--name, --seeds, --set, --dry-run and --create-only are for a new sweep: the table of one is fixed"
        )
    store = Store(settings.home, words[1])
    return COMMANDS[words[0]](store, options, settings)


def _known(settings: Settings) -> str:
    return ", ".join(list_sweeps(settings.home)) or "none yet"


def _list(settings: Settings) -> int:
    rows: list[tuple[str, ...]] = [("sweep", "runs", "done", "running", "waiting", "failed", "medals", "started")]
    for name in list_sweeps(settings.home):
        store = Store(settings.home, name)
        plan = store.plan()
        progress = progress_of(Reader(store, plan).rows(), plan.jobs or 1)
        counts = [str(progress.counts[state]) for state in ("done", "running", "waiting", "failed")]
        rows.append((name, str(progress.total), *counts, f"{progress.medals} of {progress.graded}", plan.created))
    none = "No sweeps yet. Start one: harness sweep digits breast-cancer --seeds 3"
    print(text_table(rows, right=range(1, 6)) if len(rows) > 1 else none)
    return errors.DONE


# ------------------------------------------------------------------------------------------------------------ start


def _start(options: argparse.Namespace, settings: Settings) -> int:
    from harness.sweep import lessons
    from harness.sweep.plan import make_plan
    from harness.sweep.reproduce import yaml_of
    from harness.sweep.schema import SweepRequest, read_request

    request = SweepRequest(
        tuple(options.arguments),
        options.name,
        options.seeds,
        options.jobs,
        options.engine,
        tuple(options.assignments),
        options.trust_task,
    )
    source = read_request(request)
    store = Store(settings.home, source.file.name)
    if not options.dry_run:
        store.refuse_if_taken()
    plan = make_plan(source, settings, trusts_tasks=options.trust_task)
    if options.dry_run:
        return _show_plan(plan)
    if plan.engine == "local":
        _check_endpoints(plan, settings)

    def fill(draft: Path) -> tuple[Plan, str]:
        return lessons.freeze(plan, settings.home, draft, store.folder), yaml_of(source, plan)

    plan = store.create(fill)
    _tell(store, plan)
    if options.create_only:
        print(f"play it: harness sweep resume {plan.name}, or workers: harness sweep work {plan.name}")
        return errors.DONE
    return _drive(store, plan, options, settings)


def _show_plan(plan: Plan) -> int:
    rows = [("run", "task", "seed", "factors", "hours", "GPUs")]
    for row in plan.rows:
        hours = "" if row.hours is None else f"{row.hours:g}"
        rows.append((row.key, row.task_id, str(row.seed), levels_text(row), hours, str(row.gpus or "")))
    print(text_table(rows, right=(2, 4, 5)))
    print(f"{len(plan.rows)} runs, at most {sum(row.hours or 0 for row in plan.rows):g} hours in all; nothing started")
    return errors.DONE


def _check_endpoints(plan: Plan, settings: Settings) -> None:
    """Probe each endpoint once before anything exists, so that a typing error is seen at once."""
    from harness.config import resolve
    from harness.startup.check_endpoint import check_endpoint

    for row in {(row.base_url, row.settings.get("model", "")): row for row in plan.rows if row.base_url}.values():
        assignments = [f"{name}={text}" for name, text in row.settings.items()]
        resolved = resolve(settings, None, {}, assignments)
        if resolved.settings.base_url:
            check_endpoint(resolved.settings, resolved.endpoint, settings)


def _tell(store: Store, plan: Plan) -> None:
    from harness.startup.network_home import network_file_system

    print(f"sweep {plan.name}: {len(plan.rows)} runs, in {store.folder}")
    for path, facts in plan.ledger.items():
        print(f"all runs read the {facts['lessons']} lessons of {path} as they are now; new ones are added at the end")
    if not plan.ledger:
        print("no run reads or writes lessons")
    if kind := network_file_system(store.home):
        print(
            f"{store.home} is on a network file system ({kind}): locks must work there across hosts (NFS 4 and Lustre "
            "with flock do), and no SQLite file is written there while runs are played"
        )


# ----------------------------------------------------------------------------------------------------------- playing


def _drive(store: Store, plan: Plan, options: argparse.Namespace, settings: Settings) -> int:
    """Play the runs with the engine of the plan, or another that was asked for."""
    engine = options.engine or plan.engine
    if engine == "ray":
        from harness.sweep import ray_engine

        return ray_engine.drive(store, plan, settings, options.address or "", options.jobs or plan.jobs)
    if engine == "slurm":
        from harness.sweep import slurm_engine

        return slurm_engine.submit(store, plan, settings)
    from harness.sweep.drive import Driver
    from harness.sweep.pool import default_jobs

    jobs = options.jobs or plan.jobs or default_jobs(plan)
    return Driver(store, plan, settings, jobs, is_plain=options.plain or not sys.stdout.isatty()).drive()


def _resume(store: Store, options: argparse.Namespace, settings: Settings) -> int:
    plan = store.plan()
    store.allow()
    store.forget_workers()
    if options.retry_failed:
        for one in Reader(store, plan).rows():
            if one.state == "failed":
                store.append(one.row.key, "retry")
    return _drive(store, plan, options, settings)


def _work(store: Store, options: argparse.Namespace, settings: Settings) -> int:
    """Play runs of a sweep that others drive, until none waits: one process of a pod or of any cluster."""
    from harness.sweep.drive import Driver

    plan = store.plan()
    return Driver(store, plan, settings, options.jobs or 1, is_plain=True, is_alone=False).drive()


def _stop(store: Store, options: argparse.Namespace, settings: Settings) -> int:
    plan = store.plan()
    store.stop()
    if (store.folder / "slurm").is_dir():
        from harness.sweep.slurm_engine import cancel_waiting

        cancel_waiting(store, plan)
    running = sum(one.state == "running" for one in Reader(store, plan).rows())
    print(f"sweep {store.name}: {running} runs will pause within a minute. Continue: harness sweep resume {store.name}")
    return errors.DONE


# ----------------------------------------------------------------------------------------------------------- looking


def _status(store: Store, options: argparse.Namespace, settings: Settings) -> int:
    plan = store.plan()
    reader, workers = Reader(store, plan), int(store.fact("driver").get("jobs") or plan.jobs or 1)
    if options.watch and sys.stdout.isatty():
        return _watch(reader, workers, options)
    rows = reader.rows()
    if options.json:
        print(table.as_json(plan, rows, store, workers))
        return errors.DONE
    print(table.as_text(plan, rows, store, workers, None if options.all else MOST_ROWS))
    page = store.folder / "status.html"
    with suppress(OSError):  # a full disk
        replace_file(page, table.as_page(plan, rows, store, workers).encode())
        print(f"as a page: {page}")
    return errors.DONE


def _watch(reader: Reader, workers: int, options: argparse.Namespace) -> int:
    from rich.live import Live

    with _until_interrupted(), Live(auto_refresh=False) as live:
        while True:
            most = len(reader.plan.rows) if options.all else max(5, live.console.height - 8)
            live.update(table.as_rich(reader.plan, reader.rows(), reader.store, workers, most), refresh=True)
            time.sleep(WATCH_SECONDS)
    return errors.DONE


@contextmanager
def _until_interrupted() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        return


def _report(store: Store, options: argparse.Namespace, settings: Settings) -> int:
    from harness.commands.sweep_report import report_sweep

    return report_sweep(
        store,
        settings,
        output=options.output,
        as_json=options.json,
        pads=options.pad_missing,
        with_curve=not options.no_curve,
    )


def _merge(store: Store, options: argparse.Namespace, settings: Settings) -> int:
    from harness.sweep.drive import merge_if_over

    print(merge_if_over(store, store.plan(), is_forced=True) or "no run of this sweep reads lessons")
    return errors.DONE


COMMANDS: dict[str, Callable[[Store, argparse.Namespace, Settings], int]] = {
    "status": _status,
    "stop": _stop,
    "resume": _resume,
    "report": _report,
    "work": _work,
    "merge": _merge,
}
