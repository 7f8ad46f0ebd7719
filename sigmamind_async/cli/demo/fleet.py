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
    """The part of a fleet that is on one platform, and what the account has to hold for it."""

    platform: str
    rows: tuple[Cells, ...]
    purchases: int
    """Rows that buy."""
    held: tuple[str, ...] = ()
    """Numbers that some of the rows change."""


def sample_fleet(seed: int, count: int) -> tuple[Sample, ...]:
    """Return *count* rows over all platforms: more than half of them purchases.

    Every label is there once, so that what was bought for a row can be told from a listing.
    """
    random = Random(seed)  # noqa: S311 - a sample is no secret
    verbex, dialnexa = count // 4, count // 4
    return (
        _on_sigmamind(random, count - verbex - dialnexa),
        _on_verbex(random, verbex),
        _on_dialnexa(random, dialnexa),
    )


def _on_sigmamind(random: Random, count: int) -> Sample:
    purchases, imports = count // 2, count // 4
    held = tuple(f"+1206555{place:04}" for place in range(count - purchases - imports))
    rows = [
        *(_purchase(random, place) for place in range(purchases)),
        *(_import(random, place) for place in range(imports)),
        *(_update(random, place, number) for place, number in enumerate(held)),
    ]
    return Sample(platform="sigmamind", rows=_mixed(random, rows), purchases=purchases, held=held)


def _on_verbex(random: Random, count: int) -> Sample:
    purchases = count * 2 // 3
    rows = [
        *(_purchase_pia(random, place) for place in range(purchases)),
        *(_import_twilio(random, place) for place in range(count - purchases)),
    ]
    return Sample(platform="verbex", rows=_mixed(random, rows), purchases=purchases)


def _on_dialnexa(random: Random, count: int) -> Sample:
    purchases = count * 2 // 3
    rows = [
        *(_purchase_exactly(place) for place in range(purchases)),
        *(_import_trunk(random, place) for place in range(count - purchases)),
    ]
    return Sample(platform="dialnexa", rows=_mixed(random, rows), purchases=purchases)


def _mixed(random: Random, rows: list[Cells]) -> tuple[Cells, ...]:
    random.shuffle(rows)
    return tuple(rows)


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


def _purchase_pia(random: Random, place: int) -> Cells:
    return {
        "id": f"pia-{place:03}",
        "action": "create",
        "provider": "pia",
        "friendly_name": f"{random.choice(TEAMS)}, from pia {place:03}",
    }


def _import_twilio(random: Random, place: int) -> Cells:
    return {
        "id": f"twilio-{place:03}",
        "action": "create",
        "provider": "twilio",
        "phone_number": f"+1720555{place:04}",
        "friendly_name": f"{random.choice(TEAMS)}, from twilio {place:03}",
        "twilio_account_sid": "AC1",
        "twilio_auth_token": f"file:{PASSWORD_FILE}",
    }


def _purchase_exactly(place: int) -> Cells:
    return {
        "id": f"exact-{place:03}",
        "action": "purchase",
        "phone_number": f"+1415555{place:04}",
        "telephony_provider_id": "tp_12345678901",
        "country_iso": "US",
    }


def _import_trunk(random: Random, place: int) -> Cells:
    return {
        "id": f"trunk-{place:03}",
        "action": "import",
        "phone_number": f"+1646555{place:04}",
        "termination_uri": "sip.carrier.example",
        "sip_trunk_user_name": "demo",
        "sip_trunk_password": f"file:{PASSWORD_FILE}",
        "nickname": f"{random.choice(TEAMS)}, by trunk {place:03}",
    }


def _agent(random: Random) -> str:
    return f"agent_{random.randint(1, 9)}"
