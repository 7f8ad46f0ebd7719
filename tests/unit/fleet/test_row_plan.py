"""What one row comes to: each decision, and each reason why there is none."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import pytest

from sigmamind_async.fleet.plan import Plan, plan
from sigmamind_async.fleet.spec import Fleet, FleetRow
from sigmamind_async.fleet.state import FleetState, LastApplied, PendingOperation
from sigmamind_async.fleet.state_index import spreadsheet_ids
from sigmamind_async.fleet.step import Action, Change, Step
from sigmamind_async.provisioning.row import Kind, State
from tests.unit.fleet.rows import (
    NUMBER,
    OTHER,
    PLATFORMS,
    absent,
    begun,
    bought,
    found,
    imported,
    known,
    messages,
    note,
    only,
    planned,
    record_of,
    row,
)

UNCONFIRMED = "which is unconfirmed"


# ---------------------------------------------------------------- numbers that come


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_number_is_bought(platform: str) -> None:
    """Once, under an id that says what for."""
    made = bought("a", platform, label="L")
    wanted: dict[str, Any] = {**made.fields}

    assert only(planned([made], known())) == Step(
        id="a",
        platform=platform,
        action=Action.PURCHASE,
        sequence=1,
        op_id="a #1",
        changes=tuple(Change(name, None, cell) for name, cell in wanted.items()),
    )


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_number_is_imported(platform: str) -> None:
    """Null and blank are no part of what comes."""
    step = only(planned([imported("a", platform, inbound_agent_id=None)], known()))

    assert (step.action, step.phone_number, step.op_id) == (Action.IMPORT, NUMBER, "a #1")
    assert "inbound_agent_id" not in {change.field for change in step.changes}


def test_an_existing_number_that_is_not_there() -> None:
    """It is never bought."""
    assert messages(planned([row(phone_number=NUMBER)], known())) == [
        f"a phone_number: {NUMBER} is not in the account"
    ]
    assert messages(planned([row()], known())) == [
        "a phone_number: its number, which the row does not name, is not in the account"
    ]


@pytest.mark.parametrize("make", [bought, imported, row])
def test_a_number_that_is_there_is_adopted(make: Any) -> None:
    """Whatever its source: it is not bought or imported again."""
    made = make(phone_number=NUMBER, label="L")

    assert only(planned([made], known([found(label="Old")]))) == Step(
        id="a",
        platform="sigmamind",
        action=Action.ADOPT,
        sequence=1,
        phone_number=NUMBER,
        record=NUMBER,
        changes=(Change("label", "Old", "L"),),
    )


def test_a_record_without_a_number_is_not_what_a_row_without_one_means() -> None:
    """An answer may name no number: it is neither adopted nor released."""
    nameless = found("verbex", "", record="r1")
    made = bought("a", "verbex")

    assert only(planned([made], known([nameless]))).action is Action.PURCHASE
    gone = only(planned([absent(made)], known([nameless]), allow_release=True))
    assert (gone.action, gone.record) == (Action.UNCHANGED, "")


def test_a_number_that_the_account_has_twice() -> None:
    """Which one is meant is not guessed, least of all to release one."""
    both = [found("verbex", record="r1"), found("verbex", record="r2")]
    made = row("a", "verbex", phone_number=NUMBER)
    message = f"a phone_number: the account has {NUMBER} more than once; keep only one of them"

    assert messages(planned([made], known(both))) == [message]
    assert messages(planned([absent(made)], known(both), allow_release=True)) == [message]


def test_the_one_of_two_that_was_applied() -> None:
    """A record that is known by its id is known."""
    both = [found("verbex", record="r1"), found("verbex", record="r2")]
    made = row("a", "verbex", phone_number=NUMBER)
    notes = {"a": note(made, record="r2")}

    assert only(planned([made], known(both, notes))).record == "r2"
    nameless = absent(row("a", "verbex"))
    step = only(planned([nameless], known(both, notes), allow_release=True))
    assert (step.action, step.record) == (Action.RELEASE, "r2")


def test_a_row_that_wants_a_number_gone_that_the_account_has_twice() -> None:
    """By that number it may mean either."""
    both = [found("verbex", record="r1"), found("verbex", record="r2")]
    made = row("a", "verbex", phone_number=NUMBER)
    what = known(both, {"a": note(made, record="r2")})

    assert messages(planned([absent(made)], what, allow_release=True)) == [
        f"a phone_number: the account has {NUMBER} more than once; keep only one of them"
    ]


# ---------------------------------------------------------------- numbers that are there


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_row_that_is_as_it_should_be(platform: str) -> None:
    """Nothing is sent."""
    made = bought("a", platform, label="L")
    step = only(planned([made], known([found(platform, label="L")], {"a": note(made)})))

    assert (step.action, step.changes, step.writes) == (Action.UNCHANGED, (), False)


def test_a_row_that_was_edited() -> None:
    """Exactly what differs is written."""
    before = bought(label="L", inbound_agent_id="x")
    after = bought(label="M", inbound_agent_id="x")
    there = found(label="L", inbound_agent_id="x", test_number=OTHER)

    step = only(planned([after], known([there], {"a": note(before)})))

    assert (step.action, step.changes) == (Action.UPDATE, (Change("label", "L", "M"),))


def test_a_row_that_takes_another_number() -> None:
    """Two rows that swap their numbers are two rows that changed theirs."""
    rows = [row("a", phone_number=OTHER), row("b", phone_number=NUMBER)]
    notes = {
        "a": note(row("a", phone_number=NUMBER)),
        "b": note(row("b", phone_number=OTHER), OTHER),
    }
    made = planned(rows, known([found(), found("sigmamind", OTHER)], notes), on_drift="overwrite")

    assert messages(made) == [
        f"a phone_number: this row has the number {NUMBER}; add a row for {OTHER}",
        f"b phone_number: this row has the number {OTHER}; add a row for {NUMBER}",
    ]
    assert made.steps == ()


def test_an_absent_row_that_takes_another_number() -> None:
    """Nothing is released by mistake."""
    notes = {"a": note(row(phone_number=NUMBER))}
    what = known([found(), found("sigmamind", OTHER)], notes)

    made = planned([absent(row(phone_number=OTHER))], what, allow_release=True)

    assert messages(made) == [
        f"a phone_number: this row has the number {NUMBER}; add a row for {OTHER}"
    ]


@pytest.mark.parametrize("make", [bought, row])
def test_a_number_that_is_gone(make: Any) -> None:
    """It is not replaced by another one."""
    assert messages(planned([make()], known(applied={"a": note(make())}))) == [
        (
            f"a phone_number: {NUMBER} is no longer in the account; remove the row, or give it"
            " a new id to get another number"
        )
    ]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_an_imported_number_that_is_gone(platform: str) -> None:
    """It is imported again, under an id of its own."""
    made = imported("a", platform)
    step = only(planned([made], known(applied={"a": note(made, sequence=4)})))

    assert (step.action, step.op_id) == (Action.IMPORT, "a #5")


@pytest.mark.parametrize("source", ["purchase", "import", "existing"])
def test_a_source_that_is_edited(source: str) -> None:
    """The number is the row's: where it came from is history."""
    made = row("a", "sigmamind", source, phone_number=NUMBER, country_code="US")
    made = attrs.evolve(made, fields={"phone_number": NUMBER})

    for before in ("purchase", "import", "existing"):
        notes = {"a": note(made, source=before)}
        assert only(planned([made], known([found()], notes))).action is Action.UNCHANGED


