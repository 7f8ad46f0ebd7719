"""The three renderers, without a terminal: records in, text out."""

from __future__ import annotations

import json
import unicodedata

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from sigmamind_async.bulk import Progress
from sigmamind_async.cli.output.console import Form, Output, chosen_form
from sigmamind_async.cli.output.events import (
    Crash,
    Entrance,
    Killed,
    NumberList,
    NumberRecord,
    OpenRow,
    PlanShown,
    Problems,
    Ready,
    Record,
    Released,
    RowChange,
    RowError,
    RowResult,
    SandboxReady,
    Standing,
    Summary,
    Verdict,
    Verification,
    Verifications,
    VerificationSummary,
    Way,
)
from sigmamind_async.cli.output.json_lines import json_lines
from sigmamind_async.cli.output.progress import Traffic, bar_line
from sigmamind_async.cli.output.terminal import row_text, screen
from sigmamind_async.cli.output.text import LONGEST_SHOWN, Widths, clean, plain, row_line
from sigmamind_async.events import AttemptFinished, Throttled
from sigmamind_async.fleet import Action, Plan, Problem, Step
from sigmamind_async.fleet import Change as FieldChange
from sigmamind_async.operation import Verdict as Proof
from sigmamind_async.provisioning.row import State

DONE = RowResult(
    line=12,
    id="order-7",
    action="create",
    status="done",
    phone_number="+14155550123",
    attempts=2,
    elapsed=0.1234,
)
FAULT = RowError(
    kind="ConflictError", message="409: held", committed="no", status=409, advice="look"
)
FAILED = RowResult(line=3, id=None, action="import", status="failed", fault=FAULT)
SUMMARY = Summary(asked=4, done=2, failed=1, unconfirmed=1, requests=9, throttled=3, seconds=2.0)
NUMBER = NumberRecord(
    platform="sigmamind",
    phone_number="+14155550123",
    provider="twilio",
    label="Support",
    inbound_agent_id="agent_1",
    outbound_agent_id=None,
    test_number=None,
    termination_uri=None,
    active=True,
)
WAITING = OpenRow(
    id="row-7",
    state=State.NEEDS_DECISION,
    asked="to buy",
    since=1.0,
    believable=None,
    listings=2,
    known="",
    story=("asked to buy", "attempt 1: sending"),
    ways=(
        Way(
            command="sigmamind reconcile a.csv --only row-7 --retry-unconfirmed", meaning="send it"
        ),
    ),
)
DOUBTFUL = attrs.evolve(WAITING, id="row-8", state=State.UNCONFIRMED, believable=1000.0, ways=())
STANDING = Standing(
    journal="a.csv.journal.db",
    platform="sigmamind",
    counts={State.DONE: 1200, State.UNCONFIRMED: 1, State.NEEDS_DECISION: 1},
    bought=1202,
    rows=(WAITING, DOUBTFUL),
    settle="sigmamind reconcile a.csv --wait",
    now=10.0,
)
PLAN = Plan(
    steps=(
        Step(
            id="desk",
            platform="sigmamind",
            action=Action.UPDATE,
            phone_number="+14155550123",
            changes=(FieldChange("label", "A", "B"),),
        ),
    ),
    rows={},
)
VERIFIED = Verification(
    phone_number="+14155550123",
    status="passed",
    destination="+14155550199",
    call_id="call_1",
    call_status="ended",
    termination_reason="agent_ended_call",
    duration=4.2,
)
UNPROVEN = attrs.evolve(VERIFIED, status="unconfirmed", fault=FAILED.fault)

