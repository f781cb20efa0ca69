// The live stock of each ticket class, wherever the page shows it.

import { getJson, repeat } from "./api.js";
import { countDown } from "./countdown.js";
import { announce, count, setText, showState } from "./format.js";

const PAUSE_MS = 3000;
const BEST_FIRST = ["on_sale", "unknown", "on_hold", "not_yet", "closed", "ended", "sold_out"];
// Of which no ticket can be chosen.
export const CLOSED = ["sold_out", "closed", "not_yet", "ended"];

const ANNOUNCEMENTS = {
  on_sale: "is available again",
  going_fast: "is going fast",
  on_hold: "is all on hold; unpaid ones come back",
  sold_out: "is sold out",
  closed: "is closed for now",
  not_yet: "is not on sale yet",
  ended: "is not on sale any more",
  unknown: "has no live count right now",
};

/** Keeps every stock on the page current; `onChange(code, state)` hears of each new state. */
export function followStock(onChange = () => {}) {
  const roots = [...document.querySelectorAll("[data-stock]")];
  const show = (inventory) => {
    const changes = [];
    const states = roots.map((root) => stateOf(root, inventory));
    for (const [index, root] of roots.entries()) {
      const { stock: code, state: before, name } = root.dataset;
      const stock = inventory[code];
      const isFast = stock?.going_fast && states[index] === "on_sale";
      const state = isFast ? "going_fast" : states[index];
      if (state !== before) changes.push(`${name} ${ANNOUNCEMENTS[state]}.`);
      showState(root, state);
      if (stock) {
        showNumbers(root, stock);
        showBar(code, stock);
      }
      onChange(code, state);
    }
    const overall = document.querySelector("[data-overall]");
    if (overall) showState(overall, BEST_FIRST.find((state) => states.includes(state)));
    if (changes.length > 0) announce(changes.join(" "));
  };
  const ask = async () => {
    const inventory = await getJson("/api/inventory");
    show(inventory);
    // What is not on sale cannot be got.
    showTotal(Object.values(inventory).filter(({ state }) => state === "on_sale"));
  };
  countDown();
  return repeat(ask, () => PAUSE_MS, () => show({}));
}

/** What is sold out, or not on sale, stays so while nobody can be asked. */
function stateOf(root, inventory) {
  const unknown = CLOSED.includes(root.dataset.state) ? root.dataset.state : "unknown";
  return inventory[root.dataset.stock]?.state ?? unknown;
}

export function showNumbers(root, stock) {
  for (const number of root.querySelectorAll("[data-number]")) {
    setText(number, count(Math.max(0, stock[number.dataset.number])));
  }
}

export function showBar(code, { capacity, sold, active_holds }) {
  const percent = (part) => `${capacity ? ((100 * part) / capacity).toFixed(2) : 0}%`;
  for (const bar of document.querySelectorAll(`[data-stock-bar="${code}"]`)) {
    const [soldPart, heldPart] = bar.children;
    soldPart.setAttribute("width", percent(sold));
    heldPart.setAttribute("x", percent(sold));
    heldPart.setAttribute("width", percent(active_holds));
  }
}

function showTotal(stocks) {
  const total = document.querySelector("[data-total]");
  if (!total) return;
  setText(total, count(stocks.reduce((sum, { available }) => sum + Math.max(0, available), 0)));
}
