"""How connections are made: what a caller may set, and which proxy the environment names."""

from __future__ import annotations

import ssl as tls
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import attrs
from yarl import URL

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.values import Secret, as_secret


def _as_secret(proxy: str | Secret | None) -> Secret | None:
    return as_secret(proxy) if proxy is not None else None


@attrs.frozen(kw_only=True)
class AiohttpOptions:
    """How connections are made."""

    connect_timeout: float = 5.0
    """Seconds for the TCP connection and the TLS handshake together."""
    max_connections: int = 100
    ssl: tls.SSLContext | None = None
    proxy: Secret | None = attrs.field(default=None, converter=_as_secret)
    """URL of an HTTP proxy, with user name and password if it needs them."""

    @property
    def proxy_url(self) -> str | None:
        """Text of `proxy`, for aiohttp."""
        return None if self.proxy is None else self.proxy.reveal()

    def __attrs_post_init__(self) -> None:
        if self.ssl is not None:
            _check_ssl(self.ssl)
        if self.proxy is not None:
            check_proxy("proxy", self.proxy)


def _check_ssl(context: object) -> None:
    if not isinstance(context, tls.SSLContext):
        raise ConfigurationError("ssl: must be an ssl.SSLContext, or None")
    if context.verify_mode is not tls.CERT_REQUIRED or not context.check_hostname:
        raise ConfigurationError(
            "ssl: the context must verify certificates and host names"
            " (verify_mode=CERT_REQUIRED, check_hostname=True)"
        )


def check_proxy(name: str, proxy: object) -> None:
    """Raise `ConfigurationError` unless *proxy* is a `Secret` with the URL of an HTTP proxy.

    Neither message nor frame shows it, because it may contain a password.
    """
    problem = _proxy_problem(proxy.reveal() if isinstance(proxy, Secret) else proxy)
    if problem is not None:
        raise ConfigurationError(
            f"{name}: {problem}; it must be a URL such as http://proxy.example:3128"
        )


def _proxy_problem(proxy: object) -> str | None:
    if not isinstance(proxy, str):
        return "is not text"
    if not proxy:
        return "is empty"
    if not proxy.isprintable() or " " in proxy:
        return "contains blanks or control characters"
    scheme, separator, _ = proxy.partition("://")
    if not separator:
        return "has no scheme"
    if scheme.lower() not in {"http", "https"}:
        return "is neither http nor https, and no other kind of proxy is supported"
    try:
        url = URL(proxy)
    except ValueError:
        return "is not a URL"
    if not url.raw_host or not is_host(url.raw_host):
        return "has no valid host"
    if url.port == 0:
        return "has no valid port"
    if url.path != "/" or url.query_string or url.fragment:
        return "has more than a host and a port (in a password, write / as %2F, # as %23, ? as %3F)"
    return None


def is_host(host: str) -> bool:
    """Return whether *host* can be looked up: labels of 1 to 63 characters, or an address."""
    if ":" in host:
        return True
    labels = host.removesuffix(".").split(".")
    return len(host) <= 253 and all(0 < len(label) <= 63 for label in labels)


def proxy_of_environment(url: str) -> Secret | None:
    """Return the proxy for *url* from ``HTTPS_PROXY``, ``HTTP_PROXY`` or ``ALL_PROXY``, if any.

    ``NO_PROXY`` lists hosts, with their subdomains, that are reached directly; one with a port
    counts for that port alone, and ``*`` is every host. A proxy without a scheme is an http proxy.
    Raises `ConfigurationError`.
    """
    name, proxy = _find_proxy(urlsplit(url))
    if proxy is not None:
        check_proxy(f"{name.upper()}_PROXY in the environment", proxy)
    return proxy


def _find_proxy(url: SplitResult) -> tuple[str, Secret | None]:
    proxies: dict[str, str] = getproxies()
    name = url.scheme if url.scheme in proxies else "all"
    proxy = proxies.get(name)
    if proxy is None or _bypasses_proxy(url, proxies.get("no", "")):
        return name, None
    return name, Secret(proxy if "://" in proxy else f"http://{proxy}")


def _bypasses_proxy(url: SplitResult, no_proxy: str) -> bool:
    """Return whether ``NO_PROXY``, or the system's own list, names the host of *url*."""
    host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    bracketed = f"[{host}]" if ":" in host else host
    names = (name.strip().lower().removeprefix("*.").lstrip(".") for name in no_proxy.split(","))
    # Python's `proxy_bypass` knows neither the scheme's default port nor a star among other names.
    return bool(proxy_bypass(host)) or any(
        name in {"*", each} or each.endswith(f".{name}")
        for name in names
        if name
        for each in (host, bracketed, f"{bracketed}:{port}")
    )
