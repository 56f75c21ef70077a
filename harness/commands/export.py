"""`harness export`: a run's submission as a folder with code, data, requirements and a script that makes it again."""

from __future__ import annotations

from pathlib import Path

from harness import errors
from harness.commands.show import find_run
from harness.settings import Settings
from harness.startup.data_lock import data_lock


def export_run(name: str, target: Path, settings: Settings) -> int:
    """Write the submission of record of a run into a new or empty folder.

    Raises `UsageError`, `JournalError`, `VersionsError`, TaskError, `ChildFailed`, OSError.
    """
    from harness.export.write import write_export
    from runs.journal import is_driven, read_events
    from runs.state import fold

    target = target.expanduser().absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        errors.fail(f"{target} is not an empty folder: name one that does not exist yet")
    folder = find_run(name, settings)
    if is_driven(folder):
        errors.fail(f"{folder.name} is being played, so its submission may still change: stop it, or wait for its end")
    from harness.export.record import record_of

    record = record_of(folder, settings.home, fold(read_events(folder)))
    if record is None:
        errors.fail(
            f"{folder.name} has no submission beyond the sample, so there is no code to export. "
            f"See why: harness show {folder.name}"
        )
    with data_lock(settings.home):
        if gone := [split for split in record.splits if not record.data_of(split).is_dir()]:
            created = record.created
            task = created.task_path if Path(created.task_path).exists() else created.task_id
            errors.fail(
                f"the data that the code of {folder.name} needs was removed ({', '.join(gone)}). A new run of the task "
                f"with the same seed makes it again: harness run {task} --seed {created.settings.seed}"
            )
        write_export(record, target)
    members = ", ".join(one.id for one in record.members)
    print(f"Exported {record.created.run_id} (evaluations {members}) to {target}")
    print(f"Make its submission again: sh {target / 'run.sh'}")
    if not record.is_exact:
        print("The run does not say which runs were combined, so that is not possible byte for byte: see README.md")
    return errors.DONE
