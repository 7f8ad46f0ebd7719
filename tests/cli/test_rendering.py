"""How events look: on terminals of any width, in a pipe, and as JSON objects of the schema."""

from __future__ import annotations

import importlib.resources
import json
import math
import re
import time
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, get_args

import attrs
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from sigmamind_async.bulk import Progress
from sigmamind_async.cli.errors import LONGEST_SHOWN, sanitize
from sigmamind_async.cli.output import events
from sigmamind_async.cli.output.console import JobView, Output, Traffic
from sigmamind_async.cli.output.events import (
    AgentList,
    AgentRecord,
    AuditResult,
    CommandFailed,
    Diagnosis,
    DiagnosisList,
    Event,
    Exported,
    FileCreated,
    HistoryEntry,
    JobKilled,
    JournalRow,
    JournalRows,
    JournalStatus,
    NumberList,
    NumberRecord,
    NumberReleased,
    OrderPlaced,
    PlanView,
    ProblemList,
    Resolution,
    RowError,
    RowResult,
    SandboxEndpoint,
    SandboxStarted,
    StateChanged,
    Summary,
    UnsettledRow,
    Verification,
    VerificationSummary,
    View,
    WorkerKilled,
    WorkerStarted,
    type_name,
)
from sigmamind_async.cli.output.text import MOST_STEPS, Widths, plain, row_lines
from sigmamind_async.events import AttemptFinished, Throttled
from sigmamind_async.fleet import Action, Change, Plan, Problem, RemoteNumber, Step
from sigmamind_async.limiter.gate import Admission, Gate, KnownLimit
from sigmamind_async.operation import Verdict
from sigmamind_async.provisioning.row import State
from tests.cli.rendering import drawn, objects

SCHEMA: dict[str, Any] = json.loads(
    importlib.resources.files("sigmamind_async.cli.output").joinpath("schema.json").read_bytes()
)

DONE = RowResult(
    line=12,
    id="order-7",
    action="purchase",
    status="done",
    phone_number="+14155550123",
    attempts=2,
    elapsed_ms=123,
)
CONFLICT = RowError(
    type="ConflictError", message="409: held", committed="no", status=409, hint="look it up"
)
FAILED = attrs.evolve(DONE, id="z", status="failed", phone_number=None, error=CONFLICT)
SUMMARY = Summary(
    rows=6,
    done=3,
    failed=1,
    unconfirmed=1,
    skipped=1,
    already_done=1,
    requests=9,
    rate_limited=3,
    elapsed_ms=2000,
)
NUMBER = NumberRecord(
    platform="sigmamind",
    phone_number="+14155550123",
    provider="twilio",
    label="Support",
    inbound_agent_id="agent_1",
    active=True,
)
AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
UNSETTLED = UnsettledRow(
    request="buy any number",
    since=AT,
    settles_at=AT,
    listings=2,
    message="the connection broke",
    history=(HistoryEntry(at=AT, message="attempt 1: sending"),),
    tag="[sm:HLM6GQDR36B43.1]",
    resolutions=(
        Resolution(
            decision="abandon",
            command="sigmamind reconcile a.csv --only row-7 --abandon",
            meaning="stop working on the row",
        ),
    ),
)
SETTLED = JournalRow(
    row="row-6",
    op_id="row-6 #1",
    platform="sigmamind",
    action="exact_purchase",
    state=State.DONE,
    phone_number="+14155550123",
)
UNDECIDED = attrs.evolve(SETTLED, row="row-7", state=State.NEEDS_DECISION, unsettled=UNSETTLED)
STATUS = JournalStatus(
    journal="a.csv.journal.db",
    platform="sigmamind",
    now=AT,
    counts={State.DONE: 1200, State.NEEDS_DECISION: 1},
    purchased=1201,
    is_settled=False,
    reconcile_command="sigmamind reconcile a.csv --wait",
    rows=(UNDECIDED,),
)
STEPS = (
    Step(
        id="sales",
        platform="sigmamind",
        action=Action.MOVE,
        phone_number="+14155550101",
        moves_from=RemoteNumber(
            platform="verbex", record="v1", phone_number="+14155550101", shown={}
        ),
    ),
    Step(id="old", platform="verbex", action=Action.RELEASE, blocked="needs --allow-release"),
    Step(
        id="front",
        platform="sigmamind",
        action=Action.ADOPT,
        phone_number="+14155550102",
        changes=(Change("label", "A", "B", drifted=True), Change("trunk_password", None, "env:P")),
        renamed_from="reception",
    ),
    Step(
        id="drift",
        platform="sigmamind",
        action=Action.DRIFTED,
        phone_number="+14155550103",
        kept_drift=(Change("inbound_agent_id", None, "agent_1", drifted=True),),
    ),
    Step(id="same", platform="sigmamind", action=Action.UNCHANGED),
    Step(id="known", platform="sigmamind", action=Action.ADOPT, phone_number="+14155550104"),
)
PROBLEM = Problem(message="is unknown", id="desk", field="label", file="f.csv", line=2)
PLAN = Plan(steps=STEPS, rows={}, unlisted=("gone-1", "gone-2"), problems=(PROBLEM,))
VERIFIED = Verification(
    phone_number="+14155550123",
    status="passed",
    destination="+14155550199",
    call_id="call_1",
    call_status="ended",
    termination_reason="agent_ended_call",
    duration_ms=4200,
)
LEFT_OUT = Verification(phone_number="+14155550124", status="skipped", note="no destination")
ENDPOINT = SandboxEndpoint(
    platform="verbex",
    base_url="http://127.0.0.1:1",
    api_key="made up",
    openapi_url="http://127.0.0.1:1/openapi.json",
    pid=123,
    environment={"VERBEX_API_KEY": "made up"},
)

