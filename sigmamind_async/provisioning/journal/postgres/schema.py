"""The tables in the database, and how earlier ones are brought up to date.

Each of `MIGRATIONS` makes one version, and is never changed once it has been released: for other
tables, or another `put`, append one. `migrate` runs those that are missing, all in one transaction,
under a lock that one process holds at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import psycopg

from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.journal.sql import (
    COLUMNS,
    MAY_BE_UNSETTLED,
    NAMES,
    UPDATES,
    quote_states,
)
from sigmamind_async.provisioning.row import UNSETTLED

OLDEST: Final = 140_000
"""The oldest supported server, by its own number: PostgreSQL 14."""

_TABLES: Final = """
CREATE TABLE {schema}.journal (
    journal_id text NOT NULL,
    version integer NOT NULL,
    openings bigint NOT NULL
);
INSERT INTO {schema}.journal VALUES (replace(gen_random_uuid()::text, '-', ''), 0, 0);

-- Texts compare by bytes: an index in a language's order breaks when the system changes that.
-- The purchases of an account are the sum of its slots. A write adds to the one of its connection,
-- so that two writers do not wait for each other's commit.
CREATE TABLE {schema}.accounts (
    account text COLLATE "C" NOT NULL,
    slot integer NOT NULL,
    purchase_count bigint NOT NULL,
    PRIMARY KEY (account, slot)
) WITH (fillfactor = 50);
CREATE TABLE {schema}.key_fingerprints (
    account text COLLATE "C" NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    PRIMARY KEY (account, fingerprint)
);
CREATE TABLE {schema}.last_applied (
    row_id text COLLATE "C" PRIMARY KEY,
    text text NOT NULL
);
CREATE TABLE {schema}.leases (
    name text COLLATE "C" PRIMARY KEY,
    holder text COLLATE "C" NOT NULL,
    until double precision NOT NULL
);
CREATE TABLE {schema}.operations (
    account text COLLATE "C" NOT NULL,
    op_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    token text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    unconfirmed_since double precision NOT NULL,
    lease_until double precision NOT NULL,
    sent_at double precision NOT NULL,
    listed_at double precision NOT NULL,
    updated_at double precision NOT NULL,
    tagged boolean NOT NULL,
    purchase_count bigint NOT NULL,
    detail text NOT NULL,
    write_id uuid NOT NULL,
    place bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (account, op_id)
) WITH (autovacuum_vacuum_scale_factor = 0.01);
CREATE INDEX by_state ON {schema}.operations (account, state);
CREATE INDEX by_unsettled ON {schema}.operations (account) WHERE {may_be_unsettled};
CREATE INDEX by_token ON {schema}.operations (account, token);
CREATE INDEX by_key ON {schema}.operations (account, key) WHERE key <> '';
CREATE INDEX by_tag ON {schema}.operations (account, updated_at) WHERE state = 'done' AND tagged;
CREATE INDEX by_time ON {schema}.operations (updated_at);
CREATE UNIQUE INDEX one_unsettled ON {schema}.operations (account, key)
    WHERE key <> '' AND state IN {unsettled};
"""

# These are the rules of `check_put`. A function makes a write one statement: no lock is ever held
# while the server waits for a client, which may be frozen or cut off. A client that lost the answer
# calls it again with the same write_id, and gets the same answer even if others wrote in between.
#
# The limit on purchases is exact although no writer waits for another until it is near. A writer
# holds its slot from before it reads the sum until it has committed. So whatever a sum does not
# show is one of the other slots' writes, of which each adds one purchase at most: a sum that leaves
# room for one more in every other slot cannot lead beyond the limit. A writer that has no such room
# undoes its write, and makes it again with all slots held: it has waited for every other writer,
# and they wait for it. Slots are locked after the row is written, in one order, so none deadlocks.
_PUT: Final = """
CREATE FUNCTION {schema}.put(new {schema}.operations, max_purchases bigint, durable boolean)
RETURNS text LANGUAGE plpgsql AS $put$
DECLARE
    slots CONSTANT integer := 64;
    old {schema}.operations;
    more bigint;
    total bigint;
    has_limit boolean;
    is_exact boolean;
