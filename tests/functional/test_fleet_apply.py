"""A plan, applied over real sockets: checked first, refused where the state moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from sigmamind_async import PlanError, Progress, SigmaMind, StopOn, Verbex
from sigmamind_async.errors import APIConnectionError, AuthenticationError, ConfigurationError
from sigmamind_async.fleet import (
    DesiredState,
    Fleet,
    FleetRow,
    LastApplied,
    Plan,
    PlanOptions,
    SecretResolver,
    Source,
    apply,
    check_secrets,
    count_new_purchases,
    export,
    find_purchases,
    fleet_of,
    list_numbers,
    plan,
    refresh,
)
from sigmamind_async.fleet import load as load_fleet
from sigmamind_async.fleet.plan_file import dump_plan, load_plan
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber, ImportPhoneNumber
from sigmamind_async.provisioning import MemoryJournal, Provisioner, State
from sigmamind_async.sandbox import Sandbox, Switches
from sigmamind_async.values import UNSET, Secret
from tests.harness.ports import closed_port
from tests.unit.fleet.rows import begun

NUMBER = "+14155550100"
SECRET = "correct-horse-battery"


def row(row_id: str, source: Source, **fields: Any) -> FleetRow:
    state = fields.pop("state", DesiredState.PRESENT)
    return FleetRow(id=row_id, platform="sigmamind", source=source, state=state, fields=fields)


BOUGHT = row("bought", Source.PURCHASE, country_code="US", label="Support")
IMPORTED = row(
    "imported",
    Source.IMPORT,
    phone_number=NUMBER,
    termination_uri="trunk.example.com",
    trunk_username="user",
    trunk_password="env:TRUNK",
)


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=1) as box:
        yield box


@pytest.fixture
async def client(box: Sandbox) -> AsyncIterator[SigmaMind]:
    async with SigmaMind(box.sigmamind.api_key, base_url=box.sigmamind.base_url) as client:
        yield client


def references(environment: dict[str, str] | None = None) -> SecretResolver:
    return SecretResolver(environment={"TRUNK": SECRET} if environment is None else environment)


async def planned(client: SigmaMind, journal: MemoryJournal, *rows: FleetRow, **rules: Any) -> Plan:
    fleet = fleet_of(rows)
    known = await refresh(fleet, {"sigmamind": client}, journal)
    return plan(fleet, known, PlanOptions(**rules))


async def test_a_saved_plan_is_carried_out_once(box: Sandbox, client: SigmaMind) -> None:
    journal = MemoryJournal()
    saved = load_plan(dump_plan(await planned(client, journal, BOUGHT, IMPORTED)))
    provisioner = Provisioner(client, journal)
    for _ in range(2):
        result = await apply(saved, [provisioner], secrets=references())
        assert (dict(result.counts), result.bad) == ({"done": 2}, ())
    assert sorted(commit.operation for commit in box.ledger.commits) == ["create", "import"]
    assert SECRET not in str(await journal.last_applied())


async def test_a_plan_is_refused_once_the_state_has_moved(box: Sandbox, client: SigmaMind) -> None:
    journal = MemoryJournal()
    await client.run(ImportPhoneNumber(phone_number=NUMBER, friendly_name="Old"))
    relabel = row("desk", Source.EXISTING, phone_number=NUMBER, label="New")
    saved = await planned(client, journal, relabel)
    await client.phone_numbers.update(NUMBER, friendly_name="Third")
    commits = len(box.ledger.commits)
    with pytest.raises(PlanError, match=r"the state has changed .* desk: was to adopt"):
        await apply(saved, [Provisioner(client, journal)])
    assert len(box.ledger.commits) == commits


async def test_a_plan_with_problems_is_refused_whole(box: Sandbox, client: SigmaMind) -> None:
    journal = MemoryJournal()
    missing = row("missing", Source.EXISTING, phone_number=NUMBER, label="New")
    with pytest.raises(PlanError, match=f"missing phone_number: \\{NUMBER} is not in the account"):
        await apply(await planned(client, journal, BOUGHT, missing), [Provisioner(client, journal)])
    assert not box.ledger.commits


async def test_a_secret_that_is_not_to_be_had_is_told_before_money_is_spent(
    box: Sandbox, client: SigmaMind
) -> None:
    journal = MemoryJournal()
    todo = await planned(client, journal, BOUGHT, IMPORTED)
    with pytest.raises(PlanError, match="imported trunk_password: env:TRUNK: set the variable"):
        await apply(todo, [Provisioner(client, journal)], secrets=references({}))
    assert not box.ledger.commits


async def test_provisioners_must_fit_together(box: Sandbox, client: SigmaMind) -> None:
    journal = MemoryJournal()
    todo = await planned(client, journal, BOUGHT)
    async with Verbex(box.verbex.api_key, base_url=box.verbex.base_url) as other:
        crews = [
            [],
            [Provisioner(client, journal), Provisioner(client, journal)],
            [Provisioner(client, journal), Provisioner(other, MemoryJournal())],
        ]
        for crew in crews:
            with pytest.raises(ConfigurationError, match="one for each platform, all on one"):
                await apply(todo, crew)
        labelled = Provisioner(client, journal, account="production")
        with pytest.raises(
            ConfigurationError, match="no labels for accounts: sigmamind:production"
        ):
            await apply(todo, [labelled])
    assert not box.ledger.commits


async def test_what_was_exported_changes_nothing(client: SigmaMind) -> None:
    for label in ("Support", None, "=1+1", "'quoted'"):
        friendly_name = UNSET if label is None else label
        await client.phone_numbers.create(country_code="US", friendly_name=friendly_name)
    found = (await list_numbers(client)).values()
    fleet = fleet_of(export(found))
    again = plan(fleet, await refresh(fleet, {"sigmamind": client}, MemoryJournal()))
    assert (len(again.steps), again.writes, again.problems) == (4, 0, ())


async def test_a_fleet_on_a_platform_without_a_client_is_refused(client: SigmaMind) -> None:
    fleet = fleet_of([BOUGHT, attrs.evolve(IMPORTED, platform="verbex")])
    with pytest.raises(ConfigurationError, match="there is none for verbex"):
        await refresh(fleet, {"sigmamind": client}, MemoryJournal())


async def test_an_export_keeps_the_ids_that_the_journal_knows(client: SigmaMind) -> None:
    journal = MemoryJournal()
    await apply(await planned(client, journal, BOUGHT), [Provisioner(client, journal)])
    await client.phone_numbers.create(country_code="US")
    known = await refresh(Fleet(rows=[BOUGHT]), {"sigmamind": client}, journal)
    rows = [*export(known.numbers["sigmamind"].values(), known.last_applied)]
    assert sorted(row.id == f"sigmamind-{row.phone_number[1:]}" for row in rows) == [False, True]
    assert "bought" in [row.id for row in rows]


async def test_a_file_a_plan_and_an_application_in_seven_lines(
    client: SigmaMind, tmp_path: Path
) -> None:
    """The whole way, as a reader of the package's own page would write it."""
    from sigmamind_async import fleet

    path = tmp_path / "fleet.csv"
    path.write_text("id,platform,source,country_code,label\ndesk,sigmamind,purchase,US,Support\n")
    journal = MemoryJournal()
    wanted = fleet.load(path)
    known = await fleet.refresh(wanted, {"sigmamind": client}, journal)
    todo = fleet.plan(wanted, known)
    result = await fleet.apply(todo, [Provisioner(client, journal)])
    assert result.done
    known = await fleet.refresh(wanted, {"sigmamind": client}, journal)
    assert fleet.plan(wanted, known).writes == 0


