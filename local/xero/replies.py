"""Answers: what every endpoint gives back, and each of Xero's error envelopes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from local.xero.wire import Json, to_json, to_xml

JSON_TYPE = "application/json; charset=utf-8"
XML_TYPE = "text/xml; charset=utf-8"
TEXT_TYPE = "text/html; charset=utf-8"

ZERO_ID = "00000000-0000-0000-0000-000000000000"


@dataclass
class Reply:
    """An answer. `payload` is rendered as JSON or as XML under `root`; `text` goes out as it is."""

    status: int
    payload: Any = None
    text: str | None = None
    root: str = "Response"
    headers: dict[str, str] = field(default_factory=dict)
    json_only: bool = False

    def rendered(self, *, as_json: bool) -> tuple[bytes, str]:
        """Body and content type."""
        if self.text is not None:
            return self.text.encode(), TEXT_TYPE
        if self.payload is None:
            return b"", TEXT_TYPE
        if as_json or self.json_only:
            return to_json(self.payload).encode(), JSON_TYPE
        return to_xml(self.root, self.payload).encode(), XML_TYPE


def unauthorized(detail: str, instance: str, *, missing_scope: bool = False) -> Reply:
    """401 as the gateway writes it; a missing scope also says so in a header, misspelt as on the wire."""
    headers = {"WWW-Authenticate": 'Bearer error="insufficent_scope"'} if missing_scope else {}
    body: Json = {
        "Type": None,
        "Title": "Unauthorized",
        "Status": 401,
        "Detail": detail,
        "Instance": instance,
        "Extensions": {},
    }
    return Reply(401, body, headers=headers, json_only=True)


def forbidden(instance: str) -> Reply:
    """403 with lower-case keys: no tenant, or one this token isn't connected to."""
    body = {"title": "Forbidden", "status": 403, "detail": "AuthenticationUnsuccessful", "instance": instance}
    return Reply(403, body, json_only=True)


def not_found() -> Reply:
    return Reply(404, text="The resource you're looking for cannot be found")


def too_large() -> Reply:
    """What a box between Xero and whoever called makes of a large request."""
    return Reply(413, text="<html><head><title>413 Request Entity Too Large</title></head></html>")


def server_error(instance: str) -> Reply:
    body: Json = {
        "Title": "An error occurred",
        "Detail": "An error occurred in Xero. Check the API Status page http://status.developer.xero.com "
        "for current service status.",
        "Status": 500,
        "Instance": instance,
    }
    return Reply(500, body, json_only=True)


def maintenance() -> Reply:
    return Reply(503, text="The Xero API is currently offline for maintenance")


def organisation_offline() -> Reply:
    return Reply(503, text="The Organisation is offline")


def api_exception(
    status: int, number: int, kind: str, message: str, elements: list[Json] | None = None
) -> Reply:
    """Xero's exception envelope, with the elements that were refused where there are any."""
    body: Json = {"ErrorNumber": number, "Type": kind, "Message": message}
    if elements is not None:
        body["Elements"] = elements
    return Reply(status, body, root="ApiException")


def validation_exception(elements: list[Json]) -> Reply:
    return api_exception(400, 10, "ValidationException", "A validation exception occurred", elements)


def not_implemented() -> Reply:
    return api_exception(
        501, 20, "ApiMethodNotImplementedException", "The Api Method called is not implemented"
    )


class RefusedError(Exception):
    """A whole request Xero turns down, carrying the answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def invalid_post_data(message: str) -> RefusedError:
    return RefusedError(
        api_exception(400, 14, "PostDataInvalidException", f"JSON for post data was invalid,{message}")
    )


def query_parse_error(message: str) -> RefusedError:
    return RefusedError(api_exception(400, 16, "QueryParseException", message))
