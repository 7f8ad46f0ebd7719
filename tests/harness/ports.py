"""Ports of loopback: one where nobody listens, and free ones for servers that must be told one."""

import atexit
import random
import socket
from pathlib import Path

_HELD = socket.socket()  # has a port, which nobody else can get, and does not listen
_HELD.bind(("127.0.0.1", 0))
atexit.register(_HELD.close)
_SYSTEM = random.SystemRandom()  # the common one draws the same in every worker of pytest


def closed_port() -> int:
    """Return a port where nobody listens, as long as this process runs."""
    port: int = _HELD.getsockname()[1]
    return port


def free_port() -> int:
    """Return a port to listen on, which the system gives to nobody who asks for any."""
    while True:
        port = _SYSTEM.randrange(10_000, _first_ephemeral())
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def _first_ephemeral() -> int:
    limits = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(limits.read_text().split()[0]) if limits.exists() else 32_768
    return max(first, 20_000)
