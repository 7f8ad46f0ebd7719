"""The reader on files of every format, good and bad: each with its right rows and messages."""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import io
import itertools
import json
from collections.abc import Callable, Iterable
from typing import IO, TYPE_CHECKING, cast

import openpyxl
import pytest
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.styles import Font

from sigmamind_async.fleet.load import load

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

HEADER = "id,platform,source,phone_number,label\n"
ROW = "a,sigmamind,existing,+14155550102,Support\n"
NAMES = tuple(HEADER.strip().split(","))
CELLS = tuple(ROW.strip().split(","))


def item(**cells: object) -> str:
    """Return a row as JSON."""
    return json.dumps({"id": "a", "platform": "sigmamind", "source": "existing", **cells})


def mapping(label: str) -> str:
    """Return a row as YAML, with a label that is no text by itself."""
    return (
        '- {id: a, platform: sigmamind, source: existing, phone_number: "+14155550102",'
        f" label: {label}}}"
    )


def book(
    *rows: Iterable[object],
    edit: Callable[[Worksheet], object] = lambda _: None,
    more: tuple[str, list[tuple[str, ...]]] | None = None,
) -> bytes:
    """Return a workbook with *rows*, and with *more* of them on another sheet."""
    workbook = openpyxl.Workbook()
    sheet = workbook.worksheets[0]
    for row in rows:
        sheet.append(list(row))
    edit(sheet)
    if more is not None:
        for row in more[1]:
            workbook.create_sheet(more[0]).append(row)
    stream = io.BytesIO()
    workbook.save(stream)
    return stream.getvalue()


def hide_row(sheet: Worksheet) -> None:
    sheet.row_dimensions[2].hidden = True


def hide_column(sheet: Worksheet) -> None:
    sheet.column_dimensions["E"].hidden = True


def merge_cells(sheet: Worksheet) -> None:
    sheet.merge_cells("D2:E2")


def hide_columns(sheet: Worksheet) -> None:
    """As a spreadsheet does it that hides several at once: under the name of the first."""
    sheet.column_dimensions.group("D", "F", hidden=True)


def mark_far_away(sheet: Worksheet) -> None:
    """Empty cells with a format make the used area huge."""
    sheet["XFD1048576"].number_format = "0"
    sheet["F2"] = ""


def strike_through(sheet: Worksheet) -> None:
    sheet["A2"].font = Font(strike=True)


def strike_part_through(sheet: Worksheet) -> None:
    struck = TextBlock(InlineFont(strike=True), "b")
    sheet["A2"].value = CellRichText("a", struck)


def make_part_bold(sheet: Worksheet) -> None:
    """The control: it is read as text."""
    sheet["A2"].value = CellRichText("a", TextBlock(InlineFont(b=True), "b"))


def hide_sheet(sheet: Worksheet) -> None:
    sheet.sheet_state = "hidden"
    cast("openpyxl.Workbook", sheet.parent).create_sheet("shown")


def show_with_zeros(sheet: Worksheet) -> None:
    sheet["A2"] = 101
    sheet["A2"].number_format = "0000"


