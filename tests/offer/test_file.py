"""What an offer's file may say, and how each mistake in it is named."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from tests.offers import OFFER_FILE
from tigerfans.offer.file import (
    DEMO_FILE,
    FILE_BYTES_MAX,
    LOGO_BYTES_MAX,
    OfferError,
    demo,
    read_offer,
    read_text,
)
from tigerfans.offer.offer import Offer
from tigerfans.offer.tables import CLASSES_MAX

GOOD: Final = """
[show]
name = "Jazz in June"
venue = "Volkshaus, Basel"
starts_at = 2027-06-12T19:30:00
ends_at = 2027-06-12T23:00:00
time_zone = "Europe/Zurich"
currency = "CHF"

[[class]]
code = "HALL"
number = 2
name = "Hall"
price = "48.50"
capacity = 200
"""
HERE: Final = Path("offer.toml")
PNG: Final = b"\x89PNG\r\n\x1a\n" + b"\0" * 100


def read(text: str) -> Offer:
    return read_text(text, HERE, HERE)


def mistakes(text: str) -> list[str]:
    with pytest.raises(OfferError) as raised:
        read(text)
    return raised.value.sentences


def changed(line: str, other: str) -> str:
    assert line in GOOD
    return GOOD.replace(line, other)


def test_a_file_is_an_offer() -> None:
    offer = read(GOOD)
    show, hall = offer.show, offer.listings[0]
    assert (show.name, show.organiser, show.venue) == (
        "Jazz in June",
        "Jazz in June",
        "Volkshaus, Basel",
    )
    assert show.starts_at == datetime(2027, 6, 12, 17, 30, tzinfo=UTC)
    assert (show.day, show.time) == ("Saturday 12 June 2027", "19:30 CEST")
    assert show.headline_sentences == ["Jazz in June"]
    assert (offer.currency, offer.goodie.count, offer.holds_per_email) == ("chf", 0, 0)
    assert (hall.code, hall.ledger, hall.price_cents, hall.capacity) == ("HALL", 2, 4850, 200)
    assert (hall.window.opens_at, hall.window.closes_at) == (None, show.ends_at)
    assert hall.setting == "TIGERFANS_TICKETS_HALL"
    assert offer.path == HERE


def test_the_demonstration_is_such_a_file() -> None:
    assert replace(read_offer(DEMO_FILE), path=None) == demo()


def test_the_demonstration_sells_what_it_always_sold() -> None:
    offer = demo()
    assert (offer.show.name, offer.show.day, offer.show.time, offer.show.venue) == (
        "TigerFans 2027",
        "Friday 18 June 2027",
        "10:00 CEST",
        "Tiger Hall, Hamburg",
    )
    assert [
        (each.code, each.ledger, each.name, each.price_cents, each.capacity)
        for each in offer.listings
    ] == [("A", 1, "Premium", 6500, 5_000_000), ("B", 2, "Standard", 3500, 5_000_000)]
    assert (offer.currency, offer.goodie.count) == ("eur", 100)


def test_an_order_has_one_ticket_unless_the_file_says_more() -> None:
    assert read(GOOD).tickets_per_order == demo().tickets_per_order == 1
    offer = read(f"{GOOD}\n[limits]\ntickets_per_order = 4\nholds_per_email = 4\n")
    assert (offer.tickets_per_order, offer.holds_per_email) == (4, 4)


def test_as_many_get_in_as_have_tickets_unless_the_file_says_how_many_the_hall_takes() -> None:
    assert read(GOOD).people_inside == demo().people_inside == 0
    limits = "\n[limits]\npeople_inside = {}\n"
    assert read(GOOD + limits.format(800)).people_inside == 800
    assert mistakes(GOOD + limits.format(-1)) == [
        "offer.toml:18: people_inside has to be at least 0."
    ]


@pytest.mark.parametrize(
    ("limits", "mistake"),
    [
        ("tickets_per_order = 0", "18: tickets_per_order has to be at least 1."),
        ("tickets_per_order = 65", "18: tickets_per_order has to be at most 64."),
        ("tickets_per_order = true", "18: tickets_per_order has to be a whole number."),
        ('tickets_per_order = "2"', "18: tickets_per_order has to be a whole number."),
        (
            "tickets_per_order = 4\nholds_per_email = 3",
            "18: tickets_per_order: nobody can have 4 tickets on hold, where holds_per_email is 3.",
        ),
    ],
)
def test_a_number_of_tickets_that_no_order_can_have_is_named(limits: str, mistake: str) -> None:
    assert mistakes(f"{GOOD}\n[limits]\n{limits}\n") == [f"offer.toml:{mistake}"]


def test_what_a_whole_order_costs_has_to_fit_into_one() -> None:
    limits = "\n[limits]\ntickets_per_order = {}\n"
    dear = changed('"48.50"', '"400000"')
    assert read(dear + limits.format(53)).listings[0].price_cents == 40_000_000
    assert mistakes(dear + limits.format(54)) == [
        "offer.toml:14: price: of 54 tickets, that is more than an order can say."
    ]


@pytest.mark.parametrize("price", ["48.5", "48.50", '"48.5"', '"48.500"', "4850e-2"])
def test_a_price_is_exact_however_it_is_written(price: str) -> None:
    assert read(changed('"48.50"', price)).listings[0].price_cents == 4850


@pytest.mark.parametrize(
    ("currency", "price", "units"),
    [("JPY", "1500", 1500), ("KWD", '"1.005"', 1005), ("eur", "0", 0), ("USD", "0.1", 10)],
)
def test_a_price_is_in_the_smallest_unit_of_its_currency(
    currency: str, price: str, units: int
) -> None:
    text = changed('"CHF"', f'"{currency}"').replace('"48.50"', price)
    assert read(text).listings[0].price_cents == units


@pytest.mark.parametrize(
    ("line", "other", "mistake"),
    [
        ('name = "Jazz in June"', 'title = "Jazz"', "offer.toml:2: name is missing."),
        ('venue = "Volkshaus, Basel"', "venue = 1", '4: venue has to be text, in quotes: "…".'),
        ('venue = "Volkshaus, Basel"', 'venue = ""', "4: venue has to be one line of text"),
        ("2027-06-12T23:00:00", "2027-06-12T19:00:00", "6: ends_at: the show ends before"),
        ("2027-06-12T23:00:00", "2027-06-12", "6: ends_at has to have a time as well"),
        ("2027-06-12T23:00:00", "2027-06-12T23:00", "6: this is not TOML"),
        ("2027-06-12T23:00:00", "2027-06-12T23:00", "A time has seconds as well"),
        ('"Europe/Zurich"', '"Europe/Basel"', "7: time_zone: there is no 'Europe/Basel'"),
        ('"Europe/Zurich"', '"../Zurich"', "7: time_zone: there is no"),
        ('"Europe/Zurich"', '"CET"', "7: time_zone: there is no 'CET'"),
        ('"CHF"', '"DEM"', "8: currency: nobody pays in 'DEM'"),
        ('"CHF"', '"francs"', "8: currency: nobody pays in 'francs'"),
        ('"CHF"', '"JPY"', "14: price: nobody can pay 48.50: JPY has no decimals."),
        ('"48.50"', "48.505", "14: price: nobody can pay 48.505: CHF has 2 decimals at most."),
        ('"48.50"', "-1", "14: price: it has to be 0 or more."),
        ('"48.50"', "nan", "14: price: it has to be 0 or more."),
        ('"48.50"', '"much"', '14: price has to be a number, such as "65.00".'),
        ('"48.50"', "true", '14: price has to be a number, such as "65.00".'),
        ('"48.50"', "1e9", "14: price: that is more than an order can say."),
        ("number = 2", "number = 3", "12: number: 3 is the goodies’ own."),
        ("number = 2", "number = 0", "12: number has to be at least 1."),
        ("number = 2", "number = 2.5", "12: number has to be a whole number."),
        ('"HALL"', '"hall"', "11: code has to be of capital letters"),
        ("capacity = 200", "capacity = 2_000_000_000", "15: capacity has to be at most"),
        ("capacity = 200", "capcity = 200", "15: capcity is no key here. Is capacity meant?"),
        ("capacity = 200", "capacity = 200\nperks = 'many'", "16: perks has to be a list"),
        ("[[class]]", "[class]", "10: each class has to be a part of its own: [[class]]."),
        ("[show]", "[shwo]", "2: shwo is no key here. Is show meant?"),
        ("[show]", "[show", "2: this is not TOML"),
    ],
)
def test_a_mistake_is_named_with_its_line(line: str, other: str, mistake: str) -> None:
    assert any(mistake in sentence for sentence in mistakes(changed(line, other)))


@pytest.mark.parametrize("zone", ["Europe/Zurich", "America/New_York"])
@pytest.mark.parametrize("year", ["0001", "1969", "9999"])
def test_a_year_that_no_clock_shows_everywhere_is_a_mistake(year: str, zone: str) -> None:
    text = changed("starts_at = 2027-06-12T19:30:00", f"starts_at = {year}-12-31T23:59:59")
    text = text.replace("Europe/Zurich", zone)
    assert mistakes(text) == ["offer.toml:5: starts_at: the year has to be one from 1970 to 9998."]


@pytest.mark.parametrize(
    ("key", "value", "mistake"),
    [
        ("accent", '"red"', 'accent has to be a colour such as "#ff7a1a".'),
        ("imprint", '"imprint.html"', "imprint has to be an address such as https://…"),
        ("terms", '"javascript:alert(1)"', "terms has to be an address such as https://…"),
        ("contact", '"javascript:alert(1)"', "contact has to be an email address, or https://…"),
        ("vat_percent", "119", "vat_percent has to be a share, such as 19."),
        ("logo", '"nowhere.svg"', "logo: nowhere.svg cannot be read: No such file or directory."),
        ("headline", '"two\\nlines"', "headline has to be one line of text"),
    ],
)
def test_what_may_be_left_out_has_to_be_right(key: str, value: str, mistake: str) -> None:
    text = changed("[[class]]", "[goodie]\nname = 'Pin'\ncount = 1\n\n[[class]]")
    text = text.replace('currency = "CHF"', f'currency = "CHF"\n{key} = {value}')
    (sentence,) = mistakes(text)
    assert sentence.startswith("offer.toml:9: ")
    assert mistake in sentence


def test_every_mistake_is_named_in_the_order_of_lines() -> None:
    text = changed('"CHF"', '"CHFF"').replace('"HALL"', '"hall"').replace("[show]", "[show]\nx = 1")
    found = mistakes(text)
    assert [sentence.split(":")[1] for sentence in found] == ["3", "9", "12"]
    with pytest.raises(
        OfferError, match=r"x is no key here.*\(and 2 more: `tigerfans offer check`"
    ):
        read(text)


def test_a_code_and_a_number_are_one_classs_own() -> None:
    second = GOOD[GOOD.index("[[class]]") :]
    assert mistakes(GOOD + second) == [
        "offer.toml:17: code: HALL is taken, in line 11.",
        "offer.toml:18: number: 2 is taken, in line 12.",
    ]


def test_there_may_be_many_classes_and_not_too_many() -> None:
    head, part = GOOD[: GOOD.index("[[class]]")], GOOD[GOOD.index("[[class]]") :]

    def with_classes(count: int) -> str:
        numbers = range(4, 4 + count)
        parts = [
            part.replace("HALL", f"C{number}").replace("number = 2", f"number = {number}")
            for number in numbers
        ]
        return "\n".join([head, *parts])

    assert len(read(with_classes(CLASSES_MAX)).listings) == CLASSES_MAX
    (sentence,) = mistakes(with_classes(CLASSES_MAX + 1))
    assert sentence.endswith(f"there may be 1 to {CLASSES_MAX} classes.")


def test_a_window_is_in_the_venues_time_and_ends_with_the_show() -> None:
    window = """capacity = 200