BEGIN
    -- Only a person at a console holds these locks for longer than a commit takes.
    PERFORM set_config('lock_timeout', '4s', true);
    -- A stronger setting, a standby that confirms for instance, is left as it is.
    IF NOT durable THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    ELSIF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    -- One writer of an operation at a time, even while it has no row that could be locked.
    PERFORM pg_advisory_xact_lock(
        hashtextextended('{schema} ' || new.account || ' ' || new.op_id, 0));
    SELECT * INTO old FROM {schema}.operations AS o
        WHERE o.account = new.account AND o.op_id = new.op_id;
    IF old.write_id = new.write_id THEN
        RETURN 'stored';
    END IF;
    IF new.version <> coalesce(old.version, 0) + 1 THEN
        RETURN 'stale';
    END IF;

    more := new.purchase_count - coalesce(old.purchase_count, 0);
    has_limit := more > 0 AND max_purchases IS NOT NULL;
    -- In a stricter transaction a sum shows only what was committed before that began.
    is_exact := has_limit
        AND (more > 1 OR current_setting('transaction_isolation') <> 'read committed');
    LOOP
        BEGIN
            INSERT INTO {schema}.operations AS o ({columns}, write_id)
            VALUES ({new_values}, new.write_id)
            ON CONFLICT (account, op_id) DO UPDATE SET {updates}, write_id = excluded.write_id
            -- A program that writes without this function has not waited for the lock above.
            WHERE o.version = excluded.version - 1;
            IF NOT FOUND THEN
                RETURN 'stale';
            END IF;
            IF more = 0 THEN
                RETURN 'stored';
            END IF;

            IF NOT EXISTS (SELECT FROM {schema}.accounts AS a WHERE a.account = new.account) THEN
                INSERT INTO {schema}.accounts (account, slot, purchase_count)
                    SELECT new.account, n, 0 FROM generate_series(0, slots - 1) AS n
                    ON CONFLICT DO NOTHING;
            END IF;
            IF is_exact THEN
                PERFORM 1 FROM {schema}.accounts AS a WHERE a.account = new.account
                    ORDER BY a.slot FOR UPDATE;
            END IF;
            UPDATE {schema}.accounts AS a SET purchase_count = a.purchase_count + more
                WHERE a.account = new.account AND a.slot = pg_backend_pid() % slots;
            IF NOT has_limit THEN
                RETURN 'stored';
            END IF;
            SELECT sum(a.purchase_count) INTO total FROM {schema}.accounts AS a
                WHERE a.account = new.account;
            IF total + slots - 1 <= max_purchases OR is_exact AND total <= max_purchases THEN
                RETURN 'stored';
            END IF;
            RAISE EXCEPTION USING ERRCODE = 'SMLIM';
        EXCEPTION
            -- Of one_unsettled: ON CONFLICT handles the primary key.
            WHEN unique_violation THEN
                RETURN 'key_in_use';
            WHEN SQLSTATE 'SMLIM' THEN
                IF is_exact THEN
                    RETURN 'limit_reached';
                END IF;
                is_exact := true;
        END;
    END LOOP;
