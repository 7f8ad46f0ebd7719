"""The statements that journals in SQLite and in PostgreSQL run alike, written once."""

# ruff: noqa: S608 - every part of a statement is a constant of ours

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sigmamind_async.provisioning.journal.columns import COLUMNS
from sigmamind_async.provisioning.row import UNSETTLED, State

NAMES: Final = ", ".join(COLUMNS)
UPDATES: Final = ", ".join(f"{name} = excluded.{name}" for name in list(COLUMNS)[2:])
"""Sets all columns but the key, where a row is there already."""


def quote_states(states: Collection[State]) -> str:
    """Return *states* as the list of an ``IN``."""
    words = sorted(f"'{state.value}'" for state in states)
    return f"({', '.join(words)})"


# A database uses a partial index only for a query that repeats the index's condition.
HAS_KEY: Final = "key <> ''"
IS_UNSETTLED: Final = f"state IN {quote_states(UNSETTLED)}"
HAS_TAG: Final = f"state = '{State.DONE.value}' AND tagged"


class Statements:
    """The statements, in the spelling of one database.

    Args:
        schema: What comes before the name of a table.
        mark: Stands for a value.
        any_of: What follows a column that must have one of several texts, given as one value.
        age: The column that orders rows by age.
    """

    def __init__(self, *, schema: str, mark: str, any_of: str, age: str) -> None:
        self.rows = f"SELECT {NAMES} FROM {schema}operations WHERE account = {mark}"
        self.get = f"{self.rows} AND op_id = {mark}"
        self.in_states = f"{self.rows} AND state {any_of} ORDER BY {age}"
        self.with_tokens = f"{self.rows} AND token {any_of} ORDER BY {age}"
        self.with_key = (
            f"{self.rows} AND key = {mark} AND {HAS_KEY}"
            f" AND ({IS_UNSETTLED} OR unconfirmed_since > {mark}) ORDER BY {age}"
        )
        self.tagged_before = f"{self.rows} AND {HAS_TAG} AND updated_at < {mark} ORDER BY {age}"
        self.counts = (
            "SELECT state, count(*), (SELECT purchase_count"
            f" FROM {schema}accounts AS a WHERE a.account = o.account)"
            f" FROM {schema}operations AS o WHERE account = {mark} GROUP BY account, state"
        )
        self.last_applied = f"SELECT row_id, text FROM {schema}last_applied"
        self.set_applied = (
            f"INSERT INTO {schema}last_applied (row_id, text) VALUES ({mark}, {mark})"
            " ON CONFLICT (row_id) DO UPDATE SET text = excluded.text"
        )
        self.remove_applied = f"DELETE FROM {schema}last_applied WHERE row_id = {mark}"
        self.key_fingerprints = (
            f"SELECT fingerprint FROM {schema}key_fingerprints WHERE account = {mark}"
        )
        self.add_key_fingerprint = (
            f"INSERT INTO {schema}key_fingerprints (account, fingerprint) VALUES ({mark}, {mark})"
            " ON CONFLICT DO NOTHING"
        )


SQLITE: Final = Statements(
    schema="",
    mark="?",
    # A statement has a limit of values, so a list is one value.
    any_of="IN (SELECT value FROM json_each(?))",
    age="rowid",
)
POSTGRES: Final = Statements(schema="{schema}.", mark="%s", any_of="= ANY(%s)", age="place")