CLOCK = Diagnosis(name="clock", verdict="failed", message="2 h behind verbex's", fix="set it")
AGENT = AgentRecord(platform="sigmamind", agent_id="agent_1", name="Support", numbers=3)

SHOWN: list[Event | View] = [
    DONE,
    FAILED,
    SUMMARY,
    attrs.evolve(SUMMARY, requests=None, rate_limited=None, unchanged=3, stopped="cannot_pay"),
    NUMBER,
    NumberList((NUMBER, attrs.evolve(NUMBER, platform="verbex", record_id="65f2c0a1b2c3d4e5"))),
    NumberList(()),
    NumberReleased(platform="dialnexa", record_id="phn_f7w2kx5mb9qz"),
    OrderPlaced(
        name="b7", platform="verbex", count=1, file="b7.jsonl", resume_command="sigmamind apply b7"
    ),
    Exported(file="fleet.csv", rows=46),
    FileCreated(file="fleet.yaml", next_command="sigmamind plan fleet.yaml"),
    DiagnosisList((CLOCK,)),
    AgentList((AGENT,)),
    AGENT,
    SandboxStarted((ENDPOINT,)),
    StateChanged(row="row-7", before=State.UNCONFIRMED, after=State.DONE, message="found it"),
    JobKilled(platform="sigmamind", done=12, in_progress=8, not_started=100, unrecorded=3),
    WorkerStarted(accounts=("sigmamind", "verbex"), database="PostgreSQL on db", concurrency=20),
    WorkerKilled(worker=2, in_progress=1, done=12, rows=120),
    AuditResult(purchases=2, bought=3, bought_twice=1),
    STATUS,
    JournalRows((SETTLED, UNDECIDED)),
    PlanView(file="fleet.csv", plan=PLAN),
    ProblemList((PROBLEM,)),
    VERIFIED,
    attrs.evolve(VERIFIED, error=CONFLICT),
    LEFT_OUT,
    VerificationSummary(numbers=2, passed=1, unconfirmed=1),
]
EVENT_TYPES: dict[type, str] = {
    cls: type_name(cls)
    for cls in vars(events).values()
    if isinstance(cls, type) and issubclass(cls, Event) and cls is not Event
}
FAILURE = CommandFailed(error="UsageError", message="no FILE", exit_code=2)

# ---------------------------------------------------------------- as JSON


def branches() -> dict[str, dict[str, Any]]:
    """Return the branches of the schema by the word in their objects' ``type``."""
    names = [branch["$ref"].rpartition("/")[2] for branch in SCHEMA["oneOf"]]
    return {
        SCHEMA["$defs"][name]["properties"]["type"]["const"]: SCHEMA["$defs"][name]
        for name in names
    }


