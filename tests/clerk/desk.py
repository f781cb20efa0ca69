"""A desk for a clerk's duties, over a shop of the test's own."""

from contextlib import AsyncExitStack
from typing import cast

from tigerfans.assembly import Opened
from tigerfans.clerk.duties import Desk
from tigerfans.ipc.client import SequencerClient
from tigerfans.payments.mockpay import MockPay
from tigerfans.settings.settings import Settings
from tigerfans.shop.shop import Shop


def desk_of(shop: Shop) -> Desk:
    """No duty talks to the sequencer but by the shop, so that is the shop's ledger, or none."""
    mockpay = shop.provider if isinstance(shop.provider, MockPay) else None
    opened = Opened(shop, mockpay, cast(SequencerClient, shop.ledger))
    return Desk(Settings(), opened, AsyncExitStack())
