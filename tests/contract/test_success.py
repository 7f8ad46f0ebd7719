"""A 2xx that confirms nothing is no success: of a call, of a row of a job, of an operation."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from sigmamind_async import DialNexa, OutcomeUnknownError, ResponseDecodeError, SigmaMind, Verbex
from sigmamind_async.client import Client
from sigmamind_async.convert import load_json
from sigmamind_async.operation import Operation
from sigmamind_async.platforms import dialnexa, sigmamind, verbex
from sigmamind_async.provisioning import MemoryJournal, Provisioner, State
from sigmamind_async.responses import confirmation
from sigmamind_async.testing import FakeClock, in_fake_time
from tests.contract.dialects import DIALECTS, Dialect
from tests.functional.faultserver import (
    Exchange,
    FaultServer,
    Treatment,
    always,
    answer,
    close_when_read,
    in_turn,
    response,
)
from tests.functional.support import FAST, KEY, PASSWORD, error_of

NUMBER, KEY_OF_RECORD = "+14155550100", "rec_1"
PAGE = b"<!doctype html><html><head><title>Hotel\n Wi-Fi &amp; login</title></head><p>secret</p>"
JSON = "application/json"


def key(dialect: Dialect) -> str:
    return NUMBER if dialect.name == "sigmamind" else KEY_OF_RECORD


def record(dialect: Dialect, **beside: object) -> dict[str, object]:
    """Return the record of the number under its key."""
    shapes: dict[str, dict[str, object]] = {
        "sigmamind": {"sipPhoneNumber": NUMBER},
        "verbex": {"_id": KEY_OF_RECORD, "provider": "pia", "phone_number": NUMBER},
        "dialnexa": {"id": KEY_OF_RECORD, "phone_number": NUMBER},
    }
    return {**shapes[dialect.name], **beside}


def sending(what: object, status: int = 200, kind: str = JSON) -> Treatment:
    body = what if isinstance(what, bytes) else json.dumps(what).encode()
    return answer(status, body, Content_Type=kind)


ODD: dict[str, tuple[Treatment, str]] = {
    "success false": (sending({"success": False, "error": "gone for now"}), "unknown"),
    "ok false": (sending({"ok": False, "message": "gone for now"}), "unknown"),
    "errors": (sending({"errors": [{"message": "gone for now"}]}), "unknown"),
    "status code": (sending({"statusCode": 402, "message": "gone for now"}), "unknown"),
    "in data": (sending({"data": {"success": False, "message": "gone for now"}}), "unknown"),
    "page": (sending(PAGE, kind="text/html"), "unknown"),
    "text": (sending(b"Request blocked", kind="text/plain"), "unknown"),
    "nothing": (sending({}), "yes"),
    "queued": (sending({"status": "queued"}, 202), "yes"),
    "not deleted": (sending({"deleted": False, "message": "gone for now"}), "unknown"),
    "message": (sending({"message": "gone for now"}), "yes"),
    "array": (sending([]), "yes"),
}
NO_REMOVAL = (
    *("success false", "ok false", "errors", "status code", "in data", "page", "queued"),
    "not deleted",
)
WORDS: dict[str, Callable[[Dialect], Any]] = {
    "buy": lambda dialect: dialect.buy(NUMBER),
    "import": lambda dialect: dialect.import_(NUMBER),
    "update": lambda dialect: dialect.label(key(dialect), "Support"),
}


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return DIALECTS[request.param]


def connect(dialect: Dialect, server: FaultServer, **options: Any) -> Any:
    given = {"base_url": server.url, "retry": FAST, "deadline": 10.0, **options}
    return dialect.client(KEY, **given)


def made(server: FaultServer, method: str) -> int:
    return server.methods[method]


# --- calls -----------------------------------------------------------------------------------


@pytest.mark.parametrize("what", WORDS)
@pytest.mark.parametrize("name", ODD)
async def test_an_answer_that_confirms_nothing_is_an_error(
    name: str, what: str, dialect: Dialect
) -> None:
    treatment, committed = ODD[name]
    value = WORDS[what](dialect)
    operation: Operation[Any] = dialect.operation(value)
    async with FaultServer(always(treatment)) as server, connect(dialect, server) as client:
        error = await error_of(client.run(value))
    assert (type(error), error.committed) == (OutcomeUnknownError, committed)
    assert ("gone for now" in str(error)) is (
        name not in {"page", "text", "nothing", "queued", "array"}
    )
    # A page may be a moment's; JSON that came whole is not asked for again, a purchase never.
    again = operation.repeatable and error.not_from_api
    assert made(server, operation.request.method) == (3 if again else 1)


@pytest.mark.parametrize("name", ODD)
async def test_a_row_of_a_job_is_not_done(name: str, dialect: Dialect) -> None:
    treatment, _ = ODD[name]
    values = [make(dialect) for make in WORDS.values()]
    async with FaultServer(always(treatment)) as server, connect(dialect, server) as client:
        outcomes = [outcome async for outcome in client.run_many(values)]
    assert {outcome.status for outcome in outcomes} == {"unconfirmed"}


@pytest.mark.parametrize("name", NO_REMOVAL)
async def test_a_removal_that_is_not_confirmed_is_an_error(name: str, dialect: Dialect) -> None:
    treatment, _ = ODD[name]
    async with FaultServer(always(treatment)) as server, connect(dialect, server) as client:
        error = await error_of(client.run(dialect.remove(key(dialect))))
        [outcome] = [each async for each in client.run_many([dialect.remove(key(dialect))])]
    assert type(error) is OutcomeUnknownError
    assert error.committed in {"yes", "unknown"}
    assert outcome.status == "unconfirmed"


@pytest.mark.parametrize(
    "end",
    [
        answer(204, b""),
        answer(200, b""),
        sending(b"OK", kind="text/plain; charset=utf-8"),
        sending({"message": "ok"}),
        sending({"success": True, "error": None}),
        sending({}),
    ],
)
async def test_a_removal_is_confirmed(end: Treatment, dialect: Dialect) -> None:
    """The control: a removal need not be named."""
    async with FaultServer(always(end)) as server, connect(dialect, server) as client:
        await client.run(dialect.remove(key(dialect)))
    assert server.methods == {"DELETE": 1}


@pytest.mark.parametrize("what", WORDS)
async def test_a_record_that_names_itself_is_a_success(what: str, dialect: Dialect) -> None:
    """The control: what a record holds beside its key is no failure."""
    beside: dict[str, object] = {"error": None, "errors": [], "status": "failed", "success": True}
    treatment = sending(record(dialect, **beside))
    async with FaultServer(always(treatment)) as server, connect(dialect, server) as client:
        found = await client.run(WORDS[what](dialect))
    assert dialect.number_of(found) == NUMBER


async def test_without_a_look_at_what_they_say_both_would_be_successes(
    dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a purchase brings a record of nothing, and a removal that failed is done."""
    treatment, _ = ODD["success false"]
    monkeypatch.setattr(confirmation, "_removal_problem", lambda _: None)
    buying = dialect.operation(dialect.buy(NUMBER))
    careless = attrs.evolve(buying, decode=lambda answer: load_json(answer.body))
    async with FaultServer(always(treatment)) as server, connect(dialect, server) as client:
        await client.run(dialect.remove(key(dialect)))
        brought = await client.runner.engine.begin(careless).run()
    assert brought["success"] is False