def test_a_field_that_counts_only_when_a_number_comes() -> None:
    """It is a problem of the field."""
    notes = {"a": note(bought(area_code=415))}

    assert messages(planned([bought(area_code=212)], known([found()], notes))) == [
        "a area_code: cannot be changed after the number was created; change it back"
    ]


@pytest.mark.parametrize("platform", ["verbex", "dialnexa"])
def test_a_number_that_was_made_anew(platform: str) -> None:
    """It has another record: what was written to the old one and is not shown is written again."""
    made = row("a", platform, phone_number=NUMBER, label="L", accounting_label="9")
    if platform == "verbex":
        made = imported("a", "verbex", label="L", trunk_password="env:A")
    there = found(platform, record="new", label="L")

    step = only(planned([made], known([there], {"a": note(made, record="old")})))

    hidden = "trunk_password" if platform == "verbex" else "accounting_label"
    assert (step.action, step.record) == (Action.ADOPT, "new")
    assert [change.field for change in step.changes if change.field != "termination_uri"] == [
        hidden
    ]


# ---------------------------------------------------------------- drift


DRIFTED = Change("label", "X", "L", drifted=True)


@pytest.mark.parametrize(
    ("on_drift", "action", "changes", "kept"),
    [
        ("keep", Action.DRIFTED, (), (DRIFTED,)),
        ("overwrite", Action.UPDATE, (DRIFTED,), ()),
    ],
)
def test_what_somebody_else_changed(
    on_drift: str, action: Action, changes: tuple[Change, ...], kept: tuple[Change, ...]
) -> None:
    """It is kept or overwritten, as the caller says."""
    made = row(phone_number=NUMBER, label="L")
    what = known([found(label="X")], {"a": note(made)})

    step = only(planned([made], what, on_drift=on_drift))

    assert (step.action, step.changes, step.kept_drift) == (action, changes, kept)


def test_what_somebody_else_changed_is_a_problem() -> None:
    """Unless the caller has decided, nobody's edit is overwritten in silence."""
    made = row("a", "verbex", phone_number=NUMBER, label="L", inbound_agent_id=None)
    what = known([found("verbex", label=None, inbound_agent_id="x")], {"a": note(made)})

    assert messages(planned([made], what)) == [
        (
            "a label: is empty, changed elsewhere since it was applied, and the row has 'L':"
            " pass --on-drift keep or overwrite"
        ),
        (
            "a inbound_agent_id: is 'x', changed elsewhere since it was applied, and the"
            " row has empty: pass --on-drift keep or overwrite"
        ),
    ]


def test_what_somebody_else_changed_stands_beside_an_edit() -> None:
    """The edit is written, the rest is kept."""
    before = row("a", "verbex", label="L", inbound_agent_id="x")
    after = row("a", "verbex", label="L", inbound_agent_id="y")
    what = known([found("verbex", label="X", inbound_agent_id="x")], {"a": note(before)})

    step = only(planned([after], what, on_drift="keep"))

    assert (step.action, step.changes) == (
        Action.UPDATE,
        (Change("inbound_agent_id", "x", "y"),),
    )
    assert step.kept_drift == (DRIFTED,)


# ---------------------------------------------------------------- agents


AGENTS = {platform: frozenset({"x"}) for platform in ("sigmamind", "dialnexa")}


