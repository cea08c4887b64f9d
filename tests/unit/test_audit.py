"""The demonstration's auditor: one live document an order, under whatever number, and all that was credited."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from local.audit import Row, audit
from local.samples import UNTRACKED, Maker, posted

ORDER = Maker().order(UNTRACKED, 0)
SAMPLE = posted("an order", UNTRACKED, ORDER)
NUMBER = f"KX-{SAMPLE.order_id}"
TOTAL = SAMPLE.invoice
ROW = Row(UNTRACKED, SAMPLE.order_id, "posted", "", "", NUMBER, {}, changed=False)


def done(
    number: str, action: str = "created", status: str = "DRAFT", kind: str = "ACCREC", total: Any = TOTAL
) -> dict[str, Any]:
    """A call that did this to a document."""
    about = {"kind": kind, "action": action, "id": f"{kind} {number}", "number": number, "status": status}
    return {"tenant_id": "books", "committed": [about | {"total": str(total), "subtotal": str(total)}]}


def found(*log: dict[str, Any], **sample: Any) -> str:
    rows = {(UNTRACKED, SAMPLE.order_id): ROW}
    return str(audit([replace(SAMPLE, **sample)], rows, log, {UNTRACKED: "KX-"}, {UNTRACKED: "books"}))


CLEAN = "lost 0 / duplicated 0 / unexpected 0 / open 0"
AGAIN = done(NUMBER) | {"committed": [done(NUMBER)["committed"][0] | {"id": "another"}]}


@pytest.mark.parametrize(
    ("log", "sample", "says"),
    [
        ([done(NUMBER)], {}, CLEAN),
        ([done(NUMBER), done(NUMBER, "changed", "AUTHORISED")], {}, CLEAN),
        ([done(NUMBER), done(NUMBER, "changed", "DELETED"), done(f"{NUMBER}-2")], {}, CLEAN),
        ([done(NUMBER), done(NUMBER, "changed", "VOIDED")], {"gone": frozenset({"invoice"})}, CLEAN),
        (
            [done(NUMBER), done(f"{NUMBER}-CN", kind="ACCRECCREDIT", total=5)],
            {"credited": Decimal(5)},
            CLEAN,
        ),
        ([], {}, "lost 1 / duplicated 0 / unexpected 0 / open 0"),
        (
            [done(NUMBER), done(NUMBER, "changed", "DELETED")],
            {},
            "lost 1 / duplicated 0 / unexpected 0 / open 0",
        ),
        ([done(NUMBER), AGAIN], {}, "lost 0 / duplicated 1 / unexpected 0 / open 0"),
        ([done(NUMBER), done(f"{NUMBER}-3")], {}, "lost 0 / duplicated 1 / unexpected 0 / open 0"),
        (
            [done(NUMBER)],
            {"gone": frozenset({"invoice"})},
            "lost 0 / duplicated 0 / unexpected 1 / open 0",
        ),
        ([done(NUMBER, total=1)], {}, "lost 0 / duplicated 0 / unexpected 1 / open 0"),
        (
            [done(NUMBER), done(f"{NUMBER}-CN2", kind="ACCRECCREDIT", total=5)],
            {},
            "lost 0 / duplicated 0 / unexpected 1 / open 0",
        ),
        ([done(NUMBER), done("KX-1")], {}, "lost 0 / duplicated 0 / unexpected 1 / open 0"),
    ],
)
def test_live_documents_are_counted_over_all_numbers_and_credit_is_summed(
    log: list[dict[str, Any]], sample: dict[str, Any], says: str
) -> None:
    assert found(*log, **sample) == says
