"""A fleet applied by processes that end at any moment ends as one that nobody disturbed."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest

from sigmamind_async.fleet.plan import RowPlan
from sigmamind_async.fleet.requests import RequestBuilder
from sigmamind_async.fleet.spec import FleetRow
from sigmamind_async.fleet.state import FleetState, refresh
from sigmamind_async.fleet.state_index import StateIndex
from sigmamind_async.provisioning import MemoryJournal, SqliteJournal
from sigmamind_async.sandbox import Sandbox
from sigmamind_async.testing import FakeClock
from tests.functional import fleets
from tests.functional.fleets import (
    CLIENTS,
    Life,
    Moment,
    MortalJournal,
    Operator,
    State,
    absent,
    bought,
    commits,
    imported,
    saying,
)
from tests.harness import preloaded

GOES, MOVES, CHANGES = "+14155550110", "+14155550111", "+14155550112"
BEFORE: Sequence[FleetRow] = (
    imported("goes", "verbex", GOES),
    imported("moves", "sigmamind", MOVES),
    imported("changes", "verbex", CHANGES),
)
AFTER: Sequence[FleetRow] = (
    absent(BEFORE[0]),
    imported("moves", "dialnexa", MOVES),
    saying(BEFORE[2], label="Other", trunk_username="other"),
    imported("comes", "sigmamind", "+14155550113"),
    bought("first", "sigmamind"),
    bought("second", "verbex"),
    bought("third", "dialnexa"),
)
"""Everything that can be done to a row, follow-ups included."""
DONE = [
    ("dialnexa", "import"),
    ("dialnexa", "purchase"),
    ("dialnexa", "update"),
    ("sigmamind", "import"),
    ("sigmamind", "purchase"),
    ("sigmamind", "release"),
    ("verbex", "purchase"),
    ("verbex", "release"),
    ("verbex", "update"),
]


@attrs.frozen
class Start:
    """What every life begins with: the earlier fleet, applied."""

    file: Path
    journal: MemoryJournal
    entries: int
    now: float


@pytest.fixture
async def start(tmp_path: Path) -> Start:
    file = tmp_path / "state"
    async with Sandbox(seed=1, state_file=file) as box, Operator(box) as operator:
        await operator.settle(BEFORE)
        assert isinstance(operator.journal, MemoryJournal)
        return Start(file, operator.journal, len(box.ledger), operator.clock.now)


@attrs.frozen
class Ended:
    """What became of the accounts."""

    events: int
    """Writes and requests of the first life."""
    state: State
    commits: list[tuple[str, str]]


async def lived(start: Start, last: int | None) -> Ended:
    """Apply the later fleet in a life that ends with event *last*, then until it is quiet."""
    life = Life(last)
    ended = await applied(start, life)
    assert life.over is (last is not None)
    return ended


async def applied(start: Start, life: Life) -> Ended:
    file = start.file.with_name(f"state-{life.last}")
    await asyncio.to_thread(file.write_bytes, start.file.read_bytes())
    journal = MortalJournal(life, start.journal)
    async with Sandbox(seed=1, state_file=file) as box:
        clock = FakeClock(start.now)
        async with Operator(box, journal, life=life, clock=clock) as operator:
            if isinstance(life, Stop):
                life.operator = operator
            life.task = asyncio.create_task(operator.apply(AFTER, allow_release=True))
            await asyncio.wait([life.task])
        assert life.over or set(life.task.result().values()) == {"done"}
        async with Operator(box, MortalJournal(Life(), journal), clock=clock) as heir:
            await heir.settle(AFTER, allow_release=True)
            return Ended(life.count, await heir.state(), commits(box, start.entries))


@pytest.mark.usefixtures("unmeasured")
async def test_a_run_that_ends_anywhere_is_made_up_for(start: Start) -> None:
    """Whichever write or request is the last: the same accounts and notes, nothing bought twice."""
    whole = await lived(start, None)
    assert sorted(whole.commits) == DONE
    for last in range(whole.events):
        ended = await lived(start, last)
        assert ended.state == whole.state, last
        assert once(ended) == once(whole), last


def once(ended: Ended) -> list[tuple[str, str]]:
    """Return what may happen once only; an update may be written again, to the same end."""
    return sorted(commit for commit in ended.commits if commit[1] != "update")


async def test_a_run_that_is_cancelled_anywhere_is_made_up_for(start: Start) -> None:
    """It tells of each step once, and writes down what it can."""
    whole = await lived(start, None)
    for last in range(1, whole.events, 2):
        life = Cancel(last)
        ended = await applied(start, life)
        assert life.task is not None
        assert life.task.cancelled(), last
        assert ended.state == whole.state, last
        assert once(ended) == once(whole), last


async def test_a_run_that_is_stopped_anywhere_settles_what_is_under_way(start: Start) -> None:
    """What has been taken up is done, and all else is skipped."""
    whole = await lived(start, None)
    for last in range(0, whole.events, 2):
        life = Stop(last)
        ended = await applied(start, life)
        assert life.task is not None
        assert set(life.task.result().values()) <= {"done", "skipped"}, last
        assert ended.state == whole.state, last
        assert ended.commits.count(("verbex", "update")) == 1
        assert once(ended) == once(whole), last


class Cancel(Moment):
    """Cancels the task."""

    def __init__(self, last: int) -> None:
        super().__init__(last, self.cancel)

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()


class Stop(Moment):
    """Stops the run."""

    def __init__(self, last: int) -> None:
        super().__init__(last, lambda: asyncio.get_running_loop().call_soon(self.stop))
        self.operator: Operator | None = None

    def stop(self) -> None:
        if self.operator is not None and self.operator.dispatcher is not None:
            self.operator.dispatcher.stop()


# --- processes that are killed -----------------------------------------------------------------

APPLIER = """
import asyncio, os, signal, sys
from sigmamind_async.provisioning import SqliteJournal
from sigmamind_async.testing import FakeClock
from tests.functional.fleets import Life, Operator
from tests.functional.test_fleet_kill import AFTER, Places

