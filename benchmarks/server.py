"""A server that answers every request with one record, faster than any client here can ask.

Run as a process of its own, on the last core where there is more than one, so that the client's
processor time is the client's. Prints its port and ends with its parent.
"""

import asyncio
import os
import sys

RECORD = (
    b'{"sipPhoneNumber":"+14155550100","provider":"twilio",'
    b'"inboundAgentId":"agent_D5D0p7TUs66TTAEAx","outboundAgentId":"agent_D5D0p7TUs66TTAEAx",'
    b'"outboundPhoneNumber":"+14155550199","active":true,'
    b'"terminationSipURI":"sip.telnyx.com","friendlyName":"Support Line - US"}'
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(RECORD)
) + RECORD
LENGTH = b"content-length:"
END_OF_HEAD = b"\r\n\r\n"


class Answering(asyncio.Protocol):
    """Answers whole requests as they come, several at once if need be."""

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (size := request_size(self._received)) is not None:
            self._received = self._received[size:]
            assert self._transport is not None
            self._transport.write(ANSWER)


def request_size(data: bytes) -> int | None:
    """Return the length of the first request in *data*, `None` while it is not whole."""
    head, separator, _ = data.partition(END_OF_HEAD)
    if not separator:
        return None
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(LENGTH)]
    size = len(head) + len(separator) + (int(lengths[0][len(LENGTH) :]) if lengths else 0)
    return size if len(data) >= size else None


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answering, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # ends when the parent does


if __name__ == "__main__":
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[-1]})
    asyncio.run(serve())
