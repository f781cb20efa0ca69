// The order's page: shows each state the order comes to, until it is one that stays.

import { OfflineError, ShopError } from "./api.js";
import { followOrder, tellTabs } from "./follow.js";
import { announce, money, setText, showLocalMoments, showState } from "./format.js";
import { keepCurrent } from "./takeover.js";

const SLOW_MS = 15000;

const root = document.querySelector("[data-order]");
const orderId = root.dataset.order;
// The states that an order may still leave, as the shop has them.
const mayChange = new Set(root.dataset.mayChange.split(" "));

/** The page has a ticket for each that the order is of. */
function showTickets(order) {
  // The release before told of the first one only, and sold no more.
  const tickets = order.tickets ?? [{ code: order.ticket_code }];
  for (const [number, ticket] of root.querySelectorAll("[data-ticket]").entries()) {
    const field = (name) => ticket.querySelector(`[data-field="${name}"]`);
    setText(field("ticket_code"), tickets[number].code);
    setText(field("amount"), money(order.amount / order.qty, order.currency));
    field("paid_at").dateTime = order.paid_at;
    const code = ticket.querySelector("[data-qr]");
    code.src = code.dataset.qr;
  }
  showLocalMoments(root);
  root.querySelector("[data-goodie]").hidden = !order.got_goodie;
}

/** Shows the order; returns whether it stays so. */
function show(order) {
  setPart("[data-offline]", false);
  if (order.status !== root.dataset.state) {
    if (order.status === "PAID") showTickets(order);
    showState(root, order.status);
    const headline = root.querySelector("section:not([hidden]) h1").textContent;
    document.title = `${headline} · ${document.documentElement.dataset.organiser}`;
    announce(`${headline}.`);
  }
  return !mayChange.has(order.status);
}

/** Not every order's page has every part. */
function setPart(selector, isShown) {
  const part = root.querySelector(selector);
  if (part) part.hidden = !isShown;
}

function onFailure(error) {
  const isAway = error instanceof OfflineError || (error instanceof ShopError && error.isTemporary);
  setPart("[data-offline]", isAway);
}

function onlyWithScript() {
  const print = root.querySelector("[data-print]");
  print.hidden = false;
  print.addEventListener("click", () => window.print());
  showLocalMoments(root);
}

onlyWithScript();
if (mayChange.has(root.dataset.state)) {
  followOrder(orderId, root.dataset.state, show, { onFailure });
  setTimeout(() => setPart("[data-slow]", true), SLOW_MS);
} else {
  tellTabs(orderId, root.dataset.state);
}
keepCurrent();
