import os
import subprocess
import sys

from tests.harness.needs import needs_linux
from tigerfans.process.runtime import core_of


def cores_of(workers: int, cores: int) -> list[int | None]:
    return [core_of(number, workers, range(cores)) for number in range(1, workers + 1)]


def test_each_worker_has_a_core_of_its_own_where_there_are_enough() -> None:
    assert cores_of(2, 2) == [0, 1]
    assert cores_of(3, 4) == [0, 1, 2]


def test_few_workers_are_put_far_apart() -> None:
    assert cores_of(2, 8) == [0, 4]
    assert cores_of(4, 8) == [0, 2, 4, 6]


def test_as_many_workers_share_one_core_as_another() -> None:
    assert cores_of(4, 2) == [0, 0, 1, 1]


def test_workers_that_do_not_divide_evenly_are_left_to_the_kernel() -> None:
    assert cores_of(3, 2) == [None, None, None]


def test_only_cores_that_the_process_may_use_are_given() -> None:
    assert [core_of(number, 2, [5, 7]) for number in (1, 2)] == [5, 7]


def test_a_worker_beyond_the_number_that_is_set_shares_the_first_ones_core() -> None:
    assert core_of(3, 2, [0, 1]) == 0


@needs_linux
def test_a_worker_stays_on_its_core() -> None:
    code = (
        "import os; from tigerfans.process.runtime import stay_on_one_core;"
        "stay_on_one_core(1, 1); print(*os.sched_getaffinity(0))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert printed.split() == [str(min(os.sched_getaffinity(0)))]
