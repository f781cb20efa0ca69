import pytest

from bench.errors import BenchError
from bench.model import BUSY, FULL, Costs, Prediction, describe
from tests.bench.results import failed, measurement

CPU = {"client": 9.0, "worker-1": 0.3, "worker-2": 0.3, "sequencer": 0.1, "postgres": 0.1}


def costs(**changes: float) -> Costs:
    """600 µs of workers, 100 of the sequencer and of PostgreSQL, for one purchase."""
    row = measurement(workers=2, ok=1000, cpu_seconds=CPU | changes)
    return Costs.measured([row])


def test_the_load_generator_is_no_part_of_the_shop() -> None:
    assert costs().by_process == pytest.approx(
        {"workers": 600.0, "sequencer": 100.0, "postgres": 100.0}
    )


def test_few_cores_are_the_limit_where_they_are_few() -> None:
    prediction = Prediction.of(2, costs())
    assert prediction.limit == "cores"
    assert prediction.rate == pytest.approx(BUSY * 2 * 1e6 / 800)
    assert sum(prediction.busy_cores.values()) == pytest.approx(BUSY * 2)


def test_with_many_cores_what_has_one_thread_is_the_limit() -> None:
    prediction = Prediction.of(64, costs())
    assert prediction.limit == "sequencer"
    assert prediction.rate == pytest.approx(FULL * 1e6 / 100)
    assert Prediction.of(64, costs(redis=0.2)).limit == "redis"


def test_hosts_share_workers_and_sequencers_but_not_the_ledger_and_the_stores() -> None:
    replicas = {"replica-1": 0.02, "replica-2": 0.05, "replica-3": 0.02, "redis": 0.04}
    shared = costs(**replicas)
    assert shared.of_busiest_host(4) == pytest.approx(
        {"workers": 150.0, "sequencer": 25.0, "postgres": 100.0, "replica-2": 50.0, "redis": 40.0}
    )
    assert Prediction.of(64, shared, 1).limit == "sequencer"
    # The primary's thread is everybody's.
    assert Prediction.of(64, shared, 4).limit == "replica-2"
    assert "cores of each of 4 hosts" in describe(shared, 4)


def test_processes_that_spread_are_no_limit() -> None:
    assert Prediction.of(64, costs(postgres=5.0)).limit != "postgres"


def test_the_configuration_that_sold_most_is_the_one_that_counts() -> None:
    rows = [
        measurement(workers=1, throughput=500.0),
        measurement(workers=2, throughput=900.0),
        measurement("checkout", workers=4, throughput=9000.0),
        failed(workers=8),
    ]
    assert Costs.measured(rows).source.workers == 2


def test_what_was_measured_and_what_was_computed_is_said() -> None:
    text = describe(costs())
    assert text.startswith("Measured (2 cores, a processor")
    assert "Computed: one sequencer at 80% of its core feeds 4.8 cores of workers" in text
    assert "| 64 | 8,000 | sequencer |" in text


def test_without_purchases_there_is_no_model() -> None:
    with pytest.raises(BenchError, match="no whole purchases"):
        Costs.measured([measurement("checkout"), failed()])
