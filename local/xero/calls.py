"""One call to the Accounting API after the door: who calls, what is asked, and what it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from local.xero.money import Ties
from local.xero.organisations import Organisation
from local.xero.replies import RefusedError, Reply, api_exception, invalid_post_data
from local.xero.unconfirmed import Unconfirmed
from local.xero.wire import Json, parse_json
from local.xero.world import World

LARGEST_BODY = 10 * 1024 * 1024


@dataclass
class Call:
    """`query` has lower-case names: Xero doesn't mind the case of its parameters."""

    world: World
    organisation: Organisation
    client_id: str
    app_name: str
    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    committed: list[Json] = field(default_factory=list)
    refusal: str | None = None
    """Xero's words, where a fault has every element of a write refused."""

    @property
    def now(self) -> datetime:
        return self.world.now()

    @property
    def by_a_person(self) -> bool:
        """Whether somebody does it inside Xero, and no app."""
        return not self.client_id

    @property
    def unconfirmed(self) -> Unconfirmed:
        return self.world.unconfirmed

    @property
    def ties(self) -> Ties:
        return self.world.ties(self.organisation)

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self.query.get(name.lower())
        return default if value is None else value.strip().lower() in ("true", "1")

    @property
    def summarize_errors(self) -> bool:
        return self.flag("summarizeErrors", default=self.unconfirmed["summarize_errors_default"] == "true")

    @property
    def unit_places(self) -> int:
        """Decimals of unit amounts: 4 with unitdp=4, else 2."""
        return 4 if self.query.get("unitdp") == "4" else 2

    def elements(self, collection: str) -> list[Json]:
        """The posted elements, given bare, in an array or under the collection's name. Raises RefusedError."""
        if not self.body.strip():
            raise self.no_data(collection)
        try:
            posted = parse_json(self.body)
        except ValueError as error:
            raise invalid_post_data(str(error)) from error
        if isinstance(posted, dict) and collection in posted:
            posted = posted[collection]
        elements: Any = posted if isinstance(posted, list) else [posted]
        if not all(isinstance(element, dict) for element in elements):
            raise invalid_post_data(f"Cannot deserialize the current JSON into {collection}.")
        return list(elements)

    def no_data(self, collection: str) -> RefusedError:
        return RefusedError(
            api_exception(
                400,
                int(self.unconfirmed["no_data_error_number"]),
                "NoDataProcessedException",
                "No data has been processed for this endpoint. This endpoint is expecting "
                f"{collection.removesuffix('s')} data to be specifed in the request body.",
            )
        )

    def envelope(self, contents: Json) -> Reply:
        """A 200 with Xero's header fields around the contents."""
        return Reply(
            200,
            {
                "Id": self.world.new_id(),
                "Status": "OK",
                "ProviderName": self.app_name,
                "DateTimeUTC": self.now,
                **contents,
            },
        )
