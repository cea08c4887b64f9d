"""The storm over the alarms, a quick form. A whole day of it: `python -m tests.storms P25`."""

from __future__ import annotations

import pytest

from tests.our_faults import Fault
from tests.storms.watched import FAULTS, day_of_xero, fault_told, template_alarms


def test_every_alarm_has_a_fault_of_its_own() -> None:
    assert template_alarms().keys() == FAULTS.keys()


@pytest.mark.parametrize("name", FAULTS)
def test_an_alarm_rings_within_five_minutes_of_its_own_fault_and_not_before(
    name: str, our_faults: list[Fault]
) -> None:
    outcome = fault_told(name)
    assert outcome.kept, outcome.bad
    our_faults.clear()  # some of them are what the alarm is about


def test_nothing_rings_while_xero_is_at_its_worst_and_nothing_of_ours_is_wrong() -> None:
    outcome = day_of_xero(orders=120, companies=6, hours=0.5)
    assert outcome.kept, outcome.bad
    assert outcome.faults > 20
