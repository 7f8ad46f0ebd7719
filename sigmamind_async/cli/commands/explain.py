"""``sigmamind explain``: the guide, and what it says about one name.

A topic is a page, or a section by its heading: words such as "saved plans", or names in code, which
are an error, a state, an option, an exit code, a command, a variable, a column or a type of JSON
object.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from sigmamind_async.cli.errors import CommandError
from sigmamind_async.errors import normalize_word, suggest

GUIDE: Final = Path(__file__).parents[2] / "docs"
SECTIONS: Final = {
    "tutorials": "Tutorials",
    "how-to": "How to",
    "recipes": "Recipes",
    "reference": "Reference",
    "explanation": "Explanation",
}
"""The guide's folders, in the order of the list, with their titles."""

_HEADING: Final = re.compile(r"^(##+) (.+)$")
_NAMES: Final = re.compile(r"(`[^`]+`)(, `[^`]+`)*")
_LINK: Final = re.compile(r"\[([^\]]+)\]\((?:[\w./-]*/)?([\w-]+)\.md(?:#[\w-]+)?\)")


def explain(
    *topic: Annotated[str, Parameter(allow_leading_hyphen=True)],
) -> None:
    """Show what the guide says about *topic*: rendered on a terminal, as Markdown elsewhere.

    Args:
        topic: A page, an error, a state, an option, an exit code or a command.
    """
    text = _find(" ".join(topic).partition("=")[0]) if topic else _list_of_pages()
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(text))
    else:
        print(text.rstrip())


def page_names() -> list[str]:
    """Return the names of all pages, in the order of the list."""
    return [path.stem for folder in SECTIONS for path in sorted((GUIDE / folder).glob("*.md"))]


def read_page(name: str) -> str:
    """Return a page; where it links to another one, the command that shows that one."""
    [path] = GUIDE.glob(f"*/{name}.md")
    return _LINK.sub(r"\1 (`sigmamind explain \2`)", path.read_text(encoding="utf-8"))


def _find(topic: str) -> str:
    """Return the page or the sections that *topic* names."""
    pages = {normalize_word(name): name for name in page_names()}
    word = _key(topic)
    if word in pages:
        return read_page(pages[word])
    known, found = dict.fromkeys(pages.values()), list[str]()
    for name in pages.values():
        for names, section in _sections(read_page(name)):
            known |= dict.fromkeys(names)
            if word in map(_key, names):
                found.append(f"{section}\n\nFrom `sigmamind explain {name}`.")
    # What is called so comes before what is only about it.
    found = [section for section in found if re.match("#+ `", section)] or found
    if not found:
        hint = suggest(topic, known)
        if not hint.startswith("; did you mean"):
            hint = "; sigmamind explain lists its pages"
        raise CommandError(f"the guide has nothing about {topic!r}{hint}", page="")
    return "\n\n---\n\n".join(found)


def _key(name: str) -> str:
    return normalize_word(name.removeprefix("sigmamind "))


def _sections(text: str) -> Iterator[tuple[list[str], str]]:
    """Yield each section: its heading, or the names in code that this consists of, and its text."""
    lines, in_code = text.splitlines(), False
    headings: list[tuple[int, int, str]] = []
    for index, line in enumerate(lines):
        in_code ^= line.startswith("```")
        if not in_code and (heading := _HEADING.match(line)):
            headings.append((index, len(heading[1]), heading[2]))
    for index, level, title in headings:
        ends = (below for below, other, _ in headings if below > index and other <= level)
        section = "\n".join(lines[index : next(ends, len(lines))]).strip()
        names = re.findall("`([^`]+)`", title) if _NAMES.fullmatch(title) else [title]
        yield names, section


def _list_of_pages() -> str:
    names = page_names()
    lines = ["# Guide", "", "Show a page with `sigmamind explain PAGE`."]
    for folder, title in SECTIONS.items():
        lines += ["", f"## {title}", ""]
        for name in names:
            if (GUIDE / folder / f"{name}.md").exists():
                _, summary, *_ = read_page(name).split("\n\n")
                lines.append(f"- `{name}`: {' '.join(summary.split())}")
    lines += [
        "",
        "An error, a state, an option, an exit code or a command is explained by its name:",
    ]
    lines += ["`sigmamind explain OutcomeUnknownError`, `sigmamind explain --settle-time`."]
    return "\n".join(lines)
