"""Facts in turns: extraction, merging, rendering, and the check for missing ones."""

from __future__ import annotations

import json

from context import facts
from context.window import message_bytes


def assistant_call(name: str, **arguments: object) -> bytes:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return message_bytes("assistant", "", tool_calls=[{"id": "c", "type": "function", "function": function}])


def tool_result(content: str) -> bytes:
    return message_bytes("tool", content, tool_call_id="c")


def test_extract_facts_finds_paths_settings_jobs_hashes_and_errors() -> None:
    extracted = facts.extract_facts(
        [
            assistant_call("bash", command="python src/train.py --lr 0.03 seed=7 --depth 6"),
            tool_result(
                "exit 1 after 2 s\nepoch=9 gamma=0.95\nsaved models/m_3.pkl, digest 3fa9c1d2e4\n"
                "still running as job 00012-0 after 9 s\nTraceback (most recent call last):\n"
                "KeyError: 'beak_length'"
            ),
            tool_result("wrote src/a.py: 120 bytes, sha256 " + "ab12" * 16),
        ]
    )
    for fact in (
        "path: src/train.py",
        "setting: lr=0.03",
        "setting: seed=7",
        "setting: depth=6",
        "setting: gamma=0.95",
        "path: models/m_3.pkl",
        "hash: 3fa9c1d2e4",
        "job: 00012-0",
        "error: KeyError: 'beak_length'",
        "path: src/a.py (sha256 ab12ab12ab12)",
    ):
        assert fact in extracted, fact


def test_number_tables_contain_no_facts() -> None:
    rows = "\n".join(",".join(str(n * k % 97) for k in range(20)) for n in range(200))
    assert facts.extract_facts([tool_result(rows)]) == []


def test_only_the_last_hash_of_a_file_is_kept() -> None:
    writes = [tool_result(f"wrote a.py: 1 bytes, sha256 {letter * 64}") for letter in "abc"]
    assert facts.extract_facts([assistant_call("write_file", path="a.py"), *writes]) == [
        "path: a.py (sha256 cccccccccccc)"
    ]


def test_find_missing_returns_facts_absent_from_the_text() -> None:
    assert facts.find_missing(["path: a.py", "job: 7-1"], "see a.py") == ["job: 7-1"]


def test_merge_drops_the_oldest_facts_beyond_the_budget() -> None:
    many = [f"setting: rate{n}=0.{n}" for n in range(2_000)]
    kept = facts.merge_facts(many[:1_000], many[1_000:], tokens=1_000)
    assert kept == many[-len(kept) :]
    assert 2_500 < sum(map(len, kept)) <= 3_000


def test_facts_are_rendered_one_line_per_kind() -> None:
    assert facts.render(["path: a.py", "job: 7-1", "path: b.py"]) == "- path: a.py; b.py\n- job: 7-1"


def test_a_fact_inside_a_longer_token_counts_as_missing() -> None:
    text = "depth=12 in data.py, lr=0.15; job 7-12, v=1.5"
    shorter = ["setting: depth=1", "path: a.py", "setting: lr=0.1", "job: 7-1", "setting: v=1"]
    assert facts.find_missing(shorter, text) == shorter
    assert facts.find_missing(shorter, "depth=1, a.py; lr=0.1. job 7-1 (v=1)") == []
