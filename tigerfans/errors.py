"""What can go wrong for a caller of the shop, each with the HTTP status it becomes.

    ShopError
    ├── InvalidRequestError 400     the caller's data is wrong; nothing was changed
    │   ├── InvalidEmailError
    │   ├── InvalidQtyError
    │   └── InvalidKeyError
    ├── NotOnSaleError 403          not yet, or not any more
    │   └── SaleClosedError         by the operator
    ├── UnknownOrderError 404
    ├── UnknownPersonError 404
    ├── UnknownScanError 404
    ├── SlowRequestError 408
    ├── NameTakenError 409
    ├── SoldOutError 409
    ├── AllOnHoldError 409          there may be tickets again; try again later
    ├── TooFewLeftError 409         there are some, and fewer than were asked for
    ├── StockMovedError 409         somebody else changed the stock first
    ├── StockRefusedError 409       the stock cannot be changed like that
    ├── UsedKeyError 409            the Idempotency-Key is used up; another one may be tried
    │   ├── KeyConflictError
    │   ├── KeyRefusedError
    │   └── OrderEndedError
    ├── UndoRefusedError 409        an admission stays as it is
    ├── NotRefundedError 409        what the ledger refuses, it refuses for ever
    ├── TooLargeError 413
    ├── TooManyHoldsError 429       one buyer holds as much as one may
    ├── TooManyRequestsError 429    one asks for more than one may
    └── UnavailableError 503        busy, or a store is away; try again
        ├── ProviderError           it is the payment provider that is away, or refuses
        ├── NotYourTurnError        others are before it in the line to the payment provider
        └── LineTooLongError        so many that it could not be paid before its hold ends

A message is a sentence for a person. `http.problems.explain` is the one place that turns these,
and the ledger's and the batcher's own errors, into answers.
"""

import math
from collections.abc import Mapping
from typing import ClassVar


class ShopError(Exception):
    """The shop cannot do this."""

    status: ClassVar[int] = 500
    # What a program reads of it, beside the sentence.
    fields: Mapping[str, str | bool | int] = {}

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class InvalidRequestError(ShopError):
    """The request is not valid."""

    status = 400


class InvalidEmailError(InvalidRequestError):
    """This does not look like an email address."""

    fields: Mapping[str, str | bool | int] = {"field": "customer_email"}


class InvalidQtyError(InvalidRequestError):
    """An order cannot have so many tickets."""

    fields: Mapping[str, str | bool | int] = {"field": "qty"}


class InvalidKeyError(InvalidRequestError):
    """This Idempotency-Key is not valid."""

    fields: Mapping[str, str | bool | int] = {"new_key_needed": True}


class NotOnSaleError(ShopError):
    """This class is not on sale; `retry_after_seconds` is None where it will not be again."""

    status = 403

    def __init__(
        self, message: str, fields: Mapping[str, str | bool | int], retry_after_seconds: int | None
    ) -> None:
        super().__init__(message)
        self.fields = fields
        self.retry_after_seconds = retry_after_seconds


class SaleClosedError(NotOnSaleError):
    """The sale is closed."""

    def __init__(self) -> None:
        super().__init__("The sale is closed.", {"state": "closed"}, None)


class UnknownOrderError(ShopError):
    """There is no such order."""

    status = 404


class UnknownPersonError(ShopError):
    """There is nobody of that name."""

    status = 404


class UnknownScanError(ShopError):
    """There is no such scan, or it let nobody in."""

    status = 404


class SlowRequestError(ShopError):
    """The request took too long to arrive."""

    status = 408


class NameTakenError(ShopError):
    """There is somebody of that name already."""

    status = 409


class SoldOutError(ShopError):
    """Sold out: every ticket of this class is sold."""

    status = 409
    fields: Mapping[str, str | bool | int] = {"state": "sold_out"}


class AllOnHoldError(ShopError):
    """The last tickets of this class are on hold. Unpaid ones come back: please try again soon."""

    status = 409
    fields: Mapping[str, str | bool | int] = {"state": "on_hold"}


class TooFewLeftError(ShopError):
    """There are tickets left, and not as many."""

    status = 409

    def __init__(self, available: int) -> None:
        tickets = "ticket of this class is" if available == 1 else "tickets of this class are"
        super().__init__(f"Only {available} {tickets} left. Please choose fewer.")
        self.fields = {"state": "too_few", "available": available}


class StockMovedError(ShopError):
    """Somebody changed the stock meanwhile: please look again."""

    status = 409


class StockRefusedError(ShopError):
    """The stock cannot be changed like that."""

    status = 409


class UsedKeyError(ShopError):
    """This Idempotency-Key is used up. Please start a new order."""

    status = 409
    fields: Mapping[str, str | bool | int] = {"new_key_needed": True}


class KeyConflictError(UsedKeyError):
    """This was sent before with another class, number or email. Please start a new order."""


class KeyRefusedError(UsedKeyError):
    """This was refused too often. Please start a new order."""


class OrderEndedError(UsedKeyError):
    """The order of this Idempotency-Key has ended unpaid; `order_status` says how."""

    def __init__(self, message: str, order_status: str) -> None:
        super().__init__(message)
        self.fields = {**UsedKeyError.fields, "order_status": order_status}


class UndoRefusedError(ShopError):
    """This admission is not taken back."""

    status = 409


class NotRefundedError(ShopError):
    """A ticket that was used is not refunded."""

    status = 409


class TooLargeError(ShopError):
    """The request's body is too large."""

    status = 413


class TooManyHoldsError(ShopError):
    """Too many tickets are on hold already."""

    status = 429

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class TooManyRequestsError(ShopError):
    """You have asked for this several times. Please wait for a while."""

    status = 429

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


class UnavailableError(ShopError):
    """The shop is very busy right now. Please try again in a moment."""

    status = 503


class NotYourTurnError(UnavailableError):
    """Your ticket is yours, and the payment opens soon."""

    def __init__(self, wait_seconds: float) -> None:
        super().__init__()
        self.wait_seconds = wait_seconds
        # Whoever is somewhat early waits for the rest inside the request.
        self.retry_after_seconds = max(1, math.floor(wait_seconds))


class LineTooLongError(UnavailableError):
    """So many are paying right now that it could not be paid in time. Please try again soon."""

    def __init__(self, wait_seconds: float) -> None:
        super().__init__()
        self.retry_after_seconds = max(1, math.ceil(wait_seconds))


class ProviderError(UnavailableError):
    """The payment provider did not confirm that it gave the money back. Please try again."""
