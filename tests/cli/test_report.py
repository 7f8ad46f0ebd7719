"""The report of a job as a page: what it says, how large it gets, and that nothing gets out."""

from __future__ import annotations

import base64
import gc
import hashlib
import html
import re
import shutil
import subprocess
import tracemalloc
from collections.abc import Iterable
from datetime import timedelta, timezone
from html.parser import HTMLParser
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from sigmamind_async.cli.errors import sanitize
from sigmamind_async.cli.output.events import RowError, RowResult, StopReason, Summary
from sigmamind_async.cli.report.model import (
    MOST_CAUSES,
    MOST_ROWS,
    Header,
    Point,
    Tally,
    Timeline,
    cause_of,
)
from sigmamind_async.cli.report.page import (
    STATUSES,
    ceiling,
    environment,
    headline,
    moment,
    page,
    proportions,
    rate_chart,
)
from sigmamind_async.events import AttemptFinished, CallFinished, Throttled
from sigmamind_async.operation import Verdict

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

MOST_BYTES = 1_500_000


@attrs.frozen(kw_only=True)
class ReportRow:
    """What the report is told about a row."""

    id: str
    platform: str
    action: str
    status: Any
    label: str = ""
    phone_number: str = ""
    cause: str = ""
    hint: str = ""
    commands: tuple[str, ...] = ()

    @property
    def result(self) -> RowResult:
        error = RowError(type="E", message=self.cause, hint=self.hint, committed="no")
        return RowResult(
            line=0,
            id=self.id,
            platform=self.platform,
            action=self.action,
            status=self.status,
            label=self.label,
            phone_number=self.phone_number,
            error=error if self.cause else None,
        )


HEADER = Header(
    file="fleet.csv",
    journal="fleet.csv.journal.db",
    started=1_780_000_000.0,
    summary=Summary(rows=1, elapsed_ms=75_000, requests=1100, rate_limited=35),
    resume="sigmamind apply fleet.csv --max-purchases 200",
    bought=140,
    max_purchases=200,
    accounts=(("sigmamind", "https://api.sigmamind.example"),),
)
DONE = ReportRow(
    id="row-1", platform="sigmamind", action="purchase", status="done", phone_number="+14155550123"
)
FAILED = attrs.evolve(DONE, status="failed", cause="409: '+14155550123' is held", hint="look")
DOUBTFUL = attrs.evolve(
    DONE,
    status="unconfirmed",
    cause="no answer",
    commands=("sigmamind reconcile fleet.csv --wait",),
)

NASTY = (
    "</title></style><script>alert(1)</script>",
    "<!-- <img src=x onerror=alert(1)>",
    "\"><svg onload='alert(1)'>",
    "&lt;script&gt; &amp; ]]>",
    "nul\0 escape\x1b[31m line\r\nend",
    "bidi \u202ereversed\u202c \u2066isolate\u2069 \u200bhidden",
    "half \ud800 character",
)


@attrs.define
class Clock:
    """Moved by hand."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


class Reader(HTMLParser):
    """Reads a page strictly: every element is closed by its own end tag, in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.path: list[str] = []
        self.names: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.path == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag != "meta":
            self.path.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.path[-1:] == [tag]
        self.path.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self.path:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def tally_of(lines: Iterable[ReportRow]) -> Tally:
    tally = Tally()
    for line in lines:
        tally.add(line.result, line.commands)
    return tally


def told(*lines: ReportRow, header: Header = HEADER) -> Reader:
    return Reader(page(header, tally_of(lines), traffic(3, 1)))


def attempt(status: int = 200) -> AttemptFinished:
    return AttemptFinished(
        operation="x", attempt=1, verdict=Verdict.CONFIRMED, status=status, elapsed=0.1
    )


THROTTLED = Throttled(operation="x", pause=1.0, rate=5.0)


def written(*lines: ReportRow) -> str:
    return page(HEADER, tally_of(lines), traffic(3, 1))


def traffic(admitted: int, throttled: int) -> Timeline:
    timeline = Timeline(clock=Clock())
    for _ in range(admitted):
        timeline(attempt())
    for _ in range(throttled):
        timeline(THROTTLED)
    return timeline


