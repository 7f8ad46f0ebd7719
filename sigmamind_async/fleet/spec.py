"""What a fleet should be: rows of wanted state, in words that fit every platform.

A field that a row does not say is left alone; one that it says is `None` is cleared. A secret is
said by a reference, ``env:NAME`` or ``file:PATH``, which is resolved when a request is made and
never before; a `Secret` stands in a row only where the caller has allowed that.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import attrs

from sigmamind_async.values import Secret

Cell: TypeAlias = str | int | bool | Secret | None
"""What a row says of one field."""


class Source(enum.Enum):
    """Where the number of a row comes from."""

    PURCHASE = "purchase"
    """It is bought, once."""
    IMPORT = "import"
    """It is one's own, reached over a SIP trunk or at a carrier."""
    EXISTING = "existing"
    """The account has it already."""


class DesiredState(enum.Enum):
    """Whether a row wants its number or wants it gone."""

    PRESENT = "present"
    ABSENT = "absent"
    """Released, permanently, where the caller allows that as well."""


LONGEST_ID: Final = 128
"""Most characters of a row's id."""

OWN_NAMES: Final = ("id", "platform", "source", "state")
"""What a row says beside its fields."""

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
"""Every field that a row may say, in the order of columns: first what several platforms take, then
each platform's own."""

SECRETS: Final = frozenset({"trunk_password", "twilio_auth_token"})
"""Fields that are said by reference."""

WHOLE_NUMBERS: Final = frozenset({"area_code"})
"""Fields that are whole numbers; all others are texts."""


@attrs.frozen(kw_only=True)
class FleetRow:
    """One number as it should be."""

    id: str
    """The caller's own name of the row, 1 to 128 printable characters. The journal knows the number
    by it: a row keeps its id for as long as it means the same number."""
    platform: str
    """``sigmamind``, ``verbex`` or ``dialnexa``."""
    source: Source
    state: DesiredState = DesiredState.PRESENT
    fields: Mapping[str, Cell] = attrs.field(hash=False, factory=dict[str, Cell])
    """What is said, by names of `FIELDS`."""
    line: int = 0
    """Where it stands in its file, from 1; 0 where it comes from none."""

    @property
    def phone_number(self) -> str:
        """The number that it names; empty where the platform picks one."""
        number = self.fields.get("phone_number")
        return number if isinstance(number, str) else ""


@attrs.frozen(kw_only=True)
class Problem:
    """One thing that is wrong with a row, or with a file."""

    message: str
    id: str = ""
    """The row's; empty where that is not known."""
    field: str = ""
    """Empty for the row as a whole."""
    file: str = ""
    line: int = 0
    """From 1; 0 where it comes from no file."""
    column: int = 0
    """Character of the line, from 1, where the format tells; 0 otherwise."""

    def __str__(self) -> str:
        places = [str(place) for place in (self.line, self.column) if place]
        where = ":".join([*([self.file] if self.file else []), *places])
        names = " ".join(name for name in (self.id, self.field) if name)
        return ": ".join(part for part in (where, names, self.message) if part)


@attrs.frozen(kw_only=True)
class Fleet:
    """The rows of a fleet, and all that is wrong with those that are not among them."""

    rows: Sequence[FleetRow]
    problems: Sequence[Problem] = ()
    skipped: Sequence[str] = ()
    """Ids of further rows, which are left alone although they belong to the fleet."""