@pytest.mark.parametrize(("label", "status"), [("Support", "done"), ("Sales", "failed")])
async def test_a_purchase_that_another_run_began_since_is_made_once(
    box: Sandbox, client: SigmaMind, label: str, status: str
) -> None:
    """Also where the plan's state, which shows no purchase, is given and not read again."""
    journal, fleet = MemoryJournal(), fleet_of([BOUGHT])
    state = await refresh(fleet, {"sigmamind": client}, journal)
    todo = plan(fleet, state)
    provisioner = Provisioner(client, journal)
    other = CreatePhoneNumber(country_code="US", friendly_name=label)
    await provisioner.run(todo.steps[0].op_id, other)

    result = await apply(todo, [provisioner], state=state)

    assert dict(result.counts) == {status: 1}
    assert len(box.ledger.purchases) == 1


async def test_a_fleet_stops_on_all_platforms_where_one_refuses_every_row(box: Sandbox) -> None:
    """The control is the same plan with ``stop_on=None``: all of its requests are sent."""
    journal, ends = MemoryJournal(), Progress()
    rows = [row(f"row-{n}", Source.PURCHASE, country_code="US", label=f"n{n}") for n in range(200)]
    place = box.sigmamind
    async with SigmaMind(place.api_key, base_url=place.base_url, max_connections=5) as client:
        box.switches = Switches(max_purchases=10)
        provisioner = Provisioner(client, journal)
        todo = await planned(client, journal, *rows)
        stopped = await apply(todo, [provisioner], progress=ends)
        sent = place.requests.by_operation["create"]
        rest = await planned(client, journal, *rows)
        control = await apply(rest, [provisioner], stop_on=None)

    assert 13 <= sent < 40
    assert (stopped.counts["done"], stopped.counts["skipped"]) == (10, ends.skipped)
    assert ends.skipped > 150
    assert "402" in stopped.stopped
    assert (control.stopped, control.counts["failed"]) == ("", 190)


