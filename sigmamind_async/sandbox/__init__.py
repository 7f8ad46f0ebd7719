"""A copy of the platforms on loopback that can be told to misbehave.

Written from the vendors' documentation without a line of the client, so that the two can
disagree. Its ledger knows what was really bought.
"""

from sigmamind_async.sandbox.commit_log import StateFileError
from sigmamind_async.sandbox.faults import (
    ALL_FAULTS,
    BODY_FAULTS,
    NETWORK_FAULTS,
    REALISTIC_FAULTS,
    STATUS_FAULTS,
    Fault,
    Faults,
)
from sigmamind_async.sandbox.ledger import Commit, Ledger
from sigmamind_async.sandbox.limits import RateLimit
from sigmamind_async.sandbox.postgres import PostgresServer, PostgresServerError
from sigmamind_async.sandbox.server import Sandbox, SandboxSettings
from sigmamind_async.sandbox.switches import DialNexaSwitches, Switches, VerbexSwitches
from sigmamind_async.sandbox.thread import SandboxThread
from sigmamind_async.sandbox.webhooks import WebhookDelivery

__all__ = [
    "ALL_FAULTS",
    "BODY_FAULTS",
    "Commit",
    "DialNexaSwitches",
    "Fault",
    "Faults",
    "Ledger",
    "NETWORK_FAULTS",
    "PostgresServer",
    "PostgresServerError",
    "REALISTIC_FAULTS",
    "RateLimit",
    "STATUS_FAULTS",
    "Sandbox",
    "SandboxSettings",
    "SandboxThread",
    "StateFileError",
    "Switches",
    "VerbexSwitches",
    "WebhookDelivery",
]
