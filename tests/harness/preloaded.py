"""Processes of Python that start in hundredths of a second, since the imports are made already.

A third of a second of each command goes into importing aiohttp, cattrs, cyclopts and the package,
and the tests start hundreds of commands. Here one process imports them, and forks for each command.
What runs is a process of its own and a child of this one, with its own arguments, environment,
folder and streams; it is killed and waited for like any other.

``Popen``, ``run`` and ``create_subprocess_exec`` are those of the standard library. They start the
program anew wherever a fork could differ: another program, other options of the interpreter,
variables that are read while it starts, a system that is not Linux. They are not for tests of what
a program imports, or of the memory that it takes.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import functools
import gc
import importlib
import io
import json
import os
import runpy
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import types
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
READ_AT_START = ("AIOHTTP_", "COVERAGE_", "LANG", "LC_", "PYTHON", "SIGMAMIND_LOG", "SSL_")
"""How the variables begin that Python, or a module while it is imported, reads once."""
UNBUFFERED = "PYTHONUNBUFFERED"
"""The one of them that a fork can still heed."""

_SET_CHILD_SUBREAPER = 36  # of prctl(2)
_LENGTH = struct.Struct("!I")
_PID = struct.Struct("!i")
_lock = threading.Lock()


class Popen(subprocess.Popen[Any]):
    """A process that is forked where that is the same as starting it, and started elsewhere."""

    def _execute_child(self, *given: Any) -> None:
        """Start what ``__init__`` was asked for, which passes the same from Python 3.11 to 3.14."""
        command, executable, prepare, _, kept, folder, environment, *windows = given[:10]
        streams, new_session = given[10:16], given[-2]
        plain = (executable, prepare, kept, *windows) == (None, None, (), None, 0, False)
        if not (plain and not new_session and is_forked(command, environment)):
            super()._execute_child(*given)  # type: ignore[misc]
            return
        request = {
            "command": list(map(os.fspath, command)),
            "folder": os.fspath(folder or Path.cwd()),
            "environment": dict(os.environ if environment is None else environment),
        }
        theirs = (streams[0], streams[3], streams[5])
        self.pid = _forked(request, [own if it == -1 else it for own, it in enumerate(theirs)])
        self._child_created = True
        self._close_pipe_fds(*streams)  # type: ignore[attr-defined]


def run(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[Any]:
    """Do what ``subprocess.run`` does."""
    with _in_place_of_the_library():
        return subprocess.run(*arguments, **options)  # noqa: PLW1510 - as the caller says


async def create_subprocess_exec(*command: Any, **options: Any) -> asyncio.subprocess.Process:
    """Do what ``asyncio.create_subprocess_exec`` does."""
    with _in_place_of_the_library():
        return await asyncio.create_subprocess_exec(*command, **options)


_started = subprocess.Popen
_uses = 0


@contextmanager
def _in_place_of_the_library() -> Iterator[None]:
    global _uses  # noqa: PLW0603 - calls overlap
    with _lock:
        _uses += 1
        subprocess.Popen = Popen  # type: ignore[misc]
    try:
        yield
    finally:
        with _lock:
            _uses -= 1
            if not _uses:
                subprocess.Popen = _started  # type: ignore[misc]


def is_forked(command: Sequence[Any] | str, environment: Mapping[str, str] | None) -> bool:
    """Return whether a fork is the same as what *command* starts in *environment*."""
    if sys.platform != "linux" or isinstance(command, str) or command[0] != sys.executable:
        return False
    if environment is not None and _read_at_start(environment) != _read_at_start(os.environ):
        return False
    _, rest = _options([os.fspath(each) for each in command])
    return bool(rest) and (rest[0] in {"-c", "-m"} or not rest[0].startswith("-"))


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: text
        for name, text in environment.items()
        if name.startswith(READ_AT_START) and name != UNBUFFERED
    }


def _options(command: Sequence[str]) -> tuple[set[str], Sequence[str]]:
    """Return the options of the interpreter that a fork can heed, and what follows them."""
    options, rest = set(), command[1:]
    while rest:
        if rest[0] == "-P":
            options.add("-P")
            rest = rest[1:]
        elif rest[:2] == ["-W", "error"]:
            options.add("-W")
            rest = rest[2:]
        else:
            break
    return options, rest


_children = threading.Lock()


def _forked(request: object, streams: list[int]) -> int:
    """Have *request* run as a child of this process, and return its process id."""
    message = json.dumps(request).encode()
    with _children, _adopting():
        server = _server()
        socket.send_fds(server, [_LENGTH.pack(len(message))], streams)
        server.sendall(message)
        (pid,) = _PID.unpack(server.recv(_PID.size, socket.MSG_WAITALL))
    return int(pid)


@contextmanager
def _adopting() -> Iterator[None]:
    """Make a child of this process of what a child leaves behind.

    What the server forks is left behind by a process in between, and so becomes ours.
    """
    prctl = ctypes.CDLL(None).prctl
    prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@functools.cache
def _server() -> socket.socket:
    """Return the connection to the process that forks, which ends when this is closed."""
    ours, theirs = socket.socketpair()
    with theirs:
        server = _started(
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=ROOT,
            pass_fds=[theirs.fileno()],
        )

    @atexit.register
    def end() -> None:
        ours.close()
        server.wait()

    return ours


# ---------------------------------------------------------------- the process that forks


def serve(connection: socket.socket) -> Mapping[str, Any]:
    """Fork for each request; return it in the process that is to carry it out."""
    # Ctrl-C in a terminal is for the tests, which then close the connection.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    gc.collect()
    gc.freeze()
    while True:
        head, streams, _, _ = socket.recv_fds(connection, _LENGTH.size, 3)
        if not head:
            raise SystemExit
        (length,) = _LENGTH.unpack(head)
        message = connection.recv(length, socket.MSG_WAITALL)
        told, tell = os.pipe()
        if not (between := os.fork()):
            between = os.getpid()
            if pid := os.fork():
                os.write(tell, _PID.pack(pid))
                os._exit(0)
            while os.getppid() == between:
                os.sched_yield()
            for own, descriptor in enumerate(streams):
                os.dup2(descriptor, own)
            for descriptor in {told, tell, connection.detach(), *streams} - {0, 1, 2}:
                os.close(descriptor)
            return json.loads(message)  # type: ignore[no-any-return]
        os.waitpid(between, 0)
        connection.sendall(os.read(told, _PID.size))
        for descriptor in (told, tell, *streams):
            os.close(descriptor)


def become(request: Mapping[str, Any]) -> None:
    """Make of this process what *request* asks for, and run it."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        _open_stream(descriptor, name)
    sys.orig_argv[:] = request["command"]
    options, (kind, *rest) = _options(request["command"])
    if "-W" in options:
        sys.warnoptions.append("error")
        warnings.simplefilter("error")
    del sys.path[0]  # the folder of this program
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if kind == "-m":
        sys.path[:0] = [] if "-P" in options else [request["folder"]]
        sys.argv[:] = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        return
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    if kind == "-c":
        sys.path[:0] = [] if "-P" in options else [""]
        sys.argv[:] = [kind, *rest[1:]]
        program = compile(rest[0], "<string>", "exec")
    else:
        sys.path[:0] = [] if "-P" in options else [str(Path(kind).resolve().parent)]
        sys.argv[:] = [kind, *rest]
        main.__file__ = str(Path(kind).absolute())
        program = compile(Path(kind).read_bytes(), main.__file__, "exec")
    exec(program, vars(main))


