"""What each phone-number operation of Verbex does: an account and a request in, an outcome out.

Nothing here changes the account. An operation says what is to change, the backend applies it.
Raises :class:`RefusedError` for a request that is answered with an error.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from sigmamind_async.sandbox.account import Account, changed, releasing
from sigmamind_async.sandbox.answers import Json, json_answer
from sigmamind_async.sandbox.fields import text, without_secrets
from sigmamind_async.sandbox.messages import Answer, ApiRequest, Change, Outcome
from sigmamind_async.sandbox.verbex import rules, views
from sigmamind_async.sandbox.verbex.paging import page_answer
from sigmamind_async.sandbox.verbex.records import (
    OWN_FIELDS,
    SECRET_FIELDS,
    PhoneNumber,
    Variant,
)

Numbers = Account[PhoneNumber]

_ID_LENGTH = 24
_COUNTRY = "US"
_NO_CONTENT = 204


def create_number(account: Numbers, call: ApiRequest) -> Outcome:
    """Add a number: the platform's own is bought, the others are the customer's."""
    variant, body = rules.read_creation(call)
    bought = variant == "pia"
    wanted = text(body, "phone_number") or account.pick(_COUNTRY)
    account.check_free(call, wanted)
    if bought:
        account.check_balance(call)
    number = _new_number(account, call, variant, {**body, "phone_number": wanted})
    secrets = _secrets(number, body)
    state = {"number": attrs.asdict(number)}
    change = Change(
        kind="purchase" if bought else "import",
        record_id=number.key,
        phone_number=wanted,
        friendly_name=number.friendly_name,
        body=without_secrets(body, rules.CREATE[variant]),
        state={**state, "purchase": True} if bought else state,
        secrets=secrets,
    )
    view = views.number_view(number, call.switches, secrets.get(number.key))
    return Outcome(answer=json_answer(call.switches.create_status, view), change=change)


def update_number(account: Numbers, call: ApiRequest) -> Outcome:
    """Change what the body names; what it leaves out stays."""
    found = account.number(call)
    body = rules.read_update(call, found.provider)
    said = {
        name: value
        for name, value in body.items()
        if value is not None or call.switches.null_clears
    }
    secret_field = SECRET_FIELDS.get(found.provider)
    open_fields = {name: value for name, value in said.items() if name != secret_field}
    number = changed(found, open_fields)
    secrets = _secrets(number, said)
    change = Change(
        kind="update",
        record_id=number.key,
        phone_number=number.phone_number,
        friendly_name=text(body, "friendly_name"),
        body=without_secrets(body, rules.UPDATE[found.provider]),
        state={"number": attrs.asdict(number)},
        secrets=secrets,
    )
    secret = secrets.get(number.key, account.secrets.get(number.key))
    view = views.number_view(number, call.switches, secret)
    return Outcome(answer=json_answer(200, view), change=change)


def get_number(account: Numbers, call: ApiRequest) -> Outcome:
    """Read one number."""
    number = account.visible_number(call)
    return Outcome(answer=json_answer(200, _view(account, call, number)))


def list_numbers(account: Numbers, call: ApiRequest) -> Outcome:
    """Read a page of numbers, oldest first."""
    rows = account.visible(call)
    return Outcome(answer=page_answer(call, rows, lambda number: _view(account, call, number)))


def delete_number(account: Numbers, call: ApiRequest) -> Outcome:
    """Remove a number. Neither status nor body is documented."""
    number = account.number(call)
    change = releasing(number)
    status = call.switches.delete_status
    if status == _NO_CONTENT or not call.switches.verbex.delete_body:
        return Outcome(answer=Answer(status=status), change=change)
    return Outcome(answer=json_answer(status, _view(account, call, number)), change=change)


def _new_number(
    account: Numbers,
    call: ApiRequest,
    variant: Variant,
    body: Mapping[str, object],
) -> PhoneNumber:
    own = {name: text(body, name) for name in OWN_FIELDS[variant]}
    if variant == "sip":
        own["sip_infra_region"] = own["sip_infra_region"] or call.switches.verbex.default_region
    return PhoneNumber(
        key=account.next_id(_ID_LENGTH),
        provider=variant,
        phone_number=str(body["phone_number"]),
        friendly_name=text(body, "friendly_name"),
        inbound_agent_id=text(body, "inbound_agent_id"),
        outbound_agent_id=text(body, "outbound_agent_id"),
        **own,
        ordinal=account.made,
        created_at=call.now,
    )


def _secrets(number: PhoneNumber, body: Mapping[str, object]) -> dict[str, str | None]:
    """Return the secret a body sets or clears."""
    name = SECRET_FIELDS.get(number.provider, "")
    return {number.key: text(body, name)} if name in body else {}


def _view(account: Numbers, call: ApiRequest, number: PhoneNumber) -> Json:
    return views.number_view(number, call.switches, account.secrets.get(number.key))
