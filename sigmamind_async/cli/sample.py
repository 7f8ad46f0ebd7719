"""A made-up fleet to try things with: rows to buy, to import and to change. Pure."""

from __future__ import annotations

from random import Random

import attrs

from sigmamind_async.cli.rows import Cells

TEAMS = ("Support", "Sales", "Billing", "Onboarding", "Night desk")
PLACES = (("US", 415), ("US", 212), ("US", 617), ("GB", 121), ("DE", 711), ("AU", 280))
PASSWORD_FILE = "trunk-password"  # noqa: S105 - the name of the file that holds it


@attrs.frozen(kw_only=True)
class Sample:
    """A fleet, and what the account has to hold for it."""

    rows: tuple[Cells, ...]
    held: tuple[str, ...]
    """Numbers that some of the rows change."""


def sample_fleet(seed: int, count: int) -> Sample:
    """Return *count* rows: half of them purchases, a quarter imports, a quarter changes.

    Every row's label is its own, so that what was bought for it can be told from a listing.
    """
    random = Random(seed)  # noqa: S311 - a sample is no secret
    purchases, imports = count // 2, count // 4
    held = tuple(f"+1206555{place:04}" for place in range(count - purchases - imports))
    rows = [
        *(_purchase(random, place) for place in range(purchases)),
        *(_import(random, place) for place in range(imports)),
        *(_update(random, place, number) for place, number in enumerate(held)),
    ]
    random.shuffle(rows)
    return Sample(rows=tuple(rows), held=held)


def _purchase(random: Random, place: int) -> Cells:
    country_code, area_code = random.choice(PLACES)
    return {
        "id": f"buy-{place:03}",
        "action": "create",
        "country_code": country_code,
        "area_code": area_code,
        "friendly_name": f"{random.choice(TEAMS)}, bought {place:03}",
        "inbound_agent_id": _agent(random),
    }


def _import(random: Random, place: int) -> Cells:
    return {
        "id": f"own-{place:03}",
        "action": "import",
        "phone_number": f"+1303555{place:04}",
        "friendly_name": f"{random.choice(TEAMS)}, own {place:03}",
        "inbound_agent_id": _agent(random),
        "termination_sip_uri": "sip.carrier.example",
        "trunk_username": "demo",
        "trunk_password": f"file:{PASSWORD_FILE}",
    }


def _update(random: Random, place: int, phone_number: str) -> Cells:
    return {
        "id": f"move-{place:03}",
        "action": "update",
        "phone_number": phone_number,
        "friendly_name": f"{random.choice(TEAMS)}, moved {place:03}",
        "inbound_agent_id": random.choice((_agent(random), None)),
    }


def _agent(random: Random) -> str:
    return f"agent_{random.randint(1, 9)}"
