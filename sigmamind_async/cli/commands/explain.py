"""``sigmamind explain``: the guide."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from sigmamind_async.cli.errors import CommandError
from sigmamind_async.errors import suggest

GUIDE: Final = Path(__file__).parents[2] / "docs"


def explain(
    page: Annotated[str | None, Parameter(help="Name of the page, such as fleet-files.")] = None,
    /,
) -> None:
    """Show *page*: rendered on a terminal, as Markdown anywhere else."""
    text = _list_of_pages() if page is None else _read_page(page)
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(text))
    else:
        print(text.rstrip())


def page_names() -> list[str]:
    """Return the names of all pages."""
    return sorted(path.stem for path in GUIDE.glob("*.md"))


def _read_page(name: str) -> str:
    if name not in page_names():
        raise CommandError(f"the guide has no page {name!r}{suggest(name, page_names())}")
    return (GUIDE / f"{name}.md").read_text(encoding="utf-8")


def _list_of_pages() -> str:
    lines = ["# Guide", "", "Show a page with `sigmamind explain PAGE`.", ""]
    for name in page_names():
        _, summary, *_ = _read_page(name).split("\n\n")
        lines.append(f"- `{name}`: {' '.join(summary.split())}")
    return "\n".join(lines)
