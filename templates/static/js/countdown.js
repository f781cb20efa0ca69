// How long it is until a class is on sale, second by second; the stock says when it is.

import { setText } from "./format.js";

const SIZES = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

/** Counts down wherever the page says how many seconds are left. */
export function countDown() {
  const loaded = Date.now();
  const places = [...document.querySelectorAll("[data-countdown-seconds]")];
  if (places.length === 0) return;
  const show = () => {
    const passed = (Date.now() - loaded) / 1000;
    for (const place of places) setText(place, wait(place.dataset.countdownSeconds - passed));
  };
  setInterval(show, 1000);
}

/** 3 days 4 hours: the two largest units. */
function wait(seconds) {
  let left = Math.max(1, Math.ceil(seconds));
  const first = SIZES.findIndex(([, size]) => left >= size);
  const words = [];
  for (const [unit, size] of SIZES.slice(first, first + 2)) {
    const number = Math.floor(left / size);
    left %= size;
    if (number > 0) words.push(`${number} ${unit}${number === 1 ? "" : "s"}`);
  }
  return words.join(" ");
}
