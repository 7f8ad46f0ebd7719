"""The report of a job as a page: what it says, how large it gets, and that nothing gets out."""

from __future__ import annotations

import gc
import html
import re
import shutil
import subprocess
import tracemalloc
from collections.abc import Iterable
from datetime import timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigmamind_async.cli.errors import sanitize
from sigmamind_async.cli.report import (
    Header,
    Point,
    ReportRow,
    Tally,
    Timeline,
    formatting,
    page,
    style,
)
from sigmamind_async.cli.report.charts import ceiling, proportion_bar, rate_chart, shown_shares
from sigmamind_async.cli.report.error_grouping import cause_of
from sigmamind_async.cli.report.markup import Markup, element, escaped
from sigmamind_async.cli.report.model import MOST_CAUSES, MOST_KINDS, MOST_LISTED, Allowance, Groups
from sigmamind_async.cli.report.tables import MOST_GROUPS
from sigmamind_async.events import AttemptFinished, CallFinished, Throttled
from sigmamind_async.operation import Verdict

MOST_BYTES = 1_500_000

HEADER = Header(
    file="fleet.csv",
    journal="fleet.csv.journal.db",
    started=1_780_000_000.0,
    seconds=75.0,
    stopped=None,
    resume="sigmamind apply fleet.csv --max-purchases 200",
    requests=1100,
    throttled=35,
    bought=140,
    max_purchases=200,
)
DONE = ReportRow(
    id="row-1", platform="sigmamind", action="purchase", status="done", phone_number="+14155550123"
)
FAILED = attrs.evolve(DONE, status="failed", cause="409: '+14155550123' is held", advice="look")
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
        tally.add(line)
    return tally


def told(*lines: ReportRow, header: Header = HEADER) -> Reader:
    return Reader(page(header, tally_of(lines), traffic(3, 1)))


def attempt(status: int = 200) -> AttemptFinished:
    return AttemptFinished(
        operation="x", attempt=1, verdict=Verdict.CONFIRMED, status=status, elapsed=0.1
    )


THROTTLED = Throttled(operation="x", pause=1.0, rate=5.0)


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
    return odd + re.findall(r"<!--|url\(|@import|https?:|javascript:", text)


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

    assert "2,000 rows asked, 1,982 done, 12 failed, 6 unconfirmed; 140 numbers bought." in (
        told(*lines).text
    )


def test_sections_stand_in_the_order_of_the_questions() -> None:
    """What somebody has to do comes before what is good to know."""
    headings = re.findall(r"<h2>([^<]+)</h2>", page(HEADER, tally_of([FAILED]), traffic(1, 0)))

    assert headings == [
        "Needs attention",
        "Failures by cause",
        "Requests over time",
        "What was asked and done",
        "Rows",
    ]


def test_a_job_without_rows_has_a_page() -> None:
    header = attrs.evolve(HEADER, requests=0, throttled=0, bought=0, resume="")
    read = Reader(page(header, Tally(), Timeline(clock=Clock())))

    assert "Nothing was asked No rows asked; 0 numbers bought." in read.text
    assert "Nothing was sent." in read.text
    assert "svg" not in read.names


def test_a_job_of_which_nothing_is_known_says_so_first() -> None:
    """No row of it is called done or failed."""
    read = told(*[attrs.evolve(DOUBTFUL, id=f"row-{i}") for i in range(3)])

    assert (
        "3 rows are unconfirmed 3 rows asked, 0 done, 3 unconfirmed; 140 numbers bought."
        in read.text
    )
    assert "3 purchases are unconfirmed: each may have been paid for." in read.text
    assert "Nothing failed." in read.text


def test_a_job_that_ended_early_says_why_and_how_to_go_on() -> None:
    skipped = attrs.evolve(DONE, status="skipped", cause="the key is refused")
    text = told(
        DONE, skipped, header=attrs.evolve(HEADER, stopped="the platform refused the API key")
    ).text

    assert "The job ended early 2 rows asked, 1 done, 1 not sent" in text
    assert "It ended before its rows did: the platform refused the API key." in text
    assert f"To go on; what is done is not sent again: {HEADER.resume}" in text


