"""The architecture: imports point down, and every wall that the design draws stands.

A module's place is read from ``FLOORS`` and the tables beside it. Every import counts: at the top,
inside a function, under ``TYPE_CHECKING``, or by name through ``import_module``. The checkers are
plain functions from source text to complaints, so that each can be shown a violation on purpose.
"""

import ast
import functools
import gc
import graphlib
import importlib
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path, PurePosixPath

import attrs
import pytest

import sigmamind_async

ROOT = Path(__file__).parents[2]
PACKAGE = "sigmamind_async"

FLOORS = {
    "errors": 0,
    "hints": 0,
    "values": 0,
    "compiled": 0,
    "convert": 1,
    "events": 1,
    "operation": 1,
    "paging": 1,
    "per_loop": 1,
    "rowfiles": 1,
    "responses": 1,
    "secret_references": 1,
    "webhook_signatures": 1,
    "credentials": 2,
    "limiter": 2,
    "request_options": 2,
    "retry": 2,
    "transport": 2,
    "engine": 3,
    "bulk": 4,
    "client": 5,
    "platforms": 6,
    "provisioning": 7,
    "fleet": 8,
    "sync": 8,
    "workers": 8,
    "cli": 9,
    "__main__": 10,
}
"""Where each module or folder directly under the package lives; imports go to a lower number."""

SHARED_FLOOR = 2
"""Up to here modules of one floor may import one another, as long as there is no cycle."""

TOWERS = {"sandbox", "testing", "integrations"}
"""Beside the floors, each with a rule of its own."""

VENDOR_FLOORS = {"models": 0, "webhooks": 0, "operations": 1, "client": 2, "verification": 3}
"""Inside ``platforms/<vendor>``; the first two see nothing above ``PURE_FLOOR``."""

PURE_FLOOR = 1

_VENDOR = re.compile("^(sigmamind|verbex|dialnexa)(?=[.]py$|$)")

MOST_ROOT_MODULES = 18

HIGHEST = {"core": 18, "whole": 28}
"""Modules in the longest chain of imports: of the library without its towers on top, and of all."""

SHARED = frozenset({"_", "__dir__", "__getattr__"})
"""What any module may define: an arm of a single dispatch, a lazy import."""

VISIBLE = {
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "benchmarks",
    "pyproject.toml",
    PACKAGE,
    "tests",
}
"""What a visitor sees at the top of the repository, beside dot entries."""

Tree = Mapping[str, str]
"""Source text by path, such as ``sigmamind_async/platforms/verbex/models.py``."""


# ---------------------------------------------------------------- reading


@attrs.frozen
class Import:
    """One imported name: who, whom, and where it is written."""

    importer: str
    target: str
    line: int
    deferred: bool
    """Inside a function, so that it runs only when that is called."""

    def complain(self, why: str) -> str:
        return f"{self.importer}, line {self.line}: imports {self.target}: {why}"


def read_tree(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted((root / PACKAGE).rglob("*.py"))
    }


def module_name(path: str) -> str:
    parts = PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(tree: Tree) -> list[Import]:
    modules = frozenset(module_name(path) for path in tree)
    return [found for path, text in tree.items() for found in _imports_in(path, text, modules)]


@functools.cache  # one walk over the package serves all checkers
def _imports_in(path: str, text: str, modules: frozenset[str]) -> list[Import]:
    importer = module_name(path)
    parts = PurePosixPath(path).with_suffix("").parts
    return [
        Import(importer, target, node.lineno, deferred)
        for node, deferred in _walk(ast.parse(text, filename=path), deferred=False)
        for target in _targets(node, parts, modules)
    ]


def _walk(node: ast.AST, *, deferred: bool) -> Iterator[tuple[ast.stmt | ast.expr, bool]]:
    inside = deferred or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.expr):
            yield child, inside
        yield from _walk(child, deferred=inside)