@pytest.mark.parametrize("what", WORDS)
async def test_a_failure_beside_a_record_is_no_success(what: str, dialect: Dialect) -> None:
    odd = sending(record(dialect, success=False, message="gone for now"))
    async with (
        FaultServer(in_turn(odd, sending([]))) as server,
        connect(dialect, server) as client,
    ):
        error = await error_of(client.run(WORDS[what](dialect)))
    assert (type(error), error.committed) == (OutcomeUnknownError, "unknown")
    assert "gone for now" in str(error)


async def test_an_update_that_names_another_record_is_not_done(dialect: Dialect) -> None:
    other = record(dialect) | {
        name: "+14155550199" if name == "sipPhoneNumber" else "rec_2"
        for name in ("sipPhoneNumber", "_id", "id")
        if name in record(dialect)
    }
    value = WORDS["update"](dialect)
    async with (
        FaultServer(always(sending(other))) as server,
        connect(dialect, server) as client,
    ):
        error = await error_of(client.run(value))
        raw = await client.run_raw(value)
    assert (type(error), error.committed) == (OutcomeUnknownError, "yes")
    assert "names another record" in str(error)
    with pytest.raises(ResponseDecodeError, match="names another record"):
        raw.parse()


@pytest.mark.parametrize("what", ["buy", "import"])
async def test_a_number_that_was_asked_for_is_the_one_that_comes(
    what: str, dialect: Dialect
) -> None:
    """In a journal's row it would be taken for it. Control: the right one is a success above."""
    shapes = {"sipPhoneNumber", "phone_number"}
    other = {n: "+14155550199" if n in shapes else v for n, v in record(dialect).items()}
    value = WORDS[what](dialect)
    async with (
        FaultServer(in_turn(sending(other), sending([]))) as server,
        connect(dialect, server) as client,
    ):
        error = await error_of(client.run(value))
    assert (type(error), error.committed) == (OutcomeUnknownError, "yes")
    assert "names another record" in str(error)


