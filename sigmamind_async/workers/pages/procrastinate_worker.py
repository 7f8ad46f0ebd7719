"""Orders that are enqueued in one place and carried out by workers in others.

The queue is procrastinate's, in the database that has the journal, so an order and its job are
written in one transaction. `Worker` is a whole process; run as many as you like:
they keep to one rate together.

```python
import asyncio
import os

from sigmamind_async import SigmaMind
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import PostgresJournal, State
from sigmamind_async.workers import Account, Queue, Worker


async def main() -> None:
    dsn = os.environ["DATABASE_URL"]
    queue = Queue(dsn)
    await queue.prepare()
    order = ("order-1042", CreatePhoneNumber(country_code="US"))
    await queue.enqueue([order])
    await queue.enqueue([order])  # the customer clicked twice

    worker = Worker([Account(SigmaMind, max_purchases=100)], dsn)
    serving = asyncio.create_task(worker.run())  # in a process of its own, at your place
    async with PostgresJournal(dsn, read_only=True) as journal:
        while not (done := await journal.in_states("sigmamind", {State.DONE})):
            await asyncio.sleep(0.1)
        print([(row.op_id, row.phone_number) for row in done])
    worker.stop()
    await serving


asyncio.run(main())
```

An app of procrastinate that you have already takes the tasks in: see `blueprint`.
"""
