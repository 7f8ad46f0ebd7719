"""A journal in one SQLite file.

`journal` is what is called, `writer` the thread that carries it out, `file` what that opens, and
`lockfile` how others are kept out.
"""

from sigmamind_async.provisioning.journal.sqlite.journal import SqliteJournal

__all__ = ["SqliteJournal"]
