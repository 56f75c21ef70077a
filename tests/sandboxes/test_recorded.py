"""What the files of a job tell of how it was started."""

from __future__ import annotations

import json
from pathlib import Path

from sandboxes.jobs.recorded import environment_of_job


def written(jobs: Path, **base: object) -> Path:
    (jobs / ".bases").mkdir()
    (jobs / ".bases" / "aa.json").write_text(json.dumps(base))
    (jobs / "e-1").mkdir()
    (jobs / "e-1" / "request.json").write_text(json.dumps({"base": "aa", "last": "true"}))
    return jobs


def test_variables_of_a_process_and_of_bubblewrap_are_read(tmp_path: Path) -> None:
    argv = ["bwrap", "--setenv", "OMP_NUM_THREADS", "2", "--", "/bin/bash", "-c"]
    jobs = written(tmp_path, argv=argv, environment={"LANG": "C"})
    assert environment_of_job(jobs, "e-1") == {"LANG": "C", "OMP_NUM_THREADS": "2"}


def test_a_job_without_files_has_none(tmp_path: Path) -> None:
    assert environment_of_job(tmp_path, "e-1") == {}