@pytest.mark.parametrize(
    ("status", "bought"), [("pending", True), ("active", True), ("failed", False)]
)
async def test_an_acknowledgement_of_a_purchase_names_the_number(
    status: str, *, bought: bool
) -> None:
    """The example of DialNexa's own document: no record, and the number beside it."""
    body = {"phoneNumber": NUMBER, "status": status, "message": "gone for now"}
    value = DIALECTS["dialnexa"].buy(NUMBER)
    async with (
        FaultServer(in_turn(sending(body), sending([]))) as server,
        DialNexa(KEY, base_url=server.url, retry=FAST) as client,
    ):
        if bought:
            assert (await client.run(value)).phone_number == NUMBER
        else:
            error = await error_of(client.run(value))
            assert (type(error), error.committed) == (OutcomeUnknownError, "unknown")


async def test_a_number_without_its_plus_is_the_same_record() -> None:
    shown = {"sipPhoneNumber": 14155550100, "friendlyName": "x"}
    async with (
        FaultServer(always(sending(shown))) as server,
        SigmaMind(KEY, base_url=server.url) as client,
    ):
        found = await client.phone_numbers.update(NUMBER, friendly_name="x")
    assert found.friendly_name == "x"


async def test_a_raw_answer_stays_raw_and_is_read_with_care(dialect: Dialect) -> None:
    treatment = sending({"success": False, "error": "gone for now"})
    value = dialect.buy(NUMBER)
    async with FaultServer(always(treatment)) as server, connect(dialect, server) as client:
        raw = await client.run_raw(value)
    assert (raw.status, json.loads(raw.body)["success"], made(server, "POST")) == (200, False, 1)
    with pytest.raises(ResponseDecodeError) as caught:
        raw.parse()
    assert caught.value.committed == "unknown"


@pytest.mark.parametrize(
    "beside", [{"success": False}, {"errors": ["gone for now"]}, {"statusCode": 503}, None]
)
async def test_a_listing_that_reports_a_failure_is_no_empty_account(
    beside: dict[str, object] | None, dialect: Dialect
) -> None:
    """The control is the last: beside an empty list nothing else is reported."""
    treatment = sending({"data": [], **(beside or {"success": True, "error": None})})
    async with FaultServer(always(treatment)) as server, connect(dialect, server) as client:
        if beside is None:
            assert [each async for each in dialect.list(client, 10)] == []
        else:
            error = await error_of(anext(dialect.list(client, 10)))
            assert type(error) is ResponseDecodeError
            assert "reports a failure" in str(error)


@pytest.mark.parametrize("what", ["get", "list"])
@pytest.mark.parametrize(
    "body",
    [
        {"success": False, "error": "gone for now"},
        {"success": False, "error": "gone for now", "data": {"id": "rec_1"}},
        {"statusCode": 403},
        {"data": None},
        {},
    ],
)
async def test_a_read_that_reports_a_failure_or_names_nothing_brings_nothing(
    what: str, body: dict[str, object], dialect: Dialect
) -> None:
    """The control: a record that names itself is brought, in all of `tests/contract`."""
    async with (
        FaultServer(always(sending(body))) as server,
        connect(dialect, server) as client,
    ):
        read = client.run(dialect.get(key(dialect)))
        error = await error_of(anext(dialect.list(client, 10)) if what == "list" else read)
        read.close()
    assert (type(error), error.committed) == (ResponseDecodeError, "no")
    assert ("gone for now" in str(error)) is ("error" in body)
    assert server.methods == {"GET": 1}


