"""From text to rows: always a value or what is wrong with it, with its line."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigmamind_async.cli.columns import columns_of
from sigmamind_async.cli.errors import CommandError
from sigmamind_async.cli.rows import (
    BadRow,
    FileError,
    Reading,
    Row,
    read_csv,
    read_json_lines,
    read_row,
)
from sigmamind_async.cli.source import LONGEST_LINE, Source, survey
from sigmamind_async.cli.vendors import PLATFORMS
from sigmamind_async.errors import suggest
from sigmamind_async.platforms.sigmamind.models import (
    CreatePhoneNumber,
    ImportPhoneNumber,
    UpdatePhoneNumber,
)
from sigmamind_async.secret_references import SecretReferenceError, SecretResolver
from sigmamind_async.values import Secret

SIGMAMIND = PLATFORMS["sigmamind"]
READING = Reading(SIGMAMIND, SecretResolver(environment={"PASSWORD": "secret-1"}))
HEADER = "id,action,phone_number,country_code,area_code,friendly_name,inbound_agent_id"

NAMES = st.sampled_from(sorted(SIGMAMIND.known))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
VALUES = JSON | st.sampled_from(["create", "import", "update", "+14155550100", "US", "null", "a"])
CELLS = st.dictionaries(NAMES | st.text(), VALUES, max_size=8)


def rows_of(content: bytes, name: str = "csv") -> Iterator[Row | BadRow]:
    read = read_csv if name == "csv" else read_json_lines
    source = Source(name="file", folder=Path(), stream=io.BytesIO(content), read=read)
    return source.rows(READING)


def csv_row(text: str) -> Row | BadRow:
    [row] = read_csv([(1, HEADER), (2, text)], READING)
    return row


# ---------------------------------------------------------------- whatever is in the file


@given(st.binary())
def test_any_bytes_are_rows_or_one_message(content: bytes) -> None:
    for name in ("csv", "jsonl"):
        try:
            rows = list(rows_of(content, name))
        except CommandError as error:
            problem = str(error)
        else:
            problem = ""
            assert all(isinstance(row, Row | BadRow) for row in rows)
        assert not problem or problem.startswith("file, line ")


@given(st.lists(st.text()))
def test_any_text_under_a_header_is_rows(lines: list[str]) -> None:
    """Each problem names a line of the file, in their order."""
    content = "\n".join([HEADER, *lines]).encode(errors="replace")
    rows = list(rows_of(content))

    numbers = [row.line for row in rows]
    assert numbers == sorted(set(numbers))
    assert all(2 <= number <= content.count(b"\n") + 1 for number in numbers)
    assert all(row.message for row in rows if isinstance(row, BadRow))


@given(CELLS)
def test_any_json_object_is_a_row_or_its_problems(cells: dict[str, object]) -> None:
    row = read_row(7, cells, READING)

    assert row.line == 7
    assert isinstance(row, Row) or row.problems


@given(CELLS)
def test_what_was_read_can_be_read_again(cells: dict[str, object]) -> None:
    """A row that is kept for later is the same row then."""
    row = read_row(1, cells, READING)

    if isinstance(row, Row):
        assert read_row(1, orjson.loads(orjson.dumps(row.cells)), READING) == row


# ---------------------------------------------------------------- rows that are right


def test_a_blank_cell_is_left_alone_and_null_clears() -> None:
    row = csv_row("1,update,+14155550100,,,,null")

    assert isinstance(row, Row)
    assert row.value == UpdatePhoneNumber(phone_number="+14155550100", inbound_agent_id=None)


def test_a_purchase_in_csv() -> None:
    row = csv_row(' 7 , create , , US , 415 ,"A, B", ')

    assert isinstance(row, Row)
    assert row.value == CreatePhoneNumber(country_code="US", area_code=415, friendly_name="A, B")
    assert (row.id, row.phone_number) == ("7", None)


def test_an_import_in_json() -> None:
    cells = {"action": "import", "phone_number": "+14155550100", "trunk_password": "env:PASSWORD"}
    row = read_row(1, cells, READING)

    assert isinstance(row, Row)
    assert row.value == ImportPhoneNumber(
        phone_number="+14155550100", trunk_password=Secret("secret-1")
    )
    assert "secret-1" not in repr(row)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_spreadsheets_file_is_read(ending: str) -> None:
    """With a byte order mark, either line end, and blank rows at the end."""
    text = ending.join(["\ufeffaction,country_code", "create,US", ",", ""])
    [row] = rows_of(text.encode())

    assert isinstance(row, Row)


# ---------------------------------------------------------------- rows that are wrong


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,,,US,,,", "action: is missing: say one of create, import, update"),
        ("1,buy,,US,,,", "action: 'buy' is unknown; known are create, import, update"),
        ("1,create,,,415,,", "country_code: give it, or a phone_number"),
        ("1,update,+14155550100,,,,", "names no field to change"),
        ("1,import,,,,x,", "phone_number: is missing: import needs it"),
        ("1,import,+14155550100,US,,,", "country_code: belongs to create, not to import"),
        ("1,create,,US,,null,", "friendly_name: cannot be cleared"),
        ("1,create,,US,,,null", "inbound_agent_id: cannot be cleared"),
        (f"1,create,,US,,{'x' * 129},", "friendly_name: has 129 characters, allowed are 0 to 128"),
        ("1,create,,US,5,,", "area_code: 5 is not a whole number from 100 to 99999"),
        ("1,create,,US,415.0,,", "area_code: '415.0' is not a whole number"),
        ("1,update,14155550100,,,x,", "phone_number: '14155550100' is not a phone number"),
        (f"{'x' * 129},create,,US,,,", "id: must be text of 1 to 128 printable characters"),
        ('1,create,,US,,"x', "is not CSV"),
        ("1,create,,US,,x,,y", "has 8 cells, the header names 7"),
    ],
)
def test_what_is_wrong_is_said_with_its_column(text: str, message: str) -> None:
    row = csv_row(text)

    assert isinstance(row, BadRow)
    assert row.message.startswith(message)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    row = csv_row("1,create,+1,usa,x,,null")

    assert isinstance(row, BadRow)
    assert [problem.column for problem in row.problems] == [
        "phone_number",
        "country_code",
        "area_code",
        "inbound_agent_id",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ("NaN", "is not JSON"),
        ("[" * 5000, "is not JSON"),
        ('{"action": ["create"]}', "action: must be one of"),
        ('{"action": "create", "contry_code": "US"}', "contry_code: is unknown; did you mean"),
        ('{"action": "create", "country_code": 1}', "country_code: 1 is not a two-letter"),
        (
            '{"action": "import", "phone_number": "+14155550100", "trunk_password": 1}',
            "trunk_password: must be a reference",
        ),
    ],
)
def test_json_that_is_wrong(text: str, message: str) -> None:
    [row] = read_json_lines([(1, text)], READING)

    assert isinstance(row, BadRow)
    assert row.message.startswith(message)


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_without_end_costs_one_row(end: bytes) -> None:
    long = b"x" * (3 * LONGEST_LINE) + end
    found = list(rows_of(long + b'{"action": "create", "country_code": "US"}', "jsonl"))

    assert isinstance(found[0], BadRow)
    assert "too long" in found[0].message
    assert len(found) == (2 if end else 1)


def test_a_survey_counts_without_keeping() -> None:
    content = b'{"action": "create", "country_code": "US", "id": "abc"}\n\nx\n'
    found = survey(rows_of(content, "jsonl"))

    assert (found.rows, found.bad, found.purchases) == (2, 1, 1)
    assert (found.id_width, found.last_line) == (3, 3)


def test_a_header_is_a_matter_of_the_whole_file() -> None:
    with pytest.raises(FileError, match="line 1: the header is not CSV"):
        list(read_csv([(1, 'action,"x')], READING))


# ---------------------------------------------------------------- columns and references


def test_columns_are_the_fields_of_the_request_values() -> None:
    create, import_ = columns_of(CreatePhoneNumber), columns_of(ImportPhoneNumber)

    assert columns_of(UpdatePhoneNumber)["inbound_agent_id"].clearable
    assert not create["inbound_agent_id"].clearable
    assert import_["trunk_password"].is_secret
    assert create["area_code"].is_number
    assert import_["phone_number"].required


@pytest.mark.parametrize("word", ["phoneNumber", "Phone Number", "phone_numbr", "PHONE-NUMBER"])
def test_a_near_miss_is_recognised(word: str) -> None:
    assert suggest(word, SIGMAMIND.known) == "; did you mean 'phone_number'?"


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        ("hunter2", "must not be in plain text"),
        ("env:NOPE", "set the variable NOPE"),
        ("file:missing", "cannot be read: No such file"),
        ("file:.", "cannot be read: Is a directory"),
        ("file:empty", "must hold one secret"),
        ("file:large", "must hold one secret"),
        ("file:latin", "not UTF-8 text"),
    ],
)
def test_a_reference_that_leads_nowhere(tmp_path: Path, reference: str, problem: str) -> None:
    (tmp_path / "empty").write_bytes(b"\n")
    (tmp_path / "large").write_bytes(b"x" * 5000)
    (tmp_path / "latin").write_bytes(b"caf\xe9")

    with pytest.raises(SecretReferenceError, match=problem) as caught:
        SecretResolver(folder=tmp_path, environment={}).resolve(reference)
    assert "hunter2" not in str(caught.value)


def test_a_secret_file_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "trunk"
    path.write_text("secret-2\n")
    references = SecretResolver(folder=tmp_path)
    first = references.resolve("file:trunk")
    path.unlink()

    assert references.resolve("file:trunk") is first
    assert first == Secret("secret-2")
