"""Bytes out, bytes in: the only package that imports the aiohttp client.

A transport returns a `Response` or a `Fault` and raises nothing but cancellation: an exception of
aiohttp holds the request's headers in its arguments and in the locals of its frames. Habits of
aiohttp that could cost money or leak a key are turned off here:

- It sends GET, PUT and DELETE a second time when a connection drops. A client middleware renames
  the two exceptions on which it does.
- It follows redirects, with the ``X-API-Key`` header and the body. No redirect is followed.
- It reads bodies of any size. Ours are counted after decompression, and cut.
- It reuses an idle connection on which unsolicited data arrived. Ours is closed, and a request that
  must not be repeated goes over one that was in use at most a tenth of a second ago.
- It sends a session's headers to a proxy. Our sessions have none.
- Its sessions belong to one event loop. Each loop and process has one, closed when the loop shuts
  down, and abandoned without I/O if the loop is already closed.
"""

from sigmamind_async.operation import HttpRequest, Transport
from sigmamind_async.transport.aiohttp_transport import AiohttpTransport
from sigmamind_async.transport.options import AiohttpOptions, is_host, proxy_of_environment
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