FILES: list[tuple[str, str | bytes]] = [
    ("utf8.csv", HEADER + ROW),
    ("bom.csv", "\ufeff" + HEADER + ROW),
    ("utf16le.csv", codecs.BOM_UTF16_LE + (HEADER + ROW).encode("utf-16-le")),
    (
        "utf16be.csv",
        codecs.BOM_UTF16_BE + (HEADER + ROW.replace("Support", "Süd")).encode("utf-16-be"),
    ),
    ("utf16cut.csv", codecs.BOM_UTF16_LE + (HEADER + ROW).encode("utf-16-le")[:-1]),
    ("utf16nobom.csv", (HEADER + ROW).encode("utf-16-le")),
    ("latin1.csv", (HEADER + ROW.replace("Support", "Süd")).encode("latin-1")),
    ("crlf.csv", (HEADER + ROW).replace("\n", "\r\n")),
    ("cr.csv", (HEADER + ROW).replace("\n", "\r")),
    (
        "mixed.csv",
        HEADER.replace("\n", "\r")
        + ROW.replace("\n", "\r\n")
        + ROW.replace("a,", "b,").replace("0102", "0103"),
    ),
    ("noend.csv", (HEADER + ROW).rstrip()),
    ("semicolon.csv", (HEADER + ROW).replace(",", ";")),
    ("tab.csv", (HEADER + ROW).replace(",", "\t")),
    ("tab.tsv", (HEADER + ROW).replace(",", "\t")),
    ("semilabel.csv", (HEADER + ROW).replace(",", ";").replace("Support", '"a;b, c"')),
    ("pipe.csv", (HEADER + ROW).replace(",", "|")),
    ("mixsep.csv", HEADER.replace(",label", ";label") + ROW),
    ("mixsep2.csv", "id;platform,source;label\n"),
    ("trailing.csv", HEADER.replace("\n", ",,\n") + ROW.replace("\n", ",,\n") + ",,,,,,\n\n\n"),
    ("trailing2.csv", HEADER + ROW.replace("\n", ",,\n")),
    ("leadingblank.csv", "\n\n,,\n" + HEADER + ROW),
    ("short.csv", HEADER + "a,sigmamind\n"),
    ("long.csv", HEADER + ROW.replace("Support", "Support, x")),
    ("unnamed.csv", "id,platform,,source\na,sigmamind,x,existing\n"),
    ("dup.csv", "id,platform,source,label,friendlyName\na,sigmamind,existing,x,y\n"),
    (
        "vendor.csv",
        (
            "ID,Platform,Source,Phone Number,friendlyName,inboundAgentId,terminationSipURI\na,"
            "sigmamind,existing,+14155550102,x,agent_1,sip.example.com\n"
        ),
    ),
    ("agentid.csv", "id,platform,source,agentId\na,sigmamind,existing,x\n"),
    ("empty.csv", ""),
    ("bomonly.csv", "\ufeff"),
    ("headeronly.csv", HEADER),
    ("blankonly.csv", "\n , ,\n"),
    ("comment.csv", HEADER + "#" + ROW + ROW),
    ("comment2.csv", HEADER + "# a note\n" + ROW),
    ("comment3.csv", "# fleet\n" + HEADER + ROW),
    ("hashid.jsonl", item(id="#row1", phone_number="+14155550102")),
    ("hashline.jsonl", "#" + item()),
    (
        "hash.yaml",
        (
            '# fine\n- {id: "#row1", platform: sigmamind, source: existing, phone_number: '
            '"+14155550102"}'
        ),
    ),
    ("slashes.csv", "label," + HEADER.replace(",label", "") + "// Support,a,sigmamind,existing,\n"),
    ("slashes.jsonl", "// " + item()),
    ("sep.csv", "sep=;\n" + (HEADER + ROW).replace(",", ";")),
    ("entity.csv", HEADER + ROW.replace("Support", "R&amp;D")),
    ("hash.xlsx", book(NAMES, ("# a", *CELLS[1:]))),
    (
        "lonequote.csv",
        HEADER + 'a,sigmamind,existing,+14155550102,"Support\nb,sigmamind,purchase,,x\n',
    ),
    (
        "multiline.csv",
        HEADER + 'a,sigmamind,existing,+14155550102,"Sup\nb,sigmamind,purchase,,x\nport"\n',
    ),
    ("quoteend.csv", HEADER + 'a,sigmamind,existing,+14155550102,"Support"x\n'),
    ("innerquote.csv", HEADER + 'a,sigmamind,existing,+14155550102,5" pipe\n'),
    ("quoted.csv", HEADER + '"a","sigmamind","existing","+14155550102","say ""hi"""\n'),
    ("null.csv", HEADER + "a,sigmamind,existing,+14155550102,null\n"),
    ("quotednull.csv", HEADER + 'a,sigmamind,existing,+14155550102,"null"\n'),
    ("apos.csv", HEADER + "a,sigmamind,existing,'+14155550102,'tis\n"),
    ("aposid.csv", HEADER + "'0101,sigmamind,existing,+14155550102,x\n"),
    ("nul.csv", HEADER + "a,sigmamind,existing,+14155550102,x\0y\n"),
    (
        "huge.csv",
        HEADER
        + "a,sigmamind,existing,+14155550102,"
        + "x" * 70000
        + "\n"
        + ROW.replace("a,", "b,", 1),
    ),
    ("bommid.csv", HEADER + "\ufeff" + ROW),
    ("twofiles.csv", HEADER + ROW + HEADER + ROW.replace("a,", "b,", 1)),
    ("na.csv", HEADER + "a,sigmamind,existing,+14155550102,#N/A\n"),
    ("ref.csv", HEADER + "a,sigmamind,existing,#REF!,x\n"),
    ("exp.csv", HEADER + "a,sigmamind,existing,1.41556E+10,x\n"),
    ("explabel.csv", HEADER + "a,sigmamind,existing,+14155550102,1.23E+11\n"),
    ("expid.csv", HEADER + "1E5,sigmamind,existing,+14155550102,x\n"),
    ("placeholder.csv", HEADER + "a,sigmamind,existing,+14155550102,${TEAM} support\n"),
    ("mustache.jsonl", item(phone_number="+14155550102", inbound_agent_id="{{ agent }}")),
    ("zw.jsonl", item(phone_number="+14155550102", label="a\u200bb")),
    ("rtl.jsonl", item(phone_number="+14155550102", label="\u202eabc")),
    ("ctrl.jsonl", item(phone_number="+14155550102", label="a\x07")),
    (
        "area0.csv",
        (
            "id,platform,source,country_code,area_code\na,sigmamind,purchase,US,0415\nb,"
            "sigmamind,purchase,US,415.0\nc,sigmamind,purchase,US, 4 1 5\nd,sigmamind,purchase,"
            "US, 415 \n"
        ),
    ),
    (
        "twins.csv",
        HEADER
        + ROW.replace("a,", "0101,", 1)
        + ROW.replace("a,", "101,", 1).replace("0102", "0103"),
    ),
    ("decimalid.csv", HEADER + ROW.replace("a,", "101.0,", 1)),
    ("fraction.csv", HEADER + "a,sigmamind,existing,+14155550102.00,x\n"),
    (
        "numbers.csv",
        HEADER
        + "".join(
            f'{i},sigmamind,existing,"{n}",x\n'
            for i, n in zip(
                "abcdefgh",
                [
                    "+1 (415) 555-0102",
                    "+1.415.555.0103",
                    "+1\u00a0415\u2011555\u20110104",
                    "+49 (0)30 901820",
                    "4155550105",
                    "+1 415 555 0106 x7",
                    "+1 415 555 0107 / 08",
                    "0049 30 901820",
                ],
                strict=True,
            )
        ),
    ),
    ("implausible.csv", HEADER + "a,sigmamind,existing,+10005550102,x\n"),
    (
        "rows.jsonl",
        item(phone_number="+14155550102") + "\n\n" + item(id="b", phone_number="+14155550103"),
    ),
    (
        "dupkey.jsonl",
        '{"id":"a","platform":"sigmamind","source":"existing","label":"x","label":"y"}',
    ),
    ("cut.jsonl", item()[:-1]),
    ("nan.jsonl", '{"id": NaN}'),
    ("two.jsonl", item() + item(id="b")),
    ("deep.jsonl", '{"id":' + "[" * 100000),
    (
        "half.jsonl",
        (
            '{"id":"a","platform":"sigmamind","source":"existing",'
            '"phone_number":"+14155550102","label":"\\ud83d"}'
        ),
    ),
    (
        "pair.jsonl",
        (
            '{"id":"a","platform":"sigmamind","source":"existing",'
            '"phone_number":"+14155550102","label":"\\ud83d\\ude00"}'
        ),
    ),
    (
        "number.jsonl",
        (
            '{"id":"a","platform":"sigmamind","source":"existing",'
            '"phone_number":"+14155550102","label":1e6}'
        ),
    ),
    (
        "array.json",
        "[\n "
        + item(phone_number="+14155550102")
        + ",\n "
        + item(id="b", phone_number="14155550103")
        + "\n]",
    ),
    (
        "dupkey.json",
        '[{"id":"a",\n"platform":"sigmamind","source":"existing",\n"label":"x","label":"y"}]',
    ),
    ("empty.json", ""),
    ("none.json", "[]"),
    ("csv.jsonl", HEADER),
    ("object.json", '{"numbers": []}'),
    ("cut.json", "[" + item(phone_number="+14155550102") + ","),
    ("comma.json", "[" + item(phone_number="+14155550102") + ",]"),
    ("tail.json", "[" + item(phone_number="+14155550102") + "] x"),
    ("scalar.json", "[1]"),
    ("deep.json", "[" * 100000),
    (
        "defaults.yaml",
        (
            "defaults: {platform: sigmamind, source: existing}\nnumbers:\n- {id: a, "
            'phone_number: "+1 415 555 0102"}\n'
        ),
    ),
    (
        "pair.yaml",
        mapping('"\\ud83d\\ude00"'),
    ),
    (
        "number.yaml",
        mapping("1e6"),
    ),
    (
        "bool.yaml",
        mapping("no"),
    ),
    (
        "date.yaml",
        mapping("2026-11-30"),
    ),
    (
        "octal.yaml",
        '- {id: 0101, platform: sigmamind, source: existing, phone_number: "+14155550102"}',
    ),
    (
        "anchor.yaml",
        '- &x {id: a, platform: sigmamind, source: existing, phone_number: "+14155550102"}\n- *x\n',
    ),
    ("tag.yaml", "- !!python/object:os.system {id: a}"),
    (
        "merge.yaml",
        (
            "- {<<: {label: x}, id: a, platform: sigmamind, source: existing, phone_number: "
            '"+14155550102"}'
        ),
    ),
    ("bomb.yaml", "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n"),
    ("deep.yaml", "[{" * 100000),
    ("empty.yaml", ""),
    ("emptylist.yaml", "numbers: []"),
    ("tab.yaml", "numbers:\n\t- id: a\n"),
    ("comment.yaml", "# nothing\n"),
    ("rows.xlsx", book(NAMES, CELLS)),
    (
        "dates.xlsx",
        book(NAMES, ("a", "sigmamind", "existing", "+14155550102", dt.date(2026, 11, 30))),
    ),
    (
        "numbers.xlsx",
        book(
            NAMES,
            (7, "sigmamind", "existing", 14155550102, 2024),
            (8, "sigmamind", "existing", 1.5, 1234567890123456789),
        ),
    ),
    ("formula.xlsx", book(NAMES, ("a", "sigmamind", "existing", "+14155550102", "=A1&B1"))),
    ("error.xlsx", book(NAMES, ("a", "sigmamind", "existing", "+14155550102", "#REF!"))),
    ("bool.xlsx", book(NAMES, ("a", "sigmamind", "existing", "+14155550102", True))),
    ("zeros.xlsx", book(NAMES, CELLS, edit=show_with_zeros)),
    ("sheets.xlsx", book(NAMES, CELLS, more=("Other", [NAMES]))),
    ("emptysheets.xlsx", book(NAMES, CELLS, more=("Other", [()]))),
    ("hiddenrow.xlsx", book(NAMES, CELLS, edit=hide_row)),
    ("hiddencol.xlsx", book(NAMES, CELLS, edit=hide_column)),
    ("hiddencolumns.xlsx", book(NAMES, CELLS, edit=hide_columns)),
    ("far.xlsx", book(NAMES, CELLS, edit=mark_far_away)),
    ("large.xlsx", book(NAMES, (*CELLS[:4], 1e300))),
    ("gaps.xlsx", book((), NAMES, (), CELLS[:4], ("b", *CELLS[1:3], "+14155550103", "x", ""))),
    ("struck.xlsx", book(NAMES, CELLS, edit=strike_through)),
    ("struckpart.xlsx", book(NAMES, CELLS, edit=strike_part_through)),
    ("bold.xlsx", book(NAMES, CELLS, edit=make_part_bold)),
    ("hiddensheet.xlsx", book(NAMES, CELLS, edit=hide_sheet)),
    ("merged.xlsx", book(NAMES, CELLS, edit=merge_cells)),
    ("empty.xlsx", book()),
    ("headeronly.xlsx", book(NAMES)),
    ("notzip.xlsx", b"id,platform"),
    ("zip.csv", book(NAMES, CELLS)),
    ("damaged.xlsx", book(NAMES, CELLS)[:800]),
    ("action.csv", "action,country_code,area_code,friendly_name\ncreate,US,415,Support\n"),
    (
        "action.jsonl",
        (
            '{"action":"import","phoneNumber":"+14155550102","terminationSipURI":"sip.x",'
            '"trunkPassword":"hunter2"}'
        ),
    ),
    (
        "action.json",
        '[{"id":"o1","action":"update","phone_number":"+14155550102","friendly_name":"x"}]',
    ),
    ("action.yaml", "- {action: purchase, platform: dialnexa, country_iso: US}"),
    (
        "action.xlsx",
        book(("id", "action", "provider", "phone_number"), ("o1", "create", "sip", "+14155550102")),
    ),
]

