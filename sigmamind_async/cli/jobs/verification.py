"""``numbers verify``: test calls, agreed to, placed, and shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, cast

import attrs

from sigmamind_async.cli.accounts import client_of, describe_account
from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.jobs.results import row_error
from sigmamind_async.cli.jobs.runner import STOPPING, JobRunner
from sigmamind_async.cli.loop import new_loop
from sigmamind_async.cli.options import CallOptions, PlatformName, RequestOptions
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import (
    StopReason,
    Verification,
    VerificationList,
    VerificationSummary,
)
from sigmamind_async.cli.prompts import confirm, is_interactive
from sigmamind_async.platforms.sigmamind.client import SigmaMind
from sigmamind_async.platforms.sigmamind.models import Call, PhoneNumber
from sigmamind_async.platforms.sigmamind.verification import (
    VerificationResult,
    VerificationRun,
    verify_numbers,
)
from sigmamind_async.provisioning.adapters.sigmamind import SIGMAMIND


def verify(
    names: Sequence[str],
    platform: PlatformName,
    calls: CallOptions,
    max_calls: int | None,
    *,
    request: RequestOptions,
    json: bool,
) -> int:
    """Place a test call from each number with one of *names*; without any, from all."""
    if platform != SigmaMind.platform.name:
        raise CommandError(f"{platform} has no calls to verify a number with; sigmamind has")
    output = Output.for_process(json=json)
    runner = JobRunner(output=output, patience=request.deadline, stopping=STOPPING | _STOPPING)
    client = cast("SigmaMind", client_of(platform, request, observer=runner.traffic))
    runner.admissions = [client.gate.admission]
    with new_loop() as loop:
        records, missing = loop.run(_look_up(client, names))
        run = verify_numbers(client, records, progress=runner.progress, **attrs.asdict(calls))
        _agree(client, run.calls, max_calls, ask=not json and is_interactive())
        results = Results(output)
        for result in missing:
            results.add(result)
        loop.run(_place_calls(client, run, runner, results))
    summary = results.conclude(runner.stopped)
    return exit_for(summary, named=bool(names))


async def _place_calls(
    client: SigmaMind, run: VerificationRun, runner: JobRunner, results: Results
) -> None:
    async def consume() -> None:
        async for result in run:
            results.add(verification_of(result))

    async with client:
        await runner.run(run, consume())
    for result in run.undelivered:
        results.add(verification_of(result))


async def _look_up(
    client: SigmaMind, names: Sequence[str]
) -> tuple[list[PhoneNumber], list[Verification]]:
    """Return the numbers with these *names*, or all, and a result for each that is missing."""
    async with client:
        listing = client.phone_numbers.list(page_size=SIGMAMIND.page_size)
        numbers = {each.sip_phone_number: each async for each in listing}
    wanted = dict.fromkeys(names) or numbers
    missing = [
        Verification(phone_number=name, status="failed", note="is not in the account")
        for name in wanted
        if name not in numbers
    ]
    return [numbers[name] for name in wanted if name in numbers], missing


def _agree(client: SigmaMind, calls: int, max_calls: int | None, *, ask: bool) -> None:
    """Raise `CommandError` unless placing *calls* is agreed to."""
    count = "1 test call" if calls == 1 else f"{calls} test calls"
    what = f"this places {count}; each rings a telephone and costs money"
    if max_calls is not None and calls > max_calls:
        raise CommandError(f"{what}. --max-calls allows {max_calls}; nothing was sent")
    if not calls or max_calls is not None:
        return
    if not ask:
        raise CommandError(f"{what}. Agree with --max-calls {calls}; nothing was sent")
    where = describe_account(client)
    confirm(f"T{what[1:]}.\nAccount: {where}. Type {calls} to place them", str(calls))


# ---------------------------------------------------------------- how it ended

_ORDER: Final = ("skipped", "passed", "unconfirmed", "failed")
"""Of the table's rows: what needs attention is last, where it stays on the screen."""

_STOPPING: Final[dict[StopReason, str]] = {
    "interrupted": "stopping: calls in progress are followed; Ctrl-C again leaves them",
    "output_closed": "stopping: nothing reads the results any more; calls in progress are followed",
}


@attrs.define
class Results:
    """How the calls ended: each is shown at once, and on a terminal all of them at the end."""

    output: Output
    _results: list[Verification] = attrs.field(factory=list[Verification])

    def add(self, result: Verification) -> None:
        """Take the result of one number."""
        self._results.append(result)
        if not self.output.is_terminal:
            self.output.show(result)

    def conclude(self, stopped: StopReason | None) -> VerificationSummary:
        """Show what is left to show, and return the summary."""
        ends = Counter(result.status for result in self._results)
        summary = VerificationSummary(
            numbers=ends.total(),
            passed=ends["passed"],
            failed=ends["failed"],
            unconfirmed=ends["unconfirmed"],
            skipped=ends["skipped"],
            stopped=stopped,
        )
        if self.output.is_terminal:
            results = sorted(self._results, key=lambda result: _ORDER.index(result.status))
            self.output.show(VerificationList(tuple(results)))
        self.output.show(summary)
        return summary


def exit_for(summary: VerificationSummary, *, named: bool) -> Exit:
    """Return the exit code: all that was *named* is to pass, and something at all."""
    if summary.stopped is not None:
        return Exit.INTERRUPTED
    if summary.unconfirmed:
        return Exit.UNKNOWN
    if summary.failed or not summary.passed or (named and summary.skipped):
        return Exit.FAILED
    return Exit.DONE


# ---------------------------------------------------------------- results

_NOTES: Final[Mapping[str, str]] = {
    "no number": "its record shows no number",
    "no test number": "it has no test number; set one: {update} --test-number NUMBER",
    "no agent": "no agent makes its calls; add --agent ID, or: {update} --outbound-agent-id ID",
    "stopped": "not called: the command ended before its turn",
}
_UNDOCUMENTED: Final = "the platform does not show whether it was answered"
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
    return Verification(
        phone_number=result.number.sip_phone_number,
        status=result.status,
        destination=result.number.outbound_phone_number,
        call_id=call.call_id or None,
        call_status=call.status,
        termination_reason=call.termination_reason,
        duration_ms=None if call.duration is None else round(call.duration * 1000),
        error=error,
        note=_note(result),
    )


def _note(result: VerificationResult) -> str:
    if result.skip_reason is not None:
        update = f"sigmamind numbers update {result.number.sip_phone_number}"
        return _NOTES[result.skip_reason].format(update=update)
    return _UNDOCUMENTED if result.status == "unconfirmed" and result.error is None else ""
