// The order's page: follows the order until it is settled, then shows what came of it.
// It listens to the shop's events; where those do not work it asks, often at first.

import { OfflineError, ShopError, getJson, repeat } from "./api.js";
import { announce, localMoment, money, setText, showState } from "./format.js";

const PAUSE_MS = 1000;
const PAUSE_SLOW_MS = 5000;
const SLOW_MS = 15000;
// From these an order does not move on by itself.
const SETTLED = new Set(["PAID", "PAID_UNFULFILLED", "FAILED", "CANCELED", "UNKNOWN"]);

const root = document.querySelector("[data-order]");
const orderId = root.dataset.order;
const api = `/api/orders/${encodeURIComponent(orderId)}`;

function field(name, text) {
  setText(root.querySelector(`[data-field="${name}"]`), text);
}

function showTicket(order) {
  field("ticket_code", order.ticket_code);
  field("amount", money(order.amount, order.currency));
  showPaidAt(order.paid_at);
  root.querySelector("[data-goodie]").hidden = !order.got_goodie;
  root.querySelector("[data-qr]").src = `${api}/qr.svg`;
}

function showPaidAt(iso) {
  const time = root.querySelector("[data-field=paid_at]");
  time.dateTime = iso;
  setText(time, localMoment(iso));
}

/** Shows the order; returns whether it is settled. */
function show(order) {
  setPart("[data-offline]", false);
  if (order.status !== root.dataset.state) {
    if (order.status === "PAID") showTicket(order);
    showState(root, order.status);
    const headline = root.querySelector("section:not([hidden]) h1").textContent;
    document.title = `${headline} · TigerFans`;
    announce(`${headline}.`);
  }
  return SETTLED.has(order.status);
}

function setPart(selector, isShown) {
  root.querySelector(selector).hidden = !isShown;
}

function poll() {
  repeat(
    async () => show(await getJson(api)),
    () => (performance.now() < SLOW_MS ? PAUSE_MS : PAUSE_SLOW_MS),
    (error) => {
      const isAway = error instanceof OfflineError || (error instanceof ShopError && error.isTemporary);
      setPart("[data-offline]", isAway);
    },
  );
}

function follow() {
  const events = new EventSource(`${api}/events`);
  events.onmessage = ({ data }) => {
    if (show(JSON.parse(data))) events.close();
  };
  // An EventSource tries again by itself, but not after every error: polling always does.
  events.onerror = () => {
    events.close();
    poll();
  };
}

function onlyWithScript() {
  const print = root.querySelector("[data-print]");
  print.hidden = false;
  print.addEventListener("click", () => window.print());
  const paidAt = root.querySelector("[data-field=paid_at]").dateTime;
  if (paidAt) showPaidAt(paidAt);
}

onlyWithScript();
if (!SETTLED.has(root.dataset.state)) {
  follow();
  setTimeout(() => setPart("[data-slow]", true), SLOW_MS);
}