OWN_NUMBERS = [
    FleetRow(
        id=f"own-{n}",
        platform="verbex",
        source=Source.IMPORT,
        fields={"phone_number": f"+141555502{n:02}", "termination_uri": "sip.example.com"},
    )
    for n in range(30)
]


async def test_what_stopped_a_run_names_the_platform_where_there_are_several(box: Sandbox) -> None:
    async with (
        MemoryJournal() as journal,
        SigmaMind(box.sigmamind.api_key, base_url=box.sigmamind.base_url) as other,
        Verbex(box.verbex.api_key, base_url=box.verbex.base_url) as reader,
        Verbex("sk-wrong", base_url=box.verbex.base_url) as client,
    ):
        fleet = fleet_of(OWN_NUMBERS)
        state = await refresh(fleet, {"verbex": reader}, journal)
        provisioners = [Provisioner(other, journal), Provisioner(client, journal)]
        run = apply(plan(fleet, state), provisioners, state=state)
        await run

    assert run.stopped.startswith("verbex: ")
    assert isinstance(run.stopped_by, AuthenticationError)


async def test_a_platform_that_is_away_does_not_stop_the_others(box: Sandbox) -> None:
    """Only its own steps are skipped, and the run says why.

    Fails where `Dispatcher` stops all platforms for it: some purchases are skipped then.
    """
    rows = [row(f"row-{n}", Source.PURCHASE, country_code="US", label=f"n{n}") for n in range(30)]
    fleet = fleet_of([*rows, *OWN_NUMBERS])
    box.latency = (0.15, 0.15)
    place = box.sigmamind
    async with (
        MemoryJournal() as journal,
        SigmaMind(place.api_key, base_url=place.base_url, max_connections=2) as client,
        Verbex(box.verbex.api_key, base_url=box.verbex.base_url) as reader,
        Verbex("sk-own", base_url=f"http://127.0.0.1:{closed_port()}") as away,
    ):
        state = await refresh(fleet, {"sigmamind": client, "verbex": reader}, journal)
        provisioners = [Provisioner(client, journal), Provisioner(away, journal)]
        ends = Counter[tuple[str, str]]()
        run = apply(
            plan(fleet, state),
            provisioners,
            state=state,
            stop_on=StopOn(patience=0.2),
            report=lambda outcome: ends.update([(outcome.step.platform, outcome.status)]),
        )
        await run

    assert ends["sigmamind", "done"] == len(box.ledger.purchases) == 30
    assert ends.keys() <= {("sigmamind", "done"), ("verbex", "failed"), ("verbex", "skipped")}
    assert run.stopped.startswith("verbex: no request has succeeded for ")
    assert isinstance(run.stopped_by, APIConnectionError)


