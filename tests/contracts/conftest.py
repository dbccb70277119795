"""One deployed market for the whole run; each test begins from the same snapshot and must leave the books in order."""

from collections.abc import Iterator

import pytest

from tests.contracts.market import Market


@pytest.fixture(scope="session")
def deployed() -> tuple[Market, int]:
    market = Market()
    return market, market.tester.take_snapshot()


@pytest.fixture
def market(deployed: tuple[Market, int]) -> Iterator[Market]:
    market, snapshot = deployed
    market.tester.revert_to_snapshot(snapshot)
    yield market
    market.check_books()
