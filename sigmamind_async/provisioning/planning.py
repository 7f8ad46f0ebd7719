"""The row of an operation that nobody has begun: what is asked for, of whom, under which id."""

from __future__ import annotations

import attrs

from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.provisioning.adapter import Intent, Value
from sigmamind_async.provisioning.fingerprint import asked_of
from sigmamind_async.provisioning.row import Row
from sigmamind_async.provisioning.tags import token_of
from sigmamind_async.values import SecretReference


def account_of(platform: str, label: str | None) -> str:
    """Return what a journal calls an account: ``sigmamind``, or ``sigmamind:production``."""
    return platform if label is None else f"{platform}:{label}"


def check_op_id(op_id: object) -> None:
    """Require what can be the id of an operation."""
    if not isinstance(op_id, str) or not op_id.isprintable() or not 0 < len(op_id) <= 200:
        raise InvalidRequestError(field="op_id", rule="must be 1 to 200 printable characters")


@attrs.frozen
class Pad:
    """Makes rows of one account in one journal."""

    journal_id: str
    account: str

    def row(self, op_id: str, value: Value, intent: Intent) -> Row:
        """Return the row of an operation that nobody has begun, without a seal."""
        asked, hidden = asked_of(value)
        held = {name: getattr(value, name) for name in hidden}
        return Row(
            op_id=op_id,
            account=self.account,
            kind=intent.kind,
            request_type=type(value).__name__,
            request_fields=asked,
            secret_fields=hidden,
            secret_references={
                name: secret.reference
                for name, secret in held.items()
                if isinstance(secret, SecretReference)
            },
            token=token_of(self.journal_id, self.account, op_id),
            key=intent.key,
        )