def complaints(text: str) -> list[str]:
    """Return what in a page could run, load, or send anything."""
    read = Reader(text)
    known = set(read.names) - PLAIN
    odd = [f"<{name}>" for name in sorted(known)]
    odd += [f"{tag} {name}" for tag, name, _ in read.attributes if name in LOADING]
    odd += [f"{tag} {name}" for tag, name, _ in read.attributes if name.startswith("on")]
    odd += [value for _, _, value in read.attributes if "http:" in value or "https:" in value]
    return odd + re.findall(r"<!--|url\(|@import|javascript:", text)


PLAIN = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "section", "footer"),
    *("h1", "h2", "h3", "p", "span", "dl", "dt", "dd", "ul", "li", "code", "div", "details"),
    *("summary", "table", "thead", "tbody", "tfoot", "tr", "th", "td", "figure"),
    *("svg", "desc", "rect", "line", "text"),
}
LOADING = {"src", "href", "xlink:href", "srcset", "action", "background", "data", "poster", "style"}


# ---------------------------------------------------------------- what it says


def test_the_page_begins_with_one_sentence_that_says_it_all() -> None:
    """A manager needs no other line."""
    lines = [DONE] * 1982 + [FAILED] * 12 + [DOUBTFUL] * 6

    assert (
        "2,000 rows: 1,982 done, 12 failed, 6 unconfirmed. 140 numbers bought or unconfirmed."
        in (told(*lines).text)
    )


def test_sections_stand_in_the_order_of_the_questions() -> None:
    """What somebody has to do comes before what is good to know."""
    headings = re.findall(r"<h2>([^<]+)</h2>", page(HEADER, tally_of([FAILED]), traffic(1, 0)))

    assert headings == [
        "Needs attention",
        "Failures by cause",
        "Requests over time",
        "Results by action",
        "Rows",
    ]


def test_a_job_without_rows_has_a_page() -> None:
    header = attrs.evolve(HEADER, summary=Summary(rows=0), bought=0, resume="")
    read = Reader(page(header, Tally(), Timeline(clock=Clock())))

    assert "There were no rows 0 rows. 0 numbers bought." in read.text
    assert "Nothing was sent." in read.text
    assert "svg" not in read.names


def test_a_job_of_which_nothing_is_known_says_so_first() -> None:
    """No row of it is called done or failed."""
    read = told(*[attrs.evolve(DOUBTFUL, id=f"row-{i}") for i in range(3)])

    assert (
        "3 rows are unconfirmed 3 rows: 3 unconfirmed. 140 numbers bought or unconfirmed."
        in read.text
    )
    assert "3 purchases unconfirmed: each may have been paid for." in read.text
    assert "Nothing failed." in read.text


def test_a_job_that_ended_early_says_why_and_how_to_go_on() -> None:
    skipped = attrs.evolve(DONE, status="skipped", cause="the key is refused")
    summary = Summary(rows=2, stopped="key_refused")
    text = told(DONE, skipped, header=attrs.evolve(HEADER, summary=summary)).text

    assert "The job stopped early 2 rows: 1 done, 1 skipped." in text
    assert "Stopped early: the platform refused the API key." in text
    assert f"Rows that are done are not sent again. {HEADER.resume}" in text


def test_a_job_that_is_done_needs_no_command() -> None:
    assert HEADER.resume not in told(DONE).text


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("done", "Everything is done"),
        ("failed", "1 row failed"),
        ("unconfirmed", "1 row is unconfirmed"),
        ("skipped", "1 row was skipped"),
    ],
)
def test_the_headline_says_the_worst(status: Any, verdict: str) -> None:
    assert headline(HEADER, tally_of([attrs.evolve(DONE, status=status)])) == (
        status,
        verdict,
    )


def test_the_headline_has_the_word_of_the_status_command() -> None:
    """Control: without a decision to be made, the same row is unconfirmed."""
    summary = Summary(rows=1, unconfirmed=1, needs_decision=1)
    tally = tally_of([DOUBTFUL])

    assert headline(attrs.evolve(HEADER, summary=summary), tally)[1] == "1 row needs a decision"
    assert headline(HEADER, tally)[1] == "1 row is unconfirmed"


