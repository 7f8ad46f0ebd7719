"""By how much a call outlives its deadline, with 100 under way and a server that never answers."""

import asyncio
import time

from sigmamind_async import Gate, RetryPolicy, SigmaMind, SigmaMindError
from sigmamind_async.limiter.gate import Admission

DEADLINE = 0.5
WIDTH = 100


async def overruns(*, calls: int = 1000) -> list[float]:
    """Return each call's seconds past its deadline, in order."""
    late: list[float] = []
    silence = asyncio.Event()

    async def never_answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silence.wait()
        writer.close()

    server = await asyncio.start_server(never_answer, "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    async with SigmaMind(
        "key",
        base_url=f"http://127.0.0.1:{port}",
        deadline=DEADLINE,
        retry=RetryPolicy(max_attempts=1),
        gate=Gate(admission=Admission(failures_to_open=calls + 1)),
    ) as client:
        for _ in range(calls // WIDTH):
            async with asyncio.TaskGroup() as group:
                for _ in range(WIDTH):
                    group.create_task(_one(client, late))
    silence.set()
    server.close()
    await server.wait_closed()
    return sorted(late)


async def _one(client: SigmaMind, late: list[float]) -> None:
    began = time.perf_counter()
    try:
        await client.phone_numbers.get("+14155550100")
    except SigmaMindError:
        late.append(time.perf_counter() - began - DEADLINE)
