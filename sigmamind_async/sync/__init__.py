"""The same clients for programs without asyncio: each method waits and returns its result.

    from sigmamind_async.sync import SigmaMind

    with SigmaMind() as client:
        number = client.phone_numbers.create(country_code="US")
        for number in client.phone_numbers.list():
            print(number.sip_phone_number)

Names, parameters, results and errors are those of the async clients, and so is what they promise:
the async clients do the work, in one event loop that runs in a background thread. A client may be
a module-level object, be used by any number of threads at once, and survive a fork. `list` returns
an iterator, ``run_many`` a job to iterate over; the rows that it is given are read in the calling
thread. Provisioning works the same way:

    with SigmaMind() as client, SqliteJournal("orders.db") as journal:
        number = Provisioner(client, journal).run("order-1042", CreatePhoneNumber(...))

Ctrl-C cancels the call and waits up to five seconds for its end; the notes of the
`KeyboardInterrupt` say what may have been carried out. Inside a running event loop, which a
blocking call would stop, each call raises `RuntimeError`. uWSGI needs ``enable-threads``; gevent
and eventlet, which replace threads, are not supported.

Read `blocking` for how a method is made from an async one, and `event_loop` for how it is run. The
other modules are generated from the async classes.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sigmamind_async.sync.blocking import BulkRun
    from sigmamind_async.sync.dialnexa import DialNexa
    from sigmamind_async.sync.postgres_journal import PostgresJournal
    from sigmamind_async.sync.provisioning import MemoryJournal, Provisioner, SqliteJournal
    from sigmamind_async.sync.sigmamind import SigmaMind
    from sigmamind_async.sync.verbex import Verbex

__all__ = [
    "BulkRun",
    "DialNexa",
    "MemoryJournal",
    "PostgresJournal",
    "Provisioner",
    "SigmaMind",
    "SqliteJournal",
    "Verbex",
]

_HOMES = {
    "BulkRun": "blocking",
    "DialNexa": "dialnexa",
    "MemoryJournal": "provisioning",
    "PostgresJournal": "postgres_journal",
    "Provisioner": "provisioning",
    "SigmaMind": "sigmamind",
    "SqliteJournal": "provisioning",
    "Verbex": "verbex",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
