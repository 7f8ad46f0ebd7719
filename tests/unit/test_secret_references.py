"""SecretResolver to secrets: what may be read, what is one secret, and that nothing waits."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sigmamind_async.errors import APITimeoutError, ConfigurationError
from sigmamind_async.secret_references import (
    MAX_BYTES,
    SecretReferenceError,
    SecretResolver,
    in_thread,
)
from sigmamind_async.values import Secret

posix = pytest.mark.skipif(sys.platform == "win32", reason="has neither pipes nor links to all")


def refused(references: SecretResolver, text: str) -> str:
    with pytest.raises(SecretReferenceError) as caught:
        references.resolve(text)
    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    shown = [str(each.locals) for each in report.stack if each.filename != __file__]
    assert "canary" not in "".join([*shown, *report.format()])
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"canary-1", b"canary-1\n", b"canary-1\r\n", b"\xef\xbb\xbfcanary-1\n", b"canary-1\r"],
    ids=["bare", "newline", "Windows", "byte order mark", "carriage return"],
)
def test_a_file_holds_one_secret(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "trunk").write_bytes(content)

    assert SecretResolver(tmp_path).resolve("file:trunk") == Secret("canary-1")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"canary-1\ncanary-2\n", "on one line"),
        (b"canary-1\n\n", "on one line"),
        (b"\ncanary-1", "on one line"),
        (b"canary-1\rcanary-2", "on one line"),
        ("canary-1\u2028canary-2".encode(), "on one line"),
        (b"canary\0-1", "on one line"),
        (b"", "1 to 4096 bytes"),
        (b"\n", "1 to 4096 bytes"),
        (b"\xef\xbb\xbf\r\n", "1 to 4096 bytes"),
        (b"****\n", "holds a mask; put the secret itself there"),
        (b"canary\xe9", "not UTF-8 text"),
        ("canary-1".encode("utf-16"), "not UTF-8 text"),
        (b"canary" * MAX_BYTES, "at most 4096 bytes"),
    ],
)
def test_a_file_that_holds_anything_else_is_refused(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    (tmp_path / "trunk").write_bytes(content)

    assert problem in refused(SecretResolver(tmp_path), "file:trunk")


def test_a_variable_holds_one_secret_too() -> None:
    references = SecretResolver(environment={"A": "canary-1\n", "B": "canary-1\ncanary-2"})

    assert references.resolve("env:A") == Secret("canary-1")
    assert refused(references, "env:B") == "env:B: must hold one secret, on one line"


def pipe(path: Path) -> None:
    os.mkfifo(path)


def terminal(path: Path) -> None:
    path.symlink_to(os.ttyname(os.openpty()[1]))


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def socket(path: Path) -> None:
    import socket as sockets

    with sockets.socket(sockets.AF_UNIX) as listening:
        listening.bind(str(path))


def loop(path: Path) -> None:
    path.symlink_to(path)


@posix
@pytest.mark.parametrize("make", [pipe, terminal, device, socket, loop, Path.mkdir])
def test_only_a_regular_file_is_read(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Control: read with `Path.read_bytes`, pipe and terminal wait for ever."""
    make(tmp_path / "x")

    assert refused(SecretResolver(tmp_path), "file:x").startswith("file:x: cannot be read: ")


@posix
def test_a_link_is_followed(tmp_path: Path) -> None:
    """As Docker and Kubernetes lay out what they mount."""
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "trunk").write_text("canary-1")
    (tmp_path / "trunk").symlink_to("..data/trunk")

    assert SecretResolver(folders=[tmp_path]).resolve(f"file:{tmp_path}/trunk") == Secret(
        "canary-1"
    )


# ---------------------------------------------------------------- what may be read


