"""An operator's first day: every command on a terminal, in the order in which they are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigmamind_async.provisioning.tags import remove_tag
from tests.cli.conftest import Terminal
from tests.cli.test_terminal import ESCAPES

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Wait

ROWS = 6
PURCHASE = (
    "- {{id: desk-{0}, platform: sigmamind, source: purchase, country_code: US, label: Desk {0}}}\n"
)


class Day:
    """Runs commands on terminals of 80 columns, one after the other."""

    def __init__(self, cli: Cli) -> None:
        self._cli = cli
        cli.environment["COLUMNS"] = "80"

    def run(self, code: int, *words: object, answer: str = "") -> str:
        """Run a command, answer its question, and return what was seen on the terminal."""
        with Terminal(self._cli, *words) as terminal:
            if answer:
                terminal.read_until("cancel: ")
                terminal.type(f"{answer}\n")
        return self.seen(terminal, code)

    def seen(self, terminal: Terminal, code: int) -> str:
        text = ESCAPES.sub("", terminal.seen).replace("\r\n", "\n")
        assert terminal.code == code, text
        return text


def test_the_first_day_of_an_operator(cli: Cli, until: Wait) -> None:
    """It takes twelve processes, so it is slower than most tests.

    The sandbox's ledger is the judge: one number a row, through Ctrl-C and a lost answer.
    """
    day, box = Day(cli), cli.box
    assert "ok       sigmamind" in day.run(0, "doctor")

    day.run(0, "init", "fleet.yaml")
    with (cli.folder / "fleet.yaml").open("a") as fleet:
        fleet.writelines(PURCHASE.format(row) for row in range(2, ROWS + 1))
    plan = day.run(0, "plan", "fleet.yaml")
    assert f"Plan: {ROWS} to buy." in plan
    assert "  + buy  desk-1  sigmamind" in plan

    # Ctrl-C in the middle: what is under way is settled, and the command to go on is shown.
    box.latency = (0.5, 0.5)
    box.sigmamind.script("create", ["reset_before_commit"])
    with Terminal(cli, "apply", "fleet.yaml", "--deadline", 3, "--settle-time", 0) as terminal:
        terminal.read_until("cancel: ")
        terminal.type(f"{ROWS}\n")
        terminal.read_until(f"/{ROWS}")
        until(lambda: bool(box.ledger.purchases))
        terminal.interrupt()
    text = day.seen(terminal, 130)
    assert f"  sigmamind  {box.sigmamind.base_url}, key ..." in text
    assert f"This buys {ROWS} numbers and costs money.\nType {ROWS} to buy them" in text
    assert "to continue, run the same command again" in text

    # The same command again: what is left is bought. One purchase needs a decision.
    box.latency = (0.0, 0.0)
    day.run(3, "reconcile", "fleet.yaml", "--wait", "--settle-time", 0)
    seen = day.run(3, "status", "fleet.yaml")
    assert "1 row needs a decision" in seen
    [row] = {line.split()[4] for line in seen.splitlines() if "--only" in line}
    assert f"sigmamind reconcile fleet.yaml --only {row} --retry-unconfirmed" in seen
    day.run(0, "reconcile", "fleet.yaml", "--only", row, "--retry-unconfirmed")

    left = ROWS - len(box.ledger.purchases)
    day.run(0, "apply", "fleet.yaml", "--report", "report.html", answer=str(left))
    labels = sorted(remove_tag(each.friendly_name or "") for each in box.ledger.purchases)
    assert labels == [*(f"Desk {row}" for row in range(2, ROWS + 1)), "Support"]

    status = day.run(0, "status", "fleet.yaml", "--rows")
    assert "all settled" in status
    assert all(number in status for number in box.ledger.owned())
    assert "Everything is done" in (cli.folder / "report.html").read_text()

    day.run(0, "export", "--out", "account.csv")
    assert "no changes" in day.run(0, "plan", "account.csv", "--detailed-exitcode")
    assert "no changes" in day.run(0, "plan", "fleet.yaml", "--detailed-exitcode")
