"""A fleet on every platform: what its file says is so, and is asked for once."""

from __future__ import annotations

from collections.abc import AsyncIterator

import attrs
import pytest

from sigmamind_async.fleet.spec import FleetRow
from sigmamind_async.fleet.step import Action
from sigmamind_async.provisioning import MemoryJournal
from sigmamind_async.sandbox import DialNexaSwitches, Fault, Sandbox, Switches
from tests.contract.dialects import DIALECTS, Dialect
from tests.functional.fleets import (
    AGENTS,
    PURCHASES,
    Operator,
    absent,
    bought,
    commits,
    imported,
    row,
    saying,
    sent,
)

OWN = "+14155550110"
ANOTHER = {"sigmamind": "verbex", "verbex": "dialnexa", "dialnexa": "sigmamind"}
"""Where a number moves to from each platform."""


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=1) as sandbox:
        yield sandbox


@pytest.fixture
async def operator(box: Sandbox) -> AsyncIterator[Operator]:
    async with Operator(box) as one:
        yield one


def rows_on(name: str) -> list[FleetRow]:
    return [bought("buys", name), imported("brings", name, OWN)]


def everywhere() -> list[FleetRow]:
    """Return rows of all platforms; a number may be on several of them."""
    return [
        attrs.evolve(each, id=f"{each.id} {name}") for name in DIALECTS for each in rows_on(name)
    ]


def bodies(box: Sandbox, since: int) -> list[dict[str, object]]:
    """Return what each change asked for."""
    return [dict(commit.body) for commit in box.ledger.commits[since:]]


# --- twice -----------------------------------------------------------------------------------


async def test_the_second_apply_writes_nothing(
    dialect: Dialect, box: Sandbox, operator: Operator
) -> None:
    rows = rows_on(dialect.name)
    assert await operator.apply(rows) == {"buys": "done", "brings": "done"}
    before, state = sent(box), await operator.state()
    assert await operator.apply(rows) == {"buys": "done", "brings": "done"}
    assert (sent(box), await operator.state()) == (before, state)
    kinds = [commit.kind for commit in box.ledger.commits]
    assert (kinds.count("purchase"), kinds.count("import")) == (1, 1)


class Forgetful(MemoryJournal):
    """Takes notes and keeps none."""

    async def set_last_applied(self, row_id: str, text: str | None) -> None:
        """Forget it."""


@pytest.mark.parametrize("dialect", ["sigmamind", "verbex"], indirect=True)
async def test_the_notes_are_what_a_second_apply_goes_by(dialect: Dialect, box: Sandbox) -> None:
    """The guard at work: without notes nobody knows that the password was written already."""
    async with Operator(box, Forgetful()) as operator:
        await operator.apply(rows_on(dialect.name))
        before = commits(box)
        await operator.apply(rows_on(dialect.name))
    assert commits(box) == [*before, (dialect.name, "update")]


async def test_a_fleet_of_all_platforms_is_applied_at_once(
    box: Sandbox, operator: Operator
) -> None:
    rows = everywhere()
    assert set((await operator.apply(rows)).values()) == {"done"}
    before = sent(box)
    assert set((await operator.apply(rows[::-1])).values()) == {"done"}
    assert sent(box) == before
    assert len(box.ledger.purchases) == len(box.ledger.of_kind("import")) == 3


async def test_everything_that_a_row_says_is_there_in_the_end(
    dialect: Dialect, operator: Operator
) -> None:
    """What a purchase does not take is written behind it."""
    await operator.apply([bought("buys", dialect.name)])
    (shown,) = (await operator.state()).numbers.values()
    wanted = PURCHASES[dialect.name]
    assert {name: shown[name] for name in wanted if name in shown} == {
        name: cell for name, cell in wanted.items() if name in shown
    }
    assert shown["label"] == "Desk"


async def test_a_purchase_that_takes_no_label_has_one_written_behind_it(
    box: Sandbox, operator: Operator
) -> None:
    await operator.apply([bought("buys", "dialnexa")])
    purchase, update = bodies(box, 0)
    assert not {"nickname", "agent_id", "label"} & purchase.keys()
    assert update == {"nickname": "Desk", "agent_id": AGENTS["dialnexa"][0], "label": "Cost 7"}


# --- changes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["label", "inbound_agent_id"])
async def test_an_update_says_what_has_changed_and_nothing_else(
    dialect: Dialect, box: Sandbox, operator: Operator, field: str
) -> None:
    agent, other = AGENTS[dialect.name]
    rows = [saying(each, inbound_agent_id=agent) for each in rows_on(dialect.name)]
    await operator.settle(rows)
    since = len(box.ledger)
    await operator.apply([saying(each, **{field: other}) for each in rows])
    assert [len(body) for body in bodies(box, since)] == [1, 1]
    assert [[*body.values()] for body in bodies(box, since)] == [[other], [other]]


