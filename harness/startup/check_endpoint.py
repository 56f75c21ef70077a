"""Check the endpoint before a run is created: its profile, its prices, and what it really does.

Also used by `resume` at a new address and by `doctor`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness import errors
from harness.config import Endpoint
from harness.endpoint.errors import EndpointRefused
from harness.endpoint.probe_result import ProbeResult
from harness.endpoint.profiles import Prices, Profile
from harness.settings import Settings
from runs.run_settings import RunSettings


@dataclass(frozen=True)
class CheckedEndpoint:
    """What is known of an endpoint that a run may use. `is_new`: it was probed just now; `kind`: that of
    its profile."""

    probe: ProbeResult
    is_new: bool
    prices: Prices
    kind: str


def check_endpoint(settings: RunSettings, endpoint: Endpoint, process: Settings) -> CheckedEndpoint:
    """Probe the endpoint of these settings, or use the stored result of the last week.

    Raises `ModelError` if it does not answer or cannot serve a run, `UsageError` for a limit on unknown cost.
    """
    from harness.endpoint.probe import probe_and_store
    from harness.endpoint.probe_result import apply_probe, load_probe

    profile = profile_of(settings, endpoint, False, process.home)
    probe = load_probe(process.home, settings.base_url, profile)
    is_new = probe is None
    if probe is None:
        errors.say(f"probing {settings.base_url} with about ten short calls")
        key = process.key_of(settings.key_variable)
        probe = probe_and_store(process.home, profile, settings.base_url, key, endpoint.extras, errors.say)
    priced = apply_probe(profile, probe)
    check_cost(settings, priced)
    errors.say(price_line(priced, settings.base_url))
    if why := why_unusable(probe):
        raise EndpointRefused(why)
    if probe.loses_thinking and not settings.accept_lost_thinking:
        raise EndpointRefused(
            f"{probe.address} drops the reasoning of {probe.model} that is sent back (tried in "
            f"{', '.join(probe.not_counted)}), so it would work worse with every turn. Serve it with a template that "
            "keeps it, or add --accept-lost-thinking"
        )
    return CheckedEndpoint(probe, is_new, priced.prices, priced.kind)


def why_unusable(probe: ProbeResult) -> str:
    """Why no run makes sense at this endpoint, and what to change; empty if it does."""
    if probe.tool_calls == "refused":
        return (
            f"{probe.address} refuses requests with tools ({probe.tool_words}). Start it with a tool call parser "
            "(vLLM: --enable-auto-tool-choice --tool-call-parser NAME), or choose a model that can call tools"
        )
    if probe.truncates_at:
        return (
            f"{probe.address} silently cuts long prompts to {probe.truncates_at:,} tokens, so the model would "
            "lose the task. Raise its context (Ollama: OLLAMA_CONTEXT_LENGTH=65536; LM Studio: of the loaded model)"
        )
    return ""


def price_line(profile: Profile, base_url: str) -> str:
    """What a token is counted at, for people."""
    from harness.endpoint.prices import SELF_HOSTED

    prices = profile.prices
    if prices.source == SELF_HOSTED:
        return f"{base_url} is self-hosted: tokens are counted as free (prices in its table change that)"
    if not prices.is_known:
        how = "what the endpoint reports" if profile.kind == "openrouter" else "unknown, and so is the cost of the run"
        return f"prices of {profile.model}: {how}"
    return (
        f"prices of {profile.model}: ${prices.input:g} in, ${prices.cached:g} cached, ${prices.output:g} out per "
        f"million tokens ({prices.source or 'from your settings'})"
    )


def check_cost(settings: RunSettings, profile: Profile) -> None:
    """A limit on cost needs prices: without them nothing would be counted against it."""
    if settings.cost and not profile.prices.is_known and profile.kind != "openrouter":  # which reports what it charges
        errors.fail(
            f"cost {settings.cost:g} cannot be enforced: the prices of {settings.model} are unknown. Write them, in "
            "dollars per million tokens, into the endpoint's table in config.toml, or into models.toml:\n"
            f'["{settings.model}"]\nprices = {{input = 0.30, cached = 0.06, output = 1.20}}\nor leave the cost out'
        )


def profile_of(settings: RunSettings, endpoint: Endpoint, is_demo: bool, home: Path) -> Profile:
    """How the client must treat the endpoint: its kind, then models.toml, config.toml, and the run's own sampling."""
    from harness.endpoint.prices import priced
    from harness.endpoint.profiles import DEMO, override, profile_for

    if is_demo:
        return DEMO
    profile = profile_for(settings.base_url, settings.model, home / "models.toml")
    if endpoint.profile:
        profile = override(profile, f"endpoints.{endpoint.name}", dict(endpoint.profile), endpoint.path)
    sampling = {name: getattr(settings, name) for name in ("temperature", "top_p", "top_k")}
    given = {name: value for name, value in sampling.items() if value is not None}
    profile = override(profile, "run", given, home / "config.toml") if given else profile
    return priced(profile, settings.base_url)
