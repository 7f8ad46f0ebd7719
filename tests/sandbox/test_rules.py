"""Every documented limit of a request body, at the limit and just past it."""

import io
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from sigmamind_async.sandbox import Sandbox

Send = Callable[..., Awaitable[aiohttp.ClientResponse]]

NUMBERS = "/v1/phone-numbers"
HELD = "+14155550100"
Target = tuple[str, str, dict[str, object]]
CREATE: Target = ("POST", NUMBERS, {"countryCode": "US"})
IMPORT: Target = ("POST", NUMBERS + "/import", {"phoneNumber": "+14155552671"})
UPDATE: Target = ("PATCH", f"{NUMBERS}/{HELD}", {})
CALL: Target = (
    "POST",
    "/v1/calls",
    {"fromPhoneNumber": HELD, "toPhoneNumber": HELD, "agentId": "a"},
)

E164_GOOD = ["+1234567", "+123456789012345"]
E164_BAD = [
    "+123456",
    "+1234567890123456",
    "14155552671",
    "+0123456789",
    "+1415 555",
    "+1415\n",
    "",
]


def longest(field: str, limit: int, *targets: Target) -> list[tuple[Target, str, object, int]]:
    cases: list[tuple[Target, str, object, int]] = []
    for target in targets:
        cases += [(target, field, "x" * limit, 200), (target, field, "é" * (limit + 1), 400)]
        cases += [(target, field, wrong, 400) for wrong in (7, True, ["x"], {"x": "y"})]
    return cases


def numbers(field: str, *targets: Target) -> list[tuple[Target, str, object, int]]:
    cases: list[tuple[Target, str, object, int]] = []
    for target in targets:
        cases += [(target, field, good, 200) for good in E164_GOOD]
        cases += [(target, field, bad, 400) for bad in (*E164_BAD, 14155552671, None)]
    return cases


NAMES: list[dict[str, str]] = [{}, {"name": "Ada"}]
NO_NAMES: list[object] = [[], "x", 1, None]

CASES = [
    *longest("friendlyName", 128, CREATE, IMPORT, UPDATE),
    *longest("inboundAgentId", 64, CREATE, IMPORT, UPDATE),
    *longest("outboundAgentId", 64, CREATE, IMPORT, UPDATE),
    *longest("agentId", 64, CALL),
    *longest("trunkUsername", 128, IMPORT, UPDATE),
    *longest("trunkPassword", 128, IMPORT, UPDATE),
    *longest("terminationSipURI", 253, IMPORT),
    *longest("terminationSipUri", 253, UPDATE),
    *numbers("phoneNumber", CREATE, IMPORT),
    *numbers("outboundPhoneNumber", CREATE, IMPORT, UPDATE),
    *numbers("toPhoneNumber", CALL),
    *[(CREATE, "countryCode", good, 200) for good in ("US", "DE")],
    *[(CREATE, "countryCode", bad, 400) for bad in ("us", "USA", "U", "U1", "ÄÖ", "US\n", 1, None)],
    *[(CREATE, "areaCode", good, 200) for good in (100, 415, 99_999, 415.0)],
    *[(CREATE, "areaCode", bad, 400) for bad in (99, 100_000, -1, 415.5, "415", True, None)],
    *[(CALL, "dynamicVariables", good, 200) for good in NAMES],
    *[(CALL, "dynamicVariables", bad, 400) for bad in NO_NAMES],
    *[(UPDATE, field, None, 200) for field in ("inboundAgentId", "outboundAgentId")],
    *[(UPDATE, field, None, 400) for field in ("friendlyName", "trunkPassword")],
    *[(CREATE, field, None, 400) for field in ("friendlyName", "inboundAgentId")],
]


@pytest.mark.parametrize("target", [CREATE, IMPORT, UPDATE, CALL], ids=lambda target: target[1])
async def test_every_limit(box: Sandbox, send: Send, target: Target) -> None:
    """One sandbox for all cases of an operation; each commits exactly when it is accepted."""
    method, path, base = target
    for number, (of, field, value, expected) in enumerate(CASES):
        if of is not target:
            continue
        box.reset()
        await send("POST", NUMBERS, json={"phoneNumber": HELD})
        response = await send(method, path, json={**base, field: value})
        status = 200 if response.ok else response.status
        assert (number, field, value, status) == (number, field, value, expected)
        assert len(box.ledger) == (2 if response.ok else 1)
        if not response.ok:
            assert field in (await response.json())["message"]


@pytest.mark.parametrize(
    ("path", "missing"),
    [(NUMBERS + "/import", "phoneNumber"), ("/v1/calls", "fromPhoneNumber")],
)
async def test_a_required_field_is_missed(send: Send, path: str, missing: str) -> None:
    response = await send("POST", path, json={})
    assert response.status == 400
    assert (await response.json())["message"] == f"{missing} is required"


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"null", "application/json", 400),
        (b'{"phoneNumber": NaN}', "application/json", 400),
        (b'\xff{"countryCode": "US"}', "application/json", 400),
        (b'{"countryCode": "US"}', "text/plain", 415),
        (b'{"countryCode": "US"}', "application/json; charset=utf-8", 201),
        (b'{"countryCode": "US"' + b" " * 1_100_000 + b"}", "application/json", 413),
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(
    box: Sandbox,
    body: bytes,
    content_type: str,
    status: int,
) -> None:
    headers = {"X-API-Key": box.sigmamind.api_key, "Content-Type": content_type}
    url = box.sigmamind.base_url + NUMBERS
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=io.BytesIO(body), headers=headers) as response,
    ):
        assert response.status == status
        assert response.content_type == "application/json"
