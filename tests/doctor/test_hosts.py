"""What the doctor says of the hosts of a shop together."""

import time

import pytest

from tests.hosts.reports import NOW_MS, a_report, heard
from tests.shops import TICKET_SECRET
from tigerfans.doctor.findings import Finding, Verdict
from tigerfans.doctor.hosts import find_hosts, judge_roster, processes_by_host
from tigerfans.hosts.roster import Hosts, Roster
from tigerfans.settings.settings import Settings, StoreSettings
from tigerfans.stores.database import Database
from tigerfans.stores.identity import IdentityRow
from tigerfans.stores.shop_redis import ShopRedis

SETTINGS = Settings(environment="production")
NOBODY_LISTENS = "redis://127.0.0.1:1/0"


def test_hosts_that_agree_are_good() -> None:
    findings = judge_roster(heard(a_report("a"), a_report("b", clerks=())), SETTINGS)
    assert findings == [
        Finding("hosts", "selling", Verdict.GOOD, "a, b"),
        Finding("hosts", "clerks", Verdict.GOOD, "a"),
    ]


def test_a_shop_without_a_clerk_is_worth_a_look_on_any_host() -> None:
    hosts = heard(a_report("a", clerks=()), a_report("b", clerks=()))
    _, clerk = judge_roster(hosts, SETTINGS)
    assert (clerk.subject, clerk.verdict, clerk.found) == (
        "clerk",
        Verdict.WARNING,
        "No clerk is running",
    )
    assert "mails, refunds and inquiries wait" in clerk.advice


def test_a_host_that_is_silent_is_worth_a_look_and_two_of_one_name_are_bad() -> None:
    sells = heard(a_report("a", has_rival=True)).hosts
    hosts = Hosts(NOW_MS, [*sells, *heard(a_report("b"), seconds_ago=90).hosts])
    _, _, rival, silent = judge_roster(hosts, SETTINGS)
    assert (rival.subject, rival.verdict) == ("name a", Verdict.BAD)
    assert (rival.found, rival.advice) == (
        "Two hosts call themselves a",
        "Set TIGERFANS_HOST_NAME on one of them.",
    )
    assert (silent.subject, silent.verdict) == ("host b", Verdict.WARNING)


def test_the_processes_of_the_other_hosts_are_counted_also_of_one_that_may_come_back() -> None:
    sells = heard(a_report("a"), a_report("b", workers=())).hosts
    hosts = Hosts(NOW_MS, [*sells, *heard(a_report("c"), seconds_ago=90).hosts])
    assert processes_by_host(hosts, Settings(host_name="a")) == [1, 3]
    assert processes_by_host(None, SETTINGS) == []


async def test_the_roster_is_found_by_the_database_whose_shop_it_is(
    database_url: str, redis_url: str
) -> None:
    stores = StoreSettings(database_url, redis_url)
    settings = Settings(stores=stores)
    # Nobody has opened the shop yet: the doctor's other checks say so.
    assert await find_hosts(settings) is None
    assert judge_roster(None, settings) == []
    database = await Database.connect(database_url)
    identity = await IdentityRow.claim(database, TICKET_SECRET)
    await database.close()
    redis = ShopRedis.connect(redis_url, identity.id.key_prefix)
    await Roster(redis).write(a_report("a", clock_ms=time.time_ns() // 1_000_000))
    await redis.close()
    finding, _ = judge_roster(await find_hosts(settings), settings)
    assert (finding.subject, finding.found) == ("selling", "a")


@pytest.mark.parametrize(
    "stores",
    [StoreSettings(), StoreSettings("postgresql://u@127.0.0.1:1/d", NOBODY_LISTENS)],
    ids=["none", "away"],
)
async def test_of_a_store_that_does_not_answer_others_tell(stores: StoreSettings) -> None:
    assert await find_hosts(Settings(stores=stores)) is None


@pytest.mark.parametrize("redis_url", [NOBODY_LISTENS, f"{NOBODY_LISTENS}?socket_timeout=x"])
async def test_nor_of_a_redis_that_does_not(database_url: str, redis_url: str) -> None:
    database = await Database.connect(database_url)
    await IdentityRow.claim(database, TICKET_SECRET)
    await database.close()
    assert await find_hosts(Settings(stores=StoreSettings(database_url, redis_url))) is None
