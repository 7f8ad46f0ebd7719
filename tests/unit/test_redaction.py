"""What a platform repeats of a secret is found in every spelling, and nothing else is masked."""

from __future__ import annotations

import base64
import html
import json
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import cast
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigmamind_async.errors import BadRequestError
from sigmamind_async.operation import Operation, Request, Response, Verdict
from sigmamind_async.responses import redaction
from sigmamind_async.responses.redaction import MASK, WITHHELD, redact
from sigmamind_async.responses.verdict import AttemptResult, error_for
from sigmamind_async.values import REDACTED, Secret, SecretReference

KEY = "sk_live_51H8abcdefghABCDEFGH0123456789"
SECRET = "p&<w>='/é\"\\+ %k9"
Encoder = Callable[[str], str]


def as_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def as_ascii_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def as_go(text: str) -> str:
    """https://pkg.go.dev/encoding/json#Marshal: the three that HTML knows."""
    written = as_json(text)
    for each in "&<>":
        written = written.replace(each, f"\\u{ord(each):04x}")
    return written


def as_gson(text: str) -> str:
    """Gson escapes what HTML knows, with the equals sign and the apostrophe."""
    written = as_json(text)
    for each in "&<>='":
        written = written.replace(each, f"\\u{ord(each):04x}")
    return written


def as_php(text: str) -> str:
    return as_ascii_json(text).replace("/", "\\/")


def as_escapes(text: str) -> str:
    """Every character as an escape, in capitals."""
    units = text.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02X}{units[at + 1]:02X}" for at in range(0, len(units), 2))


def as_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def as_basic(text: str) -> str:
    return base64.b64encode(f"user:{text}".encode()).decode()


def as_decimal_entities(text: str) -> str:
    return "".join(f"&#{ord(each)};" for each in text)


def as_lines(text: str) -> str:
    return "\r\n ".join(text[at : at + 3] for at in range(0, len(text), 3))


ENCODERS: dict[str, Encoder] = {
    "as it is": str,
    "JSON": as_json,
    "JSON in ASCII": as_ascii_json,
    "Go": as_go,
    "Gson": as_gson,
    "PHP": as_php,
    "escapes": as_escapes,
    "repr": lambda text: repr(text)[1:-1],
    "bytes in Python": lambda text: repr(text.encode())[2:-1],
    "percent": quote,
    "percent, every sign": lambda text: quote(text, safe=""),
    "percent in small letters": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "percent of JavaScript": lambda text: as_escapes(text).replace("\\u", "%u"),
    "octal": lambda text: "".join(f"\\{byte:03o}" for byte in text.encode()),
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "form": quote_plus,
    "HTML": html.escape,
    "HTML, decimal": as_decimal_entities,
    "HTML, hexadecimal": lambda text: "".join(f"&#x{ord(each):X};" for each in text),
    "HTML twice": lambda text: html.escape(html.escape(text)),
    "base64": as_base64,
    "base64 without padding": lambda text: as_base64(text).rstrip("="),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 in lines": lambda text: base64.encodebytes(text.encode() * 3).decode(),
    "Basic": as_basic,
    "Basic after a word": lambda text: f"Basic/{as_basic(text)}",
    "hexadecimal": lambda text: text.encode().hex(),
    "CSV": lambda text: text.replace('"', '""'),
    "lines": as_lines,
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "capitals": str.upper,
    "with a null after each": lambda text: "\0".join([*text, ""]),
}
AROUND: dict[str, Encoder] = {
    "alone": str,
    "in a sentence": lambda text: f"the password {text} is wrong",
    "in JSON": lambda text: json.dumps({"detail": [{"msg": "wrong", "input": {"x": text}}]}),
    "in JSON in JSON": lambda text: json.dumps({"error": json.dumps({"input": text})}),
    "in JSON three deep": lambda text: json.dumps([json.dumps([json.dumps([text])])]),
    "as a name": lambda text: json.dumps({text: 1}),
    "under a name given twice": lambda text: f'{{"a": {json.dumps(text)}, "a": 1}}',
    "in a URL": lambda text: f"https://x.test/?user=a&password={text}&y=1",
    "in a page": lambda text: f"<p>password: <b>{text}</b>&nbsp;</p>",
    "in JSON cut short": lambda text: json.dumps({"echo": text, "more": "x"})[:-8],
}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_secret_is_found_in_every_spelling(encoder: str) -> None:
    spelled = ENCODERS[encoder](SECRET)
    for around, wrapped in AROUND.items():
        text = wrapped(spelled)
        scrubbed = redact(text, [Secret("another"), Secret(SECRET)])

        assert spelled not in scrubbed, around
        assert MASK in scrubbed, around
        assert len(scrubbed) < len(text), around