def test_every_kind_of_event_has_its_branch_of_the_schema_and_no_other() -> None:
    """With the fields that the class has, each of them always there."""
    declared = {name: [*branch["properties"]] for name, branch in branches().items()}
    written = {
        name: [
            "type",
            "version",
            *(each.name for each in attrs.fields(cls) if each.metadata.get("json", True)),
        ]
        for cls, name in EVENT_TYPES.items()
    }

    assert declared == written
    assert all(branch["required"] == [*branch["properties"]] for branch in branches().values())


def test_the_schema_says_what_every_field_means() -> None:
    """It alone does: the classes of events have no prose."""
    kinds = SCHEMA["$defs"]
    fields = {
        f"{kind}.{name}": field
        for kind, branch in kinds.items()
        for name, field in branch["properties"].items()
        if name not in {"type", "version"} or kind not in EVENT_TYPES.values()
    }

    assert [name for name, branch in kinds.items() if not branch.get("description")] == []
    assert [name for name, field in fields.items() if not field.get("description")] == []


def test_every_word_of_a_state_is_in_the_schema() -> None:
    states = [state.value for state in State]

    assert sorted(SCHEMA["$defs"]["journal_row"]["properties"]["state"]["enum"]) == sorted(states)
    assert SCHEMA["$defs"]["summary"]["properties"]["stopped"]["enum"] == [
        *get_args(events.StopReason),
        None,
    ]


def test_every_kind_of_event_is_tried_here() -> None:
    tried = {type(event) for shown in SHOWN for event in events.events_in(shown)}

    assert tried | {CommandFailed} == set(EVENT_TYPES)


@pytest.mark.parametrize("shown", [*SHOWN, FAILURE])
def test_every_object_is_of_the_schema(shown: Event | View) -> None:
    """Negative control: a word that the schema does not have is refused."""
    check = jsonschema.Draft202012Validator(SCHEMA)
    for each in objects(shown):
        check.validate(each)
        assert not check.is_valid({**each, "type": "something_else"})
        assert not check.is_valid({name: each[name] for name in each if name != "version"})


def test_a_row_as_json() -> None:
    assert objects(FAILED) == [
        {
            "type": "row_result",
            "version": 1,
            "line": 12,
            "id": "z",
            "platform": None,
            "action": "purchase",
            "status": "failed",
            "phone_number": None,
            "record_id": None,
            "label": "",
            "already_done": False,
            "attempts": 2,
            "elapsed_ms": 123,
            "error": {
                "type": "ConflictError",
                "message": "409: held",
                "committed": "no",
                "status": 409,
                "retry_after": None,
                "hint": "look it up",
            },
            "note": "",
        }
    ]


def test_times_for_programs_are_utc() -> None:
    _, row = objects(STATUS)

    assert row["unsettled"]["since"] == "2026-11-30T12:00:00Z"


# ---------------------------------------------------------------- on any width


@pytest.mark.parametrize("width", [40, 80, 120, None])
@pytest.mark.parametrize("shown", SHOWN)
def test_text_fits_the_terminal_except_what_must_not_be_broken(
    shown: Event | View, width: int | None
) -> None:
    """A line is longer than the terminal only for a command or one long word in it."""
    text = drawn(shown, width)

    assert text.strip()
    for line in text.splitlines():
        fits = width is None or cell_len(line) <= width
        assert fits or "sigmamind " in line or len(line.split()) <= 4, line


NUMBERS = st.builds(
    NumberRecord,
    platform=st.sampled_from(["sigmamind", "verbex", "dialnexa"]),
    phone_number=st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True),
    record_id=st.none() | st.from_regex(r"[0-9a-f]{24}", fullmatch=True),
    provider=st.none() | st.sampled_from(["twilio", "telnyx"]),
    label=st.none() | st.text(max_size=60),
    inbound_agent_id=st.none() | st.from_regex(r"agent_[a-z0-9]{1,30}", fullmatch=True),
    outbound_agent_id=st.none() | st.from_regex(r"agent_[a-z0-9]{1,30}", fullmatch=True),
    active=st.none() | st.booleans(),
)


