"""Mails on their way: from the outbox to a real mail server that takes them, refuses, hangs, hangs
up and is not there.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.harness.patience import until
from tests.harness.ports import free_port
from tests.mail.conftest import Certificate
from tests.mail.orders import PAID_AT, SECRET, door_code, paid_order, unfulfilled_order
from tests.mail.servers import HANG, HANG_UP, MailServer
from tests.offers import catalog_with
from tigerfans.mail import delivery, sending
from tigerfans.mail.delivery import FolderDelivery, OpenDelivery, SmtpDelivery
from tigerfans.mail.sending import Sender
from tigerfans.mail.writing import Writer
from tigerfans.settings.smtp_url import read_smtp_url
from tigerfans.stores.database import Database
from tigerfans.stores.mails import LEASE_SECONDS, MailCounts, MailKey, MailKind, Mails
from tigerfans.stores.orders import Order, Orders
from tigerfans.stores.ticket_refunds import TicketRefunds
from tigerfans.stores.token_bucket import Rate, TokenBucket
from tigerfans.telemetry.mails import MailCounters, MailEnd

PER_SECOND = 100

MakeSender = Callable[..., Sender]


@pytest.fixture
async def orders(database_url: str) -> AsyncIterator[Orders]:
    database = await Database.connect(database_url)
    orders = Orders(database)
    yield orders
    await orders.close()
    await database.close()


@pytest.fixture
def mails(orders: Orders) -> Mails:
    return Mails(orders.database)


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    server = MailServer(free_port())
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def make_sender(
    orders: Orders, mails: Mails, server: MailServer
) -> AsyncIterator[MakeSender]:
    made: list[Sender] = []

    def make(
        url: str = "",
        context: ssl.SSLContext | None = None,
        open_delivery: OpenDelivery | None = None,
    ) -> Sender:
        named = read_smtp_url(url or f"smtp://127.0.0.1:{server.port}", is_near=True)
        sender = Sender(
            mails,
            orders,
            Writer(catalog_with({}), SECRET, door_code, sender="tickets@example.org"),
            open_delivery or (lambda: SmtpDelivery(named, "shop.test", context)),
            TokenBucket(Rate(PER_SECOND, PER_SECOND)),
            per_second=PER_SECOND,
            counters=MailCounters(),
        )
        made.append(sender)
        return sender

    yield make
    for sender in made:
        await sender.close()


@pytest.fixture
def sender(make_sender: MakeSender) -> Sender:
    return make_sender()


async def record(orders: Orders, *several: Order) -> None:
    await asyncio.gather(*(orders.record(order) for order in several))


async def pass_time(database: Database, seconds: float) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE mails SET next_attempt_at = next_attempt_at - $1::interval",
            timedelta(seconds=seconds),
        )


def a_key(order: Order) -> MailKey:
    return MailKey(order.id, MailKind.TICKETS)


# --- All is well -------------------------------------------------------------------------------


async def test_each_order_has_one_mail_in_the_servers_hands(
    orders: Orders, sender: Sender, server: MailServer, mails: Mails
) -> None:
    paid = [paid_order(qty, email=f"fan{qty}@example.org") for qty in (1, 2, 3, 4)]
    due = unfulfilled_order()
    await record(orders, *paid, due)
    assert not await sender.send_due()
    assert not await sender.send_due()
    sent = {each.recipients[0]: each for each in server.received}
    assert len(server.received) == len(sent) == 5
    for order in paid:
        assert all(code in sent[order.email].text for code in order.ticket_codes)
    assert "all of your money back" in sent[due.email].text
    assert {each.sender for each in server.received} == {"tickets@example.org"}
    assert await mails.counts() == MailCounts(0, 0, 0)


async def test_two_clerks_send_each_mail_once(
    orders: Orders, make_sender: MakeSender, server: MailServer
) -> None:
    several = [paid_order(email=f"fan{number}@example.org") for number in range(30)]
    await record(orders, *several)
    await asyncio.gather(*(make_sender().send_due() for _ in range(2)))
    recipients = [each.recipients[0] for each in server.received]
    assert sorted(recipients) == sorted(order.email for order in several)


async def test_a_connection_is_kept_for_the_next_mails_and_ended_when_there_are_none(
    orders: Orders, sender: Sender, server: MailServer
) -> None:
    await record(orders, *(paid_order() for _ in range(20)))
    await sender.send_due()
    await record(orders, *(paid_order() for _ in range(20)))
    await sender.send_due()
    assert len(server.received) == 40
    assert server.connections <= sending.DELIVERIES_MAX
    await sender.send_due()
    await record(orders, paid_order())
    await sender.send_due()
    assert len(server.received) == 41


async def test_a_connection_is_made_anew_after_so_many_mails(
    orders: Orders, sender: Sender, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "MAILS_PER_CONNECTION_MAX", 2)
    await record(orders, *(paid_order() for _ in range(20)))
    await sender.send_due()
    assert len(server.received) == 20
    assert server.connections >= 10


async def test_a_mail_that_was_sent_and_not_marked_is_sent_again_as_the_same_mail(
    orders: Orders, make_sender: MakeSender, server: MailServer, mails: Mails
) -> None:
    await record(orders, paid_order())

    class DiesError(Exception):
        pass

    async def die(key: MailKey, address: str) -> None:
        raise DiesError

    dying = make_sender()
    marked, mails.sent = mails.sent, die  # type: ignore[method-assign]
    with pytest.raises(DiesError):
        await dying.send_due()
    mails.sent = marked  # type: ignore[method-assign]
    await pass_time(orders.database, LEASE_SECONDS)
    await make_sender().send_due()
    first, again = server.received
    assert first.message["message-id"] == again.message["message-id"]
    assert first.content == again.content


async def test_who_got_money_back_hears_how_much_and_for_which_tickets(
    orders: Orders, sender: Sender, server: MailServer
) -> None:
    order = paid_order(3)
    await record(orders, order)
    await sender.send_due()
    refunds = TicketRefunds(orders.database)
    await refunds.ask(order.id, [1, 2], "office")
    await refunds.taken_back(order.id, {1: PAID_AT, 2: PAID_AT}, {})
    await refunds.given_back(order.id, 1)
    await sender.send_due()
    told = server.received[-1].text
    assert "€130.00" in told
    assert [code in told for code in order.ticket_codes] == [False, True, True]


async def test_a_mail_that_a_refund_has_overtaken_is_dropped_and_nobody_has_to_see_to_it(
    orders: Orders, sender: Sender, server: MailServer, mails: Mails
) -> None:
    order = paid_order(1)
    await record(orders, order)
    refunds = TicketRefunds(orders.database)
    await refunds.ask(order.id, [0], "office")
    await refunds.taken_back(order.id, {0: PAID_AT}, {})
    await sender.send_due()
    assert not server.received
    assert await mails.counts() == MailCounts(0, 0, 0)
    await refunds.given_back(order.id, 0)
    await sender.send_due()
    (told,) = server.received
    assert order.ticket_codes[0] in told.text


# --- A server that does not take them ----------------------------------------------------------


@pytest.mark.parametrize("command", ["to_rcpt", "to_data"])
@pytest.mark.parametrize(
    ("answer", "counts", "end"),
    [
        ("550 5.1.1 no such user", MailCounts(0, 0, 1), MailEnd.GIVEN_UP),
        ("451 4.7.1 greylisted", MailCounts(1, 1, 0), MailEnd.FAILED),
    ],
)
async def test_a_recipient_or_a_message_that_is_refused_for_good_is_given_up_and_else_tried_again(
    orders: Orders,
    make_sender: MakeSender,
    server: MailServer,
    mails: Mails,
    command: str,
    answer: str,
    counts: MailCounts,
    end: MailEnd,
) -> None:
    order = paid_order()
    await record(orders, order)
    getattr(server, command).append(answer)
    sender = make_sender()
    await sender.send_due()
    assert await mails.counts() == counts
    [stored] = await mails.of(order.id)
    assert (stored.attempts, stored.last_error) == (1, answer)
    assert server.received == []
    # Whoever comes next on the same connection is served.
    await record(orders, paid_order())
    await sender.send_due()
    assert len(server.received) == 1
    await pass_time(orders.database, 100)
    await sender.send_due()
    assert len(server.received) == (1 if end is MailEnd.GIVEN_UP else 2)


@pytest.mark.parametrize("command", ["to_mail", "to_rcpt", "to_data"])
@pytest.mark.parametrize("answer", [HANG, HANG_UP, "421 4.3.2 closing"])
async def test_a_server_that_hangs_or_hangs_up_anywhere_is_tried_again_after_a_pause(
    orders: Orders,
    sender: Sender,
    server: MailServer,
    mails: Mails,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    answer: str,
) -> None:
    monkeypatch.setattr(delivery, "STEP_SECONDS_MAX", 0.2)
    monkeypatch.setattr(sending, "TROUBLE_SECONDS_MIN", 0.1)
    order = paid_order()
    await record(orders, order)
    getattr(server, command).append(answer)
    await sender.send_due()
    assert await mails.counts() == MailCounts(1, 1, 0)
    monkeypatch.setattr(delivery, "STEP_SECONDS_MAX", 15)
    await pass_time(orders.database, 100)

    async def arrives() -> bool:
        await sender.send_due()
        return bool(server.received)

    await until(arrives)
    assert [each.recipients for each in server.received] == [[order.email]]
    assert await mails.counts() == MailCounts(0, 0, 0)


async def test_a_server_that_is_not_there_costs_few_mails_an_attempt_and_none_is_lost(
    orders: Orders,
    sender: Sender,
    server: MailServer,
    mails: Mails,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "TROUBLE_SECONDS_MIN", 0.1)
    await server.stop()
    await record(orders, *(paid_order(email=f"fan{n}@example.org") for n in range(40)))
    assert not await sender.send_due()
    waiting, failing, given_up = await mails.counts()
    assert (waiting, given_up) == (40, 0)
    assert 1 <= failing <= sending.DELIVERIES_MAX
    await server.start()

    async def all_arrived() -> bool:
        await sender.send_due()
        await pass_time(orders.database, 100)
        return len(server.received) == 40

    await until(all_arrived)
    assert len({each.recipients[0] for each in server.received}) == 40


async def test_a_sender_that_is_refused_is_the_servers_trouble_and_given_up_by_nobody(
    orders: Orders, sender: Sender, server: MailServer, mails: Mails
) -> None:
    await record(orders, paid_order())
    server.to_mail.append("550 you may not send from here")
    await sender.send_due()
    assert await mails.counts() == MailCounts(1, 1, 0)


async def test_a_mail_that_cannot_be_written_keeps_no_other_waiting_and_no_address_is_logged(
    orders: Orders,
    sender: Sender,
    server: MailServer,
    mails: Mails,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken, other = paid_order(email="fan\nBcc: all@example.org"), paid_order()
    await record(orders, broken, other)
    await sender.send_due()
    assert [each.recipients for each in server.received] == [[other.email]]
    [stored] = await mails.of(broken.id)
    assert (stored.last_error, stored.attempts) == ("It cannot be written: ValueError.", 1)
    assert broken.id.short in caplog.text
    assert "example.org" not in caplog.text


async def test_an_order_that_has_lost_its_email_is_given_up_with_the_reason(
    orders: Orders, sender: Sender, mails: Mails
) -> None:
    order = paid_order(email="")
    await record(orders, order)
    await sender.send_due()
    [stored] = await mails.of(order.id)
    assert (stored.gave_up_at is not None, stored.last_error) == (
        True,
        "The order has no email address.",
    )


async def test_a_server_without_international_addresses_refuses_one_and_takes_the_others(
    orders: Orders, sender: Sender, server: MailServer, mails: Mails
) -> None:
    server.is_international = False
    await record(
        orders, paid_order(email="jörg@bücher.example"), paid_order(email="a@bücher.example")
    )
    await sender.send_due()
    assert [each.recipients for each in server.received] == [["a@xn--bcher-kva.example"]]
    assert await mails.counts() == MailCounts(0, 0, 1)


async def test_an_international_address_is_taken_by_a_server_that_knows_of_them(
    orders: Orders, sender: Sender, server: MailServer
) -> None:
    await record(orders, paid_order(email="jörg@bücher.example"))
    await sender.send_due()
    [received] = server.received
    assert received.recipients == ["jörg@xn--bcher-kva.example"]
    assert received.message["to"] == "jörg@xn--bcher-kva.example"


# --- Login and TLS -----------------------------------------------------------------------------


async def test_a_server_is_logged_in_to_where_it_wants_that(
    orders: Orders, make_sender: MakeSender, server: MailServer
) -> None:
    server.password = "p@ss:w/rd"
    await record(orders, paid_order())
    await make_sender(f"smtp://user:p%40ss%3Aw%2Frd@127.0.0.1:{server.port}").send_due()
    assert len(server.received) == 1
    assert server.logins == [("user", "p@ss:w/rd")]


async def test_a_wrong_password_is_the_servers_trouble_and_is_not_repeated_in_what_is_said(
    orders: Orders,
    make_sender: MakeSender,
    server: MailServer,
    mails: Mails,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.password = "right"
    order = paid_order()
    await record(orders, order)
    await make_sender(f"smtp://user:wrong-one@127.0.0.1:{server.port}").send_due()
    [stored] = await mails.of(order.id)
    assert stored.last_error.startswith("535")
    assert stored.gave_up_at is None
    assert "wrong-one" not in stored.last_error + caplog.text
    assert order.email not in caplog.text


@pytest.mark.parametrize("starts_tls", [True, False])
async def test_mails_go_by_tls(
    orders: Orders,
    make_sender: MakeSender,
    server: MailServer,
    certificate: Certificate,
    starts_tls: bool,
) -> None:
    await server.stop()
    server.context, server.starts_tls = certificate.of_server, starts_tls
    await server.start()
    url = "smtp://localhost:{}?starttls=required" if starts_tls else "smtps://localhost:{}"
    await record(orders, paid_order())
    await make_sender(url.format(server.port), certificate.of_client).send_due()
    assert (len(server.received), server.by_tls) == (1, 1)


async def test_no_mail_goes_to_a_server_whose_certificate_is_not_its_own(
    orders: Orders,
    make_sender: MakeSender,
    server: MailServer,
    mails: Mails,
    certificate: Certificate,
) -> None:
    await server.stop()
    server.context = certificate.of_server
    await server.start()
    await record(orders, paid_order())
    await make_sender(f"smtps://localhost:{server.port}", ssl.create_default_context()).send_due()
    assert server.received == []
    assert await mails.counts() == MailCounts(1, 1, 0)


async def test_no_password_goes_to_a_server_that_offers_no_tls_where_it_has_to(
    orders: Orders, make_sender: MakeSender, server: MailServer
) -> None:
    server.password = "secret"
    await record(orders, paid_order())
    url = f"smtp://user:secret@127.0.0.1:{server.port}?starttls=required"
    await make_sender(url).send_due()
    assert (server.received, server.logins) == ([], [])


# --- Files -------------------------------------------------------------------------------------


async def test_without_a_server_mails_are_files_for_their_owner_and_the_newest_stay(
    orders: Orders, make_sender: MakeSender, mails: Mails, tmp_path: Path
) -> None:
    folder = FolderDelivery(tmp_path / "mail", files_max=3)
    # Sent side by side: so many that two threads would meet.
    several = [paid_order() for _ in range(30)]
    await record(orders, *several)
    sender = make_sender(open_delivery=lambda: folder)
    await sender.send_due()
    files = list((tmp_path / "mail").iterdir())
    assert len(files) == 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert {file.name.partition("-")[0] for file in files} <= {o.id.hex_digits for o in several}
    assert await mails.counts() == MailCounts(0, 0, 0)


# --- Rates and numbers -------------------------------------------------------------------------


async def test_what_a_round_cannot_send_in_its_time_is_put_back_for_the_next(
    orders: Orders, sender: Sender, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "ROUND_SECONDS_MAX", 0.0)
    await record(orders, paid_order())
    await sender.send_due()
    assert server.received == []
    monkeypatch.setattr(sending, "ROUND_SECONDS_MAX", 20.0)
    await sender.send_due()
    assert len(server.received) == 1


async def test_attempts_and_the_outbox_are_counted(
    orders: Orders, make_sender: MakeSender, server: MailServer
) -> None:
    sender = make_sender()
    await record(orders, *(paid_order() for _ in range(3)))
    server.to_rcpt += ["550 no", "450 later"]
    await sender.send_due()
    await sender.count_waiting()
    families = {family["name"]: family for family in sender.counters.families()}
    ends = families["tigerfans_mails_total"]["samples"]
    assert {s["labels"][0]: s["value"] for s in ends} == {"sent": 1, "failed": 1, "given_up": 1}
    outbox = families["tigerfans_mails_outbox"]["samples"]
    assert {s["labels"][0]: s["value"] for s in outbox} == {
        "waiting": 1,
        "failing": 1,
        "given_up": 1,
    }
