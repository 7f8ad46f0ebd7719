"""What an exception of aiohttp or the system means, as a `Fault` in our words.

The exception itself holds the request, and its frames hold the key. Only a code and the system's
text for it are kept; the `OSError` that a caller finds as the cause is a new one.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl as tls
from http import HTTPStatus

import aiohttp

from sigmamind_async.operation import Fault, FaultKind
from sigmamind_async.transport.connections import MAX_INTERIM_HEADS, DroppedError, FloodError

_DETAILS = {
    FaultKind.CONNECT: "could not connect to {peer} ({reason})",
    FaultKind.CONNECT_TIMEOUT: "no connection to {peer} in time",
    FaultKind.TIMEOUT: "no complete response from {peer} in time",
    FaultKind.DROPPED: "the connection to {peer} broke ({reason})",
    FaultKind.UNPARSABLE: "the response of {peer} cannot be read ({reason})",
    FaultKind.TOO_LARGE: "the response of {peer} is larger than allowed",
}

_REASONS = {
    "ClientConnectorError": "closed by the other side",
    "ClientConnectorSSLError": "TLS: the handshake failed",
    "ClientOSError": "closed by the other side",
    "ClientPayloadError": "its body is damaged",
    "ClientResponseError": "its status line, headers or chunks are not HTTP",
    "FloodError": f"more than {MAX_INTERIM_HEADS} interim responses",
    "ServerDisconnectedError": "closed by the other side",
    "UnsolicitedDataError": "the server sent data before it got a request",
}
"""By class: the names of aiohttp's exceptions say what they are, and their texts are not ours."""

_UNPARSABLE = (aiohttp.ClientResponseError, aiohttp.ClientPayloadError, FloodError)


class TooLargeError(Exception):
    """A response body exceeded its limit."""


def fault_of(error: Exception, url: str, proxy: str | None, *, connected: bool) -> Fault:
    """Return what *error* proves about an attempt for *url*, sent through *proxy*, if any."""
    peer = address_of(url)
    if not connected:
        if isinstance(error, aiohttp.ClientHttpProxyError):
            return _refused_by_proxy(error.status, peer, proxy)
        if proxy is not None:
            proxy_address = address_of(proxy)
            # Only the exception shows which of the two hosts it is about.
            at_proxy = isinstance(error, aiohttp.ClientConnectorError) and (
                _host_and_port(error.host, error.port) == proxy_address
            )
            via = f"{peer} through the proxy {proxy_address}"
            peer = f"the proxy {proxy_address}" if at_proxy else via
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return _untrusted(error.certificate_error, peer)
    kind = _kind(error, connected=connected)
    reason, cause = _reason(error)
    return Fault(kind=kind, detail=_DETAILS[kind].format(peer=peer, reason=reason), cause=cause)


def address_of(url: str) -> str:
    """Return host and port of *url*."""
    scheme, _, rest = url.partition("://")
    host = rest.split("/", 1)[0].rpartition("@")[2]
    if host.endswith("]") or ":" not in host:
        host = f"{host}:{443 if scheme.lower() == 'https' else 80}"
    return host.lower()


def _host_and_port(host: str, port: int | None) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host.lower()}:{port}"


def _kind(error: Exception, *, connected: bool) -> FaultKind:
    if isinstance(error, TooLargeError):
        return FaultKind.TOO_LARGE
    if isinstance(error, TimeoutError):
        return FaultKind.TIMEOUT if connected else FaultKind.CONNECT_TIMEOUT
    if not connected:
        return FaultKind.CONNECT
    unparsable = isinstance(error, _UNPARSABLE) and not _is_cut_body(error)
    return FaultKind.UNPARSABLE if unparsable else FaultKind.DROPPED


def _is_cut_body(error: Exception) -> bool:
    """Return whether the connection ended within a body; aiohttp has no class for that."""
    return isinstance(error, aiohttp.ClientPayloadError) and "is not completed" in str(error)


# --- reasons ---------------------------------------------------------------------------------

# How an HTTP/2 server begins, as aiohttp shows it where a status line should be.
_SETTINGS_FRAME = re.compile(r"b['\"]\\x00\\x00.{1,4}\\x04\\x00\\x00\\x00\\x00\\x00")


_HEADS = {
    "Can not decode content-encoding": "it is compressed in a way that was not asked for",
    "Got more than": "its headers are longer than allowed",
}
"""How aiohttp's texts about a head begin; the rest is the server's."""


