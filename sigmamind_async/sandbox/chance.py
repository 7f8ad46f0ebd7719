"""Chance that can be repeated: every draw is a function of the seed and of what it is drawn for.

A shared random generator would tie each choice to the order in which requests happen to
arrive. Here request 17 of an operation meets the same fault in every run, however many other
requests came between.
"""

from __future__ import annotations

from hashlib import blake2b


def draw(seed: int, *parts: str | int) -> float:
    """Return a number in [0, 1) that depends on the arguments alone."""
    text = ":".join(map(str, (seed, *parts))).encode()
    return (int.from_bytes(blake2b(text, digest_size=8).digest()) >> 11) / 2**53


def draw_index(seed: int, length: int, *parts: str | int) -> int:
    """Return a position in a sequence of *length* items."""
    return int(draw(seed, *parts) * length)


def draw_token(seed: int, length: int, *parts: str | int) -> str:
    """Return *length* hexadecimal digits, at most 64: an id or a key nobody issued."""
    text = ":".join(map(str, (seed, *parts))).encode()
    return blake2b(text, digest_size=32).hexdigest()[:length]
