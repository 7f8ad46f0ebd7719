"""A made-up fleet to try things with: numbers to buy, to import and to change. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

import attrs

FILE: Final = "fleet.csv"
PASSWORD_FILE: Final = "trunk-password"  # noqa: S105 - the name of the file that holds it
_TEAMS: Final = ("Support", "Sales", "Billing", "Onboarding", "Night desk")
_PLACES: Final = (("US", 415), ("US", 212), ("US", 617), ("GB", 121), ("DE", 711), ("AU", 280))
_TRUNK: Final = {
    "termination_uri": "sip.carrier.example",
    "trunk_username": "demo",
    "trunk_password": f"file:{PASSWORD_FILE}",
}
_TWILIO: Final = {"twilio_account_sid": "AC1", "twilio_auth_token": f"file:{PASSWORD_FILE}"}
_NEXA: Final = {"country_code": "US", "telephony_provider_id": "tp_12345678901"}
_COLUMNS: Final = (
    *("id", "platform", "source", "phone_number", "country_code", "area_code"),
    *("telephony_provider_id", "label", "inbound_agent_id", *_TRUNK, *_TWILIO),
)
_GROUPS: Final[tuple[tuple[str, str, int, str, Mapping[str, object]], ...]] = (
    ("sigmamind", "purchase", 6, "", {}),
    ("sigmamind", "import", 3, "+1303555", _TRUNK),
    ("sigmamind", "existing", 3, "+1206555", {}),
    ("verbex", "purchase", 4, "", {}),
    ("verbex", "import", 2, "+1720555", _TWILIO),
    ("dialnexa", "purchase", 4, "+1415555", _NEXA),
    ("dialnexa", "import", 2, "+1646555", _TRUNK),
)
"""Platform, source, share of 24 rows, what their numbers begin with, and other cells."""

SampleRow = dict[str, object]
"""Cells of one row, by column."""


@attrs.frozen
class Sample:
    """The rows of a fleet file."""

    rows: tuple[SampleRow, ...]

    def of(self, *, platform: str | None = None, source: str | None = None) -> list[SampleRow]:
        """Return the rows of a *platform* and a *source*; `None` is any."""
        return [
            row
            for row in self.rows
            if platform in {None, row["platform"]} and source in {None, row["source"]}
        ]

    def csv(self) -> str:
        """Return the fleet file."""
        text = io.StringIO()
        writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()


def sample_fleet(seed: int, count: int, agents: Sequence[str]) -> Sample:
    """Return *count* rows over all platforms: more than half of them purchases.

    Every label is there once, so that the ledger shows what was bought twice for one row.
    *agents* are those of the SigmaMind account.
    """
    random = Random(seed)  # noqa: S311 - a sample is no secret
    groups = [group for group in _GROUPS for _ in range(group[2])]
    rows: list[SampleRow] = []
    for place in range(count):
        # 7 has no factor in common with 24: every group has its turn, and few rows have most.
        platform, source, _, prefix, cells = groups[place * 7 % len(groups)]
        row: SampleRow = {"id": f"{platform}-{source}-{place:03}", "platform": platform, **cells}
        row |= {"source": source, "label": f"{random.choice(_TEAMS)} {place:03}"}
        if prefix:
            row["phone_number"] = f"{prefix}{place:04}"
        if platform == "sigmamind":
            row["inbound_agent_id"] = random.choice(agents)
        if (platform, source) == ("sigmamind", "purchase"):
            row["country_code"], row["area_code"] = random.choice(_PLACES)
        rows.append(row)
    random.shuffle(rows)
    return Sample(tuple(rows))
