"""A disk that fills in the middle of a job: a real one, with half a megabyte."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sigmamind_async import JournalError, SigmaMind
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import Provisioner, SqliteJournal
from sigmamind_async.provisioning.tags import remove_tag
from sigmamind_async.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("unmeasured")  # what it runs, others measure

ROWS = 1500


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    root = hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("mount") is not None
    if not root or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk, and not in every container")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_full_disk_ends_the_job_and_loses_nothing(small: Path) -> None:
    """What was bought is in the journal; once there is room the same rows are bought, once each."""
    operations = [
        (f"row-{n}", CreatePhoneNumber(country_code="US", friendly_name=f"n{n} {'x' * 60}"))
        for n in range(ROWS)
    ]
    async with Sandbox(seed=1) as box:
        place = box.sigmamind
        async with SigmaMind(place.api_key, base_url=place.base_url) as client:
            async with SqliteJournal(small / "orders.db") as journal:
                run = Provisioner(client, journal).run_many(operations)
                ends = [outcome async for outcome in run]
            done = sum(outcome.status == "done" for outcome in ends)
            errors = [outcome.error for outcome in ends if outcome.error is not None]
            subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
            async with SqliteJournal(small / "orders.db") as journal:
                # A request that was cut off on its way is in no listing: it is sent again.
                again = Provisioner(client, journal, settle_time=2.0, retry_unconfirmed=True)
                second: list[str] = []
                for _ in range(60):  # until what was under way can be believed to be settled
                    await again.reconcile()
                    second = [outcome.status async for outcome in again.run_many(operations)]
                    if "unconfirmed" not in second:
                        break
                    await asyncio.sleep(0.5)

        assert 0 < done < ROWS
        assert len(errors) <= 100
        assert any(isinstance(error, JournalError) for error in errors)
        assert sum(outcome.status == "skipped" for outcome in ends) > ROWS // 4
        assert "the disk is full" in run.stopped or "refuses to read or write" in run.stopped
        assert second == ["done"] * ROWS
        assert not box.ledger.bought_twice(remove_tag)