def nothing(_: str) -> str:
    """Read nothing in a run of letters."""
    return ""


@pytest.mark.parametrize("encoder", ["Go", "PHP", "percent", "HTML", "base64", "lines"])
def test_the_control_without_decoders_a_spelling_stays(
    encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redaction, "_DECODERS", ())
    monkeypatch.setattr(redaction, "_read_run", nothing)
    spelled = ENCODERS[encoder](SECRET)

    assert redact(spelled, [Secret(SECRET)]) == spelled


@pytest.mark.parametrize("encoder", ENCODERS)
def test_only_the_secret_is_masked(encoder: str) -> None:
    text = f"the password ({ENCODERS[encoder](SECRET)}) is wrong, 4 of 5"
    scrubbed = redact(text, [Secret(SECRET)])

    assert scrubbed.startswith("the password (")
    assert scrubbed.endswith(") is wrong, 4 of 5")
    assert len(scrubbed) <= len("the password (***) is wrong, 4 of 5") + 2


BUY = Operation(
    name="sigmamind.create_phone_number",
    request=Request("POST", "/v1/phone-numbers", {}),
    decode=lambda _: None,
    repeatable=False,
)
plain = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Zs", "Cc", "Cf"]))
secrets = plain.filter(lambda text: len(text) >= 4 and not set(text) <= {"*"})
chains = st.lists(st.sampled_from(sorted(set(ENCODERS) - {"lines", "capitals"})), max_size=3)


@given(secrets, chains, st.sampled_from(sorted(AROUND)))
def test_an_error_never_shows_a_secret_however_it_was_wrapped(
    secret: str, chain: list[str], around: str
) -> None:
    spelled = secret
    for encoder in chain:
        spelled = ENCODERS[encoder](spelled)
    body = AROUND[around](spelled)
    answer = Response(
        400, {"x-request-id": spelled}, json.dumps({"error": spelled, "detail": body}).encode()
    )
    error = error_for(BUY, AttemptResult(answer, Verdict.REJECTED), [Secret(secret)])

    message = str(error).removeprefix("400: ").replace(WITHHELD, "")
    assert isinstance(error, BadRequestError)
    for text in (message, error.body, error.code or "", error.request_id or ""):
        assert not any(spelled in each for each in texts_in(text))


def texts_in(text: str) -> Iterator[str]:
    """Give *text* and, if it is JSON, each text in it, also of JSON inside JSON."""
    yield text
    with suppress(ValueError):
        yield from leaves(json.loads(text, object_pairs_hook=list))


def leaves(held: object) -> Iterator[str]:
    if isinstance(held, list | tuple):
        for each in cast("Sequence[object]", held):
            yield from leaves(each)
    elif isinstance(held, str):
        yield from texts_in(held)


@pytest.mark.parametrize("secret", ["1", "ab", "123", "*", "é"])
def test_a_text_that_repeats_a_very_short_secret_is_not_kept(secret: str) -> None:
    text = json.dumps({"message": f"wrong: {secret}", "code": "x"})

    assert redact(text, [Secret(secret)]) == WITHHELD
    assert redact(text, [Secret(secret)], withheld="") == ""
    assert redact("none here", [Secret("xyz")]) == "none here"


def test_a_short_secret_is_masked_where_it_is() -> None:
    assert redact("PIN 4711 is wrong: [4711]", [Secret("4711")]) == "PIN *** is wrong: [***]"


