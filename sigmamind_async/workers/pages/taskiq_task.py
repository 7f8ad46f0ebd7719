"""The same from a task of taskiq, or of any other queue that calls a function.

The broker may deliver twice, and taskiq's Redis and NATS brokers deliver again what takes long. The
journal makes one purchase of it; so the task needs no lock, and what it returns is the same each
time. An `OutcomeUnknownError` is no reason to try at once: the operation is in doubt until a
`reconcile`, which ought to run every minute or so, for each account in one place.

```python
import asyncio

from taskiq import Context, InMemoryBroker, TaskiqDepends, TaskiqEvents, TaskiqState

from sigmamind_async import SigmaMind
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import Provisioner, SqliteJournal

broker = InMemoryBroker()  # at your place one for Redis or NATS, and a PostgresJournal


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def begin(state: TaskiqState) -> None:
    state.client, state.journal = SigmaMind(), SqliteJournal("orders.db", shared=True)
    await state.journal.open()
    state.provisioner = Provisioner(state.client, state.journal, max_purchases=100)


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def end(state: TaskiqState) -> None:
    await state.client.close()
    await state.journal.close()


@broker.task
async def buy(op_id: str, country: str, context: Context = TaskiqDepends()) -> str:
    value = CreatePhoneNumber(country_code=country)
    return (await context.state.provisioner.run(op_id, value)).sip_phone_number


async def main() -> None:
    await broker.startup()
    tasks = [await buy.kiq("order-1042", "US") for _ in range(3)]
    results = [await task.wait_result(timeout=30) for task in tasks]
    print({result.return_value for result in results})
    await broker.shutdown()


asyncio.run(main())
```
"""
