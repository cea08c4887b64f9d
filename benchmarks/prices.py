"""What AWS asks, in US dollars, in one region, without free tiers or discounts.

Written down from public pages on the day below. Whoever decides by these figures compares them with AWS's price list.
What does not depend on how orders are posted is left out: storage, backups, logs, alarms, data that leaves AWS.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

REGION: Final = "us-east-1"
AS_OF: Final = "2026-11-28"

MILLION: Final = 1e6
DYNAMODB_WRITE_UNIT: Final = 0.625 / MILLION
DYNAMODB_READ_UNIT: Final = 0.125 / MILLION
LAMBDA_REQUEST: Final = 0.20 / MILLION
LAMBDA_GB_SECOND: Final = 0.0000133334
"""arm64."""
SQS_REQUEST: Final = 0.40 / MILLION
"""A request carries up to 64 KB."""
EVENT: Final = 1.00 / MILLION
"""A custom event on EventBridge."""
SECRETS_REQUEST: Final = 0.05 / 10_000

PRICE: Final[Mapping[str, float]] = {
    "write units": DYNAMODB_WRITE_UNIT,
    "read units": DYNAMODB_READ_UNIT,
    "invocations": LAMBDA_REQUEST,
    "GB seconds": LAMBDA_GB_SECOND,
    "SQS requests": SQS_REQUEST,
    "events": EVENT,
    "Secrets Manager requests": SECRETS_REQUEST,
}


def dollars(used: Mapping[str, float], names: Iterable[str] = PRICE) -> float:
    return sum(used[name] * PRICE[name] for name in names)
