"""From layers to one `RunSettings`: defaults < config.toml < HARNESS_* variables < task.yaml < command line.

`config.toml` in HARNESS_HOME holds settings at its top level, and `[endpoints.NAME]` tables: `base_url`, `model`,
`key_variable`, `headers`, `query`, `key_header`, and any key of an endpoint's profile (prices, limits, sampling).
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.amounts import dollars, gpu_count, hours
from harness.endpoint.errors import may_hold_secrets
from harness.endpoint.extras import Extras
from harness.endpoint.profiles import Profile
from harness.search.load import is_own
from harness.settings import Settings, SettingsError
from runs.run_settings import TRUSTED_GROUPS, RunSettings, flag_of, group_of

DEFAULT = "default"
_PREFIX = "HARNESS_"
_HEADER_VALUE = r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?"
_OTHER_VARIABLES = ("HOME", "API_KEY", "API_KEY_FILE", "NOTIFY")
_OWN_KEYS = ("base_url", "model", "key_variable", "headers", "query", "key_header")
"""Keys of an endpoint's table that are not fields of a profile."""
_FROM_ENDPOINT = ("base_url", "model", "key_variable")


@dataclass(frozen=True)
class Endpoint:
    """An `[endpoints.NAME]` table. `profile` are the fields of its profile, `extras` are sent with every request."""

    name: str
    base_url: str = ""
    model: str = ""
    key_variable: str = ""
    extras: Extras = field(default_factory=Extras)
    profile: Mapping[str, Any] = field(default_factory=dict)
    path: Path = Path("config.toml")


PLAYBOOK_GROUPS = ("search", "sampling")


@dataclass(frozen=True)
class Layer:
    """Settings from one source. `where` says for each where it stands, for error messages and `harness config`."""

    values: Mapping[str, Any] = field(default_factory=dict)
    where: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """The content of config.toml."""

    layer: Layer = Layer()
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    notify: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Resolved:
    """The effective settings of a run, and for each setting where its value comes from."""

    settings: RunSettings
    sources: Mapping[str, str]
    endpoint: Endpoint


def resolve(
    settings: Settings,
    task: Layer | None = None,
    flags: Mapping[str, Any] | None = None,
    assignments: Sequence[str] = (),
    playbook: Layer = Layer(),
) -> Resolved:
    """The settings of a run. `flags` are command-line options (None: not given), `assignments` the texts of `--set`,
    `playbook` the working settings of a playbook, which everything else overrides.

    Raises `SettingsError` for an unknown name, a value that does not fit, or a flag and a `--set` that differ.
    """
    config = read_config(settings.config)
    layers = [
        playbook,
        config.layer,
        _variables(settings.variables),
        task or Layer(),
        read_flags(flags or {}, assignments),
    ]
    values: dict[str, Any] = {}
    sources = dict.fromkeys(RunSettings.model_fields, DEFAULT)
    endpoint = Endpoint("")
    for layer in layers:
        if "endpoint" in layer.values:  # its table counts as part of the layer that names it
            endpoint = _endpoint(layer.values["endpoint"], config, layer.where.get("endpoint", ""))
            for name in _FROM_ENDPOINT:
                values[name] = getattr(endpoint, name)
                sources[name] = f"[endpoints.{endpoint.name}] in {endpoint.path}" if values[name] else DEFAULT
        for name, value in layer.values.items():
            values[name], sources[name] = value, layer.where.get(name, "")
    _check_host(values.get("base_url", ""), endpoint, sources)
    return Resolved(RunSettings.model_validate(values), sources, endpoint)


def _check_host(base_url: str, endpoint: Endpoint, sources: Mapping[str, str]) -> None:
    """The key and headers of an endpoint go to its own address only."""
    has_secrets = endpoint.extras.headers or endpoint.extras.query or endpoint.key_variable
    if endpoint.base_url and base_url != endpoint.base_url and has_secrets:
        raise SettingsError(
            f"{sources['base_url']}: this address is not that of [endpoints.{endpoint.name}], whose key and headers "
            "are for its own address only. Leave one of them out"
        )


def endpoint_of(settings: RunSettings, process: Settings) -> Endpoint:
    """The endpoint a recorded run uses, as config.toml has it now. Raises `SettingsError` if it is gone."""
    if not settings.endpoint:
        return Endpoint("")
    endpoint = read_config(process.config).endpoints.get(settings.endpoint)
    if endpoint is None or (endpoint.base_url and endpoint.base_url != settings.base_url):
        raise SettingsError(
            f'{process.config}: this run uses [endpoints.{settings.endpoint}] with base_url = "{settings.base_url}". '
            "Restore that table, then resume"
        )
    return endpoint


