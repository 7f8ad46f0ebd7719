"""Blocking methods made from async ones: they run in the event loop's thread and wait.

A method keeps its parameters, for type checkers and editors as well as for `help`. What it returns
changes: an awaitable becomes its result, a listing one to iterate with ``for``, a job a `BulkRun`.
"""

from __future__ import annotations

import asyncio
import enum
import functools
import inspect
import queue
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
)
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Final,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    cast,
    overload,
)

from sigmamind_async import paging
from sigmamind_async.bulk import Outcome, Progress
from sigmamind_async.errors import SigmaMindError, add_argument_hint
from sigmamind_async.sync.event_loop import EVENT_LOOP, Inbox

P = ParamSpec("P")
S = TypeVar("S", bound="Blocking")
T = TypeVar("T")
V = TypeVar("V")


class Blocking:
    """Base of the blocking classes: each wraps the async object that does the work."""

    _wrapped: Any = None
    _connections: object = None
    """Kept by all that use the connections of one client; see `ClientBase`."""

    @classmethod
    def wrap(cls, wrapped: object, connections: object) -> Self:
        """Return a blocking object that uses *wrapped*, an object of the async class.

        It keeps *connections* open.
        """
        new = object.__new__(cls)
        new._wrapped = wrapped
        new._connections = connections
        return new

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Make a resource, which the class annotates, when it is first used."""
            wrapped = getattr(self._wrapped, name)
            for cls in type(self).__mro__:
                kind = inspect.get_annotations(cls).get(name)
                if isinstance(kind, type) and issubclass(kind, Blocking):
                    made = self.__dict__[name] = kind.wrap(wrapped, self._connections)
                    return made
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        parts = (inspect.get_annotations(cls) for cls in type(self).__mro__)
        return sorted({*super().__dir__(), *(name for names in parts for name in names)})

    def __repr__(self) -> str:
        return repr(self._wrapped)


class BlockingContext(Blocking):
    """Base of those that are opened and closed by ``with``."""

    def __enter__(self) -> Self:
        EVENT_LOOP.run(_enter(self._wrapped))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        EVENT_LOOP.run(_leave(self._wrapped, error))


class Job(Protocol[V, T]):
    """A job of the async clients, such as `sigmamind_async.bulk.BulkRun`."""

    progress: Progress
    undelivered: list[Outcome[V, T]]

    @property
    def stopped(self) -> str:
        """Why it starts no more rows."""
        ...

    @property
    def stopped_by(self) -> SigmaMindError | None:
        """The error that stopped it."""
        ...

    def stop(self) -> None:
        """Start no more rows."""
        ...

    def __aiter__(self) -> AsyncIterator[Outcome[V, T]]:
        """Run the job."""
        ...


class BulkRun(Generic[V, T]):
    """A job over many values, made by ``run_many``; iterate over it once.

    It goes on in the background while the caller handles an outcome. Leaving the loop early cancels
    the rows in progress; `undelivered` then has the outcomes that were not delivered.
    """

    def __init__(self, job: Job[V, T], inbox: Inbox, connections: object) -> None:
        self._job = job
        self._inbox = inbox
        self._connections = connections

    def __iter__(self) -> Generator[Outcome[V, T], None, None]:  # noqa: PYI058 - can be closed
        """Run the job; yield the `Outcome` of every row."""
        return iterate(self._job, self._inbox, self._connections)

    def stop(self) -> None:
        """Start no more rows: finish those that were sent, skip all others.

        Any thread may call it, and a signal handler.
        """
        EVENT_LOOP.call_soon(self._job.stop)

    @property
    def progress(self) -> Progress:
        """Counts, rate and estimated time, updated while the job runs."""
        return self._job.progress

    @property
    def undelivered(self) -> list[Outcome[V, T]]:
        """After an early end: the outcomes that were not delivered."""
        return self._job.undelivered

    @property
    def stopped(self) -> str:
        """Why it starts no more rows, as a sentence; empty while it does."""
        return self._job.stopped

    @property
    def stopped_by(self) -> SigmaMindError | None:
        """The error that stopped it, if later rows would have met the same."""
        return self._job.stopped_by


class _End(enum.Enum):
    END = enum.auto()


_END: Final = _End.END


async def _next_or_end(steps: AsyncIterator[T]) -> T | Literal[_End.END]:
    return await anext(steps, _END)


def iterate(
    source: AsyncIterable[T], inbox: Inbox, connections: object
) -> Generator[T, None, None]:
    """Yield what *source* yields; closing the generator closes *source*, and waits for that.

    It keeps *connections* while it is used.
    """
    steps = aiter(source)
    try:
        while (item := EVENT_LOOP.run(_next_or_end(steps), inbox)) is not _END:
            yield item
    finally:
        if not getattr(steps, "ag_running", False):  # else an interrupted step has not ended yet
            EVENT_LOOP.finish(cast("Any", steps).aclose())
        del connections


class ListingIterator(Generic[T]):
    """All records of a listing: iterate once with ``for``, or over its `pages`."""

    def __init__(self, source: paging.Listing[T], connections: object) -> None:
        self._source = source
        self._connections = connections
        self._items = iterate(source, queue.SimpleQueue(), connections)

    def __iter__(self) -> Iterator[T]:
        """Yield every record once; raise `ResponseDecodeError` rather than end too early.

        Raises `ConfigurationError` once it has ended: no record would come, as of an empty account.
        """
        if inspect.getgeneratorstate(self._items) == inspect.GEN_CLOSED:
            raise paging.already_read()
        return self._items

    def __next__(self) -> T:
        """Return the next record."""
        return next(self._items)

    def close(self) -> None:
        """End the iteration over records."""
        self._items.close()

    def pages(self) -> Generator[paging.Page[T], None, None]:
        """Yield each `Page` as soon as it was read, with one request for each.

        As those of the async clients: see `sigmamind_async.paging.Listing.pages`.
        """
        return iterate(self._source.pages(), queue.SimpleQueue(), self._connections)


@contextmanager
def open_context(context: AbstractAsyncContextManager[T], connections: object) -> Generator[T]:
    """Return *context*, entered and left in the event loop; it keeps *connections* meanwhile."""
    value = EVENT_LOOP.run(_enter(context))
    try:
        yield value
    except BaseException as error:
        if not EVENT_LOOP.run(_leave(context, error)):
            raise
    else:
        EVENT_LOOP.run(_leave(context, None))
    finally:
        del connections


async def _enter(context: AbstractAsyncContextManager[T]) -> T:
    return await context.__aenter__()


async def _leave(
    context: AbstractAsyncContextManager[object], error: BaseException | None
) -> bool | None:
    return await context.__aexit__(
        None if error is None else type(error),
        error,
        None if error is None else error.__traceback__,
    )


class _CallersValues(Generic[V]):
    """Values that are read in the caller's thread, while that waits for an outcome.

    They may come from a database connection that works in one thread only. And reading them may
    take a while, for which they would block every call in the event loop's thread.
    """

    def __init__(self, values: Iterable[V], inbox: Inbox) -> None:
        self._values = iter(values)
        self._inbox = inbox

    def __aiter__(self) -> AsyncIterator[V]:
        return self

    async def __anext__(self) -> V:
        answer: Future[Any] = Future()
        self._inbox.put(functools.partial(self._read, answer))
        value: V | Literal[_End.END] = await asyncio.wrap_future(answer)
        if value is _END:
            raise StopAsyncIteration
        return value

    def _read(self, answer: Future[Any]) -> None:
        if not answer.set_running_or_notify_cancel():
            return  # the job has ended
        try:
            answer.set_result(next(self._values, _END))
        except Exception as error:  # noqa: BLE001 - the job raises it after the rows before it
            answer.set_exception(error)


@overload
def blocking(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], T]: ...
@overload
def blocking(
    method: Callable[Concatenate[Any, P], paging.Listing[T]],
) -> Callable[Concatenate[Any, P], ListingIterator[T]]: ...
@overload
def blocking(
    method: Callable[Concatenate[Any, P], AbstractAsyncContextManager[T]],
) -> Callable[Concatenate[Any, P], AbstractContextManager[T]]: ...
@overload
def blocking(
    method: Callable[Concatenate[Any, P], Job[V, T]],
) -> Callable[Concatenate[Any, P], BulkRun[V, T]]: ...
def blocking(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return the *method* of an async class as that of a `Blocking` class."""
    parameters = inspect.signature(method).parameters
    rows = next((name for name in ("values", "operations") if name in parameters), "")

    @functools.wraps(method)
    def call(self: Blocking, *args: Any, **options: Any) -> object:
        inbox: Inbox = queue.SimpleQueue()
        if rows and args:
            args = (_in_callers_thread(args[0], inbox), *args[1:])
        elif rows in options:
            options[rows] = _in_callers_thread(options[rows], inbox)
        try:
            result: Any = method(self._wrapped, *args, **options)
        except TypeError as error:
            add_argument_hint(error, method)
            raise
        finally:
            del args, options  # one may be a secret, which no frame of a traceback holds
        if inspect.iscoroutine(result):
            return EVENT_LOOP.run(result, inbox)
        if hasattr(result, "pages"):
            return ListingIterator[Any](result, self._connections)
        if hasattr(result, "__aenter__"):
            return open_context(result, self._connections)
        return BulkRun[Any, Any](result, inbox, self._connections)

    text = method.__doc__ or ""
    for asynchronous, plain in {"async for": "for", "async with": "with", "await ": ""}.items():
        text = text.replace(asynchronous, plain)
    call.__doc__ = text
    return call


def _in_callers_thread(values: object, inbox: Inbox) -> object:
    """Return *values*; if they are made one by one, so that the caller's thread makes them."""
    if isinstance(values, Collection) or not isinstance(values, Iterable):
        return values  # pyright: ignore[reportUnknownVariableType]
    lazy: Any = values  # pyright: ignore[reportUnknownVariableType]
    return _CallersValues[Any](lazy, inbox)


def copying(method: Callable[Concatenate[Any, P], object]) -> Callable[Concatenate[S, P], S]:
    """Return a *method* that makes another object of the async class as that of a blocking one."""

    @functools.wraps(method)
    def call(self: S, /, *args: P.args, **options: P.kwargs) -> S:
        try:
            copy = method(self._wrapped, *args, **options)
        finally:
            del args, options  # one may be a secret
        return self.wrap(copy, self._connections)

    return call


def constructing(
    method: Callable[Concatenate[Any, P], None],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    """Give a constructor the parameters of the async class's *method*."""
    decorate: Any = functools.wraps(method)
    return decorate  # type: ignore[no-any-return] # wraps() does not take a method without them
