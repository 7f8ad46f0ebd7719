"""``sigmamind export``: a fleet file that says what is there."""

from __future__ import annotations

import asyncio
import codecs
import io
import json
import re
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigmamind_async import SigmaMind
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

    from sigmamind_async.sandbox import Sandbox
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
@pytest.mark.parametrize("form", get_args(Format))
def test_what_was_exported_plans_to_nothing(cli: Cli, inside: Inside, form: str) -> None:
    """Without any journal; no password is in it."""
    name = f"now.{form}"
    done = inside("export", *ALL, "--out", name)
    planned = inside("plan", name, "--json")
    content = (cli.folder / name).read_bytes()

    assert (done.code, done.out, done.err) == (0, f"Wrote 3 numbers to {name}\n", "")
    assert (planned.code, planned.summary["writes"], planned.summary["problems"]) == (0, 0, 0)
    assert b"TRUNK_PASSWORD" not in content
    assert form == "xlsx" or b"+14155550188" in content


@pytest.mark.usefixtures("fleet")
@pytest.mark.skipif(shutil.which("ssconvert") is None, reason="no ssconvert (Debian: gnumeric)")
@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize("saved_as", ["csv", "xlsx"])
def test_an_export_that_a_spreadsheet_saved_plans_to_nothing(
    cli: Cli, inside: Inside, form: str, saved_as: str
) -> None:
    inside("export", *ALL, "--out", f"now.{form}")
    command = ["ssconvert", f"now.{form}", f"saved.{saved_as}"]
    subprocess.run(command, cwd=cli.folder, check=True, capture_output=True)
    planned = inside("plan", f"saved.{saved_as}", "--json")

    assert (planned.code, planned.summary["writes"], planned.summary["problems"]) == (0, 0, 0)


def test_an_existing_file_is_replaced_only_where_that_is_asked_for(
    cli: Cli, inside: Inside
) -> None:
    path = cli.write("fleet.csv", "what a person wrote\n")
    refused = inside("export", "--out", "fleet.csv")

    assert (refused.code, refused.out) == (2, "")
    assert "fleet.csv exists; name another file, or replace it with --force" in refused.err
    assert path.read_text() == "what a person wrote\n"
    assert inside("export", "--out", "fleet.csv", "--force").code == 0
    assert path.read_text() == "id,platform,source,state,phone_number\n"


def test_a_file_says_in_json_that_it_was_written(cli: Cli, inside: Inside) -> None:
    [written] = inside("export", "--out", "fleet.yaml", "--json").objects

    assert written == {"type": "exported", "version": 1, "file": "fleet.yaml", "rows": 0}
    assert (cli.folder / "fleet.yaml").read_text() == "[]\n"


@pytest.mark.usefixtures("fleet")
def test_a_format_may_be_named(cli: Cli, inside: Inside) -> None:
    done = inside("export", "--format", "json")
    inside("export", "--out", "numbers.txt", "--format", "json")

    assert [row["platform"] for row in json.loads(done.out)] == ["sigmamind"]
    assert (cli.folder / "numbers.txt").read_text() == done.out


def test_a_journal_gives_numbers_their_ids(cli: Cli, inside: Inside, fleet: Path) -> None:
    journal = ("--journal", f"{fleet}.journal.db")
    done = inside("export", *ALL, *journal, "--json")
    (cli.folder / "now.jsonl").write_text(done.out)
    planned = inside("plan", "now.jsonl", *journal, "--json")

    rows = [json.loads(line) for line in done.out.splitlines()]
    assert sorted(row["id"] for row in rows) == ["desk", "night", "own"]
    assert planned.summary["actions"] == {"unchanged": 3}


@pytest.mark.usefixtures("fleet")
def test_csv_goes_to_stdout(inside: Inside) -> None:
    done = inside("export", "--platform", "dialnexa")

    assert done.out == (
        "id,platform,source,state,phone_number,label\n"
        "dialnexa-14155550188,dialnexa,existing,present,'+14155550188,Own\n"
    )


def test_an_empty_account_is_a_header(inside: Inside) -> None:
    assert inside("export").out == "id,platform,source,state,phone_number\n"


@pytest.mark.parametrize(
    "words",
    [
        ("--out", "fleet.txt"),
        ("--journal", "fleet.csv", "--postgres", "env:DSN"),
        ("--journal", "none.db"),
        ("--out", "nowhere/fleet.csv"),
    ],
)
def test_what_cannot_be_written_is_a_usage_error(inside: Inside, words: tuple[str, ...]) -> None:
    done = inside("export", *words)

    assert (done.code, done.out) == (2, "")


async def import_number(box: Sandbox, label: str) -> None:
    account = box.sigmamind
    async with SigmaMind(base_url=account.base_url, api_key=account.api_key) as client:
        await client.phone_numbers.import_(phone_number="+14155550123", friendly_name=label)


def test_rows_on_stdout_have_one_format(inside: Inside) -> None:
    done = inside("export", "--format", "csv", "--json")

    assert done.code == 2
    assert done.objects[0]["message"] == "--json writes JSON Lines, and --format says csv; drop one"


def test_a_journal_that_is_not_there_is_called_by_its_name(inside: Inside) -> None:
    """A journal is looked for beside a FILE, and a file that is named like one is the journal."""
    for name in ("fleet.csv", "fleet.csv.journal.db"):
        done = inside("export", "--journal", name)

        assert done.code == 2
        assert done.err.startswith(
            "sigmamind: there is no journal fleet.csv.journal.db: nothing has been applied from"
            " fleet.csv yet"
        )


def test_what_a_file_cannot_hold_is_left_out_with_a_warning(box: Sandbox, inside: Inside) -> None:
    """A line end in a label; the number itself is in the file."""
    asyncio.run(import_number(box, "a\nb"))
    done = inside("export")

    assert done.code == 0
    assert done.out.splitlines()[1] == (
        "sigmamind-14155550123,sigmamind,existing,present,'+14155550123"
    )
    assert done.err == (
        "warning: sigmamind-14155550123 label: contains a line end, U+000A, as character 2;"
        " delete it; left out\n"
    )
    assert "label" not in json.loads(inside("export", "--json").out)


def test_a_spreadsheet_can_tell_the_encoding(box: Sandbox, cli: Cli, inside: Inside) -> None:
    asyncio.run(import_number(box, "Süd"))
    inside("export", "--out", "now.csv")

    assert (cli.folder / "now.csv").read_bytes().startswith(codecs.BOM_UTF8)
    assert "Süd" in (cli.folder / "now.csv").read_text()
    assert inside("plan", "now.csv").code == 0


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