def test_a_failed_row_that_waits_for_a_person_stands_where_it_is_looked_for() -> None:
    waiting = attrs.evolve(FAILED, commands=("sigmamind reconcile fleet.csv --retry-unconfirmed",))
    tally = tally_of([waiting])

    assert headline(HEADER, tally) == ("unconfirmed", "1 row needs a decision")
    assert ([g.count for g in tally.groups("attention")], tally.groups("failed")) == ([1], [])


@pytest.mark.parametrize(
    ("bought", "limit", "said"),
    [
        (1, None, "1 number bought."),
        (140, 200, "140 numbers bought of at most 200 (--max-purchases)."),
    ],
)
def test_what_was_spent_is_told_against_the_limit(
    bought: int, limit: int | None, said: str
) -> None:
    header = attrs.evolve(HEADER, bought=bought, max_purchases=limit)

    assert f"Purchases {said} Requests" in told(DONE, header=header).text


def test_the_account_its_address_and_the_version_are_shown() -> None:
    """Who reads a report a month later must know what it is about."""
    text = told(DONE).text

    assert "Account sigmamind at https://api.sigmamind.example Journal" in text
    assert f"Version sigmamind-async {version('sigmamind-async')}" in text


def test_a_row_without_a_number_shows_its_label() -> None:
    """And no attempt that was not made."""
    bare = attrs.evolve(FAILED, label="Night desk", phone_number="", cause="not a country")
    [texts] = re.findall(r'<th scope="row">row-1</th>(.*?)</tr>', written(bare))

    assert re.findall(r'data-label="([^"]+)">([^<]*)<', texts) == [
        ("Label", "Night desk"),
        ("Platform", "sigmamind"),
        ("Action", "buy"),
    ]


def test_requests_that_workers_sent_are_not_counted_as_none() -> None:
    header = attrs.evolve(HEADER, summary=Summary(rows=1, requests=None, rate_limited=None))
    read = Reader(page(header, tally_of([DONE]), Timeline(clock=Clock())))

    assert "Requests Sent by workers" in read.text
    assert "Nothing was sent" not in read.text


def test_the_start_is_told_with_its_distance_from_utc() -> None:
    zone = timezone(-timedelta(hours=3, minutes=30))

    assert moment(1_780_000_000.0, zone) == "2026-05-28 16:56:40 (UTC-03:30)"
    assert re.search(r"\(UTC[+-]\d\d:\d\d\), took", told(DONE).text)


def test_the_report_of_a_command_names_its_row_its_account_and_its_own_words(cli: Cli) -> None:
    """A purchase that is refused has no number: its label says which row it is."""
    cli.box.sigmamind.script("create", ["conflict_409"])
    header = "id,platform,source,country_code,label"
    cli.write("fleet.csv", f"{header}\ndesk,sigmamind,purchase,US,Night <desk>\n")
    words = ["apply", "fleet.csv", "--max-purchases", "1", "--yes", "--deadline", "30s"]
    words += ["--report", "report.html"]
    done = cli(*words)
    text = (cli.folder / "report.html").read_text(encoding="utf-8")
    read = Reader(text)

    assert done.code == 1
    assert complaints(text) == []
    assert "1 row failed 1 row: 1 failed. 0 numbers bought." in read.text
    assert "desk Night <desk> sigmamind buy" in read.text
    assert f"Account sigmamind at {cli.box.sigmamind.base_url}" in read.text
    assert " ".join(["sigmamind", *words]) in read.text


def test_a_report_needs_jinja2_before_anything_is_sent(cli: Cli) -> None:
    """Without it, one sentence says what to install."""
    cli.write("jinja2.py", "raise ModuleNotFoundError(name='jinja2')")
    path = cli.write("fleet.csv", "id,platform,source,country_code\na,sigmamind,purchase,US\n")
    buy = ("--max-purchases", "1", "--yes", "--report", "report.html")
    process = cli.start("apply", path, *buy, environment={"PYTHONPATH": str(cli.folder)})
    done = cli.ended(process)

    assert (done.code, done.out) == (2, "")
    assert "the command line needs its extra: pip install 'sigmamind-async[cli]'" in done.err
    assert not cli.box.ledger.commits


