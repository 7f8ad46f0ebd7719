"""The sandbox's own API below ``/_sandbox/``: what a test in another process needs.

It takes no key and answers loopback callers only, and none that a web page may be behind: a page's
own name in ``Host`` (DNS rebinding), an ``Origin``, and a form are refused. What is posted changes
the settings it names and leaves the others alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, Protocol, TypeVar, cast

import attrs
import orjson
from aiohttp import web

from sigmamind_async.sandbox.faults import Fault, Faults
from sigmamind_async.sandbox.ledger import Ledger
from sigmamind_async.sandbox.limits import RateLimit
from sigmamind_async.sandbox.switches import DialNexaSwitches, Switches, VerbexSwitches

ADMIN_PREFIX: Final = "/_sandbox/"

Json = dict[str, object]
Setting = TypeVar("Setting", bound=attrs.AttrsInstance)


class Administered(Protocol):
    """The part of a sandbox that its API reaches."""

    faults: Faults
    rate_limit: RateLimit | None
    switches: Switches

    @property
    def ledger(self) -> Ledger:
        """Every commit."""
        ...

    def stats(self) -> Json:
        """Return the counters."""
        ...

    def script(
        self,
        operation: str,
        faults: Iterable[Fault | str | None],
        *,
        platform: str,
    ) -> None:
        """Say what goes wrong next."""
        ...

    def refuse(self, seconds: float) -> None:
        """Close the listening sockets for a while."""
        ...

    def reset(self, *, keep_settings: bool) -> None:
        """Start over."""
        ...


@attrs.frozen(kw_only=True)
class Request:
    """What is asked, and of whom."""

    box: Administered
    platform: str
    """``?platform=``; without it the one whose port was asked."""
    body: object


class Admin:
    """Answers requests below ``/_sandbox/``, on the port of every platform."""

    def __init__(self, box: Administered, platform: str) -> None:
        """Take the sandbox to administer and the platform that is meant unless one is named."""
        self._box = box
        self._platform = platform

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request."""
        refusal = _refuse_foreign(request)
        if refusal is not None:
            return refusal
        name = request.path.removeprefix(ADMIN_PREFIX)
        action = _ACTIONS.get((request.method, name))
        if action is None:
            known = sorted(f"{method} {ADMIN_PREFIX}{path}" for method, path in _ACTIONS)
            return _json(404, {"error": "no such action", "actions": known})
        try:
            body: object = orjson.loads(await request.read() or b"{}")
            platform = request.query.get("platform", self._platform)
            return _json(200, action(Request(box=self._box, platform=platform, body=body)))
        except (TypeError, ValueError) as error:
            return _json(400, {"error": str(error)})


def _refuse_foreign(request: web.BaseRequest) -> web.Response | None:
    """Refuse what is not from this machine, or may be a web page's; ``None`` for anything else."""
    if request.remote is None or not _is_loopback(request.remote):
        return _json(403, {"error": "loopback only"})
    [host, *others] = request.headers.getall("Host", [""])
    if others or not _names_loopback(host):
        return _json(403, {"error": "Host must name this machine: localhost or 127.0.0.1"})
    origins = request.headers.getall("Origin", [])
    if any(origin.lower() != f"{request.scheme}://{host}".lower() for origin in origins):
        return _json(403, {"error": "no call of a web page is answered"})
    is_said = "Content-Type" in request.headers
    if (is_said or request.body_exists) and request.content_type != "application/json":
        return _json(415, {"error": "Content-Type must be application/json"})
    return None


_HOST = re.compile(
    r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9.-]+))(?::[0-9]{1,5})?", re.IGNORECASE
)


def _names_loopback(host: str) -> bool:
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = str(found["v6"] or found["name"]).lower().removesuffix(".")
    return name == "localhost" or name.endswith(".localhost") or _is_loopback(name)


