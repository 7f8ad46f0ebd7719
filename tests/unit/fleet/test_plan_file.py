"""Plans as files: what was saved is what is carried out, or it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import orjson
import pytest

from sigmamind_async.errors import PlanError
from sigmamind_async.fleet import (
    Change,
    DesiredState,
    Fleet,
    FleetRow,
    FleetState,
    LastApplied,
    Plan,
    PlanOptions,
    RemoteNumber,
    Source,
    plan,
    plan_file,
)
from sigmamind_async.fleet.plan_file import dump_plan, load_plan, stale_reasons
from sigmamind_async.fleet.state import PendingOperation
from sigmamind_async.provisioning.row import Kind, Row, State
from sigmamind_async.values import Secret

NUMBER, OTHER = "+14155550100", "+14155550101"


def row(row_id: str = "desk", source: Source = Source.EXISTING, **fields: Any) -> FleetRow:
    state = fields.pop("state", DesiredState.PRESENT)
    platform = fields.pop("platform", "sigmamind")
    return FleetRow(id=row_id, platform=platform, source=source, state=state, fields=fields)


def known(*numbers: str, label: str = "Old", **more: Any) -> FleetState:
    found = {
        number: RemoteNumber(
            platform="sigmamind", record=number, phone_number=number, shown={"label": label}
        )
        for number in numbers
    }
    return FleetState(numbers={"sigmamind": found, "verbex": {}}, **more)


def applied(number: str = NUMBER, **more: Any) -> LastApplied:
    fields = {"platform": "sigmamind", "source": "import", "sequence": 1, **more}
    return LastApplied(record=number, phone_number=number, **fields)


def begun(state: State) -> dict[str, PendingOperation]:
    asked = {"country_code": "US"}
    stored = Row(
        op_id="desk #1",
        account="sigmamind",
        kind=Kind.PURCHASE,
        request_type="CreatePhoneNumber",
        request_fields=asked,
        token="A" * 13,
        state=state,
    )
    return {"desk": PendingOperation(sequence=1, row=stored)}


UPDATE = row(phone_number=NUMBER, label="New", inbound_agent_id=None)
PURCHASE = row(source=Source.PURCHASE, country_code="US", area_code=415)
MOVE = row(platform="verbex", source=Source.IMPORT, phone_number=NUMBER, trunk_password="env:TRUNK")
ABSENT = row("gone", phone_number=OTHER, state=DesiredState.ABSENT)
RELEASING = PlanOptions(allow_release=True)


def made(*rows: FleetRow, at: FleetState, options: PlanOptions | None = None) -> Plan:
    return plan(Fleet(rows=rows), at, options)


EVERY_KIND = made(
    row("new", Source.PURCHASE, country_code="US"),
    attrs.evolve(MOVE, id="moves"),
    ABSENT,
    row("other", phone_number="+14155550102", label="New"),
    at=known(
        NUMBER, OTHER, "+14155550102", last_applied={"moves": applied(), "was": applied("+1")}
    ),
    options=PlanOptions(allow_release=True, on_drift="keep", rewrite_secrets=True),
)


def test_what_was_saved_is_read_back() -> None:
    assert load_plan(dump_plan(EVERY_KIND)) == EVERY_KIND
    assert [step.action.value for step in EVERY_KIND.steps] == [
        "purchase",
        "move",
        "release",
        "adopt",
    ]


def test_the_parts_are_in_one_order() -> None:
    """Two processes save the same bytes, whatever their sets do."""
    head, *lines = dump_plan(EVERY_KIND, {"from": "x"}).splitlines()
    assert list(orjson.loads(head)) == [
        *("kind", "version", "rows", "columns", "unlisted", "skipped", "options", "origin", "from")
    ]
    assert [orjson.loads(line)[0] for line in lines] == ["new", "moves", "gone", "other"]


def test_a_reference_is_saved_and_a_secret_is_not() -> None:
    with_reference = row(source=Source.IMPORT, phone_number=NUMBER, trunk_password="env:TRUNK")
    assert b"env:TRUNK" in dump_plan(made(with_reference, at=known()))
    inline = row(source=Source.IMPORT, phone_number=NUMBER, trunk_password=Secret("hunter2"))
    with pytest.raises(PlanError, match="desk: an inline secret cannot be saved"):
        dump_plan(made(inline, at=known()))


def test_a_plan_with_problems_is_not_saved() -> None:
    with pytest.raises(PlanError, match="a plan with problems cannot be saved"):
        dump_plan(made(UPDATE, at=known()))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,platform\n", "is not a saved plan, or was changed since"),
        (b"[]", "is not a saved plan, or was changed since"),
        (b'{"kind": "other"}', "is not a saved plan"),
        (b'{"kind": "sigmamind_async.plan", "version": 0}', "was saved by another version"),
        (b'{"kind":"sigmamind_async.plan","version":1,"steps":[]}', "was saved by another version"),
        (b'{"kind": "sigmamind_async.plan", "version": 2}', "is not a saved plan, or was changed"),
    ],
)
def test_anything_else_is_no_plan(content: bytes, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        load_plan(content)


def parsed(content: bytes) -> list[Any]:
    """Return the lines of a saved plan: a head, then a list for each row."""
    return [orjson.loads(line) for line in content.splitlines()]


def joined(document: Any) -> bytes:
    lines = document if isinstance(document, list) else [document]
    return b"\n".join(map(orjson.dumps, lines))


def test_every_part_of_a_saved_plan_is_needed() -> None:
    head, *lines = parsed(dump_plan(EVERY_KIND))
    for name in head:
        with pytest.raises(PlanError):
            load_plan(joined([{key: part for key, part in head.items() if key != name}, *lines]))
    for at in range(len(lines)):
        with pytest.raises(PlanError):
            load_plan(joined([head, *lines[:at], *lines[at + 1 :]]))


def csv_line(known_row: FleetRow) -> str:
    own = known_row.id, known_row.platform, known_row.source.value
    return ",".join([*own, *map(str, known_row.fields.values())]) + "\n"


def test_a_plan_is_at_most_three_times_its_csv() -> None:
    """Purchases, and updates of several fields, on a platform with keys of its own."""
    buys = [
        row(f"support-{n}", Source.PURCHASE, country_code="US", label=f"Support {n}")
        for n in range(100)
    ]
    shown = {"label": "Before", "inbound_agent_id": "agt_1"}
    numbers = {f"pn_{n:012x}": f"+1415{n:07}" for n in range(100)}
    found = {
        key: RemoteNumber(platform="verbex", record=key, phone_number=number, shown=shown)
        for key, number in numbers.items()
    }
    updates = [
        row(key, platform="verbex", phone_number=number, label="After", inbound_agent_id="agt_2")
        for key, number in numbers.items()
    ]
    at = FleetState(numbers={"sigmamind": {}, "verbex": found})
    for rows in (buys, updates):
        todo = made(*rows, at=at)
        saved = dump_plan(todo)
        assert len(todo.steps) == 100
        assert load_plan(saved) == todo
        assert len(saved) <= 3 * len("".join(map(csv_line, rows)))


# ---------------------------------------------------------------- what was damaged


def places(held: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each value of a JSON document."""
    yield path
    if isinstance(held, dict):
        for key, value in held.items():
            yield from places(value, (*path, key))
    elif isinstance(held, list):
        for index, value in enumerate(held):
            yield from places(value, (*path, index))


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    key, *rest = path
    changed = dict(document) if isinstance(document, dict) else list(document)
    changed[key] = replaced(document[key], tuple(rest), value) if rest else value
    return changed