# ---------------------------------------------------------------- causes


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("409: '+14155550123' is held by agent_7", "409: … is held by …"),
        ("the platform answered 503", "the platform answered 503"),
        ("no answer in 30.5 s, after 3 attempts", "no answer in … s, after … attempts"),
        ("the platform's list isn't complete", "the platform's list isn't complete"),
        ('request req-9f: "label" is too long', "request …: … is too long"),
        ("at 2026-05-28T20:26:40: gone", "at …: gone"),
        ("desk-nine: not found", "…: not found"),
        ("", ""),
    ],
)
def test_a_cause_is_a_message_without_its_details(message: str, cause: str) -> None:
    assert cause_of(message, "desk-nine") == cause


def test_a_short_id_does_not_tear_words_apart() -> None:
    assert cause_of("the row is bad", "row") == "the row is bad"


def test_rows_that_failed_alike_stand_together_with_an_example() -> None:
    lines = [attrs.evolve(FAILED, cause=f"409: '+1415555012{i}' is held") for i in range(3)]
    text = told(*lines).text

    assert "3 rows \N{EN DASH} 409: … is held For example: 409: '+14155550120' is held" in text
    assert "What to do: look Rows" in text


def test_a_cause_in_the_same_words_throughout_is_shown_in_them() -> None:
    text = told(FAILED, FAILED).text

    assert f"2 rows \N{EN DASH} {FAILED.cause}" in text
    assert "For example" not in text


def test_further_causes_are_counted_together() -> None:
    """Their number is bounded on the page and in memory, and no row is left out of the sum."""
    asked = MOST_CAUSES + 50
    word = "".join
    causes = [word(chr(97 + int(digit)) for digit in str(i)) for i in range(asked)]
    groups = tally_of(attrs.evolve(FAILED, cause=cause) for cause in causes).groups("failed")

    assert len(groups) == MOST_CAUSES + 1
    assert (groups[-1].title, groups[-1].count) == ("other causes", 50)


def test_the_causes_of_most_rows_are_shown_first() -> None:
    causes = ["rare", "common", "common", "", "", ""]
    groups = tally_of(attrs.evolve(FAILED, cause=each) for each in causes).groups("failed")

    assert [(each.cause, each.count) for each in groups] == [
        ("no reason is known", 3),
        ("common", 2),
        ("rare", 1),
    ]


def test_skipped_rows_stand_under_the_reason() -> None:
    skipped = attrs.evolve(DONE, status="skipped", cause="needs --allow-release")

    assert "1 row skipped \N{EN DASH} needs --allow-release" in told(DONE, skipped).text


# ---------------------------------------------------------------- commands


