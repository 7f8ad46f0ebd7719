r"""Secrets that a platform repeats are found in whatever spelling they have, and masked.

A program writes a text in many ways: Go spells ``&`` as ``\u0026`` inside JSON and PHP ``/`` as
``\/``, a form percent-encodes, a page has HTML entities, a header has base64, and each of them may
be inside another. So a text is read in every such way, and each reading is read again until nothing
new appears. For each character of a reading it can be told where in the text it is written: there a
secret that shows in any reading is masked.

Two things cannot be masked with certainty, and then nothing of the text is kept: one that takes
more work to read than is done for an error, and one that contains a secret of fewer than four
characters.
"""

from __future__ import annotations

import base64
import functools
import html
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
"""Characters of a text that are kept. More are read, because a secret may begin among them."""
_LOOKED_AT: Final = 4096
"""Most characters of a text that are read."""
_READINGS: Final = 100
"""Most readings of one text. Ordinary answers have about ten."""
WORK: Final = 50_000
"""Most characters of all readings of one text together: a text that can be read in ever more ways
would hold up the event loop. A page has about 40,000 in 30 readings, a short answer 600."""
_SHORT: Final = 4
"""Below so many characters a secret cannot be told from words, and withholds the text."""
_PART: Final = 8
"""Characters from which on the id in ``id:secret`` is masked too."""
_BARE: Final = 6
"""Letters and digits from which on a secret is recognized by those alone."""
_WIDEST: Final = 24
"""Characters that a spelling takes for one character of a secret, at most."""

_Place = tuple[int, int]
"""Where something is written in the text, from and to."""


def redact(text: str, secrets: Iterable[Secret], withheld: str = WITHHELD) -> str:
    """Return at most `KEPT` characters of *text*, with each of *secrets* replaced by asterisks.

    Where that is not certain return *withheld* instead.
    """
    needles = _needles(secrets)
    if not needles or not text:
        return text[:KEPT]
    margin = _WIDEST * max(len(needle.text) for needle in needles)
    kept = text[: min(_LOOKED_AT, KEPT + margin)]
    # Half of a secret may be at the end of what was read.
    margin = margin if len(text) > len(kept) else 0
    for _ in range(3):  # a mask may complete a secret that contains asterisks
        places = _places(kept, needles)
        if places is None:
            return withheld
        if not places:
            return kept[: max(0, len(kept) - margin)][:KEPT]
        for start, end in reversed(places):
            kept = kept[:start] + MASK + kept[end:]
    return withheld


@attrs.frozen
class _Needle:
    """A secret, or a part of one, and how it shows in a reading."""

    text: str
    folded: frozenset[str]
    """What to look for whatever the case: in every Unicode form, and without what is not seen."""
    bare: str
    """Its letters and digits; empty where they are too few."""

    @property
    def short(self) -> bool:
        """Whether it cannot be told from words."""
        return len(self.text) < _SHORT


def _needles(secrets: Iterable[Secret]) -> list[_Needle]:
    """Return what to look for: each secret, and the parts of one that is joined by colons."""
    wholes = {secret.reveal() for secret in secrets if secret.known} - {""}
    parts: set[str] = set()
    for whole in wholes:
        *ids, last = whole.split(":")
        parts.update(part for part in ids if len(part) >= _PART)
        parts.update([last] if ids and len(last) >= _SHORT else [])
    return [_needle(text) for text in wholes | parts]


def _needle(text: str) -> _Needle:
    forms = {text, *(unicodedata.normalize(form, text) for form in _FORMS)}
    joined, bare = _UNSEEN.sub("", text.casefold()), _bare(text.casefold())
    if len(joined) >= _SHORT:
        forms.add(joined)
    folded = frozenset(form.casefold() for form in forms)
    return _Needle(text, folded, bare if len(bare) >= _BARE else "")


_FORMS: Final = ("NFC", "NFD", "NFKC", "NFKD")
_NOT_BARE = re.compile(r"[^a-z0-9]+")
_BARE_RUN = re.compile(r"[a-z0-9]+")


def _bare(text: str) -> str:
    return _NOT_BARE.sub("", text)


