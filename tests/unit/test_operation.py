"""What a vendor call is, before it is sent."""

import pytest

from sigmamind_async.operation import (
    PAGE_BYTES,
    RECORD_BYTES,
    Method,
    Operation,
    Request,
    Response,
    delete_operation,
    get_operation,
)
from sigmamind_async.responses.confirmation import decode_removal
from sigmamind_async.values import UNSET, Secret


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_only_get_reads(method: Method) -> None:
    def made(method: Method) -> Operation[None]:
        request = Request(method=method, path="/")
        return Operation(name="acme.do", request=request, decode=lambda _: None, repeatable=True)

    assert made("GET").reads
    assert not made(method).reads


def test_a_404_is_an_error_unless_said_otherwise() -> None:
    """`None` is a result of its own, so that it cannot stand for "not said"."""
    operation = Operation(
        name="acme.get",
        request=Request(method="GET", path="/"),
        decode=lambda _: None,
        repeatable=True,
    )

    assert operation.on_not_found is UNSET
    assert operation.read_back is None


def test_bodies_are_capped_at_4_and_64_mebibytes() -> None:
    assert Request(method="GET", path="/").max_bytes == RECORD_BYTES == 4 * 1024 * 1024
    assert PAGE_BYTES == 64 * 1024 * 1024


def test_showing_an_answer_shows_neither_headers_nor_body() -> None:
    shown = repr(Response(status=401, headers={"x-echo": "sk-1"}, body=b"sk-1 is wrong"))

    assert "401" in shown
    assert "sk-1" not in shown


def test_showing_a_request_shows_no_secret() -> None:
    request = Request(method="POST", path="/", json={"trunkPassword": Secret("hunter2")})

    assert "hunter2" not in repr(request)


def test_a_reading_and_a_removing_call_may_be_repeated() -> None:
    read = get_operation("acme.get", "/v1/things/1", lambda _: 1, None)
    remove = delete_operation("acme.delete", "/v1/things/1", None, decode_removal)

    assert (read.reads, read.repeatable, read.on_not_found) == (True, True, UNSET)
    assert (remove.reads, remove.repeatable, remove.on_not_found) == (False, True, None)


def test_any_body_ends_a_removing_call() -> None:
    remove = delete_operation("acme.delete", "/v1/things/1", None, decode_removal)
    remove.decode(Response(status=204))
    remove.decode(Response(status=200, body=b"gone"))
