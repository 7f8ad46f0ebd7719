r"""Secrets that a platform repeats are found in whatever spelling they have, and masked.

Programs write a text in many ways: Go spells ``&`` as ``\u0026`` inside JSON and PHP ``/`` as
``\/``, a form percent-encodes, a page has HTML entities, a header has base64, and each may be
inside another. So a text is read by every decoder, and each reading again, until nothing new
appears. A reading knows for each of its characters where in the text it is written: there a secret
that shows in any reading is masked.

Two texts cannot be masked with certainty and are withheld: one that takes more work to read than an
error is worth, and one that contains a secret of fewer than four characters.
"""

from __future__ import annotations

import base64
import functools
import itertools
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import attrs

from sigmamind_async.values import Secret

MASK: Final = "***"
WITHHELD: Final = "[withheld: may contain a secret]"
"""Replaces a text that cannot be masked with certainty."""

KEPT: Final = 512
"""Most characters of a text that are kept. More are read: a secret may begin among them."""
WORK: Final = 50_000
"""Most characters of all readings of one text together, so that a text with ever more readings
cannot hold up the event loop. A page has about 40,000 in 30 readings, a short body 600."""
_MAX_READ: Final = 4096
"""Most characters of a text that are read."""
_MAX_READINGS: Final = 100
"""Most readings of one text. Ordinary bodies have about ten."""
_MIN_LENGTH: Final = 4
"""A shorter secret looks like any word: it withholds the text."""
_MIN_ID: Final = 8
"""Length from which the id in ``id:secret`` is masked too."""
_MIN_BARE: Final = 6
"""Letters and digits from which a secret is recognized by those alone."""
_WIDEST: Final = 24
"""Most characters with which one character of a secret is spelled."""


def redact(text: str, secrets: Iterable[Secret], withheld: str = WITHHELD) -> str:
    """Return at most `KEPT` characters of *text*, with *secrets* replaced by asterisks.

    Where that is not certain, return *withheld* instead.
    """
    needles = _Needles.of(secrets)
    if not needles.forms or not text:
        return text[:KEPT]
    margin = _WIDEST * max(map(len, needles.forms))
    kept = text[: min(_MAX_READ, KEPT + margin)]
    if len(kept) == len(text):
        margin = 0  # otherwise half of a secret may be at the end of what was read
    for _ in range(3):  # a mask may complete a secret that contains asterisks
        places = _find_secrets(kept, needles)
        if places is None:
            return withheld
        if not places:
            return kept[: max(0, len(kept) - margin)][:KEPT]
        kept = _mask_places(kept, places)
    return withheld


def _mask_places(text: str, places: list[_Place]) -> str:
    hidden = bytearray(len(text))
    for start, end in places:
        hidden[start:end] = b"\1" * (end - start)
    runs = itertools.groupby(range(len(text)), hidden.__getitem__)
    return "".join(MASK if secret else "".join(map(text.__getitem__, run)) for secret, run in runs)


@attrs.frozen
class _Needles:
    """What to look for: each secret, and the parts of one that is joined by colons."""

    forms: frozenset[str]
    """In lower case and every Unicode form, with and without what is not seen."""
    short: frozenset[str]
    """Those of them that withhold the text."""
    bare: frozenset[str]
    """Letters and digits alone, where they are enough."""
    ascii: bool
    """True if the secrets have only letters that every encoding writes alike."""

    @classmethod
    def of(cls, secrets: Iterable[Secret]) -> _Needles:
        texts = {secret.reveal() for secret in secrets if secret.known} - {""}
        for *ids, last in [text.split(":") for text in texts]:
            texts.update(part for part in ids if len(part) >= _MIN_ID)
            texts.update([last] if ids and len(last) >= _MIN_LENGTH else [])
        folded = set(map(str.casefold, texts))
        joined = {_compiled(_UNSEEN).sub("", text) for text in folded}
        bare = {_compiled(_NOT_BARE).sub("", text) for text in folded}
        return cls(
            forms=_forms(texts | {text for text in joined if len(text) >= _MIN_LENGTH}),
            short=_forms({text for text in texts if len(text) < _MIN_LENGTH}),
            bare=frozenset(text for text in bare if len(text) >= _MIN_BARE),
            ascii=all(map(str.isascii, texts)),  # a sharp s is two such letters in lower case
        )

    def show_in(self, text: str) -> bool:
        """Return whether one of them shows in *text*, in any case or Unicode form.

        Spaces, quotes and backslashes between its letters do not hide one.
        """
        folded = text.casefold()
        bare = _compiled(_NOT_BARE).sub("", folded)
        return any(form in folded for form in self.forms) or any(one in bare for one in self.bare)


