"""A journal in one SQLite file.

`journal` has the class to use, `writer` the thread that works for it, `reader` a short cut for
reads, `file` what proves that the file is whole, `lockfile` and `inode_lock` what keeps other
processes out, `schema` the tables, and `errors` what is wrong with the file.
"""

from sigmamind_async.provisioning.journal.sqlite.journal import SqliteJournal

__all__ = ["SqliteJournal"]
