"""Reading fleet files: every row is a row or all of its problems, whatever stands in the file."""

from __future__ import annotations

import gc
import io
import itertools
import json
import os
import re
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast, get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sigmamind_async.errors import ConfigurationError, normalize_word
from sigmamind_async.fleet.load import load
from sigmamind_async.fleet.row_parser import HINTS, SYNONYMS, VOCABULARY
from sigmamind_async.fleet.spec import DesiredState, FleetRow, Problem, Source
from sigmamind_async.rowfiles import Format
from sigmamind_async.rowfiles.cells import LONGEST_LINE
from sigmamind_async.values import Secret
from tests.unit.fleet.rows import read

FORMATS: tuple[Format, ...] = get_args(Format)


def found(
    text: str | bytes,
    form: Format = "csv",
    platform: str | None = None,
    *,
    allow_inline: bool = False,
) -> list[FleetRow | Problem]:
    content = text.encode() if isinstance(text, str) else text
    return list(
        read(
            io.BytesIO(content),
            form,
            name=f"fleet.{form}",
            platform=platform,
            allow_inline=allow_inline,
        )
    )


def rows(text: str | bytes, form: Format = "csv") -> list[FleetRow]:
    return [cast("FleetRow", each) for each in found(text, form)]


def problems(text: str | bytes, form: Format = "csv") -> list[str]:
    return [str(each) for each in found(text, form) if isinstance(each, Problem)]


def row(**fields: str | int | Secret | None) -> FleetRow:
    return FleetRow(id="a", platform="verbex", source=Source.IMPORT, fields=fields, line=2)


def csv_row(names: str, cells: str) -> str:
    return f"id,platform,source,{names}\na,verbex,import,{cells}\n"


# ---------------------------------------------------------------- rows that are right


def test_a_row_of_csv() -> None:
    """Spaces around a cell go, a blank one is not said, ``null`` clears."""
    text = csv_row(
        "phone_number,label,inbound_agent_id,area_code,trunk_password",
        ' +14155550100 ,"A, B", null , 415 ,env:TRUNK',
    )

    assert rows(text) == [
        row(
            phone_number="+14155550100",
            label="A, B",
            inbound_agent_id=None,
            area_code=415,
            trunk_password="env:TRUNK",
        )
    ]
    assert rows(csv_row("label,area_code", ", ")) == [row()]


def test_the_same_row_in_each_format() -> None:
    object_ = (
        '\n{"id":"a","platform":"verbex","source":"import","label":"x","area_code":415,'
        '"test_number":null}'
    )
    yaml = (
        "# our numbers\n- id: a\n  platform: verbex\n  source: import\n  label: x\n"
        "  area_code: 415\n  test_number: null\n"
    )
    wanted = [row(label="x", area_code=415, test_number=None)]

    assert rows(csv_row("label,area_code,test_number", "x,415,null")) == wanted
    assert rows(object_, "jsonl") == wanted
    assert rows(yaml, "yaml") == wanted


def test_an_absent_row_needs_neither_source_nor_number() -> None:
    [gone] = rows("id,platform,state\n7,dialnexa,absent\n")

    assert gone == FleetRow(
        id="7", platform="dialnexa", source=Source.EXISTING, state=DesiredState.ABSENT, line=2
    )


def test_a_number_as_an_id_is_text() -> None:
    [first] = rows('{"id":7,"platform":"verbex","source":"existing"}', "jsonl")
    [second] = rows("- {id: 7, platform: verbex, source: existing}", "yaml")

    assert first.id == second.id == "7"


def test_a_default_platform_fills_what_is_blank() -> None:
    text = "id,platform,source\na,,existing\nb,dialnexa,existing\n"
    platforms = [cast("FleetRow", each).platform for each in found(text, platform="sigmamind")]

    assert platforms == ["sigmamind", "dialnexa"]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_spreadsheets_file_is_read(ending: str) -> None:
    """With a byte order mark, either line end, and blank rows at the end."""
    text = ending.join(["\ufeffid,platform,source", "a,verbex,import", ",,", ""])

    assert rows(text) == [row()]