on_sale_from = 2027-01-15T10:00:00
on_sale_until = 2027-07-01T00:00:00"""
    listing = read(changed("capacity = 200", window)).listings[0]
    assert listing.window.opens_at == datetime(2027, 1, 15, 9, tzinfo=UTC)
    assert listing.window.closes_at == datetime(2027, 6, 12, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "mistake"),
    [
        (
            "on_sale_from = 2027-05-01T10:00:00\non_sale_until = 2027-05-01T10:00:00",
            "16: on_sale_from: the sale ends before it begins, on Saturday 1 May 2027, 10:00 CEST.",
        ),
        (
            "on_sale_from = 2028-05-01T10:00:00",
            "16: on_sale_from: the show is over before it begins, on Saturday 12 June 2027",
        ),
        (
            "on_sale_from = 2027-03-28T02:30:00",
            "16: on_sale_from: there is no 02:30 on 2027-03-28 in Europe/Zurich",
        ),
        (
            "on_sale_from = 2026-10-25T02:30:00",
            "16: on_sale_from: 02:30 on 2026-10-25 comes twice in Europe/Zurich",
        ),
    ],
)
def test_a_window_that_cannot_be_is_named(window: str, mistake: str) -> None:
    (sentence,) = mistakes(changed("capacity = 200", f"capacity = 200\n{window}"))
    assert mistake in sentence


def test_a_time_that_comes_twice_is_told_apart_by_its_offset() -> None:
    for offset, hour in (("+02:00", 0), ("+01:00", 1)):
        window = f"capacity = 200\non_sale_from = 2026-10-25T02:30:00{offset}"
        opens_at = read(changed("capacity = 200", window)).listings[0].window.opens_at
        assert opens_at is not None
        # Python takes no moment that comes twice for the same in another zone.
        assert opens_at.timestamp() == datetime(2026, 10, 25, hour, 30, tzinfo=UTC).timestamp()


def test_links_and_the_rate_are_read() -> None:
    more = """currency = "CHF"