@pytest.mark.parametrize("make", [bought, imported])
@pytest.mark.parametrize("platform", ["sigmamind", "dialnexa"])
def test_an_agent_that_does_not_exist(platform: str, make: Any) -> None:
    """It is known before a number comes for it."""
    made = planned([make("a", platform, inbound_agent_id="y")], known(agents=AGENTS))

    assert messages(made) == ["a inbound_agent_id: the account has no agent 'y'"]


def test_an_agent_that_exists() -> None:
    """Negative control; and where the platform does not tell, none is missed."""
    assert only(planned([bought(inbound_agent_id="x")], known(agents=AGENTS))).writes
    assert only(planned([bought("a", "verbex", inbound_agent_id="y")], known(agents=AGENTS))).writes


def test_an_agent_that_is_given_already() -> None:
    """Only what is written is asked about."""
    made = row(phone_number=NUMBER, inbound_agent_id="y")

    assert not only(planned([made], known([found(inbound_agent_id="y")], agents=AGENTS))).writes


# ---------------------------------------------------------------- renamed rows


def test_a_row_that_was_renamed() -> None:
    """It is known by its number, keeps its memory, and says what it was."""
    before = bought("old", phone_number=NUMBER, label="L", area_code=415)
    after = bought("new", phone_number=NUMBER, label="L", area_code=415)
    what = known([found(label="L")], {"old": note(before)})

    step = only(planned([after], what))

    assert (step.action, step.renamed_from, step.writes) == (Action.ADOPT, "old", False)


def test_a_renamed_row_of_which_somebody_else_changed_a_field() -> None:
    """A new name is no excuse to overwrite it."""
    what = known([found(label="X")], {"old": note(row("old", label="L"))})

    made = planned([row("new", phone_number=NUMBER, label="L")], what)

    assert [problem.field for problem in made.problems] == ["label"]


# ---------------------------------------------------------------- purchases of removed rows


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_purchase_that_was_renamed_and_names_no_number(platform: str) -> None:
    """It would buy another one."""
    what = known([found(platform)], {"old": note(bought("old", platform, label="L"))})

    assert messages(planned([bought("new", platform, label="L")], what)) == [
        (
            f"new: would buy another number although {NUMBER} was bought for the row old, which"
            " this fleet does not list: if this is that row, change its id back to old or add"
            f" phone_number {NUMBER}; if not, put old back (with state absent to release {NUMBER}),"
            " or give this row another id and label and pass --allow-unlisted"
        )
    ]


RENAMED = {
    "nothing else": bought("new", label="L", area_code=415),
    "and relabelled": bought("new", label="M", area_code=415),
    "and given an agent": bought("new", label="L", inbound_agent_id="x", area_code=415),
    "and bared": bought("new"),
    "and narrowed": bought("new", label="M", area_code=415, test_number="+14155550199"),
    "by a spreadsheet": bought("101", label="M"),
    "the country in other letters": bought("new", country_code="us", area_code=415),
}
"""What may be the row ``0101``, or another one: nothing tells."""


def removed(**changes: Any) -> FleetState:
    """Return a state with a number that was bought for a row which no fleet here has."""
    before = bought("0101", label="L", area_code=415)
    return known([found(label="L")], {"0101": attrs.evolve(note(before), **changes)})


@pytest.mark.parametrize("made", RENAMED.values(), ids=RENAMED)
def test_a_purchase_that_may_be_a_removed_row(made: FleetRow) -> None:
    """Also where other fields, or the order of rows, were changed in the same save."""
    for rows in ([made], [row("b", phone_number=NUMBER[:-1] + "7"), made]):
        (message,) = [each for each in messages(planned(rows, removed())) if "would buy" in each]
        assert f"{NUMBER} was bought for the row 0101" in message


OTHERS = {
    "another area": bought("new", label="L", area_code=212),
    "another country": bought("new", country_code="GB"),
    "another platform": bought("new", "verbex", label="L"),
    "a number that it names": bought("new", phone_number=OTHER, label="L"),
}


@pytest.mark.parametrize("made", OTHERS.values(), ids=OTHERS)
def test_a_purchase_that_is_certainly_another_number(made: FleetRow) -> None:
    """Negative control: what the number of the removed row cannot be, is bought."""
    assert only(planned([made], removed())).action is Action.PURCHASE


EXPLICIT = {
    "the removed row is back": [bought("0101", label="L", area_code=415)],
    "it is absent": [absent(bought("0101"))],
    "its number has a row": [row("kept", phone_number=NUMBER)],
    "its number is to be absent": [absent(row("kept", phone_number=NUMBER))],
}


@pytest.mark.parametrize("more", EXPLICIT.values(), ids=EXPLICIT)
def test_a_new_row_buys_once_the_removed_one_is_accounted_for(more: list[FleetRow]) -> None:
    """Each way that the message names, and those that come to the same."""
    made = planned([*more, bought("new", label="M")], removed())

    assert (messages(made), made.purchases) == ([], 1)


def test_a_new_row_buys_where_unlisted_rows_are_allowed() -> None:
    made = planned([bought("new", label="M")], removed(), allow_unlisted=True)

    assert only(made).action is Action.PURCHASE


@pytest.mark.parametrize(
    "made", [bought("new", label="L", area_code=415), bought("101", label="M"), bought("0101 ")]
)
def test_a_row_that_is_just_like_a_removed_one_never_buys(made: FleetRow) -> None:
    (message,) = messages(planned([made], removed(), allow_unlisted=True))

    assert message.endswith(f"release {NUMBER}), or give this row another id and label")


