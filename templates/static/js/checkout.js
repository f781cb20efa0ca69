// The checkout without leaving the page: posts the form as JSON, waits out a busy shop, and goes
// on to the payment. Without this script the same form posts itself.

import { OfflineError, ShopError, TroubleError, jittered, postJson, sleep } from "./api.js";
import { likelyMeant } from "./email.js";
import { money, setText } from "./format.js";
import { giveBackHere, heldTickets, showHeld } from "./held.js";
import { CLOSED, followStock } from "./stock.js";
import { takeOver } from "./takeover.js";

const ATTEMPTS_MAX = 30;
const OFFLINE_PAUSE_MS = 3000;
const GONE_WORDS = {
  sold_out: "sold out",
  closed: "closed for now",
  not_yet: "not on sale yet",
  ended: "not on sale any more",
};

const form = document.querySelector("[data-checkout]");
const key = form.elements.idempotency_key;
const email = form.elements.customer_email;
const button = form.querySelector("[data-submit]");
const words = form.querySelector("[data-submit-words]");
const price = form.querySelector("[data-submit-price]");
const message = form.querySelector("[data-message]");
const emailProblem = form.querySelector("[data-email-problem]");
const emailMeant = form.querySelector("[data-email-meant]");
const emailTypos = JSON.parse(form.querySelector("[data-email-typos]").dataset.emailTypos);

let underway = false;
let saysGone = false;

function chosen() {
  return form.querySelector("input[name=cls]:checked:not(:disabled)");
}

/** How many tickets are wanted; where an order has one, the form does not ask. */
function chosenQty() {
  return Number(form.elements.qty?.value ?? 1);
}

function say(text, kind) {
  message.dataset.kind = kind;
  setText(message, text);
  saysGone = false;
}

function priceOf({ price: ofOne, priceUnits }, qty) {
  return qty === 1 ? ofOne : money(qty * priceUnits, document.documentElement.dataset.currency);
}

/** What is chosen, by the button; and that it is sold out, where it is and another one is not. */
function showChoice() {
  const choice = chosen();
  const qty = chosenQty();
  setText(words, qty === 1 ? "Hold my ticket" : `Hold my ${qty} tickets`);
  setText(price, choice ? ` · ${priceOf(choice.dataset, qty)}` : "");
  if (underway) return;
  const gone = form.querySelector("input[name=cls]:checked:disabled");
  if (gone && form.querySelector("input[name=cls]:enabled")) {
    const name = gone.closest("[data-class]").querySelector(".choice-name").textContent;
    const { state } = gone.closest("[data-class]").querySelector("[data-stock]").dataset;
    say(`${name} is ${GONE_WORDS[state] || GONE_WORDS.sold_out}. Please choose another ticket.`, "bad");
    saysGone = true;
  } else if (saysGone) {
    // It came back, or the page says that nothing is left.
    say("", "");
  }
}

/** What this browser has on hold itself may be what it was refused for. */
async function showOwnHolds(refusal) {
  const own = await showHeld();
  if (!own) return;
  const yours = heldTickets() === 1
    ? "a ticket on hold yourself: go on with it, or give it back"
    : "tickets on hold yourself: go on with them, or give them back";
  say(`${refusal} You have ${yours}.`, "bad");
  own.focus();
}

function setUnderway(value) {
  underway = value;
  // Not `disabled`: that would take the focus away from whoever pressed it.
  button.setAttribute("aria-disabled", String(value));
}

/** What is wrong with the email, beside it; nothing where `text` is empty. */
function sayOfEmail(text) {
  setText(emailProblem, text);
  emailProblem.hidden = !text;
  emailMeant.hidden = true;
  if (!text) return email.removeAttribute("aria-invalid");
  say("", "");
  email.setAttribute("aria-invalid", "true");
  return email.focus();
}

/** Asks once whether another address was meant; whoever goes on with this one meant this one. */
function asksWhatWasMeant() {
  const { asked_email: asked, meant_email: change } = form.elements;
  const meant = likelyMeant(email.value, emailTypos);
  if (!meant || asked.value === email.value) return false;
  asked.value = email.value;
  change.value = meant;
  change.checked = false;
  setText(form.querySelector("[data-email-meant-words]"), meant);
  say("", "");
  emailMeant.hidden = false;
  email.focus();
  return true;
}

function changeToMeant() {
  email.value = form.elements.meant_email.value;
  form.elements.meant_email.checked = false;
  sayOfEmail("");
  button.focus();
}

/**
 * The form brings a key along, for all attempts of all presses, so that repeating never holds a
 * second ticket. It gets another one where the shop says that the key's order can no longer be paid.
 */
function renewKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  key.value = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The placed checkout; throws a ShopError that repeating does not help. */
async function placeHold(order) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await postJson("/api/checkout", order, { "Idempotency-Key": key.value });
    } catch (error) {
      if (error.needsNewKey && attempt < ATTEMPTS_MAX) {
        renewKey();
        continue;
      }
      const isTemporary = error instanceof OfflineError || error.isTemporary;
      if (!isTemporary || attempt === ATTEMPTS_MAX) throw error;
      if (error instanceof OfflineError) {
        say("We cannot reach the shop. We keep trying; this page may stay open.", "wait");
        await sleep(jittered(OFFLINE_PAUSE_MS));
      } else {
        say("The shop is busy. We try again by ourselves, no need to press anything.", "wait");
        await sleep(jittered(error.retryAfterMs));
      }
    }
  }
}

async function submit() {
  if (underway) return;
  sayOfEmail("");
  const choice = chosen();
  if (!choice) return say("Please choose a ticket that is still to be had.", "bad");
  if (!/.@./.test(email.value)) {
    return sayOfEmail("Please enter your email address, such as ada@example.com.");
  }
  if (asksWhatWasMeant()) return;
  setUnderway(true);
  const qty = chosenQty();
  say(`Holding your ${qty === 1 ? "ticket" : "tickets"}`, "wait");
  try {
    const order = { cls: choice.value, customer_email: email.value, remember: true };
    if (qty !== 1) order.qty = qty;
    const placed = await placeHold(order);
    window.location.assign(placed.redirect_url);
  } catch (error) {
    if (!(error instanceof TroubleError)) throw error;
    setUnderway(false);
    wakeStock();
    if (error.field === "customer_email") sayOfEmail(error.message);
    else if (error instanceof ShopError) {
      say(error.message, "bad");
      await showOwnHolds(error.message);
    } else say("We could not reach the shop. Nothing was bought; please try again.", "bad");
  }
}

/** A class that is sold out can no longer be chosen; one that comes back can. */
function showAvailability(code, state) {
  const radio = form.querySelector(`#cls-${code}`);
  if (!radio) return;
  radio.disabled = CLOSED.includes(state);
  showChoice();
}

const wakeStock = followStock(showAvailability);
giveBackHere((qty) => {
  wakeStock();
  const [went, next] = qty === 1 ? ["Your ticket", "another one"] : ["Your tickets", "others"];
  say(`${went} went back on sale, and nothing was charged. Now hold ${next}.`, "wait");
  email.focus();
});
form.elements.meant_email.addEventListener("change", changeToMeant);
form.addEventListener("change", () => {
  if (!underway) say("", "");
  showChoice();
});
window.addEventListener("pageshow", (event) => {
  // Back from the payment by the browser's button: the form is as fresh as before.
  if (event.persisted) {
    setUnderway(false);
    renewKey();
    say("", "");
    showHeld();
  }
});
showChoice();
// The messages below the button are kinder than the browser's bubbles, and read in our words.
form.noValidate = true;
takeOver(form, submit);