@pytest.mark.usefixtures("unmeasured")
@given(numbers=st.lists(NUMBERS, min_size=1, max_size=5), width=st.integers(20, 160))
def test_a_phone_number_and_an_id_are_never_cut(numbers: list[NumberRecord], width: int) -> None:
    """Negative control: with ``shrinks=True`` on every column, numbers end in an ellipsis."""
    text = drawn(NumberList(tuple(numbers)), width)

    for number in numbers:
        for name in (number.phone_number, number.record_id, number.inbound_agent_id):
            is_left_out = name == number.record_id and re.search(r"^too wide", text, re.MULTILINE)
            assert name is None or is_left_out or name in text.split()


def test_a_list_drops_empty_columns_and_ends_with_a_count() -> None:
    assert drawn(NumberList((NUMBER, NUMBER)), 80).splitlines() == [
        "phone number  provider  inbound agent  label",
        "+14155550123  twilio    agent_1        Support",
        "+14155550123  twilio    agent_1        Support",
        "",
        "2 numbers",
    ]


def test_a_list_that_does_not_fit_is_one_block_a_number() -> None:
    number = attrs.evolve(
        NUMBER, record_id="65f2c0a1b2c3d4e5f6a7b8c9", label="The support line for Europe"
    )

    assert drawn(NumberList((number,)), 40).splitlines() == [
        "+14155550123",
        "  record id      65f2c0a1b2c3d4e5f6a7b8c9",
        "  provider       twilio",
        "  inbound agent  agent_1",
        "  label          The support line for E…",
        "",
        "1 number",
    ]


def test_a_long_label_is_cut_before_numbers_are_listed_as_blocks() -> None:
    number = attrs.evolve(NUMBER, label="The support line for customers in the whole of Europe")
    [_, line, *_] = drawn(NumberList((number,)), 60).splitlines()

    assert line == "+14155550123  twilio    agent_1        The support line for…"


def test_an_empty_list_says_so() -> None:
    assert drawn(NumberList(())) == "No numbers."


def test_an_inactive_number_is_marked() -> None:
    assert "inactive" in drawn(NumberList((attrs.evolve(NUMBER, active=False),)), 80)


# ---------------------------------------------------------------- rows and sums


def rows(width: int | None, *results: RowResult) -> list[str]:
    widths = Widths.of(
        [each.id or "" for each in results],
        {each.action for each in results},
        {each.platform or "" for each in results},
    )
    return [plain(line) for each in results for line in row_lines(each, width, widths)]


def test_rows_are_aligned_lines() -> None:
    known = attrs.evolve(DONE, platform="sigmamind")
    refused = attrs.evolve(FAILED, platform="verbex", action="import")

    assert rows(None, known, refused) == [
        "done         sigmamind  buy     order-7  +14155550123",
        "failed       verbex     import  z        409: held; look it up",
    ]


def test_a_reason_that_does_not_fit_is_below_its_row() -> None:
    assert rows(40, attrs.evolve(FAILED, phone_number="+14155550123")) == [
        "failed       buy  z  +14155550123",
        "    409: held; look it up",
    ]


def test_a_sentence_of_ours_is_not_cut_and_a_text_from_elsewhere_is() -> None:
    """Negative control: with the longest text that is shown of one, the sentence loses its end."""
    message = "may be yours already: " + "look it up, " * 40 + "and buy it again"
    failed = attrs.evolve(FAILED, id="z" * 1000, error=attrs.evolve(CONFLICT, message=message))

    assert f"{message}; look it up" not in drawn(failed)  # its message says so already
    assert drawn(failed).endswith("and buy it again")
    assert f"  {'z' * (LONGEST_SHOWN - 3)}...  " in drawn(failed)


def test_a_summary_is_a_sentence_without_zeros() -> None:
    assert drawn(SUMMARY).splitlines() == [
        ("6 rows in 2.0 s: 2 done, 1 done by an earlier run, 1 failed, 1 unconfirmed, 1 skipped"),
        "9 requests, 3 rate-limited",
    ]
    assert drawn(Summary(rows=1, done=1, requests=1)).splitlines() == [
        "1 row in 0.0 s: 1 done",
        "1 request",
    ]


