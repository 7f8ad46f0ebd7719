"""What a body or a query may hold, field by field, and what is wrong with one that does not.

The rules are common, the tables of them each vendor's own.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import cast

import attrs
import orjson

from sigmamind_async.sandbox.messages import JSON, ApiRequest
from sigmamind_async.sandbox.refusals import Problem, ProblemKind, RefusedError

E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
INT32_MAX = 2**31 - 1

COUNTRY_CODE = re.compile(r"[A-Z]{2}", re.ASCII)

Finding = tuple[ProblemKind, str]
"""What is wrong with a value, and how to say it after the field's name."""


@attrs.frozen(kw_only=True)
class Rule(ABC):
    """What holds for every kind of field."""

    nullable: bool = False
    required: bool = False
    secret: bool = False

    @abstractmethod
    def finding(self, value: object) -> Finding | None:
        """Return what is wrong with *value*."""


@attrs.frozen(kw_only=True)
class Text(Rule):
    """A string."""

    shortest: int = 0
    longest: int | None = None
    pattern: re.Pattern[str] | None = None
    choices: tuple[str, ...] = ()

    def finding(self, value: object) -> Finding | None:
        """Return what is wrong with *value*."""
        if not isinstance(value, str):
            return "string", "must be a string"
        if len(value) < self.shortest:
            return "short", f"must be at least {self.shortest} characters"
        if self.longest is not None and len(value) > self.longest:
            return "long", f"must be at most {self.longest} characters"
        if self.pattern is not None and not self.pattern.fullmatch(value):
            return "pattern", f"must match ^{self.pattern.pattern}$"
        if self.choices and value not in self.choices:
            return "choice", f"must be one of {', '.join(self.choices)}"
        return None


@attrs.frozen(kw_only=True)
class Integer(Rule):
    """A whole number."""

    lowest: int
    highest: int

    def finding(self, value: object) -> Finding | None:
        """Return what is wrong with *value*."""
        # JSON has one kind of number: 415.0 is an integer, true is not.
        if isinstance(value, bool) or not isinstance(value, int | float) or value % 1:
            return "integer", "must be an integer"
        if not self.lowest <= value <= self.highest:
            return "range", f"must be between {self.lowest} and {self.highest}"
        return None


@attrs.frozen(kw_only=True)
class Flag(Rule):
    """True or false."""

    def finding(self, value: object) -> Finding | None:
        """Return what is wrong with *value*."""
        return None if isinstance(value, bool) else ("boolean", "must be a boolean")


@attrs.frozen(kw_only=True)
class Mapped(Rule):
    """An object of any content."""

    def finding(self, value: object) -> Finding | None:
        """Return what is wrong with *value*."""
        return None if isinstance(value, dict) else ("object", "must be an object")


Fields = Mapping[str, Rule]


def read_body(call: ApiRequest, fields: Fields) -> dict[str, object]:
    """Return the known fields of a request body.

    Raises :class:`RefusedError` when it is not a JSON object or breaks a rule.
    """
    return check_body(call, parse_body(call), fields)


def parse_body(call: ApiRequest) -> dict[str, object]:
    """Return a request body as it came; raises :class:`RefusedError` if it is no JSON object."""
    if call.content_type.partition(";")[0].strip().lower() != JSON:
        problem = Problem(kind="media_type", said=f"Content-Type must be {JSON}")
        raise RefusedError(415, "", problem)
    try:
        parsed: object = orjson.loads(call.body)
    except orjson.JSONDecodeError:
        problem = Problem(kind="malformed", said="Malformed JSON request")
        raise RefusedError(400, "", problem) from None
    if not isinstance(parsed, dict):
        problem = Problem(kind="not_object", said="The request body must be a JSON object")
        raise RefusedError(400, "", problem)
    return cast("dict[str, object]", parsed)


def check_body(call: ApiRequest, parsed: Mapping[str, object], fields: Fields) -> dict[str, object]:
    """Return the known fields of *parsed*; raises :class:`RefusedError` with all problems."""
    unknown = sorted(parsed.keys() - fields.keys())
    if unknown and call.switches.unknown_keys == "reject":
        name = unknown[0][:64]
        problem = Problem(kind="unknown", name=name, said="is not a known field")
        raise RefusedError(400, f"Unknown field: {name}", problem)
    if problems := _problems(parsed, fields):
        raise RefusedError(400, "", *problems)
    return {name: value for name, value in parsed.items() if name in fields}


def fits(parsed: Mapping[str, object], fields: Fields) -> bool:
    """Return whether *parsed* breaks none of the rules."""
    return not _problems(parsed, fields)


def _problems(parsed: Mapping[str, object], fields: Fields) -> list[Problem]:
    found = (_rule_problem(name, rule, parsed) for name, rule in fields.items())
    return [problem for problem in found if problem is not None]


def _rule_problem(name: str, rule: Rule, parsed: Mapping[str, object]) -> Problem | None:
    if name not in parsed:
        missing = Problem(kind="missing", name=name, said="is required", value=parsed)
        return missing if rule.required else None
    if parsed[name] is None and rule.nullable:
        return None
    finding = rule.finding(parsed[name])
    if finding is None:
        return None
    return Problem(kind=finding[0], name=name, said=finding[1], value=parsed[name])


def without_secrets(known: Mapping[str, object], fields: Fields) -> dict[str, object]:
    """Return what may be written down of a request."""
    return {name: value for name, value in known.items() if not fields[name].secret}


def text(known: Mapping[str, object], name: str) -> str | None:
    """Return a text field that has passed its rule, None when it is null or left out."""
    return cast("str | None", known.get(name))


# --- queries ---------------------------------------------------------------------------------

_INTEGER = re.compile(r"-?[0-9]{1,10}", re.ASCII)


def whole_number(
    query: Mapping[str, str],
    name: str,
    *,
    default: int,
    lowest: int,
    highest: int = INT32_MAX,
) -> int:
    """Return the parameter *name*; raises :class:`RefusedError` when it is out of range."""
    text = query.get(name)
    if text is None:
        return default
    if _INTEGER.fullmatch(text) and lowest <= int(text) <= highest:
        return int(text)
    bounds = f"of at least {lowest}" if highest == INT32_MAX else f"from {lowest} to {highest}"
    said = f"must be an integer {bounds}"
    raise RefusedError(
        400, "", Problem(kind="range", name=name, said=said, place="query", value=text)
    )
