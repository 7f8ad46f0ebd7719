r"""Secrets that a platform repeats are found in whatever spelling they have, and masked.

A program writes a text in many ways: Go spells ``&`` as ``\u0026`` inside JSON and PHP ``/`` as
``\/``, a form percent-encodes, a page has HTML entities, a header has base64, and each of them may
be inside another. So a text is read in every such way, and each reading is read again until nothing
new appears. A reading keeps, for each of its characters, the place in the text that it came from: a
secret that shows in any reading is masked where it is written.

Two things cannot be masked with certainty, and then nothing of the text is kept: one with more
layers than are read, and one that contains a secret of fewer than four characters.
"""

from __future__ import annotations

import base64
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

_LOOKED_AT: Final = 4096
"""Characters of a text that are read; what comes after them is not kept."""
_READINGS: Final = 100
"""Most readings of one text. Ordinary answers have about ten."""
_SHORT: Final = 4
"""Below so many characters a secret cannot be told from words, and withholds the text."""
_PART: Final = 8
"""Characters from which on the id in ``id:secret`` is masked too."""
_BARE: Final = 6
"""Letters and digits from which on a secret is recognized by those alone."""
_WIDEST: Final = 24
"""Characters that a spelling takes for one character of a secret, at most."""


@attrs.frozen
class _Reading:
    """A text as one decoder reads it, and where each of its characters is written."""

    text: str
    places: list[tuple[int, int]]


_Decoder = Callable[[re.Match[str]], str]


def masked(text: str, secrets: Iterable[Secret]) -> str:
    """Return *text* with every one of *secrets* replaced by asterisks, or `WITHHELD`.

    At most 4,096 characters are kept.
    """
    scrubbed = scrub(text, secrets)
    return WITHHELD if scrubbed is None else scrubbed


def scrub(text: str, secrets: Iterable[Secret]) -> str | None:
    """Do as `masked` does, and return ``None`` for a text that cannot be kept."""
    needles = _needles(secrets)
    if not needles or not text:
        return text[:_LOOKED_AT]
    kept = text[:_LOOKED_AT]
    for _ in range(3):  # a mask may complete a secret that contains asterisks
        places = _places(kept, needles)
        if places is None:
            return None
        if not places:
            margin = _WIDEST * max(map(len, needles)) if len(text) > _LOOKED_AT else 0
            # Half of a secret may be at the end of what was read.
            return kept[: max(0, len(kept) - margin)]
        for start, end in reversed(places):
            kept = kept[:start] + MASK + kept[end:]
    return None


def _needles(secrets: Iterable[Secret]) -> list[str]:
    """Return what to look for: each secret, and the parts of one that is joined by colons."""
    wholes = {secret.reveal() for secret in secrets if secret.known} - {""}
    parts: set[str] = set()
    for whole in wholes:
        *ids, last = whole.split(":")
        parts.update(part for part in ids if len(part) >= _PART)
        parts.update([last] if ids and len(last) >= _SHORT else [])
    return sorted(wholes | parts, key=len, reverse=True)


def _places(text: str, needles: list[str]) -> list[tuple[int, int]] | None:
    """Return where *needles* are written in *text*; ``None`` where that is not certain."""
    if "\ufffd" in text and not all(needle.isascii() for needle in needles):
        return None  # bytes of another encoding, whose letters are lost
    spelled = [(len(needle) < _SHORT, _forms(needle), _letters(needle)) for needle in needles]
    readings = _readings(text, min(len(form) for _, forms, _ in spelled for form in forms))
    if readings is None:
        return None
    found: list[tuple[int, int]] = []
    for reading in readings:
        text = reading.text.casefold()
        bare = _bare(text)
        for is_short, forms, letters in spelled:
            # Most texts repeat nothing, and to know the place of each character takes long.
            if not (letters and letters in bare) and not any(form in text for form in forms):
                continue
            if is_short:
                return None
            found.extend(_hits(reading, forms, letters))
    return _merged(found)


