"""DialNexa: https://dialnexa.com/docs."""

from sigmamind_async.platforms.dialnexa.models import (
    ACTIVE,
    PENDING,
    Agent,
    AvailableNumber,
    GetAgent,
    GetPhoneNumber,
    ImportSipTrunk,
    ListPhoneNumberPricing,
    ListPhoneNumbers,
    PhoneNumber,
    PhoneNumberPrice,
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
    "ListPhoneNumberPricing",
    "ListPhoneNumbers",
    "PENDING",
    "PhoneNumber",
    "PhoneNumberPrice",
    "PurchasePhoneNumber",
    "ReleasePhoneNumber",
    "SearchPhoneNumbers",
    "UpdateAgent",
    "UpdatePhoneNumber",
]
