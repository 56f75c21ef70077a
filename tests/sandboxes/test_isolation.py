"""The table of what each sandbox enforces: the card shows the same one, and a test stands behind each line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandboxes.isolation import LINES, Line, as_markdown, as_text

HERE = Path(__file__).parent
SHOWN_BY = {
    "wall time": "test_host::test_the_wall_limit_leaves_none_of_a_daemonised_tree_alive "
    "test_runner::test_output_past_the_cap_is_counted_and_its_end_is_kept "
    "test_host::test_a_file_can_only_be_as_large_as_the_limit test_host::test_memory_is_bounded_where_it_is_asked_for",
    "total memory": "test_docker::test_memory_is_bounded_for_all_processes_together "
    "test_docker::test_processes_cpu_and_temporary_space_are_bounded",
    "disk": "test_hostile::test_a_disk_filler_is_ended_while_there_is_room_for_the_record "
    "test_hostile::test_a_workspace_that_grows_past_its_cap_ends_the_job_and_room_can_be_made",
    "/tmp": "test_docker::test_processes_cpu_and_temporary_space_are_bounded "
    "test_bubblewrap::test_temporary_files_are_bounded_and_gone_with_their_job",
    "number of processes": "test_docker::test_processes_cpu_and_temporary_space_are_bounded "
    "test_bubblewrap::test_the_number_of_processes_is_bounded_where_it_is_asked_for",
    "network": "test_hostile::test_no_network_and_no_server_of_this_machine_is_reached "
    "test_seccomp::test_doors_into_the_kernel_and_to_the_hypervisor_are_shut",
    "the harness's home": "test_hostile::test_harness_folders_and_job_records_are_out_of_reach "
    "test_hostile::test_another_run_beside_this_one_is_not_seen",
    "`./data`": "test_hostile::test_the_data_cannot_be_changed "
    "test_hostile::test_a_request_cannot_be_forged_through_the_log_folder",
    "`/home/data`": "test_docker::test_data_and_submission_lie_where_agents_of_mle_bench_look",
    "answer files": "test_docker::test_answer_files_of_packages_are_masked_in_a_container "
    "test_bubblewrap::test_answer_files_of_packages_are_masked",
    "harness's variables": "test_host::test_no_variable_of_the_harness_reaches_a_job "
    "test_hostile::test_nothing_of_the_harness_can_be_read_from_proc_and_environment",
    "other processes": "test_bubblewrap::test_processes_of_the_host_cannot_be_seen_or_reached "
    "test_docker::test_the_supervisor_cannot_be_touched_by_a_command",
    "rights": "test_bubblewrap::test_a_command_is_nobody_and_can_become_nobody_else "
    "test_docker::test_a_command_has_no_rights_and_its_supervisor_three",
    "new namespaces": "test_docker::test_no_network_no_new_namespaces_and_no_socket_of_the_daemon "
    "test_seccomp::test_doors_into_the_kernel_and_to_the_hypervisor_are_shut "
    "test_seccomp::test_what_opens_doors_is_refused_and_ordinary_programs_notice_nothing",
    "programs of 32 bits": "test_seccomp::test_a_program_of_32_bits_does_not_run",
    "packages installed": "test_docker::test_the_packages_of_the_image_are_listed "
    "test_host::test_the_agents_python_has_the_packages_and_not_the_harness",
    "labels": "test_label_attacks::test_no_command_brings_back_a_label "
    "test_label_attacks::test_the_same_commands_do_find_labels_where_nothing_isolates",
}
"""By how a line begins: the tests that would fail if it were not so."""


def test_the_card_shows_the_table_as_it_is_in_the_code() -> None:
    card = (HERE.parents[1] / "sandboxes" / "README.md").read_text(encoding="utf-8")
    assert f"\n\n{as_markdown()}\n\n" in card


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.what[:20])
def test_a_test_stands_behind(line: Line) -> None:
    [tests] = [names for start, names in SHOWN_BY.items() if re.match(rf"{re.escape(start)}(?!\w)", line.what)]
    for name in tests.split():
        module, _, test = name.partition("::")
        assert f"\ndef {test}(" in (HERE / f"{module}.py").read_text(encoding="utf-8"), f"{name} is gone"


def test_no_test_stands_behind_a_line_that_is_gone() -> None:
    assert len(SHOWN_BY) == len(LINES)


def test_a_terminal_is_told_what_each_kind_does_and_never_to_look_elsewhere() -> None:
    told = "\n".join(as_text())
    assert "the same" not in told and "*" not in told
    for kind in ("docker", "bubblewrap", "local"):
        assert len(re.findall(rf"^    .*\b{kind}\b.*: ", told, re.MULTILINE)) >= len(LINES)