def test_a_command_that_all_rows_share_stands_once() -> None:
    lines = [
        attrs.evolve(
            DOUBTFUL,
            id=f"row-{i}",
            commands=(*DOUBTFUL.commands, f"sigmamind reconcile fleet.csv --only row-{i}"),
        )
        for i in range(3)
    ]
    text = told(*lines).text

    assert text.count("sigmamind reconcile fleet.csv --wait") == 1
    assert [text.count(f"--only row-{i}") for i in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("odd", ["row-\u202e1", "x" * 400])
def test_a_command_that_would_be_changed_is_not_shown(odd: str) -> None:
    """Cut, or with a character replaced, it would be about another row."""
    text = told(attrs.evolve(DOUBTFUL, commands=(f"sigmamind reconcile a.csv --only {odd}",))).text

    # The control: the same command with a plain name is there.
    plain = told(attrs.evolve(DOUBTFUL, commands=("sigmamind reconcile a.csv --only row-1",))).text
    assert "--only" not in text
    assert "see sigmamind status" in text
    assert "--only row-1" in plain


# ---------------------------------------------------------------- nothing gets out


def test_an_ordinary_page_can_run_and_load_nothing() -> None:
    """Its style is allowed by its digest; no other style, and no script, would be taken."""
    text = page(HEADER, tally_of([DONE, FAILED, DOUBTFUL]), traffic(3, 1))
    [css] = re.findall("<style>(.*)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    [policy] = [value for *_, value in Reader(text).attributes if value.startswith("default-src")]

    assert complaints(text) == []
    assert f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'" in policy


@pytest.mark.parametrize("nasty", NASTY)
def test_no_text_becomes_markup(nasty: str) -> None:
    """Ids, causes, advice, names of files: all are written by others."""
    line = ReportRow(
        id=nasty,
        platform=nasty,
        action=nasty,
        status="failed",
        phone_number=nasty,
        cause=nasty,
        hint=nasty,
        commands=(nasty,),
    )
    doubtful = attrs.evolve(line, status="unconfirmed", commands=())
    skipped = attrs.evolve(doubtful, status="skipped")
    summary = Summary(rows=4, stopped=cast("StopReason", nasty))
    header = attrs.evolve(HEADER, file=nasty, journal=nasty, summary=summary, resume=nasty)
    done = attrs.evolve(doubtful, status="done")
    text = page(header, tally_of([line, doubtful, skipped, done]), traffic(1, 1))

    assert complaints(text) == []
    assert not re.search("[\0-\x09\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", text)
    assert text.encode().decode() == text


@pytest.mark.parametrize("nasty", NASTY[:3])
def test_the_judge_of_the_page_sees_what_is_not_escaped(
    nasty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with the template's escaping turned off, the same label is complained about."""
    labelled = attrs.evolve(FAILED, label=nasty)
    assert complaints(written(labelled)) == []

    plain = environment().overlay(autoescape=False)
    monkeypatch.setattr("sigmamind_async.cli.report.page.environment", lambda: plain)
    with pytest.raises(AssertionError):
        assert complaints(written(labelled)) == []


@given(st.text(st.sampled_from("<>&\"'#;lt39") | st.characters()))
def test_escaped_text_reads_as_it_was(text: str) -> None:
    """All but control characters, which are replaced one by one."""
    markup = environment().from_string("{{ text }}").render(text=text)

    assert not set("<>\"'") & set(markup)
    assert html.unescape(markup) == sanitize(text, None)


def test_a_name_that_the_template_lacks_is_an_error() -> None:
    """A report with holes in it would be worse than none."""
    with pytest.raises(UndefinedError):
        environment().from_string("{{ headre.file }}").render(header=HEADER)


# ---------------------------------------------------------------- bounds


def many(count: int, start: int = 0) -> Iterable[ReportRow]:
    """Rows of which every fourth ended in each way, with two commands for each unconfirmed one."""
    for i in range(start, start + count):
        status: Any = ("done", "failed", "unconfirmed", "skipped")[i % 4]
        own = (f"sigmamind reconcile fleet.csv --only row-{i} --retry-unconfirmed", f"see row-{i}")
        yield ReportRow(
            id=f"row-{i}",
            platform="verbex",
            action="purchase",
            status=status,
            phone_number=f"+1415{i:07}",
            cause=f"cause {chr(97 + i % 26)} of request {i}",
            commands=own if status == "unconfirmed" else (),
        )


@pytest.mark.usefixtures("unmeasured")
def test_a_page_of_100_000_rows_is_small_and_counts_them_all() -> None:
    text = page(HEADER, tally_of(many(100_000)), traffic(3, 1))

    assert len(text.encode()) < MOST_BYTES
    assert "100,000 rows: 25,000 done, 25,000 failed, 25,000 unconfirmed" in Reader(text).text
    assert f"Rows, the first {MOST_ROWS['done']:,} of 25,000" in text


@pytest.mark.parametrize("section", ["attention", "failed", "done", "skipped"])
def test_a_section_lists_so_many_rows_and_counts_all(section: str) -> None:
    """Whatever the causes; each group shows its first rows in any case."""
    commands = ("sigmamind status fleet.csv",) if section == "attention" else ()
    status: Any = "failed" if section == "attention" else section
    tally = tally_of(
        attrs.evolve(FAILED, status=status, cause=f"cause {chr(97 + i % 26)}", commands=commands)
        for i in range(3_000)
    )
    groups = tally.groups(section)

    assert sum(each.count for each in groups) == 3_000
    assert len(groups) <= MOST_CAUSES + 1
    listed = sum(len(each.rows) for each in groups)
    assert MOST_ROWS[section] <= listed <= MOST_ROWS[section] + 2 * (MOST_CAUSES + 1)
    assert all(len(each.rows) >= 2 for each in groups)


@pytest.mark.usefixtures("unmeasured")
def test_rows_are_collected_in_flat_memory() -> None:
    """The control: a list of as many rows grows by more than fifty times as much."""
    tally = tally_of(many(8_000))
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for line in many(4_000, start=8_000):
            tally.add(line.result, line.commands)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        kept = list(many(4_000))
        with_list, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 20_000
    assert with_list - after > 50 * 20_000
    assert len(kept) == 4_000


# ---------------------------------------------------------------- timeline


def test_requests_are_counted_by_the_second_from_the_first_on() -> None:
    clock = Clock()
    timeline = Timeline(clock=clock)
    clock.now += 100.0
    for event in (attempt(), attempt(429), THROTTLED):
        timeline(event)
    clock.now += 2.5
    timeline(attempt())

    assert timeline.points() == [Point(0, 1, 2, 1), Point(1, 1, 0, 0), Point(2, 1, 1, 0)]


def test_other_events_are_not_counted() -> None:
    timeline = Timeline(clock=Clock())
    timeline(CallFinished(operation="x", attempts=1, elapsed=0.1, error=None))

    assert timeline.points() == []


def test_stretches_double_when_there_are_too_many() -> None:
    clock = Clock()
    timeline = Timeline(clock=clock, most=4)
    for _ in range(5):
        timeline(attempt())
        timeline(THROTTLED)
        clock.now += 1.0

    assert timeline.points() == [Point(0, 2, 2, 2), Point(2, 2, 2, 2), Point(4, 2, 1, 1)]


def test_a_night_without_requests_is_bounded() -> None:
    clock = Clock()
    timeline = Timeline(clock=clock)
    timeline(attempt())
    clock.now += 86_400.0
    timeline(attempt())
    points = timeline.points()

    assert len(points) <= 120
    assert (points[0].requests, points[-1].requests) == (1, 1)
    assert sum(point.requests for point in points) == 2


def test_a_clock_that_is_set_back_breaks_nothing() -> None:
    clock = Clock()
    timeline = Timeline(clock=clock)
    timeline(attempt())
    clock.now -= 50.0
    timeline(attempt())

    assert timeline.points() == [Point(0, 1, 2, 0)]


@given(st.lists(st.floats(0, 10_000), max_size=60), st.integers(2, 9))
def test_no_request_is_lost_by_doubling(pauses: list[float], most: int) -> None:
    clock = Clock()
    timeline = Timeline(clock=clock, most=most)
    for pause in pauses:
        clock.now += pause
        timeline(attempt())
    points = timeline.points()

    assert len(points) <= most
    assert sum(point.requests for point in points) == len(pauses)


# ---------------------------------------------------------------- drawings


def test_the_smallest_part_of_the_bar_can_be_seen() -> None:
    bars = proportions({"done": 99_999, "unconfirmed": 1, "failed": 0})

    assert [each.look for each in bars] == ["done", "unconfirmed"]
    assert bars[1].width > 0.7
    assert bars[1].x == bars[0].width
    assert sum(each.width for each in bars) == pytest.approx(100)


def test_a_single_429_can_be_seen() -> None:
    chart = rate_chart([Point(0, 1, 4000, 1), Point(1, 1, 0, 0)])

    assert chart is not None
    assert [(each.look, each.x, each.width) for each in chart.bars] == [
        ("requests", 0, 50),
        ("throttled", 0, 50),
    ]
    assert chart.bars[1].height >= 3


def test_drawings_say_in_words_what_they_show() -> None:
    clock = Clock()
    timeline = Timeline(clock=clock)
    for requests, throttled in ((40, 0), (20, 5), (30, 0)):
        for event in [attempt()] * requests + [THROTTLED] * throttled:
            timeline(event)
        clock.now += 1
    read = Reader(page(HEADER, tally_of([DONE] * 1200 + [FAILED] * 3), timeline))
    texts = [" ".join(text.split()) for text in read.texts]

    assert "1,200 done, 3 failed" in texts
    assert (
        "90 requests in 3.0 s, at most 40 per second; 5 rate-limited (HTTP 429), from 0:01 to 0:02."
    ) in texts
    named = {value for _, name, value in read.attributes if name == "aria-labelledby"}
    ids = {value for _, name, value in read.attributes if name == "id"}
    assert {each for value in named for each in value.split()} == ids


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (0.3, 0.3), (1, 1), (62, 80), (99, 100), (1001, 1500)]
)
def test_the_scale_ends_at_a_round_number(value: float, top: float) -> None:
    assert ceiling(value) == pytest.approx(top)


def test_tables_have_headings_for_columns_and_rows() -> None:
    read = told(DONE, FAILED, DOUBTFUL)
    scopes = [value for tag, name, value in read.attributes if (tag, name) == ("th", "scope")]

    assert read.names.count("th") == len(scopes)
    assert set(scopes) == {"col", "row"}


def luminance(colour: str) -> float:
    channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def palettes() -> dict[str, dict[str, str]]:
    """The colours that the style names, on a light and on a dark ground."""
    css = resources.files("sigmamind_async.cli.report").joinpath("report.css").read_text("utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    named = re.compile(r"--([\w-]+): (#[0-9a-f]{6});")
    return {"light": dict(named.findall(light)), "dark": dict(named.findall(dark))}


@pytest.mark.parametrize("name", ["light", "dark"])
def test_every_word_stands_out_from_its_ground(name: str) -> None:
    """At least 4.5 to 1, as WCAG 2 asks of text (level AA)."""
    palette = palettes()[name]
    texts, grounds = ("ink", "quiet", *STATUSES), ("paper", "well")
    ratios = {(a, b): contrast(palette[a], palette[b]) for a in texts for b in grounds}

    assert palettes()["light"].keys() == palettes()["dark"].keys()
    assert {pair for pair, ratio in ratios.items() if ratio < 4.5} == set()
    assert contrast("#777777", "#ffffff") < 4.5  # the control


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


# ---------------------------------------------------------------- a real browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)


def browse(folder: Path, file: Path, *options: str) -> str:
    """Start a browser once, and return what it prints."""
    command = [
        str(BROWSER),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=800,1000",
        f"--user-data-dir={folder / 'profile'}",
        *options,
        file.as_uri(),
    ]
    done = subprocess.run(command, check=True, capture_output=True, timeout=60, cwd=folder)
    return done.stdout.decode()


@pytest.mark.skipif(
    BROWSER is None,
    reason="no Chromium is installed (Debian: apt-get install chromium): nothing has looked",
)
def test_a_browser_shows_and_prints_the_page(tmp_path: Path) -> None:
    """Light and dark differ, paper is a PDF, and what it made of the page has the summary."""
    file = tmp_path / "report.html"
    file.write_text(page(HEADER, tally_of(many(400)), traffic(30, 3)), encoding="utf-8")
    names = ("light.png", "dark.png", "phone.png", "paper.pdf")
    light, dark, phone, paper = (tmp_path / name for name in names)

    shown = browse(
        tmp_path,
        file,
        "--blink-settings=preferredColorScheme=1",
        "--dump-dom",
        f"--screenshot={light}",
        f"--print-to-pdf={paper}",
    )
    browse(tmp_path, file, "--blink-settings=preferredColorScheme=0", f"--screenshot={dark}")
    browse(tmp_path, file, "--window-size=390,1900", f"--screenshot={phone}")

    assert phone.read_bytes().startswith(b"\x89PNG")
    assert "400 rows: 100 done, 100 failed, 100 unconfirmed, 100 skipped." in shown
    assert light.read_bytes().startswith(b"\x89PNG")
    assert dark.read_bytes().startswith(b"\x89PNG")
    assert light.read_bytes() != dark.read_bytes()
    assert paper.read_bytes().startswith(b"%PDF-")


@pytest.mark.skipif(
    BROWSER is None,
    reason="no Chromium is installed (Debian: apt-get install chromium): nothing has looked",
)
def test_paper_has_all_rows(tmp_path: Path) -> None:
    """What a screen shows in a box that scrolls takes its pages; the control shows less of it."""

    def pages(text: str) -> int:
        file, paper = tmp_path / "report.html", tmp_path / "paper.pdf"
        file.write_text(text, encoding="utf-8")
        browse(tmp_path, file, "--no-pdf-header-footer", f"--print-to-pdf={paper}")
        return len(re.findall(rb"/Type /Page\b(?!s)", paper.read_bytes()))

    bought = page(HEADER, tally_of([DONE] * 400), traffic(3, 1))
    assert bought.count("+14155550123") == 400
    assert pages(bought) > pages(bought.replace("<details open>", "<details>")) + 5
