// The box office: figures, orders, payments and what needs attention, refreshed every two seconds.

import { OfflineError, getJson, postJson, repeat } from "./api.js";
import { age, count, localMoment, money, setText } from "./format.js";
import { showBar, showNumbers } from "./stock.js";
import { LiveTable, cellText } from "./table.js";

const PAUSE_MS = 2000;
// Enough to tell orders of the same millisecond apart; the cell's title has all of it.
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
const table = (name) => find(`[data-table="${name}"]`);

function orderLink(cell, orderId) {
  cellText(cell, orderId.slice(0, ID_SHOWN_DIGITS));
  cell.href = `/demo/success?order_id=${encodeURIComponent(orderId)}`;
  cell.title = orderId;
}

function timeCell(cell, iso) {
  cellText(cell, iso ? localMoment(iso) : "");
  cell.dateTime = iso ?? "";
}

function fillOrder(cells, order) {
  orderLink(cells.id, order.id);
  cellText(cells.cls, order.cls);
  cellText(cells.amount, money(order.amount, order.currency));
  timeCell(cells.paid, order.paid_at_iso);
  cellText(cells.email, order.email);
}

const orders = new LiveTable(
  table("orders"),
  (order) => order.id,
  (cells, order) => {
    fillOrder(cells, order);
    const words = order.refunded_at_iso ? "Refunded" : (STATUS_WORDS[order.status] ?? order.status);
    cellText(cells.status, words);
    cells.status.dataset.status = order.refunded_at_iso ? "REFUNDED" : order.status;
    cellText(cells.code, order.ticket_code);
    cellText(cells.goodie, order.got_goodie ? "Tiger pin" : "");
  },
);

const sessions = new LiveTable(
  table("sessions"),
  (session) => session.psid,
  (cells, session) => {
    orderLink(cells.id, session.order_id);
    cellText(cells.age, age(session.age_ms));
    cellText(cells.cls, session.cls);
    cellText(cells.amount, money(session.amount, session.currency));
    cells.payment.href = `/mockpay/${encodeURIComponent(session.psid)}`;
    cellText(cells.email, session.email);
  },
);

const refunds = new LiveTable(
  table("refunds"),
  (order) => order.id,
  (cells, order) => {
    fillOrder(cells, order);
    cells.refund.onclick = () => refund(order.id, cells.refund);
  },
);

const webhooks = new LiveTable(
  table("webhooks"),
  (webhook) => `${webhook.order_id} ${webhook.type}`,
  (cells, webhook) => {
    orderLink(cells.id, webhook.order_id);
    cellText(cells.type, webhook.type);
    timeCell(cells.created, webhook.created_at_iso);
    cellText(cells.attempts, count(webhook.attempts));
    timeCell(cells.next, webhook.next_attempt_at_iso);
    cellText(cells.error, webhook.last_error);
  },
);

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

async function refreshRefunds() {
  const { items, total } = await getJson("/api/admin/refunds");
  refunds.show(items);
  setText(find("[data-refunds-total]"), count(total));
}

async function refreshWebhooks() {
  const { items, total } = await getJson("/api/admin/webhooks");
  webhooks.show(items);
  setText(find("[data-webhooks-total]"), count(total));
}

/** Gives an order's money back; asking twice for the same order gives it once. */
async function refund(orderId, button) {
  button.disabled = true;
  try {
    await postJson(`/api/admin/orders/${encodeURIComponent(orderId)}/refund`, {});
    wake();
  } catch (error) {
    button.disabled = false;
    showLive("lost", error.message);
  }
}

// Each is fetched by itself, so that one store that is away leaves the others' figures live.
const PARTS = [
  refreshInventory,
  refreshGoodies,
  refreshOrders,
  refreshSessions,
  refreshRefunds,
  refreshWebhooks,
];

function showLive(state, words) {
  live.dataset.state = state;
  setText(find("[data-live-words]"), words);
}

async function refresh() {
  if (pause.getAttribute("aria-pressed") === "true") {
    showLive("paused", "Paused");
    return;
  }
  const results = await Promise.allSettled(PARTS.map((part) => part()));
  const failed = results.find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
  showLive("live", "Live");
}

function lost(error) {
  showLive("lost", error instanceof OfflineError ? "No answer" : error.message);
}

const wake = repeat(refresh, () => PAUSE_MS, lost);
pause.addEventListener("click", () => {
  const isPaused = pause.getAttribute("aria-pressed") === "true";
  pause.setAttribute("aria-pressed", String(!isPaused));
  wake();
});
