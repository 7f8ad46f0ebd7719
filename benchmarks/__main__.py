"""Run every benchmark and print its table; ``--json FILE`` keeps the figures, too.

``purchases`` and ``gate`` are run only when named: they take minutes.
"""

import argparse
import asyncio
import json
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import attrs

from benchmarks import gate, purchases
from benchmarks.cost import compare
from benchmarks.deadline import DEADLINE, overruns
from benchmarks.fleet import apply_memory, plan_cost
from benchmarks.imports import costs
from benchmarks.journal import journal_cost
from benchmarks.measure import Quartiles


def main() -> None:
    chosen = arguments()
    print(machine())
    figures: dict[str, object] = {"machine": machine()}
    if chosen.benchmark == "purchases":
        clean = buy(chosen, figures)
    elif chosen.benchmark == "gate":
        clean = throttles(chosen.seeds, figures)
    else:
        clean = True
        figures |= everything(quick=chosen.quick)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")
    raise SystemExit(not clean)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, wider spread")
    named = parser.add_subparsers(dest="benchmark", metavar="purchases | gate")
    buying = named.add_parser("purchases", description=purchases.__doc__)
    buying.add_argument("--count", type=int, help="numbers to buy: 10000, with --peers 1000")
    buying.add_argument("--faults", type=float, default=0.2, help="share of faulty requests")
    buying.add_argument("--kills", type=int, default=12, help="least number of kill -9")
    buying.add_argument("--seed", type=int, default=1)
    buying.add_argument("--quarantine", type=float, default=purchases.QUARANTINE, help="seconds")
    buying.add_argument("--peers", action="store_true", help="compare with other clients instead")
    buying.add_argument("--peers-python", default=sys.executable, metavar="PATH")
    buying.add_argument("--json", type=Path, metavar="FILE", default=argparse.SUPPRESS)
    throttled = named.add_parser("gate", description=gate.__doc__)
    throttled.add_argument("--seeds", type=int, default=1, help="runs of each server; worst shown")
    throttled.add_argument("--json", type=Path, metavar="FILE", default=argparse.SUPPRESS)
    return parser.parse_args()


def everything(*, quick: bool) -> dict[str, object]:
    return {
        # Before whatever keeps this process on one core: a journal has a thread of its own.
        "journal": journal(rounds=6 if quick else 30),
        "update": update(rounds=6 if quick else 30),
        "deadline": deadline(calls=200 if quick else 1000),
        "imports": imports(rounds=5 if quick else 11),
        "fleet": fleet(sizes=(1_000, 4_000) if quick else (4_000, 16_000)),
    }


def throttles(seeds: int, figures: dict[str, object]) -> bool:
    """Run a job against every simulated platform; return whether each kept what is promised."""
    rows = list(gate.compare(seeds))
    figures["gate"] = [attrs.asdict(row) for row in rows]
    print(f"\nOne job against simulated platforms, worst of {seeds}, in virtual time")
    table(
        ("", "times the ideal", "refused", "rows done", ""),
        [
            (
                row.name,
                f"{row.slower:.2f}",
                f"{row.refused:.1%}",
                f"{row.done:.0%}",
                "" if row.kept else "not as promised",
            )
            for row in rows
        ],
    )
    return all(row.kept for row in rows)


def buy(chosen: argparse.Namespace, figures: dict[str, object]) -> bool:
    """Run the purchases that were asked for; return whether all was right."""
    plan = purchases.Plan(
        count=chosen.count or (1_000 if chosen.peers else 10_000),
        faults=chosen.faults,
        kills=chosen.kills,
        seed=chosen.seed,
        quarantine=chosen.quarantine,
    )
    figures["plan"] = attrs.asdict(plan)
    if chosen.peers:
        figures["peers"] = peers(plan, chosen.peers_python)
        return True
    with tempfile.TemporaryDirectory() as folder:
        report = purchases.run(plan, Path(folder, "orders.db"))
    figures["purchases"] = attrs.asdict(report)
    print(
        f"\n{plan.count} purchases, {plan.faults:.0%} of the requests with one of"
        f" {len(report.faults)} kinds of faults, seed {plan.seed}: bought in {report.seconds:.0f} s"
        f" through {report.kills} kill -9;\n{report.adopted} numbers adopted,"
        f" {report.resent} operations sent again after a quarantine of {plan.quarantine:g} s"
    )
    table(
        ("bought twice", "lost", "paid for and unknown", "phantom"),
        [tuple(str(number) for number in attrs.astuple(report.verdict))],
    )
    return report.verdict.clean and report.kills >= plan.kills