async def test_a_field_that_is_not_said_is_left_alone(
    dialect: Dialect, box: Sandbox, operator: Operator
) -> None:
    agent, _ = AGENTS[dialect.name]
    full = bought("buys", dialect.name, inbound_agent_id=agent)
    await operator.settle([full])
    fields = {name: cell for name, cell in full.fields.items() if name != "inbound_agent_id"}
    await operator.settle([attrs.evolve(full, fields={**fields, "label": "Other"})])
    (shown,) = (await operator.state()).numbers.values()
    assert (shown["label"], shown["inbound_agent_id"]) == ("Other", agent)


# DialNexa takes no null: the check of a row refuses it.
@pytest.mark.parametrize("dialect", ["sigmamind", "verbex"], indirect=True)
async def test_a_field_that_is_said_to_be_null_is_cleared(
    dialect: Dialect, box: Sandbox, operator: Operator
) -> None:
    agent, _ = AGENTS[dialect.name]
    full = bought("buys", dialect.name, inbound_agent_id=agent)
    await operator.settle([full])
    since = len(box.ledger)
    await operator.settle([saying(full, inbound_agent_id=None)])
    (shown,) = (await operator.state()).numbers.values()
    assert (shown["label"], shown["inbound_agent_id"]) == ("Desk", None)
    assert [[*body.values()] for body in bodies(box, since)] == [[None]]


# --- numbers that are there already ------------------------------------------------------------


async def test_a_number_of_the_account_is_adopted(
    dialect: Dialect, box: Sandbox, operator: Operator
) -> None:
    """What differs is written; nothing is bought or imported."""
    client = dialect.connect(box)
    async with client:
        await client.run(dialect.buy(OWN))
    rows = [row("has", dialect.name, "existing", phone_number=OWN, label="Mine")]
    made = await operator.planned(rows)
    assert [step.action for step in made.steps] == [Action.ADOPT]
    await operator.settle(rows)
    assert [kind for _, kind in commits(box)] == ["purchase", "update"]
    assert (await operator.notes())["has"].phone_number == OWN


# --- numbers that go -------------------------------------------------------------------------


@pytest.mark.parametrize("allow", [False, True])
async def test_a_number_goes_when_row_and_flag_say_so(
    dialect: Dialect, box: Sandbox, operator: Operator, *, allow: bool
) -> None:
    rows = rows_on(dialect.name)
    await operator.settle(rows)
    gone = [absent(each) for each in rows]
    ends = await operator.apply(gone, allow_release=allow)
    assert set(ends.values()) == {"done" if allow else "skipped"}
    assert len(box.ledger.owned()) == (0 if allow else 2)
    if allow:
        await operator.settle(gone, allow_release=True)
        assert [one.record for one in (await operator.notes()).values()] == ["", ""]
        assert len(box.ledger.of_kind("release")) == 2


async def test_a_released_row_that_is_wanted_again_gets_a_number_again(
    dialect: Dialect, box: Sandbox, operator: Operator
) -> None:
    rows = rows_on(dialect.name)
    for wanted in (rows, [absent(each) for each in rows], rows):
        await operator.settle(wanted, allow_release=True)
    assert len(box.ledger.owned()) == 2
    assert len(box.ledger.purchases) == 2


# --- numbers that move -----------------------------------------------------------------------


async def test_a_number_that_moves_is_imported_before_it_is_released(
    dialect: Dialect, box: Sandbox, operator: Operator
) -> None:
    there = ANOTHER[dialect.name]
    await operator.settle([imported("moves", dialect.name, OWN)])
    since = len(box.ledger)
    await operator.settle([imported("moves", there, OWN)], allow_release=True)
    made = [step for step in commits(box, since) if step[1] != "update"]
    assert made == [(there, "import"), (dialect.name, "release")]
    assert (await operator.notes())["moves"].platform == there


@pytest.mark.parametrize("fault", [Fault.CONFLICT_409, Fault.STATUS_401])
async def test_a_number_whose_import_fails_stays_where_it_is(
    dialect: Dialect, box: Sandbox, operator: Operator, fault: Fault
) -> None:
    there = ANOTHER[dialect.name]
    await operator.settle([imported("moves", dialect.name, OWN)])
    box.script(DIALECTS[there].importing, [fault] * 4, platform=there)
    rows = [imported("moves", there, OWN)]
    assert await operator.apply(rows, allow_release=True) != {"moves": "done"}
    assert not box.ledger.of_kind("release")
    await operator.settle(rows, allow_release=True)
    assert (box.ledger.owned(dialect.name), box.ledger.owned(there)) == ([], [OWN])