def _targets(node: ast.AST, parts: tuple[str, ...], modules: frozenset[str]) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            # One dot is the folder of the file, each further one its parent.
            base = ".".join((*parts[: len(parts) - level if level else 0], *filter(None, [module])))
            return [_defining_module(base, alias.name, modules) for alias in names]
        case ast.Call(
            func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            return [name]
        case _:
            return []


def _defining_module(base: str, name: str, modules: frozenset[str]) -> str:
    """Tell ``from package import module`` from ``from module import name``."""
    full = f"{base}.{name}"
    return base if _ours(base) and full not in modules else full


def _ours(module: str) -> bool:
    return f"{module}.".startswith(f"{PACKAGE}.")


def tower(module: str) -> str:
    """Return the first part below the package, empty for the package itself."""
    return (*module.split("."), "")[1]


# ---------------------------------------------------------------- checkers


def modules_without_a_place(tree: Tree) -> list[str]:
    known = FLOORS.keys() | TOWERS | {""}
    names = {module_name(path) for path in tree}
    strangers = [name for name in names if tower(name) not in known]
    strangers += [name for name in names if (inner := _inner(name)) and inner[1] is None]
    return [f"{name}: has no floor; give it one in test_layout.py" for name in sorted(strangers)]


def imports_that_do_not_point_down(tree: Tree) -> list[str]:
    ours = [found for found in imports_of(tree) if _ours(found.target)]
    return [found.complain(why) for found in ours if (why := _why_forbidden(found))]


def _why_forbidden(found: Import) -> str | None:
    source, target = tower(found.importer), tower(found.target)
    if source == "":
        behind = target in TOWERS | {"cli", "__main__"}
        return "the package re-exports the library alone" if behind else None
    if target == "":
        return "import the module that defines the name, not the package"
    if source == target:
        return _why_forbidden_in_platforms(found) if source == "platforms" else None
    return _why_forbidden_between(found, source, target)


def _why_forbidden_between(found: Import, source: str, target: str) -> str | None:
    if source == "sandbox":
        # What speaks the client's language stands in `testing`; the sandbox only hands it out.
        hands_out = found.target == f"{PACKAGE}.testing.sandbox_transport"
        if hands_out and found.importer == f"{PACKAGE}.sandbox.server":
            return None
        return None if target == "values" else "the sandbox shares nothing but values"
    if target == "sandbox":
        return None if _may_use_sandbox(found) else "only testing and two commands use the sandbox"
    if target == "testing":
        return None if source == "integrations" else "testing is for tests"
    if source in {"testing", "integrations"}:
        return "testing does not use the command line" if target in {"cli", "__main__"} else None
    if source not in FLOORS or target not in FLOORS:  # which modules_without_a_place reports
        return None
    return _why_not_down(found, FLOORS[source], FLOORS[target])


def _why_not_down(found: Import, above: int, below: int) -> str | None:
    if _pure(found.importer) and below > PURE_FLOOR:
        return f"models and operations see floor {PURE_FLOOR} and below"
    if below > above:
        return f"points up, from floor {above} to {below}"
    if below == above > SHARED_FLOOR:
        return f"both are on floor {above}"
    return None


def _may_use_sandbox(found: Import) -> bool:
    """Return whether the server is loaded only where it is the point."""
    command = ".cli.demo." in found.importer or found.importer.endswith(".commands.sandbox")
    return tower(found.importer) in {"testing", "integrations"} or (
        tower(found.importer) == "cli" and (command or found.deferred)
    )


def _why_forbidden_in_platforms(found: Import) -> str | None:
    source, target = _inner(found.importer), _inner(found.target)
    if source is None:  # the folder itself re-exports
        return None
    if target is None:
        return "import the vendor's module that defines the name"
    if source[0] != target[0]:
        return "vendors never import one another"
    if source[1] is None or target[1] is None or target[1] <= source[1]:
        return None
    return "inside a vendor: models, then operations, then client"


def _inner(module: str) -> tuple[str, int | None] | None:
    """Return vendor and floor inside it: None outside the vendors, a None floor if unlisted."""
    parts = module.split(".")[1:]
    if parts[:1] != ["platforms"] or len(parts) == 1:
        return None
    own_front = max(VENDOR_FLOORS.values()) + 1
    return parts[1], own_front if len(parts) == 2 else VENDOR_FLOORS.get(parts[2])


def _pure(module: str) -> bool:
    inner = _inner(module)
    return inner is not None and inner[1] in {VENDOR_FLOORS["models"], VENDOR_FLOORS["operations"]}


def import_cycles(tree: Tree) -> list[str]:
    graph: dict[str, set[str]] = {}
    for found in imports_of(tree):
        if _ours(found.target):
            graph.setdefault(found.importer, set()).add(found.target)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return ["import cycle: " + " <- ".join(error.args[1])]
    return []


def height(tree: Tree, *, without: frozenset[str] = frozenset()) -> int:
    """Return the length of the longest chain of imports; towers in *without* are left out."""
    names = {module_name(path) for path in tree} - {PACKAGE}  # which re-exports, lazily
    names = {name for name in names if tower(name) not in without}
    graph: dict[str, set[str]] = {name: set() for name in names}
    for found in imports_of(tree):
        if found.importer in names and found.target in names:
            graph[found.importer].add(found.target)
    heights: dict[str, int] = {}
    for name in graphlib.TopologicalSorter(graph).static_order():
        heights[name] = 1 + max((heights[below] for below in graph[name]), default=0)
    return max(heights.values())


def names_of_too_many_things(tree: Tree) -> list[str]:
    """Find top-level classes and functions that more than two modules define, but for `SHARED`.

    What the vendors repeat on purpose, one shape three times, counts once.
    """
    homes: dict[str, set[str]] = {}
    for path, text in tree.items():
        home = "/".join(_VENDOR.sub("*", part) for part in path.split("/"))
        for node in ast.parse(text, filename=path).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                homes.setdefault(node.name, set()).add(home)
    return [
        f"{name} is defined in {', '.join(sorted(paths))}: say what each of them is"
        for name, paths in sorted(homes.items())
        if len(paths) > 2 and name not in SHARED
    ]


def too_many_root_modules(tree: Tree) -> list[str]:
    """Find more modules directly under the package than a reader takes in at a glance."""
    roots = [path for path in tree if path.count("/") == 1 and "__" not in path]
    return [f"{len(roots)} modules at the root"] if len(roots) > MOST_ROOT_MODULES else []


def more_than_one_exec(tree: Tree) -> list[str]:
    """Find source that is made while running, but for one place, which says what it is worth."""
    calls = [
        f"{path}, line {node.lineno}"
        for path, text in tree.items()
        for node in ast.walk(ast.parse(text, filename=path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"exec", "eval"}
    ]
    return calls[1:]


def misplaced_aiohttp(tree: Tree) -> list[str]:
    """Find uses of aiohttp outside its two homes: the transport, and the sandbox's server."""
    complaints = []
    for found in imports_of(tree):
        if not f"{found.target}.".startswith("aiohttp."):
            continue
        home = "sandbox" if f"{found.target}.".startswith("aiohttp.web.") else "transport"
        if tower(found.importer) != home:
            complaints.append(found.complain(f"only {home} may"))
    return complaints


def logic_in_front_doors(tree: Tree) -> list[str]:
    return [
        f"{path}, line {statement.lineno}: an __init__ only re-exports"
        for path, text in tree.items()
        if path.endswith("__init__.py")
        for statement in ast.parse(text, filename=path).body
        if not _re_exports(statement, lazily=path == f"{PACKAGE}/__init__.py")
    ]


def _re_exports(statement: ast.stmt, *, lazily: bool) -> bool:
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case ast.ImportFrom() | ast.Import():
            return not lazily or not any(_ours(name) or name == "" for name in _bases(statement))
        case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=[]):
            return all(isinstance(inner, ast.ImportFrom) for inner in statement.body)
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=value)
            | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
        ):
            return name.startswith("_") and _constant(value)
        case ast.AnnAssign(target=ast.Name(id="__version__"), value=None):  # for type checkers
            return True
        case ast.FunctionDef(name=name):
            return name in {"__getattr__", "__dir__"}
        case ast.Try(handlers=[ast.ExceptHandler(type=ast.Name(id="ImportError"))]):
            # An extra guards its import and says how to install it.
            return not lazily and all(isinstance(inner, ast.ImportFrom) for inner in statement.body)
        case _:
            return False