OURS = "id,platform,source,state,label\na,verbex,import,present,{}\n"
"""A table with a header as `write` has it."""


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("'=1+1", "=1+1"),
        ("'-x", "-x"),
        ("'@x", "@x"),
        ("'+x", "+x"),
        ("'tis", "'tis"),
        ("''=1", "'=1"),
        ("''tis", "'tis"),
        ("'null", "'null"),
        ("'1/2", "1/2"),
        ("'0101", "0101"),
        ("'May 5", "May 5"),
        ("'Line 5", "'Line 5"),
    ],
)
def test_an_apostrophe_is_a_mark_where_we_put_one(cell: str, text: str) -> None:
    assert rows(OURS.format(cell)) == [row(label=text)]


@pytest.mark.parametrize(
    "label", ["'=1+1", "'tis", "''", "'null", " a ", "a  b", "'1", "=1", "null"]
)
def test_a_table_that_we_did_not_write_is_taken_literally(label: str) -> None:
    """Blanks and apostrophes are part of the text, and what is in quotes is text."""
    assert rows(csv_row("label", f'"{label}"')) == [row(label=label)]


def test_an_apostrophe_before_a_phone_number_goes_as_well() -> None:
    """It is how people keep a spreadsheet from taking the plus."""
    assert rows(csv_row("phone_number", "'+14155550100")) == [row(phone_number="+14155550100")]


def test_yaml_has_defaults_and_a_rows_own_word_wins() -> None:
    """Where they stand does not matter, and ``null`` is a word too."""
    text = """
numbers:
  - {id: a, label: mine}
  - {id: b, label: null, source: purchase}
defaults: {platform: verbex, source: import, label: ours}
"""
    first, second = rows(text, "yaml")

    assert (first.source, first.fields) == (Source.IMPORT, {"label": "mine"})
    assert (second.source, second.fields) == (Source.PURCHASE, {"label": None})


# ---------------------------------------------------------------- rows that are wrong


@pytest.mark.parametrize(
    ("names", "cells", "problem"),
    [
        (
            "phone_number",
            "14155550100",
            (
                "fleet.csv:2:17: a phone_number: has no plus;"
                ' write it as text, plus and country code first, like "+14155550100"'
            ),
        ),
        (
            "label,test_number",
            "x,1.41556E+10",
            (
                "fleet.csv:2:19: a test_number: was shortened by a spreadsheet and its last digits"
                ' are lost; write all of it as text, like "+14155550100"'
            ),
        ),
        (
            "area_code",
            "4x5",
            "fleet.csv:2:17: a area_code: must be a whole number like 415",
        ),
        (
            "label,trunk_password",
            '"x, ""y""",hunter2',
            (
                "fleet.csv:2:28: a trunk_password: is a secret and must not be in plain text;"
                " write env:NAME or file:PATH"
            ),
        ),
        (
            "trunk_password",
            "env:",
            (
                "fleet.csv:2:17: a trunk_password: env: needs the name of a variable,"
                " like env:TRUNK_PASSWORD"
            ),
        ),
        (
            "twilio_auth_token",
            "file:",
            (
                "fleet.csv:2:17: a twilio_auth_token: file: needs the path of a file,"
                " like file:trunk-password.txt"
            ),
        ),
        (
            "state",
            "abscent",
            "fleet.csv:2:17: a state: 'abscent' is unknown; did you mean 'absent'?",
        ),
        ("state", "null", "fleet.csv:2:17: a state: cannot be null; write one of present, absent"),
        (
            "label",
            "x,y",
            (
                "fleet.csv:2: has 5 cells, the header names 4;"
                " put a text that holds the separator in quotes"
            ),
        ),
        (
            "label",
            '"x',
            (
                "fleet.csv:2:17: a quote begins here and does not end on this line;"
                " rows below it are not read"
            ),
        ),
    ],
)
def test_a_wrong_cell_of_csv(names: str, cells: str, problem: str) -> None:
    assert problems(csv_row(names, cells)) == [problem]


def test_all_that_is_wrong_with_a_row_is_said() -> None:
    text = "id,platform,source,phone_number,area_code\n,verbx,,14155550100,x\n"

    assert problems(text) == [
        "fleet.csv:2:1: id: is missing; a row needs its own id, which never changes",
        "fleet.csv:2:2: platform: 'verbx' is unknown; did you mean 'verbex'?",
        "fleet.csv:2:8: source: is missing; write one of purchase, import, existing",
        (
            "fleet.csv:2:9: phone_number: has no plus;"
            ' write it as text, plus and country code first, like "+14155550100"'
        ),
        "fleet.csv:2:21: area_code: must be a whole number like 415",
    ]