def test_a_number_that_is_the_secret_is_masked() -> None:
    assert redact('{"pin": 12345678}', [Secret("12345678")]) == '{"pin": ***}'


def test_a_text_with_too_many_layers_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_MAX_READINGS", 2)

    assert redact("a%2541b \\u0026 &amp;", [Secret(SECRET)]) == WITHHELD


def test_letters_that_were_lost_hide_nothing() -> None:
    body = "pässwört".encode("latin-1").decode(errors="replace")

    assert redact(body, [Secret("pässwört")]) == WITHHELD
    assert redact(body, [Secret("another")]) == body


def test_a_mask_that_completes_a_secret_is_no_mask() -> None:
    text = redact("xab**cdef", [Secret("ab**"), Secret("x***cd")])

    assert "x***cd" not in text


@pytest.mark.parametrize("secret", [REDACTED, SecretReference("env:A"), Secret("")])
def test_what_is_not_known_masks_nothing(secret: Secret) -> None:
    assert redact("a text", [secret]) == "a text"


ORDINARY = [
    "No numbers are available in area code 415.",
    '{"statusCode": 402, "message": "Insufficient funds", "error": "Payment Required"}',
    '{"detail": [{"loc": ["body", "phone_number"], "msg": "value is not +14155550100"}]}',
    "<html><head><title>502 Bad Gateway</title></head><body>nginx/1.25.3</body></html>",
    "request 4f0c2a9e-7d1b-4a55-9f62-0f3f9b1d7c11 &middot; caf\u00e9 \\o/ 100 %",
    "",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_the_control_an_ordinary_answer_stays_as_it_is(text: str) -> None:
    keys = [Secret("sk_live_51H8abcdefgh"), Secret("trunk-Pa55w0rd"), Secret("id_1:s3cr3tS3cr3t")]

    assert redact(text, keys) == text


HOSTILE = [
    "\\" * 9_000,
    "%25" * 3_000,
    "&amp;" * 3_000,
    "QUJD" * 3_000,
    "+ " * 5_000,
    '%25\\u0026&amp;+""QUJDQUJD ' * 400,
    f"{KEY} %2525\\\\u0026&amp;amp;+\"\"''\r\n41424344=\n" * 100,
    "".join(f"<p id='{at}'>a &amp; b%20c+d {at:032x}</p>\n" for at in range(300)),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_makes_little_work(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert characters_read(text, monkeypatch) <= 9 * redaction.WORK
    assert len(redact(text, [Secret(KEY)])) <= redaction.KEPT


def test_the_control_without_a_bound_a_text_makes_much_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redaction, "WORK", 10**9)
    monkeypatch.setattr(redaction, "_MAX_READINGS", 10**9)

    assert characters_read(HOSTILE[5], monkeypatch) > 9 * 50_000


def test_an_ordinary_text_is_read_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    assert characters_read(ORDINARY[1], monkeypatch) <= 100 * len(ORDINARY[1])
    assert characters_read("x" * 100_000, monkeypatch) <= 50_000


def characters_read(text: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many characters the decoders are given for one masking of *text*."""
    work = 0
    read = redaction.Decoder.read

    def counted(decoder: redaction.Decoder, given: str) -> str:
        nonlocal work
        work += len(given)
        return read(decoder, given)

    with monkeypatch.context() as patched:
        patched.setattr(redaction.Decoder, "read", counted)
        redact(text, [Secret(KEY)])
    return work


def test_half_of_a_secret_at_the_end_of_what_is_read_is_not_kept() -> None:
    text = "." * 4_090 + "0123456789abcdef" + "." * 4_000

    assert "0123" not in redact(text, [Secret("0123456789abcdef")])


@pytest.mark.parametrize("secret", ["Straße-9ß", "ﬁnance12", "K\u212a-lvin9"])
def test_a_secret_whose_letters_another_encoding_lost_withholds_the_text(secret: str) -> None:
    """In lower case each of them is ASCII; in the bytes of another encoding it is not."""
    lost = "".join(letter if letter.isascii() else "\ufffd" for letter in secret)

    assert redact(f"unknown: {lost}", [Secret(secret)]) == WITHHELD
