"""Containment. An exception that nobody foresaw stops the order or company at hand, and holds up nothing else.

It is logged by its kind and by the lines it came through. Its text is left out, for it may quote what it choked on.

What only a newer version of this code understands is no fault: it is left alone, and counted as well.
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
from bookkeeping.domain.errors import Foreseen, StoreUnavailable, UnknownKind

NEVER_TAKEN: Final = frozenset({"ValidationException", "ValidationError"})
"""AWS takes no such request, however often it is sent: a row may be too long."""
MOST_FRAMES: Final = 30

Shown = Callable[[str], object]
"""Makes a fault visible where a person looks. It is given the fault's reference."""
LeftAlone = Callable[[], object]
"""Sees to what goes on without a row that is left alone."""


@contextmanager
def contained(
    company: str, order_id: str = "", then: Shown | None = None, left_alone: LeftAlone | None = None
) -> Iterator[None]:
    """Contain a fault of ours to the order or company that the block is about. `then` makes it visible there.

    What is of an unknown kind is left alone, as in `leaving_alone`.
    """
    try:
        with leaving_alone(company, order_id, left_alone):
            yield
    except Exception as error:
        if not is_ours(error):
            raise
        reference = record(error, company, order_id)
        if then is not None:
            then(reference)


@contextmanager
def leaving_alone(company: str, order_id: str = "", then: LeftAlone | None = None) -> Iterator[None]:
    """Do nothing more with a row, or a message, of an unknown kind. It is counted, and then `then` is called."""
    try:
        yield
    except UnknownKind as unknown:
        count_unknown(unknown, company, order_id)
        if then is not None:
            then()


def count_unknown(unknown: UnknownKind, company: str = "", order_id: str = "") -> None:
    """Log and count a row or a message of an unknown kind."""
    Logger().warning("of an unknown kind, left alone", kind=str(unknown), company=company, order_id=order_id)
    _count("UnknownRows")


def noted(error: Exception, company: str = "", order_id: str = "") -> str:
    """The kind of an exception, for a log. A fault of ours is recorded, and what is of an unknown kind counted, too."""
    if isinstance(error, UnknownKind):
        count_unknown(error, company, order_id)
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
    _count("OurFaults")
    return reference


def _count(metric: str) -> None:
    # at once: what is counted when the function ends is lost if it ends badly
    namespace = os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "KornitXero")
    with single_metric(metric, MetricUnit.Count, 1, namespace=namespace):
        pass
