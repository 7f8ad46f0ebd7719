"""``numbers verify``: test calls, agreed to, placed, and shown."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, cast

import attrs

from sigmamind_async.bulk import StopOn
from sigmamind_async.cli.accounts import client_of, describe_account
from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.jobs.results import row_error
from sigmamind_async.cli.jobs.runner import JobRunner
from sigmamind_async.cli.loop import new_loop
from sigmamind_async.cli.options import AccountOptions, CallOptions
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import (
    Verification,
    VerificationSummary,
)
from sigmamind_async.cli.output.text import count_of, ids_text
from sigmamind_async.cli.prompts import Approval
from sigmamind_async.platforms.sigmamind.client import SigmaMind
from sigmamind_async.platforms.sigmamind.models import Call, PhoneNumber
from sigmamind_async.platforms.sigmamind.verification import (
    VerificationResult,
    verify_numbers,
)
from sigmamind_async.provisioning.adapters.sigmamind import SIGMAMIND


def verify(
    names: Sequence[str], account: AccountOptions, calls: CallOptions, max_calls: int | None
) -> int:
    """Place a test call from each number with one of *names*; without any, from all."""
    platform, request = account.platform, account.request
    if platform != SigmaMind.platform.name:
        raise CommandError(f"{platform} has no calls to verify a number with; sigmamind has")
    output = Output(json=account.json)
    runner = JobRunner(output=output, patience=request.deadline)
    client = cast("SigmaMind", client_of(platform, request, observer=runner.traffic))
    runner.gates = [client.gate]
    ends = Counter[str]()
    left_out: defaultdict[str, list[str]] = defaultdict(list)

    def add(result: Verification) -> None:
        ends[result.status] += 1
        if result.status == "skipped" and output.is_terminal:
            number = result.phone_number or "(unknown)"
            left_out[result.note.replace(number, "+NUMBER")].append(number)
        else:
            output.show(result)

    async def place_calls() -> None:
        async for result in run:
            add(verification_of(result))

    async def carry_out() -> None:
        async with client:
            await runner.run(run, place_calls())

    with new_loop() as loop:
        records, missing = loop.run(_look_up(client, names))
        run = verify_numbers(
            client,
            records,
            progress=runner.progress,
            stop_on=StopOn(patience=runner.patience),
            **attrs.asdict(calls),
        )
        _agree(client, run.calls, max_calls, output)
        for name in missing:
            add(Verification(phone_number=name, status="failed", note="is not in the account"))
        loop.run(carry_out())
    for result in run.undelivered:
        add(verification_of(result))
    for note, numbers in left_out.items():  # one line for all that have a reason in common
        output.log(f"left out: {ids_text(numbers)}: {note}")
    summary = VerificationSummary(numbers=ends.total(), stopped=runner.stopped, **ends)
    output.show(summary)
    return exit_for(summary, named=bool(names))


async def _look_up(client: SigmaMind, names: Sequence[str]) -> tuple[list[PhoneNumber], list[str]]:
    """Return the numbers with these *names*, or all, and the names that the account has not."""
    async with client:
        listing = client.phone_numbers.list(page_size=SIGMAMIND.page_size)
        numbers = {each.sip_phone_number: each async for each in listing}
    wanted = dict.fromkeys(names) or numbers
    found = [numbers[name] for name in wanted if name in numbers]
    return found, [str(name) for name in wanted if name not in numbers]


def _agree(client: SigmaMind, calls: int, max_calls: int | None, output: Output) -> None:
    """Raise `CommandError` unless placing *calls* is agreed to."""
    count, account = count_of(calls, "test call"), describe_account(client)
    what = f"places {count} from {account}; each rings a telephone and costs money"
    if max_calls is not None and calls > max_calls:
        raise CommandError(f"this {what}. --max-calls allows {max_calls}; nothing was sent")
    if max_calls and calls:
        output.log(f"placing {count} from {account}")
    approval = Approval(max_calls is not None, output.can_ask)
    approval.check_count(what, calls, "place", f"--max-calls {calls}")


def exit_for(summary: VerificationSummary, *, named: bool) -> Exit:
    """Return the exit code: all that was *named* is to pass, and something at all."""
    if summary.stopped is not None:
        return Exit.INTERRUPTED
    if summary.unconfirmed:
        return Exit.UNKNOWN
    if summary.failed or not summary.passed or (named and summary.skipped):
        return Exit.FAILED
    return Exit.DONE


_NOTES: Final[Mapping[str, str]] = {
    "no number": "no number in the record",
    "no test number": "no test number; set one: {update} --test-number NUMBER",
    "no agent": "no outbound agent; add --agent ID, or: {update} --outbound-agent-id ID",
    "stopped": "not called before the command ended",
}
_HINTS: Final[Mapping[str, str]] = {
    "BadRequestError": "",
    "Interrupted": "it is left alone and may still ring",
    "OutcomeUnknownError": "it is not placed again; look for it on the platform",
}
"""In place of those on rows of a file, which would mislead."""


def verification_of(result: VerificationResult) -> Verification:
    """Return what a test call says about its number, as it is shown."""
    call = result.call or Call()
    error = None if result.error is None else row_error(result.error)
    if error is not None:
        error = attrs.evolve(error, hint=_HINTS.get(error.type, error.hint))
    note = ""
    if result.skip_reason is not None:
        update = f"sigmamind numbers update {result.number.sip_phone_number}"
        note = _NOTES[result.skip_reason].format(update=update)
    elif result.status == "unconfirmed" and error is None:
        note = "the platform does not show whether it was answered"
    return Verification(
        phone_number=result.number.sip_phone_number,
        status=result.status,
        destination=result.number.outbound_phone_number,
        call_id=call.call_id or None,
        call_status=call.status,
        termination_reason=call.termination_reason,
        duration_ms=None if call.duration is None else round(call.duration * 1000),
        error=error,
        note=note,
    )
