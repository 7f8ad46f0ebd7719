"""A journal in a PostgreSQL database, for workers on many machines. Needs the extra ``postgres``.

`journal` is what is called; `lines` the thread and the connections that carry it out; `tables` what
is in the database, and `target` which one it is; `diagnosis` says what is wrong with it, and
`clock` what time it is there. `rate` is how fast all workers of an account may send together.
"""

try:
    from sigmamind_async.provisioning.journal.postgres.journal import PostgresJournal
except ImportError as error:
    # Without libpq, psycopg is installed and cannot be imported: that error names no module.
    if "psycopg" not in (error.name or "psycopg"):
        raise
    raise ImportError(
        "PostgresJournal needs psycopg, which comes with the extra:"
        ' pip install "sigmamind-async[postgres]"',
        name="psycopg",
    ) from None

__all__ = ["PostgresJournal"]