EXPECTED: dict[str, list[str]] = {
    "utf8.csv": [
        "row 2 a existing: phone_number=+14155550102, label=Support",
    ],
    "bom.csv": [
        "row 2 a existing: phone_number=+14155550102, label=Support",
    ],
    "utf16le.csv": [
        "row 2 a existing: phone_number=+14155550102, label=Support",
    ],
    "utf16be.csv": [
        "row 2 a existing: phone_number=+14155550102, label=Süd",
    ],
    "utf16cut.csv": [
        "is not valid UTF-16; save the file as UTF-8",
    ],
    "utf16nobom.csv": [
        "1:2: contains a zero byte; save the file as UTF-8",
    ],
    "latin1.csv": [
        "2: byte 36 is not UTF-8; save the file as UTF-8",
    ],
    "crlf.csv": [
        "row 2 a existing: phone_number=+14155550102, label=Support",
    ],
    "cr.csv": [
        "row 2 a existing: phone_number=+14155550102, label=Support",
    ],
    "mixed.csv": [
        "row 2 a existing: phone_number=+14155550102, label=Support",
        "row 3 b existing: phone_number=+14155550103, label=Support",
    ],
    "noend.csv": [
        "row 2 a existing: phone_number=+14155550102, label=Support",
    ],
    "semicolon.csv": [
        "row 2 a existing: phone_number=+14155550102, label=Support",
    ],
    "tab.tsv": [
        "row 2 a existing: phone_number=+14155550102, label=Support",
    ],
    "tab.csv": [
        "row 2 a existing: phone_number=+14155550102, label=Support",
    ],
    "semilabel.csv": [
        "row 2 a existing: phone_number=+14155550102, label=a;b, c",
    ],
    "pipe.csv": [
        "1: has one column; separate columns by commas, semicolons or tabs",
    ],
    "mixsep.csv": [
        "1:20: unknown column 'phone_number;label'; did you mean 'phone_number'?",
        ("2: has 5 cells, the header names 4; put a text that holds the separator in quotes"),
    ],
    "mixsep2.csv": [
        "1:4: unknown column 'platform,source'; did you mean 'platform'?",
        ("1: there is no column 'platform'; each row names one of sigmamind, verbex, dialnexa"),
        "1: there is no column 'source'; each row names one of purchase, import, existing",
    ],
    "trailing.csv": [
        "row 2 a existing: phone_number=+14155550102, label=Support",
    ],
    "trailing2.csv": [
        "row 2 a existing: phone_number=+14155550102, label=Support",
    ],
    "leadingblank.csv": [
        "row 5 a existing: phone_number=+14155550102, label=Support",
    ],
    "short.csv": [
        ("2: has 2 cells, the header names 5; put a text that holds the separator in quotes"),
    ],
    "long.csv": [
        ("2: has 6 cells, the header names 5; put a text that holds the separator in quotes"),
    ],
    "unnamed.csv": [
        "1:13: column 3 has no name; name it or delete it",
    ],
    "dup.csv": [
        "1:26: column 'friendlyName' means the same as 'label'; keep one",
    ],
    "vendor.csv": [
        (
            "row 2 a existing: phone_number=+14155550102, label=x, "
            "inbound_agent_id=agent_1, termination_uri=sip.example.com"
        ),
    ],
    "agentid.csv": [
        "1:20: unknown column 'agentId'; did you mean 'inbound_agent_id'?",
    ],
    "empty.csv": [
        "has no rows; a file lists at least one number",
    ],
    "bomonly.csv": [
        "has no rows; a file lists at least one number",
    ],
    "headeronly.csv": [
        "has no rows; a file lists at least one number",
    ],
    "blankonly.csv": [
        "has no rows; a file lists at least one number",
    ],
    "comment.csv": [
        "row 3 a existing: phone_number=+14155550102, label=Support",
        "2:1: starts with '#', and rows cannot be commented out; delete the row instead",
    ],
    "comment2.csv": [
        "row 3 a existing: phone_number=+14155550102, label=Support",
        "2:1: starts with '#', and rows cannot be commented out; delete the row instead",
    ],
    "comment3.csv": [
        (
            "1:1: the header starts with '#', and rows cannot be commented out; delete the "
            "row instead"
        ),
    ],
    "hashid.jsonl": [
        "1:8: id: '#row1' looks commented out, and rows cannot be; delete the row instead",
    ],
    "hashline.jsonl": [
        "1:1: starts with '#', and rows cannot be commented out; delete the row instead",
    ],
    "hash.yaml": [
        "2:8: id: '#row1' looks commented out, and rows cannot be; delete the row instead",
    ],
    "fraction.csv": [
        (
            "2:22: a phone_number: has a fraction, as spreadsheets write numbers; write it without,"
            ' like "+14155550100"'
        ),
    ],
    "slashes.csv": [
        "2:1: starts with '//', and rows cannot be commented out; delete the row instead",
    ],
    "slashes.jsonl": [
        "1:1: starts with '//', and rows cannot be commented out; delete the row instead",
    ],
    "sep.csv": [
        "row 3 a existing: phone_number=+14155550102, label=Support",
    ],
    "entity.csv": [
        "2:35: a label: '&amp;' stands for another character; write the character itself",
    ],
    "struck.xlsx": [
        "2:1: id: is struck through; delete the row, or remove the line through the text",
    ],
    "struckpart.xlsx": [
        "2:1: id: is struck through; delete the row, or remove the line through the text",
    ],
    "bold.xlsx": [
        "row 2 ab existing: phone_number=+14155550102, label=Support",
    ],
    "hiddensheet.xlsx": [
        "the sheet 'Sheet' is hidden; show it or delete it",
    ],
    "hash.xlsx": [
        "2:1: starts with '#', and rows cannot be commented out; delete the row instead",
    ],
    "lonequote.csv": [
        ("2:35: a quote begins here and does not end on this line; rows below it are not read"),
    ],
    "multiline.csv": [
        ("2:35: a quote begins here and does not end on this line; rows below it are not read"),
    ],
    "quoteend.csv": [
        "2:35: a text follows the quote that ends this cell",
    ],
    "innerquote.csv": [
        'row 2 a existing: phone_number=+14155550102, label=5" pipe',
    ],
    "quoted.csv": [
        'row 2 a existing: phone_number=+14155550102, label=say "hi"',
    ],
    "null.csv": [
        "2:35: a label: cannot be cleared on sigmamind; leave it blank to leave it alone",
    ],
    "quotednull.csv": [
        "row 2 a existing: phone_number=+14155550102, label=null",
    ],
    "apos.csv": [
        "row 2 a existing: phone_number=+14155550102, label='tis",
    ],
    "aposid.csv": [
        "2:1: id: begins with an apostrophe, a spreadsheet's mark for text; remove it",
    ],
    "nul.csv": [
        "2:36: contains a zero byte; save the file as UTF-8",
    ],
    "huge.csv": [
        "row 3 b existing: phone_number=+14155550102, label=Support",
        "2: is longer than 65536 bytes, too long for a row",
    ],
    "bommid.csv": [
        "2:1: id: contains an invisible character, U+FEFF, as character 1; delete it",
    ],
    "twofiles.csv": [
        "row 2 a existing: phone_number=+14155550102, label=Support",
        "3:4: id platform: 'platform' is unknown; known are dialnexa, sigmamind, verbex",
        "3:13: id source: 'source' is unknown; known are existing, import, purchase",
        "4: b phone_number: row 'a', line 2, has the same number on sigmamind",
    ],
    "na.csv": [
        (
            "2:35: a label: '#N/A' is an error of a spreadsheet; fix its formula, or write "
            "the value itself"
        ),
    ],
    "ref.csv": [
        (
            "2:22: a phone_number: '#REF!' is an error of a spreadsheet; fix its formula, "
            "or write the value itself"
        ),
    ],
    "exp.csv": [
        (
            "2:22: a phone_number: was shortened by a spreadsheet and its last digits are "
            'lost; write all of it as text, like "+14155550100"'
        ),
    ],
    "explabel.csv": [
        (
            "2:35: a label: '1.23E+11' is a number in short form, as spreadsheets write "
            "it; its digits may be lost: write all of it as text"
        ),
    ],
    "expid.csv": [
        (
            "2:1: id: '1E5' is a number in short form, as spreadsheets write it; its "
            "digits may be lost: write all of it as text"
        ),
    ],
    "placeholder.csv": [
        (
            "2:35: a label: '${TEAM}' is a placeholder that was not filled in; write the "
            "value itself"
        ),
    ],
    "mustache.jsonl": [
        (
            "1:112: a inbound_agent_id: '{{ agent }}' is a placeholder that was not filled "
            "in; write the value itself"
        ),
    ],
    "zw.jsonl": [
        "1:101: a label: contains an invisible character, U+200B, as character 2; delete it",
    ],
    "rtl.jsonl": [
        "1:101: a label: contains an invisible character, U+202E, as character 1; delete it",
    ],
    "ctrl.jsonl": [
        "1:101: a label: contains an invisible character, U+0007, as character 2; delete it",
    ],
    "area0.csv": [
        "row 5 d purchase: country_code=US, area_code=415",
        "2:25: a area_code: must be a whole number like 415, without a 0 before it",
        "3:25: b area_code: must be a whole number like 415",
        "4:25: c area_code: must be a whole number like 415",
    ],
    "twins.csv": [
        "row 2 0101 existing: phone_number=+14155550102, label=Support",
        (
            "3: 101 id: a spreadsheet rewrites it as the id '0101' of line 2, or the other "
            "way; change one of them"
        ),
        (
            "warning 2: 0101: a spreadsheet rewrites such an id, and under another id a "
            "number is bought again; begin ids with a letter, like row-1"
        ),
    ],
    "decimalid.csv": [
        "2:1: id: '101.0' is a number with a fraction, as spreadsheets write it; fix it",
    ],
    "numbers.csv": [
        "row 2 a existing: phone_number=+14155550102, label=x",
        "row 3 b existing: phone_number=+14155550103, label=x",
        "row 4 c existing: phone_number=+14155550104, label=x",
        (
            "5:22: d phone_number: has a 0 in brackets, which not every country dials; "
            'write it without, like "+14155550100"'
        ),
        (
            "6:22: e phone_number: has no plus; write it as text, plus and country code "
            'first, like "+14155550100"'
        ),
        (
            "7:22: f phone_number: has an extension, which no platform takes; write it "
            'without, like "+14155550100"'
        ),
        (
            "8:22: g phone_number: '+1 415 555 0107 / 08' is not a phone number like "
            "'+14155550100' ('+', then 7 to 15 digits, no spaces)"
        ),
        (
            "9:22: h phone_number: has no plus; write it as text, plus and country code "
            'first, like "+14155550100"'
        ),
    ],
    "implausible.csv": [
        "row 2 a existing: phone_number=+10005550102, label=x",
        (
            "warning 2: a phone_number: +10005550102 is not assigned in its country's "
            "numbering plan; check it"
        ),
    ],
    "rows.jsonl": [
        "row 1 a existing: phone_number=+14155550102",
        "row 3 b existing: phone_number=+14155550103",
    ],
    "dupkey.jsonl": [
        "1:74: a label: is set twice; keep one",
    ],
    "cut.jsonl": [
        "1:58: is not JSON: Expecting ',' delimiter",
    ],
    "nan.jsonl": [
        "1:1: is not JSON: NaN",
    ],
    "two.jsonl": [
        "1:59: is not JSON: more follows the object",
    ],
    "deep.jsonl": [
        "1: is longer than 65536 bytes, too long for a row",
    ],
    "half.jsonl": [
        "1:92: a label: contains half of a character; write the character itself",
    ],
    "pair.jsonl": [
        "row 1 a existing: phone_number=+14155550102, label=😀",
    ],
    "number.jsonl": [
        "1:92: a label: is a number here; write it as text, in quotes",
    ],
    "array.json": [
        "row 2 a existing: phone_number=+14155550102",
        (
            "3:77: b phone_number: has no plus; write it as text, plus and country code "
            'first, like "+14155550100"'
        ),
    ],
    "dupkey.json": [
        "3:21: a label: is set twice; keep one",
    ],
    "empty.json": [
        "has no rows; a file lists at least one number",
    ],
    "none.json": [
        "has no rows; a file lists at least one number",
    ],
    "object.json": [
        (
            '1:1: is not a JSON array of objects, [{"id": "support-1", ...}];'
            " an object a line is the format jsonl"
        ),
    ],
    "csv.jsonl": [
        (
            '1:1: is not a JSON object such as {"id": "support-1", ...};'
            " if the file is not JSON Lines, name its format"
        ),
    ],
    "cut.json": [
        "row 1 a existing: phone_number=+14155550102",
        "1:93: is not JSON: Expecting value",
    ],
    "comma.json": [
        "row 1 a existing: phone_number=+14155550102",
        "1:93: is not JSON: an object is missing after the comma",
    ],
    "tail.json": [
        "row 1 a existing: phone_number=+14155550102",
        "1:94: is not JSON: more follows the array",
    ],
    "scalar.json": [
        '1:2: is not a JSON object such as {"id": "support-1", ...}',
    ],
    "deep.json": [
        "1:2: is nested too deeply",
    ],
    "defaults.yaml": [
        "row 3 a existing: phone_number=+14155550102",
    ],
    "pair.yaml": [
        "row 1 a existing: phone_number=+14155550102, label=😀",
    ],
    "number.yaml": [
        "1:87: a label: is a number here; write it as text, in quotes",
    ],
    "bool.yaml": [
        "1:87: a label: is true or false here; write it as text, in quotes",
    ],
    "date.yaml": [
        "row 1 a existing: phone_number=+14155550102, label=2026-11-30",
    ],
    "octal.yaml": [
        "1:8: id: is a number here; write it as text, in quotes",
    ],
    "anchor.yaml": [
        "1:3: a: has an anchor; leave it out, aliases are not read",
        "2:3: is not a row, which is a mapping of names",
    ],
    "tag.yaml": [
        "1: a platform: is missing; write one of sigmamind, verbex, dialnexa",
        "1: a source: is missing; write one of purchase, import, existing",
        "1:3: a: has a tag; leave it out and write plain text",
    ],
    "merge.yaml": [
        (
            "1:4: a: unknown field '<<'; known are accounting_label, area_code, auth_mode, "
            "country_code, id, inbound_agent_id, label, outbound_agent_id, phone_number, "
            "platform, sip_infra_region, source, state, telephony_provider_id, "
            "termination_uri, test_number, trunk_password, trunk_username, "
            "twilio_account_sid, twilio_auth_token, type"
        ),
    ],
    "bomb.yaml": [
        "1:1: unknown key 'a'; known are defaults, numbers",
    ],
    "deep.yaml": [
        "1:9: is nested too deeply",
    ],
    "empty.yaml": [
        "has no rows; a file lists at least one number",
    ],
    "emptylist.yaml": [
        "has no rows; a file lists at least one number",
    ],
    "tab.yaml": [
        "2:1: is not YAML: found character that cannot start any token",
    ],
    "comment.yaml": [
        "has no rows; a file lists at least one number",
    ],
    "rows.xlsx": [
        "row 2 a existing: phone_number=+14155550102, label=Support",
    ],
    "dates.xlsx": [
        "2:5: a label: is a date here; format the column as text and type it again",
    ],
    "numbers.xlsx": [
        (
            "2:4: 7 phone_number: has no plus; write it as text, plus and country code "
            'first, like "+14155550100"'
        ),
        "3:4: 8 phone_number: has a fraction; format the column as text and type it again",
        ("3:5: 8 label: is a number that lost digits; format the column as text and type it again"),
    ],
    "formula.xlsx": [
        "2:5: a label: is a formula; write its value in its place",
    ],
    "error.xlsx": [
        "2:5: a label: '#REF!' is an error of a spreadsheet; write the value itself",
    ],
    "bool.xlsx": [
        "2:5: a label: is true or false here; format the column as text and type it again",
    ],
    "zeros.xlsx": [
        (
            "2:1: id: is the number 101, shown in the format '0000'; format the column as "
            "text and type it again"
        ),
    ],
    "sheets.xlsx": [
        "has 2 sheets with cells: 'Sheet', 'Other'; keep one, hidden ones count",
    ],
    "emptysheets.xlsx": [
        "row 2 a existing: phone_number=+14155550102, label=Support",
    ],
    "hiddenrow.xlsx": [
        "2: row 2 is hidden; show it or delete it",
    ],
    "hiddencol.xlsx": [
        "1:5: column E or one beside it is hidden; show it or delete it",
    ],
    "hiddencolumns.xlsx": ["1:4: column D or one beside it is hidden; show it or delete it"],
    "far.xlsx": ["row 2 a existing: phone_number=+14155550102, label=Support"],
    "large.xlsx": [
        "2:5: a label: is a number that lost digits; format the column as text and type it again"
    ],
    "gaps.xlsx": [
        "row 4 a existing: phone_number=+14155550102",
        "row 5 b existing: phone_number=+14155550103, label=x",
    ],
    "merged.xlsx": [
        "2:4: the cells D2:E2 are merged, and only the first holds a value; split them",
    ],
    "empty.xlsx": [
        "has no rows; a file lists at least one number",
    ],
    "headeronly.xlsx": [
        "has no rows; a file lists at least one number",
    ],
    "notzip.xlsx": [
        "is not an XLSX workbook, or a damaged one; save it again as .xlsx",
    ],
    "zip.csv": [
        "is a workbook or a ZIP file, not text; the name of a workbook ends in .xlsx",
    ],
    "damaged.xlsx": [
        "is not an XLSX workbook, or a damaged one; save it again as .xlsx",
    ],
    "action.csv": [
        (
            "1:1: has a column 'action': a file says what each number should be, not what "
            "to do; its first row would be row-1,sigmamind,purchase,US,415,Support (under "
            "id,platform,source,country_code,area_code,label)"
        ),
    ],
    "action.jsonl": [
        (
            "1:11: has an 'action': a file says what each number should be, not what to "
            'do; its first row would be {"id": "row-1", "platform": "sigmamind", "source": '
            '"import", "phone_number": "+14155550102", "termination_uri": "sip.x", '
            '"trunk_password": "env:TRUNK_PASSWORD"}'
        ),
    ],
    "action.json": [
        (
            "1:22: has an 'action': a file says what each number should be, not what to "
            'do; its first row would be {"id": "o1", "platform": "sigmamind", "source": '
            '"existing", "phone_number": "+14155550102", "label": "x"}'
        ),
    ],
    "action.yaml": [
        (
            "1:4: has an 'action': a file says what each number should be, not what to do; "
            'its first row would be {"id": "row-1", "platform": "dialnexa", "source": '
            '"purchase", "country_code": "US"}'
        ),
    ],
    "action.xlsx": [
        (
            "1:2: has a column 'action': a file says what each number should be, not what "
            "to do; its first row would be o1,sigmamind,import,+14155550102 (under "
            "id,platform,source,phone_number)"
        ),
    ],
}