# --- the handle of a run ------------------------------------------------------------------------


async def test_a_run_is_stopped_through_its_handle(box: Sandbox) -> None:
    """Steps under way are settled, the others skipped; the same plan goes on where it ended."""
    journal, place = MemoryJournal(), box.sigmamind
    rows = [row(f"row-{n}", Source.PURCHASE, country_code="US", label=f"n{n}") for n in range(40)]
    async with SigmaMind(place.api_key, base_url=place.base_url, max_connections=2) as client:
        provisioner = Provisioner(client, journal)
        todo = await planned(client, journal, *rows)
        run = apply(todo, [provisioner], report=lambda outcome: run.stop())
        result = await run
        assert result.counts["done"] == len(box.ledger.purchases) == run.progress.done < 10
        assert sum(result.counts.values()) == 40
        assert (run.stopped, run.stopped_by) == ("stop() was called", None)
        assert (await apply(todo, [provisioner])).done
    assert len(box.ledger.purchases) == 40


async def test_a_run_that_is_stopped_before_it_is_awaited_sends_nothing(
    box: Sandbox, client: SigmaMind
) -> None:
    journal = MemoryJournal()
    run = apply(await planned(client, journal, BOUGHT), [Provisioner(client, journal)])
    run.stop()
    assert (await run).counts == {"skipped": 1}
    assert not box.ledger.commits


async def test_a_run_is_awaited_once(client: SigmaMind) -> None:
    journal = MemoryJournal()
    run = apply(await planned(client, journal, BOUGHT), [Provisioner(client, journal)])
    await run
    with pytest.raises(ConfigurationError, match="can be awaited once"):
        await run


async def test_a_state_that_was_just_read_is_not_read_again(
    box: Sandbox, client: SigmaMind
) -> None:
    """The control is the same run without the state, which lists the account once more."""
    journal, fleet = MemoryJournal(), fleet_of([BOUGHT])
    state = await refresh(fleet, {"sigmamind": client}, journal)
    lists = box.sigmamind.requests.by_operation["list"]
    todo = plan(fleet, state)
    assert (await apply(todo, [Provisioner(client, journal)], state=state)).done
    assert box.sigmamind.requests.by_operation["list"] == lists
    assert (await apply(todo, [Provisioner(client, journal)])).done
    assert box.sigmamind.requests.by_operation["list"] > lists


async def test_rows_with_problems_can_be_skipped(box: Sandbox, client: SigmaMind) -> None:
    """Their ids stay those of the fleet: nothing is taken for a row that was removed."""
    journal = MemoryJournal()
    missing = row("missing", Source.EXISTING, phone_number=NUMBER, label="New")
    todo = (await planned(client, journal, BOUGHT, missing)).skip_problems()
    assert todo.skipped == ("missing",)
    assert load_plan(dump_plan(todo)).skipped == ("missing",)
    assert (await apply(todo, [Provisioner(client, journal)])).counts == {"done": 1}


async def test_a_function_resolves_references_too(box: Sandbox, client: SigmaMind) -> None:
    journal, read = MemoryJournal(), list[str]()

    def resolve(reference: str) -> Secret:
        read.append(reference)
        return Secret(SECRET)

    todo = await planned(client, journal, IMPORTED)
    assert (await apply(todo, [Provisioner(client, journal)], secrets=resolve)).done
    assert set(read) == {"env:TRUNK"}


