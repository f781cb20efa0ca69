"""The shop: what can be asked of it, and which module does that.

The steps are ordered so that a crash between any two of them is healed by a retry: the ledger
decides first, under ids that a retry derives again; then the outcome is stored in PostgreSQL;
then the payment is confirmed.
"""

from collections.abc import Collection, Coroutine
from typing import Any

from tigerfans.booking.ids import OrderId
from tigerfans.booking.inventory import Inventory
from tigerfans.booking.stock_changes import Wanted
from tigerfans.ledger.base import Submit
from tigerfans.offer.catalog import ClassCode
from tigerfans.payments.base import Headers, PaymentEvent
from tigerfans.payments.unmatched import UnmatchedPayment
from tigerfans.shop import (
    cancellation,
    checkout,
    inquiry,
    lookup,
    misfits,
    open_hold,
    paying,
    payment,
    refund,
    repair,
    stock,
    stock_changes,
)
from tigerfans.shop.backends import Backends
from tigerfans.shop.checkout import Checkout
from tigerfans.shop.open_hold import OpenHold
from tigerfans.shop.payment import Settlement
from tigerfans.shop.stock_changes import ClassStock
from tigerfans.stores.orders import Order
from tigerfans.stores.sessions import Session
from tigerfans.stores.show_cancellation import Cancellation


class Shop(Backends):
    """The backends of a shop, and what is done with them; each module says what it raises.

    These methods are no coroutines themselves: each one that a request passes through is resumed
    with it, every time.
    """

    def open(self, submit: Submit | None = None) -> Coroutine[Any, Any, None]:
        """Sets up the ledger's accounts and stock; whoever did so before, it happens once.

        `submit` takes the place of the shop's own, as for `check`.
        """
        return stock.open_books(self, submit or self.submit)

    def check(self, submit: Submit | None = None) -> Coroutine[Any, Any, None]:
        """Raises unless the ledger was opened for this shop; changes nothing."""
        return stock.check_books(self, submit or self.submit)

    def checkout(
        self,
        cls: str,
        email: str,
        idempotency_key: str | None = None,
        *,
        qty: int = 1,
        client: str | None = None,
    ) -> Coroutine[Any, Any, Checkout]:
        """Holds tickets for a while, on the account of the `client` where there is one."""
        return checkout.hold_tickets(self, cls, email, idempotency_key, qty=qty, client=client)

    def hear(self, headers: Headers, body: bytes) -> Coroutine[Any, Any, Settlement]:
        """Does what a webhook asks for; returns only when all of it is durable."""
        return payment.hear(self, headers, body)

    def settle(self, event: PaymentEvent) -> Coroutine[Any, Any, Settlement]:
        """Does what a payment event asks for; returns only when all of it is durable."""
        return payment.settle(self, event)

    def learn_of(self, event: PaymentEvent) -> Coroutine[Any, Any, None]:
        """Settles a payment that is in the provider's books, and that the shop does not know of."""
        return inquiry.learn_of(self, event)

    def order_answer(self, order_id: OrderId) -> Coroutine[Any, Any, bytes | None]:
        """An order as public JSON; None where it is unknown."""
        return lookup.find_answer(self, order_id)

    def order(self, order_id: OrderId) -> Coroutine[Any, Any, Order | None]:
        """An order in its state of now, from its hold on; None where it is unknown."""
        return lookup.find_order(self, order_id)

    def open_hold(self, order_id: OrderId) -> Coroutine[Any, Any, OpenHold | None]:
        """The open hold of an order; None where there is none, or none any more."""
        return open_hold.find_open_hold(self, order_id)

    def release(self, order_id: OrderId) -> Coroutine[Any, Any, str | None]:
        """Voids a hold that its buyer does not want to pay; the order's status then."""
        return open_hold.release(self, order_id)

    def open_payment(self, order_id: OrderId, shop_url: str) -> Coroutine[Any, Any, str | None]:
        """Where the buyer of an order pays; None where there is nothing to pay any more."""
        return paying.open_payment(self, order_id, shop_url)

    def come_back(self, order_id: OrderId) -> Coroutine[Any, Any, None]:
        """Asks the provider about the payment whose buyer comes back."""
        return paying.come_back(self, order_id)

    def payment_is_under_way(self, order_id: OrderId) -> Coroutine[Any, Any, bool]:
        """Whether the buyer of an unpaid order has agreed to a payment whose money takes days."""
        return self.provider.is_under_way(order_id.hex_digits)

    def payment_session(self, psid: str) -> Coroutine[Any, Any, Session | None]:
        """The session a buyer pays for at the provider's page; None where it is unknown."""
        return lookup.find_session(self, psid)

    def restore(self, order_id: OrderId) -> Coroutine[Any, Any, Order | None]:
        """Stores the order of a sale that is on the ledger; None where the ledger has no hold."""
        return repair.restore(self, order_id)

    def refund(
        self, order_id: OrderId, by: str, tickets: Collection[int] | None = None
    ) -> Coroutine[Any, Any, Order]:
        """Gives back the money of an order that was paid, or of some of its tickets."""
        return refund.refund(self, order_id, tickets, by)

    def cancel(self, show_name: str, by: str) -> Coroutine[Any, Any, Cancellation]:
        """Cancels the show, for good: nothing is sold any more, and all money goes back."""
        return cancellation.cancel(self, show_name, by)

    def refund_unmatched(self, payment_id: str, by: str) -> Coroutine[Any, Any, UnmatchedPayment]:
        """Gives the money of a payment back that fits no order."""
        return misfits.refund(self, payment_id, by)

    def dismiss_unmatched(self, payment_id: str, by: str) -> Coroutine[Any, Any, UnmatchedPayment]:
        """Marks a payment that fits no order as seen to."""
        return misfits.dismiss(self, payment_id, by)

    def inventory(self) -> Coroutine[Any, Any, dict[ClassCode, Inventory]]:
        """The stock of each ticket class, at most `INVENTORY_SECONDS` old."""
        return stock.inventory(self)

    def class_stock(self, cls: str) -> Coroutine[Any, Any, ClassStock]:
        """The stock of a class as it is now, and its changes."""
        return stock_changes.look(self, cls)

    def change_stock(
        self, cls: str, wanted: Wanted, by: str, number: int | None = None
    ) -> Coroutine[Any, Any, ClassStock]:
        """Adds to the stock of a class, withdraws from it, or closes or opens its sale, once."""
        return stock_changes.change(self, cls, wanted, by, number)

    def goodies(self) -> Coroutine[Any, Any, Inventory]:
        """The stock of goodies, at most `INVENTORY_SECONDS` old."""
        return stock.goodies(self)
