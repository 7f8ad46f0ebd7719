"""What is different on Windows, on any system: a process is made to look like one there.

It has no fork, no ``fcntl``, no file modes and no descriptors of folders, and the locks of
``msvcrt``, which are made here of locks that belong to a descriptor, as those of Windows do.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from sigmamind_async.sandbox import SandboxThread

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="its locks are made of those of Linux"
)

AS_ON_WINDOWS = """
import asyncio, importlib, pkgutil, sys, types
import aiohttp.web, attrs, cattrs.preconf.orjson, orjson, tenacity  # they have code of their own
import cyclopts, jinja2, openpyxl, rich.live, rich.table, yaml, uvloop, psycopg, psycopg_pool
import procrastinate, procrastinate.contrib, pytest, multiprocessing, sqlite3, tempfile
import concurrent.futures.process, subprocess, ssl, logging.config
import fcntl as real, os, signal, struct

def locking(descriptor, mode, count):
    lock = struct.pack("hhqqi4x", real.F_WRLCK, os.SEEK_CUR, 0, count, 0)
    real.fcntl(descriptor, real.F_OFD_SETLK, lock)

def open_file(path, flags, *rest, opened=os.open, **options):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", str(path))
    return opened(path, flags, *rest, **options)

os.open = open_file
sys.modules["msvcrt"] = types.SimpleNamespace(LK_NBLCK=2, locking=locking)
for name in ("fcntl", "grp", "pwd", "resource", "termios", "tty", "uvloop"):
    sys.modules[name] = None
for module, names in {
    os: "fork register_at_fork geteuid getuid fchmod fchown O_NOFOLLOW O_NONBLOCK O_DIRECTORY"
    " O_NOCTTY O_CLOEXEC",
    signal: "SIGHUP SIGKILL SIGUSR1 SIGUSR2 SIGPIPE SIGALRM setitimer pthread_kill",
}.items():
    for name in names.split():
        delattr(module, name)
sys.platform = "win32"
"""

EVERY_MODULE = """
import sigmamind_async
names = [each.name for each in pkgutil.walk_packages(sigmamind_async.__path__, "sigmamind_async.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(names) > 200)
"""

ORDER = """
from sigmamind_async import JournalError
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.sync import Provisioner, SigmaMind, SqliteJournal

key, url, again = sys.argv[1:]
try:
    with SigmaMind(key, base_url=url) as client, SqliteJournal("orders.db") as journal:
        number = Provisioner(client, journal).run("order-1", CreatePhoneNumber(country_code="US"))
        print(number.sip_phone_number)
        if again == "again":
            command = [sys.executable, "-W", "error", "order.py", key, url, "no"]
            print(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
except JournalError as error:
    print(error)
"""

STATE_FILE = """
from sigmamind_async import SigmaMind
from sigmamind_async.sandbox import Sandbox

async def main():
    for _ in range(2):
        async with Sandbox(state_file="state.jsonl") as box:
            print(len(box.ledger.purchases))
            end = box.sigmamind
            async with SigmaMind(end.api_key, base_url=end.base_url) as client:
                await client.phone_numbers.create(country_code="US")

asyncio.run(main())
"""

SECRET = """
from pathlib import Path
from sigmamind_async.secret_references import SecretResolver

path = Path("trunk").absolute()
path.write_bytes(b"made-up\\r\\n")
print(SecretResolver(folders=[path.parent]).resolve(f"file:{path}").reveal())
"""

COMMAND = """
from sigmamind_async.cli import main
for line in ("apply fleet.csv --yes --max-purchases 1", "status fleet.csv"):
    assert main(line.split()) == 0
"""

FLEET = "id,platform,source,country_code,label\nsm-1,sigmamind,purchase,US,Desk\n"


def run_as_on_windows(script: str, folder: Path, *arguments: str, **environment: str) -> str:
    (folder / "order.py").write_text(AS_ON_WINDOWS + script)
    done = subprocess.run(
        [sys.executable, "-W", "error", "order.py", *arguments],
        cwd=folder,
        env={"HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


def test_every_module_can_be_imported(tmp_path: Path) -> None:
    assert run_as_on_windows(EVERY_MODULE, tmp_path) == "True\n"


def test_a_journal_is_open_in_one_process(tmp_path: Path) -> None:
    with SandboxThread(seed=1) as box:
        end = box.sigmamind
        lines = run_as_on_windows(ORDER, tmp_path, end.api_key, end.base_url, "again").splitlines()
        again = run_as_on_windows(ORDER, tmp_path, end.api_key, end.base_url, "no").splitlines()

    assert [lines[0]] == again == box.ledger.owned()
    assert "has it open" in lines[1]
    assert len(box.ledger.purchases) == 1


def test_a_sandbox_keeps_its_state(tmp_path: Path) -> None:
    assert run_as_on_windows(STATE_FILE, tmp_path) == "0\n1\n"


def test_a_secret_is_read_from_a_file(tmp_path: Path) -> None:
    assert run_as_on_windows(SECRET, tmp_path) == "made-up\n"


def test_the_command_line_applies_a_fleet(tmp_path: Path) -> None:
    (tmp_path / "fleet.csv").write_text(FLEET)
    with SandboxThread(seed=1) as box:
        end = box.sigmamind
        keys = {"SIGMAMIND_API_KEY": end.api_key, "SIGMAMIND_BASE_URL": end.base_url}
        run_as_on_windows(COMMAND, tmp_path, **keys)

    assert len(box.ledger.purchases) == 1
