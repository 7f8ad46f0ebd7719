"""Every Python example of the README and the guide runs as it stands, against the sandbox."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sigmamind_async.sandbox import Sandbox, SandboxThread, Switches
from tests.harness import preloaded

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
GUIDE = ROOT / "sigmamind_async/docs"
PAGES = [README, *(each for each in sorted(GUIDE.rglob("*.md")) if each.parent.name != "recipes")]
EXAMPLES = [
    program
    for page in PAGES
    for program in re.findall(
        r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
]
FLEET = re.findall(
    r"^```csv\n(.*?)^```$",
    (GUIDE / "how-to/plans.md").read_text("utf-8"),
    re.MULTILINE | re.DOTALL,
)


def run(
    program: str, folder: Path, box: Sandbox, database: str = ""
) -> subprocess.CompletedProcess[str]:
    (folder / "fleet.csv").write_text(*FLEET)
    environment = {
        f"{name}_{word}": value
        for name, end in [("SIGMAMIND", box.sigmamind), ("VERBEX", box.verbex)]
        for word, value in [("API_KEY", end.api_key), ("BASE_URL", end.base_url)]
    } | {"TRUNK_PASSWORD": "made-up", "DATABASE_URL": database}
    return preloaded.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("program", EXAMPLES)
def test_an_example_runs_as_it_stands(
    program: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """What a reader copies works."""
    needs_database = "DATABASE_URL" in program
    database = request.getfixturevalue("postgres").dsn() if needs_database else ""
    with SandboxThread(seed=1) as box:
        done = run(program, tmp_path, box, database)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert done.stderr == ""


def test_the_first_example_runs_where_numbers_are_integers(tmp_path: Path) -> None:
    """As older copies of the documentation print them: what was bought can be changed."""
    with SandboxThread(seed=1, switches=Switches(numeric_numbers=True)) as box:
        done = run(EXAMPLES[0], tmp_path, box)

    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\+1\d{10}\n", done.stdout)


def test_every_block_is_run_or_checked_somewhere() -> None:
    """By its language: what no test reads may be wrong."""
    checked = {"python", "python pytest", "sh", "csv", "jsonl", "yaml", "mermaid", "text"}
    checked |= {"yaml manifest", "yaml workflow", "toml", "bash script"}
    for page in [README, *GUIDE.rglob("*.md")]:
        fences = re.findall(r"^```(.*)$", page.read_text("utf-8"), re.MULTILINE)
        assert set(fences[::2]) <= checked, page
        assert set(fences[1::2]) <= {""}, page


def test_every_profile_is_toml() -> None:
    for page in GUIDE.rglob("*.md"):
        for text in re.findall(r"(?ms)^```toml\n(.*?)^```$", page.read_text("utf-8")):
            assert all(isinstance(each, dict) for each in tomllib.loads(text).values())


def test_the_readme_is_short() -> None:
    """At most 900 words of prose: the guide has the rest."""
    prose = re.sub(r"(?ms)^```.*?^```$|^\|.*?$|\]\(.*?\)", "", README.read_text("utf-8"))

    assert len(prose.split()) <= 900


def test_every_link_of_the_readme_is_there() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", README.read_text("utf-8"))

    assert len(targets) > 20
    pages = {page for page, _, _ in (each.partition("#") for each in targets)}
    assert [each for each in pages if not (ROOT / each).exists()] == []


def test_a_broken_example_would_be_found(tmp_path: Path) -> None:
    """The negative control: a name that is not there."""
    broken = EXAMPLES[0].replace("phone_numbers.create", "phone_numbers.purchase")

    with SandboxThread(seed=1) as box:
        done = run(broken, tmp_path, box)

    assert done.returncode != 0
