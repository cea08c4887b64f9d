"""What boto3 itself computes for a request: the in-memory stores are asked without it, so it is measured by itself.

A request costs so much, and each value that goes in or comes out of an item so much more. Only the wire is left out:
boto3 makes and signs whole requests, and reads whole answers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from bookkeeping.adapters.tables.dynamodb import dynamodb

VALUES: Final = 100
TIMES: Final = 20
ROUNDS: Final = 10


class _Answer:
    """What the wire gives back instead of DynamoDB."""

    body = b"{}"

    def stream(self) -> Iterator[bytes]:
        yield self.body


@cache
def seconds_of_boto3() -> tuple[float, float, float]:
    """CPU seconds of this machine for a request, for a value that goes in, and for one that comes out."""
    answer = _Answer()

    def wire(request: Any, **_: Any) -> AWSResponse:
        return AWSResponse(request.url, 200, HTTPHeaders(), answer)

    resource = dynamodb()
    resource.meta.client.meta.events.register("before-send.dynamodb", wire)
    table = resource.Table("T")
    item = {f"name {place}": f"some text {place}" for place in range(VALUES)}
    request = _timed(lambda: table.get_item(Key={"key": "1"}))
    in_ = _timed(lambda: table.put_item(Item={"key": "1", **item}))
    answer.body = json.dumps({"Item": {name: {"S": text} for name, text in item.items()}}).encode()
    out = _timed(lambda: table.get_item(Key={"key": "1"}))
    return request, max(0.0, in_ - request) / VALUES, max(0.0, out - request) / VALUES


def _timed(call: Callable[[], Any]) -> float:
    """The least of several measurements: what else runs on the machine only adds to them."""

    def once() -> float:
        began = time.thread_time()
        for _ in range(TIMES):
            call()
        return (time.thread_time() - began) / TIMES

    call()
    return min(once() for _ in range(ROUNDS))


def values_in(value: Any) -> int:
    """How many values boto3 has to translate one by one."""
    if isinstance(value, dict):
        return 1 + sum(map(values_in, value.values()))
    if isinstance(value, list | tuple | set):
        return 1 + sum(map(values_in, value))
    return 1
