"""A journal in one SQLite file.

`journal` has the class to use, with a short cut for reads, `writer` the thread that works for it,
`file` what proves that the file is whole, `lockfile` and `inode_lock` what keeps other processes
out, and `schema` the tables.
"""

from sigmamind_async.provisioning.journal.sqlite.journal import SqliteJournal

__all__ = ["SqliteJournal"]
