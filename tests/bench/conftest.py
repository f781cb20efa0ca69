from collections.abc import AsyncIterator

import pytest

from bench.http_client import Address
from tests.bench.fake_shop import FakeShop, fake_shop


@pytest.fixture
async def shop() -> AsyncIterator[FakeShop]:
    async with fake_shop() as shop:
        yield shop


@pytest.fixture
def address(shop: FakeShop) -> Address:
    return Address("127.0.0.1", shop.port)
