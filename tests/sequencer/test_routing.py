import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sequencer.records import transfer
from tigerfans.ledger.wire import u128
from tigerfans.sequencer.routing import RoutingError, cut_records, cut_results

requests = st.lists(st.lists(st.integers(1, 20), min_size=1, max_size=5), min_size=1, max_size=8)


@given(requests)
def test_each_request_gets_the_results_of_its_own_records(numbers: list[list[int]]) -> None:
    payloads = [b"".join(map(transfer, request)) for request in numbers]
    results = b"".join(u128(number) for request in numbers for number in request)
    assert cut_results(payloads, results) == [b"".join(map(u128, request)) for request in numbers]


@given(requests, st.sets(st.integers(1, 20)))
def test_each_request_gets_the_records_of_its_own_ids(
    numbers: list[list[int]], known: set[int]
) -> None:
    payloads = [b"".join(map(u128, request)) for request in numbers]
    found = [[transfer(number) for number in request if number in known] for request in numbers]
    records = b"".join(record for request in found for record in request)
    assert cut_records(payloads, records) == [b"".join(request) for request in found]


@pytest.mark.parametrize("size", [0, 16, 31, 33, 48])
def test_results_that_are_too_few_or_too_many_fit_nobody(size: int) -> None:
    with pytest.raises(RoutingError):
        cut_results([transfer(1), transfer(2)], bytes(size))


@pytest.mark.parametrize(
    "records", [transfer(3), transfer(2) + transfer(1), transfer(1) + bytes(1)]
)
def test_records_that_nobody_asked_for_fit_nobody(records: bytes) -> None:
    with pytest.raises(RoutingError):
        cut_records([u128(1), u128(2)], records)
