"""What sets Verbex apart: three kinds of numbers, page tokens, and its open questions."""

import pytest

from sigmamind_async.sandbox import Sandbox
from tests.sandbox.support import VERBEX, Json, Send, Vendor, json_of, turn, turn_own

NUMBERS = VERBEX.numbers
NUMBER = "+14155552671"
SIP = {"phone_number": NUMBER, "sip_trunk_username": "user", "sip_trunk_password": "tr!nk"}
PIA = {"provider": "pia", "phone_number": NUMBER}
TWILIO = {"phone_number": NUMBER, "twilio_account_sid": "AC1", "twilio_auth_token": "token"}
LABELS = {"friendly_name": None, "inbound_agent_id": None, "outbound_agent_id": None}


@pytest.fixture
def vendor() -> Vendor:
    return VERBEX


async def create(send: Send, body: dict[str, str], **more: object) -> Json:
    return await json_of(send("POST", NUMBERS, json={**body, **more}))


def path_of(record: Json) -> str:
    return f"{NUMBERS}/{record['_id']}"


async def listed(send: Send, query: str = "") -> Json:
    return await json_of(send("GET", NUMBERS + query))


@pytest.mark.parametrize(
    ("body", "own"),
    [
        (
            SIP,
            {
                "provider": "sip",
                "sip_termination_uri": None,
                "sip_trunk_username": "user",
                "sip_trunk_password": "tr!nk",
                "sip_infra_region": "global",
            },
        ),
        (PIA, {"provider": "pia"}),
        (
            TWILIO,
            {"provider": "twilio", "twilio_account_sid": "AC1", "twilio_auth_token": "token"},
        ),
    ],
)
async def test_a_number_has_exactly_the_fields_of_its_kind(
    send: Send,
    body: dict[str, str],
    own: dict[str, str | None],
) -> None:
    """The word for the kind may be left out where the fields tell."""
    created = await create(send, body)
    key = created.pop("_id")
    assert (len(key), int(key, 16) > 0) == (24, True)
    assert created == {"phone_number": NUMBER, **LABELS, **own}
    assert await json_of(send("GET", f"{NUMBERS}/{key}")) == {"_id": key, **created}


@pytest.mark.parametrize(
    ("body", "kind"),
    [(SIP, "import"), (PIA, "purchase"), (TWILIO, "import")],
)
async def test_only_the_platforms_own_numbers_are_bought(
    box: Sandbox,
    send: Send,
    body: dict[str, str],
    kind: str,
) -> None:
    created = await create(send, body, friendly_name="order-1")
    (commit,) = box.ledger.commits
    assert (commit.kind, commit.operation, commit.friendly_name) == (kind, "create", "order-1")
    assert (commit.phone_number, commit.record_id) == (NUMBER, created["_id"])


async def test_the_platform_chooses_where_no_number_is_named(send: Send) -> None:
    chosen = [(await create(send, {"provider": "pia"}))["phone_number"] for _ in range(3)]
    assert len(set(chosen)) == 3


async def test_fields_of_another_kind_are_no_part_of_a_number(send: Send) -> None:
    created = await create(send, PIA, sip_termination_uri="sip.example.com")
    assert "sip_termination_uri" not in created


@pytest.mark.parametrize("provider", ["bandwidth", "", None, 7])
async def test_an_unknown_provider_is_refused(send: Send, provider: object) -> None:
    response = await send("POST", NUMBERS, json={**SIP, "provider": provider})
    assert response.status == 422
    (problem,) = (await response.json())["detail"]
    assert (problem["loc"], problem["type"]) == (["body", "provider"], "literal_error")


@pytest.mark.parametrize(
    ("body", "repeated"),
    [
        ({"sip_trunk_password": "pw"}, [{"sip_trunk_password": "pw"}]),
        ({"phone_number": "1", "sip_trunk_password": ["pw"]}, ["1", ["pw"]]),
    ],
)
async def test_an_error_repeats_what_it_refuses_unless_secrets_are_masked(
    box: Sandbox, send: Send, body: dict[str, object], repeated: list[object]
) -> None:
    """As FastAPI does: the value, or all that lacks a field."""
    found = (await json_of(send("POST", NUMBERS, json=body)))["detail"]
    assert [each["input"] for each in found] == repeated
    turn_own(box, VERBEX, secrets="masked")
    assert "pw" not in await (await send("POST", NUMBERS, json=body)).text()


