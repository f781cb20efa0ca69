"""What mails say, as their readers get it: parsed by `email`, read as plain text, seen as HTML."""

import io
import re
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.mail.orders import PAID_AT, SECRET, door_code, paid_order, unfulfilled_order
from tests.offers import OFFER, SHOW
from tigerfans.booking.tickets import qr_png
from tigerfans.mail.writing import GivenBack, Letter, NotWrittenError, OvertakenError, Writer
from tigerfans.offer.catalog import Catalog
from tigerfans.offer.offer import Logo, Offer
from tigerfans.stores.mails import MailKey, MailKind
from tigerfans.stores.orders import Order

CREATED_AT = datetime(2026, 11, 22, 12, 1, 5, tzinfo=UTC)
URL = "https://tickets.example.org"
KINDS = (MailKind.TICKETS, MailKind.AGAIN, MailKind.REFUND_DUE, MailKind.REFUNDED)


def a_writer(offer: Offer = OFFER, **changes: Any) -> Writer:
    settings: dict[str, Any] = {"sender": "tickets@example.org", "public_url": URL}
    catalog = Catalog.build(offer, {"A": 10, "B": 10})
    return Writer(catalog, SECRET, door_code, **settings | changes)


def write(
    order: Order,
    kind: MailKind = MailKind.TICKETS,
    writer: Writer | None = None,
    given_back: GivenBack | None = None,
    number: int = 0,
) -> Letter:
    key = MailKey(order.id, kind, number)
    return (writer or a_writer()).write(key, order, CREATED_AT, given_back)


def order_for(kind: MailKind, **changes: Any) -> Order:
    tells_of_tickets = kind in (MailKind.TICKETS, MailKind.AGAIN)
    return paid_order(**changes) if tells_of_tickets else unfulfilled_order(**changes)


def parsed(letter: Letter) -> EmailMessage:
    return message_from_bytes(letter.content, policy=policy.default)


def text_of(letter: Letter) -> str:
    body = parsed(letter).get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def html_of(letter: Letter) -> str:
    body = parsed(letter).get_body(("html",))
    assert body is not None
    return str(body.get_content())


def files_of(letter: Letter) -> dict[str, EmailMessage]:
    return {str(part.get_filename()): part for part in parsed(letter).iter_attachments()}


# --- The tickets -------------------------------------------------------------------------------


def test_the_plain_text_stands_alone() -> None:
    order = paid_order(2, got_goodie=True)
    text = text_of(write(order, writer=a_writer(links={"Contact": "mailto:hello@example.org"})))
    for needed in (
        *order.ticket_codes,
        "Night of the Whales",
        "Friday 19 June 2099, 20:00 CEST",
        "Harbour Dome, Lübeck",
        "Premium",
        "€130.00 on Sunday 22 November 2026, 13:01 CET",
        "Paper whale",
        f"{URL}/demo/success?order_id={order.id.hex_digits}",
        "hello@example.org",
    ):
        assert needed in text
    assert "<" not in text
    assert "None" not in text


@pytest.mark.parametrize("qty", [1, 3])
def test_each_ticket_has_its_qr_code_within_the_html_and_attached(qty: int) -> None:
    order = paid_order(qty)
    letter = write(order)
    html = html_of(letter)
    shown = re.findall(r'src="cid:([^"]+)"', html)
    related = {
        str(part["content-id"]).strip("<>"): part.get_content()
        for part in parsed(letter).walk()
        if part.get_content_disposition() == "inline"
    }
    files = files_of(letter)
    for number, code in enumerate(order.ticket_codes, start=1):
        picture = qr_png(door_code(order, number - 1))
        assert related[f"ticket-{number}"] == files[f"{code}.png"].get_content() == picture
        assert f"QR code of ticket {code}" in html
    assert shown == list(related)
    assert len(files) == qty + 1


def test_the_calendars_entry_is_attached_as_a_calendar_reads_it() -> None:
    order = paid_order(2)
    entry = files_of(write(order))["show.ics"]
    assert entry.get_content_type() == "text/calendar"
    content = entry.get_payload(decode=True)
    assert isinstance(content, bytes)
    assert content.startswith(b"BEGIN:VCALENDAR\r\n")
    unfolded = content.decode().replace("\r\n ", "")
    assert all(code in unfolded for code in order.ticket_codes)
    assert f"URL:{URL}/demo/success?order_id={order.id.hex_digits}" in unfolded


