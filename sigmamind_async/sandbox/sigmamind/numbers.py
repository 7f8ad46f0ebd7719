"""What each phone-number operation does: an account and a request in, an outcome out.

Nothing here changes the account. An operation says what is to change, the backend applies it.
Raises :class:`RefusedError` for a request that is answered with an error.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from sigmamind_async.sandbox.account import changed, releasing
from sigmamind_async.sandbox.answers import Json, json_answer
from sigmamind_async.sandbox.chance import draw_index
from sigmamind_async.sandbox.fields import read_body, text, without_secrets
from sigmamind_async.sandbox.messages import Answer, ApiRequest, Change, Outcome
from sigmamind_async.sandbox.refusals import RefusedError
from sigmamind_async.sandbox.sigmamind import rules, views
from sigmamind_async.sandbox.sigmamind.account import SigmaMindAccount
from sigmamind_async.sandbox.sigmamind.paging import page_answer
from sigmamind_async.sandbox.sigmamind.records import (
    BRING_YOUR_OWN,
    PROVISIONED_PROVIDERS,
    PhoneNumber,
)

_NO_CONTENT = 204


def create_number(account: SigmaMindAccount, call: ApiRequest) -> Outcome:
    """Buy a number: exactly the one named, or one the platform picks."""
    body = rules.read_creation(call)
    account.check_agents(call, text(body, "inboundAgentId"), text(body, "outboundAgentId"))
    wanted = text(body, "phoneNumber") or _pick(account, body)
    account.check_free(call, wanted)
    account.check_balance(call)
    carrier = draw_index(account.seed, len(PROVISIONED_PROVIDERS), "provider", wanted)
    number = _new_number(body, wanted, PROVISIONED_PROVIDERS[carrier], call.now)
    change = Change(
        kind="purchase",
        phone_number=wanted,
        friendly_name=text(body, "friendlyName"),
        body=body,
        state={"number": attrs.asdict(number), "purchase": True},
    )
    view = views.created_view(number, call.switches)
    return Outcome(answer=json_answer(call.switches.create_status, view), change=change)


def import_number(account: SigmaMindAccount, call: ApiRequest) -> Outcome:
    """Take in a number the customer owns, over the customer's trunk."""
    body = read_body(call, rules.IMPORT)
    account.check_agents(call, text(body, "inboundAgentId"), text(body, "outboundAgentId"))
    wanted = str(body["phoneNumber"])
    account.check_free(call, wanted)
    number = attrs.evolve(
        _new_number(body, wanted, BRING_YOUR_OWN, call.now),
        termination_sip_uri=text(body, "terminationSipURI"),
        trunk_username=text(body, "trunkUsername"),
    )
    change = Change(
        kind="import",
        phone_number=wanted,
        friendly_name=text(body, "friendlyName"),
        body=without_secrets(body, rules.IMPORT),
        state={"number": attrs.asdict(number)},
        secrets=_secrets(number, body),
    )
    view = views.imported_view(number, call.switches, text(body, "trunkPassword"))
    return Outcome(answer=json_answer(call.switches.create_status, view), change=change)


def update_number(account: SigmaMindAccount, call: ApiRequest) -> Outcome:
    """Change what the body names; what it leaves out stays."""
    found = account.number(call)
    body = read_body(call, rules.UPDATE)
    account.check_agents(call, text(body, "inboundAgentId"), text(body, "outboundAgentId"))
    number = _updated(found, body, null_clears=call.switches.null_clears)
    secrets = _secrets(number, body)
    change = Change(
        kind="update",
        phone_number=number.phone_number,
        friendly_name=text(body, "friendlyName"),
        body=without_secrets(body, rules.UPDATE),
        state={"number": attrs.asdict(number)},
        secrets=secrets,
    )
    password = secrets.get(number.phone_number, account.secrets.get(number.phone_number))
    view = views.number_view(number, call.switches, password)
    return Outcome(answer=json_answer(200, view), change=change)


def get_number(account: SigmaMindAccount, call: ApiRequest) -> Outcome:
    """Read one number."""
    number = account.visible_number(call)
    return Outcome(answer=json_answer(200, _view(account, call, number)))


def list_numbers(account: SigmaMindAccount, call: ApiRequest) -> Outcome:
    """Read a page of numbers, oldest first."""
    rows = account.visible(call)
    return Outcome(answer=page_answer(call, rows, lambda number: _view(account, call, number)))


def delete_number(account: SigmaMindAccount, call: ApiRequest) -> Outcome:
    """Release a number."""
    number = account.number(call)
    change = releasing(number)
    if call.switches.delete_status == _NO_CONTENT:
        return Outcome(answer=Answer(status=_NO_CONTENT), change=change)
    return Outcome(answer=json_answer(200, _view(account, call, number)), change=change)


def _pick(account: SigmaMindAccount, body: Mapping[str, object]) -> str:
    country, area_code = text(body, "countryCode"), body.get("areaCode")
    if country is None:
        raise RefusedError(400, "Either phoneNumber or countryCode must be provided")
    return account.pick(country, int(area_code) if isinstance(area_code, int | float) else None)


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
    values = {
        fields[name]: text(body, name)
        for name, value in body.items()
        if name in fields and (value is not None or null_clears)
    }
    return changed(found, values)


def _secrets(number: PhoneNumber, body: Mapping[str, object]) -> dict[str, str | None]:
    password = text(body, "trunkPassword")
    if password is None or not number.is_imported:
        return {}
    return {number.phone_number: password}


def _view(account: SigmaMindAccount, call: ApiRequest, number: PhoneNumber) -> Json:
    return views.number_view(number, call.switches, account.secrets.get(number.phone_number))
