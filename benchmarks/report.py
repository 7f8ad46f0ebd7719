"""Each benchmark as a part of one report: its tables, its figures, and all of it as JSON."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Iterator, Sequence

import attrs

from benchmarks import cost, fairness, imports, listing, loops, memory, parts, scheduling, sdks
from benchmarks.deadline import DEADLINE, overruns
from benchmarks.fleet import apply_memory, plan_cost
from benchmarks.goals import Figure
from benchmarks.journal import journal_cost
from benchmarks.tables import spread


@attrs.frozen(kw_only=True)
class Scale:
    """How much of everything."""

    rounds: int = 24
    calls: int = 20_000
    """Calls of the memory benchmark."""


QUICK = Scale(rounds=6, calls=5_000)


@attrs.frozen(kw_only=True)
class Table:
    """What a reader is shown."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@attrs.frozen(kw_only=True)
class Part:
    """What one benchmark came to."""

    name: str
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    raw: object = None
    """Everything that was measured, for JSON."""


def parts_of(scale: Scale) -> Iterator[Part]:
    """Run every benchmark that needs no other package, one after the other."""
    for benchmark in BENCHMARKS:
        yield benchmark(scale)


# --- calls -----------------------------------------------------------------------------------


def update(scale: Scale) -> Part:
    measured, figures = asyncio.run(cost.compare(rounds=scale.rounds))
    title = f"One typed update, 100 under way, {scale.rounds} alternated rounds: quartiles"
    return Part(
        name="update",
        figures=figures,
        tables=[Table(title=title, head=CALLS_HEAD, rows=calls_rows(measured))],
        raw=attrs.asdict(measured),
    )


