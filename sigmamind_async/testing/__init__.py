"""Doubles for your tests: a platform that answers from a script, and a clock.

None of them is a mock: each is a small class with the real protocol.
"""

from sigmamind_async.testing.doubles import (
    FakeClock,
    ScriptedTransport,
    fault,
    in_fake_time,
    reply,
)

__all__ = ["FakeClock", "ScriptedTransport", "fault", "in_fake_time", "reply"]