path, now, last, *places = sys.argv[1:]

class Killed(Life):
    def step(self):
        if self.count == int(last):
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1

life = Killed()

class Journal(SqliteJournal):
    async def put(self, row, **options):
        life.step()
        return await super().put(row, **options)

    async def set_last_applied(self, row_id, text):
        life.step()
        await super().set_last_applied(row_id, text)

async def main():
    box, clock = Places.of(places), FakeClock(float(now))
    async with Journal(path) as journal, Operator(box, journal, clock=clock, life=life) as operator:
        await operator.settle(AFTER, allow_release=True)

asyncio.run(main())
"""


@attrs.frozen
class Place:
    """A platform, from another process."""

    name: str
    base_url: str
    api_key: str


@attrs.frozen
class Places:
    """A sandbox, from another process."""

    endpoints: Sequence[Place]

    @classmethod
    def of(cls, words: Sequence[str]) -> Any:
        """Return the sandbox that `told` tells of."""
        threes = zip(*[iter(words)] * 3, strict=True)
        return cls([Place(name, url, key) for name, url, key in threes])

    @staticmethod
    def told(box: Sandbox) -> list[str]:
        """Return where *box* is, in words for another process."""
        places = [(each.name, each.base_url, each.api_key) for each in box.endpoints]
        return [word for place in places for word in place]


async def killed(path: Path, box: Sandbox, now: float, last: int) -> bool:
    """Apply the later fleet in a process that is killed with event *last*; return if it was."""
    words = [str(path), str(now), str(last), *Places.told(box)]
    process = await preloaded.create_subprocess_exec(
        *(sys.executable, "-c", APPLIER, *words), cwd=Path(__file__).parents[2]
    )
    ended = await process.wait()
    assert ended in {0, -signal.SIGKILL}
    return ended != 0


async def test_processes_that_are_killed_leave_a_fleet_as_one_that_was_not(
    start: Start, tmp_path: Path
) -> None:
    """With a journal on disk and SIGKILL in the middle of whatever the process is doing."""
    whole = await lived(start, None)
    path, chance, kills = tmp_path / "fleet.db", random.Random(7), 0
    async with Sandbox(seed=1) as box:
        async with SqliteJournal(path) as journal, Operator(box, journal) as operator:
            await operator.settle(BEFORE)
            now, since = operator.clock.now, len(box.ledger)
        for _ in range(5):
            now += 100_000.0
            kills += await killed(path, box, now, chance.randrange(4, 30))
        clock = FakeClock(now + 100_000.0)
        async with SqliteJournal(path) as journal, Operator(box, journal, clock=clock) as heir:
            await heir.settle(AFTER, allow_release=True)
            ended = Ended(0, await heir.state(), commits(box, since))
    assert kills >= 3
    assert ended.state == whole.state
    assert once(ended) == once(whole)


# --- controls --------------------------------------------------------------------------------


async def test_an_id_that_changes_with_the_run_buys_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard at work: what makes a purchase one is that its id is the same in every run."""
    whole = await lived(start, None)
    runs = itertools.count()
    modules = [sys.modules[each.__module__] for each in (RequestBuilder, RowPlan, refresh)]

    async def survey_anew(*given: Any) -> FleetState:
        run = next(runs)

        def new_id(row_id: str, sequence: int) -> str:
            return f"{row_id} {run}#{sequence}"

        for module in modules:
            monkeypatch.setattr(module, "creation_id", new_id)
        return await refresh(*given)

    monkeypatch.setattr(fleets, "refresh", survey_anew)
    bought_twice = False
    for last in range(whole.events):
        with suppress(AssertionError):  # it may not come to rest, either
            ended = await lived(start, last)
            kinds = [kind for _, kind in ended.commits]
            if bought_twice := kinds.count("purchase") > 3:
                break
    assert bought_twice


