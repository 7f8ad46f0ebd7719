"""What counts as a success among answers of 2xx: envelopes, and records that look like some."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sigmamind_async.convert import record_decoder
from sigmamind_async.errors import ResponseDecodeError
from sigmamind_async.operation import Response
from sigmamind_async.platforms.dialnexa.models import PhoneNumber as DialNexaNumber
from sigmamind_async.platforms.sigmamind.models import Call, PhoneNumber
from sigmamind_async.responses.confirmation import (
    BodyProblem,
    as_phone_number,
    body_problem,
    confirm_named,
    decode_removal,
    reports_failure,
    require_named,
)
from sigmamind_async.testing import reply

NUMBER = "+14155550100"

FAILURES: dict[str, object] = {
    "success false": {"success": False, "error": "gone"},
    "success 0": {"success": 0},
    "success as text": {"success": "false", "message": "too late"},
    "ok false": {"ok": False},
    "isSuccess false": {"isSuccess": False, "data": None},
    "is_success false": {"is_success": False},
    "error text": {"error": "insufficient funds"},
    "error true": {"error": True, "message": "too late"},
    "error object": {"error": {"code": 17, "message": "too late"}},
    "errors": {"errors": [{"message": "too late"}]},
    "errors by field": {"errors": {"phoneNumber": ["is taken"]}},
    "GraphQL": {"data": None, "errors": [{"message": "too late"}]},
    "error message": {"errorMessage": "too late"},
    "error_code": {"error_code": "E17"},
    "hasError": {"hasError": True},
    "status code": {"statusCode": 402, "message": "Insufficient balance"},
    "status code as text": {"statusCode": "402"},
    "status_code": {"status_code": 500},
    "Spring": {"timestamp": "t", "status": 404, "error": "Not Found", "path": "/v1"},
    "problem details": {"type": "about:blank", "title": "No funds", "status": 402, "detail": "no"},
    "code": {"code": 403, "msg": "forbidden"},
    "status false": {"status": False, "message": "too late"},
    "JSend error": {"status": "error", "message": "too late"},
    "JSend fail": {"status": "fail", "data": {"number": "is taken"}},
    "a word": {"status": "FAILED"},
    "a word about a number": {"phoneNumber": NUMBER, "status": "failed", "message": "no stock"},
    "result word": {"result": "rejected", "reason": "no"},
    "in data": {"data": {"success": False}},
    "in data, beside a success": {"success": True, "data": {"error": "too late"}},
    "status code around": {"statusCode": 422, "data": {}},
    "three levels down": {"data": {"result": {"response": {"ok": False}}}},
    "false": False,
}

SILENT: dict[str, object] = {
    "nothing": {},
    "true": True,
    "text": "fine",
    "number": 7,
    "array": [],
    "queued": {"status": "queued"},
    "accepted": {"status": "accepted", "message": "we will call you"},
    "success": {"success": True},
    "message": {"message": "ok"},
    "status code 200": {"statusCode": 200, "message": "ok", "data": None},
    "no error": {"error": None},
    "empty errors": {"errors": [], "error": "", "message": ""},
    "errors that say nothing": {"error": {"code": 0, "message": ""}, "errors": [None, {}]},
    "error false": {"error": False},
    "error none": {"error": "none"},
    "error code 0": {"errorCode": 0},
    "another record": {"widget": {"status": "failed"}},
    "status of a record": {"status": "failed", "owner": "x"},
    "code of a record": {"code": 415, "region": "US"},
    "area": {"areaCode": 415},
}

PAGES: dict[str, Response] = {
    "html": Response(200, {"content-type": "text/html"}, b"<html><title>Login</title></html>"),
    "doctype, no type": Response(200, {}, b"<!DOCTYPE html>"),
    "blank first": Response(200, {}, b"\r\n  <html>"),
    "byte order mark": Response(200, {}, b"\xef\xbb\xbf<html>"),
    "called JSON": Response(200, {"content-type": "application/json"}, b"<html></html>"),
    "xml": Response(200, {}, b"<?xml version='1.0'?><a/>"),
    "text": Response(200, {"content-type": "text/plain; charset=utf-8"}, b"Request blocked"),
    "script": Response(200, {"content-type": "application/javascript"}, b"alert(1)"),
}

GARBLED: dict[str, Response] = {
    "empty": Response(201),
    "blank": Response(201, {"content-type": "text/html"}, b" \n"),
    "cut": Response(201, {"content-type": "application/json"}, b'{"sipPhone'),
    "cut, as text": Response(201, {"content-type": "text/plain"}, b'{"sipPhone'),
    "no type": Response(201, {}, b"\x00\x01"),
    "less than": Response(201, {}, b"< 5"),
    "NaN": Response(201, {"content-type": "application/json"}, b"NaN"),
    "deep": Response(201, {}, b"[" * 100_000),
}


@pytest.mark.parametrize("name", FAILURES)
def test_an_envelope_that_reports_a_failure(name: str) -> None:
    assert reports_failure(FAILURES[name])
    assert body_problem(reply(200, FAILURES[name])) is BodyProblem.REPORTS_FAILURE


@pytest.mark.parametrize("name", SILENT)
def test_an_envelope_that_reports_none(name: str) -> None:
    assert not reports_failure(SILENT[name])
    assert body_problem(reply(200, SILENT[name])) is BodyProblem.NAMES_NOTHING


def test_the_depth_of_an_answer_is_no_matter() -> None:
    deep: object = {"success": False}
    for _ in range(500):
        deep = {"data": deep, "error": {"more": [[[[[[]]]]]]}}
    assert isinstance(reports_failure(deep), bool)


def test_of_a_long_list_only_the_first_are_looked_at() -> None:
    """What a million records say is nobody's report, and reading them all takes seconds."""
    records: list[object] = [{}] * 99
    assert reports_failure([*records, {"success": False}])
    assert not reports_failure([*records, {}, {"success": False}])


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_not_from_the_api(name: str) -> None:
    assert body_problem(PAGES[name]) is BodyProblem.NOT_FROM_API


