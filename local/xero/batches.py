"""Writing several elements in one call: what became of each, and the two shapes Xero answers in."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from local.xero.calls import Call
from local.xero.replies import ZERO_ID, Reply, validation_exception
from local.xero.wire import Json


@dataclass
class Outcome:
    """One element's fate: as stored, or as sent with what is wrong with it, its lines, its contact."""

    element: Json
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    line_errors: list[list[str]] = field(default_factory=list)
    contact_errors: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return bool(self.errors or self.contact_errors or any(self.line_errors))


def messages(texts: list[str]) -> list[Json]:
    return [{"Message": text} for text in texts]


def write_each(
    call: Call,
    collection: str,
    id_key: str,
    save: Callable[[Json], Outcome],
    *,
    only: list[Json] | None = None,
) -> Reply:
    """Save every posted element on its own and answer for all of them."""
    elements = call.elements(collection) if only is None else only
    all_or_nothing = (
        call.summarize_errors and call.unconfirmed["good_elements_of_a_refused_batch"] == "dropped"
    )
    before = copy.deepcopy(call.organisation.__dict__) if all_or_nothing else None
    outcomes = [Outcome(element, [call.refusal]) if call.refusal else save(element) for element in elements]
    if before is not None and any(outcome.failed for outcome in outcomes):
        call.organisation.__dict__.update(before)
        call.committed.clear()
    if call.unconfirmed["order_of_elements"] == "reversed":
        outcomes.reverse()
    if call.summarize_errors:
        failed = [outcome for outcome in outcomes if outcome.failed]
        if failed:
            return validation_exception([_refused(call, outcome, id_key) for outcome in failed])
        return call.envelope({collection: [_with_warnings(outcome) for outcome in outcomes]})
    return call.envelope({collection: [_with_status(call, outcome, id_key) for outcome in outcomes]})


def write_one(call: Call, collection: str, id_key: str, save: Callable[[Json], Outcome]) -> Reply:
    """Save the first posted element of a call for one document: a refusal is always a 400."""
    only_one = replace(call, query={**call.query, "summarizeerrors": "true"})
    return write_each(only_one, collection, id_key, save, only=call.elements(collection)[:1])


def _with_warnings(outcome: Outcome) -> Json:
    if not outcome.warnings:
        return outcome.element
    return {**outcome.element, "Warnings": messages(outcome.warnings)}


def _with_status(call: Call, outcome: Outcome, id_key: str) -> Json:
    if outcome.failed:
        return {**_refused(call, outcome, id_key), "StatusAttributeString": "ERROR"}
    status = "WARNING" if outcome.warnings else "OK"
    return {**_with_warnings(outcome), "StatusAttributeString": status}


def _refused(call: Call, outcome: Outcome, id_key: str) -> Json:
    """The element as it was sent, a zero id if it has none, and the complaints where Xero puts them."""
    place = call.unconfirmed["place_of_line_errors"]
    errors = list(outcome.errors)
    if place != "line":
        errors += [error for of_line in outcome.line_errors for error in of_line]
    element: Json = {id_key: ZERO_ID, **outcome.element, "HasErrors": True}
    lines = element.get("LineItems")
    if isinstance(lines, list) and outcome.line_errors:
        nested = outcome.line_errors if place != "element" else [[] for _ in lines]
        element["LineItems"] = [
            {**line, "ValidationErrors": messages(of_line)}
            for line, of_line in zip(lines, nested, strict=True)
        ]
    if outcome.contact_errors:
        contact = element.get("Contact")
        if isinstance(contact, dict):
            element["Contact"] = {
                **contact,
                "HasValidationErrors": True,
                "ValidationErrors": messages(outcome.contact_errors),
            }
        errors += outcome.contact_errors
    element["ValidationErrors"] = messages(list(dict.fromkeys(errors)))
    if outcome.warnings:
        element["Warnings"] = messages(outcome.warnings)
    return element
