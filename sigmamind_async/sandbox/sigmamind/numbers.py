"""What each phone-number operation does: an account and a request in, an outcome out.

Nothing here changes the account. An operation says what is to change, the tower applies it.
Raises :class:`RefusedError` for a request that is answered with an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from sigmamind_async.sandbox.chance import draw_index
from sigmamind_async.sandbox.sigmamind import rules, views
from sigmamind_async.sandbox.sigmamind.account import Account
from sigmamind_async.sandbox.sigmamind.paging import page_answer
from sigmamind_async.sandbox.sigmamind.records import (
    BRING_YOUR_OWN,
    PROVISIONED_PROVIDERS,
    PhoneNumber,
)
from sigmamind_async.sandbox.sigmamind.rules import RefusedError, text
from sigmamind_async.sandbox.sigmamind.stock import choose_number
from sigmamind_async.sandbox.tower import Answer, Call, Change, Outcome

_NO_CONTENT = 204


def create_number(account: Account, call: Call, seed: int) -> Outcome:
    """Buy a number: exactly the one named, or one the platform picks."""
    body = rules.read_body(call, rules.CREATE)
    account.check_agents(call, text(body, "inboundAgentId"), text(body, "outboundAgentId"))
    wanted = text(body, "phoneNumber") or _pick(account, body, seed)
    _check_free(account, call, wanted)
    _check_balance(account, call)
    carrier = draw_index(seed, len(PROVISIONED_PROVIDERS), "provider", wanted)
    number = _new_number(body, wanted, PROVISIONED_PROVIDERS[carrier], call.now)
    change = Change(
        kind="purchase",
        phone_number=wanted,
        friendly_name=text(body, "friendlyName"),
        body=body,
        state={"number": attrs.asdict(number), "purchase": True},
    )
    view = views.created_view(number, call.switches)
    return Outcome(answer=views.json_answer(call.switches.create_status, view), change=change)


def import_number(account: Account, call: Call, seed: int) -> Outcome:
    """Take in a number the customer owns, over the customer's trunk."""
    del seed
    body = rules.read_body(call, rules.IMPORT)
    account.check_agents(call, text(body, "inboundAgentId"), text(body, "outboundAgentId"))
    wanted = str(body["phoneNumber"])
    _check_free(account, call, wanted)
    number = attrs.evolve(
        _new_number(body, wanted, BRING_YOUR_OWN, call.now),
        termination_sip_uri=text(body, "terminationSipURI"),
        trunk_username=text(body, "trunkUsername"),
    )
    change = Change(
        kind="import",
        phone_number=wanted,
        friendly_name=text(body, "friendlyName"),
        body=rules.without_secrets(body, rules.IMPORT),
        state={"number": attrs.asdict(number)},
        secrets=_secrets(number, body),
    )
    view = views.imported_view(number, call.switches, text(body, "trunkPassword"))
    return Outcome(answer=views.json_answer(call.switches.create_status, view), change=change)


def update_number(account: Account, call: Call, seed: int) -> Outcome:
    """Change what the body names; what it leaves out stays."""
    del seed
    found = account.number(call)
    body = rules.read_body(call, rules.UPDATE)
    account.check_agents(call, text(body, "inboundAgentId"), text(body, "outboundAgentId"))
    number = _updated(found, body, null_clears=call.switches.null_clears)
    secrets = _secrets(number, body)
    change = Change(
        kind="update",
        phone_number=number.phone_number,
        friendly_name=text(body, "friendlyName"),
        body=rules.without_secrets(body, rules.UPDATE),
        state={"number": attrs.asdict(number)},
        secrets=secrets,
    )
    password = secrets.get(number.phone_number, account.passwords.get(number.phone_number))
    view = views.number_view(number, call.switches, password)
    return Outcome(answer=views.json_answer(200, view), change=change)


def get_number(account: Account, call: Call, seed: int) -> Outcome:
    """Read one number."""
    del seed
    number = account.number(call)
    if number.created_at + call.list_lag > call.now:
        raise RefusedError(404, "Phone number not found")
    return Outcome(answer=views.json_answer(200, _view(account, call, number)))


def list_numbers(account: Account, call: Call, seed: int) -> Outcome:
    """Read a page of numbers, oldest first."""
    del seed
    rows = account.visible(call)
    return Outcome(answer=page_answer(call, rows, lambda number: _view(account, call, number)))


def delete_number(account: Account, call: Call, seed: int) -> Outcome:
    """Release a number."""
    del seed
    number = account.number(call)
    change = Change(
        kind="release",
        phone_number=number.phone_number,
        friendly_name=None,
        body={},
        state={"released": number.phone_number},
    )
    if call.switches.delete_status == _NO_CONTENT:
        return Outcome(answer=Answer(status=_NO_CONTENT), change=change)
    return Outcome(answer=views.json_answer(200, _view(account, call, number)), change=change)


def _pick(account: Account, body: Mapping[str, object], seed: int) -> str:
    country, area_code = text(body, "countryCode"), body.get("areaCode")
    if country is None:
        raise RefusedError(400, "Either phoneNumber or countryCode must be provided")
    number = choose_number(
        country,
        int(area_code) if isinstance(area_code, int | float) else None,
        seed=seed,
        count=account.purchases,
        taken=account.sold,
    )
    if number is None:
        # Undocumented: what the platform answers when a country has no stock.
        raise RefusedError(400, f"No phone number is available in {country}")
    return number


def _check_free(account: Account, call: Call, phone_number: str) -> None:
    if phone_number in account.numbers and call.switches.duplicates == "reject":
        raise RefusedError(409, f"Phone number {phone_number} already exists")


def _check_balance(account: Account, call: Call) -> None:
    most = call.switches.max_purchases
    if most is not None and account.purchases >= most:
        raise RefusedError(402, "The balance does not cover this purchase")


def _new_number(
    body: Mapping[str, object],
    phone_number: str,
    provider: str,
    now: float,
) -> PhoneNumber:
    label = text(body, "friendlyName")
    return PhoneNumber(
        phone_number=phone_number,
        provider=provider,
        # "If omitted, the number itself is used as the display name."
        friendly_name=phone_number if label is None else label,
        inbound_agent_id=text(body, "inboundAgentId"),
        outbound_agent_id=text(body, "outboundAgentId"),
        outbound_phone_number=text(body, "outboundPhoneNumber"),
        created_at=now,
    )


_UPDATES = {
    "friendlyName": "friendly_name",
    "inboundAgentId": "inbound_agent_id",
    "outboundAgentId": "outbound_agent_id",
    "outboundPhoneNumber": "outbound_phone_number",
}
# "Applicable only for BYO numbers": no effect on others, and no error either.
_TRUNK_UPDATES = {
    "terminationSipUri": "termination_sip_uri",
    "trunkUsername": "trunk_username",
}


def _updated(
    found: PhoneNumber,
    body: Mapping[str, object],
    *,
    null_clears: bool,
) -> PhoneNumber:
    fields = _UPDATES | (_TRUNK_UPDATES if found.is_imported else {})
    values: dict[str, Any] = attrs.asdict(found)
    values |= {
        fields[name]: text(body, name)
        for name, value in body.items()
        if name in fields and (value is not None or null_clears)
    }
    return PhoneNumber(**values)


def _secrets(number: PhoneNumber, body: Mapping[str, object]) -> dict[str, str]:
    password = text(body, "trunkPassword")
    if password is None or not number.is_imported:
        return {}
    return {number.phone_number: password}


def _view(account: Account, call: Call, number: PhoneNumber) -> views.Json:
    return views.number_view(number, call.switches, account.passwords.get(number.phone_number))
