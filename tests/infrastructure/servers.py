"""Servers of other people's between client and platform, as Debian packages them.

Each runs in the foreground, on free ports of loopback, with a configuration made for one test and
all its files in that test's folder. Nothing is started that the machine already runs.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

PATIENCE: Final = 30.0
"""Seconds in which a server has to listen."""
_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def program(name: str) -> str:
    """Return where a program is; skip the test, with a line that says so, where it is not."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        pytest.skip(f"{name} is not installed here (Debian: apt-get install {name})")
    return found


@contextmanager
def served(command: Sequence[object], folder: Path, *ports: int) -> Generator[None]:
    """Run a server until the block ends, from the moment it listens on *ports*."""
    log = folder / "said.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=folder
        )
    try:
        give_up = time.monotonic() + PATIENCE
        for port in ports:
            while not _listens(port):
                assert process.poll() is None, log.read_text(errors="replace")
                assert time.monotonic() < give_up, log.read_text(errors="replace")
                time.sleep(0.02)
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def nginx(folder: Path, http: str, *ports: int) -> Generator[Path]:
    """Run nginx with *http* in its block of that name; yield the log of requests."""
    found, root = program("nginx"), os.geteuid() == 0
    config, requests = folder / "nginx.conf", folder / "requests.log"
    temporary = "\n".join(
        f"{name}_temp_path {folder / name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config.write_text(
        f"{'user root;' if root else ''}\n"
        f"daemon off; worker_processes 1; pid {folder / 'nginx.pid'};\n"
        f"error_log {folder / 'errors.log'} warn;\n"
        "events { worker_connections 1024; }\n"
        "http {\n"
        "    log_format short '$connection $request_method $status $upstream_status';\n"
        f"    access_log {requests} short;\n"
        f"    {temporary}\n"
        f"    {http}\n"
        "}\n"
    )
    with served([found, "-e", folder / "errors.log", "-c", config], folder, *ports):
        yield requests
