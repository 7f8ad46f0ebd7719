"""What each phone-number operation of DialNexa does: an account and a request in, an outcome out.

Nothing here changes the account. An operation says what is to change, the backend applies it.
Raises :class:`RefusedError` for a request that is answered with an error.
"""

from __future__ import annotations

import attrs

from sigmamind_async.sandbox.account import changed, releasing
from sigmamind_async.sandbox.answers import Json, finished, json_answer
from sigmamind_async.sandbox.dialnexa import rules, views
from sigmamind_async.sandbox.dialnexa.account import DialNexaAccount
from sigmamind_async.sandbox.dialnexa.paging import number_type, page_answer
from sigmamind_async.sandbox.dialnexa.records import CARRIER, TRUNK, PhoneNumber
from sigmamind_async.sandbox.fields import COUNTRY_CODE, read_body, text, without_secrets
from sigmamind_async.sandbox.messages import Answer, ApiRequest, Change, Outcome
from sigmamind_async.sandbox.refusals import Problem, RefusedError
from sigmamind_async.sandbox.stock import NUMBERING_PLANS, country_of, on_offer

FOUND = 20
"""Numbers a search finds."""


def search_numbers(account: DialNexaAccount, call: ApiRequest) -> Outcome:
    """Find numbers for sale. Nothing is reserved: who buys first has it."""
    country = call.query.get("country_iso", "")
    if not country:
        raise RefusedError(400, "country_iso is required")
    if not COUNTRY_CODE.fullmatch(country):
        said = f"must match ^{COUNTRY_CODE.pattern}$"
        problem = Problem(kind="pattern", name="country_iso", said=said, place="query")
        raise RefusedError(400, "", problem)
    # Everything in stock is local.
    count = FOUND if number_type(call.query) in {None, "local"} else 0
    found = on_offer(
        country, seed=account.seed, count=count, taken=account.sold, share=account.share
    )
    offers = [views.offer_view(number, country, call.switches) for number in found]
    content = {
        "api_id": "00000000-0000-4000-8000-000000000000",
        "objects": offers,
        "meta": {"total_count": len(offers)},
    }
    return Outcome(answer=json_answer(200, content))


def list_pricing(account: DialNexaAccount, call: ApiRequest) -> Outcome:
    """List what a number of each country costs. Nothing is paged."""
    del account
    prices = [views.price_view(iso, call.switches) for iso in NUMBERING_PLANS]
    return Outcome(answer=json_answer(200, prices))


def list_countries(account: DialNexaAccount, call: ApiRequest) -> Outcome:
    """List how the numbers of each country are made. Nothing is paged."""
    rules = [views.country_view(iso, account.seed) for iso in NUMBERING_PLANS]
    return Outcome(answer=json_answer(200, [finished(rule, call.switches) for rule in rules]))


def list_destinations(account: DialNexaAccount, call: ApiRequest) -> Outcome:
    """List the countries that may be called: all."""
    del account, call
    return Outcome(answer=json_answer(200, list(map(views.destination_view, NUMBERING_PLANS))))


def purchase_number(account: DialNexaAccount, call: ApiRequest) -> Outcome:
    """Buy exactly the number that is named."""
    body = rules.read_purchase(call)
    wanted = text(body, "phone_number") or str(body["phoneNumber"])
    if not call.switches.dialnexa.kyc_approved:
        raise RefusedError(403, "KYC verification is required")
    account.check_free(call, wanted)
    account.check_balance(call)
    number = _new_number(account, call, wanted, text(body, "provider") or CARRIER)
    change = Change(
        kind="purchase",
        record_id=number.key,
        phone_number=wanted,
        friendly_name=None,
        body=body,
        state={"number": attrs.asdict(number), "purchase": True},
    )
    view = views.purchase_view(number, call)
    answer = views.record_answer(call.switches.create_status, view, call.switches)
    return Outcome(answer=answer, change=change)


def import_number(account: DialNexaAccount, call: ApiRequest) -> Outcome:
    """Take in a number the customer owns, over the customer's trunk."""
    body = rules.read_import(call)
    wanted = str(body["phoneNumber"])
    account.check_free(call, wanted)
    if not call.switches.dialnexa.trunk_registers:
        raise RefusedError(502, "SIP trunk registration failed")
    nickname = text(body, "nickname")
    number = attrs.evolve(_new_number(account, call, wanted, TRUNK), nickname=nickname)
    password = text(body, "sipTrunkPassword")
    change = Change(
        kind="import",
        record_id=number.key,
        phone_number=wanted,
        friendly_name=nickname,
        body=without_secrets(body, rules.IMPORT),
        state={"number": attrs.asdict(number)},
        secrets={number.key: password} if password else {},
    )
    return Outcome(answer=_number_answer(call, number, call.switches.create_status), change=change)


def update_number(account: DialNexaAccount, call: ApiRequest) -> Outcome:
    """Change what the body names; what it leaves out stays."""
    found = account.number(call)
    body = read_body(call, rules.UPDATE)
    _check_agent(account, call, text(body, "agent_id"))
    # Null or an empty string clears a nickname. What the label does with them is not said.
    said = {
        name: value or None
        for name, value in body.items()
        if value is not None or call.switches.null_clears
    }
    number = changed(found, said)
    change = Change(
        kind="update",
        record_id=number.key,
        phone_number=number.phone_number,
        friendly_name=text(body, "nickname"),
        body=body,
        state={"number": attrs.asdict(number)},
    )
    return Outcome(answer=_number_answer(call, number), change=change)


def get_number(account: DialNexaAccount, call: ApiRequest) -> Outcome:
    """Read one number."""
    return Outcome(answer=_number_answer(call, account.visible_number(call)))


def list_numbers(account: DialNexaAccount, call: ApiRequest) -> Outcome:
    """Read a page of numbers, oldest first."""
    return Outcome(answer=page_answer(call, account.visible(call), lambda row: _view(call, row)))


def release_number(account: DialNexaAccount, call: ApiRequest) -> Outcome:
    """Release a number, permanently."""
    number = account.number(call)
    if call.switches.dialnexa.numbers_in_use:
        raise RefusedError(409, "Phone number is used by an active workflow")
    change = releasing(number)
    if not call.switches.dialnexa.delete_body:
        return Outcome(answer=Answer(status=200), change=change)
    answer = json_answer(200, {"message": "Phone number released successfully"})
    return Outcome(answer=answer, change=change)


def _check_agent(account: DialNexaAccount, call: ApiRequest, agent_id: str | None) -> None:
    switches = call.switches.dialnexa
    if agent_id is None or agent_id in account.agents:
        return
    if switches.check_agents if agent_id else switches.empty_agent == "reject":
        raise RefusedError(400, "agent_id does not exist or cannot be assigned to a number")


def _new_number(
    account: DialNexaAccount,
    call: ApiRequest,
    phone_number: str,
    provider: str,
) -> PhoneNumber:
    return PhoneNumber(
        key="phn_" + account.next_id(12),
        phone_number=phone_number,
        provider=provider,
        country_code=country_of(phone_number),
        created_at=call.now,
        active_at=call.now + call.switches.dialnexa.pending_seconds,
    )


def _number_answer(call: ApiRequest, number: PhoneNumber, status: int = 200) -> Answer:
    return views.record_answer(status, _view(call, number), call.switches)


def _view(call: ApiRequest, number: PhoneNumber) -> Json:
    return views.number_view(number, call.switches, call.now)