ODD: tuple[Any, ...] = (None, True, 0, -1, 1.5, 10**18, "", "x", [], ["x"], {}, {"x": 1}, [[]])


def test_a_value_of_another_kind_is_refused_or_is_as_good() -> None:
    """In every place of the file: what is taken fits, and can be saved and read again."""
    document = parsed(dump_plan(EVERY_KIND))
    refused = 0
    for path in places(document):
        for value in ODD:
            try:
                taken = load_plan(joined(replaced(document, path, value)))
            except PlanError:
                refused += 1
            else:
                assert load_plan(dump_plan(taken)) == taken
    assert refused > 900


def test_the_control_of_odd_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the comparison a number is taken for a label, and fails somewhere in the job."""
    document = parsed(dump_plan(EVERY_KIND))
    odd = joined(replaced(document, (1, document[0]["columns"].index("country_code")), 1.5))
    with pytest.raises(PlanError):
        load_plan(odd)
    monkeypatch.setattr(plan_file, "_check_scalar", lambda value, _: value)
    monkeypatch.setattr(plan_file, "_converter", plan_file._converter.__wrapped__)  # noqa: SLF001
    assert load_plan(odd).rows["new"].fields["country_code"] == 1.5


WHOLE = dump_plan(EVERY_KIND)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" \n",
        b"\0" * 4096,
        bytes(range(256)),
        b"\xff\xfe" + "{}".encode("utf-16-le"),
        b"null",
        b"3",
        b'"plan"',
        b"[" * 100_000,
        b'{"kind":' * 100_000,
        b'{"kind": "sigmamind_async.plan", "version": 2, "rows": 0, "columns": [], "options": []}',
        WHOLE + b"x",
        WHOLE.replace(b"purchase", b"purch\xe9", 1),
        *(WHOLE[:end] for end in range(1, len(WHOLE), 97)),
    ],
)
def test_a_damaged_file_is_told(content: bytes) -> None:
    with pytest.raises(PlanError, match="is not a saved plan"):
        load_plan(content)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((0, "rows"), []),
        ((0, "columns", 4), "colour"),
        ((1, 1), "telegraph"),
        ((1, 2), "gift"),
        ((2, 0), "new"),
        ((2, -1, "moves_from", "platform"), "telegraph"),
        ((2, -1, "id"), "nobody"),
        ((0, "options", "on_drift"), "ignore"),
        ((0, "options", "allow_release"), "no"),
    ],
)
def test_words_that_nobody_knows_are_refused(path: tuple[Any, ...], value: Any) -> None:
    document = parsed(WHOLE)
    with pytest.raises(PlanError):
        load_plan(joined(replaced(document, path, value)))


# ---------------------------------------------------------------- what has moved


def test_nothing_has_moved_where_nothing_did() -> None:
    at = known(NUMBER)
    assert stale_reasons(made(UPDATE, at=at), made(UPDATE, at=at), at) == []


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (
            known(NUMBER, label="Third"),
            ["desk: was to adopt (label 'Old' -> 'New'), is now to adopt (label 'Third' -> 'New')"],
        ),
        (known(), [f"desk phone_number: {NUMBER} is not in the account"]),
    ],
)
def test_what_somebody_changed_meanwhile_is_told(now: FleetState, reason: list[str]) -> None:
    saved = made(UPDATE, at=known(NUMBER))
    assert stale_reasons(saved, made(UPDATE, at=now), now) == reason


def test_what_is_done_already_has_not_moved() -> None:
    now = known(NUMBER, label="New", last_applied={"desk": applied(fields={"label": "New"})})
    assert stale_reasons(made(UPDATE, at=known(NUMBER)), made(UPDATE, at=now), now) == []


@pytest.mark.parametrize("state", [State.SENDING, State.UNCONFIRMED])
def test_a_purchase_that_this_plan_began_goes_on(state: State) -> None:
    now = known(pending=begun(state))
    assert stale_reasons(made(PURCHASE, at=known()), made(PURCHASE, at=now), now) == []


def test_what_a_purchase_does_not_take_may_be_left_to_write() -> None:
    """The run ended between the purchase and the update behind it."""
    wanted = attrs.evolve(PURCHASE, fields={**PURCHASE.fields, "label": "New"})
    now = known(
        NUMBER, last_applied={"desk": applied(fields={"country_code": "US", "area_code": 415})}
    )
    again = made(wanted, at=now)
    assert [change for step in again.steps for change in step.changes] == [
        Change("label", "Old", "New")
    ]
    assert stale_reasons(made(wanted, at=known()), again, now) == []


def test_a_change_by_another_file_is_no_progress_of_this_plan() -> None:
    """The journal is further, and not because of this plan: what it would undo is told."""
    noted = applied(fields={"label": "Third"}, sequence=2)
    now = known(NUMBER, label="Third", last_applied={"desk": noted})
    before = known(NUMBER, last_applied={"desk": applied(fields={"label": "Old"})})
    assert stale_reasons(made(UPDATE, at=before), made(UPDATE, at=now), now) == [
        "desk: was to update (label 'Old' -> 'New'), is now to update (label 'Third' -> 'New')"
    ]


def test_a_saved_purchase_is_not_repeated_after_its_number_was_released() -> None:
    """Whoever agreed to it agreed to one number. The control is the state before it was bought."""
    saved = made(PURCHASE, at=known())
    released = known(last_applied={"desk": applied("", sequence=2, source="purchase")})
    (reason,) = stale_reasons(saved, made(PURCHASE, at=released), released)
    assert reason.startswith("desk: was to purchase")
    assert stale_reasons(saved, made(PURCHASE, at=known()), known()) == []
