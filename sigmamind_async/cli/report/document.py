"""The page itself: its sections, in the order in which a manager asks."""

from __future__ import annotations

from collections import Counter
from typing import Final

from sigmamind_async.bulk import Status
from sigmamind_async.cli.report import formatting, tables
from sigmamind_async.cli.report.charts import key, proportion_bar, rate_chart, rates_text
from sigmamind_async.cli.report.markup import Markup, element, joined
from sigmamind_async.cli.report.model import Group, Header, Kind, Tally
from sigmamind_async.cli.report.style import style_sheet
from sigmamind_async.cli.report.timeline import Timeline

_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
"""Even if markup slipped in, a browser would load and run nothing."""


def page(header: Header, tally: Tally, timeline: Timeline) -> str:
    """Return the whole document, to be written as UTF-8."""
    sections = (
        _head_of_job(header, tally),
        _attention(tally),
        _failures(tally),
        _speed(timeline),
        _kinds(tally),
        _tally_rows(tally),
        _foot(header),
    )
    body = element("body", element("main", *sections))
    return f"<!DOCTYPE html>\n{element('html', _head(header), body, lang='en')}\n"


def _head(header: Header) -> Markup:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        # Telephones make links of whatever looks like a number.
        element("meta", name="format-detection", content="telephone=no"),
        element("meta", name="robots", content="noindex"),
        element("title", f"Job report: {header.file}"),
        element("style", Markup(style_sheet())),
    )


def _head_of_job(header: Header, tally: Tally) -> Markup:
    status, verdict = formatting.verdict(header, tally)
    started = f"{formatting.moment(header.started)}, took {formatting.lasting(header.seconds)}"
    return element(
        "header",
        element("p", "Job report for ", _file_name(header.file), class_="over"),
        element("h1", verdict, class_=status),
        element("p", formatting.summary(header, tally), class_="lead"),
        *_stopped(header),
        *_proportions(tally),
        _facts(
            ("Started", started),
            ("Money", " ".join(formatting.money(header, tally))),
            ("Requests", _requests(header)),
            ("Journal", _file_name(header.journal)),
        ),
        *_resume(header, tally),
    )


def _file_name(text: str) -> Markup:
    return element("span", text, class_="name")


def _stopped(header: Header) -> list[Markup]:
    if header.stopped is None:
        return []
    return [element("p", f"It ended before its rows did: {header.stopped}.", class_="lead")]


def _proportions(tally: Tally) -> list[Markup]:
    if not tally.asked:
        return []
    present = formatting.present(tally.counts)
    entries = [(each, f"{tally.counts[each]:,} {formatting.STATUSES[each]}") for each in present]
    return [proportion_bar(tally.counts), key(entries)]


def _facts(*facts: tuple[str, str]) -> Markup:
    pairs = (part for name, said in facts for part in (element("dt", name), element("dd", said)))
    return element("dl", *pairs, class_="facts")


def _requests(header: Header) -> str:
    sent = f"{header.requests:,} sent"
    if not header.throttled:
        return f"{sent}, none rate-limited"
    return f"{sent}, {header.throttled:,} of them rate-limited (429)"


def _resume(header: Header, tally: Tally) -> list[Markup]:
    if not header.resume or (tally.counts["done"] == tally.asked and header.stopped is None):
        return []
    return [
        element("p", "To go on; what is done is not sent again:", class_="group"),
        *tables.commands((header.resume,)),
    ]


def _section(title: str, *parts: str) -> Markup:
    return element("section", element("h2", title), *parts)


def _attention(tally: Tally) -> Markup:
    if not tally.attention.count:
        return _section("Needs attention", element("p", "Nothing is unconfirmed.", class_="quiet"))
    said = "An unconfirmed row may have been carried out: look before anything is sent again."
    intro = element("p", said)
    return _section("Needs attention", intro, tables.groups(tally.attention))


def _failures(tally: Tally) -> Markup:
    if not tally.failures.count:
        return _section("Failures", element("p", "Nothing failed.", class_="quiet"))
    return _section("Failures by cause", tables.groups(tally.failures))


def _speed(timeline: Timeline) -> Markup:
    points = timeline.points()
    if not points:
        return _section("Requests over time", element("p", "Nothing was sent.", class_="quiet"))
    entries = (
        ("admitted", "requests a second"),
        ("throttled", "429s a second: rate-limited"),
    )
    figure = element("figure", rate_chart(points), key(entries))
    return _section("Requests over time", element("p", rates_text(points), class_="quiet"), figure)


def _kinds(tally: Tally) -> Markup:
    if not tally.kinds:
        return _section("What was asked", element("p", "No rows.", class_="quiet"))
    present = formatting.present(tally.counts)
    names = [*(formatting.STATUSES[each] for each in present), "asked"]
    headings = [
        element("th", "Platform", scope="col"),
        element("th", "Action", scope="col"),
        *(element("th", name.capitalize(), scope="col", class_="number") for name in names),
    ]
    body = [_kind_row(kind, counts, present) for kind, counts in sorted(tally.kinds.items())]
    return _section(
        "What was asked and done",
        tables.scrolling(
            element("thead", element("tr", *headings)),
            element("tbody", *body),
            element("tfoot", _total(tally.counts, present)),
            label="Rows by platform and action",
        ),
    )


def _kind_row(kind: Kind, counts: Counter[Status], present: list[Status]) -> Markup:
    platform, action = kind
    return element(
        "tr",
        element("th", platform, scope="row"),
        element("td", action or "not said"),
        *_numbers(counts, present),
    )


def _total(counts: Counter[Status], present: list[Status]) -> Markup:
    total = element("th", "All", scope="row", colspan=2)
    return element("tr", total, *_numbers(counts, present))


def _numbers(counts: Counter[Status], present: list[Status]) -> list[Markup]:
    numbers = [*(counts[each] for each in present), counts.total()]
    return [element("td", f"{number:,}", class_="number") for number in numbers]


def _tally_rows(tally: Tally) -> Markup:
    listed = [_group_list(group) for group in (tally.done, tally.skipped) if group.count]
    if not listed:
        return _section("Rows", element("p", "No row is done.", class_="quiet"))
    note = "Rows that failed or are unconfirmed are above, under their cause."
    return _section("Rows", element("p", note, class_="quiet"), joined(listed))


def _group_list(group: Group) -> Markup:
    word = formatting.STATUSES[group.status]
    heading = element("h3", formatting.rows(group.count), " ", word)
    why = [element("p", group.example, class_="quiet")] if group.example else []
    return element("div", heading, *why, tables.folded(group), class_="group")


def _foot(header: Header) -> Markup:
    ended = formatting.moment(header.started + header.seconds)
    return element(
        "footer",
        element(
            "p",
            f"As of {ended}. Every row is counted; of each group the first"
            " are listed, and sigmamind status knows the rest.",
        ),
    )
