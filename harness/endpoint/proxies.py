"""The proxies that the environment names: which endpoints are reached without one, and which proxies cannot be used."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from harness.settings import SettingsError

SCHEMES = ("http", "https", "all")


def is_direct(base_url: str) -> bool:
    """Whether an endpoint is reached without a proxy: on this machine, or named in NO_PROXY."""
    host = urlsplit(base_url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
        address = getattr(address, "ipv4_mapped", None) or address
        is_loopback = address.is_loopback or address.is_unspecified  # servers print 0.0.0.0 as their address
    except ValueError:
        is_loopback = host == "localhost" or host.endswith(".localhost")
    return is_loopback or bool(proxy_bypass(host))


def proxy_variable(base_url: str) -> str:
    """The variable whose proxy is used for an endpoint; empty without one."""
    proxies = {} if is_direct(base_url) else getproxies()
    scheme = next((scheme for scheme in (urlsplit(base_url).scheme, "all") if proxies.get(scheme)), "")
    return f"{scheme.upper()}_PROXY" if scheme else ""


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
            if not proxy.strip():
                raise ValueError("a blank is no address")
            httpx2.Client(proxy=proxy if "://" in proxy else f"http://{proxy}", trust_env=False).close()
        except (ValueError, ImportError, httpx2.InvalidURL):
            shown = proxy.partition("://")[0] if "://" in proxy else "another kind" if proxy.strip() else "a blank"
            raise SettingsError(
                f"{scheme.upper()}_PROXY names a proxy that cannot be used ({shown}): only http:// and https:// "
                "proxies work. Unset it, or add the host of the endpoint to NO_PROXY."
            ) from None
