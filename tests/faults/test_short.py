"""The short form of `make faults`: one seed on each ledger, every kind of fault among them."""

from random import Random

import pytest

from tests.faults.plan import STRIPE, FaultKind, RunPlan
from tests.faults.run import run
from tests.harness.needs import TIGERBEETLE, needs_tigerbeetle

ORDERS = 150
RATE = 30.0
# Often enough that the whole deck is dealt while they come.
FAULT_SECONDS = 0.16
# So many that some of what is never told is still known to Redis in the end.
DISTURBED_PERCENT = 30.0
# By Stripe: its own faults, and those that need it when it may be away.
STRIPE_KINDS = (*STRIPE.faults, FaultKind.REFUND, FaultKind.MAIL_AWAY)
STRIPE_ORDERS = 60
# The run waits for its faults and for the shop to heal, and for no clock.
SECONDS_MAX = 600


@pytest.mark.timeout(SECONDS_MAX)
@pytest.mark.parametrize(
    ("ledger", "environment"),
    [
        ("embedded", {}),
        pytest.param(
            "tigerbeetle",
            {"TIGERBEETLE_BIN": str(TIGERBEETLE)},
            marks=needs_tigerbeetle,
        ),
    ],
)
async def test_nothing_is_lost_whatever_dies(ledger: str, environment: dict[str, str]) -> None:
    plan = RunPlan(
        seed=1,
        ledger=ledger,
        orders=ORDERS,
        rate=RATE,
        fault_seconds=FAULT_SECONDS,
        disturbed_percent=DISTURBED_PERCENT,
    )
    report = await run(plan, environment)
    assert report.is_clean, str(report)
    # It was a run, and not a shop that stood empty.
    assert report.audit.attempted == ORDERS
    assert report.audit.paid > 0
    assert report.audit.learned > 0
    assert report.audit.at_new_price > 0
    assert report.faults.total() == plan.fault_count
    assert set(report.faults) == {fault.kind for fault in plan.deck(Random())}


@pytest.mark.timeout(SECONDS_MAX)
async def test_provider_and_ledger_agree_to_the_cent_whatever_stripe_does() -> None:
    plan = RunPlan(
        seed=8,
        provider="stripe",
        orders=STRIPE_ORDERS,
        rate=RATE,
        fault_seconds=FAULT_SECONDS,
        disturbed_percent=DISTURBED_PERCENT,
        kinds=STRIPE_KINDS,
    )
    report = await run(plan, {})
    assert report.is_clean, str(report)
    assert report.audit.attempted == STRIPE_ORDERS
    assert report.audit.paid > 0
    assert report.audit.learned > 0
    assert report.audit.charged_cents > report.audit.given_back_cents > 0
    assert report.audit.cents_off == 0
    assert set(report.faults) == set(STRIPE_KINDS)
