"""Provisioning: numbers bought, imported, changed and released once each, through every failure.

    async with SigmaMind() as client, SqliteJournal("orders.db") as journal:
        provisioner = Provisioner(client, journal)
        number = await provisioner.run("order-1042", CreatePhoneNumber(country_code="US"))

Read from the outside in. `provisioner` is what a program calls; `execution` carries out one
operation, `bulk` many. `claim` is the write before each request. `transitions` decides, without any
I/O, what follows from each of the `events`, and `journal` stores it. `listing` and `reconcile` find
out what unanswered requests did; `conflicts` keeps operations on the same number apart.
"""

from typing import TYPE_CHECKING

from sigmamind_async.provisioning.adapters.dialnexa import PurchaseAnyNumber
from sigmamind_async.provisioning.bulk import ProvisioningRun
from sigmamind_async.provisioning.journal.memory import MemoryJournal
from sigmamind_async.provisioning.journal.protocol import Journal, Status
from sigmamind_async.provisioning.journal.sqlite import SqliteJournal
from sigmamind_async.provisioning.provisioner import Provisioner
from sigmamind_async.provisioning.row import Kind, Row, State, Step

if TYPE_CHECKING:
    from sigmamind_async.provisioning.journal.postgres import PostgresJournal

__all__ = [
    "Journal",
    "Kind",
    "MemoryJournal",
    "PostgresJournal",
    "Provisioner",
    "ProvisioningRun",
    "PurchaseAnyNumber",
    "Row",
    "SqliteJournal",
    "State",
    "Status",
    "Step",
]


def __getattr__(name: str) -> object:
    """Load the one class that needs an extra when it is asked for."""
    if name == "PostgresJournal":
        from sigmamind_async.provisioning.journal.postgres import PostgresJournal

        return PostgresJournal
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
