"""Which database a journal is in: how to reach it, and its name in messages."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

import attrs
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.values import Secret, check_type

log: Final = logging.getLogger(__name__)

SLOW: Final = 5.0
"""Seconds after which a wait for the database is logged."""

_SCHEMA: Final = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}", re.ASCII)

_DEFAULTS: Final = {
    "application_name": "sigmamind-async",
    # For each host of several, so that the next one gets its turn.
    "connect_timeout": "3",
    # A machine that is gone sends nothing: without these it is waited for by the hour.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
_SHOWN: Final = ("host", "hostaddr", "dbname")
_PORT: Final = re.compile(r"[0-9,]*", re.ASCII)
_SECRETS: Final = ("password", "sslpassword", "oauth_client_secret")


@contextmanager
def warn_if_slow(name: str) -> Generator[None]:
    """Log a warning if the block, which waits for the database *name*, takes long.

    A pooler without a free connection lets its clients wait, and sends them nothing.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # the caller's own connection, and thread
        yield
        return
    alarm = loop.call_later(
        SLOW,
        log.warning,
        "%s: waiting for a connection, or an answer, for %.0f s: check the size of the pool,"
        " here and in a pooler such as PgBouncer, and locks that other programs hold",
        name,
        SLOW,
    )
    try:
        yield
    finally:
        alarm.cancel()


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Target:
    """A schema of a database, and how to connect to that."""

    name: str
    """Without user and password."""
    schema: str
    _parameters: dict[str, Any] = attrs.field(alias="parameters")

    async def connect(self) -> psycopg.AsyncConnection:
        """Return a new connection of the running loop; raise `psycopg.Error` without one."""
        return await psycopg.AsyncConnection.connect(
            **self._parameters,
            autocommit=True,
            # A statement prepared on a connection is missing once a pooler has swapped that.
            prepare_threshold=None,
        )

    @property
    def conninfo(self) -> str:
        """All of it as libpq takes it, with the password, for other connections."""
        return make_conninfo(**self._parameters)

    def redact(self, text: str) -> str:
        """Return *text* without the passwords of the database."""
        secrets = [self._parameters.get(name) for name in _SECRETS]
        for secret in (*secrets, os.environ.get("PGPASSWORD")):
            text = text.replace(str(secret), "***") if secret else text
        return text


def parse_dsn(dsn: Secret, schema: str) -> Target:
    """Return the target that *dsn* names.

    Raises `ConfigurationError`, which quotes nothing of *dsn*, if that cannot be used.
    """
    given: object = dsn
    if not isinstance(given, Secret):
        raise ConfigurationError(f"dsn: must be text, not of type {type(given).__name__}")
    check_type("schema", schema, str)
    if _SCHEMA.fullmatch(schema) is None:
        raise ConfigurationError(
            "schema: must be 1 to 63 lower-case letters, digits and underscores, begin with no"
            " digit and not with pg_"
        )
    parameters = _parse(dsn)
    if parameters is None:
        # The parser's own message quotes what it did not understand, which may be the password.
        raise ConfigurationError(
            "dsn: is not a PostgreSQL connection string; write postgresql://user:password@host/name,"
            " with special characters of user and password percent-encoded"
        )
    return Target(
        name=_describe_target(parameters, schema),
        schema=schema,
        parameters={**_DEFAULTS, **parameters, "client_encoding": "utf8"},
    )


def _parse(dsn: Secret) -> dict[str, Any] | None:
    try:
        parameters = conninfo_to_dict(dsn.reveal())
    except (psycopg.Error, UnicodeError):
        return None
    # Part of a password with a slash or an at sign, not encoded, ends up in what messages show.
    shown = [str(parameters.get(name, "")) for name in _SHOWN]
    whole = _PORT.fullmatch(str(parameters.get("port", ""))) is not None
    return parameters if whole and not any("@" in text for text in shown) else None


def _describe_target(parameters: dict[str, Any], schema: str) -> str:
    host = parameters.get("host") or parameters.get("hostaddr") or os.environ.get("PGHOST")
    port = parameters.get("port") or os.environ.get("PGPORT")
    database = parameters.get("dbname") or os.environ.get("PGDATABASE")
    service = parameters.get("service") or os.environ.get("PGSERVICE")
    if service and not host:
        host = f"the host of service {service}"  # only libpq reads its file
    place = f"{host or 'this machine'}{f':{port}' if port else ''}"
    return f"PostgreSQL {f'database {database} ' if database else ''}on {place}, schema {schema}"
