"""A journal in one SQLite file.

`journal` has the class to use, with a short cut for reads, `writer` the thread that works for it,
`snapshot` its status without an event loop, `file` what proves that the file is whole, `lockfile`
and `inode_lock` what keeps other processes out, `schema` the tables, and `explanation` what to do
about a file that cannot be used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sigmamind_async.provisioning.journal.sqlite.journal import SqliteJournal

__all__ = ["SqliteJournal"]


def __getattr__(name: str) -> object:
    """Load the journal when it is asked for: `snapshot` reads without an event loop."""
    if name == "SqliteJournal":
        from sigmamind_async.provisioning.journal.sqlite.journal import SqliteJournal

        return SqliteJournal
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
