"""The cookies by which a browser knows what it has on hold."""

from tigerfans.booking.ids import OrderId
from tigerfans.http.held_cookies import AFTER_HOLD_SECONDS, HOLDS_MAX, HeldCookies

COOKIES = HeldCookies("secret", hold_seconds=300)


def sent_back(cookie: str) -> dict[str, str]:
    """What a browser sends of a Set-Cookie."""
    name, _, value = cookie.partition(";")[0].partition("=")
    return {name: value}


def test_a_browser_sends_the_orders_back_whose_cookies_it_got() -> None:
    first, second = OrderId.new(), OrderId.new()
    cookies = {"other": "x"}
    for order_id in (first, second):
        cookies |= sent_back(COOKIES.set_cookie(order_id.hex_digits))
    assert COOKIES.orders(cookies) == [first, second]


def test_a_cookie_lasts_little_longer_than_its_hold_and_goes_to_the_checkout_alone() -> None:
    cookie = COOKIES.set_cookie(OrderId.new().hex_digits)
    assert f"; Max-Age={300 + AFTER_HOLD_SECONDS}; " in cookie
    assert cookie.endswith("; Path=/demo/checkout; HttpOnly; SameSite=Lax")


def test_a_cookie_that_is_forged_or_anothers_is_no_order() -> None:
    order_id = OrderId.new()
    [(name, value)] = sent_back(COOKIES.set_cookie(order_id.hex_digits)).items()
    anothers = HeldCookies("another secret", hold_seconds=300).set_cookie(order_id.hex_digits)
    for cookies in (
        {name: value[:-1]},
        {name: "ü"},
        {name.upper(): value},
        {order_id.hex_digits: value},
        sent_back(COOKIES.set_cookie(OrderId.new().hex_digits)) | {name: ""},
        sent_back(anothers),
    ):
        assert order_id not in COOKIES.orders(cookies)


def test_of_very_many_cookies_the_newest_are_looked_at() -> None:
    held = [OrderId.new() for _ in range(HOLDS_MAX + 5)]
    cookies: dict[str, str] = {}
    # A browser sends them in the order in which it got them.
    for order_id in held:
        cookies |= sent_back(COOKIES.set_cookie(order_id.hex_digits))
    assert COOKIES.orders(cookies) == held[-HOLDS_MAX:]