def test_what_the_check_finds_is_placed_and_added() -> None:
    """A field that is wrong already is still said, and is not complained of twice."""

    def check(asked: FleetRow) -> list[Problem]:
        return [
            Problem(message=f"checked {asked.fields[name]}", field=name) for name in asked.fields
        ]

    text = csv_row("phone_number,label", "14155550100,x")
    stream = io.BytesIO(text.encode())
    first, second = read(stream, "csv", check)

    assert isinstance(first, Problem)
    assert first.message.startswith("has no plus")
    assert second == Problem(
        message="checked x", id="a", field="label", file="f", line=2, column=29
    )


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (
            '"phone_number":14155550100',
            'a phone_number: is a number here; write it as text, "+14155550100"',
        ),
        ('"label":5', "a label: is a number here; write it as text, in quotes"),
        ('"label":true', "a label: is true or false here; write it as text, in quotes"),
        ('"label":["x"]', "a label: is a list here; write it as text, in quotes"),
        ('"label":{}', "a label: is an object here; write it as text, in quotes"),
        (
            '"trunk_password":" "',
            "a trunk_password: is empty; write env:NAME or file:PATH",
        ),
        (
            '"type":' + "[" * 30_000 + '"a:b"' + "]" * 30_000,
            "is nested too deeply",
        ),
        ('"area_code":true', "a area_code: must be a whole number like 415"),
        ('"label":"x","label":"y"', "a label: is set twice; keep one"),
        (
            '"label":"x","friendlyName":"y"',
            "a label: is set twice, as 'label' and as 'friendlyName'; keep one",
        ),
        ('"labl":"x"', "a: unknown field 'labl'; did you mean 'label'?"),
        ('"id":"b\\nc"', "id: contains a line end, U+000A, as character 2; delete it"),
        ('"id":"' + "x" * 129 + '"', "id: must be text of 1 to 128 printable characters"),
        ('"id":true', "id: is true or false here; write it as text, in quotes"),
        (
            '"platform":null',
            "a platform: cannot be null; write one of sigmamind, verbex, dialnexa",
        ),
        ('"source":3', "a source: is a number here; write one of purchase, import, existing"),
    ],
)
def test_a_wrong_field_of_json(fields: str, problem: str) -> None:
    words = {"id": '"a"', "platform": '"verbex"', "source": '"import"'}
    rest = ",".join(f'"{name}":{text}' for name, text in words.items() if f'"{name}"' not in fields)

    [found_problem] = problems(f"{{{rest},{fields}}}", "jsonl")
    where, _, what = found_problem.partition(": ")
    assert (what, where.startswith("fleet.jsonl:1:")) == (problem, True)


def test_a_cell_of_json_has_a_place() -> None:
    text = '{"id": "a", "type": ["x", {"label": 1}], "platform": "verbex", "label": 5}'
    places = [each.rpartition(" ")[0].split(" ")[0] for each in problems(text, "jsonl")]

    assert places == ["fleet.jsonl:1:1:", "fleet.jsonl:1:21:", "fleet.jsonl:1:73:"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"id": x}', "fleet.jsonl:1:8: is not JSON: Expecting value"),
        ("[1]", 'fleet.jsonl:1:1: is not a JSON object such as {"id": "support-1", ...}'),
        ("x" * 65_537, "fleet.jsonl:1: is longer than 65536 bytes, too long for a row"),
        (b"\xe9", "fleet.jsonl:1: byte 1 is not UTF-8; save the file as UTF-8"),
    ],
)
def test_a_line_that_is_no_row_costs_itself_alone(text: str | bytes, problem: str) -> None:
    good = b'\n{"id":"a","platform":"verbex","source":"import"}\n'
    content = (text.encode() if isinstance(text, str) else text) + good
    first, second = found(content, "jsonl")

    assert (str(first).startswith(problem), second) == (True, row())


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (
            "phone_number: +14155550100",
            'fleet.yaml:4:17: a phone_number: is a number here; write it as text, "+14155550100"',
        ),
        (
            "country_code: NO",
            "fleet.yaml:4:17: a country_code: is true or false here; write it as text, in quotes",
        ),
        (
            "area_code: 0415",
            "fleet.yaml:4:14: a area_code: must be a whole number like 415",
        ),
        (
            "label:",
            "fleet.yaml:4:9: a label: is empty; write null to clear it, or leave it out",
        ),
        ("label: [x]", "fleet.yaml:4:10: a label: is a list here; write it as text, in quotes"),
        (
            "label: !!str x",
            "fleet.yaml:4:10: a label: has a tag; leave it out and write plain text",
        ),
        (
            "label: &it x",
            "fleet.yaml:4:10: a label: has an anchor; leave it out, aliases are not read",
        ),
        ("label: *it", "fleet.yaml:4:10: a label: is an alias; write the value itself"),
        ("label: x\n  label: y", "fleet.yaml:5:3: a label: is set twice; keep one"),
        ("labl: x", "fleet.yaml:4:3: a: unknown field 'labl'; did you mean 'label'?"),
        ("&x type: y", "fleet.yaml:4:3: a: has a name that is not text"),
        ("? [x]\n  : y", "fleet.yaml:4:5: a: has a name that is not text"),
    ],
)
def test_a_wrong_field_of_yaml(fields: str, problem: str) -> None:
    """Its place is that of the value, or of the name where that is what is wrong."""
    text = f"- id: a\n  platform: verbex\n  source: import\n  {fields}\n"

    assert problems(text, "yaml") == [problem]


