"""SigmaMind as the simulation has it: numbers, money, and everything that can go wrong on the way.

It is not the sandbox. This one has no sockets, lives in virtual time, and remembers who caused
what, which is how a run is judged.
"""

from __future__ import annotations

import asyncio
import enum
import json
import re
from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import attrs

from sigmamind_async.operation import ConnectionFlag, Fault, FaultKind, Response
from sigmamind_async.transport import HttpRequest


class Trouble(enum.Enum):
    """What may become of one request."""

    REFUSED = "refused"
    NO_CONNECTION = "no connection in time"
    RESET_BEFORE = "reset before commit"
    RESET_AFTER = "reset after commit"
    ERROR_BEFORE = "5xx before commit"
    ERROR_AFTER = "5xx after commit"
    THROTTLED = "429"
    REJECTED = "4xx"
    KEY_REFUSED = "401"
    HANG = "hang, never committed"
    HANG_LATE = "hang, committed after the client gave up"
    CUT = "body cut after commit"
    GARBAGE = "garbage after commit"
    SHIFT = "a reading of the listing misses a number, or shows one twice"
    LAG = "a new number is listed later"
    JOURNAL_SLOW = "the journal takes its time"
    JOURNAL_FAILS = "the journal fails"
    # Beyond the settle_time: what no client can exclude, only find afterwards.
    ZOMBIE = "committed after the settle time"
    PROMISE = "yes without a record, which comes after the settle time"
    FROZEN = "the process stands still between its claim and its request"


BEYOND = frozenset({Trouble.ZOMBIE, Trouble.PROMISE, Trouble.FROZEN})
_NOT_OF_REQUESTS = frozenset(
    {Trouble.SHIFT, Trouble.LAG, Trouble.JOURNAL_SLOW, Trouble.JOURNAL_FAILS, Trouble.FROZEN}
)
_ONLY_CHANGES = frozenset({Trouble.HANG_LATE, Trouble.ZOMBIE, Trouble.PROMISE})
_TAG = re.compile(r"\[sm:([A-Z2-7]{13})\.(\d+)\]\Z")


@attrs.define(kw_only=True, eq=False)
class Number:
    """A number that the account owns, or owned."""

    phone_number: str
    label: str
    provider: str
    agent: str | None = None
    password: str | None = None
    listed_from: float = 0.0
    token: str = ""
    """Token of the tag that it was bought with."""
    shifted: bool = False
    """Whether a reading has missed it: that happens once to each, or absence could never be
    shown."""

    def shown(self) -> dict[str, object]:
        return {
            "sipPhoneNumber": self.phone_number,
            "friendlyName": self.label,
            "provider": self.provider,
            "inboundAgentId": self.agent,
            "active": True,
        }


@attrs.frozen
class Purchase:
    """A number that was paid for."""

    at: float
    phone_number: str
    token: str
    attempt: int


@attrs.define(kw_only=True)
class Weather:
    """Which troubles there are, and how often."""

    kinds: tuple[Trouble, ...] = ()
    rate: float = 0.0
    lag: float = 0.0
    """Longest time in seconds until a new number is listed."""
    settle_time: float = 120.0

    @property
    def latest(self) -> float:
        """Longest time from giving a request up to its commit.

        A listing that begins a settle time after giving up shows what it brought.
        """
        return self.settle_time - self.lag - 0.5


