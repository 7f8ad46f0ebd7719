"""What an exception of aiohttp's or the system's means, as a `Fault` in words of ours.

The exception itself holds the request, and its frames hold the key. What is kept of it is a code
and the system's text for that; the `OSError` that a caller finds as the cause is made anew.
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
from sigmamind_async.transport.aiohttp_hooks import (
    MOST_INTERIM,
    DroppedError,
    FloodError,
    UnaskedError,
)

_WORDS = {
    FaultKind.CONNECT: "could not connect to {peer} ({reason})",
    FaultKind.CONNECT_TIMEOUT: "no connection to {peer} in time",
    FaultKind.TIMEOUT: "no whole answer from {peer} in time",
    FaultKind.DROPPED: "the connection to {peer} broke ({reason})",
    FaultKind.UNPARSABLE: "the answer of {peer} is not HTTP ({reason})",
    FaultKind.TOO_LARGE: "the answer of {peer} is larger than allowed",
}


class TooLargeError(Exception):
    """An answer's body went past its cap."""


def address(url: str) -> str:
    """Return host and port of *url*, without what it holds besides."""
    scheme, _, rest = url.partition("://")
    host = rest.split("/", 1)[0].rpartition("@")[2]
    if host.endswith("]") or ":" not in host:
        host = f"{host}:{443 if scheme.lower() == 'https' else 80}"
    return host.lower()


def fault_of(error: Exception, url: str, proxy: str | None, *, connected: bool) -> Fault:
    """Return what *error* says of an attempt for *url*, through *proxy* if there is one."""
    kind = _kind(error, connected=connected)
    peer = address(url)
    if connected:
        return _fault(kind, error, peer)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _refused_by_proxy(error.status, peer, proxy)
    if proxy is not None:
        between = address(proxy)
        # Which of the two it was about is told by the exception alone.
        at_proxy = isinstance(error, aiohttp.ClientConnectorError) and (
            _named(error.host, error.port) == between
        )
        peer = f"the proxy {between}" if at_proxy else f"{peer} through the proxy {between}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _untrusted(error.certificate_error, peer)
    return _fault(kind, error, peer)


def _fault(kind: FaultKind, error: Exception, peer: str) -> Fault:
    reason, cause = _reason(error)
    return Fault(kind=kind, detail=_WORDS[kind].format(peer=peer, reason=reason), cause=cause)


def _kind(error: Exception, *, connected: bool) -> FaultKind:
    if isinstance(error, TooLargeError):
        return FaultKind.TOO_LARGE
    if isinstance(error, TimeoutError):
        return FaultKind.TIMEOUT if connected else FaultKind.CONNECT_TIMEOUT
    if not connected:
        return FaultKind.CONNECT
    if _ends_in_body(error):
        return FaultKind.DROPPED
    if isinstance(error, (aiohttp.ClientResponseError, aiohttp.ClientPayloadError, FloodError)):
        return FaultKind.UNPARSABLE
    return FaultKind.DROPPED


def _ends_in_body(error: Exception) -> bool:
    """Return whether a connection ended in the middle of a body; aiohttp has no class for that."""
    return isinstance(error, aiohttp.ClientPayloadError) and "is not completed" in str(error)


def _named(host: str, port: int | None) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host.lower()}:{port}"


# --- the system's reasons --------------------------------------------------------------------

_OF_OURS: dict[type[Exception], str] = {
    FloodError: f"more than {MOST_INTERIM} interim responses",
    UnaskedError: "the server spoke before it was asked",
}

_BY_NAME = {
    "ClientConnectorError": "closed by the other side",
    "ClientConnectorSSLError": "TLS: the handshake failed",
    "ClientOSError": "closed by the other side",
    "ClientPayloadError": "its body is damaged",
    "ClientResponseError": "it has no status line or no headers",
    "ServerDisconnectedError": "closed by the other side",
}


