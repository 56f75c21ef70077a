"""Open the client of a run's endpoint, and change the endpoint: at a resume, or to the fallback."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from harness import errors
from harness.config import Endpoint, endpoint_of, read_config
from harness.endpoint.client import Model
from harness.endpoint.errors import is_address, may_hold_secrets
from harness.settings import Settings
from harness.startup.check_endpoint import check_endpoint, profile_of
from harness.tools.registry import specs
from runs.events.registry import EndpointChanged, RunCreated
from runs.state import changed


def open_model_of(created: RunCreated, process: Settings) -> Model:
    """The client for the endpoint that a run uses."""
    from harness.endpoint.client import RetryPolicy, open_model
    from harness.endpoint.probe_result import apply_probe, parse_probe
    from harness.endpoint.profiles import Prices

    settings = created.settings
    endpoint = endpoint_of(settings, process)
    profile = profile_of(settings, endpoint, created.is_demo, process.home)
    if created.prices:
        profile = replace(profile, prices=Prices(**created.prices))
    probe = parse_probe(created.probe)
    profile = apply_probe(profile, probe) if probe else profile
    if created.is_demo:
        from harness.demo.transport import DEMO_BASE_URL, DemoTransport

        return open_model(profile, DEMO_BASE_URL, transport=DemoTransport(), tools=specs())
    patience = RetryPolicy(
        stall=settings.model_stall_seconds,
        first_wait=settings.model_first_wait_seconds,
        longest_wait=settings.model_longest_wait_seconds,
        refused=settings.model_refused_seconds,
        denied=settings.model_denied_seconds,
    )
    key = process.key_of(settings.key_variable)
    return open_model(profile, settings.base_url, key, tools=specs(), patience=patience, extras=endpoint.extras)


def change_endpoint(
    created: RunCreated, base_url: str, model: str, process: Settings, why: str = "resumed there"
) -> EndpointChanged:
    """Probe the endpoint at a new address, or the same with another model. Raises `UsageError`, `ModelError`.

    The key and headers of a table of config.toml are for its own address only; a new address gets the default key,
    unless the table has been changed to it.
    """
    if created.is_demo:
        errors.fail("this run is played by the demo model, which has no endpoint")
    settings = created.settings
    base_url = base_url or settings.base_url
    if not is_address(base_url) or may_hold_secrets(base_url):
        errors.fail(
            f"base URL {base_url.partition('?')[0]} is not an address without secrets, as in http://HOST:PORT/v1"
        )
    endpoint = Endpoint("")
    if settings.endpoint:
        table = read_config(process.config).endpoints.get(settings.endpoint)
        endpoint = table if table and table.base_url == base_url else endpoint
    return _checked(created, replace(endpoint, base_url=base_url, model=model or settings.model), process, why)


def change_to_table(created: RunCreated, name: str, model: str, process: Settings, why: str) -> EndpointChanged:
    """Probe the endpoint of a table of config.toml, with another model if one is named. Raises `UsageError`,
    `ModelError`."""
    if created.is_demo:
        errors.fail("this run is played by the demo model, which has no endpoint")
    endpoint = read_config(process.config).endpoints.get(name)
    if endpoint is None or not endpoint.base_url:
        errors.fail(f"there is no [endpoints.{name}] with a base_url in {process.config}")
    endpoint = replace(endpoint, model=model or endpoint.model)
    if not endpoint.model:
        errors.fail(f"[endpoints.{name}] in {process.config} names no model: add --model NAME")
    return _checked(created, endpoint, process, why)


@dataclass(frozen=True)
class Endpoints:
    """The endpoints that a run may use while it is played."""

    process: Settings

    def open(self, created: RunCreated) -> Model:
        """The client for the endpoint in use."""
        return open_model_of(created, self.process)

    def fall_back(self, created: RunCreated, why: str) -> EndpointChanged | None:
        """The change to the fallback of the settings, probed; None if there is none or it is in use already."""
        name = created.settings.fallback
        endpoint = read_config(self.process.config).endpoints.get(name) if name else None
        if endpoint is None or endpoint.base_url == created.settings.base_url:
            return None
        return _checked(created, endpoint, self.process, why)


def _checked(created: RunCreated, endpoint: Endpoint, process: Settings, why: str) -> EndpointChanged:
    change = EndpointChanged(
        base_url=endpoint.base_url,
        model=endpoint.model,
        endpoint=endpoint.name,
        key_variable=endpoint.key_variable,
        why=why,
    )
    found = check_endpoint(changed(created, change).settings, endpoint, process)
    known = {"probe": asdict(found.probe), "prices": asdict(found.prices), "profile": found.kind}
    return change.model_copy(update=known)