def _forms(texts: set[str]) -> frozenset[str]:
    forms = {unicodedata.normalize(form, text) for text in texts for form in _UNICODE_FORMS}
    return frozenset(map(str.casefold, forms.union(texts)))


def _find_secrets(text: str, needles: _Needles) -> list[_Place] | None:
    """Return where *needles* are written in *text*; ``None`` where that is not certain."""
    if "\ufffd" in text and not needles.ascii:
        return None  # bytes of another encoding, whose letters are lost
    readings = _readings(text, min(map(len, needles.forms)))
    if readings is None:
        return None
    places: list[_Place] = []
    for reading in readings:
        if needles.show_in(reading.text):
            folded = reading.decode(_FOLD)
            found = [*folded.find(needles.forms), *folded.decode(_BARE).find(needles.bare)]
            if any(needle in needles.short for needle, _ in found):
                return None
            places += [place for _, place in found]
    return places


_Place = tuple[int, int]
"""Where something is written in the text, from and to."""


@attrs.frozen
class Decoder:
    """One way to read a text: what each match of a pattern stands for."""

    pattern: str
    decode: Callable[[re.Match[str]], str]
    alone: bool = False
    """True if only what the matches stand for is kept."""

    def read(self, text: str) -> str:
        """Return *text* as this decoder reads it."""
        if self.alone:
            return "".join(map(self.decode, _compiled(self.pattern).finditer(text)))
        return _compiled(self.pattern).sub(self.decode, text)


@attrs.frozen(eq=False)
class _Reading:
    """A text as one decoder after the other reads it; the text itself has no decoder."""

    text: str
    source: _Reading | None = None
    decoder: Decoder | None = None

    def decode(self, decoder: Decoder) -> _Reading:
        return _Reading(decoder.read(self.text), self, decoder)

    def find(self, needles: Iterable[str]) -> Iterator[tuple[str, _Place]]:
        """Yield each needle that is in the text, and where it is written."""
        for needle in needles:
            for match in re.finditer(f"(?={re.escape(needle)})", self.text):
                yield needle, _span(self.places[match.start() : match.start() + len(needle)])

    @functools.cached_property
    def places(self) -> list[_Place]:
        """Where in the text each character is written; most readings are never asked."""
        source, decoder = self.source, self.decoder
        if source is None or decoder is None:
            return [(at, at + 1) for at in range(len(self.text))]
        places: list[_Place] = []
        done = 0
        for match in _compiled(decoder.pattern).finditer(source.text):
            start, end = match.span()
            places += [] if decoder.alone else source.places[done:start]
            places += [_span(source.places[start:end])] * len(decoder.decode(match))
            done = end
        return places if decoder.alone else places + source.places[done:]


def _span(places: list[_Place]) -> _Place:
    return places[0][0], places[-1][1]  # in order in every reading


def _readings(text: str, least: int) -> list[_Reading] | None:
    """Return every reading of *text*, itself first; ``None`` if they are too many or too long.

    Base64 of fewer than *least* characters is not decoded: most words look like some.
    """
    runs = rf"[A-Za-z0-9+/_-]{{{max(_MIN_RUN, least * 4 // 3)},}}"
    read_run = functools.cache(_read_run)  # most runs are in every reading
    decoders = (*_DECODERS, Decoder(runs, lambda match: read_run(match[0]), alone=True))
    readings = [_Reading(text)]
    known, work = {text, ""}, len(text)
    for reading in readings:  # grows meanwhile
        for decoder in decoders:
            decoded = reading.decode(decoder)
            if decoded.text in known:
                continue
            work += len(decoded.text)
            if len(readings) == _MAX_READINGS or work > WORK:
                return None
            known.add(decoded.text)
            readings.append(decoded)
    return readings


