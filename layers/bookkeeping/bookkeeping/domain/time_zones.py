"""Which day a moment is: the organisation's time zone by Xero's name for it, and times that name no zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from tzlocal.windows_tz import win_tz

from bookkeeping.domain.stored import Stored


def _as_xero_writes(windows_name: str) -> str:
    return re.sub("[^A-Z0-9()+]", "", windows_name.upper())


_ZONES: Final = {_as_xero_writes(name): zone for name, zone in win_tz.items()} | {
    # Windows gave these up, Xero did not
    "KAMCHATKASTANDARDTIME": "Asia/Kamchatka",
    "MIDATLANTICSTANDARDTIME": "Etc/GMT+2",
}

_MAIN_ZONES: Final = {
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "RU": "Europe/Moscow",
    "UA": "Europe/Kyiv",
}
"""Countries whose main time zone is not the first one of theirs in the table of time zones."""

_ELSEWHERE: Final = timedelta(days=2)
"""A day as it is written somewhere, and the same moment's day anywhere else, are at most so far apart."""


def zone_named(xero_name: str) -> str | None:
    """The time zone that Xero calls so, such as NEWZEALANDSTANDARDTIME; None where that is none.

    It may come with spaces and small letters, too, or be named as in Pacific/Auckland.
    """
    found = _ZONES.get(_as_xero_writes(xero_name))
    return found or (xero_name if "/" in xero_name and is_zone(xero_name) else None)


@cache
def main_zone(country_code: str) -> str:
    """The time zone of most people in a country; UTC where the country is not known."""
    if country_code in _MAIN_ZONES:
        return _MAIN_ZONES[country_code]
    table = files("tzdata.zoneinfo").joinpath("zone.tab").read_text(encoding="utf-8")
    rows = (row.split("\t") for row in table.splitlines() if not row.startswith("#"))
    return next((zone for country, _, zone, *_ in rows if country == country_code), "UTC")


def is_zone(name: str) -> bool:
    """Whether there is a time zone of that name, such as Europe/London."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


@dataclass(frozen=True)
class Calendar(Stored):
    """The days of an organisation. Zones are named as in Europe/London."""

    zone: str
    order_zone: str = ""
    """The zone of times that name none; empty: their day is taken as written."""

    def day(self, sent: date) -> date:
        """The day of a date, or of a date and time, as the platform sent it."""
        if not isinstance(sent, datetime) or is_as_written(sent, self.order_zone):
            return _written(sent)
        at = sent if sent.tzinfo else sent.replace(tzinfo=ZoneInfo(self.order_zone))
        return at.astimezone(ZoneInfo(self.zone)).date()


def is_as_written(sent: date, order_zone: str) -> bool:
    """Whether its day is the one written, in any organisation: neither the order nor the settings name a time zone."""
    return not isinstance(sent, datetime) or (sent.tzinfo is None and not order_zone)


def is_before(sent: date, day: date, order_zone: str) -> bool | None:
    """Whether it was sent before the day; None where that depends on the organisation's time zone."""
    written = _written(sent)
    if is_as_written(sent, order_zone) or abs(written - day) > _ELSEWHERE:
        return written < day
    return None


def _written(sent: date) -> date:
    return sent.date() if isinstance(sent, datetime) else sent
