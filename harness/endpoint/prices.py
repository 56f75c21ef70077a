"""What a token costs: the `genai-prices` package for hosted models, nothing for self-hosted ones, else unknown.

Its prices are those of this moment; some vendors charge less at night.
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from dataclasses import replace
from urllib.parse import urlsplit

from harness.endpoint.profiles import Prices, Profile

SELF_HOSTED = "self-hosted"
_TOKENS = 100_000
"""Size of the request whose price is asked: some models cost more above 200,000 tokens."""


def is_self_hosted(base_url: str) -> bool:
    """Whether an address is on this machine or in a private network, so that its tokens have no price."""
    host = urlsplit(base_url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".lan", ".localhost", ".svc"))
    return address.is_private or address.is_loopback


def priced(profile: Profile, base_url: str) -> Profile:
    """The profile with the prices of its model at this address, if the user gave none."""
    if profile.prices.is_known:
        return profile
    if is_self_hosted(base_url):
        return replace(profile, prices=Prices(source=SELF_HOSTED))
    prices = _listed(profile.model, base_url)
    return replace(profile, prices=prices) if prices else profile


def _listed(model: str, base_url: str) -> Prices | None:
    """The price of a model in genai-prices, for the provider at this address only."""
    from genai_prices import Usage, calc_price

    def dollars(**tokens: int) -> float:
        calculated = calc_price(Usage(**tokens), model, provider_api_url=base_url)
        return round(float(calculated.total_price) * 1_000_000 / _TOKENS, 6)

    with suppress(LookupError, ValueError):
        return Prices(
            input=dollars(input_tokens=_TOKENS),
            cached=dollars(input_tokens=_TOKENS, cache_read_tokens=_TOKENS),
            output=dollars(output_tokens=_TOKENS),
            source="genai-prices",
        )
    return None
