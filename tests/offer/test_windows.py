"""When a class is on sale."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.offers import on_sale
from tigerfans.offer.catalog import Catalog
from tigerfans.offer.show import moment_words
from tigerfans.offer.windows import SaleState

OPENS = datetime(2027, 1, 15, 10, tzinfo=UTC)
CLOSES = datetime(2027, 2, 1, tzinfo=UTC)


def test_a_class_is_on_sale_from_its_first_moment_on_and_before_its_last() -> None:
    ticket_class = Catalog.build(on_sale(OPENS, CLOSES)).classes[0]
    second = timedelta(seconds=1)
    states = [
        ticket_class.sale_state(moment.timestamp())
        for moment in (OPENS - second, OPENS, CLOSES - second, CLOSES)
    ]
    assert states == [SaleState.NOT_YET, SaleState.OPEN, SaleState.OPEN, SaleState.ENDED]


def test_a_class_without_a_window_is_on_sale_until_the_show_ends() -> None:
    ticket_class = Catalog.build(on_sale()).classes[0]
    assert ticket_class.sale_state(0.0) is SaleState.OPEN
    assert ticket_class.sale_state(datetime(2099, 7, 1, tzinfo=UTC).timestamp()) is SaleState.ENDED


def test_a_moment_names_its_zone_in_letters_or_by_its_offset() -> None:
    summer = datetime(2027, 6, 3, 9, 5, tzinfo=ZoneInfo("Europe/Berlin"))
    assert moment_words(summer) == "Thursday 3 June 2027, 09:05 CEST"
    far = datetime(2027, 6, 3, 9, 5, tzinfo=ZoneInfo("America/Sao_Paulo"))
    assert moment_words(far) == "Thursday 3 June 2027, 09:05 UTC−03:00"
