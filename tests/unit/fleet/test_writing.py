"""Writing fleet files: what was written is read back as the same rows, or it is refused."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from contextlib import suppress
from typing import get_args

import attrs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.fleet.export import TABLES, columns_of, write
from sigmamind_async.fleet.row_parser import PLATFORMS
from sigmamind_async.fleet.spec import (
    FIELDS,
    SECRETS,
    WHOLE_NUMBERS,
    Cell,
    DesiredState,
    FleetRow,
    Problem,
    Source,
)
from sigmamind_async.rowfiles import Format
from sigmamind_async.rowfiles.cells import LONGEST_LINE
from sigmamind_async.rowfiles.csv_rows import escape, unescape
from sigmamind_async.values import Secret
from tests.unit.fleet.rows import read

FORMATS: tuple[Format, ...] = get_args(Format)


def write_bytes(rows: Sequence[FleetRow], form: Format, columns: Sequence[str] = FIELDS) -> bytes:
    stream = io.BytesIO()
    write(iter(rows), stream, form, columns=columns)
    return stream.getvalue()


def written(rows: Sequence[FleetRow], form: Format, columns: Sequence[str] = FIELDS) -> str:
    return write_bytes(rows, form, columns).decode()


def read_back(content: bytes | str, form: Format) -> list[FleetRow | Problem]:
    """Return the rows without their lines; here no platform's rules are asked."""
    stream = io.BytesIO(content.encode() if isinstance(content, str) else content)
    found = read(stream, form)
    return [attrs.evolve(each, line=0) for each in found]


def row(**fields: Cell) -> FleetRow:
    return FleetRow(id="a", platform="verbex", source=Source.IMPORT, fields=fields)


# ---------------------------------------------------------------- there and back

EVERYDAY = [
    " a ",
    "=1+1",
    "'tis",
    "+x",
    "-1",
    "@a",
    "+14155550100",
    "a,b",
    'say "x"',
    "yes",
    "no",
    "~",
    "12",
    "0x1f",
    "2024-01-01",
    "- a",
    "a: b",
    "#",
    "é😀",
    "0101",
    "May 5",
    "5/8",
    "TRUE",
    "a\u00a0b",
]
NO_CELL = ["", "null", "'null", "'", "''", "'=1", "'0101"]
TEXTS = st.text(max_size=8) | st.sampled_from(
    [*EVERYDAY, *NO_CELL, " ", "\t", "1e3", "${X}", "a\u200bb", "#N/A"]
)
NUMBERS = st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True)
REFERENCES = st.sampled_from(["env:TRUNK", "file:a b", "file:/run/secrets/x"])
IDS = st.text(min_size=1, max_size=128).filter(str.isprintable) | st.sampled_from(
    ["null", "=1", "'", " a ", "7", "+14155550100", "'+14155550100"]
)


def cells(name: str, texts: st.SearchStrategy[str]) -> st.SearchStrategy[Cell]:
    if name in WHOLE_NUMBERS:
        return st.none() | st.integers(-(10**18) + 1, 10**18 - 1)
    if name in SECRETS:
        return st.none() | REFERENCES
    return st.none() | (NUMBERS if name in {"phone_number", "test_number"} else texts)


def fleets(texts: st.SearchStrategy[str]) -> st.SearchStrategy[list[FleetRow]]:
    said = {name: cells(name, texts) for name in FIELDS}
    each = st.builds(
        FleetRow,
        id=IDS,
        platform=st.sampled_from(PLATFORMS),
        source=st.sampled_from(Source),
        state=st.sampled_from(DesiredState),
        fields=st.fixed_dictionaries({}, optional=said),
    )
    return st.lists(each, max_size=3)


@pytest.mark.parametrize("form", FORMATS)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(rows=fleets(TEXTS))
@example(rows=[row(label=None), row()])
@example(rows=[row(label=text) for text in EVERYDAY])
def test_what_is_written_is_read_back(form: Format, rows: list[FleetRow]) -> None:
    """Or else it is refused."""
    with suppress(ConfigurationError):
        found = read_back(write_bytes(rows, form), form)
        assert found == rows or (not rows and isinstance(found[0], Problem))


@pytest.mark.parametrize("form", FORMATS)
def test_control_everyday_texts_are_not_refused(form: Format) -> None:
    made = [row(label=text) for text in EVERYDAY]

    assert read_back(write_bytes(made, form), form) == made


@given(st.text(max_size=8) | st.sampled_from([*EVERYDAY, *NO_CELL]))
def test_taking_an_apostrophe_away_undoes_adding_one(text: str) -> None:
    cell = escape(text)

    assert unescape(cell) == text


@given(fleets(st.sampled_from(EVERYDAY)))
def test_no_cell_of_csv_is_a_formula(rows: list[FleetRow]) -> None:
    """But for whole numbers, which are the same in a spreadsheet."""
    for row_ in rows:
        with suppress(ConfigurationError):
            for line in csv.reader(io.StringIO(written([row_], "csv"), newline="")):
                for cell in line:
                    assert cell.lstrip("-").isdigit() or not cell.startswith(tuple("=+-@\t\r"))


