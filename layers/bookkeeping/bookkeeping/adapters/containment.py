"""Containment. An exception that nobody foresaw stops the order or company at hand, and holds up nothing else.

It is logged by its kind and by the lines it came through. Its text is left out, for it may quote what it choked on.
"""

from __future__ import annotations

import hashlib
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from aws_lambda_powertools import Logger, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from bookkeeping.adapters.tables.dynamodb import cancelled_for, refused_for
from bookkeeping.domain.errors import Foreseen, StoreUnavailable

NEVER_TAKEN: Final = frozenset({"ValidationException", "ValidationError"})
"""AWS takes no such request, however often it is sent: a row may be too long."""
MOST_FRAMES: Final = 30

Shown = Callable[[str], object]
"""Makes a fault visible where a person looks. It is given the fault's reference."""


@contextmanager
def contained(company: str, order_id: str = "", then: Shown | None = None) -> Iterator[None]:
    """Contain a fault of ours to the order or company that the block is about. `then` makes it visible there."""
    try:
        yield
    except Exception as error:
        if not is_ours(error):
            raise
        reference = record(error, company, order_id)
        if then is not None:
            then(reference)


def noted(error: Exception, company: str = "", order_id: str = "") -> str:
    """The kind of an exception, for a log. A fault of ours is recorded, too."""
    if is_ours(error):
        record(error, company, order_id)
    return kind_of(error)


def kind_of(error: Exception) -> str:
    """The kind of an exception, for a log: its text may quote what it choked on."""
    if isinstance(error, ClientError):
        return f"{error.operation_name}: {refused_for(error)}"
    return str(error) if isinstance(error, StoreUnavailable) else type(error).__name__


def is_ours(error: Exception) -> bool:
    """Whether only a fault of ours explains the exception."""
    if isinstance(error, ClientError):
        return bool(NEVER_TAKEN & {refused_for(error), *cancelled_for(error)})
    return isinstance(error, ParamValidationError) or not isinstance(error, Foreseen | BotoCoreError)


def record(error: Exception, company: str = "", order_id: str = "") -> str:
    """Log and count a fault of ours. Its reference is the same whenever it happens in the same place."""
    kind = kind_of(error)
    frames = [
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__, limit=-MOST_FRAMES)
    ]
    reference = hashlib.sha256(f"{kind} {frames[-1:]}".encode()).hexdigest()[:8]
    Logger().error(
        "fault of ours contained",
        reference=reference,
        kind=kind,
        frames=frames,
        company=company,
        order_id=order_id,
    )
    # at once: what is counted when the function ends is lost if it ends badly
    namespace = os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "KornitXero")
    with single_metric("OurFaults", MetricUnit.Count, 1, namespace=namespace):
        pass
    return reference