async def test_missing_secrets_are_problems_of_a_plan(client: SigmaMind) -> None:
    todo = await planned(client, MemoryJournal(), BOUGHT, IMPORTED)
    checked = await check_secrets(todo, references({}))
    assert [str(problem) for problem in checked.problems] == [
        "imported trunk_password: env:TRUNK: set the variable TRUNK; it is missing or empty"
    ]
    assert ([step.id for step in checked.steps], [*checked.rows]) == (["bought"], ["bought"])
    assert await check_secrets(todo, references()) is todo


async def test_numbers_still_to_buy_are_counted_against_the_journal(client: SigmaMind) -> None:
    """The control is the same plan before anything was bought."""
    journal = MemoryJournal()
    todo = await planned(client, journal, BOUGHT)
    assert await count_new_purchases(todo, journal) == {"sigmamind": 1}
    await apply(todo, [Provisioner(client, journal)])
    assert await count_new_purchases(todo, journal) == {"sigmamind": 0}


# --- purchases in another journal ---------------------------------------------------------------


async def again(client: SigmaMind, other: MemoryJournal, *rows: FleetRow) -> list[str]:
    """Return the rows of a fleet with a new journal that *other* has bought already."""
    fleet, journal = fleet_of(rows), MemoryJournal()
    state = await refresh(fleet, {"sigmamind": client}, journal)
    return await find_purchases(plan(fleet, state), state, other)


SIBLINGS = {
    "the same file": BOUGHT,
    "another id": attrs.evolve(BOUGHT, id="other"),
    "another label": attrs.evolve(BOUGHT, fields={**BOUGHT.fields, "label": "Other"}),
}


@pytest.mark.parametrize("copied", SIBLINGS.values(), ids=SIBLINGS)
async def test_a_copied_file_is_known_by_the_purchases_of_the_first_journal(
    client: SigmaMind, copied: FleetRow
) -> None:
    journal = MemoryJournal()
    await apply(await planned(client, journal, BOUGHT), [Provisioner(client, journal)])
    assert await again(client, journal, copied, IMPORTED) == [copied.id]


async def test_ids_of_a_copied_file_may_have_been_rewritten(client: SigmaMind) -> None:
    journal = MemoryJournal()
    first = attrs.evolve(BOUGHT, id="0101")
    await apply(await planned(client, journal, first), [Provisioner(client, journal)])
    relabelled = {**BOUGHT.fields, "label": "Other"}
    assert await again(client, journal, attrs.evolve(BOUGHT, id="101", fields=relabelled))


async def test_what_another_journal_does_not_hold_is_bought(client: SigmaMind) -> None:
    """Negative control: other rows, imports, named numbers, and numbers that were released."""
    journal = MemoryJournal()
    await apply(await planned(client, journal, BOUGHT), [Provisioner(client, journal)])
    other = row("other", Source.PURCHASE, country_code="US", label="Other")
    assert await again(client, journal, other, IMPORTED) == []
    named = attrs.evolve(BOUGHT, fields={**BOUGHT.fields, "phone_number": NUMBER})
    assert await again(client, journal, named) == []
    (number,) = await list_numbers(client)
    await client.phone_numbers.delete(number)
    assert await again(client, journal, BOUGHT) == []


# --- fleets that share a journal ----------------------------------------------------------------


async def bought_by(
    client: SigmaMind, journal: MemoryJournal, origin: str, *ids: str, label: str = "Desk"
) -> Plan:
    """Apply the rows of a file without its problems; return its plan."""
    rows = [row(each, Source.PURCHASE, country_code="US", label=label) for each in ids]
    fleet = attrs.evolve(fleet_of(rows), origin=origin)
    todo = plan(fleet, await refresh(fleet, {"sigmamind": client}, journal))
    await apply(todo.skip_problems(), [Provisioner(client, journal)])
    return todo


