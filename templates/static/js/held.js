// The tickets that this browser has on hold. Only the shop knows which: its cookies are kept from
// scripts. The page brings a card for each; where that may be outdated, this asks for them again.

import { getJson } from "./api.js";
import { localMoment, setText } from "./format.js";

const list = document.querySelector("[data-held-list]");
const template = document.querySelector("[data-held-template]");
const checkout = document.querySelector("[data-checkout]");

/** Shows what is on hold now; the first card, or null where there is none or nobody can tell. */
export async function showHeld() {
  try {
    const held = await getJson("/demo/checkout/held");
    setText(list, "");
    for (const hold of held) list.append(card(hold));
  } catch {
    // What is shown stays, and leads to an answer.
  }
  return list.firstElementChild;
}

function card(hold) {
  const form = template.content.firstElementChild.cloneNode(true);
  for (const name of ["class_name", "amount", "email"]) {
    setText(form.querySelector(`[data-field=${name}]`), hold[name]);
  }
  form.elements.order_id.value = hold.order_id;
  form.querySelector("[data-go-on]").href = hold.redirect_url;
  form.querySelector("time").dateTime = hold.expires_at;
  showTime(form);
  return form;
}

function showTime(form) {
  const time = form.querySelector("time");
  setText(time, localMoment(time.dateTime));
}

// The form that comes back is filled in as this one is.
list.addEventListener("submit", ({ target }) => {
  const chosen = checkout.querySelector("input[name=cls]:checked");
  if (chosen) target.elements.cls.value = chosen.value;
  target.elements.customer_email.value = checkout.elements.customer_email.value;
});
for (const form of list.children) showTime(form);
