"""`tigerfans cancel`: what it says of a show that is canceled, or is not."""

from datetime import UTC, datetime

import pytest

from tigerfans.office.cancel_command import told
from tigerfans.stores.show_cancellation import Cancellation, Progress

CANCELED = Cancellation(datetime(2027, 6, 1, 10, 0, tzinfo=UTC), "jo")
BY_JO = "Jazz in June was canceled by jo on 2027-06-01 10:00:00 UTC."


def test_a_show_that_is_not_canceled_says_what_to_type() -> None:
    assert told("Jazz in June", None, Progress(5, 0, 0)) == (
        "Jazz in June is not canceled. To cancel it for good: tigerfans cancel 'Jazz in June'"
    )


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress(0, 0, 0), "0 of 0 paid orders have their money back."),
        (Progress(1200, 7, 0), "7 of 1,200 paid orders have their money back. The clerk goes on."),
        (
            Progress(12, 7, 5),
            "7 of 12 paid orders have their money back. The clerk goes on. Of 5 the payment"
            " provider has not confirmed it yet: each is tried again.",
        ),
        (
            Progress(12, 11, 0, 1),
            "11 of 12 paid orders have their money back."
            " Of 1 a ticket was used at the door: that money stays.",
        ),
        (Progress(12, 12, 0), "12 of 12 paid orders have their money back."),
    ],
)
def test_a_canceled_show_says_how_far_its_refunds_are(progress: Progress, words: str) -> None:
    assert told("Jazz in June", CANCELED, progress) == f"{BY_JO} {words}"