def test_a_rows_own_words_have_neither_anchors_nor_tags() -> None:
    assert problems("- &x {id: !t a, platform: *x, source: existing}", "yaml") == [
        "fleet.yaml:1:11: id: has a tag; leave it out and write plain text",
        "fleet.yaml:1:27: platform: is an alias; write the value itself",
        "fleet.yaml:1:3: has an anchor; leave it out, aliases are not read",
    ]


def test_a_default_that_is_wrong_is_said_once() -> None:
    text = """
defaults: {platform: verbex, source: import, labl: x, area_code: x, id: y}
numbers: [{id: a}, {id: b}, {area_code: y, id: c}]
"""

    fleet = load(io.BytesIO(text.encode()), format="yaml", name="fleet.yaml")
    assert [str(each) for each in fleet.problems] == [
        "fleet.yaml:2:46: unknown field 'labl'; did you mean 'label'?",
        "fleet.yaml:2:66: area_code: must be a whole number like 415",
        "fleet.yaml:3:41: c area_code: must be a whole number like 415",
    ]
    assert problems("defaults: {id: y}\nnumbers: [{source: import}]", "yaml") == [
        "fleet.yaml:1:16: id: cannot be the same for each row; leave it out",
        "fleet.yaml:2: platform: is missing; write one of sigmamind, verbex, dialnexa",
    ]


@pytest.mark.parametrize(
    "mark",
    [
        *("//", "; ", "-- ", "/* ", "<!-- ", "\uff03", " \uff03 ", "REM ", "rem\t", "@rem ", "::"),
        *(
            "- ",
            "> ",
            "~~",
            "• ",
            "\u2013 ",
            "\u2212",
            "^",
            "|",
            "\\",
            "(* ",
            "{- ",
            "[ ] ",
            "[x] ",
            "♯",
        ),
    ],
)
def test_a_row_that_is_commented_out_is_no_row(mark: str) -> None:
    """Each of these was bought as a row with that id. Negative control: the mark after the id."""
    row_of = "id,platform,source\n{},verbex,purchase\n".format

    [problem] = problems(row_of(f"{mark}a"))
    assert re.search("commented out.*; delete the row instead", problem)
    assert problems(row_of(f"a{mark.strip()}")) == []


@pytest.mark.parametrize(
    "row_id", ["+1", "-1", "(a)", "_a", "@a", "=a", ".a", "$a b", "/a", "é", "日"]
)
def test_control_an_id_begins_with_what_it_wants(row_id: str) -> None:
    assert problems(f"id,platform,source\n{row_id},verbex,purchase\n") == []