def test_an_audit_that_fails_is_loud() -> None:
    assert drawn(AuditResult(purchases=2, bought=3, bought_twice=1)).splitlines()[1:] == [
        "to buy  bought  bought twice  lost  not done  verdict",
        "     2       3             1     0         0  FAIL",
    ]
    assert drawn(AuditResult(purchases=2, bought=2)).endswith("PASS")


def test_variables_of_a_sandbox_can_be_sourced() -> None:
    assert drawn(SandboxStarted((ENDPOINT,))).splitlines() == [
        "export VERBEX_API_KEY='made up'",
        "export SIGMAMIND_SANDBOX_PID=123",
    ]


# ---------------------------------------------------------------- plans


def test_a_plan_as_text() -> None:
    assert drawn(PlanView(file="fleet.csv", plan=attrs.evolve(PLAN, problems=()))).splitlines() == [
        "fleet.csv: 2 changes",
        "",
        "  -/+ move     sales  sigmamind  +14155550101  then released on verbex, permanently",
        "  -   release  old    verbex     (any)         left out: needs --allow-release",
        (
            "  ~   adopt    front  sigmamind  +14155550102  label 'A' (changed outside this fleet)"
            " -> 'B', trunk_password -> env:P; was the row reception"
        ),
        (
            "  =   drifted  drift  sigmamind  +14155550103  inbound_agent_id stays (empty), changed"
            " outside this fleet; the row has 'agent_1'"
        ),
        "",
        "2 numbers in the journal but in no row, left alone: gone-1, gone-2",
        "",
        (
            "Plan: 1 to move to another platform, 2 to adopt, 1 drifted and left as it is, 1"
            " unchanged, 1 left out."
        ),
    ]


def test_a_long_plan_is_cut_on_a_terminal_alone() -> None:
    step = Step(id="x", platform="verbex", action=Action.PURCHASE)
    many = PlanView(file="f", plan=Plan(steps=(step,) * (MOST_STEPS + 3), rows={}))

    assert "and 3 more; --json lists all" in drawn(many, 80)
    assert drawn(many).count("+ buy") == len(objects(many)) - 1 == MOST_STEPS + 3
    asked = attrs.evolve(many, most=30)
    assert drawn(asked).splitlines()[-3] == f"and {MOST_STEPS - 27} more: sigmamind plan f"


def test_what_is_wrong_with_many_rows_is_said_once() -> None:
    same = [Problem(message="is unknown", id=f"r{i}", field="x", line=i) for i in range(2, 60)]
    other = Problem(message="is\x1b[31m bad", id="z", line=70)
    problems = ProblemList((*same, other))

    assert drawn(problems).splitlines() == [
        "59 problems:",
        "  2: r2 x: is unknown",
        "    and 57 other rows: r3, r4, r5, r6, r7 and 52 more",
        "  70: z: is\N{REPLACEMENT CHARACTER}[31m bad",
    ]
    assert len(objects(problems)) == 59


def test_rows_of_a_journal_have_their_numbers() -> None:
    rows = JournalRows((SETTLED, UNDECIDED))

    assert drawn(rows, 80).splitlines() == [
        "",
        "row    number        action  state",
        "row-6  +14155550123  buy     done",
        "row-7  +14155550123  buy     needs a decision",
    ]


# ---------------------------------------------------------------- hostile texts