# --- messages ----------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [*WORDS, "get", "list", "remove"])
async def test_a_page_is_named_by_its_title_and_the_base_url(what: str, dialect: Dialect) -> None:
    async with (
        FaultServer(always(sending(PAGE, kind="text/html"))) as server,
        connect(dialect, server) as client,
    ):
        calls: dict[str, Callable[[], Any]] = {
            "get": lambda: client.run(dialect.get(key(dialect))),
            "remove": lambda: client.run(dialect.remove(key(dialect))),
            "list": lambda: anext(dialect.list(client, 10)),
        }
        make = calls.get(what) or (lambda: client.run(WORDS[what](dialect)))
        error = await error_of(make())
    reads = what in {"get", "list"}
    assert type(error) is (ResponseDecodeError if reads else OutcomeUnknownError)
    assert (error.not_from_api, error.committed) == (True, "no" if reads else "unknown")
    assert f"{server.url} answered 200 with a page titled 'Hotel Wi-Fi & login'" in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("body", [PAGE, b'{"message": "gone for now"}'], ids=["page", "API"])
async def test_a_page_does_not_say_that_a_number_is_gone(body: bytes, dialect: Dialect) -> None:
    """The control is the API's own 404 after a removal that went unanswered."""
    end = sending(body, 404, "text/html" if body == PAGE else JSON)
    async with (
        FaultServer(in_turn(close_when_read, end)) as server,
        connect(dialect, server) as client,
    ):
        removal = client.run(dialect.remove(key(dialect)))
        if body == PAGE:
            error = await error_of(removal)
            assert (error.not_from_api, error.committed) == (True, "unknown")
            assert f"{server.url} answered 404 with a page titled 'Hotel Wi-Fi" in str(error)
        else:
            await removal
    assert server.methods == {"DELETE": 2}


@pytest.mark.parametrize(("body", "sent"), [(PAGE, 0), (b'{"message": "no"}', 1)])
async def test_a_page_does_not_say_that_a_number_is_free(body: bytes, sent: int) -> None:
    """A journal's purchase is not sent on its word; the control is the API's own 404."""
    dialect = DIALECTS["sigmamind"]
    missing, bought = sending(body, 404, "text/html"), sending(record(dialect), 201)
    async with (
        FaultServer(in_turn(missing, bought)) as server,
        connect(dialect, server) as client,
    ):
        run = Provisioner(client, MemoryJournal()).run_many([("order-1", dialect.buy(NUMBER))])
        [outcome] = [each async for each in run]
    assert (outcome.status, made(server, "POST")) == ("done" if sent else "failed", sent)


async def test_json_is_from_the_api(dialect: Dialect) -> None:
    async with FaultServer(always(sending({}))) as server, connect(dialect, server) as client:
        error = await error_of(client.run(dialect.buy(NUMBER)))
    assert not error.not_from_api


@pytest.mark.parametrize("status", [200, 409, 500, 502])
async def test_a_quoted_message_holds_no_secret(status: int, dialect: Dialect) -> None:
    """`error_of` looks for key and password in the error."""
    treatment = sending(
        {"success": False, "message": f"{PASSWORD} of {KEY} is bad " + "x" * 999}, status
    )
    async with FaultServer(always(treatment)) as server, connect(dialect, server) as client:
        error = await error_of(client.run(dialect.import_(NUMBER)))
    assert "*** of *** is bad" in str(error)
    assert len(str(error)) < 800


@pytest.mark.parametrize("status", [502, 500, 408])
async def test_the_reason_of_an_unclear_end_is_quoted(status: int, dialect: Dialect) -> None:
    """DialNexa documents this 502: it is what a typo in a password gives."""
    body = {
        "statusCode": status,
        "message": "SIP trunk registration failed",
        "error": "Bad Gateway",
    }
    async with (
        FaultServer(always(sending(body, status))) as server,
        connect(dialect, server) as client,
    ):
        error = await error_of(client.run(dialect.import_(NUMBER)))
    assert (type(error), error.status, error.code) == (OutcomeUnknownError, status, "Bad Gateway")
    assert f"answered {status}: SIP trunk registration failed; it may have been" in str(error)


@pytest.mark.parametrize("body", [PAGE, b"<html><p>secret</p></html>"], ids=["titled", "untitled"])
async def test_of_a_page_no_more_than_its_title_is_quoted(body: bytes, dialect: Dialect) -> None:
    treatment = sending(body, 502, kind="text/html")
    async with FaultServer(always(treatment)) as server, connect(dialect, server) as client:
        error = await error_of(client.run(dialect.buy(NUMBER)))
    assert ("Hotel Wi-Fi & login" in str(error)) is (body == PAGE)
    assert "secret" not in str(error)


