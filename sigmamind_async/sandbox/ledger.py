"""What the platform did: one entry per change it made, whatever the caller was told.

The ledger is the judge of every safety test. It counts what was committed, not what was
requested or answered, and it never sees a secret: the platform hands over request bodies
without them. Pure; nothing here knows a socket or a file.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import attrs
import orjson

ChangeKind = Literal["purchase", "import", "update", "release", "routing", "call", "call_removal"]

_KIND_WORDS: Mapping[ChangeKind, str] = {
    "purchase": "purchases",
    "import": "imports",
    "update": "updates",
    "release": "releases",
    "routing": "routings",
    "call": "calls",
    "call_removal": "call_removals",
}


@attrs.frozen(kw_only=True)
class Commit:
    """One change that a `platform` made: its `kind`, such as ``purchase``, and its `phone_number`.

    `operation` is the sandbox's name of the request, such as ``create``.
    """

    sequence: int
    """Position in the ledger; the first is 1."""
    time: float
    """Epoch seconds."""
    platform: str
    operation: str
    kind: ChangeKind
    phone_number: str | None
    record_id: str | None = None
    """What the platform knows the number by; None where that is the number itself."""
    friendly_name: str | None
    """The label the request asked for; None when it named none."""
    body: Mapping[str, object] = attrs.field(hash=False)
    """The request body without secrets and without keys the platform does not know."""
    fingerprint: str
    """Same for two requests that asked for the same thing; secrets take no part in it."""
    fault: str | None
    """What went wrong with the request, if anything."""
    delivered: bool = False
    """True when the honest answer was handed whole to a connection that was still open."""


def fingerprint(operation: str, body: Mapping[str, object]) -> str:
    """Return a short name for what a request asks for; *body* carries no secret."""
    text = orjson.dumps([operation, dict(body)], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:16]


_TAG = re.compile(r" ?(\[sm:[A-Z2-7]{13})\.[0-9]+\]\Z", re.ASCII)
"""What a journaled purchase appends to its label: a token, and the number of the attempt."""


def without_attempt(label: str) -> str:
    """Return *label* with its tag, if it has one, as all attempts of one purchase share it.

    ``Support [sm:7Q2MX4KDJWPTB.2]`` is another attempt of ``Support [sm:7Q2MX4KDJWPTB.1]``, and
    ``Support [sm:HLM6GQDR36B43.1]`` is another purchase.
    """
    return _TAG.sub(r" \1]", label)


def without_tag(label: str) -> str:
    """Return *label* as the caller gave it."""
    return _TAG.sub("", label)


class Ledger:
    """Every commit in order, and the questions a test asks about them."""

    def __init__(self) -> None:
        """Start with nothing committed."""
        self._commits: list[Commit] = []
        self._owned: dict[tuple[str, str], Commit] = {}

    def __len__(self) -> int:
        return len(self._commits)

    @property
    def commits(self) -> tuple[Commit, ...]:
        """All entries, oldest first."""
        return tuple(self._commits)

    @property
    def purchases(self) -> list[Commit]:
        """Every number bought, released since or not."""
        return self.of_kind("purchase")

    def of_kind(self, kind: ChangeKind) -> list[Commit]:
        """Return the entries of one *kind*, such as ``purchase`` or ``release``."""
        return [commit for commit in self._commits if commit.kind == kind]

    def append(self, commit: Commit) -> None:
        """Add *commit*; its sequence must be the next one."""
        if commit.sequence != len(self._commits) + 1:
            message = f"entry {commit.sequence} does not follow entry {len(self._commits)}"
            raise ValueError(message)
        self._commits.append(commit)
        if commit.phone_number is None:
            return
        key = (commit.platform, commit.record_id or commit.phone_number)
        if commit.kind in {"purchase", "import"}:
            self._owned.setdefault(key, commit)
        elif commit.kind == "release":
            self._owned.pop(key, None)

    def mark_delivered(self, sequence: int) -> None:
        """Note that the answer to the entry *sequence* left whole."""
        entry = self._commits[sequence - 1]
        self._commits[sequence - 1] = attrs.evolve(entry, delivered=True)

    def clear(self) -> None:
        """Forget everything."""
        self._commits.clear()
        self._owned.clear()

    def owned(self, platform: str | None = None) -> list[str]:
        """Return the numbers held now, of *platform* or of all, in the order in which they came."""
        held = (commit for commit in self._owned.values() if platform in {None, commit.platform})
        return [commit.phone_number or "" for commit in held]

    def purchases_labelled(self, label: str) -> list[Commit]:
        """Return the purchases whose request carried exactly this *label*."""
        return [commit for commit in self.purchases if commit.friendly_name == label]

    def bought_twice(self, by: Callable[[str], str] = without_attempt) -> dict[str, list[str]]:
        """Return the labels under which more than one number was bought, with the numbers.

        *by* turns a label into what is compared: by default, all attempts of one journaled purchase
        count as one. Purchases without a label cannot be told apart and take no part. A number
        released since still counts: see ``owned_twice``.
        """
        return self._repeated(self.purchases, by)

    def owned_twice(self, by: Callable[[str], str] = without_attempt) -> dict[str, list[str]]:
        """Return what ``bought_twice`` does, *by* the same, for purchases that are still held."""
        held = {commit.sequence for commit in self._owned.values()}
        return self._repeated((c for c in self.purchases if c.sequence in held), by)

    @staticmethod
    def _repeated(
        purchases: Iterable[Commit],
        by: Callable[[str], str],
    ) -> dict[str, list[str]]:
        numbers: defaultdict[str, list[str]] = defaultdict(list)
        for commit in purchases:
            if commit.friendly_name is not None:
                numbers[by(commit.friendly_name)].append(commit.phone_number or "")
        return {label: found for label, found in numbers.items() if len(found) > 1}

    def assert_once(self) -> None:
        """Raise `AssertionError` if more than one number was bought for anything."""
        if twice := self.bought_twice():
            raise AssertionError(f"bought twice: {'; '.join(_examples(twice))}")

    def missing(self, labels: Iterable[str], by: Callable[[str], str] = without_tag) -> list[str]:
        """Return those *labels* under which nothing was bought.

        *by* reads the label of a purchase, by default without its tag.
        """
        bought = {by(c.friendly_name) for c in self.purchases if c.friendly_name is not None}
        return [label for label in labels if label not in bought]

    def summary(self) -> dict[str, object]:
        """Return the counts, as plain JSON values."""
        kinds = Counter(commit.kind for commit in self._commits)
        faults = Counter(commit.fault for commit in self._commits if commit.fault)
        return {
            "commits": len(self._commits),
            **{word: kinds[kind] for kind, word in _KIND_WORDS.items()},
            "owned": len(self._owned),
            "bought_twice": len(self.bought_twice()),
            "owned_twice": len(self.owned_twice()),
            "undelivered": sum(not commit.delivered for commit in self._commits),
            "faults": dict(sorted(faults.items())),
        }

    def verdict(
        self,
        expected: Iterable[str] | None = None,
        *,
        by: Callable[[str], str] | None = None,
    ) -> str:
        """Return one line per finding: ``OK`` or ``FAULT``, what was counted, and examples.

        *expected* are the labels (after *by*, or without tags) that should each have one number.
        """
        findings: list[tuple[str, list[str]]] = [
            (f"{len(self.purchases)} purchases, {len(self._owned)} numbers held", []),
            ("bought twice", _examples(self.bought_twice(by or without_attempt))),
        ]
        if expected is not None:
            findings.append(("expected and not bought", self.missing(expected, by or without_tag)))
        return "\n".join(_finding(text, bad) for text, bad in findings)


def _examples(repeated: Mapping[str, list[str]]) -> list[str]:
    return [f"{label}: {', '.join(numbers)}" for label, numbers in repeated.items()]


def _finding(text: str, bad: list[str]) -> str:
    if not bad:
        return f"OK     {text}" if text[0].isdigit() else f"OK     0 {text}"
    shown = "; ".join(bad[:3]) + ("; ..." if len(bad) > 3 else "")
    return f"FAULT  {len(bad)} {text} ({shown})"
