"""What every platform does with the numbers of an account, every switch at its default."""

from sigmamind_async.sandbox import Sandbox
from tests.sandbox.support import Json, Send, Vendor, every_vendor, json_of, number_at

pytestmark = every_vendor


async def listed(send: Send, vendor: Vendor, query: str = "") -> list[str]:
    page = await json_of(send("GET", vendor.numbers + query))
    return [row[vendor.shown_number] for row in page[vendor.rows]]


async def bought(send: Send, vendor: Vendor, position: int = 0) -> Json:
    """Buy a number and return its record."""
    response = await send("POST", vendor.purchase[1], json=vendor.order(position))
    assert response.status == 201
    return vendor.record(await response.json())


async def test_a_number_is_bought_read_and_listed(
    box: Sandbox,
    vendor: Vendor,
    send: Send,
) -> None:
    record = await bought(send, vendor)
    read = await json_of(send("GET", vendor.path_of(record)))
    assert {**read, **record} == read
    assert await listed(send, vendor) == [number_at(0)]
    (commit,) = box.ledger.commits
    assert (commit.platform, commit.operation) == (vendor.name, vendor.purchase[0])
    assert (commit.kind, commit.phone_number) == ("purchase", number_at(0))
    assert commit.friendly_name == ("order-1" if vendor.labels_purchases else None)


async def test_a_number_is_brought_over_a_trunk(box: Sandbox, vendor: Vendor, send: Send) -> None:
    body = vendor.trunk(label="Support")
    response = await send("POST", vendor.bring[1], json=body)
    assert response.status == 201
    (commit,) = box.ledger.commits
    assert (commit.kind, commit.operation) == ("import", vendor.bring[0])
    assert (commit.phone_number, commit.friendly_name) == (number_at(0), "Support")
    secret = vendor.fields["secret"]
    assert commit.body == {name: value for name, value in body.items() if name != secret}


async def test_an_update_changes_what_it_names_and_leaves_the_rest(
    vendor: Vendor,
    send: Send,
) -> None:
    label, agent = vendor.fields["label"], vendor.fields["agent"]
    path = vendor.path_of(await bought(send, vendor))
    before = await json_of(send("GET", path))
    for change in ({label: "New"}, {agent: "agt_abc123"}, {agent: None}):
        before |= change
        assert await json_of(send("PATCH", path, json=change)) == before
    assert await json_of(send("PATCH", path, json={})) == before
    assert await json_of(send("GET", path)) == before


async def test_a_released_number_is_gone(box: Sandbox, vendor: Vendor, send: Send) -> None:
    path = vendor.path_of(await bought(send, vendor))
    assert (await send("DELETE", path)).ok
    for method, body in (("DELETE", None), ("GET", None), ("PATCH", {})):
        response = await send(method, path, json=body)
        assert response.status == 404
        assert (await response.json())[vendor.error_message] == "Phone number not found"
    assert box.ledger.owned() == []
    assert [commit.operation for commit in box.ledger.of_kind("release")] == [vendor.release]


async def test_a_number_held_already_is_a_conflict(
    box: Sandbox,
    vendor: Vendor,
    send: Send,
) -> None:
    record = await bought(send, vendor)
    for (_, path), body in ((vendor.purchase, vendor.order()), (vendor.bring, vendor.trunk())):
        assert (await send("POST", path, json=body)).status == 409
    assert len(box.ledger) == 1
    await send("DELETE", vendor.path_of(record))
    assert await bought(send, vendor)


async def test_new_numbers_are_listed_and_read_after_the_lag(
    box: Sandbox,
    vendor: Vendor,
    send: Send,
) -> None:
    box.list_lag = 60.0
    path = vendor.path_of(await bought(send, vendor))
    assert await listed(send, vendor) == []
    assert (await send("GET", path)).status == 404
    # Writes see it: only reads lag behind.
    assert (await send("PATCH", path, json={vendor.fields["label"]: "x"})).status == 200
    assert (await send("POST", vendor.purchase[1], json=vendor.order())).status == 409
    box.list_lag = 0.0
    assert await listed(send, vendor) == [number_at(0)]
    assert (await send("GET", path)).status == 200


async def test_platforms_hold_accounts_of_their_own(
    box: Sandbox,
    vendor: Vendor,
    send: Send,
) -> None:
    await bought(send, vendor)
    for endpoint in box.endpoints:
        held = [number_at(0)] if endpoint.name == vendor.name else []
        assert box.ledger.owned(endpoint.name) == held
