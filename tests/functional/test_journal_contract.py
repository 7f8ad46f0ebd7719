"""One set of promises, kept by every journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigmamind_async.provisioning.journal.memory import MemoryJournal
from sigmamind_async.provisioning.journal.protocol import CHUNK, Counts, Journal, PutResult
from sigmamind_async.provisioning.journal.sqlite import SqliteJournal
from sigmamind_async.provisioning.row import UNSETTLED, Kind, Row, State
from tests.functional.journals import ACCOUNT, a_row, after
from tests.harness.postgres import Server

Opened: TypeAlias = AbstractAsyncContextManager[Journal]
Make: TypeAlias = Callable[[Path], Opened]

JOURNALS: dict[str, Make] = {
    "memory": lambda folder: MemoryJournal(),
    "sqlite": lambda folder: SqliteJournal(folder / "orders.db"),
    "sqlite-shared": lambda folder: SqliteJournal(folder / "orders.db", shared=True),
}
DURABLE = ["sqlite", "sqlite-shared", "postgres"]
KEY = "+14155550100"


@pytest.fixture(params=[*JOURNALS, "postgres"])
def make(request: pytest.FixtureRequest) -> Make:
    """Return what opens the journal of a folder."""
    return _made(request)


@pytest.fixture(params=DURABLE)
def make_durable(request: pytest.FixtureRequest) -> Make:
    return _made(request)


def _made(request: pytest.FixtureRequest) -> Make:
    if request.param != "postgres":
        return JOURNALS[request.param]
    server: Server = request.getfixturevalue("postgres")
    return server.journal


@pytest.fixture
def opened(make: Make, tmp_path: Path) -> Opened:
    return make(tmp_path)


def bought(op_id: str, count: int = 1) -> Row:
    """Return the write of an operation that brought *count* numbers."""
    return a_row(op_id, State.DONE, duplicates=tuple(map(str, range(count - 1))))


async def stored(journal: Journal, *rows: Row) -> None:
    for row in rows:
        assert await journal.put(row) is PutResult.STORED


# ---------------------------------------------------------------- one row


async def test_a_stored_row_is_given_back(opened: Opened) -> None:
    async with opened as journal:
        await stored(journal, a_row())
        assert await journal.get(ACCOUNT, "order-1") == a_row()


async def test_what_was_not_stored_is_not_there(opened: Opened) -> None:
    async with opened as journal:
        await stored(journal, a_row())
        assert await journal.get(ACCOUNT, "order-2") is None
        assert await journal.get("verbex", "order-1") is None


async def test_a_later_write_replaces_the_whole_row(opened: Opened) -> None:
    async with opened as journal:
        second = after(
            a_row(), state=State.DONE, result={"a": [1, None]}, request_fields={}, token="OTHER"
        )
        await stored(journal, a_row(), second)
        assert await journal.get(ACCOUNT, "order-1") == second


@pytest.mark.parametrize("version", [0, 1, 3, 9])
async def test_a_write_must_follow_the_one_it_has_seen(opened: Opened, version: int) -> None:
    async with opened as journal:
        await stored(journal, a_row())
        late = a_row(state=State.DONE, version=version)
        assert await journal.put(late) is PutResult.STALE
        assert await journal.get(ACCOUNT, "order-1") == a_row()


@pytest.mark.parametrize("version", [0, 2])
async def test_the_first_write_has_fence_1(opened: Opened, version: int) -> None:
    async with opened as journal:
        assert await journal.put(a_row(version=version)) is PutResult.STALE
        assert await journal.get(ACCOUNT, "order-1") is None


async def test_of_many_writers_one_wins(opened: Opened) -> None:
    async with opened as journal:
        written = await asyncio.gather(*(journal.put(a_row(owner=str(n))) for n in range(50)))
        assert (written.count(PutResult.STORED), written.count(PutResult.STALE)) == (1, 49)


# ---------------------------------------------------------------- one operation on one number


async def test_a_write_that_is_not_waited_for_is_seen_by_who_reads_next(opened: Opened) -> None:
    async with opened as journal:
        written = [await journal.put(row, durable=False) for row in (a_row(), after(a_row()))]
        assert written == [PutResult.STORED] * 2
        assert await journal.get(ACCOUNT, "order-1") == after(a_row())


async def test_a_write_that_is_not_waited_for_is_made_before_the_end(
    make_durable: Make, tmp_path: Path
) -> None:
    """Closing the journal waits for it."""
    async with make_durable(tmp_path) as journal:
        await journal.put(a_row(), durable=False)
    async with make_durable(tmp_path) as journal:
        assert await journal.get(ACCOUNT, "order-1") == a_row()


async def test_what_was_noted_last_is_kept_by_its_name(opened: Opened) -> None:
    async with opened as journal:
        for name, text in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("b", None)]:
            await journal.set_last_applied(name, text)
        assert await journal.last_applied() == {"a": "3", "c": "4"}


async def test_a_lease_has_one_holder_until_it_ends(opened: Opened) -> None:
    async with opened as journal:
        assert await journal.acquire_lease("upkeep", "a", now=0.0, until=10.0)
        assert not await journal.acquire_lease("upkeep", "b", now=9.0, until=19.0)
        assert await journal.acquire_lease("another", "b", now=9.0, until=19.0)
        assert await journal.acquire_lease("upkeep", "a", now=9.0, until=20.0)
        assert not await journal.acquire_lease("upkeep", "b", now=19.0, until=30.0)
        assert await journal.acquire_lease("upkeep", "b", now=20.0, until=30.0)
        assert await journal.acquire_lease("upkeep", "b", now=21.0, until=21.0)
        assert await journal.acquire_lease("upkeep", "a", now=21.0, until=30.0)


async def test_a_number_has_one_unsettled_operation(opened: Opened) -> None:
    async with opened as journal:
        for held, wanted in product(State, State):
            key = f"{held} {wanted}"
            first, second = a_row(f"1 {key}", held, key=key), a_row(f"2 {key}", key=key)
            await stored(journal, first, second)
            refused = held in UNSETTLED and wanted in UNSETTLED
            answer = await journal.put(after(second, state=wanted))
            assert answer is (PutResult.KEY_IN_USE if refused else PutResult.STORED), key


async def test_an_operation_does_not_stand_in_its_own_way(opened: Opened) -> None:
    async with opened as journal:
        first = a_row(state=State.SENDING, key=KEY)
        await stored(journal, first, after(first, state=State.UNCONFIRMED))


@pytest.mark.parametrize(
    "other", [{"key": "+14155550199"}, {"account": "verbex"}], ids=["number", "account"]
)
async def test_other_numbers_are_free(opened: Opened, other: dict[str, Any]) -> None:
    async with opened as journal:
        second = a_row("order-2", State.SENDING, key=KEY)
        await stored(journal, a_row(state=State.SENDING, key=KEY), attrs.evolve(second, **other))


async def test_operations_without_a_number_are_free(opened: Opened) -> None:
    async with opened as journal:
        await stored(journal, *(a_row(str(n), State.SENDING) for n in range(3)))


async def test_of_many_claims_on_a_number_one_wins(opened: Opened) -> None:
    async with opened as journal:
        claims = (journal.put(a_row(str(n), State.SENDING, key=KEY)) for n in range(50))
        written = await asyncio.gather(*claims)
        assert (written.count(PutResult.STORED), written.count(PutResult.KEY_IN_USE)) == (1, 49)


# ---------------------------------------------------------------- what may be spent


async def test_no_more_is_bought_than_allowed(opened: Opened) -> None:
    async with opened as journal:
        puts = (journal.put(bought(str(n)), max_purchases=7) for n in range(50))
        written = await asyncio.gather(*puts)
        assert (written.count(PutResult.STORED), written.count(PutResult.LIMIT_REACHED)) == (7, 43)
        assert (await journal.counts(ACCOUNT)).purchase_count == 7


async def test_what_adds_nothing_is_written_past_the_limit(opened: Opened) -> None:
    async with opened as journal:
        first = a_row(state=State.SENDING)
        await stored(journal, first)
        done = after(first, state=State.DONE)
        assert await journal.put(done, max_purchases=0) is PutResult.STORED


async def test_only_the_rows_own_account_counts(opened: Opened) -> None:
    async with opened as journal:
        await stored(journal, attrs.evolve(bought("order-1", 5), account="verbex"))
        assert await journal.put(bought("order-2"), max_purchases=1) is PutResult.STORED


async def test_what_turns_out_not_to_be_bought_is_free_again(opened: Opened) -> None:
    async with opened as journal:
        first = a_row(state=State.SENDING)
        await stored(journal, first, after(first, state=State.FAILED))
        assert await journal.put(bought("order-2"), max_purchases=1) is PutResult.STORED


async def test_busy_is_said_before_spent(opened: Opened) -> None:
    async with opened as journal:
        exact = a_row(state=State.SENDING, key=KEY, kind=Kind.EXACT_PURCHASE)
        await stored(journal, exact)
        for state, answer in (
            (State.SENDING, PutResult.KEY_IN_USE),
            (State.DONE, PutResult.LIMIT_REACHED),
        ):
            second = attrs.evolve(exact, op_id="order-2", state=state)
            assert await journal.put(second, max_purchases=1) is answer


# ---------------------------------------------------------------- many rows


async def test_rows_are_found_by_state_the_oldest_first(opened: Opened) -> None:
    async with opened as journal:
        for state in State:
            await stored(journal, *(a_row(f"{n} {state}", state) for n in (2, 1)))
        await stored(journal, after(a_row(f"2 {State.DONE}", State.DONE)))
        found = await journal.in_states(ACCOUNT, {State.DONE, State.FAILED})
        names = [row.op_id for row in found]
        assert names == [f"{n} {s}" for s in (State.DONE, State.FAILED) for n in (2, 1)]
        assert await journal.in_states(ACCOUNT, []) == []
        assert await journal.in_states("verbex", list(State)) == []


async def test_unsettled_rows_are_those_of_which_something_is_still_to_come(
    opened: Opened,
) -> None:
    """Of the planned ones those with an earlier attempt that went unanswered."""
    early: dict[str, Any] = {"kind": Kind.EXACT_PURCHASE, "unconfirmed_since": 5.0, "key": KEY}
    async with opened as journal:
        for state in reversed(State):
            await stored(journal, a_row(state.value, state))
        await stored(
            journal,
            a_row("early", **early),
            a_row("absent", **early, proven_absent=True),
            a_row("late", unconfirmed_since=5.0),
        )
        found = [row.op_id for row in await journal.unsettled(ACCOUNT)]
        undecided = ["needs_decision", "duplicate", "unconfirmed", "sending"]
        assert found == [*undecided, "early", "absent", "late"]
        assert await journal.unsettled("verbex") == []


async def test_rows_are_read_a_chunk_at_a_time(opened: Opened) -> None:
    async with opened as journal:
        names = [f"{n:04}" for n in range(CHUNK + 2)]
        await asyncio.gather(*(journal.put(a_row(name, State.DONE)) for name in reversed(names)))
        await stored(journal, a_row("0000 planned"))
        states = {State.DONE, State.FAILED}
        first = await journal.next_rows(ACCOUNT, states, "")
        assert [row.op_id for row in first] == names[:CHUNK]
        rest = await journal.next_rows(ACCOUNT, states, first[-1].op_id)
        assert [row.op_id for row in rest] == names[CHUNK:]
        assert await journal.next_rows(ACCOUNT, states, names[-1]) == []


async def test_rows_are_found_by_token(opened: Opened) -> None:
    async with opened as journal:
        await stored(journal, *(a_row(str(n), token=f"T{n}") for n in range(3)))
        many = [f"X{n}" for n in range(40_000)]
        assert await journal.with_tokens(ACCOUNT, {"T0", "T2"}) == [
            a_row("0", token="T0"),
            a_row("2", token="T2"),
        ]
        assert len(await journal.with_tokens(ACCOUNT, ["T1", *many])) == 1
        assert await journal.with_tokens("verbex", {"T1"}) == []


async def test_rows_of_a_number_are_found_while_they_matter(opened: Opened) -> None:
    """Those that are unsettled, and those whose doubt began lately."""
    async with opened as journal:
        await stored(
            journal,
            a_row("unsettled", State.UNCONFIRMED, key=KEY),
            a_row("doubted", State.DONE, key=KEY, unconfirmed_since=501.0),
            a_row("long ago", State.DONE, key=KEY, unconfirmed_since=500.0),
            a_row("settled", State.DONE, key=KEY),
            a_row("other", State.SENDING, key="+14155550199"),
        )
        found = await journal.with_key(ACCOUNT, KEY, 500.0)
        assert [row.op_id for row in found] == ["unsettled", "doubted"]
        assert await journal.with_key("verbex", KEY, 500.0) == []


async def test_rows_with_a_tag_are_found_once_they_are_old(opened: Opened) -> None:
    async with opened as journal:
        await stored(
            journal,
            a_row("old", State.DONE, tagged=True, updated_at=499.0),
            a_row("young", State.DONE, tagged=True, updated_at=500.0),
            a_row("without", State.DONE, updated_at=499.0),
            a_row("not done", State.DUPLICATE, tagged=True, updated_at=499.0),
        )
        found = await journal.tagged_before(ACCOUNT, 500.0)
        assert [row.op_id for row in found] == ["old"]
        assert await journal.tagged_before("verbex", 500.0) == []


async def test_rows_are_counted_by_state(opened: Opened) -> None:
    async with opened as journal:
        await stored(journal, a_row("1"), bought("2", 3), a_row("3", State.SENDING), a_row("4"))
        counts = Counts({State.PLANNED: 2, State.DONE: 1, State.SENDING: 1}, 4)
        assert await journal.counts(ACCOUNT) == counts
        assert await journal.counts("verbex") == Counts({}, 0)


# ---------------------------------------------------------------- the journal itself


async def test_the_latest_write_is_known(opened: Opened) -> None:
    async with opened as journal:
        assert journal.latest == 0.0
        await stored(journal, a_row("1", updated_at=7.5), a_row("2", updated_at=3.0))
        await journal.put(a_row("1", updated_at=99.0))
        assert journal.latest == 7.5


async def test_key_fingerprints_are_kept_for_each_account(opened: Opened) -> None:
    async with opened as journal:
        assert await journal.key_fingerprints(ACCOUNT) == frozenset()
        for seal in ("a", "b", "a"):
            await journal.add_key_fingerprint(ACCOUNT, seal)
        assert await journal.key_fingerprints(ACCOUNT) == {"a", "b"}
        assert await journal.key_fingerprints("verbex") == frozenset()


async def test_each_journal_has_an_id_of_its_own(make: Make, tmp_path: Path) -> None:
    ids: set[str] = set()
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        async with make(folder) as journal:
            ids.add(journal.journal_id)
    assert [len(each) for each in ids] == [32, 32]


# ---------------------------------------------------------------- all of them alike

_WRITES = st.lists(
    st.tuples(
        st.builds(
            a_row,
            st.sampled_from(["a", "b", "c"]),
            st.sampled_from(State),
            account=st.sampled_from([ACCOUNT, "verbex"]),
            kind=st.sampled_from(Kind),
            key=st.sampled_from(["", KEY]),
            version=st.integers(1, 3),
            duplicates=st.sampled_from([(), ("x",)]),
            updated_at=st.floats(0.0, 9.0),
        ),
        st.none() | st.integers(0, 4),
    ),
    max_size=25,
)


async def told(
    journal: Journal, writes: list[tuple[Row, int | None]], *, at_once: bool = False
) -> list[object]:
    """Return all that *journal* answers to *writes*, and then holds."""
    puts = [journal.put(row, max_purchases=limit) for row, limit in writes]
    answers = await asyncio.gather(*puts) if at_once else [await put for put in puts]
    accounts = [ACCOUNT, "verbex"]
    counted = [await journal.counts(account) for account in accounts]
    rows = [await journal.in_states(account, list(State)) for account in accounts]
    return [answers, counted, rows, journal.latest]


@settings(max_examples=30)
@given(writes=_WRITES, at_once=st.booleans())
def test_every_journal_answers_as_the_one_in_memory(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[Row, int | None]], at_once: bool
) -> None:
    """Whatever is written in whatever order, one by one or at once."""
    folder = tmp_path_factory.mktemp("alike")

    async def main() -> None:
        async with SqliteJournal(folder / "orders.db") as journal:
            assert await told(journal, writes, at_once=at_once) == await told(
                MemoryJournal(), writes
            )

    asyncio.run(main())


@settings(max_examples=30)
@given(writes=_WRITES)
def test_postgres_answers_as_the_journal_in_memory(
    postgres: Server, writes: list[tuple[Row, int | None]]
) -> None:
    """Whatever is written one by one; of what comes at once any may be the first there."""
    folder = Path("alike")

    async def main() -> None:
        async with postgres.journal(folder):
            postgres.empty(folder)
        async with postgres.journal(folder) as journal:
            assert await told(journal, writes) == await told(MemoryJournal(), writes)

    asyncio.run(main())