# --- files that are edited while a purchase is unconfirmed ----------------------------------------


@attrs.frozen
class Doubt:
    """A purchase was made, its answer never read, and its process is gone."""

    box: Sandbox
    operator: Operator
    row: FleetRow

    @property
    def number(self) -> str:
        return self.box.ledger.purchases[0].phone_number or ""

    @property
    def changes(self) -> list[str]:
        return [commit.kind for commit in self.box.ledger.commits]


@pytest.fixture(params=list(CLIENTS))
async def doubt(request: pytest.FixtureRequest) -> AsyncIterator[Doubt]:
    row = bought("old", request.param)
    async with Sandbox(seed=1) as box, await heir_of(box, row) as heir:
        assert commits(box) == [(row.platform, "purchase")]
        yield Doubt(box, heir, row)


async def heir_of(box: Sandbox, row: FleetRow) -> Operator:
    """Return who comes hours after one that ended when *row* was answered, with the journal."""
    life = Life(answer_to="POST")
    journal = MortalJournal(life)
    async with Operator(box, journal, life=life) as dying:
        life.task = asyncio.create_task(dying.apply([row]))
        await asyncio.wait([life.task])
        dying.clock.advance(7_200.0)
        return Operator(box, MortalJournal(Life(), journal), clock=dying.clock)


async def test_another_label_is_written_to_the_number_that_was_bought(doubt: Doubt) -> None:
    await doubt.operator.settle([saying(doubt.row, label="Other")])
    state = await doubt.operator.state()
    assert {key[1]: shown["label"] for key, shown in state.numbers.items()} == {
        doubt.number: "Other"
    }
    assert doubt.changes.count("purchase") == 1


@pytest.mark.parametrize("doubt", ["sigmamind", "dialnexa"], indirect=True)
async def test_another_country_is_too_late_and_buys_nothing(doubt: Doubt) -> None:
    """The number came as it was asked for; the row that says otherwise is told so."""
    edited = saying(doubt.row, country_code="CA")
    for end in ("failed", "problem"):
        assert await doubt.operator.apply([edited]) == {"old": end}
    await doubt.operator.settle([doubt.row])
    assert doubt.box.ledger.owned() == [doubt.number]
    assert doubt.changes.count("purchase") == 1


@pytest.mark.parametrize("label", ["Desk", "Other"])
async def test_a_row_that_was_renamed_buys_nothing(doubt: Doubt, label: str) -> None:
    """It may be the same row, also with another label: an operator has to say which it is."""
    renamed = saying(attrs.evolve(doubt.row, id="new"), label=label)
    for _ in range(3):
        assert set((await doubt.operator.apply([renamed])).values()) <= {"failed", "problem"}
    await doubt.operator.settle([doubt.row])
    assert doubt.changes.count("purchase") == 1


