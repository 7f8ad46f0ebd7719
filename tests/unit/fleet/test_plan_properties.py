"""Any fleet, edited in any way between runs that may end anywhere: what always holds."""

from __future__ import annotations

from random import Random
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigmamind_async.fleet.plan import Plan, PlanOptions
from sigmamind_async.fleet.row_parser import problems_of
from sigmamind_async.fleet.spec import SECRETS, DesiredState, FleetRow, Source
from sigmamind_async.fleet.step import Action
from sigmamind_async.fleet.vendors import VENDORS
from tests.unit.fleet.rows import BUYS, IMPORTS, PLATFORMS, bought
from tests.unit.fleet.world import VISIBLE, Quirks, World, existing_of

IDS = "abcdef"
NUMBERS = ("+14155550100", "+14155550101", "+14155550102")
CELLS: dict[str, tuple[Any, ...]] = {
    "label": ("one", "two", "", None),
    "inbound_agent_id": ("x", "y", None),
    "accounting_label": ("7", "8"),
    "trunk_password": ("env:A", "env:B"),
    "termination_uri": ("sip.example", "other.example"),
    "area_code": (415, 212),
}

randoms = st.randoms(use_true_random=False)


# ---------------------------------------------------------------- drawing


def any_rules(draw: Random) -> PlanOptions:
    return PlanOptions(
        on_drift=draw.choice(("keep", "overwrite", "fail")),
        allow_release=draw.random() < 0.7,
        rewrite_secrets=draw.random() < 0.2,
    )


def any_quirks(draw: Random) -> Quirks:
    def some(*names: str) -> frozenset[str]:
        return frozenset(name for name in names if draw.random() < 0.2)

    return Quirks(
        upper=draw.random() < 0.3,
        ignores=some("label", "inbound_agent_id", "termination_uri"),
        silent=some("accounting_label", "inbound_agent_id"),
        short=draw.random() < 0.3,
    )


def any_row(draw: Random, id_: str) -> FleetRow:
    """Return a row without problems of its own."""
    platform = draw.choice(PLATFORMS)
    source = draw.choice((Source.PURCHASE, Source.PURCHASE, Source.IMPORT, Source.EXISTING))
    fields: dict[str, Any] = {}
    if source is Source.PURCHASE:
        fields.update(BUYS[platform])
    elif source is Source.IMPORT:
        fields.update(IMPORTS[platform])
    if source is not Source.PURCHASE or draw.random() < 0.2:
        fields["phone_number"] = draw.choice(NUMBERS)
    made = FleetRow(id=id_, platform=platform, source=source, fields=fields)
    for _ in range(3):
        made = with_a_field(draw, made)
    return made


def with_a_field(draw: Random, made: FleetRow) -> FleetRow:
    """Return *made* with one field said or said otherwise, where its platform takes that."""
    name = draw.choice([*CELLS])
    fields = {**made.fields, name: draw.choice(CELLS[name])}
    return sound(attrs.evolve(made, fields=fields), made)


def without_a_field(draw: Random, made: FleetRow) -> FleetRow:
    name = draw.choice([*CELLS])
    fields = {known: cell for known, cell in made.fields.items() if known != name}
    return sound(attrs.evolve(made, fields=fields), made)


def sound(made: FleetRow, instead: FleetRow) -> FleetRow:
    return instead if problems_of(attrs.evolve(made, state=DesiredState.PRESENT)) else made


def edited(draw: Random, world: World, rows: list[FleetRow]) -> list[FleetRow]:
    """Return *rows* after one edit of the file."""
    rows = draw.sample(rows, len(rows)) if draw.random() < 0.3 else [*rows]
    free = [id_ for id_ in IDS if id_ not in {each.id for each in rows}]
    if free and (not rows or draw.random() < 0.3):
        return [*rows, any_row(draw, draw.choice(free))]
    place = draw.randrange(len(rows))
    one = rows[place]
    noted = world.notes.get(one.id)
    match draw.randrange(8):
        case 0:
            one = with_a_field(draw, one)
        case 1:
            one = without_a_field(draw, one)
        case 2 if free:
            one = attrs.evolve(one, id=draw.choice(free))
        case 3:
            state = draw.choice([*DesiredState])
            one = attrs.evolve(one, state=state)
        case 4:
            return [*rows[:place], *rows[place + 1 :]]
        case 5:  # what messages advise
            number = noted.phone_number if noted and noted.phone_number else draw.choice(NUMBERS)
            one = sound(attrs.evolve(one, fields={**one.fields, "phone_number": number}), one)
        case 6:
            one = attrs.evolve(any_row(draw, one.id), state=one.state)
        case _:
            number = noted.phone_number if noted and noted.phone_number else draw.choice(NUMBERS)
            platform = draw.choice(PLATFORMS)
            fields = {**IMPORTS[platform], "phone_number": number}
            one = attrs.evolve(one, platform=platform, source=Source.IMPORT, fields=fields)
    return [*rows[:place], one, *rows[place + 1 :]]


def somebody_else(draw: Random, world: World) -> None:
    """Change an account behind the fleet's back."""
    platform = draw.choice(PLATFORMS)
    account = world.accounts[platform]
    record = draw.choice([*account]) if account else ""
    match draw.randrange(4):
        case 0 if record:
            del account[record]
        case 1 if record:
            world.make_anew(platform, record)
        case 2:
            number = draw.choice(NUMBERS)
            if platform != "sigmamind" or number not in account:
                added = world.add(platform, number)
                account[added].lost = platform == "sigmamind"
        case _ if record:
            seen = [name for name in VISIBLE[platform] if name not in world.quirks.silent]
            name = draw.choice(seen)
            account[record].fields[name] = draw.choice(("Others", None))
        case _:
            pass


