"""A server that answers every request with a record, faster than any client here can ask.

Run as a process of its own, on a core of its own where there is more than one, so that the client's
processor time is the client's. Prints its port and ends with its parent.

What it answers depends on the path: SigmaMind's record of a number or a page of them, or a record
of about as many fields in the words of another platform, for that platform's own client.
"""

import argparse
import asyncio
import json
import os
import ssl
import sys
from collections.abc import Callable
from functools import cache
from typing import cast
from urllib.parse import parse_qs

LENGTH = b"content-length:"
END_OF_HEAD = b"\r\n\r\n"
DIGITS = b"14155550100"
"""Of the number in the records."""
LISTED = 10_000
"""Numbers in the listing."""

SIGMAMIND = {
    "sipPhoneNumber": "+14155550100",
    "provider": "twilio",
    "inboundAgentId": "agent_D5D0p7TUs66TTAEAx",
    "outboundAgentId": None,
    "outboundPhoneNumber": "+14155550199",
    "active": True,
    "terminationSipURI": "sip.telnyx.com",
    "friendlyName": "Support Line - US",
}
RETELL = {
    "phone_number": "+14155550100",
    "phone_number_pretty": "+1 (415) 555-0100",
    "phone_number_type": "retell-twilio",
    "inbound_agents": [{"agent_id": "agent_D5D0p7TUs66TTAEAx", "weight": 1}],
    "outbound_agents": [{"agent_id": "agent_D5D0p7TUs66TTAEAx", "weight": 1}],
    "area_code": 415,
    "nickname": "Support Line - US",
    "inbound_webhook_url": "https://example.com/inbound",
    "last_modification_timestamp": 1703413636133,
}
TELNYX = {
    "data": {
        "id": "1293384261075731499",
        "record_type": "phone_number",
        "phone_number": "+14155550100",
        "country_iso_alpha2": "US",
        "phone_number_type": "local",
        "status": "active",
        "tags": ["support", "us"],
        "connection_id": "1293384261075731500",
        "connection_name": "Support Line - US",
        "customer_reference": "desk-1",
        "deletion_lock_enabled": False,
        "hd_voice_enabled": True,
        "created_at": "2025-10-24T18:10:00.000Z",
        "purchased_at": "2025-10-24T18:10:00.000Z",
    }
}
VAPI = {
    "id": "d0b7a4c5-6f5a-4f0e-9d43-0f5a8f8a4b10",
    "orgId": "b1c9a4c5-6f5a-4f0e-9d43-0f5a8f8a4b11",
    "provider": "vapi",
    "createdAt": "2025-10-24T18:10:00.000Z",
    "updatedAt": "2025-10-24T18:10:00.000Z",
    "status": "active",
    "number": "+14155550100",
    "name": "Support Line - US",
    "assistantId": "a2c9a4c5-6f5a-4f0e-9d43-0f5a8f8a4b12",
    "numberDesiredAreaCode": "415",
}
TWILIO = {
    "account_sid": "AC00000000000000000000000000000000",
    "sid": "PN00000000000000000000000000000000",
    "phone_number": "+14155550100",
    "friendly_name": "Support Line - US",
    "api_version": "2010-04-01",
    "date_created": "Fri, 24 Oct 2025 18:10:00 +0000",
    "date_updated": "Fri, 24 Oct 2025 18:10:00 +0000",
    "voice_url": "https://example.com/voice",
    "status_callback": "https://example.com/status",
    "status": "in-use",
}


def answer(record: object) -> bytes:
    body = json.dumps(record, separators=(",", ":")).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


RECORDS = {
    b"/v1/phone-numbers/": answer(SIGMAMIND),
    b"/update-phone-number/": answer(RETELL),
    b"/v2/phone_numbers/": answer(TELNYX),
    b"/phone-number/": answer(VAPI),
    b"/2010-04-01/Accounts/": answer(TWILIO),
}
"""By the beginning of the path."""


@cache
def page(query: str) -> bytes:
    """Return a page of SigmaMind's listing."""
    asked = {name: int(values[0]) for name, values in parse_qs(query).items()}
    number, size = asked["page"], asked["size"]
    places = range(number * size, min((number + 1) * size, LISTED))
    return answer(
        {
            "data": [
                {**SIGMAMIND, "sipPhoneNumber": f"+1415{5_550_000 + place}"} for place in places
            ],
            "page": number,
            "size": size,
            "totalCount": LISTED,
            "totalPages": -(-LISTED // size),
            "hasNext": (number + 1) * size < LISTED,
            "hasPrevious": number > 0,
        }
    )


class Answering(asyncio.Protocol):
    """Answers whole requests as they come, several at once if need be."""

    opened = 0
    """Connections that are open."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's are of no such class
        Answering.opened += 1

    def connection_lost(self, _: Exception | None) -> None:
        Answering.opened -= 1

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (size := request_size(self._received)) is not None:
            path = self._received.split(b" ", 2)[1]
            self._received = self._received[size:]
            assert self._transport is not None
            if self._delay:
                loop = asyncio.get_running_loop()
                loop.call_later(self._delay, self._transport.write, answer_to(path))
            else:
                self._transport.write(answer_to(path))


def answer_to(path: bytes) -> bytes:
    for beginning, record in RECORDS.items():
        if path.startswith(beginning):
            # The number that was asked for, where the path names one: the first digits of ours.
            return record.replace(DIGITS, path[-len(DIGITS) :], 1) if b"%2B" in path else record
    if path == b"/opened":
        return answer(Answering.opened)
    return page(path.partition(b"?")[2].decode())


def request_size(data: bytes) -> int | None:
    """Return the length of the first request in *data*, `None` while it is not whole."""
    head, separator, _ = data.partition(END_OF_HEAD)
    if not separator:
        return None
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(LENGTH)]
    size = len(head) + len(separator) + (int(lengths[0][len(LENGTH) :]) if lengths else 0)
    return size if len(data) >= size else None


async def serve(*, certificate: str | None, delay: float) -> None:
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Answering(delay), "127.0.0.1", 0, backlog=1024, ssl=context
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # ends when the parent does


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--core", type=int, help="processor to stay on")
    parser.add_argument("--certificate", help="PEM file with key and chain: speak TLS")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    chosen = parser.parse_args()
    if chosen.core is not None:
        os.sched_setaffinity(0, {chosen.core})
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(certificate=chosen.certificate, delay=chosen.delay))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's where that is installed: the client should never wait for this server."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
