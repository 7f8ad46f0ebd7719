"""No password and no key, nor anything it can be guessed from, is in the bytes of a journal."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sigmamind_async import JournalError, OutcomeUnknownError
from sigmamind_async.provisioning import Provisioner, SqliteJournal
from sigmamind_async.sandbox import Fault, Sandbox
from tests.contract.dialects import WITH_SECRET, Dialect, Value
from tests.functional.support import KEY, PASSWORD
from tests.harness.postgres import Server

pytestmark = pytest.mark.usefixtures("unmeasured")  # the same many times

NUMBER = "+14155550100"
DIGESTS = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "blake2b", "blake2s")


def traces(secret: str) -> Iterator[bytes]:
    """Yield every form in which *secret* would stand in bytes that give it away."""
    plain = secret.encode()
    yield from (plain, plain[::-1], plain.hex().encode(), zlib.compress(plain))
    for salted in (plain, secret.lower().encode(), plain + b"\n"):
        yield base64.b64encode(salted).rstrip(b"=")
        for name in DIGESTS:
            digest = hashlib.new(name, salted).digest()
            # A prefix is enough to test a guess with.
            yield from (digest[:8], digest.hex()[:16].encode(), base64.b64encode(digest)[:10])
            yield base64.b32encode(digest)[:13]


def found_in(folder: Path, *secrets: str) -> list[tuple[str, bytes]]:
    return [
        (path.name, trace)
        for path in folder.iterdir()
        for secret in secrets
        for trace in traces(secret)
        if trace in path.read_bytes()
    ]


async def lose(provisioner: Provisioner, value: Value) -> None:
    """Run *value* until it is given up, after three seconds, as one whose end is unknown.

    Where the machine is so busy that the journal has not answered by then, nothing was sent.
    """
    client = provisioner.client.with_options(deadline=3.0)
    hurried = Provisioner(client, provisioner.journal, settle_time=0.3)
    for _ in range(10):
        with suppress(JournalError):
            with suppress(OutcomeUnknownError):
                await hurried.run("lost", value)
            return


async def test_none_is_in_a_journal_its_log_or_its_backup(
    dialect: Dialect, box: Sandbox, tmp_path: Path
) -> None:
    """Through an import that is lost, repaired and refused, and an update that carries one."""
    box.script(dialect.importing, [Fault.CLOSE_AFTER_COMMIT], platform=dialect.name)
    async with (
        dialect.connect(box) as client,
        SqliteJournal(tmp_path / "orders.db") as journal,
    ):
        provisioner = Provisioner(client, journal, settle_time=0.3)
        imported = await provisioner.run("import", dialect.import_(NUMBER))
        change = WITH_SECRET.get(dialect.name)
        if change is not None:
            with suppress(OutcomeUnknownError):
                await provisioner.run("change", change(dialect.key_of(imported)))
        box.script(dialect.importing, [Fault.RESET_BEFORE_COMMIT] * 9, platform=dialect.name)
        await lose(provisioner, dialect.import_("+14155550101"))
        await journal.backup(tmp_path / "backup.db")
        names = {path.name for path in tmp_path.iterdir()}
        assert {"orders.db", "orders.db-wal", "backup.db"} <= names
        key = dialect.endpoint(box).api_key
        assert KEY in key
        assert found_in(tmp_path, PASSWORD, key) == []
    assert found_in(tmp_path, PASSWORD, key) == []


async def test_none_is_in_a_database(
    dialect: Dialect, box: Sandbox, tmp_path: Path, postgres: Server
) -> None:
    """Through the same, and whatever is written there about the operations."""
    box.script(dialect.importing, [Fault.CLOSE_AFTER_COMMIT], platform=dialect.name)
    async with (
        dialect.connect(box) as client,
        postgres.journal(tmp_path) as journal,
    ):
        provisioner = Provisioner(client, journal, settle_time=0.3)
        await provisioner.run("import", dialect.import_(NUMBER))
        box.script(dialect.importing, [Fault.RESET_BEFORE_COMMIT] * 9, platform=dialect.name)
        await lose(provisioner, dialect.import_("+14155550101"))
    dump = tmp_path / "dump"
    dump.write_text(postgres.dumped(tmp_path))
    assert "+14155550101" in dump.read_text()
    assert found_in(tmp_path, PASSWORD, dialect.endpoint(box).api_key) == []


async def test_another_password_under_the_same_id_is_noticed_without_having_kept_the_first(
    dialect: Dialect, box: Sandbox, tmp_path: Path
) -> None:
    async with (
        dialect.connect(box) as client,
        SqliteJournal(tmp_path / "orders.db") as journal,
    ):
        provisioner = Provisioner(client, journal)
        value = dialect.import_(NUMBER)
        await provisioner.run("import", value)
        await provisioner.run("import", value)
        with pytest.raises(JournalError, match=r"another (trunk_password|twilio_auth_token|sip_)"):
            await provisioner.run("import", dialect.import_with(NUMBER, "another password"))


@pytest.mark.parametrize(
    "leak",
    [
        PASSWORD,
        hashlib.sha256(PASSWORD.encode()).hexdigest(),
        base64.b64encode(hashlib.md5(PASSWORD.encode()).digest()).decode(),
    ],
)
def test_a_leak_would_be_found(leak: str, tmp_path: Path) -> None:
    """The negative control."""
    (tmp_path / "orders.db").write_bytes(b"\0\1" + leak.encode() + b"\2")
    assert found_in(tmp_path, PASSWORD)
