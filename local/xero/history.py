"""The history of a document: what was done to it, and notes that can be added and never changed."""

from __future__ import annotations

from collections.abc import Callable

from local.xero import fields
from local.xero.batches import messages
from local.xero.calls import Call
from local.xero.documents import remember
from local.xero.organisations import DocumentKind
from local.xero.replies import Reply, not_found, validation_exception
from local.xero.views import history_view


def history_of(*kinds: DocumentKind) -> dict[str, Callable[[Call, str], Reply]]:
    """What answers each verb below documents of these kinds, by their ids."""

    def read(call: Call, key: str) -> Reply:
        document = call.organisation.documents.get(key.lower())
        if document is None or document.kind not in kinds:
            return not_found()
        return call.envelope({"HistoryRecords": [history_view(one) for one in reversed(document.history)]})

    def add(call: Call, key: str) -> Reply:
        document = call.organisation.documents.get(key.lower())
        if document is None or document.kind not in kinds:
            return not_found()
        records = call.elements("HistoryRecords")
        longest = int(call.unconfirmed["longest_history_note"])
        for record in records:
            errors = fields.length_errors(record, {"Details": longest}, call.unconfirmed)
            if call.refusal or errors:
                return validation_exception(
                    [{**record, "ValidationErrors": messages([call.refusal] if call.refusal else errors)}]
                )
            if not fields.text(record, "Details"):
                raise call.no_data("HistoryRecords")
        for record in records:
            remember(call, document, "Note", fields.text(record, "Details") or "")
            call.committed.append(
                {
                    "kind": "note",
                    "action": "created",
                    "id": document.id,
                    "details": fields.text(record, "Details"),
                }
            )
        added = document.history[-len(records) :] if records else []
        return call.envelope({"HistoryRecords": [history_view(one) for one in added]})

    return {"GET": read, "PUT": add, "POST": add}