def _places(text: str, needles: list[_Needle]) -> list[_Place] | None:
    """Return where *needles* are written in *text*; ``None`` where that is not certain."""
    if "\ufffd" in text and not all(needle.text.isascii() for needle in needles):
        return None  # bytes of another encoding, whose letters are lost
    readings = _readings(text, min(len(form) for needle in needles for form in needle.folded))
    if readings is None:
        return None
    showing = [(reading, seen) for reading in readings if (seen := _seen(reading.text, needles))]
    if any(needle.short for _, seen in showing for needle in seen):
        return None
    return _merged([place for reading, seen in showing for place in _located(reading, seen)])


def _merged(places: list[_Place]) -> list[_Place]:
    merged: list[_Place] = []
    for start, end in sorted(places):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _seen(text: str, needles: list[_Needle]) -> list[_Needle]:
    """Return those *needles* that show in one reading, whatever their case and Unicode form.

    Spaces, quotes and backslashes between its letters, of whatever encoder, do not hide one.
    """
    folded = text.casefold()
    bare = _bare(folded)
    return [
        needle
        for needle in needles
        if any(form in folded for form in needle.folded) or (needle.bare and needle.bare in bare)
    ]


def _located(reading: _Reading, needles: list[_Needle]) -> Iterator[_Place]:
    """Give the places at which *needles* are written that show in *reading*."""
    folded, places = reading.text.casefold(), reading.places
    if len(folded) != len(places):  # a sharp s is two letters now
        pieces = zip(reading.text, places, strict=True)
        places = [place for letter, place in pieces for _ in letter.casefold()]
    bare = [at for run in _BARE_RUN.finditer(folded) for at in range(*run.span())]
    for needle in needles:
        for form in needle.folded:
            yield from _found(form, folded, places)
        if needle.bare:
            yield from _found(needle.bare, _bare(folded), [places[at] for at in bare])


def _found(form: str, text: str, places: list[_Place]) -> Iterator[_Place]:
    at = text.find(form)
    while at >= 0:
        yield _span(places[at : at + len(form)])
        at = text.find(form, at + 1)


def _span(places: list[_Place]) -> _Place:
    """Return from where to where *places* are; they are in order in every reading."""
    return places[0][0], places[-1][1]


# --- readings --------------------------------------------------------------------------------


@attrs.frozen
class Decoder:
    """One way to read a text: each match of a pattern stands for something else."""

    pattern: re.Pattern[str]
    decode: Callable[[re.Match[str]], str]
    alone: bool = False
    """Whether nothing is kept but what the matches stand for."""

    def read(self, text: str) -> str:
        """Return *text* as it reads it."""
        if self.alone:
            return "".join(map(self.decode, self.pattern.finditer(text)))
        return self.pattern.sub(self.decode, text)


class _Reading:
    """A text as decoders read it, one after the other."""

    def __init__(
        self, text: str, before: _Reading | None = None, decoder: Decoder | None = None
    ) -> None:
        """*before* is the reading that *decoder* has read; the text itself has neither."""
        self.text = text
        self._before = before
        self._decoder = decoder

    @functools.cached_property
    def places(self) -> list[_Place]:
        """Where in the text each of its characters is written.

        Most readings show no secret, and are never asked for it.
        """
        before, decoder = self._before, self._decoder
        if before is None or decoder is None:
            return [(at, at + 1) for at in range(len(self.text))]
        places: list[_Place] = []
        done = 0
        for match in decoder.pattern.finditer(before.text):
            start, end = match.span()
            if not decoder.alone:
                places += before.places[done:start]
            places += [_span(before.places[start:end])] * len(decoder.decode(match))
            done = end
        return places if decoder.alone else [*places, *before.places[done:]]


def _readings(text: str, least: int) -> list[_Reading] | None:
    """Return every reading of *text*, itself first; ``None`` if they are too many or too long.

    No base64 is read that stands for fewer than *least* characters: most words would be.
    """
    runs = re.compile(rf"[A-Za-z0-9+/_-]{{{max(_RUN, least * 4 // 3)},}}")
    remembered = functools.cache(_read_code)  # most runs are in every reading
    code = Decoder(runs, lambda match: remembered(match[0]), alone=True)
    readings = [_Reading(text)]
    known, work = {text, ""}, len(text)
    for reading in readings:  # grows while it is gone through
        for decoder in (*_DECODERS, code):
            decoded = decoder.read(reading.text)
            if decoded in known:
                continue
            work += len(decoded)
            if len(readings) == _READINGS or work > WORK:
                return None
            known.add(decoded)
            readings.append(_Reading(decoded, reading, decoder))
    return readings