def _is_loopback(address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return (mapped or found).is_loopback


def _json(status: int, content: object) -> web.Response:
    body = orjson.dumps(content, default=_as_json)
    return web.Response(status=status, body=body, content_type="application/json")


def _as_json(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(cast("frozenset[str]", value))
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    if attrs.has(type(value)):
        return attrs.asdict(cast("attrs.AttrsInstance", value), recurse=False)
    raise TypeError(type(value).__name__)


def _object(body: object) -> Json:
    if not isinstance(body, dict):
        message = "the body must be a JSON object"
        raise TypeError(message)
    return cast("Json", body)


def _changed(current: Setting, body: object) -> Setting:
    """Return *current* with what *body* names; raises ValueError or TypeError."""
    changes = _object(body)
    names = {field.name for field in attrs.fields(type(current))}
    if unknown := sorted(changes.keys() - names):
        message = f"no setting {unknown[0]!r}; known: {', '.join(sorted(names))}"
        raise ValueError(message)
    values: dict[str, Any] = attrs.asdict(current, recurse=False)
    for name, value in changes.items():
        before: object = values[name]
        if isinstance(before, VerbexSwitches | DialNexaSwitches):
            values[name] = _changed(before, value)
        else:
            values[name] = tuple(cast("list[object]", value)) if isinstance(value, list) else value
    return type(current)(**values)


def _read_ledger(request: Request) -> object:
    return {
        "summary": request.box.ledger.summary(),
        "owned": request.box.ledger.owned(),
        "bought_twice": request.box.ledger.bought_twice(),
        "commits": request.box.ledger.commits,
    }


def _read_stats(request: Request) -> object:
    return request.box.stats()


def _read_faults(request: Request) -> object:
    return request.box.faults


def _set_faults(request: Request) -> object:
    request.box.faults = _changed(request.box.faults, request.body)
    return request.box.faults


def _read_rate_limit(request: Request) -> object:
    return request.box.rate_limit


def _set_rate_limit(request: Request) -> object:
    """Set the limit; ``null`` takes it away."""
    if request.body is None:
        request.box.rate_limit = None
        return None
    changes = dict(_object(request.body))
    if "lanes" in changes:
        lanes = _object(changes["lanes"])
        changes["lanes"] = {name: _changed(RateLimit(), lane) for name, lane in lanes.items()}
    request.box.rate_limit = _changed(request.box.rate_limit or RateLimit(), changes)
    return request.box.rate_limit


def _read_switches(request: Request) -> object:
    return request.box.switches


def _set_switches(request: Request) -> object:
    request.box.switches = _changed(request.box.switches, request.body)
    return request.box.switches


def _script(request: Request) -> object:
    """``{"create": ["reset_after_commit", null]}``."""
    scripts = cast("Mapping[str, list[str | None]]", _object(request.body))
    for operation, faults in scripts.items():
        request.box.script(operation, faults, platform=request.platform)
    return scripts


def _refuse_for(request: Request) -> object:
    """``{"seconds": 1.5}``."""
    seconds = _object(request.body).get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        message = "seconds must be a number of at least 0"
        raise ValueError(message)
    request.box.refuse(float(seconds))
    return {"seconds": seconds}


def _reset(request: Request) -> object:
    """``{"keep_settings": true}``, or nothing."""
    keep = _object(request.body).get("keep_settings", False)
    if not isinstance(keep, bool):
        raise TypeError("keep_settings must be true or false")
    request.box.reset(keep_settings=keep)
    return request.box.ledger.summary()


_ACTIONS: Mapping[tuple[str, str], Callable[[Request], object]] = {
    ("GET", "ledger"): _read_ledger,
    ("GET", "stats"): _read_stats,
    ("GET", "faults"): _read_faults,
    ("POST", "faults"): _set_faults,
    ("GET", "rate-limit"): _read_rate_limit,
    ("POST", "rate-limit"): _set_rate_limit,
    ("GET", "switches"): _read_switches,
    ("POST", "switches"): _set_switches,
    ("POST", "script"): _script,
    ("POST", "refuse"): _refuse_for,
    ("POST", "reset"): _reset,
}