async def test_without_the_look_at_removed_rows_a_renamed_row_buys(
    doubt: Doubt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard at work: the control of the test above."""
    monkeypatch.setattr(StateIndex, "removed_purchase", lambda *_, **__: None)
    await doubt.operator.settle([saying(attrs.evolve(doubt.row, id="new"), label="Other")])
    assert doubt.changes.count("purchase") == 2


async def test_a_renamed_row_is_told_the_number_once_it_is_known(doubt: Doubt) -> None:
    """The purchase was settled, and the run that would have noted its number is gone."""
    for provisioner in doubt.operator.provisioners.values():
        await provisioner.reconcile()
    made = await doubt.operator.planned([saying(attrs.evolve(doubt.row, id="new"), label="Other")])
    (problem,) = made.problems
    assert f"{doubt.number} was bought for the row old" in problem.message


async def test_a_renamed_row_that_names_its_number_takes_it(doubt: Doubt) -> None:
    renamed = saying(attrs.evolve(doubt.row, id="new"), phone_number=doubt.number)
    await doubt.operator.settle([renamed])
    assert (await doubt.operator.notes())["new"].phone_number == doubt.number
    assert doubt.changes.count("purchase") == 1


async def test_a_row_that_was_taken_out_is_remembered(doubt: Doubt) -> None:
    await doubt.operator.settle([])
    assert doubt.changes == ["purchase"]
    await doubt.operator.settle([doubt.row])
    assert doubt.box.ledger.owned() == [doubt.number]
    assert doubt.changes.count("purchase") == 1


@pytest.mark.parametrize("allow", [False, True])
async def test_a_row_that_says_absent_waits_until_it_is_known(doubt: Doubt, allow: bool) -> None:
    """What is not known to be there cannot be said to be absent."""
    gone = absent(doubt.row)
    assert await doubt.operator.apply([gone], allow_release=allow) == {"old": "problem"}
    assert doubt.changes == ["purchase"]
    await doubt.operator.settle([doubt.row])
    assert await doubt.operator.apply([gone], allow_release=allow) == {
        "old": "done" if allow else "skipped"
    }
    assert doubt.changes.count("release") == int(allow)
    assert doubt.changes.count("purchase") == 1


async def test_another_platform_buys_nothing(doubt: Doubt) -> None:
    others = [name for name in CLIENTS if name != doubt.row.platform]
    for name in others:
        assert await doubt.operator.apply([bought("old", name)]) == {"old": "problem"}
    assert doubt.changes == ["purchase"]


async def test_another_number_buys_nothing(doubt: Doubt) -> None:
    """Where the unconfirmed number is known; elsewhere what was begun goes on, as it was."""
    edited = saying(doubt.row, phone_number="+14155550177")
    for _ in range(3):
        assert set((await doubt.operator.apply([edited])).values()) <= {"failed", "problem"}
    assert doubt.box.ledger.owned() == [doubt.number]
    assert doubt.changes.count("purchase") == 1


@pytest.mark.parametrize("platform", list(CLIENTS))
async def test_a_number_of_ones_own_choosing_is_bought_once(platform: str) -> None:
    """Whatever the row is called by then: its number is one that the account has."""
    row = bought("old", platform, phone_number="+14155550114")
    async with Sandbox(seed=1) as box:
        async with await heir_of(box, row) as heir:
            await heir.settle([attrs.evolve(row, id="new")])
            assert (await heir.notes())["new"].phone_number == row.phone_number
        assert len(box.ledger.purchases) == 1


@pytest.mark.parametrize("platform", list(CLIENTS))
async def test_an_import_in_doubt_goes_on_with_its_password(platform: str) -> None:
    """The journal has no password: the row has, and what else it says is written behind."""
    row = imported("old", platform, "+14155550114")
    async with Sandbox(seed=1) as box:
        async with await heir_of(box, row) as heir:
            await heir.settle([saying(row, label="Other")])
            (shown,) = (await heir.state()).numbers.values()
            assert shown["label"] == "Other"
            assert (await heir.notes())["old"].fields["trunk_password"] == "env:TRUNK"
            assert (await heir.provisioners[platform].status()).is_settled
        assert len(box.ledger.of_kind("import")) == 1
