// The checkout of a buyer who comes back from a payment: says what became of it, also when that
// changes while the form is filled in.

import { followOrder } from "./follow.js";
import { announce, showState } from "./format.js";

const root = document.querySelector("[data-returned]");
const mayChange = new Set(root.dataset.mayChange.split(" "));

function show({ status }) {
  if (status !== root.dataset.state) {
    showState(root, status);
    announce(`${root.querySelector("section:not([hidden]) h2").textContent}.`);
  }
  return !mayChange.has(status);
}

followOrder(root.dataset.returned, root.dataset.state, show);
