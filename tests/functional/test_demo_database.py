"""The demo's database on a server that the user names: made for the run, and gone after it."""

from __future__ import annotations

import pytest

from sigmamind_async.cli.demo import workers
from sigmamind_async.cli.errors import CommandError
from sigmamind_async.cli.journal_location import database_of
from tests.harness.postgres import Server

FOUND = "SELECT count(*) FROM pg_database WHERE datname LIKE 'sigmamind\\_demo\\_%'"


def test_it_is_gone_when_the_demo_ends(postgres: Server) -> None:
    with workers._new_database(postgres.dsn()) as database:  # noqa: SLF001
        assert "sigmamind_demo_" in database.dsn.reveal()
        assert postgres.asked(FOUND) == [(1,)]
    assert postgres.asked(FOUND) == [(0,)]


def test_a_server_that_refuses_gives_its_reason(postgres: Server) -> None:
    server = database_of(postgres.dsn())
    with pytest.raises(CommandError, match="already exists"):
        workers._execute(server, "CREATE DATABASE postgres")  # noqa: SLF001
