"""Draw what a terminal shows of ``sigmamind demo``, as an SVG for the README.

It is a real run, so the figures in it differ from one to the next; ``poe picture`` makes a new one.
"""

import fcntl
import io
import os
import pty
import re
import struct
import sys
import tempfile
import termios
from pathlib import Path
from typing import Final

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

PICTURE: Final = Path(__file__).parents[2] / "sigmamind_async" / "docs" / "demo.svg"
COMMAND: Final = ("sigmamind", "demo")
COLUMNS: Final = 84

_CONTROL: Final = re.compile(r"(\r?\n|\r|\x1b\[2K|\x1b\[\d*A|\x1b\[\?\d+[hl])")
_FONTS: Final = re.compile(r"@font-face \{\{.*?\}\}\n", re.DOTALL)


def run_in_terminal(folder: str) -> str:
    """Return everything that `COMMAND` writes to a terminal; raise unless it ends with 0."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.environ |= {"TERM": "xterm-256color", "XDG_STATE_HOME": folder}
        os.execvp(COMMAND[0], COMMAND)  # noqa: S606 - a command of ours
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    written = b""
    try:
        while piece := os.read(terminal, 65536):
            written += piece
    except OSError:  # how Linux reports that the other end was closed
        pass
    _, status = os.waitpid(pid, 0)
    if status:
        sys.exit(f"{' '.join(COMMAND)}: exit code {os.waitstatus_to_exitcode(status)}")
    return written.decode()


def visible_lines(written: str) -> list[str]:
    """Return the lines that are left when lines that were drawn over are gone."""
    lines, at = [""], 0
    for piece in _CONTROL.split(written):
        if piece in {"\n", "\r\n"}:
            at += 1
            lines += [""] * (at == len(lines))
        elif piece == "\x1b[2K":
            lines[at] = ""
        elif piece.endswith("A") and piece.startswith("\x1b["):
            at -= int(piece[2:-1] or 1)
        elif piece != "\r" and not piece.startswith("\x1b[?"):
            lines[at] += piece
    return lines


def draw(lines: list[str]) -> str:
    """Return lines with colors as an SVG without fonts or anything else from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(f"$ {' '.join(COMMAND)}", style="bold", highlight=False)
    console.print(Text.from_ansi("\n".join(lines).strip()))
    return console.export_svg(
        title=" ".join(COMMAND),
        theme=MONOKAI,
        code_format=_FONTS.sub("", CONSOLE_SVG_FORMAT),
        unique_id="demo",
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        shown = visible_lines(run_in_terminal(scratch))
    PICTURE.write_text(draw(shown), encoding="utf-8")
    print("\n".join(shown))
