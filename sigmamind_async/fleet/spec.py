"""A fleet: rows that say how each number should be, with field names that fit every platform.

A field that is not in a row is left alone; one that is `None` is cleared. A secret is given as a
reference, ``env:NAME`` or ``file:PATH``, which is resolved when a request is made; a `Secret` is in
a row only if the caller has allowed that.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final, TypeAlias

import attrs

from sigmamind_async.values import Secret

Cell: TypeAlias = str | int | bool | Secret | None
"""The value of one field of a row."""


class Source(enum.Enum):
    """Where the number of a row comes from."""

    PURCHASE = "purchase"
    """It is bought, once."""
    IMPORT = "import"
    """You have it already, over a SIP trunk or at a carrier."""
    EXISTING = "existing"
    """The account has it already."""


class DesiredState(enum.Enum):
    """Whether a row keeps its number."""

    PRESENT = "present"
    ABSENT = "absent"
    """Released, permanently, if the caller allows it."""


LONGEST_ID: Final = 128
"""Most characters of a row's id."""

OWN_NAMES: Final = ("id", "platform", "source", "state")
"""Columns beside the fields."""

FIELDS: Final = (
    "phone_number",
    "country_code",
    "area_code",
    "label",
    "inbound_agent_id",
    "outbound_agent_id",
    "test_number",
    "termination_uri",
    "trunk_username",
    "trunk_password",
    "sip_infra_region",
    "twilio_account_sid",
    "twilio_auth_token",
    "telephony_provider_id",
    "type",
    "auth_mode",
    "accounting_label",
)
"""Every field of a row, in the order of columns: first those of several platforms, then those of
one."""

SECRETS: Final = frozenset({"trunk_password", "twilio_auth_token"})
"""Fields that are given as references."""

WHOLE_NUMBERS: Final = frozenset({"area_code"})
"""Fields that are whole numbers; all others are texts."""


@attrs.frozen(kw_only=True)
class FleetRow:
    """One number as it should be."""

    id: str
    """Chosen by the caller, 1 to 128 printable characters. The journal knows the number by it: keep
    it as long as the row is about the same number."""
    platform: str
    """``sigmamind``, ``verbex`` or ``dialnexa``."""
    source: Source
    """Where its number comes from."""
    state: DesiredState = DesiredState.PRESENT
    """Whether it keeps its number."""
    fields: Mapping[str, Cell] = attrs.field(hash=False, factory=dict[str, Cell])
    """Values by names of `FIELDS`."""
    line: int = 0
    """In its file, from 1; 0 if it is from none."""

    @property
    def phone_number(self) -> str:
        """The number that it names; empty if the platform picks one."""
        number = self.fields.get("phone_number")
        return number if isinstance(number, str) else ""

    def problem(self, field: str, message: str) -> Problem:
        """Return *message* as a problem of *field*; of the row as a whole if that is empty."""
        return Problem(message=message, id=self.id, field=field, line=self.line)


@attrs.frozen(kw_only=True)
class Problem:
    """One thing that is wrong with a row, or with a file."""

    message: str
    """What is wrong, and what to do about it; one sentence, without a secret."""
    id: str = ""
    """Of the row; empty if it is not known."""
    field: str = ""
    """Empty for the row as a whole."""
    file: str = ""
    """Name of the file; empty if there is none."""
    line: int = 0
    """From 1; 0 if the row is from no file."""
    column: int = 0
    """Character of the line, from 1; 0 if the format does not show it."""
    needs_decision: bool = False
    """True if an operator has to decide about an operation, see `Provisioner.adopt`."""

    def __str__(self) -> str:
        places = [str(place) for place in (self.line, self.column) if place]
        where = ":".join([*([self.file] if self.file else []), *places])
        names = " ".join(name for name in (self.id, self.field) if name)
        return ": ".join(part for part in (where, names, self.message) if part)


@attrs.frozen(kw_only=True, slots=False)
class Fleet:
    """The `rows` of a fleet, and the `problems` of those that are not among them."""

    rows: Sequence[FleetRow]
    problems: Sequence[Problem] = ()
    warnings: Sequence[Problem] = ()
    """What may be a mistake in rows that are nevertheless among `rows`."""
    skipped: Sequence[str] = ()
    """Ids of further rows, which are left alone although they belong to the fleet."""
    origin: str = ""
    """Its name among the fleets that share a journal; empty if it may be any of them."""

    @cached_property
    def ids(self) -> frozenset[str]:
        """Ids of all rows, including those with problems."""
        broken = (problem.id for problem in self.problems if problem.id)
        return frozenset([*(row.id for row in self.rows), *broken, *self.skipped])
