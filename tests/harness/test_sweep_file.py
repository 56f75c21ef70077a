"""A sweep file becomes a table of runs, and every mistake in it is reported before anything exists."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from harness.cli.options import make_parser
from harness.errors import UsageError
from harness.settings import Settings, SettingsError
from harness.sweep.plan import make_plan
from harness.sweep.play_row import run_command
from harness.sweep.reproduce import yaml_of
from harness.sweep.schema import SweepRequest, is_sweep_file, read_request
from harness.sweep.types import Plan
from tasks.errors import TaskError
from tests.playing import harness_here

FILE = """
tasks: [digits, breast-cancer]
seeds: [0, 3]
run: {sandbox: local, hours: 90m}
factors:
  search: [tree, greedy]
  sampling:
    cold: {temperature: 0.2}
    warm: {temperature: 1, no_knowledge: true}
needs: {cores: 2, memory_gb: 1.5}
"""


def plan_of(text: str, folder: Path, home: Path, **options: object) -> Plan:
    path = folder / "lite.yaml"
    path.write_text(text)
    source = read_request(SweepRequest((str(path),), **options))  # type: ignore[arg-type]
    return make_plan(source, Settings(home))


def test_every_combination_of_task_seed_and_level_is_a_row_with_its_own_run(tmp_path: Path, digits_home: Path) -> None:
    plan = plan_of(FILE, tmp_path, digits_home)
    assert (plan.name, plan.cores, plan.memory) == ("lite", 2, 1_500_000_000)
    assert len(plan.rows) == 2 * 2 * 2 * 2
    for names in ([row.key for row in plan.rows], [row.run_id for row in plan.rows]):
        assert len(set(names)) == len(names)
    row = plan.row("digits.greedy-warm.s3")
    assert dict(row.levels) == {"search": "greedy", "sampling": "warm"}
    assert dict(row.settings) == {
        "sandbox": "local",
        "hours": "90m",
        "search": "greedy",
        "temperature": "1",
        "no_knowledge": "true",
    }
    assert (row.seed, row.hours, row.uses_ledger) == (3, 1.5, False), "the demo model reads no lessons"
    words = run_command(row)
    assert words[:2] == ["run", "digits"] and words[words.index("--resume-or-start") + 1] == row.run_id
    assert Plan.of_json(json.loads(json.dumps(plan.as_json()))) == plan


def test_the_written_file_gives_the_same_table_again(tmp_path: Path, digits_home: Path) -> None:
    first = tmp_path / "lite.yaml"
    first.write_text(FILE)
    source = read_request(SweepRequest((str(first),), jobs=3, assignments=("attempts=2",)))
    plan = make_plan(source, Settings(digits_home))
    again = tmp_path / "again.yaml"
    again.write_text(yaml_of(source, plan))
    repeated = make_plan(read_request(SweepRequest((str(again),))), Settings(digits_home))
    assert [(row.key, row.settings) for row in repeated.rows] == [(row.key, row.settings) for row in plan.rows]
    assert (repeated.name, repeated.jobs) == ("lite", 3)


def test_tasks_can_be_typed_and_a_task_file_is_not_a_sweep_file(tmp_path: Path, digits_home: Path) -> None:
    source = read_request(SweepRequest(("digits", "breast-cancer"), seeds=3))
    plan = make_plan(source, Settings(digits_home))
    assert (plan.name, len(plan.rows)) == ("digits-breast-cancer", 6)
    (tmp_path / "task.yaml").write_text("id: t\ntasks: [a]\n")
    assert not is_sweep_file(str(tmp_path / "task.yaml"))


def test_a_split_of_the_benchmark_uses_no_ledger_unless_the_file_says_so(tmp_path: Path) -> None:
    from harness.sweep.plan import variants

    def first(text: str) -> dict[str, str]:
        (tmp_path / "low.yaml").write_text(text)
        source = read_request(SweepRequest((str(tmp_path / "low.yaml"),)))
        return dict(next(variants(source, is_benchmark=bool(source.file.split))).settings)

    assert first("split: low\n") == {"no_ledger": "true"}
    assert first("split: low\nrun: {no_ledger: false}\n") == {"no_ledger": "false"}
    assert first("split: low\nfactors: {no_ledger: [false, true]}\n") == {"no_ledger": "false"}
    assert first("tasks: [digits]\n") == {}


@pytest.mark.parametrize(
    ("text", "error", "place"),
    [
        ("tasks: [digits, digitz]", TaskError, ":1:17"),
        ("tasks: [digits]\nseeds: [1, 1]", UsageError, ":2:1"),
        ("tasks: [digits]\nseeds: 0", UsageError, ":2:1"),
        ("tasks: [digits]\nrun: {seed: 4}", UsageError, ":2:1"),
        ("tasks: [digits]\nfactors: {seed: [1, 2]}", UsageError, ":2:"),
        ("tasks: [digits, digits]", UsageError, ":1:1"),
        ("tasks: [digits]\nsplit: low", UsageError, ":2:1"),
        ("tasks: [digits]\nfactors: {serch: [tree]}", SettingsError, "`search`"),
        ("tasks: [digits]\nfactors: {search: [tree, tree]}", UsageError, "twice"),
        ("tasks: [digits]\nfactors: {search: []}", UsageError, "at least one"),
        ("tasks: [digits]\nfactors: {a: {x: {hours: 1}}, hours: [1, 2]}", UsageError, "hours"),
        ("tasks: [digits]\nrun: {hours: 1}\nfactors: {hours: [1, 2]}", UsageError, "hours"),
        ("tasks: [digits]\nrun: {hours: -1}", SettingsError, "hours"),
        ("tasks: [digits]\nhours: 3", UsageError, "under `run:`"),
        ("tasks: [digits]\nname: ../x", UsageError, "name"),
        ("tasks: [digits]\nengine: dask", UsageError, "engine"),
        ("tasks: [digits]\nrun: {base_url: http://127.0.0.1:1/v1}", UsageError, "--model"),
        ("split: low", TaskError, "harness prepare"),
        ("tasks: []", UsageError, "which tasks"),
    ],
)
def test_a_mistake_is_reported_with_its_location(
    text: str, error: type[Exception], place: str, tmp_path: Path, digits_home: Path
) -> None:
    with pytest.raises(error, match=place.replace(".", r"\.")):
        plan_of(text, tmp_path, digits_home)
    assert not (digits_home / "sweeps").exists()


def test_seeds_given_twice_differ_from_seeds_given_once(tmp_path: Path, digits_home: Path) -> None:
    with pytest.raises(UsageError, match="--seeds"):
        plan_of("tasks: [digits]\nseeds: 2", tmp_path, digits_home, seeds=3)
    assert len(plan_of("tasks: [digits]", tmp_path, digits_home, seeds=3).rows) == 3


def test_a_dry_run_creates_nothing_and_a_name_is_taken_once(tmp_path: Path, digits_home: Path) -> None:
    command = ("sweep", "digits", "--seeds", "2", "--set", "sandbox=local", "--name", "one")
    code, printed = harness_here(digits_home, *command, "--dry-run")
    assert code == 0 and "digits.s1" in printed
    assert not (digits_home / "sweeps").exists()
    assert harness_here(digits_home, *command, "--create-only")[0] == 0
    before = (digits_home / "sweeps" / "one" / "plan.json").read_bytes()
    code, printed = harness_here(digits_home, *command, "--create-only")
    assert code == 2 and "harness sweep resume one" in printed
    assert (digits_home / "sweeps" / "one" / "plan.json").read_bytes() == before
    assert harness_here(digits_home, "sweep", "status", "two")[0] == 2
    code, printed = harness_here(digits_home, "sweep")
    assert code == 0 and "one" in printed


def test_the_files_of_the_documentation_are_valid(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")
    example, manifest = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "lite.yaml").write_text(example)
    file = read_request(SweepRequest((str(tmp_path / "lite.yaml"),))).file
    assert (file.split, file.seed_list, set(file.factors), file.jobs) == ("low", [0, 1, 2], {"search", "model"}, 4)
    job = yaml.safe_load(manifest)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert (job["kind"], job["spec"]["template"]["spec"]["restartPolicy"]) == ("Job", "OnFailure")
    assert make_parser().parse_args(container["command"][1:]).arguments == ["work", "lite"]
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in job["spec"]["template"]["spec"]["volumes"]}