def test_a_job_that_is_done_needs_no_command() -> None:
    assert HEADER.resume not in told(DONE).text


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("done", "Everything is done"),
        ("failed", "1 row failed"),
        ("unconfirmed", "1 row is unconfirmed"),
        ("skipped", "1 row was not sent"),
    ],
)
def test_the_headline_says_the_worst(status: Any, verdict: str) -> None:
    assert formatting.verdict(HEADER, tally_of([attrs.evolve(DONE, status=status)])) == (
        status,
        verdict,
    )


def test_a_failed_row_that_waits_for_a_person_stands_where_it_is_looked_for() -> None:
    waiting = attrs.evolve(FAILED, commands=("sigmamind reconcile fleet.csv --retry-unconfirmed",))
    tally = tally_of([waiting])

    assert formatting.verdict(HEADER, tally) == ("unconfirmed", "1 row needs a decision")
    assert (tally.attention.count, tally.failures.count) == (1, 0)


@pytest.mark.parametrize(
    ("bought", "limit", "said"),
    [
        (1, None, ["1 number bought."]),
        (140, 200, ["140 numbers bought of at most 200 allowed.", "60 left."]),
        (200, 200, ["200 numbers bought of at most 200 allowed.", "Nothing is left to spend."]),
    ],
)
def test_what_was_spent_is_told_against_the_limit(
    bought: int, limit: int | None, said: list[str]
) -> None:
    header = attrs.evolve(HEADER, bought=bought, max_purchases=limit)

    assert formatting.money(header, tally_of([DONE])) == said


def test_the_start_is_told_with_its_distance_from_utc() -> None:
    zone = timezone(-timedelta(hours=3, minutes=30))

    assert formatting.moment(1_780_000_000.0, zone) == "2026-05-28 16:56:40 (UTC-03:30)"
    assert re.search(r"\(UTC[+-]\d\d:\d\d\), took", told(DONE).text)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "0.0 s"), (59.96, "1 min 0 s"), (725.0, "12 min 5 s"), (10_800.0, "3 h 0 min")],
)
def test_lengths_of_time_are_read_at_a_glance(seconds: float, said: str) -> None:
    assert formatting.lasting(seconds).replace("\N{NO-BREAK SPACE}", " ") == said


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
    assert "What to do: look Show 3 rows" in text


def test_a_cause_in_the_same_words_throughout_is_shown_in_them() -> None:
    text = told(FAILED, FAILED).text

    assert f"2 rows \N{EN DASH} {FAILED.cause}" in text
    assert "For example" not in text


def test_further_causes_are_counted_together() -> None:
    """Their number is bounded on the page and in memory, and no row is left out of the sum."""
    asked = MOST_CAUSES + 50
    word = "".join
    causes = [word(chr(97 + int(digit)) for digit in str(i)) for i in range(asked)]
    tally = tally_of(attrs.evolve(FAILED, cause=cause) for cause in causes)
    shown, rest = tally.failures.largest(MOST_GROUPS)

    assert len(shown) == MOST_GROUPS
    assert rest is not None
    assert (rest.cause, rest.count) == ("other causes", asked - MOST_GROUPS)


def test_the_causes_of_most_rows_are_shown_first() -> None:
    causes = ["rare", "common", "common", "", "", ""]
    shown, rest = tally_of(attrs.evolve(FAILED, cause=each) for each in causes).failures.largest(9)

    assert [(each.cause, each.count) for each in shown] == [
        ("no reason is known", 3),
        ("common", 2),
        ("rare", 1),
    ]
    assert rest is None


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
    assert "sigmamind status names it" in text
    assert "--only row-1" in plain


# ---------------------------------------------------------------- nothing gets out


