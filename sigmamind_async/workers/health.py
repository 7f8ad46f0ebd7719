"""What makes fetching jobs ever dearer: read from the database, for an operator to act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
import psycopg
from psycopg.rows import dict_row

from sigmamind_async.provisioning.journal.postgres.schema import with_schema
from sigmamind_async.workers.enqueue import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Mapping

KEEP_FAILED: Final = 7 * 86_400.0
"""Seconds for which the queue keeps a job that has failed; the journal keeps its operation."""
LONG_TRANSACTION: Final = 600.0
"""Seconds after which an open transaction of any program makes fetching jobs dearer."""
OLDEST_TRANSACTION: Final = """
SELECT pid, application_name, extract(epoch FROM now() - xact_start)::float8 AS seconds
FROM pg_stat_activity
WHERE datname = current_database() AND backend_xmin IS NOT NULL
    AND xact_start < now() - make_interval(secs => %(seconds)s)
ORDER BY xact_start LIMIT 1
"""
MOST_DEAD: Final = 0.05
"""Share of a busy table that may be dead before autovacuum cleans it up."""

_JOBS: Final = """
SELECT count(*) FILTER (WHERE status = 'todo') AS waiting,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    (
        SELECT extract(epoch FROM now() - min(ended.at))::float8 FROM (
            SELECT max(e.at) AS at
            FROM procrastinate_jobs AS f JOIN procrastinate_events AS e ON e.job_id = f.id
            WHERE f.status = 'failed' AND starts_with(f.queue_name, %(prefix)s) GROUP BY f.id
        ) AS ended
    ) AS oldest_failed
FROM procrastinate_jobs WHERE starts_with(queue_name, %(prefix)s)
"""
_BUSY: Final = """
SELECT relation::text AS name,
    coalesce(
        (SELECT option_value FROM pg_options_to_table(reloptions)
         WHERE option_name = 'autovacuum_enabled'), 'true'
    )::bool AND current_setting('autovacuum')::bool AS cleans,
    coalesce(
        (SELECT option_value FROM pg_options_to_table(reloptions)
         WHERE option_name = 'autovacuum_vacuum_scale_factor'),
        current_setting('autovacuum_vacuum_scale_factor')
    )::float8 AS share
FROM unnest(ARRAY[
    to_regclass('procrastinate_jobs'), to_regclass('procrastinate_events'),
    to_regclass('{schema}.operations')
]) AS relation JOIN pg_class ON pg_class.oid = relation
"""


@attrs.frozen(kw_only=True)
class LongTransaction:
    """A transaction that keeps finished jobs in the table for as long as it is open."""

    pid: int
    """Process of the server: ``pg_terminate_backend(pid)`` ends it."""
    application: str
    """Name that its program gave itself; may be empty."""
    seconds: float
    """Seconds for which it has been open."""


@attrs.frozen(kw_only=True)
class QueueHealth:
    """What slows a queue down, and what its workers have left behind."""

    waiting: int
    """Jobs that no worker has fetched yet, those that wait for a settle time among them."""
    failed: int
    """Jobs that have failed; workers remove each after seven days."""
    oldest_failed: float | None
    """Seconds since the first of them failed."""
    not_vacuumed: tuple[str, ...]
    """Busy tables that autovacuum cleans up rarely or never."""
    long_transaction: LongTransaction | None
    """The oldest one that has been open for ten minutes or longer."""


async def inspect_queue(
    connection: psycopg.AsyncConnection[Any], schema: str
) -> QueueHealth | None:
    """Return the health of the queue in the database; `None` if no queue was made there yet."""

    async def fetch(statement: str, values: Mapping[str, object]) -> list[dict[str, Any]]:
        cursor = await rows.execute(with_schema(statement, schema), values)
        return await cursor.fetchall()

    async with connection.cursor(row_factory=dict_row) as rows:
        tables = await fetch(_BUSY, {})
        if not any(each["name"].endswith("procrastinate_jobs") for each in tables):
            return None
        [jobs] = await fetch(_JOBS, {"prefix": f"{NAMESPACE}/"})
        oldest = await fetch(OLDEST_TRANSACTION, {"seconds": LONG_TRANSACTION})
    return QueueHealth(
        **jobs,
        not_vacuumed=tuple(
            each["name"] for each in tables if not each["cleans"] or each["share"] > MOST_DEAD
        ),
        long_transaction=next(
            (
                LongTransaction(
                    pid=each["pid"],
                    application=each["application_name"],
                    seconds=each["seconds"],
                )
                for each in oldest
            ),
            None,
        ),
    )
