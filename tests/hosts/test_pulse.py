"""A pause is what somebody waited, and not what nobody asked."""

from tests.hosts.pulse import Pulse


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_while_nobody_asks_nobody_waits() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    with pulse.asked() as answered:
        clock.now += 1
        answered()
    clock.now += 60
    with pulse.asked() as answered:
        clock.now += 2
        answered()
    assert pulse.take() == 2


def test_who_got_no_answer_still_waits() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    with pulse.asked():
        clock.now += 1
    clock.now += 3
    assert pulse.take() == 4
    with pulse.asked() as answered:
        clock.now += 5
        answered()
    assert pulse.take() == 9
    assert pulse.take() == 0


def test_one_who_is_served_ends_the_pause_of_all() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    with pulse.asked(), pulse.asked() as answered:
        clock.now += 3
        answered()
        clock.now += 2
        answered()
    assert pulse.take() == 3