def peers(plan: purchases.Plan, python: str) -> dict[str, object]:
    bargains = dict(purchases.compare(plan, python))
    for name in [name for name, bargain in bargains.items() if bargain is None]:
        print(f"{name}: skipped, {python} cannot import it")
    measured = {name: bargain for name, bargain in bargains.items() if bargain is not None}
    print(f"\n{plan.count} purchases, {plan.faults:.0%} faults, seed {plan.seed}, nobody killed")
    table(
        ("", "bought twice", "paid for and not told of", "not bought", "seconds"),
        [
            (name, str(one.twice), str(one.unknown), str(one.lost), f"{one.seconds:.0f}")
            for name, one in measured.items()
        ],
    )
    return {name: attrs.asdict(one) for name, one in measured.items()}


def machine() -> str:
    parts = [platform.machine(), platform.system(), f"CPython {platform.python_version()}"]
    return ", ".join([*parts, f"aiohttp {version('aiohttp')}"])


def update(*, rounds: int) -> dict[str, object]:
    cost = asyncio.run(compare(rounds=rounds))
    print(f"\nOne typed update, 100 under way, {rounds} alternated rounds: quartiles")
    table(
        ("", "CPU us a call", "calls a second", "speed, plain = 1"),
        [
            (name, spread(cost.cpu_us[name]), spread(cost.speed[name]), spread(ratio, digits=2))
            for name, ratio in cost.to_plain.items()
        ],
    )
    return {"cpu_us": cost.cpu_us, "calls_per_second": cost.speed, "to_plain": cost.to_plain}


def journal(*, rounds: int) -> dict[str, object]:
    cost = asyncio.run(journal_cost(rounds=rounds))
    print(f"\nOne purchase, answered at once, {rounds} alternated rounds: median (p99), quartiles")
    table(
        ("", "ms one by one", "journal's share", "100 at once: CPU us each", "a second"),
        [
            (
                name,
                middle_and_end(latency),
                middle_and_end(cost.share_ms[name]) if name in cost.share_ms else "",
                spread(cost.cpu_us[name]),
                spread(cost.speed[name]),
            )
            for name, latency in cost.latency_ms.items()
        ],
    )
    print(f"  the disk alone: 4 KiB written in {middle_and_end(cost.disk_ms)} ms")
    return attrs.asdict(cost)


def deadline(*, calls: int) -> dict[str, object]:
    late = asyncio.run(overruns(calls=calls))
    median, worst = 1000 * statistics.median(late), 1000 * late[int(0.99 * (len(late) - 1))]
    print(f"\nPast a deadline of {DEADLINE} s, 100 under way, {len(late)} calls")
    table(("median ms", "p99 ms"), [(f"{median:.1f}", f"{worst:.1f}")])
    return {"median_ms": median, "p99_ms": worst}


def imports(*, rounds: int) -> dict[str, object]:
    spent = {name: statistics.median(taken) for name, taken in costs(rounds=rounds).items()}
    bare = spent.pop("nothing")
    print("\nImports, CPU ms above a bare interpreter: median")
    table(("", "ms"), [(name, f"{ms - bare:.0f}") for name, ms in spent.items()])
    return {name: ms - bare for name, ms in spent.items()}


def fleet(*, sizes: tuple[int, int]) -> dict[str, object]:
    cost = plan_cost()
    print(f"\nA fleet of {cost.rows:,} rows against as many numbers, CPU seconds: best of 5")
    table(
        ("read and check", "plan", "rows that differ"),
        [(f"{cost.load:.2f}", f"{cost.plan:.2f}", f"{cost.writes:,}")],
    )
    rises = [asyncio.run(apply_memory(size)) for size in sizes]
    print("\nThe same applied, a change of each row: highest memory above the plan's own")
    table(("rows", "MiB"), [(f"{rise.rows:,}", f"{rise.rise:.1f}") for rise in rises])
    return {"plan": attrs.asdict(cost), "apply": [attrs.asdict(rise) for rise in rises]}


def spread(quartiles: Quartiles, *, digits: int = 0) -> str:
    low, middle, high = quartiles
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def middle_and_end(milliseconds: tuple[float, float]) -> str:
    middle, end = milliseconds
    return f"{middle:.2f} ({end:.2f})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  " + "  ".join(cells).rstrip())


if __name__ == "__main__":
    main()
