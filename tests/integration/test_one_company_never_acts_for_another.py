"""One company's tokens never open another's books, however many are at work in one process."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from moto import mock_aws

from bookkeeping.adapters.xero_api import Access
from bookkeeping.domain.errors import AccessRefused, Throttled
from bookkeeping.domain.pacing import Limits
from tests.integration.one_process import OneProcess, in_memory

COMPANIES, THREADS, CALLS = 50, 20, 10_000


@pytest.fixture
def companies() -> Iterator[tuple[OneProcess, dict[str, Access]]]:
    """Companies with an app and an organisation each, and the access that posting would take for them."""
    with mock_aws():
        world = OneProcess(tables=in_memory)
        for place in range(COMPANIES):
            name = f"Books {place}"
            world.xero.add_organisation({"country": "UK", "name": name, "users": ["ada@example.com"]})
            world.company(str(600_000 + place), world.organisation(name))
        yield world, {str(600_000 + place): access(world, str(600_000 + place)) for place in range(COMPANIES)}


def access(world: OneProcess, company: str) -> Access:
    connection = world.connections.connection(company)
    tokens = world.posting.tokens.read(company)
    assert connection is not None
    assert tokens is not None
    return Access(connection.organisation_id, tokens.access_token)


def ignore(_: Limits) -> None:
    """Nobody paces here."""


def test_ten_thousand_calls_of_fifty_companies_each_reach_their_own_books(
    companies: tuple[OneProcess, dict[str, Access]],
) -> None:
    world, accesses = companies
    xero = world.posting.xero

    def work(seed: int) -> Counter[str]:
        chance, seen = random.Random(seed), Counter[str]()
        for _ in range(CALLS // THREADS):
            company = chance.choice(sorted(accesses))
            try:
                answer = xero.read("Organisation", accesses[company], ignore)
            except Throttled:
                seen["throttled"] += 1
                world.clock.advance(1)
                continue
            own = answer["Organisations"][0]["OrganisationID"] == accesses[company].organisation_id
            seen["own" if own else "of another"] += 1
        return seen

    with ThreadPoolExecutor(THREADS) as threads:
        seen = sum(threads.map(work, range(THREADS)), Counter[str]())
    assert seen["of another"] == 0
    assert seen["own"] > CALLS / 2
    assert sum(seen.values()) == CALLS
    assert world.xero.log.tenant_mismatches == 0


def test_a_token_with_another_companys_organisation_is_refused_and_seen(
    companies: tuple[OneProcess, dict[str, Access]],
) -> None:
    world, accesses = companies
    one, other = list(accesses.values())[:2]
    with pytest.raises(AccessRefused):
        world.posting.xero.read("Organisation", Access(other.organisation_id, one.token), ignore)
    assert world.xero.log.tenant_mismatches == 1
