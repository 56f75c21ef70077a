"""What a run records of the machine, its endpoint and its task, and what its page discloses of it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from harness.startup.disclosure import defects, hardware
from runs.events.registry import EndpointChanged, RunCreated
from runs.journal import Journal, create_run
from runs.page.facts.knowledge import disclosure
from runs.page.facts.run_view import RunView
from runs.run_settings import RunSettings
from tasks.catalog import find_task
from tasks.mlebench.facts import all_with_notes


def created(settings: RunSettings, **fields: object) -> RunCreated:
    known = {"harness_version": "0", "run_id": "r", "task_id": "t", "task_path": "", "task_digest": "d"}
    known |= {"metric": "accuracy", "sandbox": "local"}
    flags = {"lower_is_better": False, "is_demo": False, "protects_labels": True, "settings": settings}
    return RunCreated.model_validate({**known, **flags, **fields})


def facts_of(folder: Path) -> dict[str, str]:
    view = RunView(folder)
    view.refresh()
    return dict(disclosure(view))


def test_the_machine_is_described_by_its_cores_and_memory() -> None:
    cores, memory = hardware(RunSettings(gpus="none"))
    assert cores.startswith(f"{len(os.sched_getaffinity(0))} cores (") and memory.endswith(" GB of memory")


def test_defects_are_those_that_the_benchmark_knows(tmp_path: Path) -> None:
    task = find_task("digits", tmp_path)
    assert defects(task) == []
    for name, one in all_with_notes().items():
        told = defects(replace(task, competition=name))
        assert len(told) == sum(note.kind != "quirk" for note in one.notes)
    assert any(defects(replace(task, competition=name)) for name in all_with_notes())


def test_a_page_discloses_what_was_recorded(tmp_path: Path) -> None:
    fields = {"profile": "vllm", "hardware": ["8 cores (X)", "GPU Y, 80 GB"], "defects": ["leak: ids are sorted"]}
    create_run(tmp_path / "r", created(RunSettings(model="m", endpoint="box"), **fields))
    facts = facts_of(tmp_path / "r")
    assert facts["profile"] == "vllm, [endpoints.box] of config.toml"
    assert facts["hardware"] == "8 cores (X); GPU Y, 80 GB"
    assert facts["known defects of the task"] == "leak: ids are sorted"
    with Journal.open(tmp_path / "r") as journal:
        journal.append(EndpointChanged(base_url="http://h/v1", model="n", profile="openrouter"))
    assert facts_of(tmp_path / "r")["profile"] == "openrouter"


def test_a_page_says_what_an_older_run_did_not_record(tmp_path: Path) -> None:
    create_run(tmp_path / "r", created(RunSettings(model="m")))
    facts = facts_of(tmp_path / "r")
    assert facts["profile"] == facts["hardware"] == "not recorded"
