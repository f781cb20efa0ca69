"""Does the payment provider take the shop's key?"""

import importlib.util
from typing import Final

from tigerfans.doctor.findings import Findings
from tigerfans.settings.settings import Settings

AREA: Final = "payments"
SUBJECT: Final = "STRIPE_SECRET_KEY"


async def check_provider(settings: Settings) -> Findings:
    """Nothing for a provider without a key. A key that is none by its form is found with the
    settings, and so is a library that is missing.
    """
    payments = settings.payments
    is_told = payments.provider == "stripe" and not any(
        payments.stripe.problems(payments.secrets, in_production=False)
    )
    if not is_told or importlib.util.find_spec("stripe") is None:
        return Findings(AREA, settings.environment)
    # Optional: only who sells by Stripe has its library.
    from tigerfans.payments.stripe_opening import why_key_fails

    return judge_key(await why_key_fails(payments.stripe), settings)


def judge_key(trouble: str, settings: Settings) -> Findings:
    findings = Findings(AREA, settings.environment)
    if trouble:
        advice = "Compare the key with Stripe's Dashboard (docs/stripe.md), and see who gets out."
        findings.bad(SUBJECT, trouble, advice)
    else:
        findings.good(SUBJECT, "Stripe takes it")
    return findings