def _open_stream(descriptor: int, name: str) -> None:
    """Open *descriptor* anew as the interpreter does when it starts: it may be a terminal now."""
    raw = io.FileIO(descriptor, "wb" if descriptor else "rb", closefd=False)
    raw.name = f"<{name}>"
    unbuffered = bool(os.environ.get(UNBUFFERED))
    buffer: Any = raw
    if not unbuffered or not descriptor:
        buffer = io.BufferedWriter(raw) if descriptor else io.BufferedReader(raw)
    old = getattr(sys, name)
    text = io.TextIOWrapper(
        buffer,
        old.encoding,
        old.errors,
        newline="\n" if descriptor else None,
        line_buffering=not unbuffered and (name == "stderr" or raw.isatty()),
        write_through=unbuffered,
    )
    text.mode = "w" if descriptor else "r"  # type: ignore[misc]
    setattr(sys, name, text)
    setattr(sys, f"__{name}__", text)


def preload() -> None:
    """Import what most of them import."""
    for name in ("cli.jobs.apply", "provisioning", "sandbox", "sync", "workers"):
        module = importlib.import_module(f"sigmamind_async.{name}")
        # The packages import a module when one of its names is looked up.
        for public in getattr(module, "__all__", ()):
            getattr(module, public)


if __name__ == "__main__":
    preload()
    become(serve(socket.socket(fileno=int(sys.argv[1]))))
