"""The queue's connections, and what they tell about themselves."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import psycopg
from procrastinate import PsycopgConnector
from procrastinate.exceptions import ConnectorException, UniqueViolation


class Line(PsycopgConnector):
    """Connections that report each statement which may have been carried out or not.

    A worker whose statement was lost does not know any more which jobs are its own: one that it has
    fetched without learning so, or has ended without being able to say so, would count as under way
    for as long as the worker lives. So it has to end, and to begin anew under another name.
    """

    def __init__(self, on_loss: Callable[[], None], **options: Any) -> None:  # noqa: ANN401 - procrastinate's
        """Call *on_loss* after each lost statement."""
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType]
        self._on_loss = on_loss

    async def execute_query_async(self, query: Any, **arguments: Any) -> None:  # noqa: ANN401 - likewise
        """Execute a statement."""
        with self._watched():
            await super().execute_query_async(query, **arguments)

    async def execute_query_one_async(self, query: Any, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - likewise
        """Execute a statement and return its only row."""
        with self._watched():
            row: dict[str, Any] = await super().execute_query_one_async(query, **arguments)
            return row

    async def execute_query_all_async(self, query: Any, **arguments: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - likewise
        """Execute a statement and return its rows."""
        with self._watched():
            rows: list[dict[str, Any]] = await super().execute_query_all_async(query, **arguments)
            return rows

    @contextmanager
    def _watched(self) -> Generator[None]:
        try:
            yield
        except UniqueViolation:
            raise
        except ConnectorException as error:
            # The server's own functions refuse with this what has been done before.
            if not isinstance(error.__cause__, psycopg.errors.RaiseException):
                self._on_loss()
            raise