RECORDS: list[Record] = [
    DONE,
    FAILED,
    SUMMARY,
    NUMBER,
    NumberList((NUMBER, NUMBER)),
    Released(platform="sigmamind", phone_number="+14155550123"),
    Released(platform="dialnexa", record_id="phn_f7w2kx5mb9qz"),
    SandboxReady(
        (
            Entrance(
                platform="verbex",
                base_url="http://127.0.0.1:1",
                api_key="made-up",
                environment={"VERBEX_API_KEY": "made-up"},
            ),
        )
    ),
    RowChange(
        id="row-7", before=State.UNCONFIRMED, after=State.DONE, text="found +14155550123 by its tag"
    ),
    Crash(platform="sigmamind", done=12, under_way=8, untouched=100, unheard=3),
    Ready(accounts=("sigmamind", "verbex"), database="PostgreSQL on db", concurrency=20),
    Killed(worker=2, under_way=4, done=12, asked=120),
    attrs.evolve(SUMMARY, requests=None, throttled=None),
    STANDING,
    PlanShown(file="fleet.csv", plan=PLAN),
    Problems((Problem(message="is unknown", id="desk", field="label", file="f.csv", line=2),)),
    attrs.evolve(SUMMARY, unchanged=3),
    VERIFIED,
    Verifications((VERIFIED, UNPROVEN)),
    VerificationSummary(asked=2, passed=1, unconfirmed=1),
    Verdict(asked_to_buy=2, bought=3, bought_twice=1),
]


def drawn(thing: RenderableType, width: int = 120) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(thing)
    return capture.get()


def test_a_row_is_one_aligned_line() -> None:
    widths = Widths.of(last_line=1200, id_width=8)

    assert row_line(DONE, widths) == "line   12  done         create  order-7   +14155550123"
    assert row_line(FAILED, widths) == (
        "line    3  failed       import                              409: held - look"
    )


def test_a_file_without_ids_has_no_column_for_them() -> None:
    assert plain(DONE) == "line 12  done         create  +14155550123"


def test_a_row_of_a_fleet_tells_its_platform_and_what_was_left_out() -> None:
    held = attrs.evolve(DONE, platform="verbex", status="skipped", remark="needs --allow-release")
    widths = Widths(line=2, id=7, action=8, platform=9)

    assert row_line(held, widths) == (
        "line 12  skipped      verbex     create    order-7  +14155550123"
        "      needs --allow-release"
    )
    assert drawn(row_text(held, widths)).rstrip() == row_line(held, widths)
    assert json.loads(json_lines(held))["platform"] == "verbex"


def test_a_row_of_no_file_has_no_line() -> None:
    assert row_line(DONE, Widths(line=0)) == "done         create  +14155550123"


def test_what_was_as_it_should_be_is_counted_for_fleets_alone() -> None:
    fleet = attrs.evolve(SUMMARY, unchanged=3)

    assert "unchanged" in plain(fleet)
    assert "unchanged" not in plain(SUMMARY) + json_lines(SUMMARY)
    assert json.loads(json_lines(fleet))["summary"]["unchanged"] == 3


def test_a_row_as_json() -> None:
    assert json.loads(json_lines(DONE)) == {
        "line": 12,
        "id": "order-7",
        "action": "create",
        "status": "done",
        "phone_number": "+14155550123",
        "error": None,
        "attempts": 2,
        "elapsed_ms": 123,
        "earlier": False,
    }


def test_a_summary_has_its_rate() -> None:
    summary = json.loads(json_lines(SUMMARY))["summary"]

    assert (summary["rate"], summary["throttled"], summary["stopped"]) == (2.0, 3, None)


@pytest.mark.parametrize("record", RECORDS)
def test_every_record_has_all_three_forms(record: Record) -> None:
    assert plain(record)
    assert drawn(screen(record)).strip()
    assert all(json.loads(line) for line in json_lines(record).splitlines())


@pytest.mark.parametrize("record", RECORDS)
def test_no_table_is_wider_than_a_terminal(record: Record) -> None:
    assert all(len(line) <= 80 for line in drawn(screen(record)).splitlines())