END
$put$;
"""

# The shared rate of the workers (see `workers.rates`). The table is here because a schema has one
# version, and a user who may write to the journal may not have the right to create tables.
_RATES: Final = """
CREATE TABLE {schema}.rates (
    account text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL DEFAULT 1,
    rate double precision,
    paused_until double precision NOT NULL DEFAULT 0,
    model text NOT NULL DEFAULT ''
) WITH (fillfactor = 50);
"""

ENDED_CHANNEL: Final = "sigmamind_ended"
"""Where the ends of jobs are notified, each by its queueing lock, if there is a listener."""
ENDED_LOCK: Final = "hashtextextended('sigmamind_async ended', 0)"
"""The advisory lock that all listeners share."""

# For a worker of the queue: finishes some jobs and fetches the next, with its operation. It does
# not wait for the disk: a job that a crash makes the server forget to have finished is run again,
# and finds in the journal that nothing is left to do. The settings end with the transaction, so
# behind a pooler no other client gets them. The tables and functions of the queue are
# procrastinate's, in whatever schema the connection finds them. For the notification see
# `workers.watch`; that two of these calls at once take each other for a listener does no harm.
_NEXT_JOB: Final = """
CREATE FUNCTION {schema}.next_job(
    finished bigint[], statuses text[], deletes boolean[], queues varchar[], worker bigint,
    OUT job jsonb, OUT operation {schema}.operations
) LANGUAGE plpgsql AS $next_job$
DECLARE
    found record;
    has_listener boolean;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    IF finished <> '{}' THEN
        has_listener := NOT pg_try_advisory_xact_lock({lock});
        -- Locked first: finishing a job that is gone would be an error.
        PERFORM procrastinate_finish_job_v1(
                held.id, done.status::procrastinate_job_status, done.is_deleted),
            CASE WHEN has_listener THEN pg_notify('{channel}', left(held.queueing_lock, 1000)) END
        FROM unnest(finished, statuses, deletes) AS done (id, status, is_deleted)
        JOIN LATERAL (
            SELECT j.id, j.queueing_lock FROM procrastinate_jobs AS j
            WHERE j.id = done.id AND j.status IN ('todo', 'doing') FOR UPDATE
        ) AS held ON true;
    END IF;
    IF queues IS NULL THEN
        RETURN;
    END IF;
    -- The server must find the first job by its index. Until its statistics are up to date it would
    -- sort all waiting jobs: with 10,000 that takes 10 ms a job, not 0.5.
    PERFORM set_config('enable_sort', 'off', true);
    SELECT * INTO found FROM procrastinate_fetch_job_v2(queues, worker);
    IF found.id IS NULL THEN
        RETURN;
    END IF;
    job := to_jsonb(found);
    SELECT * INTO operation FROM {schema}.operations AS o
        WHERE o.account = found.args ->> 'account' AND o.op_id = found.args ->> 'op_id';
END
$next_job$;
""".replace("{lock}", ENDED_LOCK).replace("{channel}", ENDED_CHANNEL)

# A dump, a base backup or a promoted standby brings back the rows of its time together with this
# text, but in another table, cluster or timeline than the text names.
_INCARNATION: Final = """
CREATE FUNCTION {schema}.incarnation() RETURNS text LANGUAGE plpgsql AS $incarnation$
DECLARE
    cluster text := '';
BEGIN
    BEGIN
        SELECT s.system_identifier || ' ' || c.timeline_id INTO cluster
            FROM pg_control_system() AS s, pg_control_checkpoint() AS c;
    EXCEPTION WHEN insufficient_privilege OR undefined_function THEN
        NULL;  -- some hosts withhold them from their users
    END;
    RETURN cluster || ' ' || '{schema}.operations'::regclass::oid;
END
$incarnation$;
ALTER TABLE {schema}.journal ADD COLUMN incarnation text NOT NULL DEFAULT '';
UPDATE {schema}.journal SET incarnation = {schema}.incarnation();
"""


def _generate(text: str) -> str:
    """Fill in what follows from the columns and states of a row.

    A change of either needs a migration that makes the function ``put`` and the index anew.
    """
    parts = {
        "{may_be_unsettled}": MAY_BE_UNSETTLED,
        "{unsettled}": quote_states(UNSETTLED),
        "{columns}": NAMES,
        "{new_values}": ", ".join(f"new.{name}" for name in COLUMNS),
        "{updates}": UPDATES,
    }
    for name, part in parts.items():
        text = text.replace(name, part)
    return text


MIGRATIONS: Final = (_generate(_TABLES + _PUT), _RATES + _NEXT_JOB + _INCARNATION)

NOW: Final = "extract(epoch FROM clock_timestamp())::double precision"
PUT: Final = (
    f"SELECT {{schema}}.put(ROW({', '.join(['%s'] * (len(COLUMNS) + 1))}, NULL)"
    "::{schema}.operations, %s, %s)"
)
"""Takes the columns of a row, a write id, the most purchases, and whether it must be durable."""

_TABLE_NAMES: Final = """
SELECT array_agg(relname) FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""
_SCHEMA_EXISTS: Final = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s"
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('sigmamind_async ' || %s, 0))"
_VERSION: Final = "SELECT version FROM {schema}.journal"
_SERVER: Final = "SELECT pg_is_in_recovery(), current_setting('server_encoding')"