def test_an_ordinary_page_can_run_and_load_nothing() -> None:
    text = page(HEADER, tally_of([DONE, FAILED, DOUBTFUL]), traffic(3, 1))

    assert complaints(text) == []
    assert "default-src &#x27;none&#x27;" in text


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
        advice=nasty,
        commands=(nasty,),
    )
    doubtful = attrs.evolve(line, status="unconfirmed", commands=())
    skipped = attrs.evolve(doubtful, status="skipped")
    header = attrs.evolve(HEADER, file=nasty, journal=nasty, stopped=nasty, resume=nasty)
    done = attrs.evolve(doubtful, status="done")
    text = page(header, tally_of([line, doubtful, skipped, done]), traffic(1, 1))

    assert complaints(text) == []
    assert not re.search("[\0-\x09\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", text)
    assert text.encode().decode() == text


@pytest.mark.parametrize("nasty", NASTY[:3])
def test_the_judge_of_the_page_sees_what_is_not_escaped(nasty: str) -> None:
    """The control: the same texts, taken for markup, are complained about."""
    slipped = element("p", Markup(f"{nasty}</p>"))

    with pytest.raises(AssertionError):
        assert complaints(slipped) == []


@given(st.text(st.sampled_from("<>&\"'#;lt39") | st.characters()))
def test_escaped_text_reads_as_it_was(text: str) -> None:
    """All but control characters, which are replaced one by one."""
    markup = escaped(text)

    assert not set("<>\"'") & set(markup)
    assert html.unescape(markup) == "".join(map(sanitize, text))


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
    assert "100,000 rows asked, 25,000 done, 25,000 failed, 25,000 unconfirmed" in Reader(text).text
    assert text.count(f"and {25_000 - MOST_LISTED:,} more") == 2