# --- decoders --------------------------------------------------------------------------------


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile *pattern* for the first error: before the first client, it would be a tenth of it."""
    return re.compile(pattern)


def _read_run(run: str) -> str:
    """Return what a *run* of base64 or hexadecimal may stand for.

    It may follow other letters, so a group may begin at each of its first places. Only what can be
    text is kept: ordinary words are runs as well.
    """
    digits = (
        hexadecimal[start:] for hexadecimal in _compiled(_HEX).findall(run) for start in (0, 1)
    )
    decoded = [bytes.fromhex(each[: len(each) // 2 * 2]) for each in digits]
    for start in range(4):
        whole = len(run) - ((len(run) - start) % 4 == 1)
        decoded.append(base64.urlsafe_b64decode(run[start:whole] + "=="))
    return "".join(f"{_APART}{text}" for data in decoded for text in _texts_in(data))


def _texts_in(data: bytes) -> Iterator[str]:
    for encoding in ("utf-8", "utf-16-le", "latin-1"):
        text = data.decode(encoding, errors="replace")
        yield from _compiled(_TEXT).findall(text)
        if encoding == "utf-8" and "\ufffd" not in text:
            return


def _unescape(match: re.Match[str]) -> str:
    """Return what one escape stands for, by the name of its group."""
    kind, written = match.lastgroup or "", match[0]
    if kind == "octal":
        return _decode_text(bytes(int(digits, 8) for digits in written.split("\\")[1:]))
    if kind == "sign":
        return _CONTROLS.get(written[1], written[1])
    digits = _compiled(_NOT_HEX).sub("", written)
    if kind == "bytes":
        return _decode_text(bytes.fromhex(digits))
    if kind == "units":
        return bytes.fromhex(digits).decode("utf-16-be", errors="replace")
    return chr(int(digits, 16)) if int(digits, 16) <= sys.maxunicode else ""


def _unescape_html(match: re.Match[str]) -> str:
    import html  # only errors need it, and it has been imported before the request was sent

    return html.unescape(match[0])


def _decode_text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


_UNICODE_FORMS: Final = ("NFC", "NFD", "NFKC", "NFKD")
_CONTROLS: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_APART: Final = "\uffff"
_MIN_RUN: Final = 6
"""Letters of base64 that stand for four characters."""
_TEXT: Final = r"[\0\t\n\r\x20-\x7e\xa0-\ufffc\U00010000-\U0010ffff]{4,}"
_HEX: Final = r"[0-9a-fA-F]{8,}"
_NOT_HEX: Final = r"[^0-9a-fA-F]"
_NOT_BARE: Final = r"[^a-z0-9]+"
_UNSEEN: Final = r"<w?br ?/?>|[\s\x00-\x1f\x7f\u00ad\u200b-\u200f\u2060\ufeff\ufffd]+"
"""What breaks a long text into lines, and what a reader does not see."""

_FOLD: Final = Decoder(r"[^\x00-@\[-\x7f]", lambda match: match[0].casefold())
_BARE: Final = Decoder(_NOT_BARE, lambda _: "")
_DECODERS: Final[tuple[Decoder, ...]] = (
    Decoder(
        r"(?i)(?P<units>(?:%u[0-9a-f]{4})+)"
        r"|(?P<bytes>%[cd][0-9a-f]%[89ab][0-9a-f]|%e[0-9a-f](?:%[89ab][0-9a-f]){2}"
        r"|%f[0-7](?:%[89ab][0-9a-f]){3}|%[0-9a-f]{2})",
        _unescape,
    ),
    Decoder(r"\+", lambda _: " "),
    Decoder(
        r"(?i)&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});?",
        _unescape_html,
    ),
    Decoder(  # JSON, JavaScript, Python, C
        r"(?s)(?P<units>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
        r"|\\u[0-9a-fA-F]{4})|(?P<bytes>(?:\\x[0-9a-fA-F]{2})+)|(?P<octal>(?:\\[0-3][0-7]{2})+)"
        r"|(?P<code>\\U[0-9a-fA-F]{8}|\\[ux]\{[0-9a-fA-F]{1,6}\})|(?P<sign>\\.)",
        _unescape,
    ),
    Decoder(r"\"\"|''", lambda match: match[0][0]),
    Decoder(_UNSEEN, lambda _: ""),
    Decoder(r"=\r?\n", lambda _: ""),  # of quoted-printable
)