def _bases(statement: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    return ["" if statement.level else statement.module or ""]


def _constant(value: ast.expr) -> bool:
    """Return whether *value* is a literal, or a table rearranged by a comprehension."""
    calls = [node.func for node in ast.walk(value) if isinstance(node, ast.Call)]
    return all(isinstance(call, ast.Attribute) and call.attr == "items" for call in calls)


def untidy_exports(tree: Tree) -> list[str]:
    """Compare each ``__all__`` with its own order and with the names that the file imports."""
    complaints = []
    for path, text in tree.items():
        if not path.endswith("__init__.py"):
            continue
        listed, imported = _exports(ast.parse(text, filename=path))
        if listed != sorted(set(listed)):
            complaints.append(f"{path}: __all__ is not in the order of sorted()")
        if odd := imported ^ {name for name in listed if not name.startswith("_")}:
            complaints.append(f"{path}: imports and __all__ differ in {', '.join(sorted(odd))}")
    return complaints


def _exports(module: ast.Module) -> tuple[list[str], set[str]]:
    listed: list[str] = []
    imported: set[str] = set()
    for node in ast.walk(module):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id="__all__")], value=value)
                | ast.AnnAssign(target=ast.Name(id="__all__"), value=ast.expr() as value)
            ):
                listed = list(ast.literal_eval(value))
            case ast.ImportFrom(module=base, level=level) if level or _ours(base or ""):
                imported |= {alias.asname or alias.name for alias in node.names}
            case _:
                pass
    return listed, imported