def uvloop(scale: Scale) -> Part:
    try:
        measured, figures = loops.compare(rounds=max(6, scale.rounds // 2))
    except ImportError:
        return Part(name="uvloop", tables=[_left_out("uvloop", "pip install -e '.[speed]'")])
    title = "The same on asyncio's own loop and on uvloop"
    return Part(
        name="uvloop",
        figures=figures,
        tables=[Table(title=title, head=CALLS_HEAD, rows=calls_rows(measured))],
        raw=attrs.asdict(measured),
    )


CALLS_HEAD = ("", "CPU us a call", "calls a second", "speed on one core, plain = 1")


def calls_rows(measured: cost.Cost) -> list[tuple[str, ...]]:
    return [
        (name, spread(measured.cpu_us[name]), spread(measured.speed[name]), spread(ratio, digits=2))
        for name, ratio in measured.to_plain.items()
    ]


def isolation(scale: Scale) -> Part:
    success, figure = asyncio.run(parts.success_path(rounds=scale.rounds))
    return Part(
        name="isolation",
        figures=[figure, asyncio.run(parts.signal(rounds=scale.rounds))],
        tables=[
            Table(
                title="What a call that succeeds spends on each part, us: quartiles",
                head=("", "by itself", "functions called"),
                rows=[
                    *(
                        (name, spread(spent, digits=2), str(success.functions[name]))
                        for name, spent in success.alone.items()
                    ),
                    ("all three, within a scripted call", spread(success.in_a_call, digits=2), ""),
                ],
            )
        ],
        raw=attrs.asdict(success),
    )


def jobs(scale: Scale) -> Part:
    row = asyncio.run(scheduling.scheduling(rounds=scale.rounds))
    fair, figure = asyncio.run(fairness.job())
    return Part(
        name="jobs",
        figures=[row, figure],
        tables=[
            Table(
                title=f"A job of {fair.rows:,} updates, {fairness.AT_ONCE:,} at once, ms a row",
                head=("median", "p99"),
                rows=[(f"{fair.median:.0f}", f"{fair.p99:.0f}")],
            )
        ],
        raw=attrs.asdict(fair),
    )


# --- memory, records, imports ----------------------------------------------------------------


def streaming(scale: Scale) -> Part:
    streamed, figure = memory.stream(scale.calls)
    return Part(
        name="streaming",
        figures=[figure],
        tables=[
            Table(
                title=f"{streamed.calls:,} updates streamed through a job, real connections",
                head=("MiB at most", "growth, MiB", "updates a second"),
                rows=[
                    (
                        f"{streamed.peak_mib:.0f}",
                        f"{streamed.growth_mib:.2f}",
                        f"{streamed.calls / streamed.seconds:,.0f}",
                    )
                ],
            )
        ],
        raw=attrs.asdict(streamed),
    )


def tls(_: Scale) -> Part:
    try:
        held, figure = memory.tls()
    except ImportError:
        return Part(name="tls", tables=[_left_out("trustme", "pip install -e '.[test]'")])
    return Part(name="tls", figures=[figure], raw=attrs.asdict(held))


def records(scale: Scale) -> Part:
    figure = asyncio.run(listing.decoding(rounds=max(4, scale.rounds // 2)))
    held = asyncio.run(listing.longest_stall())
    return Part(
        name="records",
        figures=[figure],
        tables=[
            Table(
                title="A listing read over a socket, pages of 100",
                head=("records", "loop held up at most, ms of CPU"),
                rows=[(f"{held.records:,}", f"{held.stall_ms:.1f}")],
            )
        ],
        raw=attrs.asdict(held),
    )


def importing(scale: Scale) -> Part:
    above = imports.above_bare(imports.costs(rounds=scale.rounds))
    medians = {name: statistics.median(taken) for name, taken in above.items()}
    return Part(
        name="imports",
        figures=imports.figures(above),
        tables=[
            Table(
                title="Imports, CPU ms above a bare interpreter: median",
                head=("", "ms"),
                rows=[(name, f"{ms:.0f}") for name, ms in medians.items()],
            )
        ],
        raw=medians,
    )


# --- journal, deadline, fleet ----------------------------------------------------------------


def journal(scale: Scale) -> Part:
    measured = asyncio.run(journal_cost(rounds=scale.rounds))
    title = (
        f"One purchase, answered at once, {scale.rounds} alternated rounds: median (p99), quartiles"
    )
    rows = [
        (
            name,
            _middle_and_end(latency),
            _middle_and_end(measured.share_ms[name]) if name in measured.share_ms else "",
            spread(measured.cpu_us[name]),
            spread(measured.speed[name]),
        )
        for name, latency in measured.latency_ms.items()
    ]
    rows.append(("the disk alone, 4 KiB", _middle_and_end(measured.disk_ms), "", "", ""))
    head = ("", "ms one by one", "journal's share", "100 at once: CPU us each", "a second")
    return Part(
        name="journal",
        tables=[Table(title=title, head=head, rows=rows)],
        raw=attrs.asdict(measured),
    )


def deadline(scale: Scale) -> Part:
    late = asyncio.run(overruns(calls=40 * scale.rounds))
    median, worst = 1000 * statistics.median(late), 1000 * late[int(0.99 * (len(late) - 1))]
    return Part(
        name="deadline",
        tables=[
            Table(
                title=f"Past a deadline of {DEADLINE} s, 100 under way, {len(late)} calls",
                head=("median ms", "p99 ms"),
                rows=[(f"{median:.1f}", f"{worst:.1f}")],
            )
        ],
        raw={"median_ms": median, "p99_ms": worst},
    )


def fleet(scale: Scale) -> Part:
    planned = plan_cost()
    rises = [asyncio.run(apply_memory(size)) for size in (50 * scale.rounds, 200 * scale.rounds)]
    return Part(
        name="fleet",
        tables=[
            Table(
                title=f"A fleet of {planned.rows:,} rows and numbers, CPU seconds: best of 5",
                head=("read and check", "plan", "rows that differ"),
                rows=[(f"{planned.load:.2f}", f"{planned.plan:.2f}", f"{planned.writes:,}")],
            ),
            Table(
                title="The same applied, a change of each row: highest memory above the plan's own",
                head=("rows", "MiB"),
                rows=[(f"{rise.rows:,}", f"{rise.rise:.1f}") for rise in rises],
            ),
        ],
        raw={"plan": attrs.asdict(planned), "apply": [attrs.asdict(rise) for rise in rises]},
    )


BENCHMARKS: Sequence[Callable[[Scale], Part]] = (
    update,
    uvloop,
    isolation,
    jobs,
    records,
    importing,
    streaming,
    tls,
    journal,
    deadline,
    fleet,
)


# --- other clients ---------------------------------------------------------------------------


def peers(scale: Scale) -> Part:
    """Run the other platforms' clients; raises `sdks.NotInstalledError`."""
    rounds = max(4, scale.rounds // 2)
    measured, figures = sdks.compare(rounds=rounds)
    rows = [(*row, spread(measured.ours[row[0]], digits=1)) for row in calls_rows(measured.cost)]
    return Part(
        name="peers",
        figures=figures,
        tables=[
            Table(
                title=f"One update through each client, 100 under way, {rounds} alternated rounds",
                head=(*CALLS_HEAD, "ours, as a multiple"),
                rows=rows,
            )
        ],
        raw=attrs.asdict(measured),
    )


def _left_out(package: str, how: str) -> Table:
    return Table(title=f"{package} is not installed, left out: {how}", head=("",), rows=())


def _middle_and_end(milliseconds: tuple[float, float]) -> str:
    middle, end = milliseconds
    return f"{middle:.2f} ({end:.2f})"