def _about_head(message: str) -> str | None:
    if _SETTINGS_FRAME.search(message):
        return "the server speaks HTTP/2 only"
    return next((reason for text, reason in _HEADS.items() if message.startswith(text)), None)


def _reason(error: Exception) -> tuple[str, OSError]:
    """Return the reason in a few words, and as an exception of the system."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _lookup_failure(error)
    if isinstance(error, TimeoutError):
        reason = os.strerror(errno.ETIMEDOUT)
        return reason, TimeoutError(errno.ETIMEDOUT, reason)
    system = _system_error(error)
    if isinstance(error, aiohttp.ClientResponseError) and (known := _about_head(error.message)):
        reason = known
    elif isinstance(system, tls.SSLError):
        reason = _clean(system.strerror or "the handshake failed")
        return f"TLS: {reason}", tls.SSLError(system.errno, reason)
    elif system is not None and system.errno is not None:
        reason = os.strerror(system.errno)
        return reason, OSError(system.errno, reason)
    elif isinstance(error, RuntimeError) and "closed" in str(error):  # aiohttp's, for a caller's
        reason = "the client's session is closed"
    elif _is_cut_body(error):
        reason = "closed in the middle of the response"
    else:
        name = str(error) if isinstance(error, DroppedError) else type(error).__name__
        reason = _REASONS.get(name, name)
    return reason, ConnectionError(reason)


def _system_error(error: BaseException) -> OSError | None:
    """Return *error*, or the first exception behind it, that has an error number."""
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, OSError) and current.errno is not None:
            return current
        current = current.__cause__ or current.__context__
    return None


_NO_SUCH_NAME = frozenset({1, 4})
"""Codes of aiodns' resolver: no data, and no such name."""


def _lookup_failure(error: aiohttp.ClientConnectorDNSError) -> tuple[str, OSError]:
    system = error.os_error
    code, text = system.errno, system.strerror
    if isinstance(system, socket.gaierror) and code is not None:
        return _clean(text or "the name is not known"), socket.gaierror(code, text)
    behind = system.__cause__
    if behind is not None and behind.args and behind.args[0] in _NO_SUCH_NAME:
        code, text = socket.EAI_NONAME, "Name or service not known"
    if code is None:
        code, text = socket.EAI_FAIL, text or "Name lookup failed"
    return _clean(str(text)), socket.gaierror(code, text)


def _clean(text: str) -> str:
    """Return *text* of OpenSSL or the resolver without its codes."""
    return re.sub(r"\s*\(_ssl\.c:\d+\)|^\[[^\]]*\]\s*", "", text)


# --- permanent failures ----------------------------------------------------------------------

_HOSTNAME_MISMATCH = frozenset({62, 64})
"""OpenSSL's codes for a certificate of another name, or of another address."""


def _untrusted(error: Exception, peer: str) -> Fault:
    code = getattr(error, "verify_code", None)
    why = getattr(error, "verify_message", None) or "it is not trusted"
    reason = f"certificate verify failed: {_clean(str(why)).rstrip('.')}"
    if code in _HOSTNAME_MISMATCH:
        advice = "the certificate is for another host, which no SSL_CERT_FILE changes"
    else:
        advice = "set SSL_CERT_FILE to the file of an authority to trust, or pass an ssl= context"
    cause = tls.SSLCertVerificationError(1, reason)
    cause.verify_code, cause.verify_message = code or 0, str(why)
    return Fault(
        kind=FaultKind.CONNECT,
        detail=f"{_DETAILS[FaultKind.CONNECT].format(peer=peer, reason=reason)}; {advice}",
        cause=cause,
        permanent=True,
    )


_PROXY_ADVICE = {
    403: "allow this host and port there",
    407: "put user name and password in the proxy's URL",
    502: "it cannot reach that host",
    503: "it cannot reach that host",
    504: "it cannot reach that host",
}
_TRANSIENT = frozenset({408, 425, 429})
"""4xx that may not come again a moment later."""


def _refused_by_proxy(status: int, peer: str, proxy: str | None) -> Fault:
    name = "the proxy" if proxy is None else f"the proxy {address_of(proxy)}"
    try:
        phrase = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = str(status)
    advice = _PROXY_ADVICE.get(status, "check that it is a proxy that supports CONNECT")
    detail = f"{name} answered {phrase} when asked for {peer}; {advice}"
    return Fault(
        kind=FaultKind.CONNECT,
        detail=detail,
        cause=ConnectionError(detail),
        permanent=400 <= status < 500 and status not in _TRANSIENT,
    )
