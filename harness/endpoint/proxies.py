"""The proxies that the environment names: which endpoints are reached without one, and which proxies cannot be used."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from harness.settings import SettingsError

SCHEMES = ("http", "https", "all")


def is_direct(base_url: str) -> bool:
    """Whether an endpoint is reached without a proxy: on loopback, or named in NO_PROXY."""
    host = urlsplit(base_url).hostname or ""
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost" or host.endswith(".localhost")
    return is_loopback or bool(proxy_bypass(host))


def require_usable_proxy(base_url: str) -> None:
    """Refuse a proxy that the HTTP client cannot use, for an endpoint that needs one. Raises `SettingsError`, which
    names the variable."""
    if is_direct(base_url):
        return
    import httpx2

    proxies = getproxies()
    for scheme in SCHEMES:
        proxy = proxies.get(scheme)
        if not proxy:
            continue
        try:
            httpx2.Client(proxy=proxy if "://" in proxy else f"http://{proxy}", trust_env=False).close()
        except (ValueError, ImportError, httpx2.InvalidURL):
            shown = proxy.partition("://")[0] if "://" in proxy else "another kind"
            raise SettingsError(
                f"{scheme.upper()}_PROXY names a proxy that cannot be used ({shown}): only http:// and https:// "
                "proxies work. Unset it, or add the host of the endpoint to NO_PROXY."
            ) from None
