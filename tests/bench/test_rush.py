"""What a rush comes to, from what its buyers met."""

import asyncio
from argparse import Namespace
from collections import Counter

import orjson
import pytest

from bench.http_client import Address, Response
from bench.purchase import ON_HOLD, SOLD_OUT
from bench.rush import HELD, Rush, Spent, cpu_us, main, offered_again, outcome_of
from tests.bench.fake_shop import ORDER, Answer, FakeShop


def refused(state: str) -> bytes:
    return orjson.dumps({"detail": "None.", "state": state})


def test_an_answer_is_read_by_its_state() -> None:
    assert outcome_of(Response(200, b"", b"{}")) == HELD
    assert outcome_of(Response(409, b"", refused("on_hold"))) == ON_HOLD
    assert outcome_of(Response(409, b"", refused("sold_out"))) == SOLD_OUT
    assert outcome_of(Response(409, b"", refused("too_few"))) == "error: 409"
    assert outcome_of(Response(503, b"", b"{}")) == "error: 503"


def test_what_came_back_first_is_held_again_first() -> None:
    held = [1.0, 2.0, 9.0, 7.0]
    assert offered_again([6.5, 5.0], held, tickets=2) == [2.0, 2.5]
    # A hold may be placed before the shop has said that there is something.
    assert offered_again([7.5], held, tickets=2) == [0.0]
    assert offered_again([1.0, 2.0], held, tickets=4) == []


def test_cpu_is_for_each_answer_by_kind_of_process() -> None:
    before = Spent(0.0, {"client": 1.0, "workers": 2.0})
    after = Spent(1.0, {"client": 1.5, "workers": 2.25})
    assert cpu_us(before, after, 1000) == {"client": 500, "workers": 250}


async def test_each_buyer_comes_over_a_connection_of_its_own_and_again_when_told(
    shop: FakeShop, address: Address
) -> None:
    on_hold = Answer(409, refused("on_hold"), "retry-after: 0\r\n")
    shop.answers("/api/checkout", on_hold, on_hold, Answer(body=orjson.dumps(ORDER)))
    shop.answers("/payments/webhook", Answer())
    options = Namespace(
        buyers=2, tickets=1, seconds=0.001, visits=2, canceled=0.0, hold_seconds=300, seed=0
    )
    rush = Rush(address, "secret", options)
    await rush.come()
    assert [answer.outcome for answer in rush.answers] == [ON_HOLD, ON_HOLD, HELD, HELD]
    keys = Counter(request.headers["idempotency-key"] for request in shop.requests)
    assert sorted(keys.values()) == [2, 2]
    assert rush.crowd.open_max == len(rush.connect_seconds) == 2
    assert rush.all_held.is_set()
    await rush.pay()
    assert len(rush.paid_seconds) == 2
    rush.close()
    while rush.crowd.open:  # noqa: ASYNC110
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "options", [["--buyers=0"], ["--tickets=30000"], ["--canceled=2"], ["--visits=99"]]
)
def test_what_cannot_be_measured_is_a_sentence(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(options)
    assert "--" in capsys.readouterr().err.splitlines()[-1]