contact = "hello@example.org"
terms = "https://example.org/terms"
vat_percent = 8.1"""
    offer = read(changed('currency = "CHF"', more))
    assert offer.links == {
        "Terms": "https://example.org/terms",
        "Contact": "mailto:hello@example.org",
    }
    assert offer.vat_percent == Decimal("8.1")


@pytest.mark.parametrize(
    ("name", "content", "mistake"),
    [
        ("logo.png", PNG, None),
        ("logo.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>', None),
        ("logo.png", b"GIF89a", "is no picture"),
        ("logo.gif", b"GIF89a", "is no picture"),
        ("logo.svg", b"<html/>", "is no picture"),
        ("logo.svg", b'<!DOCTYPE svg><svg xmlns="http://www.w3.org/2000/svg"/>', "is no picture"),
        ("logo.png", PNG + b"\0" * LOGO_BYTES_MAX, "is larger than 64 KiB"),
    ],
)
def test_a_logo_is_a_small_picture_beside_the_file(
    tmp_path: Path, name: str, content: bytes, mistake: str | None
) -> None:
    (tmp_path / name).write_bytes(content)
    file = tmp_path / "offer.toml"
    file.write_text(changed('currency = "CHF"', f'currency = "CHF"\nlogo = "{name}"'))
    if mistake is None:
        logo = read_offer(file).logo
        assert logo is not None
        assert (logo.content, logo.suffix) == (content, file.with_name(name).suffix)
    else:
        with pytest.raises(OfferError, match=mistake):
            read_offer(file)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for content, mistake in (
        (None, "1: cannot be read: No such file or directory."),
        (b"\n\n\xff", "3: is not text in UTF-8."),
        (b"#" * (FILE_BYTES_MAX + 1), "1: is larger than 256 KiB."),
    ):
        file = tmp_path / "offer.toml"
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(OfferError) as raised:
            read_offer(file)
        assert str(raised.value) == f"{file}:{mistake}"


def test_lines_are_found_behind_text_over_many_lines() -> None:
    text = changed(
        'currency = "CHF"', 'currency = "CHF"\ndescription = """\n[show]\nnumber = 1\n"""'
    ).replace("number = 2", "number = 3")
    assert mistakes(text) == ["offer.toml:16: number: 3 is the goodies’ own."]


def test_the_tests_own_show_is_a_good_file() -> None:
    assert read_offer(OFFER_FILE).show.name == "Night of the Whales"