@attrs.define(eq=False)
class Provider:
    """The platform's side of every request."""

    random: Random
    weather: Weather
    note: Callable[[str, str], None]
    owned: dict[str, Number] = attrs.field(factory=dict[str, Number])
    purchases: list[Purchase] = attrs.field(factory=list[Purchase])
    said_yes: dict[str, int] = attrs.field(factory=dict[str, int])
    """Latest attempt, by token, that was answered with a 2xx status line."""
    page_size: int = 4
    pending: int = 0
    """Commits that are still to come."""
    _made: int = 0
    _snapshots: dict[str, list[Number]] = attrs.field(factory=dict[str, list[Number]])
    _missed: dict[str, list[Number]] = attrs.field(factory=dict[str, list[Number]])
    """Numbers that are on no page of the reading under way."""
    _latest_page: dict[str, int] = attrs.field(factory=dict[str, int])

    def own(self, phone_number: str, agent: str | None = None) -> None:
        """Let the account own a number from the beginning."""
        self.owned[phone_number] = Number(
            phone_number=phone_number, label=phone_number, provider="telnyx", agent=agent
        )

    def draws(self, trouble: Trouble) -> bool:
        """Return whether *trouble* strikes now."""
        rate = self.weather.rate
        if trouble in {Trouble.JOURNAL_FAILS, Trouble.JOURNAL_SLOW}:
            rate /= 4  # each request has several writes around it
        return trouble in self.weather.kinds and self.random.random() < rate

    async def serve(
        self, client: str, outgoing: HttpRequest, mark: ConnectionFlag, seconds: float
    ) -> Response | Fault:
        """Do what `Transport.send` promises, as one of the platform's bad or good days."""
        loop = asyncio.get_running_loop()
        trouble = self._trouble(outgoing)
        self.note(
            client, f"-> {_brief(outgoing)}{'' if trouble is None else f' ({trouble.value})'}"
        )
        ends = loop.time() + seconds
        await asyncio.sleep(min(self.random.uniform(0.001, 0.05), seconds))
        if trouble is Trouble.REFUSED:
            return Fault(kind=FaultKind.CONNECT, detail="refused")
        if trouble is Trouble.NO_CONNECTION:
            await asyncio.sleep(min(5.0, ends - loop.time()))
            return Fault(kind=FaultKind.CONNECT_TIMEOUT, detail="no connection")
        mark.connected = True
        reply: asyncio.Future[Response | Fault] = loop.create_future()
        if trouble not in {Trouble.HANG, Trouble.HANG_LATE, Trouble.ZOMBIE}:
            self._later(
                self.random.uniform(0.01, 0.4),
                lambda: self._arrive(client, outgoing, trouble, reply),
            )
        try:
            async with asyncio.timeout_at(ends):
                return await reply
        except TimeoutError:
            return Fault(kind=FaultKind.TIMEOUT, detail="no answer in time")
        finally:
            if trouble in {Trouble.HANG_LATE, Trouble.ZOMBIE}:
                delay = self._lateness(beyond=trouble is Trouble.ZOMBIE)
                self._later(delay, lambda: self._commit(client, outgoing))

    # --- what happens on the way -------------------------------------------------------------

    def _trouble(self, outgoing: HttpRequest) -> Trouble | None:
        if self.random.random() >= self.weather.rate:
            return None
        kinds = [
            kind
            for kind in self.weather.kinds
            if kind not in _NOT_OF_REQUESTS
            and not (outgoing.method == "GET" and kind in _ONLY_CHANGES)
        ]
        return self.random.choice(kinds) if kinds else None

    def _lateness(self, *, beyond: bool) -> float:
        latest, drawn = self.weather.latest, self.random.random()
        if beyond:
            return self.random.uniform(1.0, 3.0) * self.weather.settle_time
        if drawn < 0.5:
            return self.random.uniform(0.0, min(30.0, latest))
        return self.random.uniform(0.0 if drawn < 0.75 else 0.95 * latest, latest)

    def _later(self, delay: float, what: Callable[[], object]) -> None:
        def happen() -> None:
            self.pending -= 1
            _ = what()

        self.pending += 1
        asyncio.get_running_loop().call_later(delay, happen)

    def _arrive(
        self,
        client: str,
        outgoing: HttpRequest,
        trouble: Trouble | None,
        reply: asyncio.Future[Response | Fault],
    ) -> None:
        """Carry a request out as *trouble* lets it be, and answer it a little later."""
        answer = self._answer(client, outgoing, trouble)
        delay = self.random.uniform(0.01, 0.4)

        def deliver() -> None:
            if not reply.done():
                self._remember_yes(outgoing, answer)
                reply.set_result(answer)

        self._later(delay, deliver)

    def _answer(  # noqa: C901 - one line a trouble
        self, client: str, outgoing: HttpRequest, trouble: Trouble | None
    ) -> Response | Fault:
        dropped = Fault(kind=FaultKind.DROPPED, detail="reset")
        match trouble:
            case Trouble.RESET_BEFORE:
                return dropped
            case Trouble.ERROR_BEFORE:
                return _response(self.random.choice([500, 502, 503, 504, 408]), {"error": "down"})
            case Trouble.THROTTLED:
                wait = str(self.random.choice([0, 1, 3, 15]))
                return _response(429, {"error": "slow down"}, {"retry-after": wait})
            case Trouble.REJECTED:
                return _response(self.random.choice([400, 402, 403, 422]), {"error": "no"})
            case Trouble.KEY_REFUSED:
                return _response(401, {"error": "who are you"})
            case Trouble.PROMISE:
                if outgoing.method == "POST":
                    self._later(self._lateness(beyond=True), lambda: self._commit(client, outgoing))
                    return Response(status=202, body=b"accepted, comes later")
        answer = self._commit(client, outgoing)
        match trouble:
            case Trouble.RESET_AFTER:
                return dropped
            case Trouble.ERROR_AFTER:
                return _response(self.random.choice([500, 502, 503, 504, 408]), {"error": "down"})
            case Trouble.CUT:
                return attrs.evolve(answer, body=b"", cut=Fault(kind=FaultKind.DROPPED))
            case Trouble.GARBAGE:
                return attrs.evolve(answer, body=b"<html>")
            case _:
                return answer

    def _remember_yes(self, outgoing: HttpRequest, answer: Response | Fault) -> None:
        tag = tag_of(outgoing)
        if tag and isinstance(answer, Response) and 200 <= answer.status < 300:
            self.said_yes[tag[0]] = tag[1]

    # --- what is done ------------------------------------------------------------------------

    def _commit(self, client: str, outgoing: HttpRequest) -> Response:
        answer = self._carried_out(client, outgoing)
        if outgoing.method != "GET":
            self.note("platform", f"{_brief(outgoing)} = {answer.status}")
        return answer

    def _carried_out(self, client: str, outgoing: HttpRequest) -> Response:
        url = urlsplit(outgoing.url)
        body: dict[str, Any] = json.loads(outgoing.body) if outgoing.body else {}
        name = unquote(url.path.removeprefix("/v1/phone-numbers").removeprefix("/"))
        match outgoing.method, name:
            case "GET", "":
                return self._page(client, int(parse_qs(url.query)["page"][0]))
            case "POST", "":
                return self._create(outgoing, body, "telnyx")
            case "POST", "import":
                return self._create(outgoing, body, "byo")
        number = self.owned.get(name)
        if number is None:
            return _response(404, {"error": "no such number"})
        if outgoing.method == "PATCH":
            number.label = body.get("friendlyName", number.label)
            number.agent = body.get("inboundAgentId", number.agent)
            number.password = body.get("trunkPassword", number.password)
        if outgoing.method == "DELETE":
            del self.owned[name]
            return Response(status=204)
        return _response(200, number.shown())

    def _create(self, outgoing: HttpRequest, body: dict[str, Any], provider: str) -> Response:
        now = asyncio.get_running_loop().time()
        phone_number = body.get("phoneNumber")
        if phone_number in self.owned:
            return _response(409, {"error": "owned already"})
        if phone_number is None:
            self._made += 1
            phone_number = f"+1415555{self._made:04d}"
        token, attempt = tag_of(outgoing) or ("", 0)
        lag = self.random.uniform(0.0, self.weather.lag) if self.weather.lag else 0.0
        number = self.owned[phone_number] = Number(
            phone_number=phone_number,
            label=body.get("friendlyName", phone_number),
            provider=provider,
            agent=body.get("inboundAgentId"),
            password=body.get("trunkPassword"),
            listed_from=now + lag,
            token=token,
        )
        if provider != "byo":
            self.purchases.append(Purchase(now, phone_number, token, attempt))
        return _response(201, number.shown())

    def _page(self, client: str, page: int) -> Response:
        """Return one page: what was there when the reading began, and what has come since."""
        now = asyncio.get_running_loop().time()
        listed = [number for number in self.owned.values() if number.listed_from <= now]
        if page == 0 or client not in self._snapshots:
            self._snapshots[client] = listed
        order = self._snapshots[client]
        order += [number for number in listed if number not in order]
        start, size = page * self.page_size, self.page_size
        # The client reads page 0 once more after page 1, in the same reading.
        if page == 0 and self._latest_page.get(client) != 1:
            self._missed[client] = []
        self._latest_page[client] = page
        missed = self._missed[client]
        shown = [number for number in order[start : start + size] if number not in missed]
        if page and shown and self.draws(Trouble.SHIFT):
            slips = [number for number in shown if number.token and not number.shifted]
            slips = slips[: len(shown) - 1]  # an empty page would end the listing
            for number in slips:
                number.shifted = True
                self.note("platform", f"this reading misses {number.phone_number}")
                missed.append(number)
                shown.remove(number)
            if not slips:
                shown = [order[start - 1], *shown]
                self._latest_page[client] = 0  # a page that overlaps needs no second look
        return _response(
            200,
            {
                "data": [number.shown() for number in shown],
                "page": page,
                "size": size,
                "hasNext": start + size < len(order),
            },
        )


def tag_of(outgoing: HttpRequest) -> tuple[str, int] | None:
    """Return token and attempt of the tag that a purchase carries."""
    if outgoing.method != "POST" or outgoing.body is None:
        return None
    found = _TAG.search(json.loads(outgoing.body).get("friendlyName", ""))
    return (found[1], int(found[2])) if found else None


def key_of(outgoing: HttpRequest) -> str:
    """Return the number that a request changes; empty where the platform picks it."""
    if outgoing.method == "POST" and outgoing.body is not None:
        return str(json.loads(outgoing.body).get("phoneNumber", ""))
    return unquote(urlsplit(outgoing.url).path.rpartition("/")[2])


def _brief(outgoing: HttpRequest) -> str:
    url = urlsplit(outgoing.url)
    body: dict[str, Any] = json.loads(outgoing.body) if outgoing.body else {}
    shown = {name: body[name] for name in sorted(body) if name != "trunkPassword"}
    query = f"?{url.query}" if url.query else ""
    path = url.path.removeprefix("/v1/phone-numbers") or "/"
    return f"{outgoing.method} {path}{query} {json.dumps(shown) if shown else ''}".rstrip()


def _response(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(status=status, headers=headers or {}, body=json.dumps(body).encode())
