"""Operations that worker processes on any number of machines carry out, once each.

    queue = Queue(dsn)                                    # in the web app; needs no API key
    await queue.enqueue([("order-1042", CreatePhoneNumber(country_code="US"))])

    await Worker([Account(SigmaMind)], dsn).run()         # in each worker

The queue is procrastinate's, in the PostgreSQL database that has the journal. Read from the outside
in: `queue` is what a caller uses, `enqueue` what it writes, `follow` hands over many operations and
reports how each ended, `worker` is a process and its tasks, `context` what they share and when a
job runs again, `connector` the queue's connections, `health` what an operator has to know of it.
`shared_gate` keeps all processes to one rate, through `rates`. Needs the extra ``postgres``.
"""

try:
    from sigmamind_async.workers.context import Account, WorkerContext
    from sigmamind_async.workers.follow import FollowedRun, WorkerProvisioner
    from sigmamind_async.workers.health import LongTransaction, QueueHealth
    from sigmamind_async.workers.queue import Queue
    from sigmamind_async.workers.shared_gate import SharedGate
    from sigmamind_async.workers.worker import Worker, blueprint
except ImportError as error:
    # Without libpq, psycopg is installed and cannot be imported: that error names no module.
    if (error.name or "psycopg").partition(".")[0] not in {"procrastinate", "psycopg"}:
        raise
    raise ImportError(
        "sigmamind_async.workers needs procrastinate and psycopg, which come with the extra:"
        ' pip install "sigmamind-async[postgres]"',
        name=error.name or "psycopg",
    ) from None

from sigmamind_async.secret_references import SecretResolver
from sigmamind_async.values import SecretReference

__all__ = [
    "Account",
    "FollowedRun",
    "LongTransaction",
    "Queue",
    "QueueHealth",
    "SecretReference",
    "SecretResolver",
    "SharedGate",
    "Worker",
    "WorkerContext",
    "WorkerProvisioner",
    "blueprint",
]
