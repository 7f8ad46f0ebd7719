"""What a release is made of: equal builds, a small wheel, pinned workflows, no silent break."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import sigmamind_async

ROOT = Path(__file__).parents[2]
BUILT = ["sigmamind_async", "tests", ".ci", "CHANGELOG.md", "LICENSE", "README.md"]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def copy_to(folder: Path) -> Path:
    """Return a copy of what is built, without what running it has left."""
    folder.mkdir()
    left = shutil.ignore_patterns("__pycache__", "samples")
    for name in [*BUILT, "pyproject.toml", ".gitignore"]:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=left)
        else:
            shutil.copy(source, folder / name)
    return folder


def build(source: Path) -> list[Path]:
    pytest.importorskip("hatchling")
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    command = [sys.executable, "-m", "hatchling", "build", "-d", "built"]
    subprocess.run(command, cwd=source, env=environment, check=True, capture_output=True)
    return sorted((source / "built").iterdir())


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return build(copy_to(tmp_path_factory.mktemp("first") / "checkout"))


def test_two_builds_are_equal_byte_for_byte(first: list[Path], tmp_path: Path) -> None:
    """From another folder, with other times and modes of files; with the control at the end."""
    checkout = copy_to(tmp_path / "elsewhere")
    for path in checkout.rglob("*"):
        if path.is_file():
            os.utime(path, (1_000_000_000, 1_000_000_000))
    second = build(checkout)

    assert [path.name for path in second] == [path.name for path in first]
    assert [path.read_bytes() for path in second] == [path.read_bytes() for path in first]

    with (checkout / "sigmamind_async/errors.py").open("a") as file:
        file.write("\n")
    shutil.rmtree(checkout / "built")
    assert not any(
        one.read_bytes() == other.read_bytes()
        for one, other in zip(first, build(checkout), strict=True)
    )


def test_the_wheel_holds_the_package_and_the_guide_alone(first: list[Path]) -> None:
    [wheel] = [path for path in first if path.suffix == ".whl"]
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"sigmamind_async"}
    assert "sigmamind_async/docs/reference/errors.md" in names
    assert "sigmamind_async/py.typed" in names
    assert {Path(name).suffix for name in names if "/docs/" in name} == {".md"}


def test_the_links_of_the_index_page_name_their_place(first: list[Path]) -> None:
    [wheel] = [path for path in first if path.suffix == ".whl"]
    with zipfile.ZipFile(wheel) as archive:
        [name] = [each for each in archive.namelist() if each.endswith("METADATA")]
        targets = re.findall(r"\]\(([^)]+)\)", archive.read(name).decode())

    assert len(targets) > 20
    assert [each for each in targets if not each.startswith("https://")] == []


def test_the_metadata_name_one_repository() -> None:
    """That of the release workflow, which publishes from no other."""
    text = (ROOT / "pyproject.toml").read_text()
    hosts = r"https://(?:github|raw\.githubusercontent)\.com/([^/\"]+/[^/\"]+)"
    [name] = {*re.findall(hosts, text)}
    owner, _, repository = name.partition("/")

    assert re.findall(r'^Documentation = "(.+)"$', text, re.MULTILINE) == [
        f"https://{owner}.github.io/{repository}/"
    ]
    elsewhere = [ROOT / "README.md", *(ROOT / "sigmamind_async").rglob("*.py")]
    assert [path for path in elsewhere if name in path.read_text(encoding="utf-8")] == []


def test_the_source_distribution_can_be_tested(first: list[Path]) -> None:
    [sdist] = [path for path in first if path.suffix == ".gz"]
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {"tests/conftest.py", "pyproject.toml", "README.md", ".ci/docs/reference.py"} <= names


def test_the_package_knows_its_version() -> None:
    assert sigmamind_async.__version__ == version("sigmamind-async")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_its_hash(path: Path) -> None:
    actions = re.findall(r"uses: (\S+)@(\S+) *(#.*)?$", path.read_text(), re.MULTILINE)

    assert actions
    for name, commit, comment in actions:
        assert re.fullmatch("[0-9a-f]{40}", commit), name
        assert comment, name


# ---------------------------------------------------------------- what breaks callers


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def breaking(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [folder / ".ci/breaking"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )


def test_a_break_needs_a_line_in_the_changelog(tmp_path: Path) -> None:
    pytest.importorskip("griffe")
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / ".ci", folder / ".ci")
    (folder / "sigmamind_async").mkdir()
    module, changelog = folder / "sigmamind_async/__init__.py", folder / "CHANGELOG.md"
    module.write_text("def buy(country: str) -> str: ...\n")
    changelog.write_text("# Changelog\n\n## [Unreleased]\n\n## [0.1.0]\n\n### Changed\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "First")
    assert "no release yet" in breaking(folder).stdout

    git(folder, "tag", "v0.1.0")
    assert breaking(folder).returncode == 0

    module.write_text("def buy(country: str, count: int) -> str: ...\n")
    assert breaking(folder).returncode == 1

    changelog.write_text(
        "# Changelog\n\n## [Unreleased]\n\n### Changed\n\n- `buy`.\n\n## [0.1.0]\n"
    )
    assert breaking(folder).returncode == 0
