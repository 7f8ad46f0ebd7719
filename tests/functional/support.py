"""What the functional tests share: clients, records, and eyes for what must not be."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson
import uvloop

from sigmamind_async import RetryPolicy, SigmaMind
from sigmamind_async.operation import ConnectionFlag, Fault, Response
from sigmamind_async.transport import AiohttpTransport, HttpRequest
from tests.harness import preloaded

KEY = "canary-key-5f3a91"
PASSWORD = "canary-password-77c0d4"
NUMBER = "+14155550100"

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}

FAST = RetryPolicy(base=0.001, throttle_base=0.01)
ONCE = RetryPolicy(max_attempts=1)


def client_of(url: str, **options: Any) -> SigmaMind:
    """Return a client that wastes no time."""
    return SigmaMind(KEY, base_url=url, **{"retry": FAST, "deadline": 10.0, **options})


def record(**fields: object) -> bytes:
    """Return a phone number as the platform writes it."""
    return orjson.dumps({"sipPhoneNumber": NUMBER, "active": True, **fields})


def record_at(path: str, **fields: object) -> bytes:
    """Return the phone number that a request is about."""
    return record(sipPhoneNumber=f"+{path.rpartition('%2B')[2]}", **fields)


async def send(
    transport: AiohttpTransport,
    url: str,
    method: str = "POST",
    *,
    body: bytes = b'{"phoneNumber":"+14155550100"}',
    seconds: float = 5.0,
    mark: ConnectionFlag | None = None,
) -> Response | Fault:
    """Have *transport* send one request as the engine would."""
    outgoing = HttpRequest(
        method=method,
        url=f"{url}/v1/phone-numbers",
        headers={"X-API-Key": KEY, "Content-Type": "application/json"},
        body=body if method in {"POST", "PATCH"} else None,
        max_bytes=1 << 16,
    )
    return await transport.send(outgoing, ConnectionFlag() if mark is None else mark, seconds)


async def error_of(awaitable: Awaitable[object]) -> Any:
    """Return what *awaitable* raises, after a search for secrets in it."""
    try:
        await awaitable
    except BaseException as error:  # noqa: BLE001 - whatever it is, the test looks at it
        caught = error
    else:
        raise AssertionError("nothing was raised")
    found = leaks(caught)
    assert found == [], found
    return caught


def leaks(error: BaseException) -> list[str]:
    """Return every place where *error* holds another exception, the key or the password."""
    cause, context = error.__cause__, error.__context__
    found = [f"__context__ is {context!r}"] if context is not None else []
    if cause is not None:
        # What the system said may be there: an exception without frames that holds nothing else.
        bare = isinstance(cause, OSError) and cause.__traceback__ is None
        found += leaks(cause) if bare else [f"__cause__ is {cause!r}"]
    shown = {"repr": repr(error), "args": repr(error.args), "fields": repr(vars(error))}
    found += [name for name, text in shown.items() if _tells(text)]
    return found + _leaking_locals(error.__traceback__)


def _leaking_locals(traceback: TracebackType | None) -> list[str]:
    found: list[str] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if _is_watched(code.co_filename):
            found += [
                f"{code.co_qualname}: {name}"
                for name, value in traceback.tb_frame.f_locals.items()
                if _tells(repr(value))
            ]
        traceback = traceback.tb_next
    return found


def _is_watched(filename: str) -> bool:
    return not {"sigmamind_async", "aiohttp"}.isdisjoint(Path(filename).parts)


def _tells(text: str) -> bool:
    return KEY in text or PASSWORD in text


def open_sockets() -> int:
    """Return how many sockets this process holds; 0 where the system does not say."""
    gc.collect()
    held = Path("/proc/self/fd")
    return sum(map(_is_socket, held.iterdir())) if held.exists() else 0


def _is_socket(descriptor: Path) -> bool:
    try:
        return str(descriptor.readlink()).startswith("socket:")
    except OSError:  # the descriptor that listed the others
        return False


async def run_script(script: str, *arguments: str, strict: bool = True) -> str:
    """Return what *script* prints, in a Python of its own; a *strict* one bears no warning."""
    options = ("-X", "dev", "-W", "error") if strict else ()
    process = await preloaded.create_subprocess_exec(
        sys.executable,
        *(*options, "-c", script, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, complaints = await process.communicate()
    assert (process.returncode, complaints) == (0, b""), complaints.decode()
    return printed.decode()