# ---------------------------------------------------------------- files that are wrong


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            "id,platform,source,friendly_name,labl,label,type,,type, , ",
            [
                "fleet.csv:1:34: unknown column 'labl'; did you mean 'label'?",
                "fleet.csv:1:39: column 'label' means the same as 'friendly_name'; keep one",
                "fleet.csv:1:50: column 8 has no name; name it or delete it",
                "fleet.csv:1:51: column 'type' appears twice; keep one",
            ],
        ),
        (
            "label",
            [
                (
                    "fleet.csv:1: there is no column 'id';"
                    " each row needs its own id, which never changes"
                ),
                (
                    "fleet.csv:1: there is no column 'platform';"
                    " each row names one of sigmamind, verbex, dialnexa"
                ),
                (
                    "fleet.csv:1: there is no column 'source';"
                    " each row names one of purchase, import, existing"
                ),
            ],
        ),
        (
            "id;platform,source",
            [
                (
                    "fleet.csv:1: columns may be separated by commas, semicolons, tabs;"
                    " the header uses several"
                )
            ],
        ),
        (
            '"id',
            [
                (
                    "fleet.csv:1:1: a quote begins here and does not end on this line;"
                    " rows below it are not read"
                )
            ],
        ),
        ("", ["fleet.csv: has no rows; a file lists at least one number"]),
        (
            "id" * LONGEST_LINE,
            ["fleet.csv:1: is longer than 65536 bytes, too long for a row"],
        ),
    ],
)
def test_a_header_is_a_matter_of_the_whole_file(header: str, expected: list[str]) -> None:
    assert problems(header) == expected


def test_rows_under_a_wrong_header_are_looked_at_and_not_used() -> None:
    """Nobody can tell what the unknown column was to say."""
    text = "id,platform,source,labl,area_code\na,verbex,import,x,1\nb,verbex,import,x,y\n"

    assert [str(each) for each in found(text)] == [
        "fleet.csv:1:20: unknown column 'labl'; did you mean 'label'?",
        "fleet.csv:3:19: b area_code: must be a whole number like 415",
    ]


def test_control_a_right_header_lets_the_same_row_through() -> None:
    text = "id,platform,source,label,area_code\na,verbex,import,x,1\n"

    assert found(text) == [row(label="x", area_code=1)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "fleet.yaml: has no rows; a file lists at least one number"),
        ("[]", "fleet.yaml: has no rows; a file lists at least one number"),
        ("numbers: []", "fleet.yaml: has no rows; a file lists at least one number"),
        (
            "x",
            (
                "fleet.yaml:1:1: is neither a list of rows nor a mapping with 'numbers',"
                " the list of rows"
            ),
        ),
        (
            "defaults: {}",
            (
                "fleet.yaml:1:1: is neither a list of rows nor a mapping with 'numbers',"
                " the list of rows"
            ),
        ),
        ("numbers: x", "fleet.yaml:1:1: 'numbers' must be a list"),
        (
            "number: []\nnumbers: []",
            "fleet.yaml:1:1: unknown key 'number'; did you mean 'numbers'?",
        ),
        ("numbers: []\nnumbers: []", "fleet.yaml:2:1: 'numbers' appears twice; keep one"),
        ("- x", "fleet.yaml:1:3: is not a row, which is a mapping of names"),
        ("&x []", "fleet.yaml:1:1: has an anchor; leave it out, aliases are not read"),
        ("[]\n---\n[]", "fleet.yaml:3:1: a second document begins; keep one"),
        (b"- x: \xe9", "fleet.yaml:1: byte 6 is not UTF-8; save the file as UTF-8"),
        ("\n x\x00", "fleet.yaml:2:3: contains a zero byte; save the file as UTF-8"),
        ("\n x\x01", "fleet.yaml:2:3: is not YAML: the character '\\x01'"),
    ],
)
def test_a_yaml_file_that_is_wrong(text: str | bytes, problem: str) -> None:
    assert problems(text, "yaml") == [problem]


def test_what_stands_before_an_error_of_yaml_is_read() -> None:
    first, second = found("- {id: a, platform: verbex, source: import}\n- {id: [}\n", "yaml")

    assert isinstance(first, FleetRow)
    assert str(second).startswith("fleet.yaml:2:9: is not YAML: ")


@pytest.mark.parametrize("text", ["[", "- ", "{a: ", "{", "[{", "[ ", "[\n", "? ["])
def test_a_deep_yaml_text_is_left_at_once(text: str) -> None:
    """Read to its end, it would take the parser minutes."""
    [*_, problem] = found(text * 1_000_000, "yaml")

    assert isinstance(problem, Problem)
    assert problem.message == "is nested too deeply"


