"""Doubles for your tests: a platform that answers from a script, clocks, and virtual time.

None of them is a mock: each is a small class with the real protocol.
"""

from sigmamind_async.testing.doubles import (
    FakeClock,
    ScriptedTransport,
    fault,
    in_fake_time,
    reply,
)
from sigmamind_async.testing.virtual_time import VirtualLoop, in_virtual_time

__all__ = [
    "FakeClock",
    "ScriptedTransport",
    "VirtualLoop",
    "fault",
    "in_fake_time",
    "in_virtual_time",
    "reply",
]