class Pipe(io.RawIOBase):
    """A stream that is read once, in small pieces."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.content = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self.content.read(min(size, 997))


def outcome(name: str, content: str | bytes) -> list[str]:
    """Return the rows, problems and warnings of a file as lines."""
    data = content.encode() if isinstance(content, str) else content
    fleet = load(cast("IO[bytes]", Pipe(data)), name=name)
    rows = [
        f"row {row.line} {row.id} {row.source.value}: "
        + ", ".join(f"{field}={value}" for field, value in row.fields.items())
        for row in fleet.rows
    ]
    problems = [str(problem).removeprefix(f"{name}:").strip() for problem in fleet.problems]
    warnings = [str(each).removeprefix(f"{name}:").strip() for each in fleet.warnings]
    return [*rows, *problems, *(f"warning {each}" for each in warnings)]


@pytest.mark.parametrize(("name", "content"), FILES, ids=[name for name, _ in FILES])
def test_a_file_is_read_as_it_should_be(name: str, content: str | bytes) -> None:
    assert outcome(name, content) == EXPECTED[name]


def test_the_corpus_is_large_enough() -> None:
    assert len(EXPECTED) == len(FILES) >= 60


@pytest.mark.parametrize(("name", "content"), FILES, ids=[name for name, _ in FILES])
def test_messages_are_one_line_and_say_where(name: str, content: str | bytes) -> None:
    """A file as a whole is named; everything in it has a line."""
    data = content.encode() if isinstance(content, str) else content
    fleet = load(io.BytesIO(data), name=name)

    for problem in (*fleet.problems, *fleet.warnings):
        assert str(problem).isprintable()
        assert problem.line or not problem.id


# ---------------------------------------------------------------- texts as they are

SCRAPS = [
    *("a", " ", "  ", "'", "''", '"', ",", ";", "\t", "=", "+", "-", "@", "#", "~", "`", "\\"),
    *("null", "NULL", "None", "TRUE", "yes", "0101", "1.5", "1e3", "2026-01-01", "May 5", "#N/A"),
    *("é", "😀", "\u00a0", "\u200b", "\ufeff", "${X}", "{{x}}", "<x>", "x" * 200),
]
LABELS = sorted({*SCRAPS, *map("".join, itertools.product(SCRAPS, SCRAPS))} - {""})


def labels_of(name: str, content: bytes) -> list[object]:
    """Return what each row says of its label; a row with a problem says nothing."""
    fleet = load(io.BytesIO(content), name=name)
    labels = {row.id: row.fields.get("label") for row in fleet.rows}
    assert labels.keys() | {problem.id for problem in fleet.problems} >= {"row-0", "row-1"}
    return [labels.get(f"row-{number}", "a problem") for number in range(len(LABELS))]


def rows_of_labels() -> list[dict[str, str]]:
    return [
        {
            "id": f"row-{number}",
            "platform": "verbex",
            "source": "existing",
            "phone_number": f"+1415555{number:04}",
            "label": label,
        }
        for number, label in enumerate(LABELS)
    ]


def test_no_text_changes_without_a_word() -> None:
    """In a table that another program wrote; only a bare null is not the text that it is."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, rows_of_labels()[0])
    writer.writeheader()
    writer.writerows(rows_of_labels())
    read = labels_of("fleet.csv", stream.getvalue().encode())

    assert len(LABELS) > 1_000
    changed = [
        pair for pair in zip(LABELS, read, strict=True) if pair[1] not in {pair[0], "a problem"}
    ]
    assert changed == [("null", None)]


def test_the_formats_mean_the_same() -> None:
    """What one of them takes all of them take, as the same text."""
    lines = [json.dumps(row) for row in rows_of_labels()]
    of_lines = labels_of("fleet.jsonl", "\n".join(lines).encode())

    assert labels_of("fleet.json", f"[{','.join(lines)}]".encode()) == of_lines
    assert labels_of("fleet.yaml", "".join(f"- {line}\n" for line in lines).encode()) == of_lines
    of_cells = labels_of("fleet.xlsx", book(NAMES, *[row.values() for row in rows_of_labels()]))
    # What begins with an equals sign is a formula there.
    odd = [
        label
        for label, of_line, of_cell in zip(LABELS, of_lines, of_cells, strict=True)
        if of_line != of_cell and not label.startswith("=")
    ]
    assert odd == ["null"]
