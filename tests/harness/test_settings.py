"""Settings of the environment are read once, and a mistake in them is reported in one sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.settings import SettingsError, load_settings
from tests.playing import harness


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.touch(0o600)
    return path


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"sk-caf\xe9", "is not UTF-8 text"),
        ("sk-abc".encode("utf-16"), "is not UTF-8 text"),
        (b"", "is empty. Write the key into it, or unset HARNESS_API_KEY_FILE"),
        (b" \n", "is empty"),
    ],
)
def test_an_empty_key_file_is_refused_even_if_a_variable_has_a_key(key_file: Path, content: bytes, told: str) -> None:
    key_file.write_bytes(content)
    with pytest.raises(SettingsError, match=told):
        load_settings({"HARNESS_API_KEY_FILE": str(key_file), "HARNESS_API_KEY": "sk-other"})


def test_a_key_file_is_read_whatever_editor_wrote_it(key_file: Path) -> None:
    key_file.write_bytes(b"\xef\xbb\xbfsk-abc\r\n")
    assert load_settings({"HARNESS_API_KEY_FILE": str(key_file)}).api_key == "sk-abc"


def test_a_key_file_that_others_may_read_is_refused_and_no_device_is_to_be_changed(key_file: Path) -> None:
    key_file.write_text("sk-abc")
    key_file.chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        load_settings({"HARNESS_API_KEY_FILE": str(key_file)})
    with pytest.raises(SettingsError, match="is empty"):
        load_settings({"HARNESS_API_KEY_FILE": os.devnull})
    with pytest.raises(SettingsError, match="Is a directory"):
        load_settings({"HARNESS_API_KEY_FILE": str(key_file.parent)})


@pytest.mark.parametrize("variable", ["HARNESS_API_KEY_FILE", "HARNESS_HOME"])
def test_an_unknown_home_folder_is_reported(variable: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"{variable}: .*~nobodyx/k"):
        load_settings({"HARNESS_HOME": str(tmp_path), variable: "~nobodyx/k"})


def test_a_mistake_in_the_environment_ends_a_command_as_input_and_leaves_no_crash_file(
    key_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file.write_bytes(b"\xff")
    monkeypatch.setenv("HARNESS_API_KEY_FILE", str(key_file))
    code, printed = harness(tmp_path / "home", "doctor")
    assert (code, printed.count("\n")) == (2, 1)
    assert not list(tmp_path.rglob("crash-*"))


def test_settings_loaded_again_hold_the_key_that_was_taken_out_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And one that is set meanwhile counts."""
    for name, value in (("HARNESS_HOME", str(tmp_path)), ("OPENAI_API_KEY", "sk-first")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HARNESS_API_KEY", raising=False)
    monkeypatch.delenv("HARNESS_API_KEY_FILE", raising=False)
    assert [load_settings().api_key for _ in range(2)] == ["sk-first", "sk-first"]
    monkeypatch.setenv("OPENAI_API_KEY", "sk-second")
    assert [load_settings().api_key for _ in range(2)] == ["sk-second", "sk-second"]
    assert not {"HARNESS_API_KEY", "OPENAI_API_KEY"} & set(os.environ)
