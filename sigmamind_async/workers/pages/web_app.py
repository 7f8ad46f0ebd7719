"""A web app whose requests share one client.

The client is made when the app starts and closed when it ends: connections are kept, and its gate
sees all that is sent. A web handler should not queue, so the gate refuses at once whoever would
wait for more than half a second (``max_wait``), and the deadline of a call is short.

```python
import math
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.typedefs import Handler

from sigmamind_async import (
    CircuitOpenError, Gate, InvalidRequestError, NotFoundError, RateLimitError, SigmaMind,
)

CLIENT = web.AppKey("client", SigmaMind)


async def share_client(app: web.Application) -> AsyncIterator[None]:
    async with SigmaMind(deadline=10.0, gate=Gate(max_wait=0.5)) as client:
        app[CLIENT] = client
        yield


async def assign(request: web.Request) -> web.Response:
    number = await request.app[CLIENT].phone_numbers.update(
        request.match_info["number"], inbound_agent_id=(await request.json())["agent"]
    )
    return web.json_response({"agent": number.inbound_agent_id})


@web.middleware
async def tell_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except InvalidRequestError as error:
        return web.json_response({"error": str(error)}, status=400)
    except NotFoundError as error:
        return web.json_response({"error": str(error)}, status=404)
    except (CircuitOpenError, RateLimitError) as error:
        wait = {"Retry-After": str(math.ceil(error.retry_after or 1.0))}
        return web.json_response({"error": str(error)}, status=503, headers=wait)


def make_app() -> web.Application:
    app = web.Application(middlewares=[tell_errors])
    app.cleanup_ctx.append(share_client)
    app.router.add_put("/numbers/{number}/agent", assign)
    return app


if __name__ == "__main__":
    web.run_app(make_app())
```

In FastAPI, ``lifespan`` takes the place of ``share_client``, and ``request.app.state.client`` that
of ``request.app[CLIENT]``. Several processes of such an app keep to one rate with
``gate=SharedGate("sigmamind", journal, max_wait=0.5)``, see `sigmamind_async.workers.shared_gate`.

To buy numbers, do not wait in a handler: the caller may go away, and asks again. Enqueue the
operation under an id of the order, and let a worker carry it out: see `procrastinate_worker`.
"""
