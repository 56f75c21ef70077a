"""Where the settings of a run come from: defaults < config.toml < HARNESS_* < task.yaml < command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from harness import cli, errors
from harness.cli.commands import request
from harness.cli.options import make_parser
from harness.config import Layer, endpoint_of, resolve, task_layer, untrusted
from harness.endpoint.profiles import Prices
from harness.errors import UsageError
from harness.settings import Settings, SettingsError, load_settings
from harness.startup.check_endpoint import profile_of
from harness.startup.create_run import RunRequest, create, resolve_settings
from runs.journal import read_events
from runs.run_settings import RunSettings, flag_of
from tests.harness.run_folders import a_task

CONFIG = """
hours = 2
fold_share = 0.1

[endpoints.local]
base_url = "http://localhost:8000/v1"
model = "MiniMaxAI/MiniMax-M2.7"
key_variable = "LOCAL_API_KEY"
context_tokens = 65536
prices = {input = 0.3, cached = 0.06, output = 1.2}

[endpoints.local.headers]
X-Team = "secret-team-token"
"""


@pytest.fixture
def process(tmp_path: Path) -> Settings:
    (tmp_path / "config.toml").write_text(CONFIG)
    return Settings(tmp_path)


def with_variables(process: Settings, **variables: str) -> Settings:
    return Settings(process.home, variables={f"HARNESS_{name}": value for name, value in variables.items()})


def test_a_later_layer_wins_and_the_source_is_named(process: Settings) -> None:
    resolved = resolve(process)
    assert (resolved.settings.hours, resolved.sources["hours"]) == (2.0, f"{process.config}:2")
    process = with_variables(process, HOURS="3h")
    assert (resolve(process).settings.hours, resolve(process).sources["hours"]) == (3.0, "HARNESS_HOURS")
    task = task_layer({"hours": 4}, {"hours": "task.yaml:9"})
    assert (resolve(process, task).settings.hours, resolve(process, task).sources["hours"]) == (4.0, "task.yaml:9")
    resolved = resolve(process, task, {"hours": 5.0, "cost": None})
    assert (resolved.settings.hours, resolved.sources["hours"]) == (5.0, "--hours")
    assert resolve(process, task, {}, ["hours=90m"]).settings.hours == 1.5
    assert resolve(process, task, {}, ["hours=none"]).settings.hours is None
    assert resolved.settings.fold_share == 0.1 and resolved.sources["cost"] == "default"


def test_a_flag_and_a_set_that_differ_are_an_error(process: Settings) -> None:
    assert resolve(process, None, {"hours": 1.5}, ["hours=90m"]).settings.hours == 1.5
    with pytest.raises(SettingsError, match=r"--hours.*--set hours"):
        resolve(process, None, {"hours": 2.0}, ["hours=3"])


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("huors=3", "did you mean `hours`"),
        ("hours", "NAME=VALUE"),
        ("hours=-1", "hours"),
        ("attempts=2.5", "attempts"),
        ("sandbox=moon", "sandbox"),
        ("fold_share=2", "fold_share"),
    ],
)
def test_a_wrong_set_is_refused_with_its_name(process: Settings, assignment: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        resolve(process, None, {}, [assignment])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("\nhuors = 3\n", r"config.toml:2: .*`huors`.*`hours`"),
        ("hours = 'long'\n", r"config.toml:1: hours"),
        ("[endpoints.a]\nbase_urll = 'x'\n", r"config.toml:2: .*`base_urll`.*`base_url`"),
        ("[endpoints.a]\nmodel = 3\n", r"config.toml:1: .*texts"),
        ("endpoint = 'b'\n", r"config.toml:1: .*endpoints.b"),
        ("hours = \n", "not valid TOML"),
    ],
)
def test_a_mistake_in_config_toml_is_refused_with_file_and_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(SettingsError, match=says):
        resolve(Settings(tmp_path))


def test_a_wrong_setting_of_a_task_file_is_refused_with_its_line(tmp_path: Path) -> None:
    task = a_task(tmp_path / "letters")
    with (task.folder / "task.yaml").open("a") as file:
        file.write("run: {huors: 3}\n")
    with pytest.raises(SettingsError, match=r"task.yaml:7.*`hours`"):
        create(RunRequest(str(task.folder)), Settings(tmp_path))


def test_an_endpoint_brings_its_address_model_prices_headers_and_key(process: Settings) -> None:
    resolved = resolve(process, None, {"endpoint": "local"})
    assert resolved.settings.base_url == "http://localhost:8000/v1"
    assert resolved.settings.model == "MiniMaxAI/MiniMax-M2.7"
    assert resolved.endpoint.extras.headers == {"X-Team": "secret-team-token"}
    profile = profile_of(resolved.settings, resolved.endpoint, False, process.home)
    assert (profile.context_tokens, profile.prices) == (65536, Prices(0.3, 0.06, 1.2, "your settings"))
    assert "secret-team-token" not in repr(resolved) + resolved.settings.model_dump_json()
    with pytest.raises(SettingsError, match="LOCAL_API_KEY"):
        process.key_of(resolved.settings.key_variable)
    assert Settings(process.home, keys={"LOCAL_API_KEY": "k"}).key_of("LOCAL_API_KEY") == "k"
    # What is given elsewhere wins over the table.
    assert resolve(process, None, {"endpoint": "local", "model": "other"}).settings.model == "other"


def test_key_and_headers_of_an_endpoint_go_to_its_own_address_only(process: Settings) -> None:
    elsewhere = {"endpoint": "local", "base_url": "http://elsewhere/v1"}
    with pytest.raises(SettingsError, match=r"--base-url.*endpoints.local"):
        resolve(process, None, elsewhere)
    # A flag that names an endpoint wins over a variable with an address.
    assert resolve(with_variables(process, BASE_URL="http://a/v1"), None, {"endpoint": "local"}).settings.base_url == (
        "http://localhost:8000/v1"
    )
    recorded = RunSettings(endpoint="local", base_url="http://before/v1", model="m")
    with pytest.raises(SettingsError, match="Restore that table"):
        endpoint_of(recorded, process)


@pytest.mark.parametrize(
    "flags",
    [
        {"base_url": "http://u:SECRETPW@h/v1"},
        {"base_url": "u:SECRETPW@h/v1"},
        {"base_url": "http://h/v1?key=SECRETPW"},
        {"key_variable": "gk_live_SECRETPW"},
    ],
)
def test_a_secret_in_a_setting_is_refused_and_not_repeated(process: Settings, flags: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as refused:
        resolve(process, None, flags)
    assert "SECRETPW" not in str(refused.value)


@pytest.mark.parametrize("header", ["'X Auth' = 'a'", "X = 'é'", 'X = """a\n"""'])
def test_a_header_that_cannot_be_sent_is_refused(tmp_path: Path, header: str) -> None:
    (tmp_path / "config.toml").write_text(f"[endpoints.a]\n[endpoints.a.headers]\n{header}\n")
    with pytest.raises(SettingsError, match="header"):
        resolve(Settings(tmp_path))


def test_keys_that_config_toml_names_leave_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_text('[endpoints.a]\nkey_variable = "FOO_TOKEN"\n')
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    monkeypatch.setenv("FOO_TOKEN", "tok")
    assert load_settings().key_of("FOO_TOKEN") == "tok" and "FOO_TOKEN" not in os.environ


def test_a_folder_of_weights_is_recorded_as_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    task = a_task(tmp_path / "letters")
    request = RunRequest(str(task.folder), {"models": "weights", "sandbox": "local"})
    first: Any = next(read_events(create(request, Settings(tmp_path / "home"))))
    assert first.settings.models == str(tmp_path / "weights")


def test_sampling_settings_win_over_the_profile(process: Settings) -> None:
    resolved = resolve(process, None, {"endpoint": "local"}, ["temperature=0.2", "top_k=7"])
    profile = profile_of(resolved.settings, resolved.endpoint, False, process.home)
    assert (profile.temperature, profile.top_k) == (0.2, 7)


def test_a_task_file_needs_trust_for_endpoint_and_sandbox_once(tmp_path: Path) -> None:
    assert untrusted(Layer({"hours": 1, "base_url": "u", "sandbox": "local", "model": "m"})) == ["base_url", "sandbox"]
    task = a_task(tmp_path / "letters")
    with (task.folder / "task.yaml").open("a") as file:
        file.write("run: {hours: 1, sandbox: local}\n")
    home = Settings(tmp_path / "home")
    with pytest.raises(UsageError, match=r"sandbox.*--trust-task"):
        create(RunRequest(str(task.folder)), home)
    assert not home.runs.exists()
    create(RunRequest(str(task.folder), trusts_task=True), home)
    folder = create(RunRequest(str(task.folder)), home)
    first: Any = next(read_events(folder))
    assert (first.settings.hours, first.settings.sandbox, first.sandbox) == (1.0, "local", "local")
    assert set(first.settings.model_dump()) == set(RunSettings.model_fields), "event 0 holds every setting by value"


def test_harness_config_names_values_sources_and_ignored_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    monkeypatch.setenv("HARNESS_HUORS", "3")
    monkeypatch.setenv("HARNESS_MODEL", "m")
    (tmp_path / "config.toml").write_text(CONFIG)
    assert cli.main(["config", "--set", "cost=$5", "--attempts", "3"]) == errors.DONE
    printed, said = capsys.readouterr()
    rows = {line.split()[0]: line.split() for line in printed.splitlines() if line.strip()}
    assert rows["hours"][1:4] == ["2", "hours", f"{tmp_path}/config.toml:2"]
    assert rows["model"][1:3] == ["m", "HARNESS_MODEL"]
    assert rows["cost"][1:4] == ["5", "dollars", "--set"] and rows["attempts"][1:3] == ["3", "--attempts"]
    assert "secret-team-token" not in printed
    assert "HARNESS_HUORS" in said and "HARNESS_HOURS" in said


def test_every_flag_of_a_setting_is_an_option_of_run() -> None:
    parser = make_parser()
    for name in RunSettings.model_fields:
        if flag := flag_of(name):
            text = {"sandbox": "local", "hours": "2", "cost": "3"}.get(name, "4")
            is_switch = RunSettings.model_fields[name].annotation is bool
            options = parser.parse_args(["run", "digits", flag, *([] if is_switch else [text])])
            assert getattr(options, name) is not None


def test_flags_of_the_command_line_reach_the_settings(process: Settings) -> None:
    options = make_parser().parse_args(["run", "digits", "--hours", "90m", "--sandbox", "local", "--set", "top_k=3"])
    resolved = resolve_settings(request(options), None, process)
    assert (resolved.settings.hours, resolved.settings.sandbox, resolved.settings.top_k) == (1.5, "local", 3)
