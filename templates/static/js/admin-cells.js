// How the box office's tables show an order: one way for all of them.

import { localMoment, money, toldMoney } from "./format.js";
import { cellText } from "./table.js";

// Enough to tell orders of the same millisecond apart; the cell's title has all of it.
const ID_SHOWN_DIGITS = 18;

const ORDER_ID = /^[0-9a-f]{30}00$/;

const STATUS_WORDS = {
  PENDING: "Pending",
  PAID: "Paid",
  PAID_UNFULFILLED: "Refund due",
  REFUNDED: "Refunded",
  FAILED: "Failed",
  CANCELED: "Canceled",
  EXPIRED: "Expired",
};

/** An order's id, which leads to its story. */
export function orderLink(cell, orderId) {
  cellText(cell, orderId.slice(0, ID_SHOWN_DIGITS));
  cell.href = `/admin/orders/${encodeURIComponent(orderId)}`;
  cell.title = orderId;
}

export function timeCell(cell, iso) {
  cellText(cell, iso ? localMoment(iso) : "");
  cell.dateTime = iso ?? "";
}

export function statusCell(cell, order) {
  const status = order.refunded_at_iso ? "REFUNDED" : order.status;
  cellText(cell, STATUS_WORDS[status] ?? status);
  cell.dataset.status = status;
}

/** The button of what is asked once more. */
export function askedCell(cells, name, words) {
  cellText(cells[`${name}_button`], words);
}

/** A payment that fits no order: what is told of one may be anything, and name no order at all. */
export function fillUnmatched(cells, payment) {
  const isOrderId = ORDER_ID.test(payment.order_id);
  timeCell(cells.received, payment.received_at_iso);
  cellText(cells.why, payment.why);
  cells.told.hidden = payment.body === null;
  cellText(cells.body, payment.body);
  cellText(cells.amount, payment.amount === null ? "" : toldMoney(payment.amount, payment.currency));
  cells.id.hidden = !isOrderId;
  if (isOrderId) orderLink(cells.id, payment.order_id);
  cellText(cells.other, isOrderId ? "" : payment.order_id);
  cellText(cells.email, payment.email);
  if (!cells.refund) return;
  cells.refund.hidden = !payment.can_be_refunded;
  const amount = payment.amount === null ? "" : toldMoney(payment.amount, payment.currency);
  askedCell(cells, "refund", `Give ${amount} back`);
  askedCell(cells, "dismiss", amount ? `Dismiss, and keep ${amount}` : "Dismiss it");
}

/** A, or 3 × A. */
export function ticketsName({ cls, qty }) {
  return qty === 1 ? cls : `${qty} × ${cls}`;
}

/** The first ticket's code, and how many there are more; the cell's title has them all. */
export function codesCell(cell, { ticket_code: first, more_ticket_codes: more = [] }) {
  cellText(cell, more.length === 0 ? first : `${first} + ${more.length}`);
  cell.title = [first, ...more].join(" ");
}

/** What every table of orders has. */
export function fillOrder(cells, order) {
  orderLink(cells.id, order.id);
  cellText(cells.cls, ticketsName(order));
  cellText(cells.amount, money(order.amount, order.currency));
  timeCell(cells.paid, order.paid_at_iso);
  cellText(cells.email, order.email);
}