@pytest.mark.parametrize("name", GARBLED)
def test_what_may_have_been_the_api(name: str) -> None:
    assert body_problem(GARBLED[name]) is BodyProblem.NOT_JSON


# ---------------------------------------------------------------- records

named = confirm_named(record_decoder(PhoneNumber), lambda found: found.sip_phone_number)


@pytest.mark.parametrize("name", [*FAILURES, *SILENT])
def test_what_names_no_record_is_no_success(name: str) -> None:
    with pytest.raises(ResponseDecodeError):
        named(reply(201, (FAILURES | SILENT)[name]))


CONTRADICTIONS = [
    {"success": False},
    {"ok": False, "message": "too late"},
    {"error": "insufficient funds"},
    {"errors": ["too late"]},
    {"statusCode": 402},
    {"status": 402},
    {"status": False},
]
HARMLESS: list[dict[str, Any]] = [
    {},
    {"success": True},
    {"error": None, "errors": []},
    {"statusCode": 201},
    {"status": "failed"},
    {"status": "queued"},
    {"code": 415},
    {"statusCode": False},
    {"friendlyName": "error", "inboundAgentId": "failed"},
    {"data": {"error": "of something else"}},
]


@pytest.mark.parametrize("beside", CONTRADICTIONS, ids=json.dumps)
def test_a_failure_beside_a_record_is_a_failure(beside: dict[str, Any]) -> None:
    with pytest.raises(ResponseDecodeError, match="reports a failure"):
        named(reply(200, {"sipPhoneNumber": NUMBER, **beside}))


@pytest.mark.parametrize("beside", HARMLESS, ids=json.dumps)
def test_what_a_record_may_hold_is_no_failure(beside: dict[str, Any]) -> None:
    """The control of the guard: it does not refuse whatever it does not know."""
    assert named(reply(200, {"sipPhoneNumber": NUMBER, **beside})).sip_phone_number == NUMBER


