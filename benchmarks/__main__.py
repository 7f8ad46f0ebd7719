"""Measure what the library costs, and how far it is from what it should be.

Without a command everything is run that needs no other package, in a few minutes. ``--json FILE``
keeps the figures.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import attrs

from benchmarks import commands, limiter, paths, publish, regression, report, sdks
from benchmarks.machine import machine
from benchmarks.memory import MILLION
from benchmarks.report import QUICK, Part, Scale
from benchmarks.tables import GOALS_HEAD, goal_rows, table
from tests.harness import purchases

Figures = dict[str, object]
Command = Callable[[argparse.Namespace, Figures], bool]
"""Measures, prints, adds to the figures; returns whether all is as promised."""


def main() -> None:
    chosen = arguments()
    print(machine())
    figures: Figures = {"machine": machine()}
    command: Command = chosen.run
    clean = command(chosen, figures)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")
    raise SystemExit(not clean)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    scaled(parser)
    parser.set_defaults(run=everything)
    named = parser.add_subparsers(metavar="COMMAND")
    for name, (run, module, options) in COMMANDS.items():
        summary = (module.__doc__ or "").partition("\n")[0]
        command = named.add_parser(name, description=module.__doc__, help=summary)
        command.set_defaults(run=run)
        options(command)
        command.add_argument("--json", type=Path, metavar="FILE", default=argparse.SUPPRESS)
    return parser.parse_args()


# --- what is measured with a clock -----------------------------------------------------------


def scaled(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, wider spread")
    parser.add_argument("--million", action="store_true", help="stream a million updates")


def everything(chosen: argparse.Namespace, figures: Figures) -> bool:
    """Run all parts; a goal that is not met is a fact, and no failure."""
    scale = QUICK if chosen.quick else Scale()
    if chosen.million:
        scale = attrs.evolve(scale, calls=MILLION)
    conclude([shown(part) for part in report.parts_of(scale)], figures)
    return True


def peers(chosen: argparse.Namespace, figures: Figures) -> bool:
    try:
        part = report.peers(QUICK if chosen.quick else Scale())
    except sdks.NotInstalledError as error:
        print(error, file=sys.stderr)
        return False
    conclude([shown(part)], figures)
    return True


def publishing(chosen: argparse.Namespace, figures: Figures) -> bool:
    scale = Scale(calls=chosen.calls)
    parts = [shown(part) for part in report.parts_of(scale)]
    try:
        parts.append(shown(report.peers(scale)))
    except sdks.NotInstalledError as error:
        print(error, file=sys.stderr)
        return False
    regression.write_baseline()
    publish.write(parts, machine())
    conclude(parts, figures)
    return True


def shown(part: Part) -> Part:
    """Print the tables of *part* as soon as it is there."""
    for one in part.tables:
        print(f"\n{one.title}")
        table(one.head, one.rows)
    sys.stdout.flush()
    return part


def conclude(parts: Sequence[Part], figures: Figures) -> None:
    """Print how each figure stands to its goal."""
    print("\nAll figures with a goal")
    table(GOALS_HEAD, goal_rows(figure for part in parts for figure in part.figures))
    figures |= publish.as_json(parts, machine())


def regressions(chosen: argparse.Namespace, figures: Figures) -> bool:
    """Compare with the baseline, or write a new one."""
    if chosen.write:
        figures["ratios"] = regression.write_baseline()
        return True
    baseline, same = regression.read_baseline()
    measuring = regression.measuring(regression.PLANTS.get(chosen.plant))
    judged = list(regression.judge(measuring, baseline, same_versions=same))
    figures["ratios"] = {one.name: one.reading.ratio for one in judged}
    table(
        ("", "baseline", "at most", "now", "control", ""),
        [
            (
                one.name,
                f"{one.baseline:.2f}",
                f"{one.limit:.2f}",
                f"{one.reading.ratio:.2f}",
                "" if one.reading.control is None else f"{one.reading.control:.2f}",
                one.words,
            )
            for one in judged
        ],
    )
    return all(one.passed for one in judged)


# --- what is counted -------------------------------------------------------------------------


def courses(_: argparse.Namespace, figures: Figures) -> bool:
    """Print what a reader has to follow."""
    figures["paths"] = paths.show()
    return True


def buy(chosen: argparse.Namespace, figures: Figures) -> bool:
    """Run the purchases that were asked for; return whether all was right."""
    in_memory = chosen.in_memory
    settle_time = purchases.SETTLE_TIME_IN_MEMORY if in_memory else purchases.SETTLE_TIME
    plan = purchases.Plan(
        count=chosen.count or (1_000 if chosen.peers or in_memory else 10_000),
        faults=chosen.faults,
        kills=0 if in_memory else chosen.kills,
        seed=chosen.seed,
        late=purchases.LATE_IN_MEMORY if in_memory else purchases.LATE,
        settle_time=settle_time if chosen.settle_time is None else chosen.settle_time,
    )
    figures["plan"] = attrs.asdict(plan)
    if chosen.peers:
        figures["peers"] = bargains(plan, chosen.peers_python)
        return True
    if in_memory:
        bought = purchases.run_in_memory(plan)
    else:
        with tempfile.TemporaryDirectory() as folder:
            bought = purchases.run(plan, Path(folder, "orders.db"))
    figures["purchases"] = attrs.asdict(bought)
    print(
        f"\n{plan.count} purchases, {plan.faults:.0%} of the requests with one of"
        f" {len(bought.faults)} kinds of faults, seed {plan.seed}: bought in {bought.seconds:.1f} s"
        f"{' of processor time' if in_memory else ''} through {bought.kills} kill -9;\n"
        f"{bought.adopted} numbers adopted, {bought.resent} operations sent again"
        f" after a settle time of {plan.settle_time:g} s"
    )
    table(
        ("bought twice", "lost", "paid for and unknown", "phantom"),
        [tuple(str(number) for number in attrs.astuple(bought.verdict))],
    )
    return bought.verdict.clean and bought.kills >= plan.kills


def bargains(plan: purchases.Plan, python: str) -> dict[str, object]:
    found = dict(purchases.compare(plan, python))
    for name in [name for name, bargain in found.items() if bargain is None]:
        print(f"{name}: skipped, {python} cannot import it")
    measured = {name: bargain for name, bargain in found.items() if bargain is not None}
    print(f"\n{plan.count} purchases, {plan.faults:.0%} faults, seed {plan.seed}, nobody killed")
    table(
        ("", "bought twice", "paid for and not told of", "not bought", "seconds"),
        [
            (name, str(one.twice), str(one.unknown), str(one.lost), f"{one.seconds:.0f}")
            for name, one in measured.items()
        ],
    )
    return {name: attrs.asdict(one) for name, one in measured.items()}


# --- commands --------------------------------------------------------------------------------


def of_purchases(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, help="numbers to buy: 10000, with --peers 1000")
    parser.add_argument("--faults", type=float, default=0.2, help="share of faulty requests")
    parser.add_argument("--kills", type=int, default=12, help="least number of kill -9")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--settle-time", type=float, help="seconds")
    parser.add_argument("--in-memory", action="store_true", help="without sockets, in virtual time")
    parser.add_argument("--peers", action="store_true", help="compare with other clients instead")
    parser.add_argument("--peers-python", default=sys.executable, metavar="PATH")


def of_peers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="fewer rounds, wider spread")


def of_regression(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--write", action="store_true", help="store what is measured instead")
    parser.add_argument(
        "--plant", choices=sorted(regression.PLANTS), help="make updates dearer, which is to fail"
    )


def of_paths(_: argparse.ArgumentParser) -> None:
    pass


def of_publish(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--calls", type=int, default=MILLION, help="updates to stream: a million")


COMMANDS: dict[str, tuple[Command, ModuleType, Callable[[argparse.ArgumentParser], None]]] = {
    "peers": (peers, sdks, of_peers),
    "regression": (regressions, regression, of_regression),
    "publish": (publishing, publish, of_publish),
    "purchases": (buy, purchases, of_purchases),
    "limiter": (limiter.show, limiter, limiter.add_arguments),
    "paths": (courses, paths, of_paths),
    "commands": (commands.show, commands, commands.add_arguments),
}
"""What is run only when named: how, the module that describes it, its options."""

try:
    from benchmarks import scale, shared_rate
    from tests.harness import workers
except ImportError:  # they need a PostgreSQL server, and the extra to speak to it
    pass
else:

    def admissions(chosen: argparse.Namespace, figures: Figures) -> bool:
        """Measure how exactly machines share one rate, and what an admission costs."""
        with workers.a_database(chosen.postgres) as dsn:
            figures["shared_rate"] = shared_rate.show(dsn, quick=chosen.quick)
        return True

    def of_shared_rate(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--quick", action="store_true", help="fewer rounds, wider spread")
        parser.add_argument("--postgres", metavar="DSN", help="an empty database to use")

    COMMANDS["scale"] = (scale.measure, scale, scale.add_arguments)
    COMMANDS["workers"] = (workers.measure, workers, workers.add_arguments)
    COMMANDS["shared-rate"] = (admissions, shared_rate, of_shared_rate)


if __name__ == "__main__":
    main()
