"""A forked process is what the program itself would be, and one that cannot be is not forked."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import preloaded

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks them")

SHOWN = """
import os, signal, sys, warnings
print(sys.argv, sys.orig_argv, sys.path[:2], sys.warnoptions, warnings.filters[:1])
print(os.getcwd(), sorted(os.environ.items()), os.getppid(), os.getpgid(0), os.getsid(0))
for stream in (sys.stdin, sys.stdout, sys.stderr):
    print(stream.name, stream.mode, stream.encoding, stream.errors, stream.isatty())
    print(stream.line_buffering, stream.write_through, stream.fileno(), stream.closed)
print([signal.getsignal(each) for each in sorted(signal.valid_signals()) if each < 32])
print(signal.pthread_sigmask(signal.SIG_BLOCK, ()), sorted(os.listdir("/proc/self/fd")))
print(__name__, sorted({*globals()} - {"__annotations__", "__cached__"}))
print(sys.stdin.read(), file=sys.stderr)
"""
PROGRAMS = {
    "shows": f"{SHOWN}",
    "exits": "import sys; sys.exit(7)",
    "says why it exits": "raise SystemExit('why')",
    "fails": "1 / 0",
    "is killed": "import os; os.kill(os.getpid(), 9)",
    "is interrupted": "import os; os.kill(os.getpid(), 2); print('never')",
    "tidies up": "import atexit; atexit.register(print, 'tidy'); print('first', end='')",
    "warns": "import warnings; warnings.warn('careful')",
    "has a thread": "import threading; threading.Thread(target=print, args=['other']).start()",
}
OPTIONS: list[list[str]] = [[], ["-W", "error"], ["-P"]]


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_forked_process_is_as_one_that_is_started(
    name: str, options: list[str], tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(PROGRAMS[name])
    environment = {**os.environ, "OWN": "\udcff", "PYTHONUNBUFFERED": "1" * bool(options)}
    for program in (["-c", PROGRAMS[name]], ["program.py"], ["-m", "program"]):
        if options == ["-P"] and program[0] == "-m":
            continue  # and so the module is not found
        command = [sys.executable, *options, *program, "--word", "ü"]
        assert preloaded.is_forked(command, environment)
        forked, started = (
            run(command, input=b"in\xff", capture_output=True, cwd=tmp_path, env=environment)
            for run in (preloaded.run, subprocess.run)
        )
        assert _without_addresses(forked) == _without_addresses(started)


def _without_addresses(done: subprocess.CompletedProcess[bytes]) -> tuple[int, bytes, list[bytes]]:
    """Return how it ended; of a traceback only the frames of the program itself."""
    complaints = [line for line in done.stderr.splitlines() if not line.startswith(b"  ")]
    return done.returncode, done.stdout, complaints


def test_it_is_ours(tmp_path: Path) -> None:
    """It is a child of this process, ends by our signals, and leaves none behind."""
    words = [sys.executable, "-c", "print(flush=True); input()"]
    with preloaded.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        stat = Path(f"/proc/{process.pid}/stat").read_text()
        assert int(stat.rpartition(")")[2].split()[1]) == os.getpid()
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    with pytest.raises(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)


def test_a_terminal_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    ours, theirs = pty.openpty()
    code = "import sys; print(sys.stdin.isatty(), sys.stdout.line_buffering)"
    with preloaded.Popen([sys.executable, "-c", code], stdin=theirs, stdout=theirs):
        os.close(theirs)
        assert os.read(ours, 100) == b"True True\r\n"
    os.close(ours)


@pytest.mark.parametrize(
    ("command", "more"),
    [
        (["sh", "-c", "true"], {}),
        ([sys.executable], {}),
        ([sys.executable, "-X", "dev", "-c", "pass"], {}),
        ([sys.executable, "-I", "-c", "pass"], {}),
        ([sys.executable, "-W", "ignore", "-c", "pass"], {}),
        ([sys.executable, "-c", "pass"], {"LC_ALL": "C.other"}),
        ([sys.executable, "-c", "pass"], {"PYTHONPATH": "/elsewhere"}),
        ([sys.executable, "-c", "pass"], {"SSL_CERT_FILE": "/elsewhere"}),
    ],
)
def test_what_would_differ_is_started(command: list[str], more: dict[str, str]) -> None:
    """Negative control: without what is different about it the last three are forked."""
    assert not preloaded.is_forked(command, {**os.environ, **more})
    assert not more or preloaded.is_forked(command, None)