@pytest.mark.parametrize("status", ["active", "pending", "failed", "error"])
def test_a_status_of_the_record_is_not_one_of_the_request(status: str) -> None:
    read = confirm_named(record_decoder(DialNexaNumber), lambda found: found.id)
    assert read(reply(200, {"id": "phn_1", "status": status})).status == status


NAMELESS = [
    *({}, {"data": None}, {"data": {}}, {"callId": None}, {"callId": ""}, {"callId": " "}),
    *({"success": False, "error": "no"}, {"statusCode": 404}, {"success": True, "data": {}}),
    {"success": False, "data": {"callId": "c"}},
]


@pytest.mark.parametrize("content", NAMELESS, ids=json.dumps)
@pytest.mark.parametrize("guard", [require_named, confirm_named])
def test_what_does_not_name_itself_is_no_record(guard: Any, content: object) -> None:
    """The control is the next test: what does is shown, whatever else it says."""
    read = guard(record_decoder(Call), lambda found: found.call_id)
    with pytest.raises(ResponseDecodeError, match="does not identify a record"):
        read(reply(200, content))


def test_a_record_of_something_that_failed_is_shown() -> None:
    read = require_named(record_decoder(Call), lambda found: found.call_id)
    shown = read(reply(200, {"callId": "c", "status": "failed", "error": "busy"}))
    assert (shown.status, shown.extra) == ("failed", {"error": "busy"})


@pytest.mark.parametrize("text", [NUMBER, "+1 415 555 0100"])
def test_a_number_names_a_record(text: str) -> None:
    assert as_phone_number(text) == text


@pytest.mark.parametrize("text", ["", " ", "pending", "N/A", "null", "0"])
def test_a_word_in_place_of_a_number_names_none(text: str) -> None:
    """No later call would take it."""
    assert as_phone_number(text) == ""


# ---------------------------------------------------------------- removals

TEXT = {"content-type": "text/plain; charset=utf-8"}
CONFIRMATIONS: list[object] = [
    {"id": "phn_1", "deleted": True},
    {"acknowledged": True, "deletedCount": 1},
    {"data": {"released": "true"}},
    {"deleted": [NUMBER], "failed": []},
    {"deleted_at": None},
]
DENIALS: list[object] = [
    {"id": "phn_1", "deleted": False},
    {"acknowledged": False},
    {"acknowledged": True, "deletedCount": 0},
    {"data": {"is_released": "false"}},
    {"removed": 0},
    [{"error": "in use"}],
    "failed",
]


@pytest.mark.parametrize(
    "answer",
    [
        Response(204),
        Response(200),
        Response(200, {}, b" \n"),
        Response(200, {}, b"gone"),
        Response(200, {"content-type": "application/json"}, b"{"),
        *map(reply, [200] * 7, [{}, None, True, [], "ok", {"message": "ok"}, {"deleted": True}]),
        *(reply(200, content) for content in CONFIRMATIONS),
        *(Response(200, TEXT, text) for text in (b"OK", b"Deleted\r\n")),
        reply(200, {"sipPhoneNumber": NUMBER, "active": False}),
        reply(200, {"id": "phn_1", "phone_number": NUMBER, "status": "pending"}),
    ],
    ids=str,
)
def test_a_removal_is_confirmed(answer: Response) -> None:
    decode_removal(answer)


@pytest.mark.parametrize(
    "answer",
    [
        *(reply(200, content) for content in [*FAILURES.values(), *DENIALS]),
        *PAGES.values(),
        Response(200, TEXT, b"OK computer"),
        Response(202),
        reply(202, {"message": "accepted"}),
        reply(200, {"status": "queued"}),
        reply(200, {"id": "job_1", "status": "in_progress"}),
    ],
    ids=str,
)
def test_a_removal_is_not_confirmed(answer: Response) -> None:
    with pytest.raises(ResponseDecodeError):
        decode_removal(answer)
