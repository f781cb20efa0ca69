"""What workers of the release before have sold is looked for while they may still sell."""

from datetime import UTC, datetime

import pytest

from tigerfans.mail import upgrading
from tigerfans.mail.upgrading import FIRST_LOOK, OVERLAP, Latecomers
from tigerfans.stores.orders import Orders

NOW = datetime(2026, 11, 28, 12, 0, 0, 0, UTC)


class Asked(Orders):
    """Remembers since when it was asked to queue mails."""

    def __init__(self) -> None:
        self.since: list[datetime] = []

    async def queue_missing_mails(self, since: datetime) -> datetime:
        self.since.append(since)
        return NOW


async def test_the_first_look_is_a_day_back_and_each_later_one_begins_before_the_last_ended() -> (
    None
):
    orders = Asked()
    latecomers = Latecomers(orders)
    for _ in range(3):
        assert not await latecomers.queue()
    first, *later = orders.since
    assert datetime.now(UTC) - first >= FIRST_LOOK
    assert later == [NOW - OVERLAP] * 2


async def test_once_an_upgrade_must_be_over_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrading, "UPGRADE_SECONDS_MAX", 0.0)
    orders = Asked()
    assert not await Latecomers(orders).queue()
    assert orders.since == []
