"""The table of what each sandbox enforces: the README contains it, and each row names its tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandboxes.isolation import ROWS, Row, table_as_markdown, table_as_text

HERE = Path(__file__).parent
TESTS_OF = {
    "wall time": "test_host::test_wall_limit_kills_daemonised_processes "
    "test_runner::test_output_past_limit_is_counted_and_tail_kept "
    "test_host::test_file_size_limit_is_enforced test_host::test_memory_limit_is_enforced",
    "total memory": "test_docker::test_total_memory_is_limited "
    "test_docker::test_processes_cpu_and_temporary_space_are_limited",
    "disk": "test_hostile::test_disk_filler_is_ended_before_disk_is_full "
    "test_hostile::test_workspace_limit_ends_job_and_allows_deleting",
    "/tmp": "test_docker::test_processes_cpu_and_temporary_space_are_limited "
    "test_bubblewrap::test_temporary_files_are_limited_and_deleted_with_the_job",
    "number of processes": "test_docker::test_processes_cpu_and_temporary_space_are_limited "
    "test_bubblewrap::test_process_limit_is_enforced",
    "network": "test_hostile::test_no_network_or_host_server_is_reachable "
    "test_seccomp::test_dangerous_calls_and_sockets_are_refused",
    "the harness's home": "test_hostile::test_harness_folders_and_job_records_are_unreachable "
    "test_hostile::test_other_sandboxes_are_invisible",
    "`./data`": "test_hostile::test_data_cannot_be_changed test_hostile::test_request_cannot_be_forged_in_log_folder",
    "`/home/data`": "test_docker::test_mle_bench_paths_exist",
    "answer files": "test_docker::test_package_answer_files_are_masked_in_container "
    "test_bubblewrap::test_package_answer_files_are_masked",
    "environment variables": "test_host::test_no_harness_variable_reaches_a_job "
    "test_hostile::test_harness_secrets_are_not_in_proc_or_environment",
    "other processes": "test_bubblewrap::test_host_processes_are_invisible_and_unreachable "
    "test_docker::test_command_cannot_reach_the_supervisor",
    "privileges": "test_bubblewrap::test_command_has_no_privileges_and_gains_none "
    "test_docker::test_command_has_no_capabilities_and_supervisor_three",
    "new namespaces": "test_docker::test_no_network_namespaces_or_daemon_socket "
    "test_seccomp::test_dangerous_calls_and_sockets_are_refused "
    "test_seccomp::test_filter_refuses_dangerous_calls_only",
    "32-bit programs": "test_seccomp::test_32_bit_program_does_not_run",
    "installed packages": "test_docker::test_packages_of_image_are_listed "
    "test_host::test_agent_python_has_packages_but_no_harness",
    "GPUs": "test_gpu_devices::test_gpus_are_visible_in_a_sandbox_as_leased "
    "test_docker::test_gpus_that_the_daemon_cannot_give_are_reported",
    "labels": "test_label_attacks::test_no_attack_reads_a_label "
    "test_label_attacks::test_same_attacks_succeed_without_isolation",
}
"""For the beginning of each row: the tests that fail if it is wrong."""


def test_readme_contains_the_table() -> None:
    readme = (HERE.parents[1] / "sandboxes" / "README.md").read_text(encoding="utf-8")
    assert f"\n\n{table_as_markdown()}\n\n" in readme


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what[:20])
def test_every_row_names_its_tests(row: Row) -> None:
    [tests] = [names for start, names in TESTS_OF.items() if re.match(rf"{re.escape(start)}(?!\w)", row.what)]
    for name in tests.split():
        module, _, test = name.partition("::")
        assert f"\ndef {test}(" in (HERE / f"{module}.py").read_text(encoding="utf-8"), f"{name} does not exist"


def test_every_entry_has_a_row() -> None:
    assert len(TESTS_OF) == len(ROWS)


def test_text_table_spells_out_every_kind() -> None:
    text = "\n".join(table_as_text())
    assert "the same" not in text and "*" not in text
    for kind in ("docker", "bubblewrap", "local"):
        assert len(re.findall(rf"^    .*\b{kind}\b.*: ", text, re.MULTILINE)) >= len(ROWS)
