"""The guide as a site: the Markdown of `sigmamind_async/docs`, and the API from the docstrings.

``poe docs`` builds it, with every warning an error and without the network.
"""

import inspect
import os
import re
import sys
from importlib import import_module
from pathlib import Path

from pygments.lexers import JsonLexer, TextLexer
from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from sigmamind_async.cli.app import installed_version  # noqa: E402 - this checkout

project = "sigmamind_async"
author = copyright = "sigmamind_async contributors"  # noqa: A001
release = version = installed_version()

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinxcontrib.mermaid",
]

# Pages are plain Markdown, which the terminal and code hosts show as well.
myst_heading_anchors = 3
myst_fence_as_directive = ["mermaid"]

autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    "undoc-members": True,
    "exclude-members": "platform, operations",
    "member-order": "bysource",
}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
default_role = "py:obj"
suppress_warnings = ["ref.python"]  # a word in code that several classes have as an attribute

# Other projects' names are links only where their inventories may be fetched.
intersphinx_mapping = (
    {
        "python": ("https://docs.python.org/3", None),
        "aiohttp": ("https://docs.aiohttp.org/en/stable", None),
        "attrs": ("https://www.attrs.org/en/stable", None),
        "tenacity": ("https://tenacity.readthedocs.io/en/stable", None),
    }
    if os.environ.get("INTERSPHINX")
    else {}
)

html_theme = "furo"
html_title = f"sigmamind-async {release}"
html_copy_source = False


class Plain:
    """In place of `Annotated` in the models: a reader of a signature needs no wire names."""

    def __class_getitem__(cls, parts: tuple[object, ...]) -> object:
        return parts[0]


for platform in ("sigmamind", "verbex", "dialnexa"):
    vars(import_module(f"sigmamind_async.platforms.{platform}.models"))["Annotated"] = Plain


def shorten_signature(
    _app: Sphinx, _what: str, _name: str, value: type, _options: object, shown: str, returns: str
) -> tuple[str, str] | None:
    """Leave the types out of a model's signature; its attributes below have them."""
    if "Annotated[" not in (shown or ""):
        return None
    parameters = inspect.signature(value).parameters.values()
    return f"(*, {', '.join(each.name for each in parameters)})", returns


def hide_colons(
    _app: Sphinx, what: str, _name: str, _value: object, _options: object, lines: list[str]
) -> None:
    """Keep napoleon from taking what is before a colon for the type of an attribute.

    An indented paragraph of a module's docstring is code or a table.
    """
    if what == "module":
        text = re.sub(r"(?m)(?<=\n\n)(?=    )", "::\n\n", "\n".join(lines))
        lines[:] = text.splitlines()
    if what in {"attribute", "property"}:
        lines[:] = [line.replace(": ", COLON) for line in lines]


def show_colons(
    _app: Sphinx, what: str, _name: str, value: object, _options: object, lines: list[str]
) -> None:
    """Undo `hide_colons`; drop what Python says about the type of a constant."""
    if what == "data" and "\n".join(lines).strip() == inspect.getdoc(type(value)):
        lines.clear()
    lines[:] = [line.replace(COLON, ": ") for line in lines]


COLON = "\N{RATIO} "


def setup(app: Sphinx) -> None:
    """Name lexers for the languages of the guide that Pygments calls otherwise."""
    app.add_lexer("csv", TextLexer)
    app.add_lexer("jsonl", JsonLexer)
    app.connect("autodoc-process-signature", shorten_signature)
    app.connect("autodoc-process-docstring", hide_colons, priority=100)
    app.connect("autodoc-process-docstring", show_colons, priority=900)