def test_a_new_row_buys_once_the_number_has_left_the_account() -> None:
    """There is nothing that it could be."""
    made = planned([bought("new", label="M")], known([], removed().last_applied))

    assert made.purchases == 1


def test_a_row_that_is_left_alone_is_not_removed() -> None:
    """It has a problem, and was skipped: it belongs to the fleet."""
    made = plan(Fleet(rows=[bought("new", label="M")], skipped=["0101"]), removed())

    assert (messages(made), made.purchases, made.unlisted) == ([], 1, ())


@pytest.mark.parametrize("source", ["import", "existing"])
def test_a_removed_row_that_was_not_bought(source: str) -> None:
    """Nothing was paid for it."""
    assert planned([bought("new")], removed(source=source)).purchases == 1


@pytest.mark.parametrize("state", [State.UNCONFIRMED, State.SENDING, State.NEEDS_DECISION])
def test_a_removed_row_with_an_unconfirmed_purchase(state: State) -> None:
    """It may have bought a number already."""
    going = begun("old", state=state, unconfirmed_since=1.0)

    (message,) = messages(planned([bought("new", label="M")], known([], begun={"old": going})))

    assert message == (
        "new: would buy a number while a purchase for the row old, which this fleet does"
        " not list, is unconfirmed: put old back until it is settled, or pass --allow-unlisted"
    )


@pytest.mark.parametrize(
    "going",
    [
        begun("old", state=State.ABANDONED),
        begun("old", kind=Kind.IMPORT, key=NUMBER, request_type="ImportPhoneNumber"),
        begun("old", request_fields={"country_code": "GB"}),
    ],
)
def test_a_removed_row_whose_operation_is_no_reason_to_wait(going: PendingOperation) -> None:
    """Negative control: abandoned on purpose, not paid for, or certainly another number."""
    assert planned([bought("new")], known([], begun={"old": going})).purchases == 1


def test_ids_that_a_spreadsheet_rewrote() -> None:
    """Each row is told which one it was, whatever else was changed in the same save."""
    ids = {"0101": "101", "1E5": "100000", "007": "7", "Desk ": "desk", "5000": "5,000"}
    ids |= {"caf\u00e9": "cafe\u0301", "3-4": "4-Mar"}
    ids["12345678901234567890"] = "12345678901234500000"  # as many digits as it keeps
    notes = {
        id_: note(bought(id_, label=id_), f"+1415555010{place}") for place, id_ in enumerate(ids)
    }
    numbers = [found(phone_number=each.phone_number, label=id_) for id_, each in notes.items()]
    rows = [bought(id_, label="all the same") for id_ in reversed(ids.values())]

    made = planned(rows, known(numbers, notes))

    assert made.steps == ()
    for before, after in ids.items():
        assert any(
            f"{after}: would buy" in each and f"the row {before}," in each
            for each in messages(made)
        )


REWRITTEN = [
    *(
        ("3-4", "2026/03/04"),
        ("Mar-5", "2026/03/05"),
        ("March 6", "6-Mar"),
        ("6 May", "2026-05-06"),
    ),
    *(("Jan 2026", "2026/01/01"), ("12/31/26", "31.12.2026"), ("Mar 5, 2026", "5-Mar-26")),
    *(("1 PM", "13:00:00"), ("12 am", "00:00:00"), ("1:05", "01:05:00"), ("25:61", "26:01:00")),
    *(("1-2-3", "2003/01/02"), ("1-2-3", "03.02.2001"), ("1/2/3", "1/2/2003"), ("1.2.3", "1-2-3")),
    *(("12-11-10", "2010/12/11"), ("12-11-10", "2012-11-10"), ("3/4", "04.03.2026")),
    *(("5/2020", "2020/05/01"), ("2020/5", "2020-05-01"), ("2020-5", "May-20")),
    *(("4Mar", "2026/03/04"), ("Mar 4", "4Mar"), ("23December", "23-Dec")),
    *(("3 1/8", "3.125"), ("2 2/6", "2.3333333333333333333"), ("45.370", "45.369999999999999999")),
    *(("5 %", "0.05"), ("$5", "5"), ("(7)", "-7"), ("12-", "-12"), ("10,000.50", "10000.5")),
]
APART = [
    "1-2-3",
    "1-2-4",
    "1-2",
    "3-4",
    "1-3-4",
    "Mar-26",
    "Mar-27",
    "1-1-99",
    "3 1/7",
    "123456789012345",
    "123456789012346",
    "room4mar",
    "99-99-1",
    "1.2",
    "1.2.3.4",
    "jan",
    "january",
    "mark-5",
    "row 5",
    "5",
    "-5",
    "05:00",
    "6",
]


def test_an_id_in_the_words_of_a_spreadsheet_is_the_same() -> None:
    """What one writes when it saves these; it was bought again. Control: ids that are others."""
    ids = spreadsheet_ids
    assert [pair for pair in REWRITTEN if ids(pair[0]).isdisjoint(ids(pair[1]))] == []
    apart = itertools.combinations(APART, 2)
    assert [pair for pair in apart if not ids(pair[0]).isdisjoint(ids(pair[1]))] == []


