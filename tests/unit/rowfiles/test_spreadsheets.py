"""What is written survives a spreadsheet: opened in one, saved again, and read back as it was."""

from __future__ import annotations

import io
import shutil
import subprocess
from typing import TYPE_CHECKING

import attrs
import openpyxl
import pytest

from sigmamind_async.fleet import FleetRow, Source, load, write
from sigmamind_async.fleet.export import columns_of

if TYPE_CHECKING:
    from pathlib import Path

    from sigmamind_async.rowfiles import Format

LABELS = [
    *(
        "Support",
        "=1+1",
        "+1",
        "-5",
        "@x",
        "'tis",
        "0101",
        "1.50",
        "12e",
        "TRUE",
        "no",
    ),
    *("May 5", "5/8", "2026-11-30", "3-1", "10:30", "50%", "$5", "1,000", "(5)", "a,b", 'say "x"'),
    *("Süd", "日本", "é😀", " a ", "a;b", "007", "123456789012345678", "0x1F", "1 2/3", "Line 5"),
]
ROWS = [
    FleetRow(
        id=row_id,
        platform="sigmamind",
        source=Source.EXISTING,
        fields={"phone_number": f"+141555501{number:02}", "label": label},
    )
    for number, label in enumerate(LABELS)
    for row_id in [f"sigmamind-141555501{number:02}" if number % 3 else f"{number:04}"]
]
"""Ids as `export` makes them, and such as a journal may have."""

needs_ssconvert = pytest.mark.skipif(
    shutil.which("ssconvert") is None, reason="no ssconvert, which Debian's gnumeric has"
)


def save(path: Path, format_: Format) -> None:
    with path.open("wb") as stream:
        write(ROWS, stream, format_, columns=columns_of(ROWS))


def read_again(path: Path) -> list[FleetRow]:
    fleet = load(path)
    assert [str(problem) for problem in fleet.problems] == []
    return [attrs.evolve(row, line=0) for row in fleet.rows]


def convert(path: Path, name: str) -> Path:
    """Return what a spreadsheet makes of *path*: it opens the file and saves it under *name*."""
    made = path.with_name(name)
    command = ["ssconvert", path.name, made.name]
    subprocess.run(command, cwd=path.parent, check=True, capture_output=True)
    return made


@needs_ssconvert
@pytest.mark.parametrize("format_", ["csv", "xlsx"])
@pytest.mark.parametrize("saved_as", ["csv", "xlsx", "ods"])
def test_rows_survive_a_spreadsheet(tmp_path: Path, format_: Format, saved_as: str) -> None:
    """Saved as another format, and from that as CSV again."""
    path = tmp_path / f"fleet.{format_}"
    save(path, format_)
    saved = convert(path, f"saved.{saved_as}")

    assert saved_as == "ods" or read_again(saved) == ROWS
    # In a CSV file no cell is text any more, so that opening it a second time rewrites it.
    assert saved_as == "csv" or read_again(convert(saved, "again.csv")) == ROWS


@needs_ssconvert
def test_control_a_spreadsheet_rewrites_what_is_not_marked(tmp_path: Path) -> None:
    """Such a file is refused: the plus of the number is lost, and with it the number."""
    path = tmp_path / "fleet.csv"
    path.write_text("id,platform,source,phone_number\n0101,sigmamind,existing,+14155550102\n")
    saved = convert(convert(path, "saved.xlsx"), "again.csv")

    assert saved.read_text().splitlines()[1] == "101,sigmamind,existing,14155550102"
    [problem] = load(saved).problems
    assert problem.message.startswith("has no plus")


def test_rows_survive_openpyxl(tmp_path: Path) -> None:
    path = tmp_path / "fleet.xlsx"
    save(path, "xlsx")
    openpyxl.load_workbook(path).save(path)

    assert read_again(path) == ROWS


def test_every_cell_of_a_workbook_is_text() -> None:
    """Also where a person types in it: the format of each cell is that of text."""
    stream = io.BytesIO()
    write(ROWS, stream, "xlsx", columns=columns_of(ROWS))
    sheet = openpyxl.load_workbook(stream).worksheets[0]
    cells = [cell for row in sheet.iter_rows() for cell in row if cell.value is not None]

    assert {(cell.data_type, cell.number_format) for cell in cells} == {("s", "@")}
