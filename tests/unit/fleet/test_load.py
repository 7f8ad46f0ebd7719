"""Whole fleets: rows compared with one another, from files and from code."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import attrs
import pytest

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.fleet.load import fleet_of, load
from sigmamind_async.fleet.spec import DesiredState, Fleet, FleetRow, Problem, Source
from sigmamind_async.values import Secret

HEADER = "id,platform,source,state,phone_number,label"


def file(folder: Path, text: str, name: str = "fleet.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def fleet(*rows: str) -> Fleet:
    content = "\n".join([HEADER, *rows]).encode()
    return load(io.BytesIO(content), name="fleet.csv", format="csv")


def messages(found: Fleet) -> list[str]:
    return [str(problem) for problem in found.problems]


def row(row_id: str, number: str, **changed: Any) -> FleetRow:
    made = FleetRow(
        id=row_id,
        platform="sigmamind",
        source=Source.EXISTING,
        fields={"phone_number": number},
    )
    return attrs.evolve(made, **changed)


# ---------------------------------------------------------------- rows among others


def test_an_id_is_there_once() -> None:
    """The first row keeps it; the later one says where that is."""
    found = fleet(
        "a,sigmamind,existing,,+14155550100,x",
        "b,sigmamind,existing,,+14155550101,x",
        "a,sigmamind,existing,,+14155550102,x",
    )

    assert messages(found) == ["fleet.csv:4: a id: line 2 has the same; each row needs its own"]
    assert [each.id for each in found.rows] == ["a", "b"]


def test_a_broken_row_has_its_id_as_well() -> None:
    """So that mending one problem does not bring another."""
    found = fleet("a,sigmamind,existing,,14155550100,x", "a,verbx,existing,,+14155550101,x")

    assert [each.field for each in found.problems] == ["phone_number", "platform", "id"]
    assert found.rows == []


def test_a_number_is_wanted_by_one_row_of_a_platform() -> None:
    found = fleet(
        "a,sigmamind,existing,,+14155550100,x",
        "b,sigmamind,existing,, +14155550100 ,y",
        "c,dialnexa,existing,,+14155550100,x",
    )

    assert messages(found) == [
        "fleet.csv:3: b phone_number: row 'a', line 2, has the same number on sigmamind"
    ]
    assert [each.id for each in found.rows] == ["a", "c"]


def test_a_number_that_goes_may_be_named_again() -> None:
    found = fleet("a,sigmamind,,absent,+14155550100,", "b,sigmamind,existing,,+14155550100,x")

    assert (messages(found), len(found.rows)) == ([], 2)


def test_rows_without_a_number_do_not_clash() -> None:
    found = fleet("a,sigmamind,,absent,,", "b,sigmamind,,absent,,")

    assert (messages(found), len(found.rows)) == ([], 2)


# ---------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fleet.csv", "id,platform,source,phone_number\na,sigmamind,existing,+14155550100\n"),
        ("fleet.CSV", "id,platform,source,phone_number\na,sigmamind,existing,+14155550100\n"),
        (
            "fleet.jsonl",
            '\n{"id":"a","platform":"sigmamind","source":"existing","phone_number":"+14155550100"}',
        ),
        (
            "fleet.ndjson",
            '\n{"id":"a","platform":"sigmamind","source":"existing","phone_number":"+14155550100"}',
        ),
        (
            "fleet.yaml",
            (
                "defaults: {source: existing, platform: sigmamind}\n"
                'numbers: [{id: a, phone_number: "+14155550100"}]'
            ),
        ),
        (
            "fleet.yml",
            '\n- {id: a, platform: sigmamind, source: existing, phone_number: "+14155550100"}',
        ),
    ],
)
def test_the_suffix_tells_the_form(tmp_path: Path, name: str, text: str) -> None:
    wanted = row("a", "+14155550100", line=2)

    assert load(file(tmp_path, text, name)) == Fleet(rows=[wanted], problems=[])


def test_a_default_platform_and_an_inline_secret_are_passed_on(tmp_path: Path) -> None:
    text = (
        "id,source,phone_number,termination_uri,trunk_password\na,import,+14155550100,x,hunter2\n"
    )
    path = file(tmp_path, text)

    refused = load(path, default_platform="sigmamind")
    assert [each.field for each in refused.problems][:1] == ["trunk_password"]
    [allowed] = load(path, default_platform="sigmamind", allow_inline=True).rows
    assert allowed.fields["trunk_password"] == Secret("hunter2")


def test_a_file_that_is_not_there_is_a_fleet_of_one_problem(tmp_path: Path) -> None:
    path = tmp_path / "fleet.csv"
    problem = Problem(message="cannot be read: No such file or directory", file=str(path))

    assert load(path) == Fleet(rows=[], problems=[problem])


def test_an_unknown_suffix_is_a_problem() -> None:
    assert messages(load("fleet.txt")) == [
        "fleet.txt: the name must end in .csv, .tsv, .jsonl, .ndjson, .json, .yaml, .yml, .xlsx"
    ]


@pytest.mark.parametrize("name", ["fleet.csv", "fleet.txt"])
def test_an_unknown_default_platform_is_the_callers_mistake(name: str) -> None:
    with pytest.raises(ConfigurationError, match="default_platform: must be one of"):
        load(name, default_platform="acme")


def test_all_problems_of_a_large_file_are_told_and_its_other_rows_kept() -> None:
    rows = [f"{n},sigmamind,existing,,+1415{n:07},x" for n in range(10_000)]
    rows[::10] = [f"{n},sigmamind,existing,,1415{n:07},x" for n in range(0, 10_000, 10)]
    found = fleet(*rows)

    assert [each.line for each in found.problems] == list(range(2, 10_002, 10))
    assert [int(each.id) for each in found.rows] == [n for n in range(10_000) if n % 10]


# ---------------------------------------------------------------- rows made in code


def test_rows_made_in_code_are_a_fleet() -> None:
    rows = [row("a", "+14155550100"), row("b", "", state=DesiredState.ABSENT, fields={})]

    assert fleet_of(rows) == Fleet(rows=rows, problems=[])


def test_a_secret_made_in_code_is_taken() -> None:
    fields = {"phone_number": "+14155550100", "termination_uri": "sip.example.com"}
    said = {**fields, "trunk_username": "me", "trunk_password": Secret("hunter2")}
    made = row("a", "", source=Source.IMPORT, fields=said)

    assert fleet_of([made]) == Fleet(rows=[made], problems=[])


def test_rows_made_in_code_are_compared() -> None:
    """By their places, also where lines of two files are the same."""
    twice = [row("a", "+14155550100"), row("a", "+14155550100")]
    from_files = [row("a", "+14155550100", line=5), row("a", "+14155550101", line=5)]

    assert messages(fleet_of(twice)) == [
        "a id: row 1 has the same; each row needs its own",
        "a phone_number: row 'a', row 1, has the same number on sigmamind",
    ]
    assert messages(fleet_of(from_files)) == [
        "5: a id: line 5 has the same; each row needs its own"
    ]


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (
            row("a", "14155550100"),
            (
                "a phone_number: has no plus; write it as text, plus and country code first,"
                ' like "+14155550100"'
            ),
        ),
        (
            row("a", "+14155550100", platform="verbx"),
            "a platform: 'verbx' is unknown; did you mean 'verbex'?",
        ),
        (
            row("a", "", fields={"phone_number": "+14155550100", "label": "\ud800"}),
            "a label: contains half of a character; write the character itself",
        ),
        (
            row("", "+14155550100"),
            "id: must be text of 1 to 128 printable characters",
        ),
        (
            row("a", "", fields={"phone_number": "+14155550100", "labl": "x"}),
            "a: unknown field 'labl'; did you mean 'label'?",
        ),
    ],
)
def test_rows_made_in_code_are_checked(bad: FleetRow, problem: str) -> None:
    assert fleet_of([bad]).rows == []
    assert messages(fleet_of([bad])) == [problem]
