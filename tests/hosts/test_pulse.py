"""A pause is what somebody waited, and not what nobody asked."""

import pytest

from tests.hosts.pulse import Pulse


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_while_nobody_asks_nobody_waits(clock: Clock) -> None:
    pulse = Pulse(clock)
    pulse.ask(b"one")
    clock.now += 1
    pulse.serve(b"one")
    clock.now += 60
    pulse.ask(b"two")
    clock.now += 2
    pulse.serve(b"two")
    assert pulse.take() == 2
    assert pulse.take() == 0


def test_who_was_not_served_waits_until_somebody_is(clock: Clock) -> None:
    pulse = Pulse(clock)
    pulse.ask(b"one")
    clock.now += 3
    assert pulse.take() == 3
    # Again, after a 503.
    pulse.ask(b"one")
    clock.now += 2
    pulse.serve(b"one")
    assert pulse.take() == 5


def test_one_who_is_served_ends_the_pause_of_all(clock: Clock) -> None:
    pulse = Pulse(clock)
    pulse.ask(b"one")
    pulse.ask(b"two")
    clock.now += 3
    pulse.serve(b"two")
    clock.now += 2
    pulse.serve(b"one")
    assert pulse.take() == 3


def test_who_is_told_sold_out_waits_no_more(clock: Clock) -> None:
    pulse = Pulse(clock)
    pulse.ask(b"one")
    clock.now += 1
    pulse.leave(b"one")
    clock.now += 60
    assert pulse.take() == 0
    pulse.ask(b"two")
    pulse.ask(b"three")
    clock.now += 4
    pulse.leave(b"two")
    clock.now += 1
    pulse.serve(b"three")
    assert pulse.take() == 5
