"""The same from a consumer of a Redis stream; one of NATS JetStream differs in the words only.

A message is acknowledged when its operation has ended, well or badly. What is not acknowledged,
because the process was killed or the outcome is not known yet, is claimed and delivered again: that
is harmless, because the journal knows what has been done.

```python
import asyncio
import os

from redis.asyncio import Redis

from sigmamind_async import OutcomeUnknownError, SigmaMind, SigmaMindError
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import Provisioner, SqliteJournal

STREAM, GROUP = "orders", "buyers"


async def consume(redis: Redis, provisioner: Provisioner, *, until_idle: bool) -> None:
    while True:
        # First what others have left for a minute, then what is new.
        claimed = await redis.xautoclaim(STREAM, GROUP, "me", min_idle_time=60_000, count=10)
        found = await redis.xreadgroup(GROUP, "me", {STREAM: ">"}, count=10, block=100)
        messages = claimed[1] + [message for _, some in found or [] for message in some]
        if not messages and until_idle:
            return
        await asyncio.gather(*(carry_out(redis, provisioner, *message) for message in messages))


async def carry_out(redis: Redis, provisioner: Provisioner, id: str, order: dict[str, str]) -> None:
    try:
        value = CreatePhoneNumber(country_code=order["country"])
        number = await provisioner.run(order["op_id"], value)
    except OutcomeUnknownError:
        await provisioner.reconcile()
        return  # it is delivered again
    except SigmaMindError as error:
        if error.retryable:
            return  # likewise
        print(order["op_id"], "failed:", error)
    else:
        print(order["op_id"], number.sip_phone_number)
    await redis.xack(STREAM, GROUP, id)


async def main() -> None:
    redis = Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
    await redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    for _ in range(2):
        await redis.xadd(STREAM, {"op_id": "order-1042", "country": "US"})
    async with SigmaMind() as client, SqliteJournal("orders.db", shared=True) as journal:
        await consume(redis, Provisioner(client, journal), until_idle=True)
    await redis.aclose()


asyncio.run(main())
```
"""