# --- more than phone numbers -----------------------------------------------------------------

OTHERS: list[tuple[type[Client], Any, str]] = [
    (SigmaMind, sigmamind.CreateCall(from_phone_number=NUMBER, to_phone_number=NUMBER), "callId"),
    (SigmaMind, sigmamind.DeleteCall(call_id="call_1"), ""),
    (DialNexa, dialnexa.UpdateAgent(id="agt_1", version_number=1, is_published=True), "id"),
    (Verbex, verbex.CreatePiaPhoneNumber(friendly_name="x"), "_id"),
]


@pytest.mark.parametrize(("cls", "value", "name"), OTHERS)
async def test_a_failure_of_any_change_is_an_error(
    cls: type[Client], value: Any, name: str
) -> None:
    odd = sending({"success": False, "error": "gone for now"})
    good = sending({name: "agt_1", "is_published": True} if name else {})
    async with (
        FaultServer(in_turn(odd, good)) as server,
        cls(KEY, base_url=server.url, retry=FAST) as client,
    ):
        error = await error_of(client.run(value))
        await client.run(value)
    assert (type(error), error.committed) == (OutcomeUnknownError, "unknown")


# --- operations ------------------------------------------------------------------------------


class Account:
    """A platform that lists what it owns, and answers every change with the same bytes."""

    def __init__(self, dialect: Dialect, odd: bytes) -> None:
        self.odd = odd
        self.owned = [record(dialect)]
        self.changes = 0

    async def treat(self, exchange: Exchange) -> None:
        request = await exchange.read()
        if request.method != "GET":
            self.changes += 1
            await exchange.write(self.odd)
        elif "?" in request.path:
            await exchange.write(response(200, json.dumps(self.owned).encode()))
        else:
            await exchange.write(response(404))


ANSWERS: dict[str, bytes] = {
    "failure": response(200, b'{"success": false, "error": "gone for now"}'),
    "status code": response(200, b'{"statusCode": 402, "message": "no funds"}'),
    "page": response(200, PAGE, Content_Type="text/html"),
    "queued": response(202, b'{"status": "queued"}'),
}


@pytest.mark.parametrize(
    ("what", "answer"),
    [(what, answer) for what in [*WORDS, "remove"] for answer in ANSWERS]
    + [(what, "nothing") for what in WORDS],  # which is enough for a removal
)
async def test_an_operation_is_not_done_by_an_answer_that_confirms_nothing(
    answer: str,
    what: str,
    dialect: Dialect,
) -> None:
    """It stays unconfirmed, and what may not be repeated is not sent by a later run either."""
    changes: dict[str, Callable[[Dialect], Any]] = {
        **WORDS,
        "remove": lambda dialect: dialect.remove(key(dialect)),
    }
    account = Account(dialect, ANSWERS.get(answer, response(200, b"{}")))
    if what in {"buy", "import"}:
        account.owned = []
    async with FaultServer(always(account.treat)) as server, connect(dialect, server) as client:
        slow = in_fake_time(client, FakeClock())
        provisioner = Provisioner(slow, MemoryJournal(), max_purchases=1)
        operations = [("order-1", changes[what](dialect))]
        [outcome] = [each async for each in provisioner.run_many(operations)]
        status = await provisioner.status()
        sent = account.changes
        await provisioner.reconcile()
        later = await provisioner.status()
    assert (outcome.status, outcome.result) == ("unconfirmed", None)
    assert [row.state is State.UNCONFIRMED for row in status.unconfirmed] == [True]
    assert State.DONE not in later.counts
    assert account.changes == sent
    if what in {"buy", "import"}:
        assert sent == 1


@pytest.mark.parametrize("answer", ["failure", "page"])
async def test_an_unconfirmed_purchase_is_found_when_the_account_shows_it(
    answer: str,
    dialect: Dialect,
) -> None:
    account = Account(dialect, ANSWERS[answer])
    account.owned = []
    async with FaultServer(always(account.treat)) as server, connect(dialect, server) as client:
        provisioner = Provisioner(in_fake_time(client, FakeClock()), MemoryJournal())
        operations = [("order-1", dialect.buy(NUMBER))]
        async for _ in provisioner.run_many(operations):
            account.owned = [record(dialect)]
        found = await provisioner.run("order-1", dialect.buy(NUMBER))
    assert (dialect.number_of(found), account.changes) == (NUMBER, 1)