_NOT_OURS: Final = (
    "the schema holds tables of another application, and was left as it is.\n"
    "Name another schema; it is made if there is none."
)


def with_schema(text: str, schema: str) -> bytes:
    """Return a statement about the tables of *schema*."""
    return text.replace("{schema}", f'"{schema}"').encode()


async def migrate(
    connection: psycopg.AsyncConnection,
    schema: str,
    *,
    read_only: bool = False,
    migrations: Sequence[str] = MIGRATIONS,
) -> None:
    """Make the tables, or bring them up to date; prove that they are ours.

    Raises `JournalError`, without the name of the journal, if that is not possible.
    """
    await _check_server(connection, read_only=read_only)
    version = await _read_version(connection, schema)
    if version < len(migrations) and not read_only:
        version = await _run_migrations(connection, schema, migrations)
    if version == 0:
        raise JournalError("there is no journal.\nName the one that a job has made.")
    if version != len(migrations):
        raise JournalError(
            "was made by another version of sigmamind-async"
            f" (schema version {version}, here {len(migrations)}).\n"
            "Use one version everywhere: the one that made it, or a later one."
        )


async def _check_server(connection: psycopg.AsyncConnection, *, read_only: bool) -> None:
    version = connection.info.server_version
    if version < OLDEST:
        raise JournalError(
            f"the server is PostgreSQL {version // 10_000}.\n"
            f"Use version {OLDEST // 10_000} or later."
        )
    standby, encoding = await _fetch_one(connection, _SERVER.encode()) or (False, "")
    if standby and not read_only:
        raise JournalError(
            "the server is a standby, which accepts no writes.\n"
            "Name the primary; target_session_attrs=read-write finds it among several hosts."
        )
    if encoding != "UTF8":
        raise JournalError(
            f"the database stores text as {encoding}.\nUse one that was made with ENCODING 'UTF8'."
        )


async def _read_version(connection: psycopg.AsyncConnection, schema: str) -> int:
    """Return the version of the tables in *schema*; 0 without any."""
    (names,) = await _fetch_one(connection, _TABLE_NAMES.encode(), schema) or (None,)
    if not names:
        return 0
    if not {"journal", "operations"} <= set(names):
        raise JournalError(_NOT_OURS)
    try:
        found = await _fetch_one(connection, with_schema(_VERSION, schema))
    except psycopg.errors.UndefinedColumn:
        found = None
    if found is None:
        raise JournalError(_NOT_OURS)
    return int(found[0])


async def _run_migrations(
    connection: psycopg.AsyncConnection, schema: str, migrations: Sequence[str]
) -> int:
    """Run the missing migrations, once no other process is running any."""
    async with connection.transaction():
        # After waiting for the lock, what was made meanwhile must be visible.
        await connection.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        await connection.execute(_LOCK, (schema,))
        version = await _read_version(connection, schema)
        if not await _fetch_one(connection, _SCHEMA_EXISTS.encode(), schema):
            await connection.execute(with_schema("CREATE SCHEMA {schema}", schema))
        for migration in migrations[version:]:
            await connection.execute(with_schema(migration, schema))
        version = max(version, len(migrations))
        await connection.execute(
            with_schema("UPDATE {schema}.journal SET version = %s", schema), (version,)
        )
    return version


async def _fetch_one(
    connection: psycopg.AsyncConnection, query: bytes, *values: object
) -> tuple[Any, ...] | None:
    cursor = await connection.execute(query, values or None)
    return await cursor.fetchone()