def unexpected_at_the_top(names: set[str]) -> list[str]:
    return sorted(name for name in names - VISIBLE if not name.startswith("."))


def top_level(root: Path) -> set[str]:
    """List what belongs to the repository at *root*: not what git ignores."""
    command = ["git", "-C", str(root), "ls-files", "-z", "-co", "--exclude-standard"]
    try:
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):  # no git, or an unpacked archive
        return {path.name for path in root.iterdir()}
    return {path.split("/")[0] for path in listed.split("\0") if path}


# ---------------------------------------------------------------- the package as it is


@pytest.fixture(autouse=True)
def _uncollected() -> Iterator[None]:
    """CPython 3.11 fails to parse while its garbage collector closes a test's coroutine."""
    gc.disable()
    yield
    gc.enable()


CHECKERS: list[Callable[[Tree], list[str]]] = [
    modules_without_a_place,
    imports_that_do_not_point_down,
    import_cycles,
    misplaced_aiohttp,
    logic_in_front_doors,
    untidy_exports,
    names_of_too_many_things,
    too_many_root_modules,
    more_than_one_exec,
]


@pytest.mark.parametrize("checker", CHECKERS)
def test_the_package_keeps(checker: Callable[[Tree], list[str]]) -> None:
    assert checker(read_tree(ROOT)) == []


def test_no_chain_of_imports_is_long() -> None:
    """A module is understood once those below it are: their chain is what a reader climbs."""
    tree = read_tree(ROOT)
    top = frozenset({"cli", "fleet", "sandbox", "__main__"})

    assert height(tree, without=top) <= HIGHEST["core"]
    assert height(tree) <= HIGHEST["whole"]


def test_the_package_was_read() -> None:
    """The control: an empty tree would pass every check."""
    found = {(each.importer, each.target) for each in imports_of(read_tree(ROOT))}

    assert ("sigmamind_async.transport.aiohttp_transport", "aiohttp") in found
    assert len(found) > 100


def test_nothing_else_is_visible_at_the_top() -> None:
    assert unexpected_at_the_top(top_level(ROOT)) == []


def test_the_package_gives_exactly_what_it_lists() -> None:
    given = {name: getattr(sigmamind_async, name) for name in sigmamind_async.__all__}

    assert all(value is not None for value in given.values())
    assert sorted(n for n in dir(sigmamind_async) if not n.startswith("_")) == sorted(
        n for n in given if not n.startswith("_")
    )


def test_the_package_refuses_other_names() -> None:
    with pytest.raises(AttributeError, match="SigmaMynd"):
        _ = getattr(sigmamind_async, "SigmaMynd")  # noqa: B009 - a type checker knows it is not there


def test_a_given_name_is_the_one_its_module_defines() -> None:
    errors = importlib.import_module("sigmamind_async.errors")

    assert sigmamind_async.SigmaMindError is errors.SigmaMindError


def test_the_version_has_one_source() -> None:
    """``pyproject.toml`` says it; a copy in the package would drift."""
    literal = f'"{version("sigmamind-async")}"'

    assert [path for path, text in read_tree(ROOT).items() if literal in text] == []


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / PACKAGE / "py.typed").is_file()


# ---------------------------------------------------------------- each wall, pushed on purpose

FRONT_DOOR = '''"""The front door."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sigmamind_async.client import Client
    from sigmamind_async.errors import SigmaMindError

_MODULES = {"Client": "client", "SigmaMindError": "errors"}
__all__ = ["Client", "SigmaMindError"]


def __getattr__(name: str) -> object:
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
'''