def test_an_id_that_may_be_several_dates_buys_nothing_again() -> None:
    """Whatever a spreadsheet made of it. Negative control: as another date, it is another id."""
    state = removed()
    state = attrs.evolve(state, last_applied={"1-2-3": state.last_applied["0101"]})
    for id_ in ("2003/01/02", "2001-02-03"):
        made = [bought(id_, label="New", area_code=212)]
        assert "row 1-2-3," in messages(planned(made, state, allow_unlisted=True))[0]
    made = [bought("2004/01/02", label="New", area_code=212)]
    assert planned(made, state, allow_unlisted=True).purchases == 1


@pytest.mark.parametrize("allow_unlisted", [True, False])
@pytest.mark.parametrize(
    "made",
    [
        bought("101", label="M", area_code=212),
        bought("101", label="M", country_code="CA"),
        bought("101", "verbex"),
    ],
)
def test_an_id_that_was_rewritten_tells_whatever_was_changed_in_the_same_save(
    made: FleetRow, allow_unlisted: bool
) -> None:
    """Negative control: with another id, each of them is another number."""
    state = removed()
    other = attrs.evolve(made, id="102")
    state = attrs.evolve(state, numbers={**state.numbers, "verbex": {}})

    (message,) = messages(planned([made], state, allow_unlisted=allow_unlisted))
    assert "although" in message
    assert "bought for the row 0101" in message
    assert planned([other], state, allow_unlisted=allow_unlisted).purchases == 1


# ---------------------------------------------------------------- several fleets on one journal

UNLABELLED = bought("new", area_code=415)


def of_two_fleets(origin: str, **changes: Any) -> FleetState:
    """Return a state with two numbers that another fleet has bought."""
    notes = {**removed(**changes).last_applied, "us-2": note(bought("us-2"), OTHER)}
    notes = {id_: attrs.evolve(each, origin=origin) for id_, each in notes.items()}
    return known([found(label="L"), found(phone_number=OTHER)], notes)


def shared(made: FleetRow, **changes: Any) -> Plan:
    """Return the plan of *made* in ``eu``, where ``us`` has bought a number for a row ``0101``."""
    return plan(Fleet(rows=[made], origin="eu"), of_two_fleets("us", **changes))


@pytest.mark.parametrize(
    "made",
    [
        UNLABELLED,
        bought("new", label="M", area_code=415),
        bought("new", label="L", area_code=212),
        bought("102"),
    ],
)
def test_a_purchase_of_another_fleet_is_no_row_that_was_removed(made: FleetRow) -> None:
    """Nor is its row shown as one. The controls below say when it may be one."""
    everything = shared(made)

    assert (messages(everything), everything.purchases, everything.unlisted) == ([], 1, ())


def test_two_rows_that_say_nothing_of_themselves_are_two_in_two_fleets() -> None:
    assert shared(UNLABELLED, fields={"country_code": "US", "area_code": 415}).purchases == 1


@pytest.mark.parametrize(
    ("rows", "origins"),
    [
        pytest.param([UNLABELLED], ("us", "us"), id="the same fleet"),
        pytest.param([UNLABELLED, bought("us-2")], ("eu", "us"), id="a renamed or copied file"),
        pytest.param([UNLABELLED], ("", "us"), id="a fleet without an origin"),
        pytest.param([UNLABELLED], ("eu", ""), id="a note without an origin"),
    ],
)
def test_a_purchase_that_the_fleet_may_have_lost(
    rows: list[FleetRow], origins: tuple[str, str]
) -> None:
    made = plan(Fleet(rows=rows, origin=origins[0]), of_two_fleets(origins[1]))

    assert made.purchases == 0
    assert "this fleet does not list" in messages(made)[0]
    assert messages(made)[0].endswith("pass --allow-unlisted")
    assert "0101" in made.unlisted


@pytest.mark.parametrize(
    "made", [bought("new", label="L", area_code=415), bought("101"), bought("0101 ")]
)
def test_a_row_just_like_one_of_another_fleet(made: FleetRow) -> None:
    """A copy under another name, whose ids were all changed."""
    (message,) = messages(shared(made))

    assert message.endswith(f"release {NUMBER}), or give this row another id and label")


# ---------------------------------------------------------------- numbers of other rows


@pytest.mark.parametrize("make", [bought, imported])
def test_a_number_of_another_row_that_is_gone(make: Any) -> None:
    """It is not brought back for this one: the other would be about it as well."""
    rows = [make("a", phone_number=NUMBER), row("b")]

    assert f"a phone_number: {NUMBER} belongs to the row b" in messages(
        planned(rows, known(applied={"b": note(row("b"))}))
    )


def test_a_number_that_moves_where_another_row_had_it() -> None:
    """Nor is it brought there."""
    rows = [imported("a", "verbex"), bought("b", "verbex")]
    notes = {"a": note(imported()), "b": note(bought("b", "verbex"))}

    made = planned(rows, known([found()], notes), allow_release=True)

    assert f"a phone_number: {NUMBER} belongs to the row b" in messages(made)
    assert made.steps == ()


def test_a_number_of_another_row() -> None:
    """It is not taken away from it."""
    rows = [row("a", phone_number=NUMBER), bought("b")]
    made = planned(rows, known([found()], {"b": note(bought("b"))}))

    assert messages(made) == [f"a phone_number: {NUMBER} belongs to the row b"]
    assert [step.id for step in made.steps] == ["b"]