@pytest.mark.parametrize(
    "text",
    [
        "# é\n- id: a\n  platform: 'verbex'\n  source: import\n  label: \"\\u00e9\\n\"\n",
        "- {id: a, label: [x], labl: &b y, area_code: 1_0, type: yes, <<: *b}",
        "defaults: {source: import}\nnumbers: !x []\n---\n",
        '- {id: a, platform: verbex, source: existing, accounting_label: "é", label: 2024-01-01}',
    ],
)
def test_both_parsers_of_yaml_tell_the_same(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML has a fast one in some installations only."""
    fast = found(text, "yaml")
    monkeypatch.delattr("yaml.CSafeLoader")

    assert found(text, "yaml") == fast


@pytest.mark.parametrize("escape", ["\\ud800", "\\UFFFFFFFF", "\\U00110000"])
def test_an_escape_that_names_no_character_is_a_problem(
    escape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("yaml.CSafeLoader")
    [problem] = found(f'- {{id: a, platform: verbex, source: import, label: "{escape}"}}', "yaml")

    assert isinstance(problem, Problem)


def test_a_missing_pyyaml_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)

    with pytest.raises(ConfigurationError, match=r'pip install "sigmamind-async\[cli\]"'):
        found("[]", "yaml")


# ---------------------------------------------------------------- secrets


def test_an_inline_secret_is_shown_by_nothing() -> None:
    [read_row] = found(csv_row("trunk_password", "hunter2"), allow_inline=True)

    assert read_row == row(trunk_password=Secret("hunter2"))
    assert "hunter2" not in repr(read_row)


@pytest.mark.parametrize("text", ["${TRUNK}", "#N/A", "1.5E+10", "hun\u200bter2"])
def test_an_inline_secret_is_not_what_another_program_left(text: str) -> None:
    [problem] = found(csv_row("trunk_password", text), allow_inline=True)

    assert isinstance(problem, Problem)
    assert problem.message.startswith("is damaged, or a placeholder")
    assert text not in str(problem)


def test_an_inline_secret_is_in_no_problem() -> None:
    """Neither of its own field nor of others, allowed or not."""
    text = csv_row("trunk_password,area_code,twilio_auth_token", "hunter2,x,hunter2")

    for allow_inline in (False, True):
        each = found(text, allow_inline=allow_inline)
        assert all(isinstance(one, Problem) for one in each)
        assert "hunter2" not in repr(each)


def test_what_a_check_is_shown_of_a_refused_secret_is_not_the_secret() -> None:
    asked: list[FleetRow] = []

    def check(draft: FleetRow) -> list[Problem]:
        asked.append(draft)
        return []

    stream = io.BytesIO(csv_row("trunk_password", "hunter2").encode())
    list(read(stream, "csv", check))

    assert asked == [row(trunk_password=Secret("?"))]


def test_an_allowed_reference_stays_a_reference() -> None:
    """It is resolved when a request is made, never before."""
    text = csv_row("trunk_password", "file:no/such/file")

    assert found(text, allow_inline=True) == [row(trunk_password="file:no/such/file")]


# ---------------------------------------------------------------- any size, any content


def test_every_broken_row_is_told_and_every_other_kept() -> None:
    lines = ["id,platform,source,area_code"]
    lines += [f"{n},verbex,import,{'x' if n % 10 == 0 else n}" for n in range(10_000)]
    each = found("\n".join(lines))

    told = [one for one in each if isinstance(one, Problem)]
    kept = [one for one in each if isinstance(one, FleetRow)]
    assert [one.line for one in told] == list(range(2, 10_002, 10))
    assert [int(one.id) for one in kept] == [n for n in range(10_000) if n % 10]


class Growing(io.RawIOBase):
    """A file whose rows are made as they are read."""

    def __init__(self, first: str, row: str, count: int) -> None:
        super().__init__()
        numbered = (row.replace("#", str(number)) for number in range(count))
        self.rows = (text.encode() for text in itertools.chain([first], numbered))

    def read(self, size: int | None = -1) -> bytes:
        return next(self.rows, b"")


ROWS: dict[Format, tuple[str, str]] = {
    "csv": ("id,platform,source,label\n", "row-#,verbex,import,a label\n"),
    "jsonl": ("\n", '{"id":#,"platform":"verbex","source":"import","label":"a label"}\n'),
}


def growth(items: Iterator[object], most: int) -> int:
    """Return how many blocks of memory more are held after *most* items than after 1,000."""
    deque(itertools.islice(items, 1_000), maxlen=0)
    gc.collect()  # what earlier tests left goes before, not meanwhile
    before = sys.getallocatedblocks()
    deque(itertools.islice(items, most - 1_000), maxlen=0)
    gc.collect()
    return sys.getallocatedblocks() - before


def growing(form: Format) -> Iterator[FleetRow | Problem]:
    stream = cast("IO[bytes]", Growing(*ROWS[form], count=100_000))
    return read(stream, form)


@pytest.mark.long
@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize(("form", "most"), [("csv", 99_000), ("jsonl", 20_000)])
def test_memory_does_not_grow_with_the_file(form: Format, most: int) -> None:
    """Blocks are counted and not bytes, because that does not slow the reading down."""
    assert growth(growing(form), most) < 2_000


def test_control_rows_that_are_kept_would_be_seen() -> None:
    """Even ten thousand of them."""
    items, kept = itertools.tee(growing("csv"))

    assert growth(items, 10_000) > 8_000
    assert next(kept) is not None


@given(st.binary(), st.sampled_from(FORMATS))
def test_any_bytes_are_rows_or_problems(content: bytes, form: Format) -> None:
    assert all(isinstance(each, FleetRow | Problem) for each in found(content, form))


SCRAPS = st.sampled_from(
    [
        "id: a",
        "- ",
        "{",
        "}",
        "[",
        "]",
        "numbers:",
        "defaults:",
        "\n",
        "  ",
        ": ",
        "&a",
        "*a",
        "!x",
        "? ",
        '"',
        "'",
        "#",
        "|",
        ">",
        "%",
        "---",
        "...",
        "null",
        "1",
        "\\ud800",
        "\\UFFFFFFFF",
        ",",
        "\ufeff",
        "\x85",
        "\u2028",
        "é",
        "label",
        "platform: verbex",
        "source: import",
        "<<",
    ]
)


@given(st.lists(SCRAPS).map("".join))
def test_any_scraps_of_yaml_are_rows_or_problems(text: str) -> None:
    assert all(isinstance(each, FleetRow | Problem) for each in found(text, "yaml"))


@given(st.lists(st.text()))
def test_any_text_under_a_header_is_rows(texts: list[str]) -> None:
    """Each line is told of in its turn, and problems are one readable line each."""
    header = "id,platform,source,label"
    content = "\n".join([header, *texts]).encode(errors="replace")
    each = found(content)

    numbers = [one.line for one in each]
    assert numbers == sorted(numbers)
    assert all(str(one).isprintable() for one in each if isinstance(one, Problem))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(VOCABULARY.names) | st.text(), JSON, max_size=8))
def test_any_object_is_a_row_or_its_problems(cells: dict[str, object]) -> None:
    # With an action it is a file of operations, which is refused as a whole.
    assume(all(normalize_word(name) != "action" for name in cells))
    each = found(json.dumps(cells), "jsonl")

    assert isinstance(each[0], FleetRow) or all(isinstance(one, Problem) for one in each)
    assert all(str(one).isprintable() for one in each if isinstance(one, Problem))


# ---------------------------------------------------------------- parts


def test_a_path_is_opened_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "fleet.csv"
    path.write_text(csv_row("label", "x"))

    assert list(read(path, "csv")) == [row(label="x")]


@pytest.mark.parametrize(
    ("path", "reason"),
    [("missing", "No such file or directory"), (".", "Is a directory"), ("a\0b", "")],
)
def test_a_path_that_cannot_be_read_is_a_problem(tmp_path: Path, path: str, reason: str) -> None:
    [problem] = read(os.fspath(tmp_path / path), "csv")

    assert str(problem).startswith(f"f: cannot be read: {reason}")


def test_what_a_column_may_be_called() -> None:
    """Every other word leads to a name that there is, and is spelled as it is looked up."""
    words = {**SYNONYMS, **HINTS}
    assert set(words.values()) <= set(VOCABULARY.names)
    assert all(word == normalize_word(word) for word in words)
    assert not set(words) & {normalize_word(word) for word in VOCABULARY.names}


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("country_iso", "country_code"),
        ("friendlyName", "label"),
        ("inbound agent ID", "inbound_agent_id"),
        ("nickname", "label"),
        ("outbound_phone_number", "test_number"),
        ("sip_trunk_user_name", "trunk_username"),
        ("terminationSipURI", "termination_uri"),
        ("trunk_user_name", "trunk_username"),
        ("phoneNumber", "phone_number"),
        (" Phone Number ", "phone_number"),
        ("agentId", None),
        ("number", None),
        ("#id", None),
        ("\ufeffid", None),
        ("id!", None),
    ],
)
def test_a_platforms_own_word_is_known_where_it_means_one_thing(
    word: str, meant: str | None
) -> None:
    assert VOCABULARY.find(word) == meant