def _merged(places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(places):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _forms(needle: str) -> set[str]:
    """Return *needle* in each Unicode form, without case, and also without spaces."""
    forms = {needle, *(unicodedata.normalize(form, needle) for form in _FORMS)}
    joined = _UNSEEN.sub("", needle)
    return {form.casefold() for form in (*forms, *([joined] if len(joined) >= _SHORT else []))}


def _letters(needle: str) -> str:
    """Return what is left of *needle* whatever an encoder puts between its letters, if enough."""
    letters = _bare(needle.casefold())
    return letters if len(letters) >= _BARE else ""


def _hits(reading: _Reading, forms: set[str], letters: str) -> Iterator[tuple[int, int]]:
    folded = _each(reading, str.casefold)
    for form in forms:
        yield from _found(folded, form)
    if letters:
        yield from _found(_each(folded, _bare), letters)


_FORMS: Final = ("NFC", "NFD", "NFKC", "NFKD")
_NOT_BARE = re.compile(r"[^a-z0-9]+")


def _bare(text: str) -> str:
    return _NOT_BARE.sub("", text)


def _each(reading: _Reading, change: Callable[[str], str]) -> _Reading:
    """Return *reading* with each character changed."""
    changed = [*map(change, reading.text)]
    places = [place for piece, place in zip(changed, reading.places, strict=True) for _ in piece]
    return _Reading("".join(changed), places)


def _found(reading: _Reading, needle: str) -> Iterator[tuple[int, int]]:
    at = reading.text.find(needle)
    while at >= 0:
        yield _span(reading.places[at : at + len(needle)])
        at = reading.text.find(needle, at + 1)


def _span(places: list[tuple[int, int]]) -> tuple[int, int]:
    return min(start for start, _ in places), max(end for _, end in places)


def _readings(text: str, least: int) -> list[_Reading] | None:
    """Return every reading of *text*, itself first; ``None`` if there is no end to them.

    No base64 is read that stands for fewer than *least* characters: most words would be.
    """
    runs = re.compile(rf"[A-Za-z0-9+/_-]{{{max(_RUN, least * 4 // 3)},}}")
    readings = [_Reading(text, [(at, at + 1) for at in range(len(text))])]
    known = {text}
    for reading in readings:  # grows while it is gone through
        decoded = [_decoded(reading, *decoder) for decoder in _DECODERS]
        for another in (*decoded, _coded(reading, runs)):
            if another is None or another.text in known:
                continue
            if len(readings) == _READINGS:
                return None
            known.add(another.text)
            readings.append(another)
    return readings


def _decoded(reading: _Reading, pattern: re.Pattern[str], decode: _Decoder) -> _Reading | None:
    """Return *reading* with each match of *pattern* decoded; ``None`` if there is none."""
    pieces: list[str] = []
    places: list[tuple[int, int]] = []
    done = 0
    for match in pattern.finditer(reading.text):
        start, end = match.span()
        piece = decode(match)
        pieces += [reading.text[done:start], piece]
        places += reading.places[done:start]
        places += [_span(reading.places[start:end])] * len(piece)
        done = end
    if not pieces:
        return None
    return _Reading("".join([*pieces, reading.text[done:]]), [*places, *reading.places[done:]])


def _from_percent(match: re.Match[str]) -> str:
    if match["wide"]:
        return chr(int(match["wide"], 16))
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
        return chr(int(match["octal"], 8))
    if match["bytes"]:
        return _text_of(bytes.fromhex(match["bytes"].replace("\\x", "")))
    code = match["u"] or match["wide"] or match["braced"]
    if code:
        return chr(int(code, 16)) if int(code, 16) <= sys.maxunicode else ""
    return _CONTROLS.get(match["one"], match["one"])


_CONTROLS: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


def _coded(reading: _Reading, runs: re.Pattern[str]) -> _Reading | None:
    """Return what *runs* of base64 or hexadecimal in *reading* stand for, and nothing else of it.

    A run may follow other letters, so a group of four may begin at each of its first four places.
    Of bytes only what can be a text is kept: ordinary words are runs as well.
    """
    pieces: list[str] = []
    places: list[tuple[int, int]] = []
    for match in runs.finditer(reading.text):
        texts = [text for data in _bytes_of(match[0]) for text in _texts_in(data)]
        piece = "".join(f"{_APART}{text}" for text in texts)
        pieces.append(piece)
        places += [_span(reading.places[match.start() : match.end()])] * len(piece)
    return _Reading("".join(pieces), places) if places else None


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

_DECODERS: Final[tuple[tuple[re.Pattern[str], _Decoder], ...]] = (
    (
        re.compile(
            r"%u(?P<wide>[0-9a-f]{4})|%[cd][0-9a-f]%[89ab][0-9a-f]|%e[0-9a-f](?:%[89ab][0-9a-f]){2}"
            r"|%f[0-7](?:%[89ab][0-9a-f]){3}|%[0-9a-f]{2}",
            re.IGNORECASE,
        ),
        _from_percent,
    ),
    (re.compile(r"\+"), lambda _: " "),
    (
        re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});?", re.IGNORECASE),
        lambda match: html.unescape(match[0]),
    ),
    (
        re.compile(
            r"(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
            r"|\\u(?P<u>[0-9a-fA-F]{4})|(?P<bytes>(?:\\x[0-9a-fA-F]{2})+)|\\U(?P<wide>[0-9a-fA-F]{8})"
            r"|\\[ux]\{(?P<braced>[0-9a-fA-F]{1,6})\}|\\(?P<octal>[0-3][0-7]{2})|\\(?P<one>.)",
            re.DOTALL,
        ),
        _from_escape,
    ),
    (re.compile(r"\"\"|''"), lambda match: match[0][0]),
    (_UNSEEN, lambda _: ""),
    (re.compile(r"=\r?\n"), lambda _: ""),  # of quoted-printable
)
