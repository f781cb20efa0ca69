// The box office: figures, charts, orders, payments and what needs attention, refreshed every two
// seconds.

import { askedCell, fillOrder, fillUnmatched, orderLink, ticketsName, timeCell } from "./admin-cells.js";
import { Chart, figure, latest } from "./admin-charts.js";
import { Hosts } from "./admin-hosts.js";
import { Orders } from "./admin-orders.js";
import { getJson, postJson } from "./api.js";
import { age, count, money, setText, showState } from "./format.js";
import { keepLive } from "./live.js";
import { showBar, showNumbers } from "./stock.js";
import { LiveTable, cellText } from "./table.js";

const PAUSE_MS = 2000;
const HISTORY_SECONDS = 300;
// Over how many seconds each figure is averaged: what comes and goes by the second needs some.
const FIGURES = { workers: 1, clerks: 1, queued_events: 1, batch_transfers: 3 };

const page = document.querySelector("[data-admin]");
const find = (selector) => document.querySelector(selector);
const table = (name) => find(`[data-table="${name}"]`);

const orders = new Orders(table("orders"), page.dataset.ordersMax, () =>
  orders.refresh().catch((error) => live.lost(error)),
);
const charts = [...document.querySelectorAll("[data-chart]")].map((root) => new Chart(root));

const hosts = new Hosts(find("[data-hosts]"));

const sessions = new LiveTable(
  table("sessions"),
  (session) => session.psid,
  (cells, session) => {
    orderLink(cells.id, session.order_id);
    cellText(cells.age, age(session.age_ms));
    cellText(cells.cls, ticketsName(session));
    cellText(cells.amount, money(session.amount, session.currency));
    cells.payment.href = session.redirect_url;
    cellText(cells.email, session.email);
  },
);

const refunds = new LiveTable(
  table("refunds"),
  (order) => order.id,
  (cells, order) => {
    fillOrder(cells, order);
    // Who may not give money back has no button.
    if (!cells.refund) return;
    askedCell(cells, "refund", `Give ${money(order.amount, order.currency)} back`);
    const path = `orders/${encodeURIComponent(order.id)}/refund`;
    cells.refund_button.onclick = () => act(path, [cells.refund_button]);
  },
);

const unmatched = new LiveTable(
  table("unmatched"),
  (payment) => payment.id,
  (cells, payment) => {
    fillUnmatched(cells, payment);
    if (!cells.refund) return;
    const buttons = [cells.refund_button, cells.dismiss_button];
    const path = `unmatched/${encodeURIComponent(payment.id)}`;
    cells.refund_button.onclick = () => act(`${path}/refund`, buttons);
    cells.dismiss_button.onclick = () => act(`${path}/dismiss`, buttons);
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
    const card = find(`[data-inventory="${code}"]`);
    if (card) {
      showNumbers(card, stock);
      showState(card, stock.state);
    }
    showBar(code, stock);
  }
}

async function refreshGoodies() {
  const { used, limit } = await getJson("/api/admin/goodies");
  setText(find("[data-goodies=used]"), count(used));
  setText(find("[data-goodies=limit]"), count(limit));
}

async function refreshSessions() {
  const pending = await getJson(`/api/pending?limit=${page.dataset.sessionsMax}`);
  sessions.show(pending.items);
  setText(find("[data-pending-total]"), count(pending.total));
  // Where the payment provider gives so many sessions a second, buyers stand in a line for it.
  const wait = pending.payment_wait_seconds ?? null;
  find("[data-line]").hidden = wait === null;
  if (wait === null) return;
  setText(find("[data-line-wait]"), count(wait));
  setText(find("[data-line-max]"), count(pending.payment_wait_seconds_max));
}

async function refreshRefunds() {
  const { items, total } = await getJson("/api/admin/refunds");
  refunds.show(items);
  setText(find("[data-refunds-total]"), count(total));
}

async function refreshUnmatched() {
  const { items, total } = await getJson("/api/admin/unmatched");
  unmatched.show(items);
  setText(find("[data-unmatched-total]"), count(total));
}

async function refreshWebhooks() {
  const { items, total } = await getJson("/api/admin/webhooks");
  webhooks.show(items);
  setText(find("[data-webhooks-total]"), count(total));
}

async function refreshHosts() {
  hosts.show(await getJson("/api/admin/hosts"));
}

/** The shop's last minutes; without them the rest of the page is as live as before. */
async function refreshHistory() {
  const away = find("[data-history-away]");
  try {
    const history = await getJson("/api/admin/history");
    for (const chart of charts) chart.show(history, HISTORY_SECONDS / history.sample_seconds);
    for (const [name, seconds] of Object.entries(FIGURES)) {
      // A sequencer of another release may know of no such figure.
      const now = latest(history[name] ?? [], seconds);
      setText(find(`[data-figure=${name}]`), now === null ? "–" : figure(now));
    }
    away.hidden = true;
  } catch (error) {
    if (error.status !== 503) throw error;
    away.hidden = false;
  }
}

/** What a row's button does; asking twice for the same thing does it once. */
async function act(path, buttons) {
  for (const button of buttons) button.disabled = true;
  try {
    await postJson(`/api/admin/${path}`, {});
    live.wake();
  } catch (error) {
    for (const button of buttons) button.disabled = false;
    live.show("lost", error.message);
  }
}

const PARTS = [
  refreshInventory,
  refreshGoodies,
  () => orders.refresh(),
  refreshSessions,
  refreshRefunds,
  refreshUnmatched,
  refreshWebhooks,
  refreshHosts,
  refreshHistory,
];

const live = keepLive(PARTS, PAUSE_MS);