def test_tickets_that_are_sent_again_say_so_and_are_another_mail() -> None:
    order = paid_order()
    first, again = write(order), write(order, MailKind.AGAIN)
    assert "as asked for" in text_of(again)
    assert order.ticket_codes[0] in text_of(again)
    ids = {
        parsed(each)["message-id"]
        for each in (first, again, write(order, MailKind.AGAIN, number=1))
    }
    assert len(ids) == 3


def test_a_ticket_that_was_refunded_is_in_no_mail() -> None:
    order = paid_order(3, tickets_refunded_at=(None, PAID_AT, None))
    letter = write(order, MailKind.AGAIN)
    first, refunded, last = order.ticket_codes
    assert parsed(letter)["subject"].startswith("Your 2 tickets")
    assert "Premium, 3 of 3" in text_of(letter)
    assert files_of(letter).keys() == {f"{first}.png", f"{last}.png", "show.ics"}
    assert refunded not in text_of(letter) + html_of(letter)


# --- Money -------------------------------------------------------------------------------------


def test_who_paid_and_gets_no_ticket_is_told_of_the_money() -> None:
    letter = write(unfulfilled_order(2), MailKind.REFUND_DUE)
    text = text_of(letter)
    assert "€130.00" in text
    assert "the last tickets were" in text
    assert "all of your money back" in text
    assert "Paid, but sold out" in html_of(letter)
    assert files_of(letter) == {}


def test_who_got_money_back_is_told_how_much_and_which_tickets_are_none_any_more() -> None:
    order = paid_order(3)
    codes = order.ticket_codes[1:]
    letter = write(order, MailKind.REFUNDED, given_back=GivenBack(13000, codes))
    for body in (text_of(letter), html_of(letter)):
        assert "€130.00" in body
        assert all(code in body for code in codes)
        assert order.ticket_codes[0] not in body
        assert "no longer valid" in body


def test_amounts_are_in_the_currency_of_their_order() -> None:
    letter = write(paid_order(amount_cents=1500, currency="jpy"))
    assert "¥1,500" in text_of(letter)
    assert "¥1,500" in html_of(letter)


# --- Headers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_mail_that_is_written_again_is_the_same_to_the_byte(kind: MailKind) -> None:
    order = order_for(kind)
    assert write(order, kind) == write(order, kind)


def test_a_mail_says_whom_it_is_from_and_who_reads_an_answer() -> None:
    offer = replace(OFFER, show=replace(SHOW, organiser="Société Générale de Jazz"))
    writer = a_writer(offer, links={"Contact": "mailto:hello@example.org"})
    message = parsed(write(paid_order(), writer=writer))
    assert message["from"].addresses[0].display_name == "Société Générale de Jazz"
    assert message["from"].addresses[0].addr_spec == "tickets@example.org"
    assert message["reply-to"] == "hello@example.org"
    assert message["auto-submitted"] == "auto-generated"
    assert message["date"].datetime == CREATED_AT
    assert message["message-id"].endswith("@example.org>")


def test_message_ids_are_not_to_be_guessed_without_the_secret() -> None:
    order = paid_order()
    catalog = Catalog.build(OFFER, {"A": 1})
    other = Writer(catalog, "another secret", door_code, sender="tickets@example.org")
    assert parsed(write(order))["message-id"] != parsed(write(order, writer=other))["message-id"]
    assert order.id.hex_digits not in str(parsed(write(order))["message-id"])


HEADERS = {
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "auto-submitted",
    "mime-version",
    "content-type",
}


@pytest.mark.parametrize("kind", KINDS)
@given(name=st.text(min_size=1, max_size=300), organiser=st.text(min_size=1, max_size=100))
def test_no_text_of_an_offer_becomes_a_header(kind: MailKind, name: str, organiser: str) -> None:
    name = f"{name}\r\nBcc: everybody@example.org\r\n\r\nanother body"
    offer = replace(OFFER, show=replace(SHOW, name=name, organiser=f"{organiser}\nX-Evil: 1"))
    letter = write(order_for(kind), kind, a_writer(offer))
    message = parsed(letter)
    assert {header.lower() for header in message.keys()} == HEADERS  # noqa: SIM118
    assert "another body" not in message["subject"].splitlines()
    assert all(len(line) <= 998 for line in letter.content.split(b"\r\n"))