def untrusted(task: Layer) -> list[str]:
    """Settings of a task file that need `--trust-task`: a task file may come from the internet."""
    names = [name for name in task.values if group_of(name) in TRUSTED_GROUPS and name != "model"]
    return names + (["search"] if is_own(task.values.get("search", "")) else [])  # it would run code of the file's


def playbook_layer(values: Mapping[str, Any]) -> Layer:
    """The working settings of a playbook: only those of search and sampling. Raises `SettingsError`."""
    for name in values:
        if name not in RunSettings.model_fields or group_of(name) not in PLAYBOOK_GROUPS:
            raise SettingsError(f"settings.toml of the playbook: {name} is not a setting of search or sampling")
    return Layer(values, dict.fromkeys(values, "the playbook"))


def task_layer(values: Mapping[str, Any], where: Mapping[str, str]) -> Layer:
    """The `run:` part of a task file, checked. `where` gives `file:line` of each key. Raises `SettingsError`."""
    return _checked(values, where)


def read_config(path: Path) -> Config:
    """Read config.toml; a file that does not exist is an empty one. Raises `SettingsError`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        document = tomllib.loads(text)
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({error}). Make it a readable UTF-8 file.") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    tables, notify = document.pop("endpoints", {}), document.pop("notify", [])
    if not (isinstance(notify, list) and all(isinstance(address, str) for address in notify)):
        raise SettingsError(f"{_line(text, path, 'notify')}: write notify as a list of addresses in quotes")
    if not isinstance(tables, dict):
        raise SettingsError(f"{_line(text, path, 'endpoints')}: write endpoints as [endpoints.NAME] tables")
    where = {name: _line(text, path, name) for name in document}
    return Config(
        _checked(document, where),
        {name: _read_endpoint(name, table, text, path) for name, table in tables.items()},
        tuple(notify),
    )


def notify_addresses(process: Settings) -> list[str]:
    """Where notifications go: `notify` of config.toml and HARNESS_NOTIFY. They hold secrets, so no run records them."""
    named = process.keys.get("HARNESS_NOTIFY", "").split()
    return [*read_config(process.config).notify, *named]


def unknown_variables(variables: Iterable[str]) -> dict[str, str]:
    """HARNESS_* variables that set nothing, each with the nearest name that would."""
    known = {_PREFIX + name.upper() for name in (*RunSettings.model_fields, *_OTHER_VARIABLES)}
    ignored = [name for name in variables if name.startswith(_PREFIX) and name not in known]
    return {name: next(iter(difflib.get_close_matches(name, known, 1)), "") for name in sorted(ignored)}


def parse_value(name: str, text: str) -> Any:
    """The value of a setting written as text, as in `--set hours=90m`. Raises `SettingsError`."""
    import argparse

    parsers = {"hours": hours, "cost": dollars, "gpus": gpu_count}
    if text.strip().lower() == "none" and name != "gpus":
        return None
    try:
        return parsers[name](text) if name in parsers else text
    except argparse.ArgumentTypeError as error:
        raise SettingsError(f"{name}: {error}") from None


def _variables(variables: Mapping[str, str]) -> Layer:
    names = {_PREFIX + name.upper(): name for name in RunSettings.model_fields}
    texts = {names[key]: value for key, value in variables.items() if key in names and value}
    values = {name: parse_value(name, text) for name, text in texts.items()}
    return _checked(values, {name: _PREFIX + name.upper() for name in values})


def read_flags(flags: Mapping[str, Any], assignments: Sequence[str]) -> Layer:
    """The settings of the command line: flags, and `NAME=VALUE` of --set. Raises `SettingsError`."""
    given = {name: value for name, value in flags.items() if value is not None}
    where = {name: flag_of(name) for name in given}
    for assignment in assignments:
        name, has_value, text = assignment.partition("=")
        name = name.strip().replace("-", "_")
        if not has_value:
            raise SettingsError(f"--set {assignment}: write --set NAME=VALUE")
        _check_name(name, "--set")
        value = _checked({name: parse_value(name, text)}, {name: "--set"}).values[name]
        if name in given and given[name] != value:
            raise SettingsError(f"{where[name]} and --set {name} differ: give one of them")
        given[name], where[name] = value, where.get(name, "--set")
    return _checked(given, where)


def _checked(values: Mapping[str, Any], where: Mapping[str, str]) -> Layer:
    """The values as their fields take them. Raises `SettingsError` with the place of the first that does not fit."""
    checked = {}
    for name, value in values.items():
        _check_name(name, where.get(name, ""))
        _check_no_secret(name, value, where.get(name, name))
        try:
            if isinstance(value, str):
                value = parse_value(name, value)
            checked[name] = getattr(RunSettings.model_validate({name: value}), name)
        except SettingsError as error:
            raise SettingsError(f"{where.get(name, name)}: {error}") from None
        except ValidationError as error:
            message = error.errors(include_url=False)[0]["msg"]
            raise SettingsError(f"{where.get(name, name)}: {name} = {value!r} does not fit: {message}") from None
    return Layer(checked, where)


def _check_no_secret(name: str, value: Any, where: str) -> None:
    """An address with a password, or a key in place of its variable's name, would be recorded and printed."""
    if name == "base_url" and isinstance(value, str) and ("@" in value or may_hold_secrets(value)):
        raise SettingsError(
            f"{where}: base_url must not contain a user, password or query; export the key as HARNESS_API_KEY"
        )
    if name == "key_variable" and value and not re.fullmatch(r"[A-Z_][A-Z0-9_]*", str(value)):
        raise SettingsError(f"{where}: key_variable is the NAME of a variable in upper case, not the key itself")


