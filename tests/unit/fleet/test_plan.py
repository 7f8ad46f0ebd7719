"""Whole plans: rows beside one another, order, counts, and steps as values."""

from __future__ import annotations

from sigmamind_async.fleet.plan import PlanOptions, plan
from sigmamind_async.fleet.spec import Fleet, Problem
from sigmamind_async.fleet.state import LastApplied
from sigmamind_async.fleet.step import Action, Step
from tests.unit.fleet.rows import (
    NUMBER,
    OTHER,
    absent,
    begun,
    bought,
    found,
    imported,
    known,
    messages,
    note,
    planned,
    row,
)


def test_an_empty_fleet() -> None:
    """It has an empty plan, whatever the accounts have."""
    made = planned([], known([found()]))

    assert (made.steps, made.rows, made.problems, made.unlisted) == ((), {}, (), ())
    assert (made.purchases, made.writes) == (0, 0)


def test_money_stands_first() -> None:
    """Then what is permanent, then the rest, each as in the file."""
    rows = [
        row("same", phone_number=NUMBER),
        imported("own", phone_number="+14155550102"),
        absent(row("gone", phone_number=OTHER)),
        bought("new", phone_number="+14155550103"),
        bought("newer", "verbex"),
    ]
    made = planned(rows, known([found(), found("sigmamind", OTHER)]), allow_release=True)

    assert [(step.id, step.action) for step in made.steps] == [
        ("new", Action.PURCHASE),
        ("newer", Action.PURCHASE),
        ("gone", Action.RELEASE),
        ("own", Action.IMPORT),
        ("same", Action.ADOPT),
    ]


def test_what_a_plan_counts() -> None:
    """What is withheld, and what sends nothing, is no write."""
    rows = [
        bought("a", "verbex"),
        row("b", phone_number=NUMBER),
        absent(row("c", phone_number=OTHER)),
        imported("d", "dialnexa"),
    ]
    made = planned(rows, known([found(), found("sigmamind", OTHER)]))

    assert made.counts == {Action.PURCHASE: 1, Action.ADOPT: 1, Action.IMPORT: 1}
    assert (made.purchases, made.writes) == (1, 2)


def test_a_row_with_a_problem_has_no_step() -> None:
    """Nor is its row in the plan."""
    made = planned([row("a", phone_number=NUMBER), bought("b")], known())

    assert messages(made) == [f"a phone_number: {NUMBER} is not in the account"]
    assert ([step.id for step in made.steps], [*made.rows]) == (["b"], ["b"])


def test_the_problems_of_the_file_stand_first() -> None:
    """A row that could not be read keeps its number, and its id."""
    broken = Problem(message="is unknown", id="a", field="lable", line=3)
    fleet = Fleet(rows=[row("b", phone_number=NUMBER)], problems=[broken])

    made = plan(fleet, known([found()], {"a": note(row("a"))}), PlanOptions())

    assert messages(made) == [
        "3: a lable: is unknown",
        f"b phone_number: {NUMBER} belongs to the row a",
    ]
    assert made.unlisted == ()


def test_ids_that_are_there_twice() -> None:
    """Nothing tells which row is meant, so neither is carried out."""
    made = planned([bought("a", label="L"), bought("b"), bought("a", label="M")], known())

    assert messages(made) == 2 * [
        "a id: is in the fleet more than once; give each row its own",
    ]
    assert [step.id for step in made.steps] == ["b"]


def test_two_rows_about_one_number() -> None:
    """Neither is first: which of them stands higher in the file means nothing."""
    rows = [row("a", phone_number=NUMBER), imported("b")]

    for order in (rows, rows[::-1]):
        made = planned(order, known([found()]))
        assert sorted(messages(made)) == [
            f"a phone_number: the row b has {NUMBER} as well; remove one of the two rows",
            f"b phone_number: the row a has {NUMBER} as well; remove one of the two rows",
        ]
        assert made.steps == ()


def test_two_rows_about_one_number_on_two_platforms() -> None:
    """These are two numbers."""
    made = planned([imported("a"), imported("b", "verbex")], known())

    assert (messages(made), len(made.steps)) == ([], 2)


def test_a_row_about_the_number_that_an_earlier_run_began_to_buy() -> None:
    """It may have come for the other one."""
    going = {"a": begun(key=NUMBER)}
    rows = [bought("a"), row("b", phone_number=NUMBER)]

    made = planned(rows, known([found()], begun=going))

    assert messages(made) == [
        f"a phone_number: the row b has {NUMBER} as well; remove one of the two rows",
        f"b phone_number: the row a has {NUMBER} as well; remove one of the two rows",
    ]


def test_two_rows_that_are_gone() -> None:
    """They are about nothing any more."""
    rows = [absent(row(id_, phone_number=NUMBER)) for id_ in ("a", "b")]

    assert messages(planned(rows, known(), allow_release=True)) == []


def test_two_rows_that_give_up_one_number() -> None:
    """It is released once at most."""
    rows = [absent(row(id_, phone_number=NUMBER)) for id_ in ("a", "b")]

    assert planned(rows, known([found()]), allow_release=True).steps == ()


def test_what_no_row_lists() -> None:
    """It is left alone, and named; what was released before is not."""
    notes = {
        "z": note(row("z")),
        "y": note(row("y"), OTHER),
        "x": LastApplied(
            platform="sigmamind", record="", phone_number="", source="existing", sequence=2
        ),
    }

    made = planned([], known([found()], notes), allow_release=True)

    assert (made.unlisted, made.steps) == (("y", "z"), ())


def test_a_step_is_small() -> None:
    """There is one for each of 100,000 rows: no dictionary, nothing empty of its own."""
    first = Step(id="a", platform="verbex", action=Action.UNCHANGED)
    second = Step(id="b", platform="verbex", action=Action.UNCHANGED)

    assert not hasattr(first, "__dict__")
    assert (first.changes, first.kept_drift) == ((), ())
    assert first.changes is second.changes
