"""Bytes out, bytes in: the only package that speaks to the aiohttp client.

A transport answers with a `Response` or a `Fault` and raises nothing but cancellation, so no
exception of aiohttp, with the request's headers in its arguments and in its frames' locals, ever
reaches a caller. Habits of aiohttp that are kept away from money here:

- It sends GET, PUT and DELETE a second time when a connection drops. A client middleware renames
  the two exceptions it does that on.
- It follows redirects with the ``X-API-Key`` header, and with the body. None is followed.
- It reads bodies of any size. Ours are counted after decompression and cut.
- It goes on with an idle connection on which something came that nobody asked for. Ours is closed,
  and what must not be repeated goes over one that was in use a tenth of a second ago or less.
- What a session has of headers is told to a proxy. Ours has none.
- Its sessions belong to one event loop. There is one for each loop and process, closed when its
  loop shuts down, forgotten without I/O when the loop is already gone.
"""

from sigmamind_async.transport.aiohttp_hooks import AiohttpOptions, is_host, proxy_of_environment
from sigmamind_async.transport.aiohttp_transport import AiohttpTransport
from sigmamind_async.transport.interface import HttpRequest, Transport
from sigmamind_async.transport.sessions import Session

__all__ = [
    "AiohttpOptions",
    "AiohttpTransport",
    "HttpRequest",
    "Session",
    "Transport",
    "is_host",
    "proxy_of_environment",
]
