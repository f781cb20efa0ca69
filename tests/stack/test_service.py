from tigerfans.stack import programs
from tigerfans.stack.process import END_TIMEOUT_S
from tigerfans.stack.service import (
    RESTART_PAUSE_MAX_S,
    RESTART_PAUSE_MIN_S,
    RESTARTS_MAX,
    RESTARTS_WINDOW_S,
    RestartBudget,
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_pause_doubles_with_each_restart_up_to_a_limit() -> None:
    budget = RestartBudget(Clock())
    pauses = [budget.take() for _ in range(RESTARTS_MAX)]
    assert pauses[:3] == [RESTART_PAUSE_MIN_S, 2 * RESTART_PAUSE_MIN_S, 4 * RESTART_PAUSE_MIN_S]
    assert pauses[-1] == RESTART_PAUSE_MAX_S


def test_too_many_restarts_within_the_window_are_refused() -> None:
    budget = RestartBudget(Clock())
    for _ in range(RESTARTS_MAX):
        assert budget.take() is not None
    assert budget.take() is None


def test_restarts_before_the_window_are_forgiven() -> None:
    clock = Clock()
    budget = RestartBudget(clock)
    for _ in range(RESTARTS_MAX):
        budget.take()
    clock.now = RESTARTS_WINDOW_S
    assert budget.take() == RESTART_PAUSE_MIN_S


def test_a_process_that_dies_now_and_then_is_always_started_again() -> None:
    clock = Clock()
    budget = RestartBudget(clock)
    for _ in range(10 * RESTARTS_MAX):
        clock.now += RESTARTS_WINDOW_S / RESTARTS_MAX
        assert budget.take() is not None


def test_all_together_are_gone_in_ten_seconds_whatever_does_not_stop() -> None:
    one_after_the_other = (
        programs.WORKER_STOP_TIMEOUT_S,
        programs.SEQUENCER_STOP_TIMEOUT_S,
        programs.TIGERBEETLE_STOP_TIMEOUT_S,
        programs.REDIS_STOP_TIMEOUT_S,
        programs.POSTGRES_STOP_TIMEOUT_S,
        END_TIMEOUT_S,
    )
    assert sum(one_after_the_other) < 10
