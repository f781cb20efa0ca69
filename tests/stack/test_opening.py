"""What a shop that has just opened says of itself."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from tigerfans.settings.settings import HttpSettings, MailSettings, PaymentSettings, Settings
from tigerfans.settings.stripe_settings import StripeSettings
from tigerfans.stack.opening import banner


def stripe(key: str, api_base: str | None = None) -> PaymentSettings:
    return PaymentSettings("stripe", ("whsec_1",), stripe=StripeSettings(key, api_base=api_base))


def test_the_banner_says_where_mails_go_and_no_password() -> None:
    folder = Mock(root=Path("/srv/shop"))
    plan = Mock(settings=Settings(), folder=folder)
    assert "  mail      files in /srv/shop/mail  (no SMTP_URL is set)\n" in banner(plan)
    mail = MailSettings("smtp://user:hidden@mail.example.org", "tickets@example.org")
    plan = Mock(settings=Settings(mail=mail), folder=folder)
    told = banner(plan)
    assert "  mail      by mail.example.org:587, from tickets@example.org\n" in told
    assert "hidden" not in told


@pytest.mark.parametrize("public_url", [None, "https://tickets.example.org"])
def test_the_banner_leads_to_where_everybody_finds_the_shop(public_url: str | None) -> None:
    settings = Settings(http=HttpSettings(public_url=public_url))
    plan = Mock(settings=settings, folder=Mock(root=Path("/srv/shop")))
    url = public_url or "http://127.0.0.1:8000"
    assert f"shop      {url}\n  admin     {url}/admin  (" in banner(plan)


@pytest.mark.parametrize(
    ("payments", "words"),
    [
        (PaymentSettings(), "mockpay, which takes no money"),
        (stripe("rk_live_1"), "Stripe, live: buyers pay real money"),
        (stripe("sk_test_1"), "Stripe, by a test key: no money moves"),
        (
            stripe("sk_live_1", "http://127.0.0.1:1"),
            "a test server at http://127.0.0.1:1 in Stripe's place: no money moves",
        ),
    ],
)
def test_the_banner_says_whether_buyers_pay_real_money(
    payments: PaymentSettings, words: str
) -> None:
    plan = Mock(settings=Settings(payments=payments), folder=Mock(root=Path("/srv/shop")))
    told = banner(plan)
    assert f"  payments  {words}\n" in told
    assert "_1" not in told