async def test_an_update_reaches_the_secret_too(box: Sandbox, send: Send) -> None:
    created = await create(send, SIP)
    change = {"sip_trunk_password": "new", "sip_termination_uri": "sip.example.com"}
    updated = await json_of(send("PATCH", path_of(created), json=change))
    assert updated == {**created, **change}
    cleared = await json_of(send("PATCH", path_of(created), json={"sip_trunk_password": None}))
    assert cleared == {**updated, "sip_trunk_password": None}
    assert "new" not in repr(box.ledger.commits)


@pytest.mark.parametrize(
    ("body", "change"),
    [
        (SIP, {"twilio_auth_token": "x"}),
        (TWILIO, {"sip_termination_uri": "x"}),
        (PIA, {"sip_trunk_password": "x"}),
    ],
)
async def test_a_field_of_another_kind_is_dropped_or_refused(
    box: Sandbox,
    send: Send,
    body: dict[str, str],
    change: dict[str, str],
) -> None:
    created = await create(send, body)
    assert await json_of(send("PATCH", path_of(created), json=change)) == created
    turn_own(box, VERBEX, foreign_fields="reject")
    response = await send("PATCH", path_of(created), json=change)
    assert response.status == 422
    assert (await response.json())["detail"][0]["loc"] == ["body", *change]
    assert (await send("PATCH", path_of(created), json={"friendly_name": "x"})).status == 200


async def test_pages_follow_their_tokens(send: Send) -> None:
    keys = [(await create(send, {"provider": "pia"}))["_id"] for _ in range(5)]
    seen: list[list[str]] = []
    token: str | None = ""
    while token is not None:
        page = await listed(send, f"?page_size=2&page_token={token}" if token else "?page_size=2")
        seen.append([row["_id"] for row in page["phone_numbers"]])
        token = page["next_page_token"]
    assert seen == [keys[:2], keys[2:4], keys[4:]]


async def test_a_full_last_page_has_no_token(send: Send) -> None:
    for _ in range(20):
        await create(send, {"provider": "pia"})
    page = await listed(send)
    assert (len(page["phone_numbers"]), page["next_page_token"]) == (20, None)


async def test_a_token_holds_when_numbers_are_deleted_meanwhile(send: Send) -> None:
    created = [await create(send, {"provider": "pia"}) for _ in range(4)]
    token = (await listed(send, "?page_size=2"))["next_page_token"]
    for record in created[:2]:
        await send("DELETE", path_of(record))
    page = await listed(send, f"?page_size=2&page_token={token}")
    assert page["phone_numbers"] == created[2:]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("page_size=0", 422),
        ("page_size=101", 422),
        ("page_size=x", 422),
        ("page_size=", 422),
        ("page_token=x", 400),
        ("page_token=%C3%A9", 400),
        ("page_token=YWZ0ZXI6eA==", 400),
    ],
)
async def test_a_page_there_is_not_is_refused(send: Send, query: str, status: int) -> None:
    assert (await send("GET", f"{NUMBERS}?{query}")).status == status


@pytest.mark.parametrize("key", ["phone_numbers", "data", "items"])
async def test_the_rows_can_have_other_names(box: Sandbox, send: Send, key: str) -> None:
    turn_own(box, VERBEX, list_envelope=key)
    created = await create(send, PIA)
    assert await listed(send) == {key: [created], "next_page_token": None}


async def test_a_bare_array_holds_everything(box: Sandbox, send: Send) -> None:
    turn_own(box, VERBEX, list_envelope="array")
    created = [await create(send, {"provider": "pia"}) for _ in range(3)]
    assert await listed(send, "?page_size=1") == created


async def test_a_last_page_can_leave_its_token_out(box: Sandbox, send: Send) -> None:
    turn(box, unset_as="absent")
    assert await listed(send) == {"phone_numbers": []}


async def test_records_can_have_an_id_without_underscore(box: Sandbox, send: Send) -> None:
    turn_own(box, VERBEX, id_key="id")
    created = await create(send, PIA)
    assert "_id" not in created
    assert (await send("GET", f"{NUMBERS}/{created['id']}")).status == 200


