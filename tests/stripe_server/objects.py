"""Stripe's objects as its API shows them, with every field that a shop can come upon.

What an object keeps for the server alone begins with `_`, and is not shown. The fields are those of
the library's own classes, which a test holds these to.
"""

import random
import string
from typing import Any, Final

from tests.stripe_server.store import Thing

# As the library sends it, unless a shop says otherwise; the fields are of this one.
API_VERSION: Final = "2026-10-28.endive"

_LETTERS: Final = string.ascii_letters + string.digits
# Seeded by the system, so that a server that is started again makes no id a second time.
_random = random.Random()


def _names(words: str) -> list[str]:
    return words.split()


# Of a checkout session for one payment, on the hosted page, these stay empty.
_SESSION_EMPTY: Final = _names(
    "adaptive_pricing after_expiration allow_promotion_codes allowed_payment_method_types"
    " billing_address_collection branding_settings client_secret collected_information consent"
    " consent_collection currency_conversion customer customer_account discounts"
    " excluded_payment_method_types integration_identifier invoice locale managed_payments"
    " name_collection optional_items origin_context payment_link"
    " payment_method_configuration_details permissions presentment_details recovered_from"
    " redirect_on_completion return_url saved_payment_method_options setup_intent"
    " shipping_address_collection shipping_cost submit_type subscription tax_id_collection"
    " wallet_options"
)
_INTENT_EMPTY: Final = _names(
    "allowed_payment_method_types amount_details application application_fee_amount"
    " automatic_payment_methods canceled_at cancellation_reason customer customer_account"
    " description excluded_payment_method_types hooks last_payment_error latest_charge"
    " managed_payments next_action on_behalf_of payment_details payment_method"
    " payment_method_configuration_details payment_record presentment_details processing"
    " receipt_email review setup_future_usage shipping source statement_descriptor"
    " statement_descriptor_suffix transfer_data transfer_group"
)
_CHARGE_EMPTY: Final = _names(
    "application application_fee application_fee_amount authorization_code balance_transaction"
    " calculated_statement_descriptor customer description failure_balance_transaction failure_code"
    " failure_message fraud_details level3 on_behalf_of outcome payment_method_details"
    " presentment_details radar_options receipt_email receipt_number receipt_url review shipping"
    " source source_transfer statement_descriptor statement_descriptor_suffix transfer"
    " transfer_data transfer_group"
)
_REFUND_EMPTY: Final = _names(
    "customer customer_account description destination_details failure_balance_transaction"
    " failure_reason instructions_email next_action payment_method pending_reason"
    " presentment_details receipt_number source_transfer_reversal transfer_reversal"
)

# What a buyer pays with, as a charge shows it.
_METHODS: Final[dict[str, Thing]] = {
    "card": {
        "brand": "visa",
        "exp_month": 12,
        "exp_year": 2034,
        "funding": "credit",
        "last4": "4242",
    },
    "sepa_debit": {"country": "DE", "last4": "3000"},
}


def new_id(prefix: str, letters: int = 24) -> str:
    return prefix + "".join(_random.choices(_LETTERS, k=letters))


def shown(thing: Thing) -> Thing:
    """The object as the API shows it."""
    return {name: value for name, value in thing.items() if not name.startswith("_")}


def session(
    *,
    created: int,
    expires_at: int,
    is_live: bool,
    currency: str,
    amount: int,
    email: str | None,
    page: str,
    given: dict[str, Any],
) -> Thing:
    """An open session; `page` is the address of the hosted page, without its id."""
    identifier = new_id("cs_live_" if is_live else "cs_test_", 58)
    details = None if email is None else customer_details(email)
    return {
        **dict.fromkeys(_SESSION_EMPTY),
        "id": identifier,
        "object": "checkout.session",
        "amount_subtotal": amount,
        "amount_total": amount,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "cancel_url": None,
        "client_reference_id": None,
        "created": created,
        "currency": currency,
        "custom_fields": [],
        "custom_text": dict.fromkeys(
            ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
        ),
        "customer_creation": "if_required",
        "customer_details": details,
        "customer_email": email,
        "expires_at": expires_at,
        "invoice_creation": {
            "enabled": False,
            "invoice_data": {
                **dict.fromkeys(
                    ("account_tax_ids", "custom_fields", "description", "footer", "issuer")
                ),
                "metadata": {},
                "rendering_options": None,
            },
        },
        "livemode": is_live,
        "metadata": {},
        "mode": "payment",
        # There is none before somebody tries to pay.
        "payment_intent": None,
        "payment_method_collection": "if_required",
        "payment_method_options": {},
        "payment_method_types": ["card", "sepa_debit"],
        "payment_status": "unpaid",
        "phone_number_collection": {"enabled": False},
        "shipping_options": [],
        "status": "open",
        "success_url": None,
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": page + identifier,
        **given,
    }