async def test_fleets_on_one_journal_buy_their_own_numbers(box: Sandbox, client: SigmaMind) -> None:
    """Without a word about each other; the same without origins is the control."""
    for origins, bought in ((("eu", "us", "eu"), 4), (("", "", ""), 3)):
        journal, before = MemoryJournal(), len(box.ledger.purchases)
        first, second, third = origins
        await bought_by(client, journal, first, "eu-1", "eu-2")
        await bought_by(client, journal, second, "us-1", label="Other")
        await bought_by(client, journal, third, "eu-1", "eu-2", "eu-3", label="Third")
        assert len(box.ledger.purchases) - before == bought


@pytest.mark.parametrize(
    ("origin", "ids", "label"),
    [
        pytest.param("copy", ["a", "b"], "Desk", id="renamed"),
        pytest.param("copy", ["a", "new"], "Other", id="renamed, and an id"),
        pytest.param("copy", ["new", "newer"], "Desk", id="renamed, and all ids"),
        pytest.param("copy", ["A ", "B"], "Other", id="saved by a spreadsheet"),
        pytest.param("file", ["new", "newer"], "Other", id="all ids and labels"),
        pytest.param("", ["new", "newer"], "Other", id="piped, and all ids and labels"),
    ],
)
async def test_a_copy_on_the_same_journal_buys_nothing(
    box: Sandbox, client: SigmaMind, origin: str, ids: list[str], label: str
) -> None:
    journal = MemoryJournal()
    await bought_by(client, journal, "file", "a", "b")
    await bought_by(client, journal, origin, *ids, label=label)
    assert len(box.ledger.purchases) == 2


async def test_a_row_that_a_copy_lists_stays_the_row_of_the_file(
    box: Sandbox, client: SigmaMind
) -> None:
    """The copy was applied last; then the file renames the row. The control is another fleet."""
    journal = MemoryJournal()
    await bought_by(client, journal, "file", "a", "b", "c")
    await bought_by(client, journal, "copy", "a", "b")
    todo = await bought_by(client, journal, "file", "new", "b", "c", label="Other")
    assert len(box.ledger.purchases) == 3
    assert "the row a, which this fleet does not list" in str(todo.problems[0])
    await bought_by(client, journal, "another", "new", label="Third")
    assert len(box.ledger.purchases) == 4


async def test_a_saved_plan_is_of_its_fleet(box: Sandbox, client: SigmaMind) -> None:
    journal = MemoryJournal()
    await bought_by(client, journal, "us", "us-1")
    rows = [row("eu-1", Source.PURCHASE, country_code="US")]
    fleet = attrs.evolve(fleet_of(rows), origin="eu")
    todo = plan(fleet, await refresh(fleet, {"sigmamind": client}, journal))
    assert (await apply(load_plan(dump_plan(todo)), [Provisioner(client, journal)])).done
    await bought_by(client, journal, "", "us-1", label="Made in code")
    notes = {
        id_: LastApplied.load(id_, text) for id_, text in (await journal.last_applied()).items()
    }
    assert {id_: each.origin for id_, each in notes.items()} == {"us-1": "us", "eu-1": "eu"}


# --- files that are edited ----------------------------------------------------------------------


async def test_rows_that_a_spreadsheet_rewrote_buy_nothing(box: Sandbox, client: SigmaMind) -> None:
    """New ids, labels and order in one save. The control says which numbers are meant."""
    journal = MemoryJournal()
    provisioner = Provisioner(client, journal)
    ids = {"0101": "101", "007": "7", "Desk": "desk"}
    first = [row(id_, Source.PURCHASE, country_code="US", label=id_) for id_ in ids]
    assert (await apply(await planned(client, journal, *first), [provisioner])).done
    notes = {
        id_: LastApplied.load(id_, text) for id_, text in (await journal.last_applied()).items()
    }
    after = [
        row(new, Source.PURCHASE, country_code="US", label="all the same")
        for new in reversed(ids.values())
    ]
    with pytest.raises(PlanError, match="would buy another number"):
        await apply(await planned(client, journal, *after), [provisioner])
    assert len(box.ledger.purchases) == 3

    named = [
        attrs.evolve(each, fields={**each.fields, "phone_number": notes[old].phone_number})
        for each, old in zip(after, reversed(ids), strict=True)
    ]
    assert (await apply(await planned(client, journal, *named), [provisioner])).done
    assert len(box.ledger.purchases) == 3
    assert sorted(await journal.last_applied()) == sorted(ids.values())