def _reason(error: Exception) -> tuple[str, OSError]:
    """Return why in a few words, and the same as an exception of the system's."""
    if type(error) in _OF_OURS:
        reason = _OF_OURS[type(error)]
        return reason, ConnectionError(reason)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _unknown_name(error)
    if isinstance(error, TimeoutError):
        reason = os.strerror(errno.ETIMEDOUT)
        return reason, TimeoutError(errno.ETIMEDOUT, reason)
    if _is_http_2(error):
        reason = "the server speaks HTTP/2 only"
        return reason, ConnectionError(reason)
    told = _told_by_system(error)
    if told is None and _ends_in_body(error):
        reason = "closed in the middle of the answer"
        return reason, ConnectionError(reason)
    if told is None:
        # Exceptions of aiohttp say in their names what they are; their texts are not ours.
        name = str(error) if isinstance(error, DroppedError) else type(error).__name__
        reason = _BY_NAME.get(name, name)
        return reason, ConnectionError(reason)
    if isinstance(told, tls.SSLError):
        reason = _plain(told.strerror or "the handshake failed")
        return f"TLS: {reason}", tls.SSLError(told.errno, reason)
    assert told.errno is not None  # noqa: S101 - that is what was looked for
    reason = os.strerror(told.errno)
    return reason, OSError(told.errno, reason)


_SETTINGS_FRAME = re.compile(r"b['\"]\\x00\\x00.{1,4}\\x04\\x00\\x00\\x00\\x00\\x00")
"""How a server of HTTP/2 begins, as aiohttp shows it where a status line should be."""


def _is_http_2(error: Exception) -> bool:
    return isinstance(error, aiohttp.ClientResponseError) and bool(
        _SETTINGS_FRAME.search(error.message)
    )


def _told_by_system(error: BaseException) -> OSError | None:
    """Return the first exception behind *error*, or itself, that has a code of the system's."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno is not None:
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


_NO_SUCH_NAME = frozenset({1, 4})
"""Codes of the resolver of aiodns: no data, and no such name."""


def _unknown_name(error: aiohttp.ClientConnectorDNSError) -> tuple[str, OSError]:
    told = error.os_error
    code, text = told.errno, told.strerror
    if isinstance(told, socket.gaierror) and code is not None:
        return _plain(text or "the name is not known"), socket.gaierror(code, text)
    behind = told.__cause__
    if behind is not None and behind.args and behind.args[0] in _NO_SUCH_NAME:
        code, text = socket.EAI_NONAME, "Name or service not known"
    if code is None:
        code, text = socket.EAI_FAIL, text or "Name lookup failed"
    return _plain(str(text)), socket.gaierror(code, text)


def _plain(text: str) -> str:
    """Return *text* of OpenSSL's or the resolver's as one would say it."""
    return re.sub(r"\s*\(_ssl\.c:\d+\)|^\[[^\]]*\]\s*", "", text)


# --- refusals that repeating does not change -------------------------------------------------

_HOSTNAME_MISMATCH = frozenset({62, 64})
"""OpenSSL's codes for a certificate of another name, or of another address."""


def _untrusted(error: Exception, peer: str) -> Fault:
    """Return the fault of a certificate that was refused."""
    code = getattr(error, "verify_code", None)
    why = getattr(error, "verify_message", None) or "it is refused"
    reason = f"certificate verify failed: {_plain(str(why)).rstrip('.')}"
    if code in _HOSTNAME_MISMATCH:
        advice = "the host is not one of the certificate's; an SSL_CERT_FILE does not change that"
    else:
        advice = "name the file of an authority to trust in SSL_CERT_FILE, or give ssl= a context"
    cause = tls.SSLCertVerificationError(1, reason)
    cause.verify_code, cause.verify_message = code or 0, str(why)
    return Fault(
        kind=FaultKind.CONNECT,
        detail=f"{_WORDS[FaultKind.CONNECT].format(peer=peer, reason=reason)}; {advice}",
        cause=cause,
        permanent=True,
    )


_ADVICE = {
    403: "have it allow this host and port",
    407: "give user name and password in the URL of the proxy",
    502: "it does not reach that host",
    503: "it does not reach that host",
    504: "it does not reach that host",
}
_PASSING = frozenset({408, 425, 429})
"""4xx that may be another answer a moment later."""


def _refused_by_proxy(status: int, peer: str, proxy: str | None) -> Fault:
    name = "the proxy" if proxy is None else f"the proxy {address(proxy)}"
    try:
        phrase = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = str(status)
    advice = _ADVICE.get(status, "is it a proxy that takes CONNECT?")
    detail = f"{name} answered {phrase} when asked for {peer}; {advice}"
    return Fault(
        kind=FaultKind.CONNECT,
        detail=detail,
        cause=ConnectionError(detail),
        permanent=400 <= status < 500 and status not in _PASSING,
    )
