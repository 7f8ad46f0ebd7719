"""A journal in a PostgreSQL database, for workers on many machines. Needs the extra ``postgres``.

`journal` has the class to use, `connections` its thread and connections, `schema` the tables, and
`dsn` the name of the database.
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