def test_a_number_that_two_notes_are_about() -> None:
    """A run may have ended while it renamed a row: its own note counts, not the other."""
    made = row("new", phone_number=NUMBER, label="L")
    notes = {"old": note(row("old", label="Old")), "new": note(made)}

    everything = planned([made], known([found(label="L")], notes))

    assert (only(everything).action, everything.unlisted) == (Action.UNCHANGED, ())


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_a_number_that_is_of_two_rows_of_the_fleet(order: tuple[str, str]) -> None:
    """Neither is written to, and nothing is released."""
    notes = {id_: note(row(id_)) for id_ in order}
    rows = [absent(row("a")), row("b")]

    made = planned(rows, known([found()], notes), allow_release=True)

    assert sorted(messages(made)) == [
        f"a phone_number: {NUMBER} belongs to the row b",
        f"b phone_number: {NUMBER} belongs to the row a",
    ]
    assert made.steps == ()


# ---------------------------------------------------------------- numbers that go


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("make", [row, bought, imported])
def test_a_number_is_released(make: Any, platform: str) -> None:
    """It takes a row that says absent, and the caller's leave."""
    made = absent(make("a", platform, phone_number=NUMBER))
    what = known([found(platform)], {"a": note(made)})

    assert only(planned([made], what, allow_release=True)) == Step(
        id="a",
        platform=platform,
        action=Action.RELEASE,
        sequence=2,
        phone_number=NUMBER,
        record=record_of(platform, NUMBER),
    )


def test_a_release_without_leave() -> None:
    """It is shown, and withheld."""
    step = only(planned([absent(row(phone_number=NUMBER))], known([found()])))

    assert (step.action, step.writes) == (Action.RELEASE, False)
    assert step.blocked == "releasing a number is permanent, and needs --allow-release"


@pytest.mark.parametrize("made", [bought(), row(phone_number=NUMBER), row()])
def test_leave_without_a_row_that_says_absent(made: FleetRow) -> None:
    """Negative control: leave alone gives nothing up, nor does a row that is taken out."""
    notes = {"a": note(made), "z": note(row("z"), OTHER)}
    what = known([found(), found("sigmamind", OTHER)], notes)

    everything = planned([made], what, allow_release=True)

    assert [step.action for step in everything.steps] == [Action.UNCHANGED]
    assert everything.unlisted == ("z",)


@pytest.mark.parametrize(
    "notes", [{}, {"a": note(row())}, {"a": note(row(), phone_number="", record="")}]
)
def test_a_number_that_is_absent_already(notes: dict[str, LastApplied]) -> None:
    """Nothing is done about it."""
    notes = {id_: one for id_, one in notes.items() if one.record}
    step = only(planned([absent(row(phone_number=NUMBER))], known(applied=notes)))

    assert (step.action, step.remarks) == (Action.UNCHANGED, ("is absent already",))


@pytest.mark.parametrize("there", [True, False])
def test_a_number_that_another_row_wants(there: bool) -> None:
    """A file that says both is not carried out one way or the other."""
    rows = [absent(row("a", phone_number=NUMBER)), imported("b")]
    what = known([found()] if there else [], {"a": note(row("a"))} if there else {})

    made = planned(rows, what, allow_release=True)

    assert f"a phone_number: the row b keeps {NUMBER}; remove one of the two rows" in messages(made)
    assert not [step for step in made.steps if step.action is Action.RELEASE]


@pytest.mark.parametrize("platform", ["verbex", "dialnexa"])
def test_a_number_that_somebody_else_brought_back(platform: str) -> None:
    """It is released only when the row names it: the row's own record is gone."""
    notes = {"a": note(bought("a", platform), record="old")}
    what = known([found(platform, record="new")], notes)

    assert messages(planned([absent(bought("a", platform))], what, allow_release=True)) == [
        (
            f"a phone_number: {NUMBER} was added again outside this fleet: name it in the row to"
            " release it"
        )
    ]
    named = absent(bought("a", platform, phone_number=NUMBER))
    step = only(planned([named], what, allow_release=True))
    assert (step.action, step.record) == (Action.RELEASE, "new")


def test_an_absent_row_on_another_platform_than_its_number() -> None:
    """It says where to release it, or leaves it."""
    what = known([found()], {"a": note(row())})

    assert messages(planned([absent(row("a", "verbex"))], what, allow_release=True)) == [
        f"a phone_number: {NUMBER} is on sigmamind: set platform to that to release it there"
    ]


# ---------------------------------------------------------------- numbers that move


def moving(source: str = "import", **rules: Any) -> Any:
    notes = {"a": note(imported(), source=source, sequence=3)}
    return planned([imported("a", "verbex", label="L")], known([found()], notes), **rules)


def test_a_number_moves() -> None:
    """It is imported there first, then released where it was."""
    assert only(moving(allow_release=True)) == Step(
        id="a",
        platform="verbex",
        action=Action.MOVE,
        sequence=4,
        op_id="a #4",
        phone_number=NUMBER,
        changes=(Change("label", None, "L"),),
        moves_from=found(),
    )


def test_a_number_that_moves_and_has_arrived() -> None:
    """What is there already is not imported again."""
    notes = {"a": note(imported())}
    there = found("verbex", label="X")

    step = only(
        planned(
            [imported("a", "verbex", label="L")],
            known([found(), there], notes),
            allow_release=True,
        )
    )

    assert (step.action, step.record, step.moves_from) == (Action.MOVE, there.record, found())
    assert step.changes == (Change("label", "X", "L"),)


def test_a_number_that_has_moved() -> None:
    """A run may have ended before that was noted."""
    notes = {"a": note(imported(label="L"))}
    what = known([found("verbex", label="L")], notes)

    step = only(planned([imported("a", "verbex", label="L")], what, allow_release=True))

    assert (step.action, step.writes) == (Action.ADOPT, False)


