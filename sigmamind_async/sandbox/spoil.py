"""What a fault makes of an honest answer. Pure: an answer in, an answer out.

The status line stays honest, because that is what makes these faults hard: a client that reads
201 knows the platform acted, whatever the body looks like.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Mapping
from typing import cast

import attrs
import orjson

from sigmamind_async.sandbox.faults import Fault
from sigmamind_async.sandbox.messages import JSON, Answer

DEPTH = 100_000
BOMB_MIB = 300

_GARBAGE = b'\x89\xff\xfe{"\x00\xc3\x28 not JSON, not UTF-8'
_HTML = b"<!DOCTYPE html><html><body><h1>We will be back soon</h1></body></html>"


def spoil(fault: Fault, answer: Answer, *, oversize: int) -> Answer:
    """Return what is sent in place of *answer*, for a fault of ``BODY_FAULTS``."""
    if fault is Fault.OVERSIZED_BODY:
        return _with_body(answer, _oversized(oversize))
    return _SPOILERS[fault](answer)


def _with_body(answer: Answer, body: bytes, content_type: str = JSON) -> Answer:
    # 204 has no body to spoil.
    status = 200 if answer.status == 204 else answer.status
    return attrs.evolve(answer, status=status, body=body, content_type=content_type)


def _oversized(size: int) -> bytes:
    head, tail = b'{"friendlyName":"', b'"}'
    return head + b"x" * max(0, size - len(head) - len(tail)) + tail


def _wrong_types(answer: Answer) -> Answer:
    return _with_body(answer, orjson.dumps(_twisted(orjson.loads(answer.body or b"null"))))


def _twisted(value: object) -> object:
    if isinstance(value, dict):
        members = cast("Mapping[str, object]", value)
        return {name: _other_type(member) for name, member in members.items()}
    return _other_type(value)


def _other_type(value: object) -> object:
    if isinstance(value, str):
        return {"value": value}
    if isinstance(value, bool):
        return "maybe"
    if value is None:
        return [0]
    if isinstance(value, int | float):
        return [value]
    return "object" if isinstance(value, dict) else 7


def _not_a_number(answer: Answer) -> Answer:
    if not answer.body.startswith(b"{"):
        return _with_body(answer, b'{"active":NaN}')
    return _with_body(answer, b'{"active":NaN,' + answer.body[1:])


def _bomb(answer: Answer) -> Answer:
    bombed = _with_body(answer, gzip_bomb())
    return attrs.evolve(bombed, headers={**answer.headers, "Content-Encoding": "gzip"})


@functools.cache
def gzip_bomb() -> bytes:
    """Return a gzip stream of about 300 KB that unpacks to ``BOMB_MIB`` MiB of zeros."""
    block = bytes(1 << 20)
    packer = zlib.compressobj(level=9, wbits=31)
    return b"".join(packer.compress(block) for _ in range(BOMB_MIB)) + packer.flush()


_SPOILERS: Mapping[Fault, Callable[[Answer], Answer]] = {
    Fault.GARBAGE_BODY: lambda answer: _with_body(answer, _GARBAGE),
    Fault.EMPTY_BODY: lambda answer: _with_body(answer, b""),
    Fault.HTML_BODY: lambda answer: _with_body(answer, _HTML, "text/html"),
    Fault.WRONG_TYPES: _wrong_types,
    Fault.NAN_BODY: _not_a_number,
    Fault.DEEP_BODY: lambda answer: _with_body(answer, b"[" * DEPTH + b"]" * DEPTH),
    Fault.GZIP_BOMB: _bomb,
}