def test_control_a_formula_is_what_the_text_was() -> None:
    [header, cells_] = csv.reader(io.StringIO(written([row(label="=1+1")], "csv")))

    assert cells_[header.index("label")] == "'=1+1"


# ---------------------------------------------------------------- how it looks


def test_csv_has_the_columns_that_are_asked_for() -> None:
    rows = [row(label="A, B", phone_number="+14155550100"), row(label=None, area_code=415)]
    columns = columns_of(rows)

    assert columns == ("phone_number", "area_code", "label")
    assert written(rows, "csv", columns) == (
        "id,platform,source,state,phone_number,area_code,label\n"
        'a,verbex,import,present,\'+14155550100,,"A, B"\n'
        "a,verbex,import,present,,415,null\n"
    )


def test_json_lines_say_what_the_row_says() -> None:
    assert written([row(label=None, phone_number="+14155550100")], "jsonl") == (
        '{"id":"a","platform":"verbex","source":"import","state":"present",'
        '"phone_number":"+14155550100","label":null}\n'
    )


def test_yaml_has_each_text_in_quotes() -> None:
    """Without them ``no`` is false and a phone number a number."""
    assert written([row(country_code="NO", area_code=415, label='"\uffff')], "yaml") == (
        '- id: "a"\n  platform: "verbex"\n  source: "import"\n  state: "present"\n'
        '  country_code: "NO"\n  area_code: 415\n  label: "\\"\\uffff"\n'
    )


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_without_rows_is_refused_when_it_is_read(form: Format) -> None:
    message = "has no rows; a file lists at least one number"

    assert read_back(write_bytes([], form), form) == [Problem(message=message, file="f")]


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            row(trunk_password=Secret("hunter2")),
            "trunk_password is a secret; only env:NAME or file:PATH is written",
        ),
        (
            row(trunk_password="hunter2"),
            (
                "trunk_password is a secret and must not be in plain text;"
                " write env:NAME or file:PATH"
            ),
        ),
        (
            row(label=Secret("hunter2")),
            "label is a secret; only env:NAME or file:PATH is written",
        ),
        (row(label="\ud800"), "label contains half of a character; write the character itself"),
        (row(label=5), "label is a number here; write it as text, in quotes"),
        (row(area_code="415"), "area_code would be read as 415"),
        (row(area_code=True), "area_code must be a whole number like 415"),
        (row(area_code=10**18), "area_code is too large"),
        (row(labl="x"), "labl unknown field 'labl'; did you mean 'label'?"),
        (
            row(phone_number=" +14155550100"),
            "phone_number would be read as '+14155550100'",
        ),
        (attrs.evolve(row(), platform="acme"), "platform is unknown"),
    ],
)
def test_what_could_not_be_read_back_is_refused(form: Format, bad: FleetRow, message: str) -> None:
    stream = io.BytesIO()

    with pytest.raises(ConfigurationError) as caught:
        write([row(), bad], stream, form)
    assert str(caught.value) == f"row 'a' cannot be written: {message}"
    assert b"hunter2" not in stream.getvalue()


@pytest.mark.parametrize("text", ["a\nb", "\r", "\x00", "\x1b[2J", "\x85", "a\u200b", "\u202eab"])
@pytest.mark.parametrize("form", FORMATS)
def test_what_cannot_be_seen_is_refused(form: Format, text: str) -> None:
    """Dropped, it would make a file that asks for another label than the row does."""
    with pytest.raises(ConfigurationError, match=r"label contains (a line end|an invisible char)"):
        write_bytes([row(label=text)], form)


def test_a_table_of_tabs_has_no_commas() -> None:
    assert written([row(label="a,b")], "tsv", ["label"]) == (
        "id\tplatform\tsource\tstate\tlabel\na\tverbex\timport\tpresent\ta,b\n"
    )


@pytest.mark.parametrize("text", NO_CELL)
def test_what_no_cell_can_hold_is_refused(text: str) -> None:
    """Some spreadsheets drop an apostrophe before a text, and others keep it."""
    made = [row(label=text)]

    for form in FORMATS:
        if form in TABLES:
            with pytest.raises(ConfigurationError, match=r"label (would be read|begins with)"):
                write_bytes(made, form)
        else:
            assert read_back(write_bytes(made, form), form) == made


def test_an_escape_of_xlsx_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="label has an escape of XLSX"):
        write_bytes([row(label="a_x0041_")], "csv")


def test_an_id_that_could_not_be_read_back_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="id would be read as 'a'"):
        written([attrs.evolve(row(), id=" a")], "jsonl")


def test_a_field_without_a_column_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="row 'a' cannot be written: label has no column"):
        written([row(label="x")], "csv", ["phone_number"])


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_row_is_as_long_as_can_be_read(form: Format) -> None:
    room = LONGEST_LINE - len(written([row(label="x")], form).splitlines()[-1])
    longest = row(label="x" * room)

    assert read_back(written([longest], form), form) == [longest]
    with pytest.raises(ConfigurationError, match="longer than 65536 bytes"):
        written([row(label="x" * (room + 2))], form)
