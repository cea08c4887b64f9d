"""What happens to some of the demonstration's orders after they are in Xero.

The platform cancels and refunds, a person edits, deletes and pays in Xero, and somebody in the office decides in the
popup. What must become of each is reckoned here from the order, without the code that does it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from local.companies import Office
from local.sample_kinds import DISPATCHED
from local.samples import TRACKED, UNTRACKED, Maker, Sample, gross, posted

FIRST_ORDER: Final = 61_540_000
CANCELLED: Final = {"status": 128, "status_name": "Cancelled"}
REFUNDED: Final = {"status": 512, "status_name": "Refunded"}
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Story:
    """An order, what happens to it after it was posted, and what the office asks for."""

    words: str
    sample: Sample
    in_xero: tuple[Json, ...] = ()
    """What a person does to its invoice in Xero, in the words of the simulated Xero's controls."""
    asked: str = ""
    """What the office asks for; empty: nothing."""
    lines: tuple[Json, ...] = ()
    looks: bool = False
    """Whether the office looks first where it stands in Xero."""
    differs: str = ""
    """How the book match must find its invoice different; empty: it must not."""

    def ask(self, office: Office) -> None:
        """Look and ask as the popup does, by its API."""
        path = f"/orders/{self.sample.order_id}"
        if self.looks:
            office.ask("POST", f"{path}/look", {})
        if self.asked:
            version = office.ask("GET", path)["version"]
            body = {"asked": self.asked, "version": version, "lines": list(self.lines)}
            office.ask("POST", f"{path}/correction", body)


def stories() -> list[Story]:
    make = Maker(FIRST_ORDER)
    return [*_of_approved_invoices(make), *_of_drafts(make)]


def _of_approved_invoices(make: Maker) -> list[Story]:
    whole, part_paid, some_lines, refund, edited, paid, voided = (
        make.order(UNTRACKED, place, 3) for place in range(7)
    )
    items = [dict(item) for item in some_lines["items"]]
    items[0]["status"] = 7
    line = refund["items"][0]
    return [
        Story(
            "Cancelled after its invoice was approved: the office cancels it, and it is credited.",
            _later(whole, whole | CANCELLED, credited=gross(whole)),
            asked="cancel",
        ),
        Story(
            "Paid in part, then cancelled: it is credited, and the note pays only what is still unpaid.",
            _later(part_paid, part_paid | CANCELLED, credited=gross(part_paid)),
            in_xero=({"Pay": 5},),
            asked="cancel",
        ),
        Story(
            "One of three lines is cancelled: that line is credited.",
            _later(some_lines, some_lines | {"items": items}, credited=_price(items[0])),
            asked="cancel",
        ),
        Story(
            "Refunded to the consumer: the office credits one piece, and a part of the shipping.",
            _later(
                refund,
                refund | REFUNDED,
                credited=Decimal(str(line["unit_sale_price_inc_tax"])) + Decimal("1.20"),
            ),
            asked="credit",
            lines=({"line": 1, "pieces": "1"}, {"line": 0, "amount": "1.20"}),
        ),
        Story(
            "Its date is changed in Xero by a person, then it is cancelled: it is left alone, and shown.",
            _later(edited, edited | CANCELLED, ends="posted correction_stopped"),
            in_xero=({"Date": "2026-11-19"},),
            asked="cancel",
            differs="changed",
        ),
        Story(
            "Voided in Xero by a person, and nobody looks: the book match finds it.",
            replace(posted("voided in Xero", UNTRACKED, voided), gone=frozenset({"invoice"})),
            in_xero=({"Status": "VOIDED"},),
            differs="voided",
        ),
        Story(
            "Paid in Xero: the office looks where it stands.",
            posted("paid", UNTRACKED, paid),
            in_xero=({"Pay": str(gross(paid))},),
            looks=True,
        ),
    ]


def _of_drafts(make: Maker) -> list[Story]:
    early, late, deleted, approved = (make.order(TRACKED, place, 2) for place in range(4))
    both = frozenset({"invoice", "purchase_order"})
    return [
        Story(
            "Tracked, cancelled before production: the draft and the purchase order are deleted.",
            _later(early, early | CANCELLED, gone=both),
            asked="cancel",
        ),
        Story(
            "Tracked, cancelled after dispatch: the draft is deleted, and the supplier is to be asked for a credit.",
            replace(
                _later(late, late | CANCELLED, gone=frozenset({"invoice"}), ends="posted ask_supplier"),
                later=(json.dumps(late | DISPATCHED), json.dumps(late | DISPATCHED | CANCELLED)),
            ),
            asked="cancel",
        ),
        Story(
            "Tracked, its draft deleted in Xero by a person: the office looks, and has it posted again.",
            posted("deleted in Xero", TRACKED, deleted),
            in_xero=({"Status": "DELETED"},),
            asked="post_again",
            looks=True,
        ),
        Story(
            "Tracked, its draft approved in Xero by a person: the office looks where it stands.",
            posted("approved in Xero", TRACKED, approved),
            in_xero=({"Status": "AUTHORISED"},),
            looks=True,
        ),
    ]


def _later(order: dict[str, Any], message: Json, **ends: Any) -> Sample:
    """The order, and a message that changes it after it was posted."""
    company = str(order["company_ref_id"])
    made = posted(f"order {order['id']} after posting", company, order)
    return replace(made, later=(json.dumps(message),), changed=True, **ends)


def _price(item: Json) -> Decimal:
    return Decimal(str(item["quantity"])) * Decimal(str(item["unit_sale_price_inc_tax"]))