def _from_percent(match: re.Match[str]) -> str:
    if match["wide"]:
        units = match["wide"].lower().replace("%u", "")
        return bytes.fromhex(units).decode("utf-16-be", errors="replace")
    return _text_of(bytes.fromhex(match[0].replace("%", "")))


def _from_escape(match: re.Match[str]) -> str:
    """Decode one escape of JSON, JavaScript, Python or C; one level of them."""
    if match["pair"]:
        return (
            match[0]
            .encode()
            .decode("unicode_escape")
            .encode("utf-16", "surrogatepass")
            .decode("utf-16")
        )
    if match["octal"]:
        return _text_of(bytes(int(each, 8) for each in match["octal"].split("\\")[1:]))
    if match["bytes"]:
        return _text_of(bytes.fromhex(match["bytes"].replace("\\x", "")))
    code = match["u"] or match["wide"] or match["braced"]
    if code:
        return chr(int(code, 16)) if int(code, 16) <= sys.maxunicode else ""
    return _CONTROLS.get(match["one"], match["one"])


_CONTROLS: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


def _read_code(run: str) -> str:
    """Return what a *run* of base64 or hexadecimal stands for.

    A run may follow other letters, so a group of four may begin at each of its first four places.
    Of bytes only what can be a text is kept: ordinary words are runs as well.
    """
    texts = (text for data in _bytes_of(run) for text in _texts_in(data))
    return "".join(f"{_APART}{text}" for text in texts)


def _bytes_of(run: str) -> Iterator[bytes]:
    for digits in _HEX.findall(run):
        for start in (0, 1):
            yield bytes.fromhex(digits[start : len(digits) - (len(digits) - start) % 2])
    run = run.replace("-", "+").replace("_", "/")
    for start in range(4):
        part = run[start:]
        part = part[:-1] if len(part) % 4 == 1 else part
        yield base64.b64decode(part + "=" * (-len(part) % 4))


def _texts_in(data: bytes) -> Iterator[str]:
    for encoding in ("utf-8", "utf-16-le", "latin-1"):
        text = data.decode(encoding, errors="replace")
        yield from _TEXT.findall(text)
        if encoding == "utf-8" and "\ufffd" not in text:
            return


def _text_of(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


_RUN: Final = 6
"""Letters of base64 that stand for four characters."""
_APART: Final = "\uffff"
_TEXT = re.compile(r"[\0\t\n\r\x20-\x7e\xa0-\ufffc\U00010000-\U0010ffff]{4,}")
_HEX = re.compile(r"[0-9a-fA-F]{8,}")

_UNSEEN = re.compile(r"<w?br ?/?>|[\s\x00-\x1f\x7f\u00ad\u200b-\u200f\u2060\ufeff\ufffd]+")
"""What breaks a long text into lines, and what a reader does not see."""

_DECODERS: Final[tuple[Decoder, ...]] = (
    Decoder(
        re.compile(
            r"(?P<wide>(?:%u[0-9a-f]{4})+)|%[cd][0-9a-f]%[89ab][0-9a-f]|%e[0-9a-f](?:%[89ab][0-9a-f]){2}"
            r"|%f[0-7](?:%[89ab][0-9a-f]){3}|%[0-9a-f]{2}",
            re.IGNORECASE,
        ),
        _from_percent,
    ),
    Decoder(re.compile(r"\+"), lambda _: " "),
    Decoder(
        re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});?", re.IGNORECASE),
        lambda match: html.unescape(match[0]),
    ),
    Decoder(
        re.compile(
            r"(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
            r"|\\u(?P<u>[0-9a-fA-F]{4})|(?P<bytes>(?:\\x[0-9a-fA-F]{2})+)|\\U(?P<wide>[0-9a-fA-F]{8})"
            r"|\\[ux]\{(?P<braced>[0-9a-fA-F]{1,6})\}|(?P<octal>(?:\\[0-3][0-7]{2})+)|\\(?P<one>.)",
            re.DOTALL,
        ),
        _from_escape,
    ),
    Decoder(re.compile(r"\"\"|''"), lambda match: match[0][0]),
    Decoder(_UNSEEN, lambda _: ""),
    Decoder(re.compile(r"=\r?\n"), lambda _: ""),  # of quoted-printable
)
