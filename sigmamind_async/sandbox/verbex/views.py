"""How Verbex words its records, pages and errors. Pure; the switches decide the variants."""

from __future__ import annotations

from collections.abc import Mapping

from sigmamind_async.sandbox.answers import Json, error_answer, finished
from sigmamind_async.sandbox.messages import Answer
from sigmamind_async.sandbox.refusals import Problem, ProblemKind, Refusal
from sigmamind_async.sandbox.switches import Switches
from sigmamind_async.sandbox.verbex.records import OWN_FIELDS, SECRET_FIELDS, PhoneNumber

MASK = "********"

# The words of FastAPI's validation errors: https://fastapi.tiangolo.com/tutorial/handling-errors
_TYPES: Mapping[ProblemKind, str] = {
    "media_type": "model_attributes_type",
    "malformed": "json_invalid",
    "not_object": "model_attributes_type",
    "unknown": "extra_forbidden",
    "missing": "missing",
    "string": "string_type",
    "pattern": "string_pattern_mismatch",
    "choice": "literal_error",
    "range": "int_parsing",
}


def number_view(number: PhoneNumber, switches: Switches, secret: str | None) -> Json:
    """Return a number with the fields of its variant, the secret one included."""
    view: Json = {
        switches.verbex.id_key: number.key,
        "provider": switches.provider_word or number.provider,
        "phone_number": number.phone_number,
        "friendly_name": number.friendly_name,
        "inbound_agent_id": number.inbound_agent_id,
        "outbound_agent_id": number.outbound_agent_id,
        **{name: getattr(number, name) for name in OWN_FIELDS[number.provider]},
    }
    if name := SECRET_FIELDS.get(number.provider):
        masked = secret and switches.verbex.secrets == "masked"
        view[name] = MASK if masked else secret
    if not switches.verbex.show_provider:
        del view["provider"]
    return finished(view, switches)


def refused(refusal: Refusal, switches: Switches) -> Answer:
    """Return an error as FastAPI words it, or in the form switched to.

    A request of the wrong form answers 422 whatever is wrong with it.
    """
    status = 422 if refusal.problems else refusal.status
    usual = "list" if refusal.problems else "string"
    form = switches.verbex.error_detail
    detail = _detail(refusal, usual if form == "usual" else form, switches)
    content = {"detail": detail}
    return error_answer(Refusal(status, refusal.message), content, switches)


def _detail(refusal: Refusal, form: str, switches: Switches) -> object:
    if form == "string":
        return refusal.message
    if form == "object":
        return {"code": f"error_{refusal.status}", "message": refusal.message}
    if refusal.problems:
        return [_located(problem, switches) for problem in refusal.problems]
    nowhere: list[str] = []
    return [{"loc": nowhere, "msg": refusal.message, "type": "value_error"}]


def _located(problem: Problem, switches: Switches) -> Json:
    place: list[str] = [problem.place, problem.name] if problem.name else [problem.place]
    found: Json = {"loc": place, "msg": problem.sentence, "type": _TYPES[problem.kind]}
    # FastAPI repeats what it refuses, secrets too.
    return found if switches.verbex.secrets == "masked" else {**found, "input": problem.value}