# ---------------------------------------------------------------- what always holds


def numbers_of(made: Plan) -> list[tuple[str, str]]:
    """Return what the steps of a plan are about, by platform and number or record."""
    about: list[tuple[str, str]] = []
    for step in made.steps:
        if (step.record or step.op_id) and step.phone_number:
            about.append((step.platform, step.phone_number))
        if step.moves_from is not None:
            about.append((step.moves_from.platform, step.moves_from.phone_number))
    return about


def look_over(made: Plan, rules: PlanOptions) -> None:
    """Check a plan by itself."""
    about = numbers_of(made)
    assert len(about) == len({*about})
    assert {step.id for step in made.steps}.isdisjoint(problem.id for problem in made.problems)
    for step in made.steps:
        if step.action in {Action.RELEASE, Action.MOVE} and step.writes:
            assert rules.allow_release


def settled(world: World, made: Plan) -> None:
    """Check that every number of *made* is as its row says, but for what was kept."""
    for step in made.steps:
        noted = world.notes.get(step.id)
        one = made.rows[step.id]
        if step.blocked or one.state is DesiredState.ABSENT:
            continue
        assert noted is not None
        number = world.accounts[noted.platform][noted.record]
        kept = {change.field for change in step.kept_drift}
        for name, cell in one.fields.items():
            if name in VENDORS[one.platform].update.takes and name not in kept:
                hidden = name in SECRETS or name in world.quirks.silent
                told = world.quirks.ignores.isdisjoint([name]) and not (hidden and number.lost)
                # Nothing tells that a silent field is empty already, or is not.
                told = told and not (hidden and not cell)
                if told:
                    assert number.fields.get(name) == world.spelled(name, cell)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.long
@settings(max_examples=150)
@given(randoms)
def test_any_history(draw: Random) -> None:
    """Nothing is bought twice for one row, released without leave, or written a second time."""
    world = World(any_quirks(draw))
    rows = [any_row(draw, id_) for id_ in draw.sample(IDS, draw.randrange(1, 5))]
    for _ in range(draw.randrange(1, 7)):
        for _ in range(draw.randrange(3)):
            somebody_else(draw, world)
        rules = any_rules(draw)
        made = world.plan(rows, rules)
        look_over(made, rules)
        ends_after = draw.randrange(12) if draw.random() < 0.3 else -1
        before = {**world.bought}
        over = world.carry_out(made, world.known(rows), ends_after=ends_after)
        for id_, times in world.bought.items():
            assert times <= 1 + world.released[id_]
            assert times == before.get(id_, 0) or made.rows[id_].source is Source.PURCHASE
        if over and not world.refused:
            settled(world, made)
            again = world.plan(rows, attrs.evolve(rules, rewrite_secrets=False))
            # A run may take away what kept another row from being carried out, and what went on
            # as it was asked for may not be what the row says by now.
            problems = {each.id for each in made.problems}
            problems |= {step.id for step in made.steps if step.remarks}
            assert {step.id for step in again.steps if step.writes} <= problems
            assert {each.id for each in again.problems} <= problems
        for _ in range(draw.randrange(3)):
            rows = edited(draw, world, rows)


def applied(draw: Random, quirks: Quirks | None = None) -> tuple[World, list[FleetRow]]:
    """Return a world in which rows without problems have been applied."""
    world = World(quirks or Quirks())
    for platform in PLATFORMS:
        world.add(platform, NUMBERS[0])
    rows = [any_row(draw, id_) for id_ in IDS]
    made = world.plan(rows, PlanOptions())
    rows = [one for one in rows if one.id in made.rows]
    made = world.plan(rows, PlanOptions())
    world.carry_out(made, world.known(rows))
    return world, rows


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.long
@settings(max_examples=100)
@given(randoms)
def test_the_order_of_rows(draw: Random) -> None:
    """It changes the order of steps and nothing else."""
    world, rows = applied(draw, any_quirks(draw))
    somebody_else(draw, world)
    for _ in range(3):
        rows = edited(draw, world, rows)
    rules = any_rules(draw)

    first = world.plan(rows, rules)
    second = world.plan(draw.sample(rows, len(rows)), rules)

    assert {step.id: step for step in first.steps} == {step.id: step for step in second.steps}
    assert {(each.id, each.field) for each in first.problems} == {
        (each.id, each.field) for each in second.problems
    }


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.long
@settings(max_examples=100)
@given(randoms)
def test_renamed_rows_buy_nothing(draw: Random) -> None:
    """Whichever of them are renamed: each is found by its number, or is a problem."""
    world, rows = applied(draw, any_quirks(draw))
    renamed = [attrs.evolve(one, id=one.id.upper()) if draw.random() < 0.5 else one for one in rows]

    made = world.plan(renamed, any_rules(draw))

    assert made.purchases == 0


def test_a_new_row_does_buy() -> None:
    """Negative control: a row that is not like any other one buys its number."""
    world, rows = applied(Random(1))

    made = world.plan([*rows, bought("new", "verbex", label="three")], PlanOptions())

    assert made.purchases == 1


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.long
@settings(max_examples=100)
@given(randoms)
def test_what_an_export_says(draw: Random) -> None:
    """Every shown field, said again, is nothing to write; nor are its rows ever a problem."""
    world, _ = applied(draw, any_quirks(draw))
    somebody_else(draw, world)
    numbers = [
        world.found(platform, record)
        for platform, records in world.accounts.items()
        for record in records
    ]
    unique = {(each.platform, each.phone_number): each for each in numbers}
    exported = [existing_of(each) for each in unique.values() if len(unique) == len(numbers)]
    world.notes.clear()

    made = world.plan(exported, any_rules(draw))

    assert (made.writes, made.problems) == (0, ())
