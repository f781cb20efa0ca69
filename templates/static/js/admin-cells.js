// How the box office's tables show an order: one way for all of them.

import { localMoment, money } from "./format.js";
import { cellText } from "./table.js";

// Enough to tell orders of the same millisecond apart; the cell's title has all of it.
const ID_SHOWN_DIGITS = 18;

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

/** What every table of orders has. */
export function fillOrder(cells, order) {
  orderLink(cells.id, order.id);
  cellText(cells.cls, order.cls);
  cellText(cells.amount, money(order.amount, order.currency));
  timeCell(cells.paid, order.paid_at_iso);
  cellText(cells.email, order.email);
}