def test_a_number_that_may_not_be_released() -> None:
    """It does not move."""
    assert messages(moving()) == [
        (
            f"a platform: moving {NUMBER} from sigmamind to verbex releases it there: releasing a"
            " number is permanent, and needs --allow-release"
        )
    ]


def test_a_number_that_was_bought() -> None:
    """It would be lost, whatever its row says of its source by now."""
    assert messages(moving("purchase", allow_release=True)) == [
        (
            f"a platform: {NUMBER} was bought on sigmamind, and would be released there"
            " permanently: a number that was bought cannot move"
        )
    ]


@pytest.mark.parametrize("make", [row, bought])
def test_a_number_that_is_not_imported_there(make: Any) -> None:
    """Nothing brings it there, so it is not released here."""
    notes = {"a": note(imported())}

    assert messages(
        planned([make("a", "verbex")], known([found()], notes), allow_release=True)
    ) == [
        (
            f"a platform: moving {NUMBER} from sigmamind to verbex needs source import and its"
            " phone_number, to import it there first"
        )
    ]


def test_a_bought_number_that_is_gone_is_not_bought_elsewhere() -> None:
    """Another platform is no way around it."""
    notes = {"a": note(bought())}

    assert messages(planned([bought("a", "verbex")], known(applied=notes))) == [
        (
            f"a phone_number: {NUMBER} is no longer in the account; remove the row, or give it"
            " a new id to get another number"
        )
    ]


def test_an_imported_number_that_is_gone_is_imported_elsewhere() -> None:
    """It is one's own."""
    notes = {"a": note(imported())}
    step = only(planned([imported("a", "verbex")], known(applied=notes)))

    assert (step.action, step.moves_from) == (Action.IMPORT, None)


def test_a_number_moves_there_and_back() -> None:
    """Each way has an id of its own."""
    notes = {"a": note(imported("a", "verbex"), sequence=7)}
    what = known([found("verbex")], notes)

    step = only(planned([imported("a", "sigmamind")], what, allow_release=True))

    assert (step.action, step.op_id) == (Action.MOVE, "a #8")
    assert step.moves_from == found("verbex")


def test_a_number_that_another_row_has_there() -> None:
    """Neither number is touched."""
    notes = {"a": note(imported()), "b": note(bought("b", "verbex"))}
    rows = [imported("a", "verbex"), bought("b", "verbex")]

    made = planned(rows, known([found(), found("verbex")], notes), allow_release=True)

    assert messages(made) == [f"a phone_number: {NUMBER} belongs to the row b"]
    assert [(step.id, step.action) for step in made.steps] == [("b", Action.UNCHANGED)]


def test_a_number_that_another_row_wants_to_stay() -> None:
    """It is not released under its feet."""
    rows = [imported("a", "verbex"), row("b", phone_number=NUMBER)]
    made = planned(rows, known([found()], {"a": note(imported())}), allow_release=True)

    assert messages(made) == [
        f"a phone_number: the row b keeps {NUMBER} on sigmamind",
        f"b phone_number: {NUMBER} belongs to the row a",
    ]
    assert made.steps == ()


def test_a_moving_number_that_two_rows_have() -> None:
    """It is not released by one of them."""
    notes = {"a": note(imported()), "b": note(imported("b"))}
    rows = [imported("a", "verbex"), imported("b")]
    made = planned(rows, known([found()], notes), allow_release=True)

    assert f"a phone_number: {NUMBER} belongs to the row b" in messages(made)
    assert made.steps == ()


# ---------------------------------------------------------------- what an earlier run began


def going(made: FleetRow, what: PendingOperation, *there: Any, **rules: Any) -> Any:
    return planned([made], known(there, begun={"a": what}), **rules)


@pytest.mark.parametrize("state", [State.SENDING, State.UNCONFIRMED, State.PLANNED])
def test_a_purchase_that_is_not_settled(state: State) -> None:
    """It goes on under the id that it has."""
    what = begun(state=state, sequence=3, unconfirmed_since=1.0)
    step = only(going(bought(), what))

    assert (step.action, step.op_id) == (Action.PURCHASE, "a #3")
    assert step.remarks == ("continues what an earlier run began",)


@pytest.mark.parametrize("state", [State.FAILED, State.PLANNED])
def test_a_purchase_of_which_nothing_came(state: State) -> None:
    """It is begun anew, under the same id: the platform has done nothing."""
    step = only(going(bought(), begun(state=state)))

    assert (step.action, step.op_id, step.remarks) == (Action.PURCHASE, "a #1", ())


@pytest.mark.parametrize("state", [State.DONE, State.DUPLICATE])
def test_a_purchase_that_no_note_tells_of(state: State) -> None:
    """Its number is the row's, and the next operation has an id of its own."""
    what = begun(state=state, record=NUMBER, phone_number=NUMBER)
    step = only(going(bought(label="L"), what, found(label="L")))

    assert (step.action, step.record, step.writes) == (Action.ADOPT, NUMBER, False)
    assert step.sequence == 2


def test_a_purchase_that_no_note_tells_of_and_whose_number_is_gone() -> None:
    """It is not bought again."""
    what = begun(state=State.DONE, record=NUMBER, phone_number=NUMBER)

    assert messages(going(bought(), what)) == [
        (
            f"a phone_number: {NUMBER} is no longer in the account; remove the row, or give it"
            " a new id to get another number"
        )
    ]


