"""A made-up fleet to try things with: numbers to buy, to import and to change. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from random import Random
from typing import Final

import attrs

FILE: Final = "fleet.csv"
PASSWORD_FILE: Final = "trunk-password"  # noqa: S105 - the name of the file that holds it
_PASSWORD: Final = f"file:{PASSWORD_FILE}"
_TEAMS: Final = ("Support", "Sales", "Billing", "Onboarding", "Night desk")
_PLACES: Final = (("US", 415), ("US", 212), ("US", 617), ("GB", 121), ("DE", 711), ("AU", 280))
_TRUNK: Final = {
    "termination_uri": "sip.carrier.example",
    "trunk_username": "demo",
    "trunk_password": _PASSWORD,
}
_TWILIO: Final = {"twilio_account_sid": "AC1", "twilio_auth_token": _PASSWORD}
_COLUMNS: Final = (
    *("id", "platform", "source", "phone_number", "country_code", "area_code"),
    *("telephony_provider_id", "label", "inbound_agent_id", *_TRUNK, *_TWILIO),
)

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
    verbex = dialnexa = count // 4
    sigmamind = count - verbex - dialnexa
    rows = [
        *(_on_sigmamind(random, place, sigmamind, agents) for place in range(sigmamind)),
        *(_on_verbex(place, verbex) for place in range(verbex)),
        *(_on_dialnexa(place, dialnexa) for place in range(dialnexa)),
    ]
    for row in rows:
        row["label"] = f"{random.choice(_TEAMS)} {row['id']}"
    random.shuffle(rows)
    return Sample(tuple(rows))


def _on_sigmamind(random: Random, place: int, count: int, agents: Sequence[str]) -> SampleRow:
    """Return a purchase, an import or a change: half, a quarter and a quarter of *count* rows."""
    base = {"platform": "sigmamind", "inbound_agent_id": random.choice(agents)}
    if place < count // 2:
        country_code, area_code = random.choice(_PLACES)
        where = {"country_code": country_code, "area_code": area_code}
        return {**base, "id": f"sigma-buy-{place:03}", "source": "purchase", **where}
    if place < count // 2 + count // 4:
        number = {"phone_number": f"+1303555{place:04}", **_TRUNK}
        return {**base, "id": f"sigma-own-{place:03}", "source": "import", **number}
    number = {"phone_number": f"+1206555{place:04}"}
    return {**base, "id": f"sigma-has-{place:03}", "source": "existing", **number}


def _on_verbex(place: int, count: int) -> SampleRow:
    if place < count * 2 // 3:
        return {"platform": "verbex", "id": f"verbex-buy-{place:03}", "source": "purchase"}
    number = {"phone_number": f"+1720555{place:04}", **_TWILIO}
    return {"platform": "verbex", "id": f"verbex-own-{place:03}", "source": "import", **number}


def _on_dialnexa(place: int, count: int) -> SampleRow:
    if place < count * 2 // 3:
        number = {"phone_number": f"+1415555{place:04}", "country_code": "US"}
        provider = {"telephony_provider_id": "tp_12345678901"}
        base = {"platform": "dialnexa", "id": f"nexa-buy-{place:03}", "source": "purchase"}
        return {**base, **number, **provider}
    number = {"phone_number": f"+1646555{place:04}", **_TRUNK}
    return {"platform": "dialnexa", "id": f"nexa-own-{place:03}", "source": "import", **number}