@pytest.mark.parametrize("body", [SIP, PIA, TWILIO])
async def test_records_can_hide_their_kind_or_have_a_new_one(
    box: Sandbox,
    send: Send,
    body: dict[str, str],
) -> None:
    created = await create(send, body)
    turn(box, provider_word="bandwidth")
    read = await json_of(send("GET", path_of(created)))
    assert read == {**created, "provider": "bandwidth"}
    turn_own(box, VERBEX, show_provider=False)
    assert "provider" not in await json_of(send("GET", path_of(created)))


@pytest.mark.parametrize(
    ("body", "field"),
    [(SIP, "sip_trunk_password"), (TWILIO, "twilio_auth_token")],
)
async def test_secrets_can_be_masked(
    box: Sandbox,
    send: Send,
    body: dict[str, str],
    field: str,
) -> None:
    turn_own(box, VERBEX, secrets="masked")
    created = await create(send, body)
    assert created[field] == "********"
    turn_own(box, VERBEX, secrets="plain")
    assert (await json_of(send("GET", path_of(created))))[field] == body[field]


async def test_a_secret_that_is_not_set_is_not_masked(box: Sandbox, send: Send) -> None:
    turn_own(box, VERBEX, secrets="masked")
    assert (await create(send, {"phone_number": NUMBER}))["sip_trunk_password"] is None


async def test_regions_can_have_new_names(box: Sandbox, send: Send) -> None:
    turn_own(box, VERBEX, default_region="eu1")
    assert (await create(send, SIP))["sip_infra_region"] == "eu1"
    other = {"phone_number": "+14155552672", "sip_infra_region": "bd_link3"}
    assert (await create(send, other))["sip_infra_region"] == "bd_link3"


@pytest.mark.parametrize(
    ("status", "with_body", "has_body"),
    [(204, True, False), (200, True, True), (200, False, False)],
)
async def test_a_deletion_answers_with_or_without_a_body(
    box: Sandbox,
    send: Send,
    *,
    status: int,
    with_body: bool,
    has_body: bool,
) -> None:
    created = await create(send, PIA)
    turn(box, delete_status=status)
    turn_own(box, VERBEX, delete_body=with_body)
    response = await send("DELETE", path_of(created))
    assert response.status == status
    assert await response.read() == b"" or await response.json() == created
    assert bool(await response.read()) is has_body


@pytest.mark.parametrize(
    ("form", "not_found", "invalid"),
    [
        ("usual", str, list),
        ("list", list, list),
        ("string", str, str),
        ("object", dict, dict),
    ],
)
async def test_errors_have_several_forms(
    box: Sandbox,
    send: Send,
    form: str,
    not_found: type,
    invalid: type,
) -> None:
    turn_own(box, VERBEX, error_detail=form)
    missing = await json_of(send("GET", f"{NUMBERS}/0123456789abcdef01234567"))
    broken = await json_of(send("POST", NUMBERS, json={}))
    assert isinstance(missing["detail"], not_found)
    assert isinstance(broken["detail"], invalid)
    assert "Phone number not found" in str(missing)
    assert "phone_number is required" in str(broken)


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize(
    ("spelling", "served", "other"),
    [("bare", NUMBERS, NUMBERS + "/"), ("slash", NUMBERS + "/", NUMBERS)],
)
async def test_the_other_spelling_of_the_collection_is_redirected(  # noqa: PLR0917
    box: Sandbox,
    send: Send,
    status: int,
    spelling: str,
    served: str,
    other: str,
) -> None:
    turn_own(box, VERBEX, collection_path=spelling, slash_redirect=status)
    assert (await send("POST", served, json=PIA)).status == 201
    for method in ("GET", "POST"):
        response = await send(method, other + "?page_size=5", json=PIA)
        assert response.status == status
        assert response.headers["Location"] == box.verbex.base_url + served + "?page_size=5"
    assert len(box.ledger) == 1


async def test_the_other_spelling_can_be_unknown(box: Sandbox, send: Send) -> None:
    turn_own(box, VERBEX, slash_redirect=None)
    assert (await send("GET", NUMBERS + "/")).status == 404


async def test_an_item_has_no_slash_either_way(box: Sandbox, send: Send) -> None:
    turn_own(box, VERBEX, collection_path="slash")
    path = path_of(await json_of(send("POST", NUMBERS + "/", json=PIA)))
    assert (await send("GET", path)).status == 200
    response = await send("GET", path + "/")
    assert (response.status, response.headers["Location"]) == (307, box.verbex.base_url + path)
