"""The real command in a process of its own, against a sandbox in a thread of this one."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

import attrs
import jsonschema
import pytest

from sigmamind_async.cli import main
from sigmamind_async.cli.output import events
from sigmamind_async.provisioning.tags import remove_tag
from sigmamind_async.sandbox import Sandbox, SandboxThread
from tests.harness import preloaded

COMMAND = (sys.executable, "-m", "sigmamind_async")
SCHEMA = jsonschema.Draft202012Validator(
    json.loads((Path(events.__file__).parent / "schema.json").read_text(encoding="utf-8"))
)
TRUNK_PASSWORD = "canary-trunk-password-7391"


@attrs.frozen
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Every line of stdout, read as JSON; each is as the schema says."""
        found = [json.loads(line) for line in self.out.splitlines()]
        for each in found:
            SCHEMA.validate(each)
        return found

    @property
    def error(self) -> str:
        """The only line on stderr, which is an error, without the one that names its page."""
        [line, page] = self.err.splitlines()
        assert page.startswith("More: sigmamind ")
        return line

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [each for each in self.objects if not each["type"].endswith("summary")]

    @property
    def open_rows(self) -> list[dict[str, Any]]:
        """What ``status`` and ``reconcile`` show of each row that is not settled."""
        return [
            each for each in self.objects if each["type"] == "journal_row" and each["unsettled"]
        ]

    @property
    def summary(self) -> dict[str, Any]:
        assert self.objects[-1]["type"].endswith("summary")
        return self.objects[-1]


@attrs.frozen
class Cli:
    """Runs commands against one sandbox, in a folder of its own."""

    box: Sandbox
    folder: Path
    environment: dict[str, str]
    trunk_password: str = TRUNK_PASSWORD
    """In the environment as ``TRUNK_PASSWORD``."""

    def __call__(self, *words: object, stdin: str | bytes = b"", **environment: str) -> Done:
        """Run a command to its end; no secret may be in what it prints."""
        process = self.start(*words, stdin=subprocess.PIPE, environment=environment)
        given = stdin.encode() if isinstance(stdin, str) else stdin
        return self.ended(process, given)

    def start(
        self,
        *words: object,
        stdin: int = subprocess.DEVNULL,
        stdout: int | IO[Any] = subprocess.PIPE,
        stderr: int | IO[Any] = subprocess.PIPE,
        environment: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> subprocess.Popen[bytes]:
        return preloaded.Popen(
            [*before, *COMMAND, *map(str, words)],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=self.folder,
            env=self.environment | dict(environment or {}),
        )

    def ended(self, process: subprocess.Popen[bytes], stdin: bytes | None = None) -> Done:
        with process:
            try:
                out, err = process.communicate(stdin, timeout=240)
            finally:
                process.kill()
        # A stream that the test gave elsewhere is not read here.
        return self.checked(Done(process.returncode, (out or b"").decode(), (err or b"").decode()))

    def checked(self, done: Done) -> Done:
        """Return *done*: no secret is in it, in a journal, a plan or a page, and no traceback."""
        kept = [path for name in ("*.db*", "*.html", "*plan*") for path in self.folder.glob(name)]
        written = b"".join(path.read_bytes() for path in kept)
        for secret in (TRUNK_PASSWORD, *(each.api_key for each in self.box.endpoints)):
            assert secret not in done.out + done.err
            assert secret.encode() not in written
        assert "Traceback" not in done.err
        return done

    def labels(self) -> list[str]:
        """Return the labels under which numbers were bought, without their tags."""
        return sorted(remove_tag(each.friendly_name or "") for each in self.box.ledger.purchases)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def fleet(self, count: int, name: str = "fleet.jsonl") -> Path:
        """Write a fleet of *count* purchases, each with a label of its own."""
        same = {"platform": "sigmamind", "source": "purchase", "country_code": "US"}
        rows = ({"id": f"buy-{i}", **same, "label": f"n{i}"} for i in range(count))
        return self.write(name, "".join(json.dumps(row) + "\n" for row in rows))


class Terminal:
    """A command on a terminal of its own, whose questions are answered when they are asked."""

    def __init__(self, cli: Cli, *words: object) -> None:
        self._ours, theirs = pty.openpty()
        self._process = cli.start(*words, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.seen = ""
        """All that appeared there."""
        self.code = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._read():
            pass
        os.close(self._ours)
        self.code = self._process.wait(30)

    def read_until(self, text: str) -> None:
        """Read until *text* has appeared."""
        while text not in self.seen:
            assert self._read(), self.seen

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def _read(self) -> bool:
        try:
            piece = os.read(self._ours, 65536)
        except OSError:  # how Linux says that the other side has gone
            return False
        self.seen += piece.decode(errors="replace")
        return bool(piece)


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with SandboxThread(seed=1) as box:
        yield box


@pytest.fixture
def cli(box: Sandbox, tmp_path: Path) -> Cli:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SIGMAMIND_", "VERBEX_", "DIALNEXA_", "FORCE_COLOR", "NO_COLOR"))
    }
    environment |= {
        "SIGMAMIND_BASE_URL": box.sigmamind.base_url,
        "SIGMAMIND_API_KEY": box.sigmamind.api_key,
        "VERBEX_BASE_URL": box.verbex.base_url,
        "VERBEX_API_KEY": box.verbex.api_key,
        "DIALNEXA_BASE_URL": box.dialnexa.base_url,
        "DIALNEXA_API_KEY": box.dialnexa.api_key,
        "TRUNK_PASSWORD": TRUNK_PASSWORD,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "COLUMNS": "120",
        "TERM": "xterm",
    }
    return Cli(box, tmp_path, environment)


Inside = Callable[..., Done]


@pytest.fixture
def inside(cli: Cli, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Inside:
    """Run a command in this process: what ends before anything is sent needs no other."""
    monkeypatch.chdir(cli.folder)

    def run(*words: object, **environment: str) -> Done:
        for name, value in (cli.environment | environment).items():
            monkeypatch.setenv(name, value)
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return cli.checked(Done(code, out, err))

    return run


Wait = Callable[[Callable[[], bool]], None]


@pytest.fixture
def until() -> Wait:
    """Wait for something that another thread or process does."""

    def wait(holds: Callable[[], bool]) -> None:
        abandon = time.monotonic() + 120
        while not holds():
            assert time.monotonic() < abandon
            time.sleep(0.01)

    return wait
