"""``sigmamind export``: a fleet file that says what is there."""

from __future__ import annotations

import io
import re
import shlex
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigmamind_async.fleet import (
    FleetRow,
    FleetState,
    Problem,
    RemoteNumber,
    Source,
    export,
    plan,
    write,
)
from sigmamind_async.fleet.export import columns_of, writable_rows
from sigmamind_async.fleet.load import load
from sigmamind_async.fleet.vendors import VENDORS
from sigmamind_async.rowfiles import Format
from tests.cli.test_plan import FLEET

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Cli, Inside

ALL = tuple(word for name in VENDORS for word in ("--platform", name))
BUY = ("--max-purchases", "2", "--yes")


@pytest.fixture
def fleet(cli: Cli, inside: Inside) -> Path:
    """A fleet that was applied to three platforms."""
    path = cli.write("fleet.csv", FLEET)
    assert inside("apply", path, *BUY).code == 0
    return path


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("name", ["now.csv", "now.jsonl", "now.yaml"])
def test_what_was_exported_plans_to_nothing(cli: Cli, inside: Inside, name: str) -> None:
    """With the journal of the fleet and without any; no password is in it."""
    done = inside("export", *ALL, "--out", name)
    planned = inside("plan", name, "--json")
    text = (cli.folder / name).read_text()

    assert (done.code, done.out, done.err) == (0, "", "")
    assert (planned.code, planned.summary["writes"], planned.summary["problems"]) == (0, 0, 0)
    assert "TRUNK_PASSWORD" not in text
    assert "+14155550188" in text


def test_a_journal_gives_numbers_their_ids(cli: Cli, inside: Inside, fleet: Path) -> None:
    journal = ("--journal", f"{fleet}.journal.db")
    done = inside("export", *ALL, *journal, "--json")
    (cli.folder / "now.jsonl").write_text(done.out)
    planned = inside("plan", "now.jsonl", *journal, "--json")

    assert sorted(row["id"] for row in done.objects) == ["desk", "night", "own"]
    assert planned.summary["actions"] == {"unchanged": 3}


@pytest.mark.usefixtures("fleet")
def test_csv_goes_to_stdout(inside: Inside) -> None:
    done = inside("export", "--platform", "dialnexa")

    assert done.out == (
        "id,platform,source,state,phone_number,label\n"
        "dialnexa-14155550188,dialnexa,existing,present,'+14155550188,Own\n"
    )


def test_an_empty_account_is_a_header(cli: Cli, inside: Inside) -> None:
    done = inside("export")
    cli.write("now.csv", done.out)

    assert done.out == "id,platform,source,state,phone_number\n"
    assert "has no rows" in inside("plan", "now.csv").out


@pytest.mark.parametrize(
    "words",
    [
        ("--out", "fleet.txt"),
        ("--out", "fleet.csv", "--json"),
        ("--journal", "none.db"),
        ("--out", "nowhere/fleet.csv"),
    ],
)
def test_what_cannot_be_written_is_a_usage_error(inside: Inside, words: tuple[str, ...]) -> None:
    done = inside("export", *words)

    assert (done.code, done.out) == (2, "")


def test_what_a_file_cannot_say_is_told(cli: Cli, inside: Inside) -> None:
    """A line end in a label is left out, and the number is not."""
    row = '{"action": "import", "phone_number": "+14155550123", "friendly_name": "a\\nb"}'
    inside("apply", cli.write("a.jsonl", row))
    done = inside("export")

    assert done.code == 0
    assert done.out.splitlines()[1] == (
        "sigmamind-14155550123,sigmamind,existing,present,'+14155550123"
    )
    assert "sigmamind-14155550123 label: label holds a line end" in done.err
    assert "label" not in inside("export", "--json").objects[0]


def test_the_example_runs(inside: Inside) -> None:
    [example] = re.findall(r"Example: sigmamind (.+)", inside("export", "--help").out)

    assert inside(*shlex.split(example)).code == 0


# ---------------------------------------------------------------- any account

NUMBERS = st.one_of(
    st.integers(10**7, 10**14).map("+1{}".format), st.sampled_from(["", "+1", "0800", "sip:x@y"])
)
TEXTS = st.one_of(
    st.text(),
    st.sampled_from(
        ["=1+1", "+1", "-1", "@x", "'=1", "'", "null", " x ", "\t", "a,b", 'a"b', "a\nb", "\x00"]
    ),
    st.integers(1, 300).map("x".__mul__),
    st.just("\ud800"),
)


@st.composite
def numbers(draw: st.DrawFn) -> RemoteNumber:
    platform = draw(st.sampled_from([*VENDORS]))
    fields = [*VENDORS[platform].update.takes]
    return RemoteNumber(
        platform=platform,
        record=draw(st.text(min_size=1, max_size=40)),
        phone_number=draw(NUMBERS),
        shown={name: draw(TEXTS) for name in draw(st.sets(st.sampled_from(fields)))},
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(numbers(), max_size=4), st.sampled_from(get_args(Format)))
def test_the_export_of_any_account_plans_to_nothing(
    found: list[RemoteNumber], form: Format
) -> None:
    """Whatever it holds: what cannot be said is left out, and every number is told of."""
    there = {(number.platform, number.record): number for number in found}
    told = [*writable_rows(export(there.values()), form)]
    rows = [each for each in told if isinstance(each, FleetRow)]
    stream = io.BytesIO()
    write(rows, stream, form, columns=columns_of(rows))
    stream.seek(0)
    fleet = load(stream, name="now", format=form)
    known = FleetState(
        numbers={
            platform: {record: each for (name, record), each in there.items() if name == platform}
            for platform in VENDORS
        }
    )
    todo = plan(fleet, known)

    assert (todo.writes, list(todo.problems) if rows else []) == (0, [])
    assert len({row.id for row in rows}) == len(rows)
    left_out = [each for each in told if isinstance(each, Problem) and not each.field]
    assert len(rows) + len(left_out) == len(there)


def test_a_row_that_is_sound_is_left_as_it_is() -> None:
    row = FleetRow(
        id="a",
        platform="sigmamind",
        source=Source.EXISTING,
        fields={"phone_number": "+14155550123", "label": "=1+1"},
    )

    assert [*writable_rows([row], "csv")] == [row]
