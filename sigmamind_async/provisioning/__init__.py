"""Provisioning: numbers bought, imported, changed and released once each, through every failure.

    async with SigmaMind() as client, SqliteJournal("orders.db") as journal:
        provisioner = Provisioner(client, journal)
        number = await provisioner.run("order-1042", CreatePhoneNumber(country_code="US"))

Read from the outside in. `provisioner` is what a program calls; `execution` carries out one
operation, `bulk` many. `claim` is the write before each request. `transitions` decides, without any
I/O, what follows from each of the `events`, and `journal` stores it. `listing` and `reconcile` find
out what unanswered requests did; `conflicts` keeps operations on the same number apart.

Names are imported when they are first used: reading a journal takes no HTTP client.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sigmamind_async.provisioning.adapters.dialnexa import PurchaseAnyNumber
    from sigmamind_async.provisioning.bulk import ProvisioningRun
    from sigmamind_async.provisioning.journal.memory import MemoryJournal
    from sigmamind_async.provisioning.journal.postgres import PostgresJournal
    from sigmamind_async.provisioning.journal.protocol import Journal, Status
    from sigmamind_async.provisioning.journal.sqlite import SqliteJournal
    from sigmamind_async.provisioning.provisioner import Provisioner
    from sigmamind_async.provisioning.row import Kind, Row, State, Step

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

_HOMES = {
    "Journal": "journal.protocol",
    "Kind": "row",
    "MemoryJournal": "journal.memory",
    "PostgresJournal": "journal.postgres",
    "Provisioner": "provisioner",
    "ProvisioningRun": "bulk",
    "PurchaseAnyNumber": "adapters.dialnexa",
    "Row": "row",
    "SqliteJournal": "journal.sqlite",
    "State": "row",
    "Status": "journal.protocol",
    "Step": "row",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
