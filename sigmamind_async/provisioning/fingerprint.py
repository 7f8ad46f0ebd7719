"""How a request is stored without its secrets, and recognized when it is made again.

The journal stores the fields that were set, but of secrets only their names. A digest shows whether
the secrets are the same again. Its key is the account's API key: an unkeyed digest of a short SIP
password could be reversed by trying words, and a key stored in the journal would be read together
with the digest. The API key is long, random and not in the journal, and anyone who holds it can
set new passwords anyway.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar, cast

import attrs
import orjson

from sigmamind_async.convert import Record, RequestValue, structure
from sigmamind_async.errors import InvalidRequestError, JournalError, ResponseDecodeError
from sigmamind_async.provisioning.row import Kind, Row
from sigmamind_async.provisioning.tags import operation_token
from sigmamind_async.values import REDACTED, Secret, SecretReference

R = TypeVar("R", bound=Record)
V = TypeVar("V", bound=RequestValue[Any])

_DIGITS: Final = 32  # hexadecimal: 128 bits


# --- requests --------------------------------------------------------------------------------


def set_fields(value: RequestValue[Any]) -> dict[str, Any]:
    """Return the fields of *value* that differ from their defaults, by attribute name."""
    # Other defaults than `UNSET` are left out too: a field that a later version adds must not make
    # the same request look different.
    request_type: type[Any] = type(value)
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(request_type)
    return {
        field.name: content
        for field in fields
        if (content := getattr(value, field.name)) != field.default
    }


def split_secrets(value: RequestValue[Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the set fields of *value* as plain JSON, and the names of its secrets.

    Raises `InvalidRequestError` for a field that has no JSON form, such as half a surrogate pair.
    """
    public: dict[str, Any] = {}
    secret: list[str] = []
    for name, content in set_fields(value).items():
        if isinstance(content, Secret):
            secret.append(name)
        else:
            public[name] = content
    try:
        text = orjson.dumps(public)  # not `dump_json`, which would reveal a nested secret
    except TypeError:
        raise InvalidRequestError(field="value", rule="has no JSON form") from None
    return orjson.loads(text), tuple(secret)


def new_row(
    op_id: str, value: RequestValue[Any], *, kind: Kind, key: str, journal_id: str, account: str
) -> Row:
    """Return the row of an operation that has not started, without a digest of its secrets."""
    request_fields, secret_fields = split_secrets(value)
    return Row(
        op_id=op_id,
        account=account,
        kind=kind,
        request_type=type(value).__name__,
        request_fields=request_fields,
        secret_fields=secret_fields,
        secret_references={
            name: secret.reference
            for name in secret_fields
            if isinstance(secret := getattr(value, name), SecretReference)
        },
        token=operation_token(journal_id, account, op_id),
        key=key,
    )


def rebuild_request(cls: type[V], fields: Mapping[str, Any], secret: Iterable[str]) -> V:
    """Return the request that `split_secrets` split, its secrets `REDACTED`.

    Sending it raises `InvalidRequestError` if it had secrets. Raises `JournalError` for fields that
    this version of *cls* does not take.
    """
    try:
        return cls(**fields, **dict.fromkeys(secret, REDACTED))
    except (TypeError, InvalidRequestError) as error:
        raise _unreadable_class(cls) from error


# --- digests ---------------------------------------------------------------------------------


def key_fingerprint(journal_id: str, key: Secret) -> str:
    """Return the fingerprint of an API key in one journal.

    It reveals only whether a guess of the whole key is right.
    """
    return _derive(key, f"sigmamind_async key\n{journal_id}").hex()[:_DIGITS]


def secret_digest(journal_id: str, key: Secret, value: RequestValue[Any]) -> str:
    """Return the digest of the secrets of *value*, made with *key*.

    It is empty if there are none. Raises `InvalidRequestError` for one that is `REDACTED`.
    """
    secrets = {
        name: content for name, content in set_fields(value).items() if isinstance(content, Secret)
    }
    if not secrets:
        return ""
    root = _derive(key, f"sigmamind_async secrets\n{journal_id}")
    # A key for each name, and digests of one length: no two sets of secrets read alike.
    digests = (
        _digest(_digest(root, name), secret.reveal()) for name, secret in sorted(secrets.items())
    )
    combined = hmac.digest(root, b"".join(digests), "sha256").hex()[:_DIGITS]
    return f"{key_fingerprint(journal_id, key)}:{combined}"


def digests_differ(old: str, new: str) -> bool:
    """Return whether two digests prove that the secrets differ.

    Digests made with different API keys prove nothing.
    """
    (old_key, _, old_digest), (new_key, _, new_digest) = old.partition(":"), new.partition(":")
    return old_key == new_key and old_digest != new_digest


def _derive(key: Secret, text: str) -> bytes:
    return hmac.digest(_octets(key.reveal()), text.encode(), "sha256")


def _digest(key: bytes, text: str) -> bytes:
    return hmac.digest(key, _octets(text), "sha256")


def _octets(text: str) -> bytes:
    # Half a surrogate pair must not raise: a UnicodeEncodeError would carry the secret.
    return text.encode(errors="surrogatepass")


# --- results ---------------------------------------------------------------------------------


_CONTAINERS: Final = cast("tuple[type[object], ...]", (dict, list))


def drop_secrets(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return *result*, a record by wire names, without the secrets in it, however deep.

    Platforms repeat passwords in their answers.
    """
    return {
        name: _drop_inner_secrets(inner) if isinstance(inner, _CONTAINERS) else inner
        for name, inner in result.items()
        if not isinstance(inner, Secret)
    }


def _drop_inner_secrets(content: object) -> object:
    if isinstance(content, dict):
        return drop_secrets(cast("dict[str, object]", content))
    return [
        _drop_inner_secrets(inner) if isinstance(inner, _CONTAINERS) else inner
        for inner in cast("list[object]", content)
        if not isinstance(inner, Secret)
    ]


def from_result(result: Mapping[str, Any], cls: type[R]) -> R:
    """Return the record that *result* shows.

    Raises `JournalError` if this version cannot read it.
    """
    try:
        return structure(dict(result), cls)
    except ResponseDecodeError as error:
        raise _unreadable_class(cls) from error


def _unreadable_class(cls: type[object]) -> JournalError:
    return JournalError(f"the journal holds a {cls.__name__} that this version cannot read")
