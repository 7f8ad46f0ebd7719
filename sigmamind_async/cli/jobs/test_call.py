"""One test call: whether a number is fit for it, how it is placed and followed, what its end says.

A call that has been placed, or may have been, is never placed again: it rings somebody. Whatever
goes wrong after that leaves the number unproven, not failed, for the call itself goes on.
"""

from __future__ import annotations

import asyncio
from typing import Final

import attrs

from sigmamind_async import engine
from sigmamind_async.bulk import Outcome
from sigmamind_async.cli.errors import message_of
from sigmamind_async.cli.jobs.operations import fault_of
from sigmamind_async.cli.output.events import RowError, TestStatus, Verification
from sigmamind_async.errors import OutcomeUnknownError, SigmaMindError
from sigmamind_async.platforms.sigmamind.client import SigmaMind
from sigmamind_async.platforms.sigmamind.models import Call, CreateCall, PhoneNumber
from sigmamind_async.values import UNSET

# https://docs.sigmamind.ai/api-reference/calls: three vocabularies, oldest to newest, are in
# public copies of the documentation. Only a word that is known to follow an answer proves a trunk.
_ANSWERED: Final = frozenset(
    {
        "agent_ended_call",
        "customer_ended_call",
        "user_ended_call",
        "inactivity",
        "silence_timed_out",
        "voicemail",
    }
)
_UNANSWERED: Final = frozenset({"busy", "no_answer", "failed"})
_UNCONNECTED: Final = frozenset({"failed", "not_connected", "error"})
"""What an ended call says in place of a reason, in its status."""


def verdict(call: Call) -> TestStatus:
    """Return what an ended *call* says about the trunk of the number that made it."""
    reason = _word(call.termination_reason)
    if _word(call.status) in _UNCONNECTED or reason in _UNANSWERED:
        return "failed"
    return "passed" if reason in _ANSWERED else "unconfirmed"


def _word(text: str | None) -> str:
    return (text or "").replace("-", "_")


def obstacle(number: PhoneNumber, agent_id: str | None) -> str:
    """Return why no call is placed from *number*, and what mends it; empty where one can be."""
    name = number.sip_phone_number
    mend = f"sigmamind numbers update {name}"
    if not name:
        return "its record shows no number"
    if not number.outbound_phone_number:
        return f"it has no test destination; set one: {mend} --outbound-phone-number NUMBER"
    if not agent_id and not number.outbound_agent_id:
        return f"no agent makes its calls; say --agent ID, or: {mend} --outbound-agent-id ID"
    return ""


@attrs.frozen(kw_only=True)
class CallTerms:
    """How every test call of a round is placed and followed."""

    agent_id: str | None
    timeout: float
    """Seconds from placing a call to the last look at it."""
    poll_every: float
    """Seconds between two looks at it."""


@attrs.define(kw_only=True, eq=False)
class Trial:
    """One test call, as a row of a job."""

    client: SigmaMind
    number: PhoneNumber
    terms: CallTerms
    line: asyncio.Semaphore
    """The telephone that it rings, which takes so many calls at once."""
    call: Call | None = None
    """The call as it was last seen, once it is known to have been placed."""
    ignored: tuple[str, ...] = ()
    _placing: engine.Call[Call] | None = None

    @property
    def attempts(self) -> int:
        """Requests to place the call."""
        return 0 if self._placing is None else self._placing.attempts

    @property
    def may_have_acted(self) -> bool:
        """Whether it may ring."""
        return self.call is not None or (self._placing is not None and self._placing.may_have_acted)

    @property
    def waits(self) -> bool:
        """Whether a request of it has ended and another is to follow."""
        return False

    def ending(self) -> None:
        """Return nothing: it waits for no outage to end."""

    async def run(self) -> Call:
        """Place the call, once, and return it as it ended.

        Raises `OutcomeUnknownError` where it was placed, or may have been, and its end is not
        known; another error where nothing rings.
        """
        async with self.line:
            self.call = await self._place()
            self.call = await self._follow(self.call)
            return self.call

    async def _place(self) -> Call:
        runner = self.client.runner
        operation = runner.operation(
            CreateCall(
                from_phone_number=self.number.sip_phone_number or "",
                to_phone_number=self.number.outbound_phone_number or "",
                agent_id=self.terms.agent_id or UNSET,
            )
        )
        self._placing = runner.engine.begin(operation)
        return await runner.engine.run(self._placing)

    async def _follow(self, call: Call) -> Call:
        """Return *call* once it has ended; a look that hangs ends with the time for all of them."""
        terms = self.terms
        try:
            async with asyncio.timeout(terms.timeout):
                return await self.client.calls.wait(
                    call, timeout=terms.timeout, poll_every=terms.poll_every
                )
        except TimeoutError:
            raise _unseen(_late(call, terms.timeout)) from None
        except SigmaMindError as error:
            seen = getattr(error, "value", None)
            if not isinstance(seen, Call):
                raise _unseen(f"its end could not be read: {message_of(error)}") from None
            self.call = seen
            raise _unseen(_late(seen, terms.timeout)) from None


def _late(call: Call, timeout: float) -> str:
    if not call.call_id:
        return "the platform gave no id to follow it by"
    return f"has not ended within {timeout:g} s"


def _unseen(why: str) -> OutcomeUnknownError:
    error = OutcomeUnknownError(f"the call was placed and {why}")
    error.committed = "yes"
    return error


# ---------------------------------------------------------------- results


def skipped(number: PhoneNumber, why: str) -> Verification:
    """Return the result of a number that was not called, and *why*."""
    return Verification(
        phone_number=number.sip_phone_number,
        status="skipped",
        destination=number.outbound_phone_number,
        note=why,
    )


def verification_of(outcome: Outcome[Trial, Call]) -> Verification:
    """Return what a test call, or the attempt at one, says about its number."""
    trial, call = outcome.value, outcome.value.call
    result = skipped(trial.number, NOT_TAKEN_UP)
    if outcome.status == "skipped":
        return result
    if call is not None:
        result = attrs.evolve(
            result,
            call_id=call.call_id,
            call_status=call.status,
            termination_reason=call.termination_reason,
            duration_ms=None if call.duration is None else round(call.duration * 1000),
        )
    if outcome.error is not None:
        fault = _fault_of_call(outcome.error)
        return attrs.evolve(result, status=_ENDS[outcome.status], note="", error=fault)
    status = "unconfirmed" if call is None else verdict(call)
    return attrs.evolve(result, status=status, note=_SILENT if status == "unconfirmed" else "")


NOT_TAKEN_UP = "not called: the round ended before its turn"
_SILENT = "the platform does not say whether it was answered"
_ENDS: Final[dict[str, TestStatus]] = {"failed": "failed", "unconfirmed": "unconfirmed"}

_ADVICE: Final = {
    "BadRequestError": "",
    "Interrupted": "it is left alone and may still ring",
    "OutcomeUnknownError": "it is not placed again; look for it on the platform",
}
"""Advice on calls where that on rows of a file would mislead."""


def _fault_of_call(error: BaseException) -> RowError:
    fault = fault_of(error)
    return attrs.evolve(fault, hint=_ADVICE.get(fault.type, fault.hint))
