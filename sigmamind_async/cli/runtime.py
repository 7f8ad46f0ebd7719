"""What every command that talks to the platform needs: an event loop, a client, its times."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

import attrs
from cyclopts import Parameter
from cyclopts.validators import Number

from sigmamind_async.cli.vendors import AnyClient, Platform
from sigmamind_async.events import Observer
from sigmamind_async.limiter.gate import Gate
from sigmamind_async.retry import RetryPolicy

T = TypeVar("T")

Deadline = Annotated[float, Parameter(help="Seconds for one call: all attempts and pauses.")]
AttemptTimeout = Annotated[float, Parameter(help="Seconds for one attempt.")]
RefusalStatus = Annotated[
    tuple[int, ...],
    Parameter(
        name="--refusal-status",
        negative=(),
        validator=Number(gte=400, lte=599),
        help="A status, such as 503, with which a limiter before the platform refuses requests that"
        " it hands on to nobody: they are sent again, purchases too. May be repeated.",
    ),
]
Proxy = Annotated[
    str | None,
    Parameter(help="URL of an HTTP proxy; HTTPS_PROXY and NO_PROXY are honoured without it."),
]
Json = Annotated[
    bool, Parameter(name="--json", help="Write JSON Lines to stdout, and nothing else.")
]

DEADLINE = 60.0
ATTEMPT_TIMEOUT = 20.0
ATTEMPTS = 8
"""Attempts of one call: nobody waits for a command line within milliseconds."""


@attrs.frozen(kw_only=True)
class Times:
    """Limits of one call, in seconds, the way it takes, and what is a refusal and not its end."""

    deadline: float = DEADLINE
    attempt: float = ATTEMPT_TIMEOUT
    proxy: str | None = attrs.field(default=None, repr=False)
    """URL of a proxy; `None` leaves that to the environment."""
    refusals: tuple[int, ...] = ()
    """Statuses, beside 429, with which a limiter before the platform refuses requests."""

    def gate(self) -> Gate:
        """Return the gate of one client."""
        return Gate(refusal_statuses=self.refusals)


def client_of_environment(
    platform: Platform,
    times: Times,
    *,
    gate: Gate | None = None,
    observer: Observer | None = None,
) -> AnyClient:
    """Return a client whose key and base URL come from the environment, and nowhere else.

    So does its proxy, where *times* names none.
    """
    return platform.client(
        deadline=times.deadline,
        attempt_timeout=times.attempt,
        proxy=times.proxy,
        trust_env=True,
        retry=RetryPolicy(max_attempts=ATTEMPTS),
        gate=gate or times.gate(),
        observer=observer,
    )


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run *main* to its end, on uvloop where that is installed."""
    with runner() as one:
        return one.run(main)


def runner() -> asyncio.Runner:
    """Return a loop to run several things on, and to ask a person something in between."""
    return asyncio.Runner(loop_factory=_loop_factory())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