SOUND = {
    "__init__.py": FRONT_DOOR,
    "__main__.py": "from sigmamind_async.cli import main",
    "errors.py": "from sigmamind_async.values import Secret",
    "values.py": "import re",
    "operation.py": "from . import errors, values",
    "transport.py": "import aiohttp\nfrom sigmamind_async.operation import Request",
    "engine.py": "from .transport import Transport",
    "client.py": "from sigmamind_async import engine",
    "platforms/__init__.py": '"""Three vendors."""',
    "platforms/verbex/__init__.py": '__all__ = ["Verbex"]\nfrom .client import Verbex',
    "platforms/verbex/models.py": "from sigmamind_async.values import Secret",
    "platforms/verbex/operations.py": "from ...operation import Operation\nfrom . import models",
    "platforms/verbex/client.py": "from ...client import Client\nfrom .operations import create",
    "platforms/dialnexa/models.py": "from sigmamind_async.values import Secret",
    "fleet/plan.py": "from sigmamind_async.platforms.verbex.models import Number",
    "workers/tasks.py": "import procrastinate",
    "cli/__init__.py": (
        "try:\n    from .app import main\n"
        "except ImportError:\n    raise SystemExit('pip install') from None\n"
        '__all__ = ["main"]'
    ),
    "cli/app.py": "def run():\n    from sigmamind_async.sandbox.server import Sandbox",
    "cli/demo/local.py": "from sigmamind_async.sandbox.server import Sandbox",
    "sandbox/server.py": "from aiohttp import web\nfrom sigmamind_async.values import E164",
    "testing/clock.py": "from sigmamind_async.fleet import plan\nfrom ..sandbox import server",
}
"""A small package with one of each kind, in which nothing is wrong."""


def planted(root: Path, path: str, text: str) -> dict[str, str]:
    """Write the sound package with one file changed, and read it back."""
    for name, source in {**SOUND, path: text}.items():
        file = root / PACKAGE / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")
    return read_tree(root)


@pytest.mark.parametrize("checker", CHECKERS)
def test_a_sound_package_passes(checker: Callable[[Tree], list[str]], tmp_path: Path) -> None:
    assert checker(planted(tmp_path, "values.py", SOUND["values.py"])) == []


@pytest.mark.parametrize("path", ["helpers.py", "platforms/verbex/helpers.py"])
def test_a_module_without_a_floor_is_found(path: str, tmp_path: Path) -> None:
    [complaint] = modules_without_a_place(planted(tmp_path, path, ""))

    assert "helpers: has no floor" in complaint


@pytest.mark.parametrize(
    ("path", "text", "why"),
    [
        ("errors.py", "from sigmamind_async.operation import Request", "points up"),
        ("errors.py", "import sigmamind_async.operation", "points up"),
        ("errors.py", "from .operation import Request", "points up"),
        ("errors.py", "from . import operation", "points up"),
        ("errors.py", "def f():\n    from . import operation", "points up"),
        ("errors.py", "if TYPE_CHECKING:\n    from . import operation", "points up"),
        ("errors.py", "f(lambda: import_module('sigmamind_async.operation'))", "points up"),
        ("errors.py", "import importlib as i\ni.import_module('sigmamind_async.cli')", "points up"),
        ("errors.py", "from sigmamind_async import Client", "not the package"),
        ("engine.py", "from sigmamind_async.platforms.verbex.models import N", "points up"),
        ("workers/tasks.py", "from sigmamind_async.fleet import plan", "both are on floor"),
        ("__init__.py", "from sigmamind_async.cli import main", "re-exports the library alone"),
        ("platforms/verbex/models.py", "from . import operations", "inside a vendor"),
        ("platforms/verbex/models.py", "from . import VENDOR", "inside a vendor"),
        ("platforms/verbex/operations.py", "from .client import V", "inside a vendor"),
        ("platforms/verbex/operations.py", "from ...engine import run", "models and operations"),
        ("platforms/verbex/models.py", "from ..dialnexa.models import N", "one another"),
        ("platforms/verbex/client.py", "from .. import VENDORS", "that defines the name"),
        ("sandbox/server.py", "from sigmamind_async.errors import E", "nothing but values"),
        ("engine.py", "from sigmamind_async.sandbox import server", "two commands"),
        ("cli/app.py", "from sigmamind_async.sandbox import server", "two commands"),
        ("cli/app.py", "from sigmamind_async.testing import clock", "testing is for tests"),
        ("testing/clock.py", "from sigmamind_async.cli import app", "command line"),
    ],
)
def test_a_forbidden_import_is_found(path: str, text: str, why: str, tmp_path: Path) -> None:
    [complaint] = imports_that_do_not_point_down(planted(tmp_path, path, text))

    assert module_name(f"{PACKAGE}/{path}") in complaint
    assert why in complaint


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("values.py", "from sigmamind_async.errors import SigmaMindError"),
        ("values.py", "def f():\n    from . import errors"),
        ("platforms/verbex/models.py", "from sigmamind_async.platforms.verbex import Verbex"),
    ],
)
def test_a_cycle_is_found(path: str, text: str, tmp_path: Path) -> None:
    [complaint] = import_cycles(planted(tmp_path, path, text))

    assert module_name(f"{PACKAGE}/{path}") in complaint


