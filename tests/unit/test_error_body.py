"""What an error answer says, whatever its shape."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigmamind_async.convert import dump_json
from sigmamind_async.operation import Response
from sigmamind_async.responses.error_body import parse_error_body

SILENT = "the platform gave no reason"


def message(body: bytes) -> str:
    return parse_error_body(Response(status=400, body=body)).message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"message": "m", "detail": "d", "error": "e"}, "m"),
        ({"message": "", "detail": "d"}, "d"),
        ({"error": " e "}, "e"),
        ({"error": {"message": "deep"}}, "deep"),
        ({"message": ["a", "", "b"]}, "a; b"),
        ({"detail": [{"loc": ["body", "label"], "msg": "too long"}]}, "body.label: too long"),
        ({"detail": [{"msg": "too long"}, {"loc": ["x"]}]}, "too long"),
        ({"message": 7}, SILENT),
        ({}, SILENT),
        ([], SILENT),
        ("text", "text"),
        (None, SILENT),
    ],
)
def test_the_first_text_is_taken(content: object, expected: str) -> None:
    assert message(dump_json(content)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"<html>", "<html>"), (b"", SILENT), (b" \n", SILENT), (b"\xff", "\ufffd")],
)
def test_what_is_no_json_is_taken_as_it_is(body: bytes, expected: str) -> None:
    assert message(body) == expected


def test_code_and_request_id_are_read() -> None:
    headers = {"x-request-id": "r-1"}
    detail = parse_error_body(Response(status=400, headers=headers, body=b'{"error": "no_funds"}'))

    assert (detail.code, detail.request_id) == ("no_funds", "r-1")
    assert parse_error_body(Response(status=400, body=b'{"error": {}}')).code is None


def test_a_deeply_nested_body_is_no_error() -> None:
    """JSON may be nested deeper than calls may be."""
    body = b'{"message":' * 1_000 + b'"x"' + b"}" * 1_000

    assert message(body) == SILENT


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_nothing_makes_it_raise(body: bytes) -> None:
    assert message(body)