async def test_without_the_flag_nothing_moves(
    dialect: Dialect, box: Sandbox, operator: Operator
) -> None:
    await operator.settle([imported("moves", dialect.name, OWN)])
    since = len(box.ledger)
    ends = await operator.apply([imported("moves", ANOTHER[dialect.name], OWN)])
    assert ends == {"moves": "problem"}
    assert commits(box, since) == []


# --- rows that fail alone ----------------------------------------------------------------------


async def test_an_agent_that_does_not_exist_is_found_before_money_is_spent(
    dialect: Dialect, box: Sandbox, operator: Operator
) -> None:
    made = await operator.planned([bought("buys", dialect.name, inbound_agent_id="agt_nobody")])
    tells = dialect.name != "verbex"  # of its agents nothing can be read
    assert [problem.field for problem in made.problems] == ["inbound_agent_id"] * tells
    assert sent(box) == {}


@pytest.mark.parametrize("dialect", ["sigmamind", "dialnexa"], indirect=True)
async def test_agents_that_may_not_be_read_are_not_looked_for(
    dialect: Dialect, box: Sandbox, operator: Operator
) -> None:
    """A key may be allowed to change numbers and not to read agents."""
    reading = "agents.list" if dialect.name == "sigmamind" else "agents.get"
    box.script(reading, [Fault.STATUS_401] * 4, platform=dialect.name)
    made = await operator.planned([bought("buys", dialect.name, inbound_agent_id="agt_nobody")])
    assert (len(made.steps), made.problems) == (1, ())


async def test_a_missing_secret_fails_its_row_alone(
    dialect: Dialect, box: Sandbox, operator: Operator
) -> None:
    rows = [
        imported("poor", dialect.name, OWN, trunk_password="env:NOWHERE"),
        imported("rich", dialect.name, "+14155550111"),
        bought("buys", dialect.name),
    ]
    told = await operator.carry_out(await operator.planned(rows))
    ends = {one.step.id: (one.status, str(one.error)) for one in told}
    assert ends == {
        "poor": ("failed", "env:NOWHERE: is missing"),
        "rich": ("done", "None"),
        "buys": ("done", "None"),
    }
    assert OWN not in box.ledger.owned()


async def test_a_row_that_the_platform_refuses_fails_alone(
    dialect: Dialect, box: Sandbox, operator: Operator
) -> None:
    numbers = ["+14155550111", OWN, "+14155550112"]
    rows = [imported(number, dialect.name, number) for number in numbers]
    box.script(dialect.importing, [None, Fault.CONFLICT_409, None], platform=dialect.name)
    ends = await operator.apply(rows)
    assert sorted(ends.values()) == ["done", "done", "failed"]
    await operator.settle(rows)
    assert sorted(box.ledger.owned()) == sorted(numbers)


# --- platforms that answer otherwise -----------------------------------------------------------

STRANGE = [
    Switches(unset_as="empty", create_status=200, delete_status=200, extra_keys=True),
    Switches(unset_as="absent", list_envelope="array", echo_secrets=True),
    Switches(dialnexa=DialNexaSwitches(record_shape="narrative", purchase_answer="record")),
    Switches(dialnexa=DialNexaSwitches(record_shape="newer", purchase_answer="summary")),
]


@pytest.mark.parametrize("switches", STRANGE)
async def test_what_the_documentation_leaves_open_makes_no_difference(switches: Switches) -> None:
    async with Sandbox(seed=1, switches=switches) as box, Operator(box) as operator:
        rows = everywhere()
        await operator.settle(rows)
        before = sent(box)
        await operator.settle(rows)
        assert sent(box) == before
        assert len(box.ledger.purchases) == 3
        await operator.settle([absent(each) for each in rows], allow_release=True)
        assert box.ledger.owned() == []


# --- rows under a new id ------------------------------------------------------------------------

EDITS = {
    "renamed": {},
    "renamed and relabelled": {"label": "Other"},
    "renamed and bared of its label": {"label": None},
}


@pytest.mark.parametrize("fields", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("name", DIALECTS)
async def test_a_purchase_under_a_new_id_buys_nothing(
    box: Sandbox, operator: Operator, name: str, fields: dict[str, str | None]
) -> None:
    """The control is the same row once the first one is back: it buys a number of its own."""
    first, other = bought("0101", name), imported("brings", name, OWN)
    await operator.settle([first, other])
    changed = {**first.fields, **fields}
    after = attrs.evolve(first, id="101", fields={k: v for k, v in changed.items() if v})

    assert (await operator.apply([other, after]))["101"] == "problem"
    assert len(box.ledger.purchases) == 1

    await operator.settle([other, after, first])
    assert len(box.ledger.purchases) == 2