@pytest.mark.parametrize(
    "email",
    [
        "fan@example.org",
        '"<img src=x onerror=alert(1)>"@x.io',
        '"a b, c"@example.org',
        "o'hara+tickets@example.org",
        f"{'long' * 16}@{'label' * 10}.{'label' * 10}.{'label' * 10}.example.org",
        "jörg.müller@example.org",
    ],
)
def test_an_address_reaches_the_header_and_the_server_as_it_is(email: str) -> None:
    letter = write(paid_order(email=email))
    assert letter.recipient == email
    [address] = parsed(letter)["to"].addresses
    # Bytes that are not ASCII, which `email` leaves to its reader.
    assert address.addr_spec.encode(errors="surrogateescape").decode() == email
    assert letter.is_international == (not email.isascii())


def test_a_domain_in_its_own_script_is_written_as_servers_know_it() -> None:
    letter = write(paid_order(email="fan@bücher.example"))
    assert letter.recipient == "fan@xn--bcher-kva.example"
    assert not letter.is_international


@pytest.mark.parametrize("email", ["fan@example.org\r\nBcc: x@example.org", "a@b\nc"])
def test_an_address_with_a_line_of_its_own_is_never_written(email: str) -> None:
    with pytest.raises(ValueError, match="CR or LF"):
        write(paid_order(email=email))


# --- HTML --------------------------------------------------------------------------------------


def test_whatever_an_offer_says_is_text_in_the_html_and_as_it_is_in_the_plain_text() -> None:
    offer = replace(OFFER, show=replace(SHOW, name="<b>Whales</b> & friends"))
    letter = write(paid_order(), writer=a_writer(offer))
    assert "&lt;b&gt;Whales&lt;/b&gt; &amp; friends" in html_of(letter)
    assert "<b>Whales" not in html_of(letter)
    assert "<b>Whales</b> & friends" in text_of(letter)


def test_the_html_loads_nothing_from_anywhere() -> None:
    html = html_of(write(paid_order(2)))
    assert all(
        link.startswith(("cid:", URL)) for link in re.findall(r'(?:src|href)="([^"]+)"', html)
    )
    assert "<script" not in html


def test_the_mail_has_the_organisers_colour_and_logo() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), "#1f5fbf").save(stream, "PNG")
    offer = replace(OFFER, accent="#1f5fbf", logo=Logo(".png", stream.getvalue()))
    letter = write(paid_order(), writer=a_writer(offer))
    assert "#1f5fbf" in html_of(letter)
    pictures = {str(p["content-id"]): p for p in parsed(letter).walk() if p["content-id"]}
    assert pictures["<logo>"].get_content() == stream.getvalue()


def test_a_logo_that_mail_programs_do_not_show_is_left_out() -> None:
    offer = replace(OFFER, logo=Logo(".svg", b"<svg/>"))
    assert "cid:logo" not in html_of(write(paid_order(), writer=a_writer(offer)))


def test_where_nobody_said_where_the_shop_is_there_is_no_link() -> None:
    letter = write(paid_order(), writer=a_writer(public_url=None))
    assert "http" not in text_of(letter)
    assert "href" not in html_of(letter)


# --- Nothing to say ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [MailKind.TICKETS, MailKind.AGAIN])
def test_no_mail_brings_tickets_that_are_none(kind: MailKind) -> None:
    with pytest.raises(OvertakenError):
        write(unfulfilled_order(), kind)


def test_without_an_address_there_is_no_mail() -> None:
    with pytest.raises(NotWrittenError):
        write(paid_order(email=""))


def test_64_tickets_fit_into_a_mail_that_servers_take() -> None:
    order = paid_order(64)
    letter = write(order)
    assert len(files_of(letter)) == 65
    assert len(letter.content) < 1_000_000
