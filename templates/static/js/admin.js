// The box office: figures, orders and pending payments, refreshed every two seconds.

import { OfflineError, getJson, repeat } from "./api.js";
import { age, count, localMoment, money, setText } from "./format.js";
import { showBar, showNumbers } from "./stock.js";
import { LiveTable, cellText } from "./table.js";

const PAUSE_MS = 2000;
// Twelve tell the time, the next six tell orders of the same millisecond apart.
const ID_SHOWN_DIGITS = 18;

const STATUS_WORDS = {
  PENDING: "Pending",
  PAID: "Paid",
  PAID_UNFULFILLED: "Refund due",
  FAILED: "Failed",
  CANCELED: "Canceled",
  EXPIRED: "Expired",
};

const page = document.querySelector("[data-admin]");
const live = document.querySelector("[data-live]");
const pause = document.querySelector("[data-pause]");
const find = (selector) => document.querySelector(selector);

function orderLink(cell, orderId) {
  cellText(cell, orderId.slice(0, ID_SHOWN_DIGITS));
  cell.href = `/demo/success?order_id=${encodeURIComponent(orderId)}`;
  cell.title = orderId;
}

const orders = new LiveTable({
  body: find("[data-orders]"),
  template: find("[data-order-row]"),
  empty: find("[data-orders-empty]"),
  key: (order) => order.id,
  fill(cells, order) {
    orderLink(cells.id, order.id);
    cellText(cells.status, STATUS_WORDS[order.status] ?? order.status);
    cells.status.dataset.status = order.status;
    cellText(cells.cls, order.cls);
    cellText(cells.amount, money(order.amount, order.currency));
    cellText(cells.paid, order.paid_at_iso ? localMoment(order.paid_at_iso) : "");
    cells.paid.dateTime = order.paid_at_iso ?? "";
    cellText(cells.code, order.ticket_code);
    cellText(cells.goodie, order.got_goodie ? "Tiger pin" : "");
    cellText(cells.email, order.email);
  },
});

const sessions = new LiveTable({
  body: find("[data-sessions]"),
  template: find("[data-session-row]"),
  empty: find("[data-sessions-empty]"),
  key: (session) => session.psid,
  fill(cells, session) {
    orderLink(cells.id, session.order_id);
    cellText(cells.age, age(session.age_ms));
    cellText(cells.cls, session.cls);
    cellText(cells.amount, money(session.amount, session.currency));
    cells.payment.href = `/mockpay/${encodeURIComponent(session.psid)}`;
    cellText(cells.email, session.email);
  },
});

async function refreshInventory() {
  const inventory = await getJson("/api/inventory");
  for (const [code, stock] of Object.entries(inventory)) {
    const figure = find(`[data-inventory="${code}"]`);
    if (figure) showNumbers(figure, stock);
    showBar(code, stock);
  }
}

async function refreshGoodies() {
  const { used, limit } = await getJson("/api/admin/goodies");
  setText(find("[data-goodies=used]"), count(used));
  setText(find("[data-goodies=limit]"), count(limit));
}

async function refreshOrders() {
  const { items } = await getJson(`/api/admin/orders?limit=${page.dataset.ordersMax}`);
  orders.show(items);
}

async function refreshSessions() {
  const { items, total } = await getJson(`/api/pending?limit=${page.dataset.sessionsMax}`);
  sessions.show(items);
  setText(find("[data-pending-total]"), count(total));
}

// Each is fetched by itself, so that one store that is away leaves the others' figures live.
const PARTS = [refreshInventory, refreshGoodies, refreshOrders, refreshSessions];

function showLive(state, words) {
  live.dataset.state = state;
  setText(find("[data-live-words]"), words);
}

async function refresh() {
  if (pause.getAttribute("aria-pressed") === "true") return showLive("paused", "Paused");
  const results = await Promise.allSettled(PARTS.map((part) => part()));
  const failed = results.find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
  return showLive("live", "Live");
}

function lost(error) {
  showLive("lost", error instanceof OfflineError ? "Shop does not answer" : error.message);
}

const wake = repeat(refresh, PAUSE_MS, lost);
pause.addEventListener("click", () => {
  const isPaused = pause.getAttribute("aria-pressed") === "true";
  pause.setAttribute("aria-pressed", String(!isPaused));
  wake();
});