@pytest.mark.usefixtures("unmeasured")
@given(st.text())
def test_sanitized_text_is_harmless(text: str) -> None:
    """One line, no escape sequence, no change of direction, not too long."""
    shown = sanitize(text)

    assert len(shown) <= LONGEST_SHOWN
    assert not {unicodedata.category(each) for each in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert shown.encode().decode() == shown


def texts(value: object) -> Iterator[str]:
    """Yield every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


HOSTILE = "\x1b]0;owned\x07\u202e[red]x\n"


@pytest.mark.parametrize(
    "shown",
    [
        attrs.evolve(FAILED, id=HOSTILE, error=attrs.evolve(CONFLICT, message=HOSTILE)),
        attrs.evolve(NUMBER, label=HOSTILE, inbound_agent_id=HOSTILE),
        NumberList((attrs.evolve(NUMBER, label=HOSTILE, provider=HOSTILE),)),
        ProblemList((attrs.evolve(PROBLEM, message=HOSTILE, id=HOSTILE),)),
        PlanView(file=HOSTILE, plan=Plan(steps=(attrs.evolve(STEPS[2], id=HOSTILE),), rows={})),
        attrs.evolve(
            STATUS,
            rows=(
                attrs.evolve(
                    UNDECIDED, row=HOSTILE, unsettled=attrs.evolve(UNSETTLED, request=HOSTILE)
                ),
            ),
        ),
        JournalRows((attrs.evolve(SETTLED, row=HOSTILE),)),
        StateChanged(row=HOSTILE, before=State.DONE, after=State.DONE, message=HOSTILE),
        attrs.evolve(VERIFIED, termination_reason=HOSTILE),
        attrs.evolve(LEFT_OUT, note=HOSTILE),
        Exported(file=HOSTILE, rows=1),
    ],
)
@pytest.mark.parametrize("width", [40, None])
def test_no_text_from_elsewhere_commands_the_terminal(
    shown: Event | View, width: int | None
) -> None:
    text = drawn(shown, width)

    assert not set("\x1b\x07\u202e") & set(text)
    assert "[red]x" in text
    assert HOSTILE in {each for line in objects(shown) for each in texts(line)}


def test_letters_of_all_scripts_are_kept() -> None:
    assert sanitize("Zoë, 東京, हिन्दी") == "Zoë, 東京, हिन्दी"


# ---------------------------------------------------------------- progress


def view_of(**fields: Any) -> JobView:
    progress = Progress(total=100, done=10, failed=2, unconfirmed=1, started=0.0, clock=lambda: 2.0)
    return JobView(progress=progress, traffic=Traffic(requests=20, rate_limited=3), **fields)


@pytest.mark.parametrize("width", [40, 80, 200, None])
def test_the_live_view_fits_and_shows_how_a_job_goes(width: int | None) -> None:
    admission = Admission(known=KnownLimit(rate=12.0, burst=1.0))
    lines = [*map(plain, view_of(gates=[Gate(admission=admission)]).lines(width))]

    assert "13/100 (13%)  6/s  0:13 left" in lines[0]
    assert "  ".join(lines[1:]).replace("\n", " ").startswith("12/s admitted, 15% rate-limited, 2")
    assert all(len(line) <= (width or 200) for line in lines)
    assert ("━" in lines[0]) is (width is not None)


def test_a_rate_that_does_not_hold_the_job_back_is_not_shown() -> None:
    """What was learned about a limit that was never met is far from it."""
    admission = Admission(known=KnownLimit(rate=4000.0, burst=1.0))

    assert "admitted" not in plain(view_of(gates=[Gate(admission=admission)]).lines()[1])


def test_the_live_view_says_what_a_job_waits_for() -> None:
    held = view_of(held=lambda: 4, waits_until=time.monotonic() + 51.6).lines()
    paused = Gate(admission=Admission(paused_until=time.monotonic() + 29.6))
    failing = Gate(admission=Admission(open_until=math.inf))

    assert "4 unconfirmed, looking for up to 0:5" in plain(held[1])
    assert "the platform asks for a pause of 0:30" in plain(view_of(gates=[paused]).lines()[1])
    assert "the platform fails; waiting until it answers" in plain(
        view_of(gates=[failing]).lines()[1]
    )


def test_a_pipe_gets_a_line_about_a_long_job_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Negative control: not before its time, and not for programs."""
    output, view = Output(), view_of()
    output.pulse(view)
    view.shown_at = -math.inf
    Output(quiet=True).pulse(view)
    Output(json=True).pulse(view)
    assert capsys.readouterr().err == ""

    view.shown_at = -math.inf
    output.pulse(view)
    output.pulse(view)
    assert capsys.readouterr().err == (
        "13/100 (13%)  6/s  0:13 left; 15% rate-limited, 2 failed, 1 unconfirmed\n"
    )


def test_traffic_counts_what_the_client_reports() -> None:
    traffic = Traffic()
    traffic(
        AttemptFinished(
            operation="x", attempt=1, verdict=Verdict.CONFIRMED, status=200, elapsed=0.1
        )
    )
    traffic(Throttled(operation="x", pause=1.0, rate=5.0))

    assert traffic == Traffic(requests=1, rate_limited=1)
