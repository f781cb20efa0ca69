// The tickets that this browser has on hold. Only the shop knows which: its cookies are kept from
// scripts. The page brings a card for each; where that may be outdated, this asks for them again.
// Giving it back leaves the page as it is, and what is typed there.

import { TroubleError, getJson, postForm } from "./api.js";
import { localMoment, setText } from "./format.js";
import { takeOver } from "./takeover.js";

const list = document.querySelector("[data-held-list]");
const template = document.querySelector("[data-held-template]");

/** How many tickets the cards stand for. */
export function heldTickets() {
  return [...list.children].reduce((sum, form) => sum + Number(form.dataset.qty), 0);
}

/** Shows what is on hold now; the first card, or null where there is none or nobody can tell. */
export async function showHeld() {
  try {
    const cards = (await getJson("/demo/checkout/held")).map(card);
    setText(list, "");
    for (const one of cards) list.append(one);
  } catch {
    // What is shown stays, and leads to an answer.
  }
  return list.firstElementChild;
}

/** Gives back by a script what the cards' forms would; `onGivenBack` hears of it. */
export function giveBackHere(onGivenBack) {
  takeOver(list, async (form) => {
    const orderId = form.elements.order_id.value;
    try {
      const { status } = await postForm(form.getAttribute("action"), { order_id: orderId });
      if (status !== "CANCELED") {
        return window.location.assign(`/demo/success?order_id=${orderId}`);
      }
      form.remove();
    } catch (error) {
      if (!(error instanceof TroubleError)) throw error;
      // It may have been given back, or not: the form that sends itself leads to an answer.
      return form.submit();
    }
    onGivenBack(Number(form.dataset.qty));
  });
}

function card(hold) {
  const form = template.content.firstElementChild.cloneNode(true);
  for (const name of ["class_name", "amount", "email"]) {
    setText(form.querySelector(`[data-field=${name}]`), hold[name]);
  }
  showQty(form, hold.qty ?? 1);
  form.elements.order_id.value = hold.order_id;
  form.querySelector("[data-go-on]").href = hold.redirect_url;
  form.querySelector("time").dateTime = hold.expires_at;
  showTime(form);
  return form;
}

function showQty(form, qty) {
  form.dataset.qty = qty;
  if (qty === 1) return;
  form.setAttribute("aria-label", "Your tickets on hold");
  setText(form.querySelector("[data-headline]"), `You have ${qty} tickets on hold`);
  setText(form.querySelector("[data-pronoun]"), "them");
  setText(form.querySelector("[data-give-back]"), "Give them back");
}

function showTime(form) {
  const time = form.querySelector("time");
  setText(time, localMoment(time.dateTime));
}

for (const form of list.children) showTime(form);