def test_what_a_command_takes_is_never_folded() -> None:
    """A record id stands in one piece even where the table does not fit."""
    record_id = "65f2c0a1b2c3d4e5f6a7b8c9"
    listed = NumberList((attrs.evolve(NUMBER, record_id=record_id),))

    for text in (drawn(screen(listed), width=80), plain(listed)):
        assert "record id" in text
        assert record_id in text
    assert "record id" not in plain(NumberList((NUMBER,)))


def test_a_verdict_that_does_not_hold_is_loud() -> None:
    assert "BROKEN" in drawn(screen(RECORDS[-1]))
    assert "BROKEN" in plain(RECORDS[-1])


@pytest.mark.usefixtures("unmeasured")
@given(st.text())
def test_cleaned_text_is_harmless(text: str) -> None:
    """One line, no escape sequence, no change of direction, not too long."""
    shown = clean(text)

    assert len(shown) <= LONGEST_SHOWN
    assert not {unicodedata.category(each) for each in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert shown.encode().decode() == shown


def test_a_standing_begins_with_what_somebody_has_to_do() -> None:
    headline, *lines = plain(STANDING).splitlines()
    decision, doubt = lines.index("row-7: needs a decision"), plain(STANDING).index("row-8")

    assert headline == ("a.csv.journal.db (sigmamind): 1 row needs a decision, 1 is unconfirmed")
    assert lines[1:5] == [
        "  1,200  done",
        "      1  unconfirmed",
        "      1  needs a decision",
        "  1,202  numbers paid for, unconfirmed ones included",
    ]
    assert "    sigmamind reconcile a.csv --only row-7 --retry-unconfirmed" in lines[decision:]
    assert plain(STANDING).index("row-7") < doubt
    assert "can be believed from " in plain(STANDING)
    assert ", in 16:30" in plain(STANDING)


def test_many_rows_are_cut_for_a_person_and_not_for_a_program() -> None:
    many = attrs.evolve(STANDING, rows=tuple(attrs.evolve(DOUBTFUL, id=f"r{i}") for i in range(50)))

    assert "... and 30 more of these; --json shows all" in plain(many)
    assert len(json_lines(many).splitlines()) == 51


def test_times_for_programs_are_utc() -> None:
    _, _, doubtful = map(json.loads, json_lines(STANDING).splitlines())

    assert doubtful["row"]["believable"] == "1970-01-01T00:16:40Z"


def test_a_command_on_a_terminal_is_not_folded(capsys: pytest.CaptureFixture[str]) -> None:
    way = Way(command="sigmamind reconcile " + "x" * 200, meaning="")
    row = attrs.evolve(WAITING, ways=(way,))
    Output(form=Form.SCREEN).show(attrs.evolve(STANDING, rows=(row,)))

    assert way.command in capsys.readouterr().out


def test_letters_of_all_scripts_are_kept() -> None:
    assert clean("Zoë, 東京, हिन्दी") == "Zoë, 東京, हिन्दी"


def test_the_bar_shows_how_it_goes() -> None:
    progress = Progress(total=100, done=10, failed=2, unconfirmed=1, started=0.0, clock=lambda: 2.0)
    line = drawn(bar_line(progress, Traffic(requests=20, throttled=3)))

    for part in ("13/100", "10 done", "2 failed", "1 unconfirmed", "6/s", "0:13", "3 429s"):
        assert part in line


def test_a_bar_without_a_total_knows_no_end() -> None:
    assert "-:--" in drawn(bar_line(Progress(), Traffic()))


def test_traffic_counts_what_the_client_tells() -> None:
    traffic = Traffic()
    traffic(
        AttemptFinished(operation="x", attempt=1, verdict=Proof.CONFIRMED, status=200, elapsed=0.1)
    )
    traffic(Throttled(operation="x", pause=1.0, rate=5.0))

    assert traffic == Traffic(requests=1, throttled=1)


def test_json_comes_before_what_a_terminal_likes() -> None:
    assert chosen_form(json=True, terminal=True) is Form.JSON
    assert chosen_form(json=False, terminal=True) is Form.SCREEN
    assert chosen_form(json=False, terminal=False) is Form.PLAIN
