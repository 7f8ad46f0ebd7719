"""What is wrong with a database, and what to do, in words for a person.

The server names what it refuses by five characters:
https://www.postgresql.org/docs/current/errcodes-appendix.html
Without a connection there are only libpq's own words.
"""

from __future__ import annotations

import re
from typing import Final

import psycopg

from sigmamind_async.errors import JournalError

_CHANGED: Final = (
    "its tables were changed or removed while it was open.\n"
    "Find out what did that; after an upgrade of the package, restart this process."
)

_SERVER_ERRORS: Final = {
    "25006": (
        "the server accepts no writes: it is a standby, or set to be read-only.\n"
        "Name the primary; target_session_attrs=read-write finds it among several hosts."
    ),
    "3F000": _CHANGED,
    "42703": _CHANGED,
    "42804": _CHANGED,
    "42846": _CHANGED,
    "42883": _CHANGED,
    "42P01": _CHANGED,
    "53100": (
        "the server's disk is full; nothing was stored.\nFree some space there, and call again."
    ),
    "53300": (
        "the server accepts no more connections.\n"
        "Raise its max_connections, or open this journal with fewer connections in each process."
    ),
    "55P03": (
        "another program keeps its rows or tables locked.\n"
        "End that program's transaction, and call again."
    ),
    "57014": (
        "the server cancelled the statement, by a time limit or at another session's request.\n"
        "Check statement_timeout of this user and database, and call again."
    ),
}

_ADVICE: Final = {
    # The first that fits counts: a missing file of certificates "does not exist" either.
    "root certificate|certificate verify failed": (
        "Set sslrootcert to the file of the authority that signed the server's certificate;"
        " sslrootcert=system trusts those of the system."
    ),
    "does not match host name": (
        "Name the server as its certificate does; hostaddr gives its address beside that."
    ),
    "definition of service": "Check ~/.pg_service.conf, or the file that PGSERVICEFILE names.",
    "certificate file|private key file": (
        "Check sslcert and sslkey, and whether this user may read the files."
    ),
    "does not exist": "Make the user and the database first, or name others.",
    "authentication failed": "Check user and password; ~/.pgpass and PGPASSWORD are used too.",
    "no password supplied": "Give the password: in the DSN, in PGPASSWORD or in ~/.pgpass.",
    "pg_hba.conf": "Have the server allow this user to connect from here, in its pg_hba.conf.",
    "permission denied for database": "Grant the user CONNECT on the database.",
    "too many clients|remaining connection slots": (
        "Raise the server's max_connections, or open fewer connections."
    ),
    "could not translate host name": "Check the host's name.",
}
"""What to do, by libpq's words as a pattern."""
_REACH: Final = "Check that the server runs there and can be reached from here, and call again."

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
    """Return whether a statement that failed with *error* may have been carried out."""
    if not isinstance(error, psycopg.OperationalError):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(_BROKEN)


def explain_error(error: BaseException, *, connected: bool) -> str:
    """Return what is wrong and, in a second line, what to do.

    Args:
        error: The exception.
        connected: True if there was a connection.
    """
    match error:
        case JournalError():
            return error.message
        case UnicodeEncodeError():
            # Nothing has been sent.
            return f"{error.object!r} holds a lone surrogate, which UTF-8 cannot write"
        case psycopg.Error() if error.sqlstate is not None:
            return _explain_refusal(error, error.sqlstate)
        case psycopg.DataError():
            return "a key holds a NUL character, which PostgreSQL cannot store"
        case psycopg.OperationalError() | TimeoutError():
            return _explain_connection(error, connected=connected)
        case _:
            return (
                f"cannot be used: {type(error).__name__}: {error}.\n"
                "Look the error up, and open the journal again."
            )


def _explain_refusal(error: psycopg.Error, code: str) -> str:
    reason = error.diag.message_primary or "no reason given"
    if code == "42501" and "for database" in reason:
        return (
            f"this user may not make the journal's schema: {reason}.\n"
            f"Have the owner run GRANT CREATE ON DATABASE {reason.rsplit(maxsplit=1)[-1]} TO this"
            " user, or open the journal once as a user that may."
        )
    if code == "42501":
        return (
            f"this user does not have the right to do that: {reason}.\n"
            "Have the schema's owner grant it, or let that user open the journal."
        )
    return _SERVER_ERRORS.get(code) or (
        f"the server refuses: {reason} ({code}).\nLook the error up, and call again."
    )


def _explain_connection(error: BaseException, *, connected: bool) -> str:
    if isinstance(error, (QueryTimeout, TimeoutError)):
        reason = "no answer came in time"
    else:
        # Further lines repeat the same for each address that was tried.
        reason = str(error).strip().split("\n")[0].removesuffix(".")
        reason = reason.rsplit("failed: ", maxsplit=1)[-1].removeprefix("FATAL:").strip()
    fitting = (advice for words, advice in _ADVICE.items() if re.search(words, str(error)))
    problem = "the connection was lost" if connected else "cannot be reached"
    return f"{problem}: {reason}.\n{next(fitting, _REACH)}"