@pytest.mark.parametrize("is_saved", [False, True])
async def test_a_file_that_changes_after_the_plan_changes_nothing(
    box: Sandbox, client: SigmaMind, tmp_path: Path, is_saved: bool
) -> None:
    """What was shown is what is bought. The control plans the file as it is now."""
    path, journal = tmp_path / "fleet.csv", MemoryJournal()
    header = "id,platform,source,country_code,label\n"
    path.write_text(f"{header}a,sigmamind,purchase,US,Agreed\n")
    fleet = load_fleet(path)
    todo = plan(fleet, await refresh(fleet, {"sigmamind": client}, journal))
    saved = dump_plan(todo)
    path.write_text(f"{header}a,sigmamind,purchase,US,Edited\nb,sigmamind,purchase,US,Edited too\n")
    todo = load_plan(saved) if is_saved else todo
    assert (await apply(todo, [Provisioner(client, journal)])).done
    assert len(box.ledger.purchases) == 1
    (number,) = [each async for each in client.phone_numbers.list()]
    assert (number.friendly_name or "").startswith("Agreed")

    now = load_fleet(path)
    again = plan(now, await refresh(now, {"sigmamind": client}, journal))
    assert again.purchases == 1


# --- what a refresh finds -----------------------------------------------------------------------


async def test_the_latest_operation_of_a_row_counts(client: SigmaMind) -> None:
    """One that was refused may be followed by another, which continues."""
    journal = MemoryJournal()
    for sequence, how in enumerate((State.FAILED, State.FAILED, State.UNCONFIRMED), 1):
        stored = begun("bought", state=how, sequence=sequence).row
        assert stored is not None
        await journal.put(attrs.evolve(stored, version=1))
    (step,) = (await planned(client, journal, BOUGHT)).steps
    assert step.op_id == "bought #3"
    assert step.remarks == ("continues what an earlier run began",)


async def test_an_operation_is_found_wherever_the_row_went(box: Sandbox, client: SigmaMind) -> None:
    """On another platform, or absent. The control: an existing number has no such operation."""
    journal = MemoryJournal()
    stored = begun("bought", state=State.UNCONFIRMED).row
    assert stored is not None
    await journal.put(attrs.evolve(stored, version=1))
    note = LastApplied(platform="sigmamind", source="purchase", sequence=0)
    await journal.set_last_applied("bought", note.dump())
    moved = FleetRow(id="bought", platform="verbex", source=Source.PURCHASE)
    gone = row("bought", Source.EXISTING, state=DesiredState.ABSENT)
    async with Verbex(box.verbex.api_key, base_url=box.verbex.base_url) as verbex:
        clients = {"sigmamind": client, "verbex": verbex}
        for each in (moved, gone):
            state = await refresh(fleet_of([each]), clients, journal)
            assert state.pending["bought"].platform == "sigmamind"
        state = await refresh(fleet_of([row("bought", Source.EXISTING)]), clients, journal)
        assert state.pending == {}


async def test_an_account_that_cannot_be_read_raises_its_own_error(box: Sandbox) -> None:
    async with SigmaMind("wrong", base_url=box.sigmamind.base_url) as client:
        with pytest.raises(AuthenticationError):
            await planned(client, MemoryJournal(), BOUGHT)