def customer_details(email: str) -> Thing:
    empty = ("address", "business_name", "individual_name", "name", "phone", "tax_ids")
    return {**dict.fromkeys(empty), "email": email, "tax_exempt": "none"}


def line_item(
    *, name: str, unit_amount: int, quantity: int, currency: str, created: int, is_live: bool
) -> Thing:
    amount = unit_amount * quantity
    return {
        "id": new_id("li_1"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": currency,
        "description": name,
        "metadata": {},
        "price": {
            "id": new_id("price_1"),
            "object": "price",
            "active": False,
            "billing_scheme": "per_unit",
            "created": created,
            "currency": currency,
            "custom_unit_amount": None,
            "livemode": is_live,
            "lookup_key": None,
            "metadata": {},
            "nickname": None,
            "product": new_id("prod_", 14),
            "recurring": None,
            "tax_behavior": "unspecified",
            "tiers_mode": None,
            "transform_quantity": None,
            "type": "one_time",
            "unit_amount": unit_amount,
            "unit_amount_decimal": str(unit_amount),
        },
        "quantity": quantity,
    }


def intent(session: Thing, created: int) -> Thing:
    """The payment intent of a session that somebody tries to pay."""
    identifier = new_id("pi_3")
    wanted = session["_intent"]
    return {
        **dict.fromkeys(_INTENT_EMPTY),
        "id": identifier,
        "object": "payment_intent",
        "amount": session["amount_total"],
        "amount_capturable": 0,
        "amount_received": 0,
        "capture_method": wanted["capture_method"],
        "client_secret": new_id(f"{identifier}_secret_"),
        "confirmation_method": "automatic",
        "created": created,
        "currency": session["currency"],
        "description": wanted["description"],
        "livemode": session["livemode"],
        "metadata": wanted["metadata"],
        "payment_method_options": {},
        "payment_method_types": session["payment_method_types"],
        "status": "requires_payment_method",
        "_session": session["id"],
    }


def charge(intent: Thing, email: str | None, method: str, created: int) -> Thing:
    """Of the whole amount, which is neither captured nor failed so far."""
    empty = ("address", "name", "phone", "tax_id")
    return {
        **dict.fromkeys(_CHARGE_EMPTY),
        "id": new_id("ch_3"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "billing_details": {**dict.fromkeys(empty), "email": email},
        "captured": False,
        "created": created,
        "currency": intent["currency"],
        "disputed": False,
        "livemode": intent["livemode"],
        "metadata": intent["metadata"],
        "paid": True,
        "payment_intent": intent["id"],
        "payment_method": new_id("pm_1"),
        "payment_method_details": {"type": method, method: _METHODS[method]},
        "refunded": False,
        "status": "succeeded",
    }


def refund(
    charge: Thing, *, amount: int, reason: str | None, metadata: dict[str, str], created: int
) -> Thing:
    return {
        **dict.fromkeys(_REFUND_EMPTY),
        "id": new_id("re_3"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": new_id("txn_3"),
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "status": "succeeded",
        "_livemode": charge["livemode"],
    }


def event(
    kind: str, thing: Thing, *, created: int, is_live: bool, request: Thing, endpoints: int
) -> Thing:
    return {
        "id": new_id("evt_1"),
        "object": "event",
        "account": None,
        "api_version": API_VERSION,
        "context": None,
        "created": created,
        "data": {"object": thing},
        "livemode": is_live,
        "pending_webhooks": endpoints,
        "request": request,
        "type": kind,
    }


def card_error(code: str, decline_code: str, message: str) -> Thing:
    """What is left of a declined attempt in its payment intent."""
    return {
        "type": "card_error",
        "code": code,
        "decline_code": decline_code,
        "message": message,
    }