@pytest.mark.parametrize(
    ("path", "text", "home"),
    [
        ("engine.py", "import aiohttp", "transport"),
        ("engine.py", "from aiohttp import ClientSession", "transport"),
        ("engine.py", "def f():\n    import aiohttp.client_exceptions", "transport"),
        ("sandbox/server.py", "from aiohttp import ClientSession", "transport"),
        ("transport.py", "from aiohttp import web", "sandbox"),
        ("cli/demo/local.py", "from aiohttp.web import Application", "sandbox"),
    ],
)
def test_a_misplaced_aiohttp_is_found(path: str, text: str, home: str, tmp_path: Path) -> None:
    [complaint] = misplaced_aiohttp(planted(tmp_path, path, text))

    assert f"only {home} may" in complaint


def test_a_longer_chain_of_imports_is_found() -> None:
    files = {f"{PACKAGE}/a.py": "", f"{PACKAGE}/cli/b.py": f"from {PACKAGE} import a"}

    assert height(files) == 2
    assert height(files, without=frozenset({"cli"})) == 1
    assert height(files | {f"{PACKAGE}/c.py": f"from {PACKAGE}.cli.b import name"}) == 3


def test_a_name_of_three_things_is_found() -> None:
    """What each vendor has once is one thing."""
    vendors = ("verbex", "dialnexa", "sigmamind")
    files = {f"{PACKAGE}/platforms/{each}/models.py": "class Number: ..." for each in vendors}
    files[f"{PACKAGE}/engine.py"] = "class Number: ..."
    assert names_of_too_many_things(files) == []

    files[f"{PACKAGE}/cli/app.py"] = "def Number(): ..."
    [complaint] = names_of_too_many_things(files)
    assert f"Number is defined in {PACKAGE}/cli/app.py" in complaint


def test_a_crowded_root_is_found() -> None:
    files = {f"{PACKAGE}/module{number}.py": "" for number in range(MOST_ROOT_MODULES)}
    assert too_many_root_modules({**files, f"{PACKAGE}/__init__.py": ""}) == []

    assert len(too_many_root_modules({**files, f"{PACKAGE}/more.py": ""})) == 1


def test_a_second_exec_is_found() -> None:
    files = {f"{PACKAGE}/a.py": "exec('pass')"}
    assert more_than_one_exec(files) == []

    assert len(more_than_one_exec({**files, f"{PACKAGE}/b.py": "eval('1')"})) == 1


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("__init__.py", "from sigmamind_async.errors import SigmaMindError"),
        ("__init__.py", "from .errors import SigmaMindError"),
        ("__init__.py", "_CLIENT = make()"),
        ("__init__.py", "TIMEOUT = 3"),
        ("__init__.py", "def connect(): ..."),
        ("__init__.py", "class Client: ..."),
        ("__init__.py", "print('hello')"),
        ("cli/__init__.py", "def main(): ..."),
    ],
)
def test_logic_in_a_front_door_is_found(path: str, line: str, tmp_path: Path) -> None:
    tree = planted(tmp_path, path, f"{SOUND[path]}\n{line}\n")

    assert len(logic_in_front_doors(tree)) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('__all__ = ["b", "a"]\nfrom .app import a, b', "order of sorted"),
        ('__all__ = ["a", "a"]\nfrom .app import a', "order of sorted"),
        ('__all__ = ["a"]\nfrom .app import a, b', "differ in b"),
        ('__all__ = ["a", "b"]\nfrom .app import a', "differ in b"),
        ("if TYPE_CHECKING:\n    from .app import a", "differ in a"),
    ],
)
def test_untidy_exports_are_found(text: str, why: str, tmp_path: Path) -> None:
    [complaint] = untidy_exports(planted(tmp_path, "cli/__init__.py", text))

    assert why in complaint


def test_a_stranger_at_the_top_is_found(tmp_path: Path) -> None:
    for name in (".github", "README.md", "docs", "setup.py"):
        (tmp_path / name).mkdir()

    assert unexpected_at_the_top(top_level(tmp_path)) == ["docs", "setup.py"]
