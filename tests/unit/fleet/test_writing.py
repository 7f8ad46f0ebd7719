"""Writing fleet files: what was written is read back as the same rows, or it is refused."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import get_args

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.fleet.files import Format, columns_of, read, write
from sigmamind_async.fleet.files.entry import PLATFORMS
from sigmamind_async.fleet.files.lines import LONGEST_LINE
from sigmamind_async.fleet.files.texts import escaped, unescaped
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
from sigmamind_async.values import Secret

FORMATS: tuple[Format, ...] = get_args(Format)


def written(rows: Sequence[FleetRow], form: Format, columns: Sequence[str] = FIELDS) -> str:
    stream = io.BytesIO()
    write(iter(rows), stream, form, columns=columns)
    return stream.getvalue().decode()


def read_back(text: str, form: Format) -> list[FleetRow | Problem]:
    """Return the rows without their lines; here no platform's rules are asked."""
    stream = io.BytesIO(text.encode())
    found = read(stream, name="f", format=form, check=lambda _: [])
    return [attrs.evolve(each, line=0) for each in found]


def row(**fields: Cell) -> FleetRow:
    return FleetRow(id="a", platform="verbex", source=Source.IMPORT, fields=fields)


# ---------------------------------------------------------------- there and back

TEXTS = st.text(max_size=8) | st.sampled_from(
    [
        "",
        "null",
        "'null",
        "'",
        "''",
        " ",
        " a ",
        "=1+1",
        "'=1",
        "+x",
        "-1",
        "@a",
        "\t",
        "+14155550100",
        "a,b",
        'say "x"',
        "yes",
        "no",
        "~",
        "12",
        "1e3",
        "0x1f",
        "2024-01-01",
        "- a",
        "a: b",
        "#",
        "é😀",
    ]
)
ON_ONE_LINE = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\t"), max_size=8
) | TEXTS.filter(lambda text: text.isprintable() or text == "\t")
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


@given(fleets(ON_ONE_LINE))
@example([row(label=""), row(label="null"), row(label=None), row()])
def test_csv_is_read_back_as_it_was_written(rows: list[FleetRow]) -> None:
    assert read_back(written(rows, "csv"), "csv") == rows


@given(fleets(TEXTS), st.sampled_from(["jsonl", "yaml"]))
def test_other_formats_are_read_back_as_they_were_written(
    rows: list[FleetRow], form: Format
) -> None:
    """Line ends and control characters as well."""
    assert read_back(written(rows, form), form) == rows


@given(TEXTS)
def test_taking_an_apostrophe_away_undoes_adding_one(text: str) -> None:
    cell = escaped(text)

    assert (cell if cell.strip() in {"", "null"} else unescaped(cell)) == text


@given(fleets(ON_ONE_LINE))
def test_no_cell_of_csv_is_a_formula(rows: list[FleetRow]) -> None:
    """But for numbers, which stand for themselves."""
    for line in csv.reader(io.StringIO(written(rows, "csv"), newline="")):
        for cell in line:
            is_number = cell.lstrip("+-").isdigit()
            assert is_number or not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


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
        'a,verbex,import,present,+14155550100,,"A, B"\n'
        "a,verbex,import,present,,415,null\n"
    )


def test_json_lines_say_what_the_row_says() -> None:
    assert written([row(label=None, phone_number="+14155550100")], "jsonl") == (
        '{"id":"a","platform":"verbex","source":"import","state":"present",'
        '"phone_number":"+14155550100","label":null}\n'
    )


def test_yaml_has_each_text_in_quotes() -> None:
    """Without them ``no`` is false and a phone number a number."""
    assert written([row(country_code="NO", area_code=415, label='"\u2028')], "yaml") == (
        '- id: "a"\n  platform: "verbex"\n  source: "import"\n  state: "present"\n'
        '  country_code: "NO"\n  area_code: 415\n  label: "\\"\\u2028"\n'
    )


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_without_rows_is_one(form: Format) -> None:
    assert read_back(written([], form), form) == []


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
        (row(label="\ud800"), "label holds half of a character"),
        (row(label=5), "label is a number here; write it as text, in quotes"),
        (row(area_code="415"), "area_code must be a whole number, without quotes"),
        (row(area_code=True), "area_code must be a whole number"),
        (row(area_code=10**18), "area_code is too large"),
        (row(labl="x"), "labl unknown field 'labl'; did you mean 'label'?"),
        (
            row(phone_number=" +14155550100"),
            "phone_number has spaces around it, which go when it is read",
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


@pytest.mark.parametrize("text", ["a\nb", "\r", "\x00", "\x1b[2J", "\x85"])
def test_csv_refuses_line_ends_and_control_characters(text: str) -> None:
    """Dropped, they would make a file that asks for another label than the row does."""
    with pytest.raises(ConfigurationError, match="label has a line end or control character"):
        written([row(label=text)], "csv")
    assert read_back(written([row(label=text)], "jsonl"), "jsonl") == [row(label=text)]


def test_an_id_that_could_not_be_read_back_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="id must be text of 1 to 128 printable"):
        written([attrs.evolve(row(), id="a\n")], "jsonl")


def test_a_field_without_a_column_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="row 'a' cannot be written: label has no column"):
        written([row(label="x")], "csv", ["phone_number"])


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_row_is_as_long_as_can_be_read(form: Format) -> None:
    room = LONGEST_LINE - len(written([row(label="")], form).splitlines()[-1]) - 1
    longest = row(label="x" * room)

    assert read_back(written([longest], form), form) == [longest]
    with pytest.raises(ConfigurationError, match="longer than 65536 bytes"):
        written([row(label="x" * (room + 2))], form)
