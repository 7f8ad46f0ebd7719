"""DialNexa: https://dialnexa.com/docs."""

from sigmamind_async.platforms.dialnexa.models import (
    ACTIVE,
    PENDING,
    Agent,
    AvailableNumber,
    GetAgent,
    GetPhoneNumber,
    ImportSipTrunk,
    ListPhoneNumbers,
    PhoneNumber,
    PurchasePhoneNumber,
    ReleasePhoneNumber,
    SearchPhoneNumbers,
    UpdateAgent,
    UpdatePhoneNumber,
)

__all__ = [
    "ACTIVE",
    "Agent",
    "AvailableNumber",
    "GetAgent",
    "GetPhoneNumber",
    "ImportSipTrunk",
    "ListPhoneNumbers",
    "PENDING",
    "PhoneNumber",
    "PurchasePhoneNumber",
    "ReleasePhoneNumber",
    "SearchPhoneNumbers",
    "UpdateAgent",
    "UpdatePhoneNumber",
]
