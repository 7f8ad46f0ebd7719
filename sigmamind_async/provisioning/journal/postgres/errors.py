"""What is wrong with a database, and what to do, in words for a person.

The server says what it refuses by five characters: https://www.postgresql.org/docs/current/errcodes-appendix.html
Where no connection was had there are only libpq's own words.
"""

from __future__ import annotations

from typing import Final

import psycopg

from sigmamind_async.errors import JournalError

_CHANGED: Final = (
    "its tables were changed or removed while it was open.\n"
    "Find out who does that; after an upgrade of the package, start this process anew."
)
_LOCKED: Final = (
    "another program keeps its rows or tables locked.\n"
    "End that program's transaction, and call again."
)
_FULL: Final = (
    "the server's disk is full; nothing was stored.\nFree some space there, and call again."
)
_STANDBY: Final = (
    "the server takes no writes: it is a standby, or set to be read-only.\n"
    "Name the primary; target_session_attrs=read-write finds it among several hosts."
)
_CROWDED: Final = (
    "the server takes no more connections.\n"
    "Raise its max_connections, or open this journal with fewer connections in each process."
)

_OF_SERVER: Final = {
    "25006": _STANDBY,
    "3F000": _CHANGED,
    "42501": "",  # see _no_right
    "42703": _CHANGED,
    "42804": _CHANGED,
    "42846": _CHANGED,
    "42883": _CHANGED,
    "42P01": _CHANGED,
    "53100": _FULL,
    "53300": _CROWDED,
    "55P03": _LOCKED,
    "57014": (
        "the server broke the statement off, by a time limit or because somebody asked it to.\n"
        "Look at statement_timeout of this user and database, and call again."
    ),
}

_SIGNED: Final = (
    "Set sslrootcert to the file of the authority that signed the server's certificate;"
    " sslrootcert=system trusts those of the system."
)
_OF_CONNECTING: Final = (
    # The first that fits counts, and a file of certificates does not exist in the same words.
    ("root certificate", _SIGNED),
    ("certificate verify failed", _SIGNED),
    (
        "does not match host name",
        "Name the server as its certificate does; hostaddr gives its address beside that.",
    ),
    (
        "definition of service",
        "Look at ~/.pg_service.conf, or at the file that PGSERVICEFILE names.",
    ),
    ("certificate file", "Look at sslcert and sslkey, and whether this user may read the files."),
    ("private key file", "Look at sslcert and sslkey, and whether this user may read the files."),
    ("does not exist", "Make the user and the database first, or name others."),
    ("authentication failed", "Look at user and password; ~/.pgpass and PGPASSWORD count too."),
    ("no password supplied", "Give the password: in the DSN, in PGPASSWORD or in ~/.pgpass."),
    ("pg_hba.conf", "Have the server allow this user to connect from here, in its pg_hba.conf."),
    ("permission denied for database", "Grant the user CONNECT on the database."),
    ("too many clients", "Raise the server's max_connections, or open fewer connections."),
    (
        "remaining connection slots",
        "Raise the server's max_connections, or open fewer connections.",
    ),
    ("could not translate host name", "Look at the host's name."),
)
_REACH: Final = "Look whether the server runs there and can be reached from here, and call again."

_BROKEN: Final = ("08", "57P")
"""The connection ended, or the server does."""
_PASSING: Final = frozenset({"40001", "40P01", "53300"})
"""The server undid the statement because of another one, or is full at the moment."""


class QueryTimeout(psycopg.OperationalError):
    """No answer came in time."""


def is_passing(error: Exception) -> bool:
    """Return whether the same statement may succeed a moment later."""
    if not isinstance(error, psycopg.OperationalError) or isinstance(error, QueryTimeout):
        return False
    return is_uncertain(error) or error.sqlstate in _PASSING


def is_uncertain(error: Exception) -> bool:
    """Return whether a statement that ended so may have been carried out."""
    if not isinstance(error, psycopg.OperationalError):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(_BROKEN)


def explain_error(error: BaseException, *, connected: bool) -> str:
    """Return what is wrong, and in a second line what to do.

    Args:
        error: What was raised.
        connected: Whether there was a connection.
    """
    match error:
        case JournalError():
            return error.message
        case UnicodeEncodeError():
            # Nothing has been sent.
            return f"{error.object!r} holds a lone surrogate, which UTF-8 cannot write"
        case psycopg.Error() if error.sqlstate is not None:
            return _of_server(error, error.sqlstate)
        case psycopg.DataError():
            return "a key holds a NUL character, which PostgreSQL cannot keep"
        case psycopg.OperationalError() | TimeoutError():
            return _of_connection(error, connected=connected)
        case _:
            return (
                f"cannot be used: {type(error).__name__}: {error}.\n"
                "Look the words up, and open the journal again."
            )


def _of_server(error: psycopg.Error, code: str) -> str:
    said = error.diag.message_primary or "no reason given"
    if code == "42501" and "for database" in said:
        return (
            f"this user may not make the journal's schema: {said}.\n"
            f"Have the owner run GRANT CREATE ON DATABASE {said.rsplit(maxsplit=1)[-1]} TO this"
            " user, or open the journal once as a user that may."
        )
    if code == "42501":
        return (
            f"this user has not the right to do that: {said}.\n"
            "Have the schema's owner grant it, or let that user open the journal."
        )
    return _OF_SERVER.get(code) or (
        f"the server refuses: {said} ({code}).\nLook the words up, and call again."
    )


def _of_connection(error: BaseException, *, connected: bool) -> str:
    if isinstance(error, (QueryTimeout, TimeoutError)):
        said = "no answer came in time"
    else:
        # The rest repeats the same for each address that was tried.
        said = str(error).strip().split("\n")[0].removesuffix(".")
        said = said.rsplit("failed: ", maxsplit=1)[-1].removeprefix("FATAL:").strip()
    advice = next((advice for words, advice in _OF_CONNECTING if words in str(error)), _REACH)
    return f"{'the connection was lost' if connected else 'cannot be reached'}: {said}.\n{advice}"
