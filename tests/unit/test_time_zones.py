"""Which day a moment is, in every time zone that Xero names."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookkeeping.domain.time_zones import Calendar, is_before, is_zone, main_zone, zone_named

STANDARD_TIMES = """
AFGHANISTAN ALASKAN ALEUTIAN ALTAI ARABIAN ARABIC ARAB ARGENTINA ASTRAKHAN ATLANTIC AUSCENTRAL AUSCENTRALW AUSEASTERN
AZERBAIJAN AZORES BAHIA BANGLADESH BELARUS BOUGAINVILLE CANADACENTRAL CAPEVERDE CAUCASUS CENAUSTRALIA CENTRALAMERICA
CENTRALASIA CENTRALBRAZILIAN CENTRALEUROPEAN CENTRALEUROPE CENTRALPACIFIC CENTRAL CHATHAMISLANDS CHINA CUBA DATELINE
EAFRICA EASTERISLAND EASTERN EAUSTRALIA EEUROPE EGYPT EKATERINBURG ESOUTHAMERICA FIJI FLE GEORGIAN GMT GREENLAND
GREENWICH GTB HAITI HAWAIIAN INDIA IRAN ISRAEL JORDAN KALININGRAD KAMCHATKA KOREA LIBYA LINEISLANDS LORDHOWE MAGADAN
MAGALLANES MARQUESAS MAURITIUS MIDATLANTIC MIDDLEEAST MONTEVIDEO MOROCCO MOUNTAIN MYANMAR NAMIBIA NCENTRALASIA NEPAL
NEWFOUNDLAND NEWZEALAND NORFOLK NORTHASIAEAST NORTHASIA NORTHKOREA OMSK PACIFICSA PACIFIC PAKISTAN PARAGUAY QYZYLORDA
ROMANCE RUSSIAN SAEASTERN SAINTPIERRE SAKHALIN SAMOA SAOTOME SAPACIFIC SARATOV SAWESTERN SEASIA SINGAPORE SOUTHAFRICA
SOUTHSUDAN SRILANKA SUDAN SYRIA TAIPEI TASMANIA TOCANTINS TOKYO TOMSK TONGA TRANSBAIKAL TURKEY TURKSANDCAICOS
ULAANBAATAR USEASTERN USMOUNTAIN VENEZUELA VLADIVOSTOK VOLGOGRAD WAUSTRALIA WCENTRALAFRICA WESTASIA WESTBANK
WESTPACIFIC WEUROPE WMONGOLIA YAKUTSK YUKON
"""
OTHERS = """
CENTRALSTANDARDTIME(MEXICO) EASTERNSTANDARDTIME(MEXICO) MOUNTAINSTANDARDTIME(MEXICO) PACIFICSTANDARDTIME(MEXICO)
RUSSIATIMEZONE3 RUSSIATIMEZONE10 RUSSIATIMEZONE11 UTC UTC+12 UTC+13 UTC02 UTC08 UTC09 UTC11
"""
XERO_NAMES = [*(f"{name}STANDARDTIME" for name in STANDARD_TIMES.split()), *OTHERS.split()]


def test_xero_has_so_many_names() -> None:
    assert len(set(XERO_NAMES)) == 141


@pytest.mark.parametrize("name", XERO_NAMES)
def test_every_time_zone_that_xero_names_is_known(name: str) -> None:
    zone = zone_named(name)
    assert zone is not None
    assert is_zone(zone)


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("NEWZEALANDSTANDARDTIME", "Pacific/Auckland"),
        ("AUSEASTERNSTANDARDTIME", "Australia/Sydney"),
        ("EAUSTRALIASTANDARDTIME", "Australia/Brisbane"),
        ("CENAUSTRALIASTANDARDTIME", "Australia/Adelaide"),
        ("AUSCENTRALWSTANDARDTIME", "Australia/Eucla"),
        ("EASTERNSTANDARDTIME", "America/New_York"),
        ("GMTSTANDARDTIME", "Europe/London"),
        ("GREENWICHSTANDARDTIME", "Atlantic/Reykjavik"),
        ("UTC02", "Etc/GMT+2"),
        ("UTC11", "Etc/GMT+11"),
        ("UTC+12", "Etc/GMT-12"),
        ("UTC+13", "Etc/GMT-13"),
        ("KAMCHATKASTANDARDTIME", "Asia/Kamchatka"),
        ("MIDATLANTICSTANDARDTIME", "Etc/GMT+2"),
        ("", None),
        ("MARSSTANDARDTIME", None),
        ("IndiaStandardTime", "Asia/Calcutta"),
        ("New Zealand Standard Time", "Pacific/Auckland"),
        ("UTC-02", "Etc/GMT+2"),
        ("Pacific/Auckland", "Pacific/Auckland"),
        ("Pacific/Atlantis", None),
        ("../Auckland", None),
    ],
)
def test_a_time_zone_by_its_name_in_xero(name: str, zone: str | None) -> None:
    assert zone_named(name) == zone


@pytest.mark.parametrize(
    ("country", "zone"),
    [
        ("AU", "Australia/Sydney"),
        ("NZ", "Pacific/Auckland"),
        ("GB", "Europe/London"),
        ("US", "America/New_York"),
        ("CA", "America/Toronto"),
        ("IE", "Europe/Dublin"),
        ("ZA", "Africa/Johannesburg"),
        ("SG", "Asia/Singapore"),
        ("BR", "America/Sao_Paulo"),
        ("UA", "Europe/Kyiv"),
        ("", "UTC"),
        ("ZZ", "UTC"),
    ],
)
def test_a_country_s_main_time_zone(country: str, zone: str) -> None:
    assert main_zone(country) == zone


@pytest.mark.parametrize("name", ["Europe/London", "UTC", "Etc/GMT+5", "Australia/Lord_Howe"])
def test_a_time_zone_has_a_name_that_everybody_knows(name: str) -> None:
    assert is_zone(name)


@pytest.mark.parametrize(
    "name", ["", "London", "Europe", "../etc/passwd", "/etc/localtime", "GMT Standard Time", "\0"]
)
def test_what_is_no_time_zone_is_none(name: str) -> None:
    assert not is_zone(name)


def moment(text: str) -> date:
    return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)


@pytest.mark.parametrize(
    ("zone", "order_zone", "sent", "day"),
    [
        # a moment with its zone is the organisation's day
        ("Pacific/Auckland", "", "2026-06-30T13:30:00+00:00", "2026-07-01"),
        ("Pacific/Auckland", "", "2026-06-30T11:59:59+00:00", "2026-06-30"),
        ("America/New_York", "", "2027-01-01T02:00:00+00:00", "2026-12-31"),
        ("America/New_York", "", "2027-01-01T05:00:00+00:00", "2027-01-01"),
        ("Europe/London", "", "2026-11-20T22:30:00-05:00", "2026-11-21"),
        ("Australia/Sydney", "", "2026-11-21T00:30:00+13:00", "2026-11-20"),
        # daylight saving: the same hour of UTC is another day in winter
        ("Europe/London", "", "2026-07-31T23:30:00+00:00", "2026-08-01"),
        ("Europe/London", "", "2026-01-31T23:30:00+00:00", "2026-01-31"),
        ("Australia/Sydney", "", "2026-04-04T13:30:00+00:00", "2026-04-05"),
        ("Australia/Sydney", "", "2026-04-05T13:30:00+00:00", "2026-04-05"),
        ("America/New_York", "", "2026-11-01T04:30:00+00:00", "2026-11-01"),
        ("America/New_York", "", "2026-11-02T04:30:00+00:00", "2026-11-01"),
        ("Australia/Brisbane", "", "2026-12-31T13:30:00+00:00", "2026-12-31"),
        # a moment without a zone is taken as written, or in the zone that was chosen
        ("Pacific/Auckland", "", "2026-06-30T13:30:00", "2026-06-30"),
        ("Pacific/Auckland", "UTC", "2026-06-30T13:30:00", "2026-07-01"),
        ("America/New_York", "Europe/London", "2027-01-01T04:59:00", "2026-12-31"),
        ("Europe/London", "Australia/Sydney", "2026-11-21T10:59:00", "2026-11-20"),
        ("Europe/London", "Australia/Sydney", "2026-11-21T11:00:00", "2026-11-21"),
        # its own zone counts more than the one that was chosen
        ("Pacific/Auckland", "America/New_York", "2026-06-30T11:30:00+00:00", "2026-06-30"),
        # a date without a time is that date
        ("Pacific/Auckland", "UTC", "2026-06-30", "2026-06-30"),
        ("America/New_York", "Pacific/Auckland", "2027-01-01", "2027-01-01"),
        ("America/New_York", "", "2026-12-31T23:59:59.999999-05:00", "2026-12-31"),
    ],
)
def test_which_day_a_moment_is(zone: str, order_zone: str, sent: str, day: str) -> None:
    assert Calendar(zone, order_zone).day(moment(sent)) == date.fromisoformat(day)


ZONES = ["Pacific/Kiritimati", "Etc/GMT+12", "Pacific/Auckland", "Europe/London", "America/New_York", "UTC"]
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31))  # noqa: DTZ001 some are sent without a zone


@given(
    MOMENTS,
    st.sampled_from([None, *ZONES]),
    st.sampled_from(ZONES),
    st.sampled_from(["", *ZONES]),
    st.integers(-4, 4),
)
def test_what_is_certain_of_a_day_without_the_organisation_is_true_in_every_organisation(
    naive: datetime, sent_in: str | None, zone: str, order_zone: str, apart: int
) -> None:
    sent = naive.replace(tzinfo=ZoneInfo(sent_in) if sent_in else None)
    day = naive.date() + timedelta(days=apart)
    certain = is_before(sent, day, order_zone)
    assert certain in (None, Calendar(zone, order_zone).day(sent) < day)
    if (sent_in is None and not order_zone) or abs(apart) > 2:
        assert certain is not None