@pytest.mark.usefixtures("unmeasured")
def test_the_page_is_bounded_whatever_the_texts() -> None:
    """As long as they may be, each character taking six bytes, and no two causes alike."""
    quotes = '"' * 290
    lines = [
        ReportRow(
            id=quotes,
            platform=quotes,
            action=quotes + str(i),
            status=status,
            phone_number=quotes,
            cause=quotes + chr(0x4E00 + i // 20),
            advice=quotes,
            commands=(quotes, quotes + "a", quotes + chr(0x4E00 + i), quotes + "c"),
        )
        for i in range(400)
        for status in ("failed", "unconfirmed")
    ]
    lines += [attrs.evolve(each, status="failed", commands=()) for each in lines]

    assert len(page(HEADER, tally_of(lines), traffic(3, 1)).encode()) < MOST_BYTES
    # The control: without an allowance the same rows make a page that is too large.
    boundless = Tally(attention=Groups(Allowance(10**9)), failures=Groups(Allowance(10**9)))
    for line in lines:
        boundless.add(line)
    assert len(page(HEADER, boundless, traffic(3, 1)).encode()) > MOST_BYTES


@pytest.mark.usefixtures("unmeasured")
def test_rows_are_collected_in_flat_memory() -> None:
    """The control: a list of as many rows grows by more than fifty times as much."""
    tally = tally_of(many(8_000))
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for line in many(4_000, start=8_000):
            tally.add(line)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        kept = list(many(4_000))
        with_list, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 20_000
    assert with_list - after > 50 * 20_000
    assert len(kept) == 4_000


def test_platforms_and_actions_are_bounded_too() -> None:
    tally = tally_of(attrs.evolve(DONE, action=f"action {i}") for i in range(2 * MOST_KINDS))

    assert len(tally.kinds) == MOST_KINDS + 1
    assert sum(each.total() for each in tally.kinds.values()) == 2 * MOST_KINDS


# ---------------------------------------------------------------- timeline


def test_requests_are_counted_by_the_second_from_the_first_on() -> None:
    clock = Clock()
    timeline = Timeline(clock=clock)
    clock.now += 100.0
    for event in (attempt(), attempt(429), THROTTLED):
        timeline(event)
    clock.now += 2.5
    timeline(attempt())

    assert timeline.points() == (Point(0, 1, 2, 1), Point(1, 1, 0, 0), Point(2, 1, 1, 0))


def test_other_events_are_not_counted() -> None:
    timeline = Timeline(clock=Clock())
    timeline(CallFinished(operation="x", attempts=1, elapsed=0.1, error=None))

    assert timeline.points() == ()


def test_stretches_double_when_there_are_too_many() -> None:
    clock = Clock()
    timeline = Timeline(clock=clock, most=4)
    for _ in range(5):
        timeline(attempt())
        timeline(THROTTLED)
        clock.now += 1.0

    assert timeline.points() == (Point(0, 2, 2, 2), Point(2, 2, 2, 2), Point(4, 2, 1, 1))


def test_a_night_without_requests_is_bounded() -> None:
    clock = Clock()
    timeline = Timeline(clock=clock)
    timeline(attempt())
    clock.now += 86_400.0
    timeline(attempt())
    points = timeline.points()

    assert len(points) <= 120
    assert (points[0].admitted, points[-1].admitted) == (1, 1)
    assert sum(point.admitted for point in points) == 2


def test_a_clock_that_is_set_back_breaks_nothing() -> None:
    clock = Clock()
    timeline = Timeline(clock=clock)
    timeline(attempt())
    clock.now -= 50.0
    timeline(attempt())

    assert timeline.points() == (Point(0, 1, 2, 0),)


@given(st.lists(st.floats(0, 10_000), max_size=60), st.integers(2, 9))
def test_no_request_is_lost_by_doubling(pauses: list[float], most: int) -> None:
    clock = Clock()
    timeline = Timeline(clock=clock, most=most)
    for pause in pauses:
        clock.now += pause
        timeline(attempt())
    points = timeline.points()

    assert len(points) <= most
    assert sum(point.admitted for point in points) == len(pauses)


# ---------------------------------------------------------------- drawings


def test_the_smallest_part_of_the_bar_can_be_seen() -> None:
    shares = shown_shares({"done": 99_999, "unconfirmed": 1, "failed": 0})

    assert list(shares) == ["done", "unconfirmed"]
    assert shares["unconfirmed"] > 0.7
    assert sum(shares.values()) == pytest.approx(100)


def test_drawings_say_in_words_what_they_show() -> None:
    points = [Point(0, 1, 40, 0), Point(1, 1, 20, 5), Point(2, 1, 30, 0)]

    bar = Reader(proportion_bar({"done": 1200, "failed": 3}))
    chart = Reader(rate_chart(points))
    assert "1,200 done, 3 failed." in bar.texts
    assert (
        "90 requests in 3.0\N{NO-BREAK SPACE}s, at most 40.0 a second;"
        " 5 rate-limited (429), from 0:01 to 0:02."
    ) in chart.texts
    named = {value for _, name, value in chart.attributes if name == "aria-labelledby"}
    assert named == {" ".join(value for _, name, value in chart.attributes if name == "id")}


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


@pytest.mark.parametrize("palette", [style.LIGHT, style.DARK], ids=["light", "dark"])
def test_every_word_stands_out_from_its_ground(palette: dict[str, str]) -> None:
    """At least 4.5 to 1, as WCAG 2 asks of text (level AA)."""
    faint = [
        (text, ground)
        for text in style.TEXTS
        for ground in style.GROUNDS
        if contrast(palette[text], palette[ground]) < 4.5
    ]

    assert faint == []
    assert contrast(palette["ink"], palette["admitted"]) > 4.5  # where a label stands on a bar
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
    light, dark, paper = (tmp_path / name for name in ("light.png", "dark.png", "paper.pdf"))

    shown = browse(
        tmp_path,
        file,
        "--blink-settings=preferredColorScheme=1",
        "--dump-dom",
        f"--screenshot={light}",
        f"--print-to-pdf={paper}",
    )
    browse(tmp_path, file, "--blink-settings=preferredColorScheme=0", f"--screenshot={dark}")

    assert "400 rows asked, 100 done, 100 failed, 100 unconfirmed, 100 not sent" in shown
    assert light.read_bytes().startswith(b"\x89PNG")
    assert dark.read_bytes().startswith(b"\x89PNG")
    assert light.read_bytes() != dark.read_bytes()
    assert paper.read_bytes().startswith(b"%PDF-")
