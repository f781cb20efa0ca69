// The payment page: counts down the hold, and says so when it has expired, or when the payment was
// finished somewhere else.

import { followOrder } from "./follow.js";
import { announce, clock, setText, showState } from "./format.js";

const LAST_CALL_SECONDS = 60;
// Its other tabs tell of a payment at once; only another browser's is found this late.
const PAUSE_MS = 10000;

const payment = document.querySelector("[data-payment]");
const payable = new Set(payment.dataset.payable.split(" "));
const form = payment.querySelector("form");
const holdSeconds = Number(payment.dataset.holdSeconds);
const expiresAt = Date.now() + 1000 * Number(payment.dataset.remainingSeconds);

let shownSeconds = null;

function show(selector, isShown) {
  payment.querySelector(selector).hidden = !isShown;
}

function expire() {
  show("[data-hold]", false);
  show("[data-pay]", false);
  show("[data-start-again]", true);
  show("[data-pay-late]", true);
  show("[data-expired]", true);
  announce("Your hold has expired. The ticket went back on sale.");
}

function tick() {
  const seconds = Math.max(0, Math.ceil((expiresAt - Date.now()) / 1000));
  if (seconds !== shownSeconds) {
    setText(payment.querySelector("[data-countdown]"), clock(seconds));
    const share = `${((100 * seconds) / holdSeconds).toFixed(1)}%`;
    payment.querySelector("[data-countdown-bar]").setAttribute("width", share);
    payment.toggleAttribute("data-last-call", seconds <= LAST_CALL_SECONDS);
    if (shownSeconds > LAST_CALL_SECONDS && seconds <= LAST_CALL_SECONDS) {
      announce("One minute left to pay.");
    }
    shownSeconds = seconds;
  }
  if (seconds > 0) return;
  clearInterval(ticking);
  expire();
}

function finish(order) {
  if (payable.has(order.status)) return false;
  clearInterval(ticking);
  showState(payment, order.status);
  announce("This payment is finished.");
  return true;
}

let ticking = null;
if (form) {
  if (payment.querySelector("[data-expired]").hidden) ticking = setInterval(tick, 250);
  const { order, state } = payment.dataset;
  followOrder(order, state, finish, { pauseMs: () => PAUSE_MS, takesStream: false });
}

// One press pays once; the shop would not charge twice either.
form?.addEventListener("submit", (event) => {
  if (form.dataset.underway) event.preventDefault();
  form.dataset.underway = "true";
});
window.addEventListener("pageshow", () => form?.removeAttribute("data-underway"));