@pytest.mark.parametrize("wrong", [{"names": True}, {"folders": 7}, {"allow_inline": "false"}])
def test_a_setting_that_cannot_be_used_is_refused(wrong: dict[str, Any]) -> None:
    """A text such as "false" would be true, and let passwords be in plain text."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        SecretResolver(**wrong)


@pytest.mark.parametrize("name", ["TRUNK_PASSWORD", "TWILIO_A"])
def test_a_listed_variable_is_read(name: str) -> None:
    references = SecretResolver(
        environment={name: "canary-1"}, names=["TRUNK_PASSWORD", "TWILIO_*"]
    )

    assert references.resolve(f"env:{name}") == Secret("canary-1")


@pytest.mark.parametrize("name", ["SIGMAMIND_API_KEY", "TRUNK_PASSWORD_2", "trunk_password", "A"])
@pytest.mark.parametrize(
    ("names", "folders"), [("TRUNK_PASSWORD", None), (None, ["/"]), ([], None)]
)
def test_another_variable_is_refused_whether_it_is_there_or_not(
    name: str, names: str | list[str] | None, folders: list[str] | None
) -> None:
    references = SecretResolver(environment={name: "canary-1"}, names=names, folders=folders)
    absent = SecretResolver(environment={}, names=names, folders=folders)

    assert "not among those that may be read" in refused(references, f"env:{name}")
    assert refused(references, f"env:{name}") == refused(absent, f"env:{name}")


@posix
@pytest.mark.parametrize(
    "path",
    [
        "../outside",
        "sub/../../outside",
        "link",
        "linked/outside",
        "/etc/hostname",
        "{root}/outside",
        "{root}/trunks-2/x",
        "/proc/self/environ",
    ],
)
def test_a_file_outside_the_listed_folders_is_refused(tmp_path: Path, path: str) -> None:
    """Control: with no list, those that are there are read."""
    trunks = tmp_path / "trunks"
    for folder in (trunks / "sub", tmp_path / "trunks-2"):
        folder.mkdir(parents=True)
    for file in (tmp_path / "outside", tmp_path / "trunks-2" / "x", trunks / "sub" / "trunk"):
        file.write_text("canary-1")
    (trunks / "link").symlink_to(tmp_path / "outside")
    (trunks / "linked").symlink_to(tmp_path)
    name = f"file:{path.format(root=tmp_path)}"

    assert "not among those" in refused(SecretResolver(trunks, folders=[trunks]), name)
    assert "not among those" in refused(SecretResolver(trunks, names=["*"]), name)
    assert SecretResolver(trunks, folders=[trunks]).resolve("file:sub/trunk") == Secret("canary-1")
    if (tmp_path / "outside").samefile(trunks / path.format(root=tmp_path)):
        assert SecretResolver(trunks).resolve(name) == Secret("canary-1")


# ---------------------------------------------------------------- without waiting


def test_a_secret_is_fetched_once(tmp_path: Path) -> None:
    async def fetch() -> None:
        first = await references.fetch("file:trunk", 60.0)
        (tmp_path / "trunk").unlink()

        assert await references.fetch("file:trunk", 60.0) is first
        assert await references.fetch("env:A", 60.0) == Secret("canary-2")
        with pytest.raises(SecretReferenceError, match="file:none: cannot be read: No such file"):
            await references.fetch("file:none", 60.0)

    (tmp_path / "trunk").write_text("canary-1")
    references = SecretResolver(tmp_path, environment={"A": "canary-2"})
    asyncio.run(fetch())


def test_what_never_answers_holds_up_neither_the_loop_nor_its_end() -> None:
    """Control: with `asyncio.to_thread`, `asyncio.run` waits for the thread."""
    never = threading.Event()

    async def read() -> None:
        with pytest.raises(APITimeoutError, match=r"within 0\.1 s"):
            await in_thread(never.wait, 0.1)

    began = time.monotonic()
    asyncio.run(read())

    assert time.monotonic() - began < 30.0
    assert any(each.name == "secrets" and each.daemon for each in threading.enumerate())
    never.set()