def test_an_import_that_is_over_and_whose_number_is_gone() -> None:
    """It has an id of its own: one that is over brings nothing when it is asked for again."""
    what = begun(state=State.DONE, kind=Kind.IMPORT, record=NUMBER, phone_number=NUMBER)
    step = only(going(imported(), what))

    assert (step.action, step.op_id) == (Action.IMPORT, "a #2")


def test_a_purchase_that_no_note_tells_of_and_that_was_asked_for_otherwise() -> None:
    """What counts only when a number comes is known from its request."""
    what = begun(
        state=State.DONE,
        record=NUMBER,
        phone_number=NUMBER,
        request_fields={"country_code": "US", "area_code": 415, "friendly_name": "L"},
    )

    assert messages(going(bought(area_code=212, label="M"), what, found(label="L"))) == [
        "a area_code: cannot be changed after the number was created; change it back"
    ]
    step = only(going(bought(area_code=415, label="M"), what, found(label="L")))
    assert step.changes == (Change("label", "L", "M"),)


@pytest.mark.parametrize("state", [State.NEEDS_DECISION, State.DUPLICATE])
def test_a_purchase_that_waits_for_a_person(state: State) -> None:
    """Nothing is sent until one has decided, whether the row wants its number or not."""
    message = ["a: needs a decision; sigmamind status shows the ways to decide"]

    assert messages(going(bought(), begun(state=state))) == message
    gone = going(absent(bought()), begun(state=state), allow_release=True)
    assert [problem.message for problem in gone.problems] == [message[0].removeprefix("a: ")]


def test_a_purchase_that_was_abandoned() -> None:
    """An operator decided so: nothing is sent, and nothing is a problem."""
    step = only(going(bought(), begun(state=State.ABANDONED)))
    assert (step.action, step.writes, step.blocked) == (
        Action.PURCHASE,
        False,
        "an operator abandoned it; to get a number after all, give the row a new id",
    )
    assert not only(going(absent(bought()), begun(state=State.ABANDONED))).writes


def test_an_import_that_was_abandoned_and_whose_number_is_there() -> None:
    """It is seen for what it is."""
    what = begun(state=State.ABANDONED, kind=Kind.IMPORT, key=NUMBER)

    assert only(going(imported(), what, found())).action is Action.ADOPT


def test_an_import_that_is_not_settled_and_whose_number_is_there() -> None:
    """It goes on, or nothing else could ever change the number."""
    what = begun(kind=Kind.IMPORT, key=NUMBER)
    step = only(going(imported(), what, found()))

    assert (step.action, step.op_id) == (Action.IMPORT, "a #1")


def test_a_purchase_that_is_not_settled_and_a_row_that_wants_it_gone() -> None:
    """It may own a number that nobody knows of."""
    gone = going(absent(bought()), begun(), allow_release=True)

    assert messages(gone) == [
        (
            f"a phone_number: an earlier run began to buy its number, {UNCONFIRMED}: keep the row"
            " present until that is settled"
        )
    ]


def test_a_purchase_that_is_not_settled_and_a_row_that_imports_by_now() -> None:
    """Nothing is bought for a row that says otherwise."""
    assert messages(going(imported(), begun())) == [
        (
            f"a: an earlier run began to buy a number on sigmamind, {UNCONFIRMED}: change the row"
            " back until that is settled"
        )
    ]


def test_a_purchase_that_is_not_settled_on_another_platform() -> None:
    """No second number is bought."""
    assert messages(going(bought("a", "verbex"), begun())) == [
        (
            f"a: an earlier run began to buy a number on sigmamind, {UNCONFIRMED}: change the row"
            " back until that is settled"
        )
    ]


def test_a_purchase_that_is_not_settled_and_a_row_that_names_another_number() -> None:
    """What goes on would buy the first one."""
    what = begun(kind=Kind.EXACT_PURCHASE, key=NUMBER)

    assert messages(going(bought(phone_number=OTHER), what)) == [
        f"a: an earlier run began to buy {NUMBER}, {UNCONFIRMED}: add another row for {OTHER}"
    ]
    assert only(going(bought(), what)).phone_number == NUMBER


def test_a_purchase_that_is_not_settled_and_a_row_that_names_its_number_by_now() -> None:
    """Which number comes is not known, least of all that it is this one."""
    assert messages(going(bought(phone_number=NUMBER), begun())) == [
        f"a: an earlier run began to buy a number, {UNCONFIRMED}: add another row for {NUMBER}"
    ]


def test_a_move_that_is_not_settled() -> None:
    """The number is released only when it is settled where it goes to."""
    notes = {"a": note(imported())}
    what = known(
        [found(), found("verbex")],
        notes,
        begun={"a": begun("a", "verbex", kind=Kind.IMPORT, key=NUMBER, sequence=2)},
    )

    step = only(planned([imported("a", "verbex")], what, allow_release=True))

    assert (step.action, step.op_id, step.record) == (Action.MOVE, "a #2", "")


def test_a_move_that_is_over_and_whose_number_is_gone_there() -> None:
    """It is imported once more before it is released: it is never without a home."""
    over = begun("a", "verbex", State.DONE, 2, kind=Kind.IMPORT, record="r1", phone_number=NUMBER)
    what = known([found()], {"a": note(imported())}, begun={"a": over})

    step = only(planned([imported("a", "verbex")], what, allow_release=True))

    assert (step.action, step.op_id, step.record) == (Action.MOVE, "a #3", "")
