"""How a request is remembered without its secrets, and recognised when it is made again.

The journal keeps the fields that were said, and only the names of those that are secrets. Whether
a secret is the same again is told by a seal: a digest of the secrets under the account's API key.
An unkeyed digest would not do. Passwords of SIP trunks are short, and whoever reads a journal would
find them by trying words; even a key kept in the journal would be read together with the digest.
The API key is not in the journal, it is long and random, and whoever has it may set the passwords
anew anyhow.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar, cast

import attrs
import orjson

from sigmamind_async.convert import Record, RequestValue, as_object, structure
from sigmamind_async.errors import InvalidRequestError, JournalError, ResponseDecodeError
from sigmamind_async.provisioning.row import Kind, Row
from sigmamind_async.provisioning.tags import operation_token
from sigmamind_async.values import REDACTED, Secret, SecretReference

R = TypeVar("R", bound=Record)
V = TypeVar("V", bound=RequestValue[Any])

_DIGITS: Final = 32
"""Hexadecimal digits of a digest that are kept: 128 bits."""


# --- requests --------------------------------------------------------------------------------


def set_fields(value: RequestValue[Any]) -> dict[str, Any]:
    """Return the fields of *value* that are not as they are when left out, by attribute name.

    A default that says something is left out as well: a field that a later version adds must not
    make the same request look like another one.
    """
    kind: type[Any] = type(value)
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(kind)
    return {
        field.name: held
        for field in fields
        if (held := getattr(value, field.name)) != field.default
    }


def split_secrets(value: RequestValue[Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what is said in *value*, as plain JSON, and the names of its secrets.

    Raises `InvalidRequestError` for what has no JSON form, such as half of a surrogate pair.
    """
    fields = set_fields(value)
    hidden = tuple(name for name, held in fields.items() if isinstance(held, Secret))
    shown = {name: held for name, held in fields.items() if name not in hidden}
    try:
        # Not `dump_json`, which would reveal a secret that stands deeper.
        text = orjson.dumps(shown)
    except TypeError:
        raise InvalidRequestError(field="value", rule="holds what JSON cannot say") from None
    return orjson.loads(text), hidden


def new_row(
    op_id: str, value: RequestValue[Any], *, kind: Kind, key: str, journal_id: str, account: str
) -> Row:
    """Return the row of an operation that has not begun, without a digest of its secrets."""
    request_fields, secret_fields = split_secrets(value)
    secrets = {name: getattr(value, name) for name in secret_fields}
    return Row(
        op_id=op_id,
        account=account,
        kind=kind,
        request_type=type(value).__name__,
        request_fields=request_fields,
        secret_fields=secret_fields,
        secret_references={
            name: secret.reference
            for name, secret in secrets.items()
            if isinstance(secret, SecretReference)
        },
        token=operation_token(journal_id, account, op_id),
        key=key,
    )


def rebuild_request(cls: type[V], asked: Mapping[str, Any], hidden: Iterable[str]) -> V:
    """Return the request that *asked* and *hidden* were taken from, its secrets `REDACTED`.

    Sending it raises `InvalidRequestError` where it had secrets. Raises `JournalError` for fields
    that this version of *cls* does not take.
    """
    try:
        return cls(**asked, **dict.fromkeys(hidden, REDACTED))
    except (TypeError, InvalidRequestError) as error:
        raise _unreadable(cls) from error


# --- seals -----------------------------------------------------------------------------------


def key_fingerprint(journal_id: str, key: Secret) -> str:
    """Return what an API key is recognised by, within one journal.

    It is made with the key itself, so it gives away no more than that: a guess of the whole key
    can be tested.
    """
    return _under(key, f"sigmamind_async key\n{journal_id}").hex()[:_DIGITS]


def secret_digest(journal_id: str, key: Secret, value: RequestValue[Any]) -> str:
    """Return what the secrets of *value* are recognised by, as long as *key* is in use.

    It is empty where there are none. Raises `InvalidRequestError` for one that is `REDACTED`.
    """
    secrets = {name: held for name, held in set_fields(value).items() if isinstance(held, Secret)}
    if not secrets:
        return ""
    root = _under(key, f"sigmamind_async secrets\n{journal_id}")
    # Each name makes a key of its own, and all digests are of one length: whatever the texts are,
    # no two sets of secrets are written alike.
    digests = (
        _digest(_digest(root, name), secret.reveal()) for name, secret in sorted(secrets.items())
    )
    together = hmac.digest(root, b"".join(digests), "sha256").hex()[:_DIGITS]
    return f"{key_fingerprint(journal_id, key)}:{together}"


def digests_differ(old: str, new: str) -> bool:
    """Return whether two seals prove that the secrets are not the same.

    After a change of the API key they prove nothing.
    """
    (old_key, _, old_digest), (new_key, _, new_digest) = old.partition(":"), new.partition(":")
    return old_key == new_key and old_digest != new_digest


def _under(key: Secret, text: str) -> bytes:
    return hmac.digest(_octets(key.reveal()), text.encode(), "sha256")


def _digest(key: bytes, text: str) -> bytes:
    return hmac.digest(key, _octets(text), "sha256")


def _octets(text: str) -> bytes:
    # Half a surrogate pair must not raise: a UnicodeEncodeError holds the text.
    return text.encode(errors="surrogatepass")


# --- results ---------------------------------------------------------------------------------


def to_result(record: Record) -> dict[str, Any]:
    """Return *record* by wire names, without its secrets: platforms repeat passwords in answers."""
    return cast("dict[str, Any]", _without_secrets(as_object(record)))


def from_result(result: Mapping[str, Any], cls: type[R]) -> R:
    """Return the record that *result* was taken from, without its secrets.

    Raises `JournalError` where this version cannot read it.
    """
    try:
        return structure(dict(result), cls)
    except ResponseDecodeError as error:
        raise _unreadable(cls) from error


def _without_secrets(held: object) -> object:
    if isinstance(held, dict):
        fields = cast("dict[str, object]", held)
        return {
            name: _without_secrets(inner)
            for name, inner in fields.items()
            if not isinstance(inner, Secret)
        }
    if isinstance(held, list):
        items = cast("list[object]", held)
        return [_without_secrets(inner) for inner in items if not isinstance(inner, Secret)]
    return held


def _unreadable(cls: type[object]) -> JournalError:
    return JournalError(f"the journal holds a {cls.__name__} that this version cannot read")
