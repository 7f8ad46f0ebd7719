"""Every documented limit of a request body, at the limit and just past it."""

import io

import aiohttp
import attrs
import orjson
import pytest

from sigmamind_async.sandbox import Sandbox
from tests.sandbox.support import DIALNEXA, SIGMAMIND, VERBEX, Json, Send, Vendor, every_vendor


@attrs.frozen(eq=False)
class Target:
    """A request that is accepted as it stands."""

    vendor: Vendor
    method: str
    path: str
    body: dict[str, object]

    def __repr__(self) -> str:
        return f"{self.vendor.name} {self.method} {self.path}"

    def of(self, key: str) -> str:
        return self.path.format(key=key)


Case = tuple[Target, str, object, bool]

HELD = "+14155550100"
NUMBERS = "/v1/phone-numbers"
CREATE = Target(SIGMAMIND, "POST", NUMBERS, {"countryCode": "US"})
IMPORT = Target(SIGMAMIND, "POST", NUMBERS + "/import", {"phoneNumber": "+14155552671"})
UPDATE = Target(SIGMAMIND, "PATCH", NUMBERS + "/{key}", {})
CALL = Target(
    SIGMAMIND,
    "POST",
    "/v1/calls",
    {"fromPhoneNumber": HELD, "toPhoneNumber": HELD, "agentId": "a"},
)
SIP = Target(VERBEX, "POST", NUMBERS, {"provider": "sip", "phone_number": "+14155552671"})
PIA = Target(VERBEX, "POST", NUMBERS, {"provider": "pia"})
TWILIO = Target(
    VERBEX,
    "POST",
    NUMBERS,
    {
        "provider": "twilio",
        "phone_number": "+14155552671",
        "twilio_account_sid": "AC1",
        "twilio_auth_token": "token",
    },
)
CHANGE = Target(VERBEX, "PATCH", NUMBERS + "/{key}", {})
ORGANIZATION = "/v1/organization-phone-numbers"
SNAKE = Target(DIALNEXA, "POST", ORGANIZATION + "/purchase", {"phone_number": "+14155552671"})
CAMEL = Target(
    DIALNEXA,
    "POST",
    ORGANIZATION + "/purchase",
    {
        "phoneNumber": "+14155552671",
        "telephonyProviderId": "tp_abc123xyz78",
        "countryISO": "US",
    },
)
TRUNK = Target(
    DIALNEXA,
    "POST",
    ORGANIZATION + "/sip-trunks",
    {
        "phoneNumber": "+14155552671",
        "terminationUri": "sip.example.com",
        "sipTrunkUserName": "user",
        "sipTrunkPassword": "password",
    },
)
PATCH = Target(DIALNEXA, "PATCH", ORGANIZATION + "/{key}", {})
AGENT = Target(DIALNEXA, "PATCH", "/v1/agents/agt_abc123", {"version_number": 1})
TARGETS = (
    *(CREATE, IMPORT, UPDATE, CALL),
    *(SIP, PIA, TWILIO, CHANGE),
    *(SNAKE, CAMEL, TRUNK, PATCH, AGENT),
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
NO_TEXT: list[object] = [7, True, ["x"], {"x": "y"}]


def longest(field: str, limit: int, *targets: Target) -> list[Case]:
    cases = texts(field, *targets)
    for target in targets:
        cases += [(target, field, "x" * limit, True), (target, field, "é" * (limit + 1), False)]
    return cases


def texts(field: str, *targets: Target) -> list[Case]:
    """Return cases of any text, and of what is none."""
    return [
        *((target, field, "x" * 32, True) for target in targets),
        *((target, field, wrong, False) for target in targets for wrong in NO_TEXT),
    ]


def nullable(field: str, *targets: Target) -> list[Case]:
    return [*texts(field, *targets), *((target, field, None, True) for target in targets)]


def numbers(field: str, *targets: Target) -> list[Case]:
    cases: list[Case] = []
    for target in targets:
        cases += [(target, field, good, True) for good in E164_GOOD]
        cases += [(target, field, bad, False) for bad in (*E164_BAD, 14155552671)]
    return cases


def words(field: str, target: Target, good: list[Json], bad: list[Json]) -> list[Case]:
    return [
        *((target, field, value, True) for value in good),
        *((target, field, value, False) for value in bad),
    ]


CASES = [
    *longest("friendlyName", 128, CREATE, IMPORT, UPDATE),
    *longest("inboundAgentId", 64, CREATE, IMPORT, UPDATE),
    *longest("outboundAgentId", 64, CREATE, IMPORT, UPDATE),
    *longest("agentId", 64, CALL),
    *longest("trunkUsername", 128, IMPORT, UPDATE),
    *longest("trunkPassword", 128, IMPORT, UPDATE),
    *longest("terminationSipURI", 253, IMPORT),
    *longest("terminationSipUri", 253, UPDATE),
    *numbers("phoneNumber", CREATE, IMPORT, CAMEL, TRUNK),
    *numbers("outboundPhoneNumber", CREATE, IMPORT, UPDATE),
    *numbers("toPhoneNumber", CALL),
    *words("countryCode", CREATE, ["US", "DE"], ["us", "USA", "U", "U1", "ÄÖ", "US\n", 1, None]),
    *words("areaCode", CREATE, [100, 99_999, 415.0], [99, 100_000, -1, 415.5, "415", True, None]),
    *words("dynamicVariables", CALL, [{}, {"name": "Ada"}], [[], "x", 1, None]),
    *words("inboundAgentId", UPDATE, [None], []),
    *words("outboundAgentId", UPDATE, [None], []),
    *words("friendlyName", UPDATE, [], [None]),
    *words("trunkPassword", UPDATE, [], [None]),
    *words("phoneNumber", CREATE, [], [None]),
    *words("friendlyName", CREATE, [], [None]),
    *words("inboundAgentId", CREATE, [], [None]),
    *nullable("friendly_name", SIP, PIA, TWILIO, CHANGE),
    *nullable("inbound_agent_id", SIP, PIA, TWILIO, CHANGE),
    *nullable("outbound_agent_id", SIP, PIA, TWILIO, CHANGE),
    *nullable("sip_termination_uri", SIP, CHANGE),
    *nullable("sip_trunk_username", SIP, CHANGE),
    *nullable("sip_trunk_password", SIP, CHANGE),
    *texts("twilio_account_sid", TWILIO, CHANGE),
    *texts("twilio_auth_token", TWILIO, CHANGE),
    *numbers("phone_number", SIP, PIA, TWILIO, SNAKE),
    *words("sip_infra_region", SIP, ["global", "bd", "bd_link3"], ["us", "", 1, None]),
    *words("provider", SIP, ["sip"], ["x", "", 1, None]),
    *words("phone_number", PIA, [None], []),
    *words("phone_number", SIP, [], [None]),
    *texts("provider", SNAKE),
    *words("telephonyProviderId", CAMEL, ["plivo_123456", "x" * 64], ["", "x" * 65, 1, None]),
    *words("countryISO", CAMEL, ["US", "ZZ"], ["us", "USA", 1, None]),
    *words("terminationUri", TRUNK, ["a.b:5060", "10.0.0.1"], ["sip:a.b", "a b", "a:", "", 1]),
    *longest("nickname", 255, TRUNK, PATCH),
    *words("nickname", PATCH, [None, ""], []),
    *nullable("label", PATCH),
    *words("agent_id", PATCH, ["agt_abc123", None], ["agt_unknown", "", 7]),
    *words("version_number", AGENT, [1, 1.0], [0, -1, 1.5, "1", True, None, 2, 2**31]),
    *words("is_published", AGENT, [True, False], ["true", 1, None]),
    *words("inbound_phone_number_id", AGENT, [""], ["phn_unknown", 1, None]),
    *words("outbound_phone_number_id", AGENT, [""], ["phn_unknown", 1, None]),
]


@pytest.mark.parametrize(
    ("vendor", "target"),
    [(target.vendor, target) for target in TARGETS],
    ids=[repr(target) + str(position) for position, target in enumerate(TARGETS)],
)
async def test_every_limit(box: Sandbox, vendor: Vendor, send: Send, target: Target) -> None:
    """One sandbox for all cases of an operation; each commits exactly when it is accepted."""
    held = {**vendor.order(), vendor.fields["number"]: HELD}
    for number, (of, field, value, expected) in enumerate(CASES):
        if of is not target:
            continue
        box.reset()
        answer = await (await send("POST", vendor.purchase[1], json=held)).json()
        path = target.of(vendor.record(answer)[vendor.key_field])
        response = await send(target.method, path, json={**target.body, field: value})
        status = "accepted" if response.ok else response.status
        assert (number, field, value, status) == (
            number,
            field,
            value,
            "accepted" if expected else vendor.refusal,
        )
        assert len(box.ledger) == (2 if response.ok else 1)
        if not response.ok:
            assert field in await response.text()


@pytest.mark.parametrize(
    ("vendor", "path", "missing"),
    [
        (SIGMAMIND, NUMBERS + "/import", ["phoneNumber"]),
        (SIGMAMIND, "/v1/calls", ["fromPhoneNumber", "toPhoneNumber"]),
        (VERBEX, NUMBERS, ["phone_number"]),
        (DIALNEXA, CAMEL.path, ["phoneNumber", "telephonyProviderId", "countryISO"]),
        (DIALNEXA, TRUNK.path, ["phoneNumber", "terminationUri"]),
    ],
    ids=str,
)
async def test_a_required_field_is_missed(
    vendor: Vendor,
    send: Send,
    path: str,
    missing: list[str],
) -> None:
    """SigmaMind names one field that is wrong, the others all of them."""
    response = await send("POST", path, json={})
    assert response.status == vendor.refusal
    said = (await response.json())[vendor.error_message]
    sentences = [f"{name} is required" for name in missing]
    if vendor is SIGMAMIND:
        assert said == sentences[0]
    elif vendor is DIALNEXA:
        assert said == sentences
    else:
        place = {"loc": ["body", missing[0]], "msg": sentences[0], "type": "missing"}
        assert said == [{**place, "input": {}}]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", None),
        (b"", "application/json", None),
        (b"[]", "application/json", None),
        (b"null", "application/json", None),
        (b'{"phoneNumber": NaN}', "application/json", None),
        (b'\xff{"countryCode": "US"}', "application/json", None),
        (b'{"countryCode": "US"' + b" " * 1_100_000 + b"}", "application/json", 413),
    ],
)
@every_vendor
async def test_a_body_that_is_no_json_object_is_refused(
    box: Sandbox,
    vendor: Vendor,
    body: bytes,
    content_type: str,
    status: int | None,
) -> None:
    response = await post(box, vendor, body, content_type)
    assert response.status == (status or vendor.refusal)
    assert response.content_type == "application/json"
    assert len(box.ledger) == 0


@pytest.mark.parametrize(
    ("vendor", "status"),
    [(SIGMAMIND, 415), (VERBEX, 422), (DIALNEXA, 400)],
    ids=str,
)
async def test_json_must_be_called_json(box: Sandbox, vendor: Vendor, status: int) -> None:
    body = orjson.dumps(vendor.order())
    assert (await post(box, vendor, body, "text/plain")).status == status
    assert (await post(box, vendor, body, "application/json; charset=utf-8")).status == 201


async def post(
    box: Sandbox,
    vendor: Vendor,
    body: bytes,
    content_type: str,
) -> aiohttp.ClientResponse:
    endpoint = vendor.endpoint(box)
    headers = {**vendor.headers(endpoint.api_key), "Content-Type": content_type}
    url = endpoint.base_url + vendor.purchase[1]
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=io.BytesIO(body), headers=headers) as response,
    ):
        await response.read()
        return response