def _check_name(name: str, where: str) -> None:
    if name in RunSettings.model_fields:
        return
    near = difflib.get_close_matches(name, RunSettings.model_fields, 1)
    hint = f"did you mean `{near[0]}`?" if near else "`harness config` lists the settings"
    raise SettingsError(f"{where}: there is no setting `{name}`; {hint}")


def _endpoint(name: str, config: Config, where: str) -> Endpoint:
    if not name:
        return Endpoint("")
    if name not in config.endpoints:
        known = ", ".join(config.endpoints) or "none yet"
        raise SettingsError(
            f"{where}: there is no [endpoints.{name}] in config.toml (endpoints there: {known}). Add the table, or "
            "give --base-url and --model instead"
        )
    return config.endpoints[name]


def _read_endpoint(name: str, table: Any, text: str, path: Path) -> Endpoint:
    entry = f"endpoints.{name}"
    if not isinstance(table, dict):
        raise SettingsError(f"{_line(text, path, name)}: write an endpoint as a table, [{entry}]")
    known = [*_OWN_KEYS, *(one.name for one in fields(Profile) if one.name != "model")]
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(sorted(known))}"
            raise SettingsError(f"{_line(text, path, key, entry)}: unknown key `{key}` in [{entry}]; {hint}")
    headers, query = table.get("headers", {}), table.get("query", {})
    base_url, model, key_variable, key_header = (
        table.get(key, "") for key in ("base_url", "model", "key_variable", "key_header")
    )
    texts = [base_url, model, key_variable, key_header]
    for values in (headers, query):
        texts += values.values() if isinstance(values, dict) else [0]
    if not all(isinstance(value, str) for value in texts):
        raise SettingsError(
            f"{_line(text, path, entry)}: base_url, model, key_variable, key_header, headers and query hold texts"
        )
    for key in _FROM_ENDPOINT:
        _check_no_secret(key, table.get(key, ""), _line(text, path, key, entry))
    for header, value in [*headers.items(), *([(key_header, "x")] if key_header else [])]:
        if not re.fullmatch(r"[!#$%&'*+.^_`|~\w-]+", header, re.ASCII) or not re.fullmatch(_HEADER_VALUE, value):
            where = _line(text, path, header, entry)
            raise SettingsError(f"{where}: header `{header}` cannot be sent: write plain ASCII text on one line")
    profile = {key: value for key, value in table.items() if key not in _OWN_KEYS}
    return Endpoint(name, base_url, model, key_variable, Extras(headers, query, key_header), profile, path)


def _line(text: str, path: Path, key: str, entry: str = "") -> str:
    """`file:line` of a key, in the table `entry` where one is named."""
    lines = text.splitlines()
    start = next(
        (n for n, line in enumerate(lines) if entry and re.match(rf"\s*\[\s*{re.escape(entry)}\s*\]", line)), 0
    )
    for number, line in enumerate(lines[start:], start + 1):
        if re.match(rf"\s*(\[\s*)?\"?{re.escape(key)}\"?\s*[=\].]", line):
            return f"{path}:{number}"
    return str(path)
